use ottla_log::{ListedOffset, OffsetQuery};
use ottla_replication::{EpochRefusal, NotLeader};
use ottla_types::{LeaderEpoch, Offset};

use super::{Partition, State};
use crate::broker::clock::now_ms;

/// How far a reader may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// To the high watermark.
    ReadUncommitted,
    /// To the last stable offset, with the list of aborted transactions.
    ReadCommitted,
    /// To the end: tools that look at what is not safe yet.
    LogEnd,
}

/// What a consumer asks of a partition.
#[derive(Debug, Clone, Copy)]
pub struct ReadRequest {
    /// The first offset wanted.
    pub offset: Offset,
    /// The most bytes wanted.
    pub max_bytes: usize,
    /// Give the first batch whole though it is larger.
    pub whole_first_batch: bool,
    /// How far.
    pub isolation: Isolation,
    /// The leader epoch that the consumer knows, -1 if it does not care.
    pub current_leader_epoch: i32,
}

/// What a read found.
#[derive(Debug)]
pub struct ReadOutcome {
    /// The batches, if any.
    pub range: Option<ottla_log::FileRange>,
    /// How far consumers may read.
    pub high_watermark: Offset,
    /// How far read_committed consumers may.
    pub last_stable_offset: Offset,
    /// Where the log starts.
    pub log_start_offset: Offset,
    /// For read_committed: transactions to skip in these batches.
    pub aborted: Option<Vec<ottla_log::AbortedTxn>>,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Another broker leads, or none.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// The asker's leader epoch is not the partition's.
    #[error(transparent)]
    Epoch(#[from] EpochRefusal),
    /// No such offset, or a failing disk.
    #[error(transparent)]
    Log(#[from] ottla_log::ReadError),
}

impl Partition {
    /// Finds batches for a consumer. Their bytes are read later, without the lock. `None`: something slow holds the lock,
    /// see [`Partition::until_free`].
    pub fn read(&self, request: &ReadRequest) -> Option<Result<ReadOutcome, ReadError>> {
        Some(self.try_lock()?.read(request))
    }

    /// Answers ListOffsets for one timestamp.
    pub fn list_offset(
        &self,
        query: OffsetQuery,
        isolation: Isolation,
        current_leader_epoch: i32,
    ) -> Result<Option<ListedOffset>, ReadError> {
        let state = self.lock();
        state.check_reader(current_leader_epoch)?;
        let bound = state.bound(isolation);
        Ok(state.log.offset_for_timestamp(query, bound).map_err(ottla_log::ReadError::from)?)
    }

    /// Answers ListOffsets version 0: starts of segments, newest first.
    pub fn list_segment_offsets(&self, timestamp: i64, most: usize) -> Result<Vec<Offset>, ReadError> {
        let state = self.lock();
        state.replica.leader()?;
        let bound = state.bound(Isolation::ReadUncommitted);
        Ok(state.log.segment_offsets_before(timestamp, most, bound, now_ms()).map_err(ottla_log::ReadError::from)?)
    }
}

impl State {
    fn read(&mut self, request: &ReadRequest) -> Result<ReadOutcome, ReadError> {
        self.check_reader(request.current_leader_epoch)?;
        let bound = self.bound(request.isolation);
        let max_bytes = u32::try_from(request.max_bytes).unwrap_or(u32::MAX);
        let read = self.log.read(request.offset, max_bytes, bound, request.whole_first_batch)?;
        let aborted = match request.isolation {
            Isolation::ReadCommitted => {
                let aborted = self.log.aborted_transactions(request.offset, read.next_offset);
                Some(aborted.map_err(ottla_log::ReadError::from)?)
            }
            _ => None,
        };
        Ok(ReadOutcome {
            range: read.range,
            high_watermark: self.replica.high_watermark(),
            last_stable_offset: self.log.last_stable_offset(self.replica.high_watermark()),
            log_start_offset: self.log.log_start_offset(),
            aborted,
        })
    }

    pub(super) fn check_reader(&self, named_epoch: i32) -> Result<(), ReadError> {
        self.replica.leader()?;
        Ok(self.replica.check_leader_epoch((named_epoch >= 0).then_some(LeaderEpoch(named_epoch)))?)
    }

    pub(super) fn bound(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::ReadUncommitted => self.replica.high_watermark(),
            Isolation::ReadCommitted => self.log.last_stable_offset(self.replica.high_watermark()),
            Isolation::LogEnd => self.log.log_end_offset(),
        }
    }
}
