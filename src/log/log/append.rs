use ottla_records::batch::BatchError;
use ottla_records::{BatchHeader, batches};
use ottla_types::{LeaderEpoch, Offset};

use crate::choice::{RollFacts, should_roll};
use crate::control::end_transaction_marker;
use crate::disk::StorageError;
use crate::log::Log;
use crate::producer_state::{AppendOrigin, CompletedTxn, DuplicateBatch, ProducerError};

/// Where appended bytes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogAppendInfo {
    /// Offset of the first record (of magic 0 and 1 compressed: of the first message's last).
    pub first_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// Largest timestamp, -1 for none.
    pub max_timestamp: i64,
    /// A segment was rolled for it.
    pub rolled: bool,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// The bytes are in the log, not yet durable.
    Written(LogAppendInfo),
    /// A client sent a batch again: nothing was written; answer with the original offset and timestamp once the
    /// original is as durable and replicated as the answer claims.
    Duplicate(DuplicateBatch),
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The producer's epoch, sequence or transaction does not allow it.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// The bytes are not whole batches (CORRUPT_MESSAGE).
    #[error("not whole record batches: {0}")]
    Malformed(#[from] BatchError),
    /// Offsets are not where they must be: a leader's bytes begin at the log end without gaps, a follower's ascend from it.
    #[error("a batch at offset {found} cannot follow: {expected} is next")]
    Offset {
        /// The batch's base offset.
        found: Offset,
        /// The least offset it may have; the only one if a leader appends.
        expected: Offset,
    },
    /// More bytes than a segment may have (RECORD_LIST_TOO_LARGE).
    #[error("{size} bytes of batches are more than segment.bytes={segment_bytes}")]
    LargerThanSegment {
        /// Bytes to append.
        size: usize,
        /// The limit.
        segment_bytes: u32,
    },
    /// The disk failed, now or earlier; the log is offline (KAFKA_STORAGE_ERROR).
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What one walk over the bytes tells.
struct Extent {
    first: BatchHeader,
    last_offset: Offset,
    max_timestamp: i64,
    has_producers: bool,
}

impl Log {
    /// Appends as leader: whole v2 batches that were validated and stamped with offsets from
    /// [`Log::log_end_offset`] and the leader epoch.
    ///
    /// The producers are asked first; then the bytes go out in one write; then indexes, epochs and producers learn of
    /// them. If the write fails the file is cut back, the log goes offline, and nothing has happened.
    pub fn append(&mut self, bytes: &[u8], origin: AppendOrigin, now_ms: i64) -> Result<Appended, AppendError> {
        let extent = self.extent(bytes, true)?;
        if extent.has_producers {
            let views = batches(bytes).filter_map(Result::ok);
            let checked = self.producers.check(views.map(|b| (*b.header(), end_transaction_marker(&b))), origin)?;
            if let Some(duplicate) = checked {
                return Ok(Appended::Duplicate(duplicate));
            }
        }
        self.append_extent(bytes, &extent, now_ms).map(Appended::Written)
    }

    /// Appends as follower: a leader's batches of any magic, kept as they are. Offsets must ascend from the log end;
    /// gaps (compaction) are kept.
    pub fn append_as_follower(&mut self, bytes: &[u8], now_ms: i64) -> Result<LogAppendInfo, AppendError> {
        let extent = self.extent(bytes, false)?;
        self.append_extent(bytes, &extent, now_ms)
    }

    fn extent(&self, bytes: &[u8], contiguous: bool) -> Result<Extent, AppendError> {
        self.check_online()?;
        let mut extent: Option<Extent> = None;
        let mut expected = self.log_end_offset;
        for batch in batches(bytes) {
            let batch = batch?;
            let found = batch.base_offset;
            let ascends = found >= expected && batch.last_offset_delta >= 0 && batch.last_offset() >= found;
            if !ascends || contiguous && found != expected {
                return Err(AppendError::Offset { found, expected });
            }
            expected = batch.next_offset();
            let header = *batch.header();
            let so_far =
                extent.get_or_insert(Extent { first: header, last_offset: 0, max_timestamp: -1, has_producers: false });
            so_far.last_offset = header.last_offset();
            so_far.max_timestamp = so_far.max_timestamp.max(header.max_timestamp);
            so_far.has_producers |= header.has_producer_id();
        }
        let nothing = BatchError::CutOff { position: 0, needed: 1, available: 0 };
        let extent = extent.ok_or(AppendError::Malformed(nothing))?;
        if bytes.len() > self.config.segment_bytes as usize {
            let segment_bytes = self.config.segment_bytes;
            return Err(AppendError::LargerThanSegment { size: bytes.len(), segment_bytes });
        }
        Ok(extent)
    }

    fn append_extent(&mut self, bytes: &[u8], extent: &Extent, now_ms: i64) -> Result<LogAppendInfo, AppendError> {
        self.append_checked(bytes, extent, now_ms).map_err(|e| {
            // Memory and disk may differ from here on: only what is read anew from the disk can be believed.
            self.offline = true;
            AppendError::Storage(e)
        })
    }

    fn append_checked(&mut self, bytes: &[u8], extent: &Extent, now_ms: i64) -> Result<LogAppendInfo, StorageError> {
        let rolled = self.roll_for(bytes.len() as u64, extent, now_ms)?;
        // Before the bytes: an epoch without a record harms nobody, a record without its epoch misleads followers.
        for batch in batches(bytes).filter_map(Result::ok) {
            self.assign_epoch(LeaderEpoch(batch.leader_epoch), batch.base_offset)?;
        }
        let start = self.active().size;
        self.write(bytes, start)?;
        self.active_mut().size = start + bytes.len() as u64;
        self.active_mut().unsynced = true;
        self.log_end_offset = extent.last_offset + 1;

        let disk = self.disk.clone();
        let interval = self.config.index_interval_bytes;
        let mut position = start;
        for batch in batches(bytes).filter_map(Result::ok) {
            self.tail.push(&batch, position);
            self.active_mut().index_batch(&*disk, position, &batch, interval)?;
            position += batch.size() as u64;
            if batch.has_producer_id()
                && let Some(completed) = self.producers.record(&batch, end_transaction_marker(&batch))
            {
                self.index_completed(&completed)?;
            }
        }
        Ok(LogAppendInfo {
            first_offset: extent.first.base_offset,
            last_offset: extent.last_offset,
            max_timestamp: extent.max_timestamp,
            rolled,
        })
    }

    fn index_completed(&mut self, completed: &CompletedTxn) -> Result<(), StorageError> {
        let disk = self.disk.clone();
        match completed.aborted {
            true => self.active_mut().index_aborted(&*disk, &completed.into()),
            false => Ok(()),
        }
    }

    fn roll_for(&mut self, append_size: u64, extent: &Extent, now_ms: i64) -> Result<bool, StorageError> {
        let active = self.active();
        let entries = u64::from(self.config.segment_index_bytes);
        let facts = RollFacts {
            segment_size: active.size,
            append_size,
            base_offset: active.base_offset,
            last_offset: extent.last_offset,
            first_timestamp: active.first_timestamp(&*self.disk)?,
            created_ms: active.created_ms,
            append_max_timestamp: extent.max_timestamp,
            // One slot of the time index is kept for the entry that finishes it.
            index_full: active.offsets.len() >= entries / 8 || active.times.len() + 1 >= entries / 12,
            now_ms,
        };
        if should_roll(&facts, &self.config).is_none() {
            return Ok(false);
        }
        // At the log end even if the first batch is further on: recovery takes a gap between segments for a loss. Only
        // a gap wider than an index can express moves the base.
        let far = extent.last_offset - self.log_end_offset > i64::from(i32::MAX);
        self.roll_at(if far { extent.first.base_offset } else { self.log_end_offset }, now_ms)?;
        Ok(true)
    }

    fn write(&self, bytes: &[u8], start: u64) -> Result<(), StorageError> {
        let active = self.active();
        let file = active.file(&*self.disk)?;
        let Err(error) = file.write_all_at(bytes, start) else { return Ok(()) };
        // What stands there now must not be taken for batches by the next open.
        if let Err(e) = file.set_len(start) {
            tracing::error!("{}: a failed append could not be cut off: {e}", active.path().display());
        }
        Err(StorageError::of("append to", active.path())(error))
    }
}
