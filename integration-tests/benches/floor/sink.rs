//! The floor of producing: read the socket, CRC-32C, append to a file in the page cache.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::thread_cpu_as_bytes;

/// What is read, summed and written at one time.
const BLOCK: usize = 64 << 10;
/// A file begins anew at this size, so that the disk does not fill.
const MOST_BYTES: u64 = 2 << 30;
/// How long after a connection its file is emptied, so that who reads `/proc` at its end does not see what that costs.
const PAUSE: Duration = Duration::from_secs(1);

/// Files for connections: one each at one time, as a broker has one for each partition.
pub(crate) struct Sink {
    path: PathBuf,
    /// Files of connections that ended, empty.
    idle: Mutex<Vec<File>>,
    /// How many files there are.
    files: Mutex<usize>,
}

impl Sink {
    /// Files are named after `path`: `path.0`, `path.1` and so on.
    pub(crate) fn new(path: &Path) -> Sink {
        Sink { path: path.into(), idle: Mutex::new(Vec::new()), files: Mutex::new(0) }
    }

    fn file(&self) -> io::Result<File> {
        if let Some(file) = self.idle.lock().expect("no holder panics").pop() {
            return Ok(file);
        }
        let mut files = self.files.lock().expect("no holder panics");
        let path = format!("{}.{files}", self.path.display());
        *files += 1;
        File::create(path)
    }

    /// Takes everything from a connection; when the client has no more, answers its number of bytes and the cost, 8 bytes
    /// each.
    ///
    /// # Errors
    /// Of socket or file.
    pub(crate) fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut file = self.file()?;
        let total = drain(&mut stream, &mut file)?;
        stream.write_all(&[total.to_be_bytes(), thread_cpu_as_bytes()].concat())?;
        stream.shutdown(Shutdown::Both)?;
        std::thread::sleep(PAUSE);
        begin_anew(&mut file)?;
        self.idle.lock().expect("no holder panics").push(file);
        Ok(())
    }
}

fn begin_anew(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0)).map(drop)
}

fn drain(from: &mut TcpStream, file: &mut File) -> io::Result<u64> {
    let mut block = vec![0; BLOCK];
    let (mut total, mut size) = (0, 0);
    loop {
        let mut filled = 0;
        while filled < BLOCK {
            match from.read(&mut block[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        if filled == 0 {
            return Ok(total);
        }
        // Nothing looks at the sum; without this the compiler would not make it.
        std::hint::black_box(crc32c::crc32c(&block[..filled]));
        if size + filled as u64 > MOST_BYTES {
            begin_anew(file)?;
            size = 0;
        }
        file.write_all(&block[..filled])?;
        total += filled as u64;
        size += filled as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    use crate::load::raw_send;

    /// Blocks that do not divide the total: the last one must be written and counted as well.
    #[test]
    fn every_byte_is_written_and_counted() {
        let folder = tempfile::TempDir::new().unwrap();
        let sink = Sink::new(&folder.path().join("x"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let bytes: Vec<u8> = (0..100_001).map(|n| n as u8).collect();
        let passed = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut file = sink.file().unwrap();
                let (mut stream, _) = listener.accept().unwrap();
                let total = drain(&mut stream, &mut file).unwrap();
                stream.write_all(&[total.to_be_bytes(), thread_cpu_as_bytes()].concat()).unwrap();
            });
            raw_send(&address, &bytes, 250_000, 1).unwrap()
        });
        assert_eq!(passed.bytes, 300_003);
        assert!(std::fs::read(folder.path().join("x.0")).unwrap() == bytes.repeat(3));
    }
}
