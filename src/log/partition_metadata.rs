//! `partition.metadata`: the topic id a partition's folder belongs to (KIP-516), so that a folder left over from a
//! deleted topic is not taken for its namesake's.

use std::path::Path;

use ottla_types::TopicId;

use crate::disk::{Disk, StorageError, read_file, replace_file};

/// The file's name in a partition's folder. Absent for topics made below inter-broker protocol 2.8.
pub const PARTITION_METADATA_FILE: &str = "partition.metadata";

/// Reads the topic id in a partition's folder; `None` if there is no file.
pub fn read_topic_id(disk: &dyn Disk, partition_dir: &Path) -> Result<Option<TopicId>, StorageError> {
    let path = partition_dir.join(PARTITION_METADATA_FILE);
    let content = match read_file(disk, &path, 4096) {
        Ok(content) => content,
        Err(e) if e.is_not_found() => return Ok(None),
        Err(e) => return Err(e),
    };
    // Written, and lost by a power cut before the partition's first flush.
    if content.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&content);
    let mut lines = text.lines();
    if lines.next().map(str::trim) != Some("version: 0") {
        return Err(StorageError::malformed(&path, "line 1 is not `version: 0`"));
    }
    let id = lines.next().and_then(|l| l.strip_prefix("topic_id:")).and_then(|t| TopicId::parse(t.trim()).ok());
    match id {
        Some(id) if id != TopicId::ZERO => Ok(Some(id)),
        _ => Err(StorageError::malformed(&path, "line 2 is not `topic_id: ` and a topic id other than zero")),
    }
}

/// Writes the topic id into a partition's folder, durably.
pub fn write_topic_id(disk: &dyn Disk, partition_dir: &Path, id: TopicId) -> Result<(), StorageError> {
    replace_file(disk, &partition_dir.join(PARTITION_METADATA_FILE), content(id).as_bytes())
}

/// Writes the topic id into the folder of a log that is new: the log's first flush makes it durable, before any record
/// is.
pub fn write_topic_id_of_new_log(disk: &dyn Disk, partition_dir: &Path, id: TopicId) -> Result<(), StorageError> {
    let path = partition_dir.join(PARTITION_METADATA_FILE);
    disk.create(&path)?.write_all_at(content(id).as_bytes(), 0).map_err(StorageError::of("write", &path))
}

/// Kafka ends the file without a newline.
fn content(id: TopicId) -> String {
    format!("version: 0\ntopic_id: {id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;

    #[test]
    fn the_file_is_kafkas() {
        let disk = MemoryDisk::new();
        let dir = Path::new("/t-0");
        disk.create_dir(dir).unwrap();
        assert_eq!(read_topic_id(&disk, dir).unwrap(), None);
        let golden = include_bytes!("testdata/v2/segments-0/partition.metadata");
        disk.create(&dir.join(PARTITION_METADATA_FILE)).unwrap().write_all_at(golden, 0).unwrap();
        let id = read_topic_id(&disk, dir).unwrap().unwrap();
        write_topic_id(&disk, dir, id).unwrap();
        assert_eq!(read_file(&disk, &dir.join(PARTITION_METADATA_FILE), 100).unwrap(), golden);
        for bad in [
            "version: 1\ntopic_id: wLkD1NTkTS2R0-3xrHPaoQ",
            "version: 0\n",
            "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            replace_file(&disk, &dir.join(PARTITION_METADATA_FILE), bad.as_bytes()).unwrap();
            assert!(read_topic_id(&disk, dir).is_err(), "{bad}");
        }
    }
}
