use std::path::Path;
use std::sync::Arc;

use ottla_types::Offset;

use crate::disk::{DiskRef, FileRef, StorageError};
use crate::epoch_cache::EPOCH_CHECKPOINT_FILE;
use crate::log::Log;
use crate::partition_metadata::PARTITION_METADATA_FILE;

/// What is not durable yet, beyond the segments' own marks.
#[derive(Debug)]
pub(super) struct Flushing {
    /// Below this everything is durable.
    flushed: Offset,
    /// What a flush that is running will have made durable; lowered by truncation.
    running: Option<Offset>,
    /// Files made since the last flush: producer snapshots.
    also: Vec<FileRef>,
    names_changed: bool,
    /// The small files may not be durable yet: epochs and topic id, written when the folder was new.
    small_files: bool,
    /// Nor may the folder's own name.
    folder_is_new: bool,
}

/// How durable a log is as it is opened.
#[derive(Debug)]
pub(crate) struct Durability {
    /// Below this everything is.
    pub(crate) flushed: Offset,
    /// Producer snapshots that are not.
    pub(crate) snapshots: Vec<FileRef>,
    /// The names in the folder may not be.
    pub(crate) names_changed: bool,
    /// Nor may the small files, epochs and topic id.
    pub(crate) small_files: bool,
    /// Nor may the folder's own name.
    pub(crate) folder_is_new: bool,
}

impl Flushing {
    pub(super) fn new(opened: Durability) -> Flushing {
        let Durability { flushed, snapshots, names_changed, small_files, folder_is_new } = opened;
        Flushing { flushed, running: None, also: snapshots, names_changed, small_files, folder_is_new }
    }

    pub(super) fn also_sync(&mut self, file: FileRef) {
        self.also.push(file);
    }

    pub(super) fn names_changed(&mut self) {
        self.names_changed = true;
    }

    /// A small file was made that the next flush makes durable.
    pub(super) fn small_file_made(&mut self) {
        self.names_changed = true;
        self.small_files = true;
    }

    /// Whether a flush has something to do beside the segments.
    pub(super) fn is_due(&self) -> bool {
        self.names_changed || self.small_files || self.folder_is_new || !self.also.is_empty() || self.running.is_some()
    }

    /// Whether a flush was running.
    pub(super) fn forget_running(&mut self) -> bool {
        self.names_changed |= self.running.is_some();
        self.small_files |= self.running.is_some();
        self.folder_is_new |= self.running.is_some();
        self.running.take().is_some()
    }

    pub(super) fn flushed(&self) -> Offset {
        self.flushed
    }

    pub(super) fn set_flushed(&mut self, offset: Offset) {
        self.flushed = offset;
    }

    /// Nothing at or above `offset` is there any more.
    pub(super) fn truncate(&mut self, offset: Offset) {
        self.flushed = self.flushed.min(offset);
        self.running = self.running.map(|up_to| up_to.min(offset));
    }
}

/// The fsyncs of one flush, to be run without the log's lock. Then [`Log::flush_done`] or [`Log::flush_failed`].
#[derive(Debug)]
#[must_use = "the log waits for flush_done"]
pub struct FlushWork {
    files: Vec<FileRef>,
    /// The disk, if names in the folder are to be made durable too.
    names_on: Option<DiskRef>,
    /// The folder's own name too.
    folder_is_new: bool,
    dir: Arc<Path>,
    /// What [`Log::log_end_offset`] was when the flush began.
    pub up_to: Offset,
}

impl FlushWork {
    /// Syncs; blocks for as long as the disk takes.
    ///
    /// # Errors
    /// The disk failed: what was written is lost or not, nobody knows; the log must go offline. A second fsync that
    /// succeeds proves nothing.
    pub fn run(&self) -> Result<(), StorageError> {
        for file in &self.files {
            file.sync().map_err(StorageError::of("sync a file of", &self.dir))?;
        }
        let Some(disk) = &self.names_on else { return Ok(()) };
        disk.sync_dir(&self.dir)?;
        match self.dir.parent() {
            Some(parent) if self.folder_is_new => disk.sync_dir(parent),
            _ => Ok(()),
        }
    }
}

impl Log {
    /// Below this offset everything survives a power cut: what `recovery-point-offset-checkpoint` gets.
    pub fn recovery_point(&self) -> Offset {
        self.flushing.flushed
    }

    /// As [`Log::recovery_point`]: an append may be acknowledged as durable when its last offset is below.
    pub fn flushed_offset(&self) -> Offset {
        self.flushing.flushed
    }

    /// Records that are not durable yet, for `flush.messages`.
    pub fn unflushed_records(&self) -> u64 {
        (self.log_end_offset - self.flushing.flushed).max(0) as u64
    }

    /// Begins a flush of all that is appended. `None` if there is nothing to flush, or if a flush is running: then ask
    /// again once it is done. All segments that were rolled meanwhile are included, with their indexes and the folder.
    ///
    /// # Errors
    /// A file could not be opened; the log is offline.
    pub fn flush_begin(&mut self) -> Result<Option<FlushWork>, StorageError> {
        if self.flushing.running.is_some() || self.offline {
            return Ok(None);
        }
        if self.flushing.flushed >= self.log_end_offset && !self.active().unsynced {
            return Ok(None);
        }
        self.collect(false)
    }

    /// As [`Log::flush_begin`], with the active segment's indexes, and even if nothing was appended.
    pub(super) fn flush_everything(&mut self) -> Result<Option<FlushWork>, StorageError> {
        self.collect(true)
    }

    fn collect(&mut self, active_indexes: bool) -> Result<Option<FlushWork>, StorageError> {
        let mut files = std::mem::take(&mut self.flushing.also);
        let folder_is_new = std::mem::take(&mut self.flushing.folder_is_new);
        if std::mem::take(&mut self.flushing.small_files) {
            for name in [EPOCH_CHECKPOINT_FILE, PARTITION_METADATA_FILE] {
                match self.disk.open(&self.dir.join(name)) {
                    Ok(file) => files.push(file),
                    Err(e) if e.is_not_found() => {}
                    Err(e) => {
                        self.offline = true;
                        return Err(e);
                    }
                }
            }
        }
        let active = self.segments.len() - 1;
        // Newest first, until one is clean: what is older was flushed when that one was rolled.
        for (index, segment) in self.segments.iter_mut().enumerate().rev() {
            let indexes = index != active || active_indexes;
            // An empty one tells nothing: it was never flushed.
            let clean = !segment.unsynced && segment.unsynced_indexes().next().is_none() && segment.size > 0;
            if clean && index != active {
                break;
            }
            let opened: Result<(), StorageError> = (|| {
                if segment.unsynced {
                    files.push(segment.file(&*self.disk)?.clone());
                }
                if indexes {
                    for path in segment.unsynced_indexes() {
                        files.push(self.disk.open(path)?);
                    }
                }
                Ok(())
            })();
            if let Err(e) = opened {
                self.offline = true;
                return Err(e);
            }
            segment.unsynced = false;
            if indexes {
                segment.set_indexes_unsynced(false);
            }
        }
        let names_changed = std::mem::take(&mut self.flushing.names_changed) || folder_is_new;
        let names_on = names_changed.then(|| self.disk.clone());
        let (dir, up_to) = (self.dir.clone(), self.log_end_offset);
        self.flushing.running = Some(up_to);
        Ok(Some(FlushWork { files, names_on, folder_is_new, dir, up_to }))
    }

    /// The flush that was begun has succeeded; the new [`Log::flushed_offset`].
    pub fn flush_done(&mut self) -> Offset {
        if let Some(up_to) = self.flushing.running.take() {
            self.flushing.flushed = self.flushing.flushed.max(up_to);
        }
        self.flushing.flushed
    }

    /// The flush that was begun has failed: the log is offline.
    pub fn flush_failed(&mut self) {
        self.flushing.running = None;
        self.offline = true;
    }
}
