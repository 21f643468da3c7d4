//! A folder of partitions (`log.dirs`): who may use it, what it says of itself, how it is left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ottla_types::{BrokerId, Offset, TopicPartition};

use crate::checkpoint::{
    HIGH_WATERMARK_FILE, LOG_START_FILE, Offsets, RECOVERY_POINT_FILE, read_offsets, write_offsets,
};
use crate::clean_shutdown;
use crate::config::LogConfig;
use crate::disk::{DirEntry, DiskRef, FileRef, StorageError};
use crate::log::Log;
use crate::meta_properties::{META_PROPERTIES_FILE, MetaProperties, MetaPropertiesError};
use crate::partition_dir::PartitionDir;
use crate::recovery::{LogOpening, RecoveryReport};

/// The file whose lock says that the folder is in use.
pub const LOCK_FILE: &str = ".lock";

/// Why a folder cannot be used. The messages name it and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum LogDirError {
    /// Another broker has it.
    #[error(
        "{} is locked by another process: stop the broker that uses this folder, or point log.dirs at another",
        path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// It holds something, and nothing of a broker's.
    #[error(
        "{} is not a log folder: it holds '{entry}' but neither meta.properties nor partitions; \
         point log.dirs at an empty or new folder", path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// One of the things in it.
        entry: String,
    },
    /// It belongs to another broker or cluster, or to KRaft.
    #[error(transparent)]
    Meta(#[from] MetaPropertiesError),
    /// The file system failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A log folder in use: locked until dropped.
#[derive(Debug)]
pub struct LogDir {
    disk: DiskRef,
    path: PathBuf,
    meta: Option<MetaProperties>,
    clean: bool,
    /// Opened since the start: how the folder was left says nothing of them any more.
    opened: Mutex<BTreeSet<TopicPartition>>,
    recovery_points: Offsets,
    log_starts: Offsets,
    high_watermarks: Offsets,
    _lock: FileRef,
}

impl LogDir {
    /// Locks a folder, made if it is not there, and reads what it says. The mark of a clean stop stays until the first
    /// log is opened, so that a start that is refused before does not cost the next one a recovery; from then on only
    /// [`LogDir::mark_clean`] makes the folder clean again.
    ///
    /// Checkpoints that cannot be read count as empty, as with Kafka: then everything is recovered.
    ///
    /// # Errors
    /// See [`LogDirError`].
    pub fn open(disk: DiskRef, path: &Path) -> Result<LogDir, LogDirError> {
        disk.create_dir(path)?;
        // Before the lock file is made: a foreign folder is left as it was.
        let entries = disk.list(path)?;
        if let Some(entry) = foreign(&entries) {
            return Err(LogDirError::Foreign { path: path.to_path_buf(), entry: entry.name.clone() });
        }
        let lock_path = path.join(LOCK_FILE);
        let lock = disk.lock(&lock_path)?.ok_or(LogDirError::Locked { path: lock_path })?;
        let meta = MetaProperties::read(&*disk, path)?;
        let read = |name: &str| {
            read_offsets(&*disk, &path.join(name)).unwrap_or_else(|e| {
                tracing::warn!("{e}: taken as empty, partitions are recovered from their start");
                Offsets::new()
            })
        };
        let (recovery_points, log_starts) = (read(RECOVERY_POINT_FILE), read(LOG_START_FILE));
        let high_watermarks = read(HIGH_WATERMARK_FILE);
        let clean = clean_shutdown::is_there(&*disk, path);
        let path = path.to_path_buf();
        let opened = Mutex::default();
        Ok(LogDir { disk, path, meta, clean, opened, recovery_points, log_starts, high_watermarks, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The disk it lies on.
    pub fn disk(&self) -> &DiskRef {
        &self.disk
    }

    /// Whether the last stop was clean.
    pub fn was_clean(&self) -> bool {
        self.clean
    }

    /// `meta.properties`; `None` in a new folder and in one of Kafka 0.8.
    pub fn meta(&self) -> Option<&MetaProperties> {
        self.meta.as_ref()
    }

    /// Compares `meta.properties` with the broker's identity, as far as both are known.
    ///
    /// # Errors
    /// `Mismatch`: the folder is another broker's.
    pub fn check_identity(&self, broker_id: Option<BrokerId>, cluster_id: Option<&str>) -> Result<(), LogDirError> {
        match &self.meta {
            Some(meta) => Ok(meta.check(&self.path, broker_id, cluster_id)?),
            None => Ok(()),
        }
    }

    /// Writes the broker's identity into `meta.properties`, unless it is there; other keys are kept.
    pub fn write_identity(&mut self, broker_id: BrokerId, cluster_id: &str) -> Result<(), StorageError> {
        let mut meta = self.meta.clone().unwrap_or_default();
        meta.broker_id = Some(broker_id);
        meta.cluster_id = Some(cluster_id.to_string());
        if self.meta.as_ref() != Some(&meta) {
            meta.write(&*self.disk, &self.path)?;
            self.meta = Some(meta);
        }
        Ok(())
    }

    /// The partitions in the folder, sorted. Copies for another folder and strays are left where they are.
    pub fn partitions(&self) -> Result<Vec<TopicPartition>, StorageError> {
        let dirs = self.dirs()?.into_iter().filter_map(|(_, dir)| match dir {
            PartitionDir::Current(partition) => Some(partition),
            PartitionDir::Future(_) | PartitionDir::Deleted | PartitionDir::Stray => None,
        });
        let mut partitions: Vec<TopicPartition> = dirs.collect();
        partitions.sort();
        Ok(partitions)
    }

    /// Folders of deleted partitions that are still to be removed, as after a stop before the delay was over.
    pub fn deleted_dirs(&self) -> Result<Vec<PathBuf>, StorageError> {
        let deleted = self.dirs()?.into_iter().filter(|(_, dir)| *dir == PartitionDir::Deleted);
        Ok(deleted.map(|(name, _)| self.path.join(name)).collect())
    }

    fn dirs(&self) -> Result<Vec<(String, PartitionDir)>, StorageError> {
        let dirs = self.disk.list(&self.path)?.into_iter().filter(|e| e.is_dir);
        Ok(dirs.filter_map(|e| PartitionDir::parse(&e.name).map(|dir| (e.name, dir))).collect())
    }

    /// The folder of a partition.
    pub fn partition_path(&self, partition: &TopicPartition) -> PathBuf {
        self.path.join(partition.to_string())
    }

    /// Opens a partition's log with what the checkpoints say of it, or begins a new one. A log that is opened again, say
    /// after it went offline, is recovered as after a crash. Several threads may load partitions at once.
    pub fn open_log(
        &self,
        partition: &TopicPartition,
        config: Arc<LogConfig>,
        now_ms: i64,
    ) -> Result<(Log, RecoveryReport), StorageError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.is_empty() {
            match self.clean {
                true => clean_shutdown::remove(&*self.disk, &self.path)?,
                // The last process may have been killed before the first flush of a new partition, which makes the name of
                // its folder durable: once for all of them.
                false => self.disk.sync_dir(&self.path)?,
            }
        }
        let first_time = opened.insert(partition.clone());
        drop(opened);
        let opening = LogOpening {
            dir: self.partition_path(partition),
            config,
            recovery_point: self.recovery_points.get(partition).copied().unwrap_or(0),
            log_start_offset: self.log_starts.get(partition).copied().unwrap_or(0),
            // A folder that is new is clean whatever became of the others.
            clean: self.clean && first_time || !self.disk.exists(&self.partition_path(partition)),
            now_ms,
        };
        Log::open(self.disk.clone(), opening)
    }

    /// The high watermark that the checkpoint says; the log's own start and end bound it.
    pub fn high_watermark(&self, partition: &TopicPartition) -> Option<Offset> {
        self.high_watermarks.get(partition).copied()
    }

    /// Writes `recovery-point-offset-checkpoint`: of all partitions in this folder. As with the other two, what the file
    /// says already is not written again.
    pub fn write_recovery_points(&mut self, offsets: Offsets) -> Result<(), StorageError> {
        if self.recovery_points != offsets {
            write_offsets(&*self.disk, &self.path.join(RECOVERY_POINT_FILE), &offsets)?;
            self.recovery_points = offsets;
        }
        Ok(())
    }

    /// Lowers what `recovery-point-offset-checkpoint` says of a partition, before its log is truncated to `offset`: what
    /// is appended there later is not flushed, whatever the old records were.
    pub fn lower_recovery_point(&mut self, partition: &TopicPartition, offset: Offset) -> Result<(), StorageError> {
        match self.recovery_points.get_mut(partition).filter(|known| **known > offset) {
            Some(known) => *known = offset,
            None => return Ok(()),
        }
        write_offsets(&*self.disk, &self.path.join(RECOVERY_POINT_FILE), &self.recovery_points)
    }

    /// Writes `log-start-offset-checkpoint`: of the partitions that start inside their first segment.
    pub fn write_log_starts(&mut self, offsets: Offsets) -> Result<(), StorageError> {
        if self.log_starts != offsets {
            write_offsets(&*self.disk, &self.path.join(LOG_START_FILE), &offsets)?;
            self.log_starts = offsets;
        }
        Ok(())
    }

    /// Writes `replication-offset-checkpoint`: the high watermarks of all partitions in this folder.
    pub fn write_high_watermarks(&mut self, offsets: Offsets) -> Result<(), StorageError> {
        if self.high_watermarks != offsets {
            write_offsets(&*self.disk, &self.path.join(HIGH_WATERMARK_FILE), &offsets)?;
            self.high_watermarks = offsets;
        }
        Ok(())
    }

    /// Takes a partition away at once, by giving its folder the name of a deleted one, durably; and forgets what the
    /// checkpoints said of it, so that a new partition of that name starts from nothing. The folder that is returned is
    /// to be removed with [`crate::Disk::remove_dir`] after `file.delete.delay.ms`. `uuid`: 32 hex digits. Its [`Log`] must
    /// be dropped before.
    pub fn delete_partition(&mut self, partition: &TopicPartition, uuid: &str) -> Result<PathBuf, StorageError> {
        let deleted = self.path.join(PartitionDir::deleted_name(partition, uuid));
        self.disk.rename(&self.partition_path(partition), &deleted)?;
        self.disk.sync_dir(&self.path)?;
        let forgotten = [
            (&mut self.recovery_points, RECOVERY_POINT_FILE),
            (&mut self.log_starts, LOG_START_FILE),
            (&mut self.high_watermarks, HIGH_WATERMARK_FILE),
        ];
        for (offsets, name) in forgotten {
            if offsets.remove(partition).is_some() {
                write_offsets(&*self.disk, &self.path.join(name), offsets)?;
            }
        }
        Ok(deleted)
    }

    /// Marks the folder as cleanly closed. To be called last: after every log's [`Log::close`] and the checkpoints.
    /// `broker_epoch`: -1 if unknown.
    pub fn mark_clean(&self, broker_epoch: i64) -> Result<(), StorageError> {
        clean_shutdown::write(&*self.disk, &self.path, broker_epoch)
    }
}

/// Something in a folder that cannot be a broker's. Folders of 0.8 have no meta.properties, but partitions or
/// checkpoints; a start that failed early leaves a lock; a file system's root has `lost+found`.
fn foreign(entries: &[DirEntry]) -> Option<&DirEntry> {
    let ours = |e: &DirEntry| match e.is_dir {
        true => PartitionDir::parse(&e.name).is_some(),
        false => {
            e.name == META_PROPERTIES_FILE
                || [RECOVERY_POINT_FILE, LOG_START_FILE, HIGH_WATERMARK_FILE].contains(&e.name.as_str())
        }
    };
    if entries.iter().any(ours) {
        return None;
    }
    entries.iter().find(|e| !(e.name.starts_with('.') || e.name == "lost+found" || e.name.ends_with(".tmp")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, MemoryDisk};
    use ottla_types::TopicName;

    fn disk(files: &[&str]) -> DiskRef {
        let disk = MemoryDisk::new();
        for file in files {
            let path = Path::new("/d").join(file);
            disk.create_dir(path.parent().unwrap()).unwrap();
            disk.create(&path).unwrap();
        }
        Arc::new(disk)
    }

    fn orders() -> TopicPartition {
        TopicPartition::new(TopicName::new("orders").unwrap(), 0)
    }

    #[test]
    fn foreign_folders_are_refused_untouched() {
        for ours in
            [&[][..], &[".lock"], &["orders-0/x"], &["recovery-point-offset-checkpoint", "notes"], &["lost+found/x"]]
        {
            LogDir::open(disk(ours), Path::new("/d")).unwrap_or_else(|e| panic!("{ours:?}: {e}"));
        }
        for foreign in [&["notes"][..], &["src/main.rs", "Cargo.toml"]] {
            let disk = disk(foreign);
            let error = LogDir::open(disk.clone(), Path::new("/d")).unwrap_err().to_string();
            assert!(error.contains("/d is not a log folder"), "{error}");
            assert!(!disk.exists(Path::new("/d/.lock")));
        }
    }

    #[test]
    fn one_at_a_time() {
        let disk = disk(&[]);
        let held = LogDir::open(disk.clone(), Path::new("/d")).unwrap();
        let error = LogDir::open(disk.clone(), Path::new("/d")).unwrap_err().to_string();
        assert!(error.contains("/d/.lock is locked by another process"), "{error}");
        drop(held);
        LogDir::open(disk, Path::new("/d")).unwrap();
    }

    #[test]
    fn identity_checkpoints_and_clean_mark_survive() {
        let disk = disk(&[]);
        let mut dir = LogDir::open(disk.clone(), Path::new("/d")).unwrap();
        assert!(!dir.was_clean() && dir.meta().is_none());
        dir.write_identity(BrokerId(3), "C").unwrap();
        let (mut log, _) = dir.open_log(&orders(), Arc::default(), 0).unwrap();
        log.close().unwrap();
        dir.write_recovery_points([(orders(), 7)].into()).unwrap();
        dir.write_high_watermarks([(orders(), 6)].into()).unwrap();
        dir.mark_clean(-1).unwrap();
        drop(dir);

        let mut dir = LogDir::open(disk.clone(), Path::new("/d")).unwrap();
        assert!(dir.was_clean());
        for (lowered, expected) in [(9, 7), (5, 5)] {
            dir.lower_recovery_point(&orders(), lowered).unwrap();
            let written = read_offsets(&*disk, &Path::new("/d").join(RECOVERY_POINT_FILE)).unwrap();
            assert_eq!(written[&orders()], expected);
        }
        assert_eq!(dir.partitions().unwrap(), [orders()]);
        assert_eq!(dir.high_watermark(&orders()), Some(6));
        dir.check_identity(Some(BrokerId(3)), Some("C")).unwrap();
        assert!(dir.check_identity(Some(BrokerId(4)), None).is_err());
        drop(dir);
        let dir = LogDir::open(disk.clone(), Path::new("/d")).unwrap();
        assert!(dir.was_clean(), "no log was opened");
        dir.open_log(&orders(), Arc::default(), 0).unwrap();
        drop(dir);
        assert!(!LogDir::open(disk, Path::new("/d")).unwrap().was_clean(), "not closed");
    }

    #[test]
    fn a_log_that_is_opened_again_is_not_believed() {
        let disk = disk(&[]);
        let dir = LogDir::open(disk.clone(), Path::new("/d")).unwrap();
        dir.open_log(&orders(), Arc::default(), 0).unwrap().0.close().unwrap();
        dir.mark_clean(-1).unwrap();
        drop(dir);
        let dir = LogDir::open(disk.clone(), Path::new("/d")).unwrap();
        let recovered = || dir.open_log(&orders(), Arc::default(), 0).unwrap().1.recovered_segments;
        assert_eq!((recovered(), recovered()), (0, 1));
    }

    #[test]
    fn a_deleted_partition_leaves_nothing_to_its_namesake() {
        let disk = disk(&[]);
        let mut dir = LogDir::open(disk.clone(), Path::new("/d")).unwrap();
        dir.open_log(&orders(), Arc::default(), 0).unwrap();
        dir.write_log_starts([(orders(), 50)].into()).unwrap();
        let deleted = dir.delete_partition(&orders(), &"a".repeat(32)).unwrap();
        assert!(dir.partitions().unwrap().is_empty());
        assert_eq!(dir.deleted_dirs().unwrap(), std::slice::from_ref(&deleted));
        let (log, _) = dir.open_log(&orders(), Arc::default(), 0).unwrap();
        assert_eq!(log.log_start_offset(), 0);
        disk.remove_dir(&deleted).unwrap();
        assert!(dir.deleted_dirs().unwrap().is_empty());
    }
}
