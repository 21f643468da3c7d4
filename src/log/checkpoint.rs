//! Kafka's text checkpoints (`CheckpointFile.java`): a version line `0`, a line with the number of entries, then one
//! entry a line. Replaced atomically, so a crash leaves the old file or the new one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use ottla_types::{Offset, TopicName, TopicPartition};

use crate::disk::{Disk, StorageError, read_file, replace_file};

/// `recovery-point-offset-checkpoint`: below it a partition's data is flushed.
pub const RECOVERY_POINT_FILE: &str = "recovery-point-offset-checkpoint";
/// `log-start-offset-checkpoint`: where a partition starts, if inside its first segment.
pub const LOG_START_FILE: &str = "log-start-offset-checkpoint";
/// `replication-offset-checkpoint`: the high watermarks.
pub const HIGH_WATERMARK_FILE: &str = "replication-offset-checkpoint";

/// An offset for each partition, as the per-folder checkpoints hold them.
pub type Offsets = BTreeMap<TopicPartition, Offset>;

/// A checkpoint of 100,000 partitions with the longest names has 26 MB.
const LIMIT: u64 = 64 << 20;

/// Reads the lines of a checkpoint, each split at blanks. `None`: no such file.
pub(crate) fn read_lines(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<Vec<String>>>, StorageError> {
    let content = match read_file(disk, path, LIMIT) {
        Ok(content) => content,
        Err(e) if e.is_not_found() => return Ok(None),
        Err(e) => return Err(e),
    };
    let malformed = |what: String| StorageError::malformed(path, what);
    let text = String::from_utf8(content).map_err(|_| malformed("a checkpoint of text was expected".into()))?;
    let mut lines = text.lines();
    match lines.next() {
        Some("0") => {}
        other => return Err(malformed(format!("line 1 is {other:?}, version 0 was expected"))),
    }
    let count = lines.next().and_then(|l| l.parse::<usize>().ok());
    let count = count.ok_or_else(|| malformed("line 2 is not the number of entries".into()))?;
    let entries: Vec<Vec<String>> =
        lines.map(|line| line.split_ascii_whitespace().map(String::from).collect()).collect();
    if entries.len() != count {
        return Err(malformed(format!("line 2 says {count} entries, {} follow", entries.len())));
    }
    Ok(Some(entries))
}

/// Writes a checkpoint whose entries `lines` holds, each ended by a newline.
pub(crate) fn write_lines(disk: &dyn Disk, path: &Path, count: usize, lines: &str) -> Result<(), StorageError> {
    replace_file(disk, path, lines_of(count, lines).as_bytes())
}

/// A checkpoint whose entries `lines` holds, each ended by a newline.
pub(crate) fn lines_of(count: usize, lines: &str) -> String {
    format!("0\n{count}\n{lines}")
}

/// Reads a per-folder checkpoint (`topic partition offset`); empty if there is none.
///
/// # Errors
/// The file cannot be read, or says something else: the message names the line.
pub fn read_offsets(disk: &dyn Disk, path: &Path) -> Result<Offsets, StorageError> {
    let mut offsets = Offsets::new();
    for (index, line) in read_lines(disk, path)?.unwrap_or_default().iter().enumerate() {
        let entry = match line.as_slice() {
            [topic, partition, offset] => {
                let topic = TopicName::new(topic).ok();
                topic.zip(partition.parse().ok()).zip(offset.parse().ok())
            }
            _ => None,
        };
        let Some(((topic, partition), offset)) = entry else {
            return Err(StorageError::malformed(path, format!("line {} is not `topic partition offset`", index + 3)));
        };
        offsets.insert(TopicPartition { topic, partition }, offset);
    }
    Ok(offsets)
}

/// Writes a per-folder checkpoint.
pub fn write_offsets(disk: &dyn Disk, path: &Path, offsets: &Offsets) -> Result<(), StorageError> {
    let mut lines = String::new();
    for (tp, offset) in offsets {
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{} {} {offset}", tp.topic, tp.partition);
    }
    write_lines(disk, path, offsets.len(), &lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{DiskRef, MemoryDisk};
    use std::sync::Arc;

    fn disk_with(content: &str) -> DiskRef {
        let disk: DiskRef = Arc::new(MemoryDisk::new());
        disk.create_dir(Path::new("/d")).unwrap();
        disk.create(Path::new("/d/c")).unwrap().write_all_at(content.as_bytes(), 0).unwrap();
        disk
    }

    #[test]
    fn offsets_as_kafka_writes_them() {
        let text = include_str!("testdata/recovery-point-offset-checkpoint");
        let disk = disk_with(text);
        let offsets = read_offsets(&*disk, Path::new("/d/c")).unwrap();
        assert_eq!(offsets.len(), 14);
        write_offsets(&*disk, Path::new("/d/c"), &offsets).unwrap();
        let written = String::from_utf8(read_file(&*disk, Path::new("/d/c"), LIMIT).unwrap()).unwrap();
        // Kafka's order is that of a hash map, so the lines are compared sorted.
        let sorted = |t: &str| {
            let mut lines: Vec<String> = t.lines().map(String::from).collect();
            lines[2..].sort();
            lines
        };
        assert_eq!(sorted(&written), sorted(text));
        assert!(written.ends_with('\n'));
    }

    #[test]
    fn malformed_files_say_where() {
        for (content, message) in [
            ("", "line 1"),
            ("1\n0\n", "version 0"),
            ("0\nx\n", "line 2"),
            ("0\n2\na 0 1\n", "2 entries, 1 follow"),
            ("0\n1\na 0\n", "line 3"),
            ("0\n1\na 0 1 2\n", "line 3"),
            ("0\n1\na/b 0 1\n", "line 3"),
        ] {
            let error = read_offsets(&*disk_with(content), Path::new("/d/c")).unwrap_err().to_string();
            assert!(error.contains(message) && error.contains("/d/c"), "{content:?}: {error}");
        }
        assert!(read_offsets(&*disk_with(""), Path::new("/d/none")).unwrap().is_empty());
    }
}
