//! The floor: what any broker pays on this machine for what it does, in as few lines as do it. Each server is a process
//! of its own, prints its address and serves until it is killed. Sink and source tell each client what its connection
//! cost, so that what comes between connections, such as emptying a file, is not counted.
//!
//! - [`sink`]: socket, CRC-32C, page cache, 64 KiB at a time: a produce request at least.
//! - [`source`]: page cache, socket, 1 MiB at a time: a fetch at least.
//! - [`null`]: answers every produce request and keeps nothing: the latency that is the generator's own.
//! - [`gzip`]: bare inflate and deflate, in process.
//! - [`command`]: all of it by hand.

pub(crate) mod command;
pub(crate) mod gzip;
pub(crate) mod null;
pub(crate) mod sink;
pub(crate) mod source;

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Listens on any free port of this machine alone, prints `127.0.0.1:PORT` as a line, and gives each connection a thread.
///
/// # Errors
/// Of the listening socket, or of standard output. An error of one connection is a line on standard error.
pub(crate) fn serve(each: impl Fn(TcpStream) -> io::Result<()> + Sync) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut out = io::stdout();
    writeln!(out, "{}", listener.local_addr()?)?;
    out.flush()?;
    accept(&listener, &each)
}

fn accept(listener: &TcpListener, each: &(impl Fn(TcpStream) -> io::Result<()> + Sync)) -> io::Result<()> {
    std::thread::scope(|scope| {
        for stream in listener.incoming() {
            let stream = stream?;
            stream.set_nodelay(true)?;
            scope.spawn(move || {
                if let Err(error) = each(stream) {
                    eprintln!("a connection ended: {error}");
                }
            });
        }
        Ok(())
    })
}

/// Processor time of this thread.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What a sink or source says last: the processor time of the connection's thread, in ns.
fn thread_cpu_as_bytes() -> [u8; 8] {
    (thread_cpu().as_nanos() as u64).to_be_bytes()
}
