use std::io::IoSlice;

use ottla_records::batch::{BatchError, BatchParts};
use ottla_records::record::EndTransactionMarker;
use ottla_records::{BatchHeader, batches};
use ottla_types::{LeaderEpoch, Offset};

use crate::choice::{RollFacts, should_roll};
use crate::control::{end_transaction_marker, end_transaction_marker_of_parts};
use crate::disk::StorageError;
use crate::log::Log;
use crate::producer_state::{AppendOrigin, DuplicateBatch, ProducerError};

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

/// A batch that is to be appended, as far as the log looks into it.
struct Entry {
    header: BatchHeader,
    marker: Option<EndTransactionMarker>,
}

/// What is appended with one write.
struct Extent {
    first_offset: Offset,
    last_offset: Offset,
    max_timestamp: i64,
    size: u64,
}

impl Extent {
    /// Of one batch at least.
    fn of(entries: &[Entry]) -> Extent {
        let first_offset = entries[0].header.base_offset;
        let mut extent = Extent { first_offset, last_offset: first_offset, max_timestamp: -1, size: 0 };
        for Entry { header, .. } in entries {
            extent.last_offset = header.last_offset();
            extent.max_timestamp = extent.max_timestamp.max(header.max_timestamp);
            extent.size += header.size() as u64;
        }
        extent
    }
}

impl Log {
    /// Appends as leader: a batch that was validated and stamped with [`Log::log_end_offset`] and the leader epoch.
    ///
    /// The producer is asked first; then header and records go out in one write; then indexes, epochs and producers learn
    /// of them. If the write fails the file is cut back, the log goes offline, and nothing has happened.
    pub fn append(
        &mut self,
        batch: &BatchParts<'_>,
        origin: AppendOrigin,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        self.check_online()?;
        let entry = Entry { header: *batch.header(), marker: end_transaction_marker_of_parts(batch) };
        let (found, expected) = (batch.base_offset, self.log_end_offset);
        if found != expected {
            return Err(AppendError::Offset { found, expected });
        }
        next_offset(&entry.header, expected)?;
        self.check_fits(batch.size())?;
        if batch.has_producer_id()
            && let Some(duplicate) = self.producers.check(&entry.header, entry.marker, origin)?
        {
            return Ok(Appended::Duplicate(duplicate));
        }
        let head = batch.encode();
        let mut pieces = [IoSlice::new(&head), IoSlice::new(batch.body())];
        self.append_entries(&mut pieces, &[entry], now_ms).map(Appended::Written)
    }

    /// Appends as follower: a leader's batches of any magic, kept as they are. Offsets must ascend from the log end;
    /// gaps (compaction) are kept.
    pub fn append_as_follower(&mut self, bytes: &[u8], now_ms: i64) -> Result<LogAppendInfo, AppendError> {
        self.check_online()?;
        let mut entries = Vec::new();
        let mut expected = self.log_end_offset;
        for batch in batches(bytes) {
            let batch = batch?;
            expected = next_offset(&batch, expected)?;
            entries.push(Entry { header: *batch.header(), marker: end_transaction_marker(&batch) });
        }
        if entries.is_empty() {
            return Err(BatchError::CutOff { position: 0, needed: 1, available: 0 }.into());
        }
        self.check_fits(bytes.len())?;
        self.append_entries(&mut [IoSlice::new(bytes)], &entries, now_ms)
    }

    fn check_fits(&self, size: usize) -> Result<(), AppendError> {
        let segment_bytes = self.config.segment_bytes;
        match size > segment_bytes as usize {
            true => Err(AppendError::LargerThanSegment { size, segment_bytes }),
            false => Ok(()),
        }
    }

    /// Appends batches that were checked, one at least; `pieces` are their bytes.
    fn append_entries(
        &mut self,
        pieces: &mut [IoSlice<'_>],
        entries: &[Entry],
        now_ms: i64,
    ) -> Result<LogAppendInfo, AppendError> {
        self.append_checked(pieces, entries, now_ms).map_err(|e| {
            // Memory and disk may differ from here on: only what is read anew from the disk can be believed.
            self.offline = true;
            AppendError::Storage(e)
        })
    }

    fn append_checked(
        &mut self,
        pieces: &mut [IoSlice<'_>],
        entries: &[Entry],
        now_ms: i64,
    ) -> Result<LogAppendInfo, StorageError> {
        let extent = Extent::of(entries);
        let rolled = self.roll_for(&extent, now_ms)?;
        // Before the bytes: an epoch without a record harms nobody, a record without its epoch misleads followers.
        for Entry { header, .. } in entries {
            let epoch = LeaderEpoch(header.leader_epoch);
            if self.epochs.latest().is_none_or(|latest| latest.epoch != epoch) {
                self.assign_epoch(epoch, header.base_offset)?;
            }
        }
        let (disk, limit) = (self.disk.clone(), u64::from(self.config.segment_bytes));
        self.active_mut().reserve(&*disk, extent.size, limit)?;
        let start = self.active().size;
        self.write(pieces, start)?;
        self.active_mut().size = start + extent.size;
        self.active_mut().unsynced = true;
        self.log_end_offset = extent.last_offset + 1;

        let active = self.segments.len() - 1;
        let (active, disk) = (&mut self.segments[active], &*self.disk);
        let mut position = start;
        for Entry { header, marker } in entries {
            self.tail.push(header, position);
            active.index_batch(disk, position, header, self.config.index_interval_bytes)?;
            position += header.size() as u64;
            if let Some(completed) = self.producers.record(header, *marker).filter(|completed| completed.aborted) {
                active.index_aborted(disk, &(&completed).into())?;
            }
        }
        Ok(LogAppendInfo {
            first_offset: extent.first_offset,
            last_offset: extent.last_offset,
            max_timestamp: extent.max_timestamp,
            rolled,
        })
    }

    fn roll_for(&mut self, extent: &Extent, now_ms: i64) -> Result<bool, StorageError> {
        let active = self.active();
        let entries = u64::from(self.config.segment_index_bytes);
        let facts = RollFacts {
            segment_size: active.size,
            append_size: extent.size,
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
        self.roll_at(if far { extent.first_offset } else { self.log_end_offset }, now_ms)?;
        Ok(true)
    }

    fn write(&self, pieces: &mut [IoSlice<'_>], start: u64) -> Result<(), StorageError> {
        let active = self.active();
        let file = active.file(&*self.disk)?;
        let Err(error) = file.write_all_vectored_at(pieces, start) else { return Ok(()) };
        // What stands there now must not be taken for batches by the next open.
        if let Err(e) = file.set_len(start) {
            tracing::error!("{}: a failed append could not be cut off: {e}", active.path().display());
        }
        Err(StorageError::of("append to", active.path())(error))
    }
}

/// The offset that may follow a batch, which itself may not lie below `expected`.
fn next_offset(header: &BatchHeader, expected: Offset) -> Result<Offset, AppendError> {
    let found = header.base_offset;
    let ascends = found >= expected && header.last_offset_delta >= 0 && header.last_offset() >= found;
    if ascends { Ok(header.next_offset()) } else { Err(AppendError::Offset { found, expected }) }
}
