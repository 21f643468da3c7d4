//! The transaction log `log.HEX` (FileTxnLog.java): a header, then entries of checksum, length, bytes and `B`.

use std::{
    fs::File,
    io::{BufReader, Read, Write},
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
    end: Option<End>,
}

/// How what was written whole ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With the file, or with its padding.
    Clean,
    /// In an entry that a crash cut off: it was never acknowledged.
    Torn,
}

impl LogReader {
    /// `longest`: an entry that claims more bytes is an error, as in ZooKeeper.
    pub(crate) fn open(path: &Path, longest: usize) -> Result<Self, KeeperError> {
        let file = File::open(path).map_err(KeeperError::io("open", path))?;
        let reader = BufReader::with_capacity(1 << 16, file);
        let mut log = Self { path: path.to_owned(), reader, position: 0, longest, end: None };
        let header = log.take(HEADER.len())?;
        match header.get(..HEADER.len()) {
            // A crash came between creating the file and the first write.
            None => log.end = Some(End::Torn),
            Some(header) if header[..4] != HEADER[..4] => return Err(log.corrupt("no ZKLG: not a transaction log")),
            Some(header) => log.position = header.len() as u64,
        }
        Ok(log)
    }

    /// Where the last whole entry ended.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// None until [`next`](Self::next) has said so.
    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    /// The next entry's bytes; None at the end of what was written whole.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, KeeperError> {
        if self.end.is_some() {
            return Ok(None);
        }
        match self.entry()? {
            Ok(bytes) => {
                self.position += (bytes.len() + FRAMING) as u64;
                Ok(Some(bytes))
            }
            Err(end) => {
                self.end = Some(end);
                Ok(None)
            }
        }
    }

    fn entry(&mut self) -> Result<Result<Vec<u8>, End>, KeeperError> {
        let prefix = self.take(12)?;
        if prefix.iter().all(|byte| *byte == 0) {
            return Ok(Err(End::Clean));
        }
        let Ok(prefix) = <[u8; 12]>::try_from(prefix) else { return Ok(Err(End::Torn)) };
        let [c0, c1, c2, c3, c4, c5, c6, c7, l0, l1, l2, l3] = prefix;
        let checksum = u64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7]);
        let length = i32::from_be_bytes([l0, l1, l2, l3]);
        if length == 0 {
            return Ok(Err(End::Torn));
        }
        let length = usize::try_from(length).ok().filter(|length| *length <= self.longest).ok_or_else(|| {
            self.corrupt(&format!("an entry of {length} bytes (jute.maxbuffer allows {}): damaged", self.longest))
        })?;
        let bytes = self.take(length)?;
        if bytes.len() < length || self.take(1)? != [END_OF_ENTRY] {
            return Ok(Err(End::Torn));
        }
        if u64::from(Adler32::of(&bytes)) != checksum {
            return Err(self.corrupt(
                "the checksum of a log entry is wrong (CRC check failed): the disk changed what was written; restore \
                 the folder from a copy. Only if this is the last entry and the machine lost power may the file be \
                 cut here (truncate)",
            ));
        }
        Ok(Ok(bytes))
    }

    /// The next `count` bytes, fewer if the file ends before.
    fn take(&mut self, count: usize) -> Result<Vec<u8>, KeeperError> {
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(count as u64).read_to_end(&mut bytes);
        read.map_err(KeeperError::io("read", &self.path))?;
        Ok(bytes)
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

    /// Bytes of the group.
    pub(crate) fn pending(&self) -> usize {
        self.group.len()
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

#[cfg(test)]
mod tests {
    use std::fs;

    use ottla_jute::{LogEntry, Record};

    use super::*;

    const GOLDEN: [&str; 9] = ["1", "9", "12", "1a", "24", "2b", "32", "39", "41"];

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/version-2").join(format!("log.{name}"))
    }

    fn size(path: &Path) -> u64 {
        fs::metadata(path).unwrap().len()
    }

    fn read_all(path: &Path) -> Result<Vec<Vec<u8>>, KeeperError> {
        let mut log = LogReader::open(path, 1 << 21)?;
        std::iter::from_fn(|| log.next().transpose()).collect()
    }

    fn write(dir: &Path, preallocation: u64, groups: &[&[&[u8]]]) -> PathBuf {
        let mut writer = LogWriter::new(dir.to_owned(), preallocation);
        for group in groups {
            group.iter().for_each(|entry| writer.append(5, entry));
            writer.commit().unwrap();
        }
        dir.join("log.5")
    }

    #[test]
    fn apache_zookeepers_logs_are_written_again_to_the_same_bytes() {
        for name in GOLDEN {
            let dir = tempfile::tempdir().unwrap();
            let mut writer = LogWriter::new(dir.path().to_owned(), 0);
            for bytes in read_all(&golden(name)).unwrap() {
                let entry = LogEntry::decode(&bytes).unwrap();
                writer.append(entry.header.zxid, &entry.encode());
            }
            writer.commit().unwrap();
            let ours = fs::read(dir.path().join(format!("log.{name}"))).unwrap();
            let theirs = fs::read(golden(name)).unwrap();
            assert!(ours.len() > HEADER.len() + FRAMING, "log.{name} has entries");
            assert_eq!(ours, theirs[..ours.len()], "log.{name}");
            assert!(theirs[ours.len()..].iter().all(|byte| *byte == 0), "log.{name}: all was read");
        }
    }

    #[test]
    fn an_entry_cut_anywhere_is_the_quiet_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), 0, &[&[b"first", b"second"]]);
        let whole = fs::read(&path).unwrap();
        let second = HEADER.len() + FRAMING + 5;
        for length in 0..=whole.len() {
            for padding in [0, 100] {
                let mut cut = whole[..length].to_vec();
                cut.resize(length + padding, 0);
                fs::write(&path, &cut).unwrap();
                let expected = match length {
                    _ if length == whole.len() => 2,
                    _ if length >= second => 1,
                    _ => 0,
                };
                match read_all(&path) {
                    Ok(entries) => {
                        assert_eq!(entries.len(), expected, "{length} bytes, {padding} of padding");
                        let mut log = LogReader::open(&path, 1 << 21).unwrap();
                        while log.next().unwrap().is_some() {}
                        let is_clean = [HEADER.len(), second, whole.len()].contains(&length)
                            // The checksum's own first bytes are zeros.
                            || [HEADER.len(), second].iter().any(|start| (*start..*start + 5).contains(&length))
                            || length < HEADER.len() && padding > 0;
                        assert_eq!(log.end() == Some(End::Clean), is_clean, "{length} bytes, {padding} of padding");
                    }
                    // Half a magic number, filled up with zeros.
                    Err(error) => assert!(length < 4 && padding > 0, "{length}: {error}"),
                }
            }
        }
    }

    #[test]
    fn a_changed_byte_in_an_entry_is_refused_with_file_and_position() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), 0, &[&[b"first", b"second"]]);
        let whole = fs::read(&path).unwrap();
        let second = HEADER.len() + FRAMING + 5;
        for position in (second..second + 8).chain(second + 12..whole.len() - 1) {
            let mut changed = whole.clone();
            changed[position] ^= 1;
            fs::write(&path, &changed).unwrap();
            let message = read_all(&path).unwrap_err().to_string();
            let start = format!("{} at byte {second}: the checksum", path.display());
            assert!(message.starts_with(&start), "byte {position}: {message}");
        }
        let mut long = whole;
        long[second + 8] = 0x70;
        fs::write(&path, &long).unwrap();
        assert!(read_all(&path).is_err());
    }

    #[test]
    fn groups_follow_each_other_through_padding_that_goes_when_the_log_is_rolled() {
        let dir = tempfile::tempdir().unwrap();
        let entry = [7; 3000];
        let mut writer = LogWriter::new(dir.path().to_owned(), 10_000);
        for zxid in 1..=9 {
            writer.append(zxid, &entry);
            writer.commit().unwrap();
            assert_eq!(read_all(&dir.path().join("log.1")).unwrap().len(), zxid as usize);
            assert!(size(&dir.path().join("log.1")) >= 4096 + zxid as u64 * 3013);
        }
        writer.roll();
        assert_eq!(size(&dir.path().join("log.1")), 16 + 9 * 3013);
        writer.append(10, &entry);
        writer.commit().unwrap();
        assert_eq!(read_all(&dir.path().join("log.a")).unwrap(), [entry.to_vec()]);
    }
}
