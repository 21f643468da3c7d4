use ottla_records::{BatchHeader, Magic};
use ottla_types::Offset;

use crate::disk::StorageError;
use crate::log::Log;
use crate::producer_snapshot;
use crate::recovery::load_producers;
use crate::segment::Segment;

impl Log {
    /// Removes everything at and above `offset`, durably: a crash does not bring it back. If `offset` lies inside a
    /// batch, the whole batch goes, and the log ends where it began. The folder's checkpoint must not stay above the
    /// new end: call [`crate::LogDir::lower_recovery_point`] first.
    ///
    /// Returns whether anything was removed.
    ///
    /// # Errors
    /// The disk failed; the log is offline.
    pub fn truncate_to(&mut self, offset: Offset, now_ms: i64) -> Result<bool, StorageError> {
        if offset >= self.log_end_offset {
            return Ok(false);
        }
        if offset < self.segments[0].base_offset {
            self.truncate_fully_and_start_at(offset, now_ms)?;
            return Ok(true);
        }
        self.truncating(|log| log.cut(offset, now_ms)).map(|()| true)
    }

    /// Removes everything and begins anew, empty, at `offset`.
    ///
    /// # Errors
    /// The disk failed; the log is offline.
    pub fn truncate_fully_and_start_at(&mut self, offset: Offset, now_ms: i64) -> Result<(), StorageError> {
        self.truncating(|log| {
            log.remove_segments_from(0)?;
            producer_snapshot::retain(&*log.disk, &log.dir, |_| false)?;
            log.segments.push(Segment::create(&*log.disk, &log.dir, offset, now_ms)?);
            log.disk.sync_dir(&log.dir)?;
            log.producers.clear();
            log.epochs.clear()?;
            log.log_start_offset = offset;
            log.log_end_offset = offset;
            log.flushing.set_flushed(offset);
            Ok(())
        })
    }

    fn truncating(&mut self, work: impl FnOnce(&mut Log) -> Result<(), StorageError>) -> Result<(), StorageError> {
        self.check_online()?;
        self.tail.clear();
        self.hints.clear();
        self.closed_at = None;
        let done = work(self);
        self.offline |= done.is_err();
        done
    }

    fn cut(&mut self, offset: Offset, now_ms: i64) -> Result<(), StorageError> {
        let index = self.segment_index(offset);
        let found = self.segments[index].find(&*self.disk, offset)?;
        let (position, end) = match found {
            Some((position, header)) => (position, self.first_offset(index, position, &header)?.min(offset)),
            None => (self.segments[index].size, offset),
        };
        // A running flush must not count what is appended after the cut as what it saw before.
        self.flushing.truncate(end);
        self.remove_segments_from(index + 1)?;
        self.segments[index].truncate(&*self.disk, position, end)?;
        self.log_end_offset = end;
        self.log_start_offset = self.log_start_offset.min(end);
        self.epochs.truncate_from_end(end)?;
        producer_snapshot::retain(&*self.disk, &self.dir, |at| at <= end)?;
        self.producers = load_producers(&*self.disk, &self.dir, &self.segments, end, false)?;
        self.producers.expire(now_ms, self.config.producer_id_expiration_ms);
        self.disk.sync_dir(&self.dir)
    }

    /// The first offset of a batch; for a compressed message of magic 0 or 1 that is known only inside.
    fn first_offset(&self, index: usize, position: u64, header: &BatchHeader) -> Result<Offset, StorageError> {
        match header.magic != Magic::V2 && header.is_compressed() {
            true => Ok(self
                .record_in_batch(&self.segments[index], position, header, i64::MIN)?
                .map_or(header.base_offset, |r| r.0)),
            false => Ok(header.base_offset),
        }
    }

    /// Removes segments, the newest first, so that a crash on the way leaves no hole.
    fn remove_segments_from(&mut self, index: usize) -> Result<(), StorageError> {
        while self.segments.len() > index {
            if let Some(segment) = self.segments.pop() {
                segment.remove(&*self.disk)?;
            }
        }
        self.disk.sync_dir(&self.dir)
    }

    /// Moves the log's start up, to `offset` at most the high watermark (DeleteRecords, a leader's start). Segments
    /// below it go with the next retention run. Returns whether it moved.
    ///
    /// # Errors
    /// The epoch file could not be written; the log is offline.
    pub fn increment_log_start_offset(&mut self, offset: Offset) -> Result<bool, StorageError> {
        if offset <= self.log_start_offset {
            return Ok(false);
        }
        self.check_online()?;
        self.log_start_offset = offset.min(self.log_end_offset);
        let written = self.epochs.truncate_from_start(self.log_start_offset);
        self.offline |= written.is_err();
        written.map(|()| true)
    }
}
