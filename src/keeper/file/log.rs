//! The transaction log `log.HEX` (FileTxnLog.java): a header, then entries of checksum, length, bytes and `B`.

use std::{
    fs::{self, File},
    io::{BufReader, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use crate::{
    error::KeeperError,
    file::{adler32::Adler32, folder::sync_dir},
};

/// "ZKLG", version 2, database 0.
const HEADER: [u8; 16] = *b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0";
const END_OF_ENTRY: u8 = b'B';
/// checksum (8), length (4), end (1)
const FRAMING: usize = 13;

/// Reads one log from its start.
#[derive(Debug)]
pub(crate) struct LogReader {
    path: PathBuf,
    reader: BufReader<File>,
    position: u64,
    longest: usize,
    ended: bool,
}

impl LogReader {
    /// `longest`: an entry that claims more bytes is an error, as in ZooKeeper.
    pub(crate) fn open(path: &Path, longest: usize) -> Result<Self, KeeperError> {
        let file = File::open(path).map_err(KeeperError::io("open", path))?;
        let reader = BufReader::with_capacity(1 << 16, file);
        let mut log = Self { path: path.to_owned(), reader, position: 0, longest, ended: false };
        match log.take(HEADER.len())? {
            None => log.ended = true,
            Some(header) if header[..4] != HEADER[..4] => return Err(log.corrupt("no ZKLG: not a transaction log")),
            Some(header) => log.position = header.len() as u64,
        }
        Ok(log)
    }

    /// Where the last whole entry ended.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The next entry's bytes. None at the end of what was written whole: padding, the file's end, or an entry that a
    /// crash cut off (it was never acknowledged).
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, KeeperError> {
        if self.ended {
            return Ok(None);
        }
        let entry = self.entry()?;
        match &entry {
            Some(bytes) => self.position += (bytes.len() + FRAMING) as u64,
            None => self.ended = true,
        }
        Ok(entry)
    }

    fn entry(&mut self) -> Result<Option<Vec<u8>>, KeeperError> {
        let Some(prefix) = self.take(12)? else { return Ok(None) };
        let checksum = u64::from_be_bytes(prefix[..8].try_into().expect("8 of 12 bytes"));
        let length = i32::from_be_bytes(prefix[8..].try_into().expect("4 of 12 bytes"));
        if length == 0 {
            return Ok(None);
        }
        let length = usize::try_from(length).ok().filter(|length| *length <= self.longest).ok_or_else(|| {
            self.corrupt(&format!("an entry of {length} bytes (jute.maxbuffer allows {}): damaged", self.longest))
        })?;
        let Some(bytes) = self.take(length)? else { return Ok(None) };
        if self.take(1)?.is_none_or(|end| end[0] != END_OF_ENTRY) {
            return Ok(None);
        }
        if u64::from(Adler32::of(&bytes)) != checksum {
            return Err(self.corrupt(
                "the checksum of a log entry is wrong (CRC check failed): the disk changed what was written; restore \
                 the folder from a copy. Only if this is the last entry and the machine lost power may the file be \
                 cut here (truncate)",
            ));
        }
        Ok(Some(bytes))
    }

    /// The next `count` bytes, none if the file ends before.
    fn take(&mut self, count: usize) -> Result<Option<Vec<u8>>, KeeperError> {
        let mut bytes = Vec::new();
        match self.reader.by_ref().take(count as u64).read_to_end(&mut bytes) {
            Ok(_) => Ok(Some(bytes).filter(|bytes| bytes.len() == count)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(KeeperError::io("read", &self.path)(error)),
        }
    }

    pub(crate) fn corrupt(&self, what: &str) -> KeeperError {
        KeeperError::Corrupt { path: self.path.clone(), position: self.position, what: what.to_owned() }
    }
}

/// Appends entries in groups: one write and one fdatasync for each group.
#[derive(Debug)]
pub(crate) struct LogWriter {
    dir: PathBuf,
    preallocation: u64,
    group: Vec<u8>,
    first_zxid: i64,
    file: Option<OpenLog>,
}

#[derive(Debug)]
struct OpenLog {
    path: PathBuf,
    file: File,
    written: u64,
    size: u64,
}

impl LogWriter {
    /// Writes new logs into `dir`, each growing in steps of `preallocation` bytes.
    pub(crate) fn new(dir: PathBuf, preallocation: u64) -> Self {
        Self { dir, preallocation, group: Vec::new(), first_zxid: 0, file: None }
    }

    /// Adds an entry to the group that the next [`commit`](Self::commit) writes.
    pub(crate) fn append(&mut self, zxid: i64, bytes: &[u8]) {
        if self.group.is_empty() {
            self.first_zxid = zxid;
        }
        self.group.extend_from_slice(&u64::from(Adler32::of(bytes)).to_be_bytes());
        self.group.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        self.group.extend_from_slice(bytes);
        self.group.push(END_OF_ENTRY);
    }

    /// Makes the group durable. After an error nothing of the group may be acknowledged, and the writer is of no use.
    pub(crate) fn commit(&mut self) -> Result<(), KeeperError> {
        if self.group.is_empty() {
            return Ok(());
        }
        let is_new = self.file.is_none();
        if is_new {
            self.file = Some(OpenLog::create(&self.dir, self.first_zxid)?);
        }
        let log = self.file.as_mut().expect("opened above");
        log.write(&self.group, self.preallocation).map_err(KeeperError::io("write", &log.path))?;
        if is_new {
            sync_dir(&self.dir)?;
        }
        self.group.clear();
        self.group.shrink_to(1 << 20);
        Ok(())
    }

    /// Ends the file; the next group begins another. Called between groups.
    pub(crate) fn roll(&mut self) {
        if let Some(log) = self.file.take() {
            // The padding is no loss to keep: its end is found by reading.
            if let Err(error) = log.file.set_len(log.written) {
                tracing::warn!("cannot cut the padding of {}: {error}", log.path.display());
            }
        }
    }
}

impl OpenLog {
    fn create(dir: &Path, first_zxid: i64) -> Result<Self, KeeperError> {
        let path = dir.join(format!("log.{first_zxid:x}"));
        // A file of this name can only hold an entry that was cut off: a whole one would have used up the zxid.
        let mut file = File::create(&path).map_err(KeeperError::io("create", &path))?;
        file.write_all(&HEADER).map_err(KeeperError::io("write", &path))?;
        let written = HEADER.len() as u64;
        Ok(Self { path, file, written, size: written })
    }

    fn write(&mut self, group: &[u8], preallocation: u64) -> std::io::Result<()> {
        use std::os::unix::fs::FileExt;
        self.file.write_all_at(group, self.written)?;
        self.written += group.len() as u64;
        // Blocks that are written already make the next fdatasync one write of data, without the file's metadata.
        if preallocation > 0 && self.written + 4096 > self.size {
            let zeros = vec![0; 1 << 16];
            let end = self.written + preallocation;
            let mut at = self.written;
            while at < end {
                let count = (end - at).min(zeros.len() as u64);
                self.file.write_all_at(&zeros[..count as usize], at)?;
                at += count;
            }
            self.size = end;
        }
        self.file.sync_data()
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.roll();
    }
}

/// The size of a file, 0 if it is not there.
pub(crate) fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}
