use std::path::Path;
use std::sync::Arc;

use ottla_types::Offset;

use crate::disk::{DiskRef, FileRef, StorageError};
use crate::log::Log;

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
}

impl Flushing {
    pub(super) fn new(flushed: Offset, also: Vec<FileRef>) -> Flushing {
        Flushing { flushed, running: None, also, names_changed: true }
    }

    pub(super) fn also_sync(&mut self, file: FileRef) {
        self.also.push(file);
    }

    pub(super) fn names_changed(&mut self) {
        self.names_changed = true;
    }

    /// Whether a flush was running.
    pub(super) fn forget_running(&mut self) -> bool {
        self.names_changed |= self.running.is_some();
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
        match &self.names_on {
            Some(disk) => disk.sync_dir(&self.dir),
            None => Ok(()),
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
        let active = self.segments.len() - 1;
        // Newest first, until one is clean: what is older was flushed when that one was rolled.
        for (index, segment) in self.segments.iter_mut().enumerate().rev() {
            let indexes = segment.indexes_unsynced && (index != active || active_indexes);
            if !segment.unsynced && !segment.indexes_unsynced && index != active {
                break;
            }
            let opened: Result<(), StorageError> = (|| {
                if segment.unsynced {
                    files.push(segment.file(&*self.disk)?.clone());
                }
                if indexes {
                    for path in segment.index_paths() {
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
            segment.indexes_unsynced &= !indexes;
        }
        let names_on = std::mem::take(&mut self.flushing.names_changed).then(|| self.disk.clone());
        self.flushing.running = Some(self.log_end_offset);
        Ok(Some(FlushWork { files, names_on, dir: self.dir.clone(), up_to: self.log_end_offset }))
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
