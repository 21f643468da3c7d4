use std::path::PathBuf;

use ottla_types::Offset;

use crate::choice::{DeleteReason, SegmentFacts, deletable};
use crate::disk::{Disk, StorageError};
use crate::log::Log;
use crate::producer_snapshot;
use crate::segment::{SUFFIXES, segment_path};

/// Appended to the names of files that will be removed.
pub(crate) const DELETED_SUFFIX: &str = ".deleted";

/// Files that have their new name and are to be removed once readers have gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// When: `file.delete.delay.ms` after the renaming.
    pub due_ms: i64,
    /// What.
    pub paths: Vec<PathBuf>,
}

impl Deletion {
    /// Removes the files. Call it without the log's lock: freeing a large file takes a while.
    pub fn run(&self, disk: &dyn Disk) -> Result<(), StorageError> {
        self.paths.iter().try_for_each(|path| disk.remove(path))
    }
}

/// What retention took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionReport {
    /// Segments.
    pub segments: usize,
    /// Bytes of log.
    pub bytes: u64,
    /// Why the last of them went.
    pub reason: Option<DeleteReason>,
}

impl Log {
    /// Deletes the segments that retention gives up (`log.retention.check.interval.ms` says how often to ask): renames
    /// their files, which [`Log::take_deletions`] then hands out, and moves the log's start. Never above the high
    /// watermark, nor above what is flushed: until then the producers' states at the new start are not durable.
    ///
    /// # Errors
    /// The disk failed; the log is offline.
    pub fn delete_old_segments(
        &mut self,
        high_watermark: Offset,
        now_ms: i64,
    ) -> Result<RetentionReport, StorageError> {
        self.check_online()?;
        let facts = self.segment_facts()?;
        let safe = high_watermark.min(self.flushed_offset());
        let chosen = deletable(&facts, self.log_start_offset, safe, now_ms, &self.config);
        let Some((count, reason)) = chosen else { return Ok(RetentionReport::default()) };
        let bytes = facts[..count].iter().map(|s| s.size).sum();
        let deleted = self.delete_oldest(count, now_ms);
        self.offline |= deleted.is_err();
        deleted.map(|()| RetentionReport { segments: count, bytes, reason: Some(reason) })
    }

    fn segment_facts(&self) -> Result<Vec<SegmentFacts>, StorageError> {
        let facts = self.segments.iter().enumerate().map(|(index, segment)| {
            let largest_timestamp = match segment.largest.timestamp {
                -1 if segment.size > 0 => self.disk.modified_ms(segment.path())?,
                timestamp => timestamp,
            };
            Ok(SegmentFacts {
                base_offset: segment.base_offset,
                end_offset: self.segment_end(index),
                size: segment.size,
                largest_timestamp,
            })
        });
        facts.collect()
    }

    fn delete_oldest(&mut self, count: usize, now_ms: i64) -> Result<(), StorageError> {
        if count == self.segments.len() {
            self.roll(now_ms)?;
        }
        // The start moves first: should a rename fail, nobody is sent to what may be half gone.
        let start = self.segments[count].base_offset;
        self.increment_log_start_offset(start)?;
        let snapshot = self.dir.join(producer_snapshot::file_name(start));
        if start >= self.flushed_offset() && self.disk.exists(&snapshot) {
            // Rolled since the last flush: from here on nothing but this snapshot tells of the producers before it.
            self.disk.open(&snapshot)?.sync().map_err(StorageError::of("sync", &snapshot))?;
            self.disk.sync_dir(&self.dir)?;
        }
        let mut paths = Vec::new();
        for segment in self.segments.drain(..count) {
            let snapshot = self.dir.join(producer_snapshot::file_name(segment.base_offset));
            let files = SUFFIXES.iter().map(|suffix| segment_path(&self.dir, segment.base_offset, suffix));
            for path in files.chain([snapshot]).filter(|path| self.disk.exists(path)) {
                let mut renamed = path.clone().into_os_string();
                renamed.push(DELETED_SUFFIX);
                let renamed = PathBuf::from(renamed);
                self.disk.rename(&path, &renamed)?;
                paths.push(renamed);
            }
        }
        self.flushing.names_changed();
        let due_ms = now_ms.saturating_add(self.config.file_delete_delay_ms);
        self.deletions.push(Deletion { due_ms, paths });
        Ok(())
    }

    /// Hands out the deletions that are due, to be run without the log's lock.
    pub fn take_deletions(&mut self, now_ms: i64) -> Vec<Deletion> {
        let due = self.deletions.iter().take_while(|d| d.due_ms <= now_ms).count();
        self.deletions.drain(..due).collect()
    }
}
