use std::io;
use std::time::Duration;

use ottla_log::FileRange;
use ottla_protocol::Part;
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Records, Response};

/// Bytes gathered before a write: what a core's second-level cache holds beside everything else.
const CHUNK: usize = 128 << 10;

/// How long a peer may take to accept one chunk. One that asks and never reads would hold its answer for ever, and hold
/// up the broker's stop.
const CHUNK_LIMIT: Duration = Duration::from_secs(60);

/// A connection's way out: small parts and file ranges are gathered in one buffer, so that a response, or several that
/// are ready together, cost one write. Reading the page cache and writing it is one path for all connections, those with
/// TLS to come included; `sendfile` would be a second one.
pub(super) struct Output {
    buffer: Vec<u8>,
    filled: usize,
    chunk_limit: Duration,
}

impl Output {
    pub(super) fn new() -> Output {
        Output { buffer: Vec::new(), filled: 0, chunk_limit: CHUNK_LIMIT }
    }

    /// Adds a response; writes whenever the buffer is full.
    pub(super) async fn push(&mut self, stream: &mut TcpStream, response: Response) -> io::Result<()> {
        for part in response.parts {
            match part {
                Part::Bytes(bytes) | Part::Payload(Records::Converted(bytes)) => {
                    self.push_bytes(stream, &bytes).await?
                }
                Part::Payload(Records::Stored(range)) => self.push_range(stream, range).await?,
            }
        }
        Ok(())
    }

    async fn push_bytes(&mut self, stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.room(bytes.len());
            let taken = room.len().min(bytes.len());
            room[..taken].copy_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            self.advance(stream, taken).await?;
        }
        Ok(())
    }

    async fn push_range(&mut self, stream: &mut TcpStream, range: FileRange) -> io::Result<()> {
        let mut done = 0;
        let len = range.len as usize;
        while done < len {
            let room = self.room(len - done);
            let wanted = room.len().min(len - done);
            let read = match read_cached(&range, done, &mut room[..wanted]) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.read_cold(&range, done, wanted).await?,
                other => other?,
            };
            if read == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a log file shrank while it was sent"));
            }
            done += read;
            self.advance(stream, read).await?;
        }
        Ok(())
    }

    /// Writes what is gathered.
    pub(super) async fn flush(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        let written = timeout(self.chunk_limit, stream.write_all(&self.buffer[..self.filled])).await;
        written.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the peer does not read its answers"))??;
        self.filled = 0;
        Ok(())
    }

    /// Gives the buffer's memory back: most connections are quiet most of the time.
    pub(super) fn release(&mut self) {
        debug_assert_eq!(self.filled, 0);
        self.buffer = Vec::new();
    }

    /// Free space for up to `wanted` bytes more; never empty.
    fn room(&mut self, wanted: usize) -> &mut [u8] {
        let needed = (self.filled + wanted).min(CHUNK);
        if self.buffer.len() < needed {
            self.buffer.resize(needed, 0);
        }
        &mut self.buffer[self.filled..]
    }

    async fn advance(&mut self, stream: &mut TcpStream, count: usize) -> io::Result<()> {
        self.filled += count;
        if self.filled == CHUNK { self.flush(stream).await } else { Ok(()) }
    }

    /// What is not in the page cache is waited for on the blocking pool: a slow disk costs this connection only.
    async fn read_cold(&mut self, range: &FileRange, from: usize, wanted: usize) -> io::Result<usize> {
        let range = range.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut cold = vec![0; wanted];
            let count = range.file.read_full_at(&mut cold, range.position + from as u64)?;
            cold.truncate(count);
            io::Result::Ok(cold)
        });
        let cold = read.await.map_err(io::Error::other)??;
        self.room(wanted)[..cold.len()].copy_from_slice(&cold);
        Ok(cold.len())
    }
}

/// Reads what the page cache holds of a range, from `from` bytes into it on; `WouldBlock` if it holds nothing there.
fn read_cached(range: &FileRange, from: usize, into: &mut [u8]) -> io::Result<usize> {
    let position = range.position + from as u64;
    let Some(fd) = range.file.as_fd() else { return range.file.read_at(into, position) };
    let read = preadv2(fd, &mut [io::IoSliceMut::new(into)], position, ReadWriteFlags::NOWAIT);
    match read {
        // Some file systems cannot say whether they would wait.
        Err(rustix::io::Errno::OPNOTSUPP) => range.file.read_at(into, position),
        read => Ok(read?),
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::Frame;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _deaf = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        // More than the sockets' own buffers take.
        let parts = vec![Part::Bytes(vec![0; 64 << 20].into())];
        let mut output = Output { chunk_limit: Duration::from_millis(50), ..Output::new() };
        let error = output.push(&mut stream, Frame { parts }).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
