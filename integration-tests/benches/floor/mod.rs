//! The floor: what any broker pays on this machine for what it does, in as few lines as do it. Each is a process of its
//! own, whose use of the processor is read from outside; it prints its address and serves until it is killed.
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
