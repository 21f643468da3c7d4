//! The floor of consuming: from the page cache into the socket.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::thread_cpu_as_bytes;
use crate::load::connection::invalid;

/// What is sent at one time.
const BLOCK: usize = 1 << 20;

/// By which calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum By {
    /// sendfile: no byte enters the process.
    Sendfile,
    /// pread and write.
    Copy,
}

/// Reads from a connection how many bytes it wants, 8 bytes big endian, and sends them from the file, from its beginning
/// again when it ends; then 8 bytes of cost.
///
/// # Errors
/// Of socket or file; an empty file.
pub(crate) fn serve(mut stream: TcpStream, path: &Path, by: By) -> io::Result<()> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if size == 0 {
        return Err(invalid(format!("{} is empty", path.display())));
    }
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted)?;
    let mut left = u64::from_be_bytes(wanted);
    let mut block = vec![0; if by == By::Copy { BLOCK } else { 0 }];
    let mut offset = 0;
    while left > 0 {
        if offset >= size {
            offset = 0;
        }
        let count = left.min(size - offset).min(BLOCK as u64) as usize;
        let sent = match by {
            // The call moves the offset by itself.
            By::Sendfile => rustix::fs::sendfile(&stream, &file, Some(&mut offset), count)?,
            By::Copy => {
                let read = file.read_at(&mut block[..count], offset)?;
                stream.write_all(&block[..read])?;
                offset += read as u64;
                read
            }
        };
        if sent == 0 {
            return Err(invalid(format!("{} became shorter", path.display())));
        }
        left -= sent as u64;
    }
    stream.write_all(&thread_cpu_as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Both ways send the file and nothing else, across its end.
    #[test]
    fn the_file_comes_again_and_again() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("x");
        let bytes: Vec<u8> = (0..BLOCK + 77).map(|n| (n % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        for by in [By::Sendfile, By::Copy] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let wanted = 2 * bytes.len() + 5;
            let mut received = Vec::new();
            std::thread::scope(|scope| {
                scope.spawn(|| serve(listener.accept().unwrap().0, &path, by).unwrap());
                let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                stream.write_all(&(wanted as u64).to_be_bytes()).unwrap();
                stream.read_to_end(&mut received).unwrap();
            });
            assert!(received.len() == wanted + 8);
            received.truncate(wanted);
            assert!(received == [&bytes[..], &bytes, &bytes[..5]].concat(), "{by:?}");
        }
    }
}
