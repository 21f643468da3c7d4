//! Bytes to and from the floors, which speak no protocol.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::connection::{connect, invalid};

/// How much is read at one time.
const BLOCK: usize = 1 << 20;

/// What passed, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Bytes.
    pub(crate) bytes: u64,
    /// From the first to the last of them.
    pub(crate) elapsed: Duration,
    /// Processor time of the floor's threads for it.
    pub(crate) cpu: Duration,
}

/// Sends `bytes` again and again to a [`crate::floor::sink`], over as many connections, until at least `total` bytes are
/// sent; returns when the sink has written them all.
///
/// # Errors
/// Of a socket; a sink that counted other bytes.
pub(crate) fn raw_send(address: &str, bytes: &[u8], total: u64, connections: usize) -> io::Result<Passed> {
    let connections = connections.max(1);
    let rounds = total.div_ceil(bytes.len().max(1) as u64).div_ceil(connections as u64);
    over(connections, || {
        let mut stream = connect(address)?;
        for _ in 0..rounds {
            stream.write_all(bytes)?;
        }
        stream.shutdown(Shutdown::Write)?;
        let (counted, sent) = (number(&mut stream)?, rounds * bytes.len() as u64);
        if counted != sent {
            return Err(invalid(format!("{sent} bytes were sent, the sink counted {counted}")));
        }
        Ok((sent, Duration::from_nanos(number(&mut stream)?)))
    })
}

/// Asks a [`crate::floor::source`] for `total` bytes, over as many connections, and drops them.
///
/// # Errors
/// Of a socket; a source that sends too little.
pub(crate) fn raw_receive(address: &str, total: u64, connections: usize) -> io::Result<Passed> {
    let connections = connections.max(1);
    let each = total.div_ceil(connections as u64);
    over(connections, || {
        let mut stream = connect(address)?;
        stream.write_all(&each.to_be_bytes())?;
        let mut block = vec![0; BLOCK];
        let mut left = each;
        while left > 0 {
            let wanted = left.min(BLOCK as u64) as usize;
            match stream.read(&mut block[..wanted])? {
                0 => return Err(invalid(format!("the source ended {left} bytes early"))),
                read => left -= read as u64,
            }
        }
        Ok((each, Duration::from_nanos(number(&mut stream)?)))
    })
}

fn number(stream: &mut TcpStream) -> io::Result<u64> {
    let mut number = [0; 8];
    stream.read_exact(&mut number)?;
    Ok(u64::from_be_bytes(number))
}

/// The sum of what `run` returns in several threads at one time.
fn over(connections: usize, run: impl Fn() -> io::Result<(u64, Duration)> + Sync) -> io::Result<Passed> {
    let start = Instant::now();
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(&run)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().expect("a client of a floor does not panic"));
        joined.collect::<io::Result<Vec<_>>>()
    })?;
    Ok(Passed {
        elapsed: start.elapsed(),
        bytes: done.iter().map(|(bytes, _)| bytes).sum(),
        cpu: done.iter().map(|(_, cpu)| cpu).sum(),
    })
}
