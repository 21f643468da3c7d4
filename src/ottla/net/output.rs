use std::io;
use std::time::Duration;

use ottla_log::FileRange;
use ottla_protocol::Part;
use rustix::io::{ReadWriteFlags, preadv2};
use rustix::net::SendFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Records, Response};

/// Bytes gathered before a write.
const GATHERED: usize = 64 << 10;

/// A part of this size goes out by itself: a file's range from the page cache with `sendfile`, bytes from where they lie.
/// Below it the copy into the buffer costs less than another call.
const BY_ITSELF: usize = 32 << 10;

/// The most that one `sendfile` takes, and what goes out before other tasks have their turn.
const TURN: usize = 1 << 20;

/// How far apart a range is asked whether the page cache holds it. The cache takes in and throws out runs of pages, so a
/// hole between two that are there is rare; it costs a wait of the disk, no wrong byte.
const PROBED: usize = 64 << 10;

/// Bytes read at once from a cold file.
const COLD: usize = 128 << 10;

/// A quiet connection's buffer keeps no more than this.
const KEPT: usize = 4 << 10;

/// How long a peer may take to accept more. One that asks and never reads would hold its answer for ever, and hold up the
/// broker's stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection's way out. Small parts are gathered in one buffer, so that a response, or several that are ready
/// together, cost one write; what the page cache holds of a large range goes from there to the socket.
pub(super) struct Output {
    buffer: Vec<u8>,
    patience: Duration,
}

impl Output {
    pub(super) fn new() -> Output {
        Output { buffer: Vec::new(), patience: PATIENCE }
    }

    /// Adds a response; writes what is large or fills the buffer.
    pub(super) async fn push(&mut self, stream: &TcpStream, response: Response) -> io::Result<()> {
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

    async fn push_bytes(&mut self, stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() >= BY_ITSELF {
            self.write_buffer(stream, SendFlags::MORE).await?;
            return self.write(stream, bytes, SendFlags::empty()).await;
        }
        self.make_room(stream, bytes.len()).await?;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    async fn push_range(&mut self, stream: &TcpStream, range: FileRange) -> io::Result<()> {
        let len = range.len as usize;
        if len < BY_ITSELF || range.file.as_fd().is_none() {
            return self.push_copied(stream, &range).await;
        }
        self.write_buffer(stream, SendFlags::MORE).await?;
        let mut done = 0;
        while done < len {
            let turn = cached(&range, done, TURN.min(len - done))?;
            if turn == 0 {
                let cold = read_cold(&range, done, COLD.min(len - done)).await?;
                self.write(stream, &cold, SendFlags::empty()).await?;
                done += cold.len();
                continue;
            }
            self.send_file(stream, &range, done, turn).await?;
            done += turn;
            if turn == TURN {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Gathers a small range, or one of a disk without descriptors.
    async fn push_copied(&mut self, stream: &TcpStream, range: &FileRange) -> io::Result<()> {
        let len = range.len as usize;
        let mut done = 0;
        while done < len {
            let wanted = (len - done).min(BY_ITSELF);
            self.make_room(stream, wanted).await?;
            let filled = self.buffer.len();
            self.buffer.resize(filled + wanted, 0);
            let read = read_cached(range, done, &mut self.buffer[filled..]);
            self.buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(shrunk()),
                Ok(count) => done += count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let cold = read_cold(range, done, wanted).await?;
                    self.buffer.extend_from_slice(&cold);
                    done += cold.len();
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Sends `len` bytes of a range from `from` on, out of the page cache.
    async fn send_file(&self, stream: &TcpStream, range: &FileRange, from: usize, len: usize) -> io::Result<()> {
        let mut position = range.position + from as u64;
        let end = position + len as u64;
        while position < end {
            let sent = self.when_writable(stream, || {
                let Some(file) = range.file.as_fd() else { return Err(io::ErrorKind::Unsupported.into()) };
                let rest = (end - position) as usize;
                Ok(rustix::fs::sendfile(stream, file, Some(&mut position), rest)?)
            });
            if sent.await? == 0 {
                return Err(shrunk());
            }
        }
        Ok(())
    }

    /// Writes what is gathered.
    pub(super) async fn flush(&mut self, stream: &TcpStream) -> io::Result<()> {
        self.write_buffer(stream, SendFlags::empty()).await
    }

    async fn write_buffer(&mut self, stream: &TcpStream, flags: SendFlags) -> io::Result<()> {
        self.write(stream, &self.buffer, flags).await?;
        self.buffer.clear();
        Ok(())
    }

    async fn make_room(&mut self, stream: &TcpStream, wanted: usize) -> io::Result<()> {
        match self.buffer.len() + wanted > GATHERED {
            true => self.write_buffer(stream, SendFlags::MORE).await,
            false => Ok(()),
        }
    }

    /// Writes all of `bytes`; with MORE the last of them may wait for what follows, to share its packet.
    async fn write(&self, stream: &TcpStream, mut bytes: &[u8], flags: SendFlags) -> io::Result<()> {
        while !bytes.is_empty() {
            let flags = flags | SendFlags::NOSIGNAL;
            let sent = self.when_writable(stream, || Ok(rustix::net::send(stream, bytes, flags)?)).await?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    async fn when_writable(
        &self,
        stream: &TcpStream,
        mut send: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match stream.try_io(Interest::WRITABLE, &mut send) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                sent => return sent,
            }
            let writable = timeout(self.patience, stream.writable()).await;
            writable.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the peer does not read its answers"))??;
        }
    }

    /// Gives memory back: most connections are quiet most of the time.
    pub(super) fn release(&mut self) {
        debug_assert!(self.buffer.is_empty());
        self.buffer.shrink_to(KEPT);
    }
}

fn shrunk() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a log file shrank while it was sent")
}

/// How many bytes of a range, from `from` on and at most `most`, the page cache seems to hold.
fn cached(range: &FileRange, from: usize, most: usize) -> io::Result<usize> {
    let mut held = 0;
    while held < most {
        // The last byte of each step: pages before it were read or written together with it, more often than those behind.
        let step = PROBED.min(most - held);
        match read_cached(range, from + held + step - 1, &mut [0]) {
            Ok(0) => return Err(shrunk()),
            Ok(_) => held += step,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            Err(e) => return Err(e),
        }
    }
    Ok(held)
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

/// What is not in the page cache is waited for on the blocking pool: a slow disk costs this connection only.
async fn read_cold(range: &FileRange, from: usize, wanted: usize) -> io::Result<Vec<u8>> {
    let range = range.clone();
    let read = tokio::task::spawn_blocking(move || {
        let mut cold = vec![0; wanted];
        let count = range.file.read_full_at(&mut cold, range.position + from as u64)?;
        cold.truncate(count);
        io::Result::Ok(cold)
    });
    let cold = read.await.map_err(io::Error::other)??;
    if cold.is_empty() { Err(shrunk()) } else { Ok(cold) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use ottla_protocol::Frame;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0, client)
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_given_up() {
        let (stream, _deaf) = connected().await;
        // More than the sockets' own buffers take.
        let parts = vec![Part::Bytes(vec![0; 64 << 20].into())];
        let mut output = Output { patience: Duration::from_millis(50), ..Output::new() };
        let error = output.push(&stream, Frame { parts }).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn parts_of_every_size_arrive_in_order() {
        let content: Vec<u8> = (0..3 << 20).map(|i: u32| (i / 7) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let file: ottla_log::FileRef = Arc::new(file);
        let sizes = [1, 100, BY_ITSELF - 1, BY_ITSELF, GATHERED - 10, 20, TURN, TURN + PROBED + 3, 5];
        let (mut parts, mut expected, mut position) = (Vec::new(), Vec::new(), 0);
        for size in sizes {
            let slice = &content[position..position + size];
            let range = FileRange { file: file.clone(), position: position as u64, len: size as u32 };
            parts.extend([Part::Bytes(slice.to_vec().into()), Part::Payload(Records::Stored(range))]);
            expected.extend([slice, slice].concat());
            position += size;
        }
        let (stream, mut client) = connected().await;
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.map(|_| got)
        });
        let mut output = Output::new();
        output.push(&stream, Frame { parts }).await.unwrap();
        output.flush(&stream).await.unwrap();
        drop(stream);
        assert!(reading.await.unwrap().unwrap() == expected);
    }

    #[tokio::test]
    async fn a_file_that_shrank_ends_the_connection() {
        let file: ottla_log::FileRef = Arc::new(tempfile::tempfile().unwrap());
        for len in [10, 1 << 20] {
            let (stream, _client) = connected().await;
            let parts = vec![Part::Payload(Records::Stored(FileRange { file: file.clone(), position: 0, len }))];
            let error = Output::new().push(&stream, Frame { parts }).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
