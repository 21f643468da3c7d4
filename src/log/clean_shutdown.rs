//! `.kafka_cleanshutdown`: written last at an orderly stop, deleted before anything is loaded (KAFKA-10471). Only its
//! being there counts.

use std::path::Path;

use crate::disk::{Disk, StorageError, replace_file};

/// The file's name in a log folder.
pub(crate) const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";

/// Whether the last stop was clean.
pub(crate) fn is_there(disk: &dyn Disk, log_dir: &Path) -> bool {
    disk.exists(&log_dir.join(CLEAN_SHUTDOWN_FILE))
}

/// Removes the mark durably, so that a crash from here on is seen as one.
pub(crate) fn remove(disk: &dyn Disk, log_dir: &Path) -> Result<(), StorageError> {
    if !is_there(disk, log_dir) {
        return Ok(());
    }
    disk.remove(&log_dir.join(CLEAN_SHUTDOWN_FILE))?;
    disk.sync_dir(log_dir)
}

/// Declares the stop clean: everything in the folder is closed and durable. `broker_epoch` as 3.7 writes it, -1 if
/// there is none; brokers that live with ZooKeeper do not read it.
pub(crate) fn write(disk: &dyn Disk, log_dir: &Path, broker_epoch: i64) -> Result<(), StorageError> {
    let content = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
    replace_file(disk, &log_dir.join(CLEAN_SHUTDOWN_FILE), content.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{MemoryDisk, read_file};

    #[test]
    fn a_crash_does_not_bring_a_removed_mark_back() {
        let dir = Path::new("/d");
        for seed in 0..16 {
            let disk = MemoryDisk::new();
            disk.create_dir(dir).unwrap();
            write(&disk, dir, -1).unwrap();
            let golden = include_bytes!("testdata/v2/.kafka_cleanshutdown");
            assert_eq!(read_file(&disk, &dir.join(CLEAN_SHUTDOWN_FILE), 99).unwrap(), golden);
            assert!(is_there(&disk, dir));
            remove(&disk, dir).unwrap();
            disk.crash(seed);
            assert!(!is_there(&disk, dir));
        }
    }
}
