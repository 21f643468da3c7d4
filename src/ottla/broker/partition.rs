//! A partition hosted here: its log and its role under one lock, and those who wait for either to move.
//!
//! The high watermark is what consumers may read. With one replica it is the log's end, except for what was promised: a
//! record appended with acks=all is not shown before the flush that makes it durable, nor is anything behind it
//! ([`Hold`]). The lock is never held across an fsync or a socket; batches are validated before it is taken.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::{Bytes, BytesMut};
use ottla_log::partition_metadata::write_topic_id;
use ottla_log::{AppendOrigin, FlushWork, ListedOffset, Log, LogConfig, OffsetQuery};
use ottla_records::validate::{Origin, Rules, ValidationError, validate};
use ottla_replication::{
    AppendRefusal, EpochRefusal, IsrRules, LeaderAndIsrRefusal, NotLeader, PartitionChange, RoleChange,
};
use ottla_types::{BrokerId, LeaderEpoch, Offset, TopicId, TopicPartition};
use tracing::error;

use super::clock::now_ms;
use super::flusher::Flusher;
use super::waiting::WaitList;

/// A partition. Shared by everyone who reads, appends, flushes or keeps house.
pub struct Partition {
    id: TopicPartition,
    flush_before_ack: bool,
    lag_time_max_ms: i64,
    rules: RwLock<Rules>,
    state: Mutex<State>,
    progress: Arc<WaitList>,
    safety: Arc<WaitList>,
    flusher: Flusher,
    flush_wished: AtomicBool,
}

struct State {
    log: Log,
    replica: ottla_replication::Partition,
    hold: Option<Hold>,
    /// When the last flush ended, in ms since 1970, for `flush.ms`.
    flushed_at_ms: i64,
}

/// Promised and not yet durable: appends with acks=all since the last flush that covered them all.
#[derive(Debug, Clone, Copy)]
struct Hold {
    /// Everything below is durable or was never promised.
    from: Offset,
    /// End of the last promised append.
    until: Offset,
}

/// What all partitions of this broker have in common.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// This broker.
    pub broker_id: BrokerId,
    /// `replica.lag.time.max.ms`.
    pub lag_time_max_ms: i64,
    /// acks=all waits for a flush.
    pub flush_before_ack: bool,
    /// Compressed batches are opened and checked though nothing else asks for it.
    pub full_record_check: bool,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record; of the original, if the batch had come before.
    pub base_offset: Offset,
    /// Offset behind the last record.
    pub end_offset: Offset,
    /// The broker's time, where the topic stores it.
    pub log_append_time_ms: Option<i64>,
    /// Where the log starts.
    pub log_start_offset: Offset,
}

impl Appended {
    /// Number of records.
    pub fn count(&self) -> u64 {
        (self.end_offset - self.base_offset).max(0) as u64
    }
}

/// Why nothing was appended, or why what was appended is not known to be safe.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another broker leads, or too few replicas are in sync.
    #[error(transparent)]
    Refused(#[from] AppendRefusal),
    /// The bytes are against the rules.
    #[error(transparent)]
    Invalid(#[from] ValidationError),
    /// The log refuses: the producer's sequence, or the disk.
    #[error(transparent)]
    Log(#[from] ottla_log::AppendError),
    /// The log failed after the append.
    #[error("the log is offline after a failure of its disk")]
    Offline,
}

/// Why a role was not taken.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// It is an old one, or not for this broker or folder.
    #[error(transparent)]
    Refused(#[from] LeaderAndIsrRefusal),
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] ottla_log::StorageError),
}

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
    /// A partition over its log, without a role yet. `high_watermark` is the checkpoint's, if there is one.
    pub fn new(
        id: TopicPartition,
        topic_id: Option<TopicId>,
        log: Log,
        high_watermark: Option<Offset>,
        settings: Settings,
        flusher: Flusher,
    ) -> Partition {
        let high_watermark = high_watermark.unwrap_or(0).clamp(log.log_start_offset(), log.log_end_offset());
        let replica = ottla_replication::Partition::new(settings.broker_id, topic_id, high_watermark);
        if log.config().flush_ms.is_some() {
            flusher.hint_flush_ms();
        }
        Partition {
            id,
            flush_before_ack: settings.flush_before_ack,
            lag_time_max_ms: settings.lag_time_max_ms,
            rules: RwLock::new(rules(log.config(), settings.full_record_check)),
            state: Mutex::new(State { log, replica, hold: None, flushed_at_ms: now_ms() }),
            progress: Arc::default(),
            safety: Arc::default(),
            flusher,
            flush_wished: AtomicBool::new(false),
        }
    }

    /// Its name.
    pub fn id(&self) -> &TopicPartition {
        &self.id
    }

    /// Woken when consumers may read further, or must ask elsewhere.
    pub fn progress(&self) -> Arc<WaitList> {
        self.progress.clone()
    }

    /// Woken when more has become durable, or never will.
    pub fn safety(&self) -> Arc<WaitList> {
        self.safety.clone()
    }

    /// Locks log and role. A panic with the lock held aborts the process (`main.rs`), so poison is never met.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `f` with the log, under the lock.
    pub fn with_log<T>(&self, f: impl FnOnce(&mut Log) -> T) -> T {
        f(&mut self.lock().log)
    }

    /// Calls `f` with the broker's part in the partition, under the lock.
    pub fn with_replica<T>(&self, f: impl FnOnce(&ottla_replication::Partition) -> T) -> T {
        f(&self.lock().replica)
    }

    /// How far consumers may read.
    pub fn high_watermark(&self) -> Offset {
        self.lock().replica.high_watermark()
    }

    /// What a batch of this partition may become when it is decompressed, in bytes.
    pub fn decompression_limit(&self) -> usize {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).decompression_limit()
    }

    /// The topic's configuration changed: it holds from the next append on.
    pub fn set_config(&self, config: Arc<LogConfig>, full_record_check: bool) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules(&config, full_record_check);
        let flush_ms = config.flush_ms;
        self.lock().log.set_config(config);
        if flush_ms.is_some() {
            self.flusher.hint_flush_ms();
        }
    }

    /// Appends what a client or the broker itself produced.
    ///
    /// With acks=-1 nothing is written if too few replicas are in sync, and a flush is asked for; the answer waits for
    /// [`Partition::is_safe`].
    pub fn append(
        self: &Arc<Self>,
        records: &Bytes,
        origin: Origin,
        acks: i16,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        let rules = *self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let mut produced = BytesMut::from(&records[..]);
        let validated = validate(&mut produced, origin, &rules, now_ms)?;
        let mut state = self.lock();
        let leader_epoch = state.replica.check_append(acks == -1, self.isr_rules(&state))?;
        let log_start_offset = state.log.log_start_offset();
        let end = state.log.log_end_offset();
        let Some(mut validated) = validated else {
            return Ok(Appended { base_offset: end, end_offset: end, log_append_time_ms: None, log_start_offset });
        };
        validated.stamp(&mut produced, end, leader_epoch.0);
        let appended = match state.log.append(validated.batch(&produced), append_origin(origin), now_ms)? {
            ottla_log::Appended::Written(info) => {
                // A rolled segment is flushed, so that a recovery begins behind it.
                if info.rolled || state.wants_flush() {
                    self.flusher.request(self);
                }
                (info.first_offset, info.last_offset + 1, validated.log_append_time_ms)
            }
            ottla_log::Appended::Duplicate(original) => {
                let append_time = validated.log_append_time_ms.map(|_| original.timestamp);
                (original.first_offset, original.last_offset + 1, append_time)
            }
        };
        let (base_offset, end_offset, log_append_time_ms) = appended;
        if acks == -1 && self.flush_before_ack && state.log.flushed_offset() < end_offset {
            state.promise(base_offset, end_offset);
            self.flusher.request(self);
        }
        let moved = self.advance(&mut state, now_ms);
        drop(state);
        if moved {
            self.progress.wake();
        }
        Ok(Appended { base_offset, end_offset, log_append_time_ms, log_start_offset })
    }

    /// Whether what was appended below `end_offset` is as safe as acks=all claims: on every in-sync replica, and
    /// flushed (unless `flush.before.ack` is false).
    pub fn is_safe(&self, end_offset: Offset) -> Result<bool, AppendError> {
        let state = self.lock();
        if state.log.is_offline() {
            return Err(AppendError::Offline);
        }
        state.replica.leader().map_err(AppendRefusal::from)?;
        Ok(state.replica.high_watermark() >= end_offset)
    }

    /// Finds batches for a consumer. Their bytes are read later, without the lock.
    pub fn read(&self, request: &ReadRequest) -> Result<ReadOutcome, ReadError> {
        let mut state = self.lock();
        state.check_reader(request.current_leader_epoch)?;
        let bound = state.bound(request.isolation);
        let max_bytes = u32::try_from(request.max_bytes).unwrap_or(u32::MAX);
        let read = state.log.read(request.offset, max_bytes, bound, request.whole_first_batch)?;
        let aborted = match request.isolation {
            Isolation::ReadCommitted => {
                let aborted = state.log.aborted_transactions(request.offset, read.next_offset);
                Some(aborted.map_err(ottla_log::ReadError::from)?)
            }
            _ => None,
        };
        Ok(ReadOutcome {
            range: read.range,
            high_watermark: state.replica.high_watermark(),
            last_stable_offset: state.log.last_stable_offset(state.replica.high_watermark()),
            log_start_offset: state.log.log_start_offset(),
            aborted,
        })
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

    /// Takes the part that the controller gives, if it is a newer one. A new leader notes its epoch in the log before any
    /// record of it; what it finds in its log and is not durable counts as promised: nobody knows what was acknowledged
    /// before. Blocks: a small file is written and synced.
    pub fn take_role(self: &Arc<Self>, change: PartitionChange, now_ms: i64) -> Result<RoleChange, RoleError> {
        let mut state = self.lock();
        let end = state.log.log_end_offset();
        let epoch = change.leader_epoch;
        let had_topic_id = state.replica.topic_id().is_some();
        let taken = state.replica.apply_leader_and_isr(change, end, now_ms)?;
        if let Some(topic_id) = state.replica.topic_id().filter(|_| !had_topic_id) {
            // The folder is of a broker before 2.8, or lost the file before its first flush.
            write_topic_id(&**state.log.disk(), state.log.dir(), topic_id)?;
        }
        if let RoleChange::BecameLeader { epoch_start_offset } = taken {
            state.log.assign_epoch(epoch, epoch_start_offset)?;
            let flushed = state.log.flushed_offset();
            if self.flush_before_ack && flushed < end {
                state.promise(flushed, end);
                self.flusher.request(self);
            }
        }
        self.advance(&mut state, now_ms);
        drop(state);
        self.wake_all();
        Ok(taken)
    }

    /// The broker has no part in the partition any more: everyone who waits is told to ask elsewhere.
    pub fn drop_role(&self) {
        let mut state = self.lock();
        let old = &state.replica;
        state.replica = ottla_replication::Partition::new(old.broker_id(), old.topic_id(), old.high_watermark());
        drop(state);
        self.wake_all();
    }

    fn isr_rules(&self, state: &State) -> IsrRules {
        IsrRules { lag_time_max_ms: self.lag_time_max_ms, min_in_sync: state.log.config().min_insync_replicas as usize }
    }

    /// Moves the high watermark as far as replicas and promises allow; whether it moved.
    fn advance(&self, state: &mut State, now_ms: i64) -> bool {
        let end = state.log.log_end_offset();
        let own_end = state.hold.map_or(end, |hold| hold.from);
        let rules = self.isr_rules(state);
        let moved = state.replica.advance_high_watermark(own_end, rules, now_ms, |_| true);
        if let Some(high_watermark) = moved {
            state.log.advance_high_watermark(high_watermark);
        }
        moved.is_some()
    }

    /// Notes that a flush is wanted; whether nobody wanted it before.
    pub(super) fn wish_flush(&self) -> bool {
        !self.flush_wished.swap(true, Ordering::AcqRel)
    }

    /// The wish is being fulfilled: what is appended from here on wishes anew.
    pub(super) fn take_flush_wish(&self) {
        self.flush_wished.store(false, Ordering::Release);
    }

    /// Asks for a flush if what is not flushed is older than `flush.ms`.
    pub fn flush_if_older(self: &Arc<Self>, now_ms: i64) {
        let state = self.lock();
        let Some(limit) = state.log.config().flush_ms else { return };
        self.flusher.hint_flush_ms();
        if now_ms - state.flushed_at_ms >= limit && state.log.unflushed_records() > 0 {
            self.flusher.request(self);
        }
    }

    /// Begins a flush, if there is anything to flush and none is running.
    pub(super) fn flush_begin(&self) -> Option<FlushWork> {
        match self.lock().log.flush_begin() {
            Ok(work) => work,
            Err(e) => {
                self.failed(&e);
                None
            }
        }
    }

    /// The flush that was begun has ended.
    pub(super) fn flush_ended(self: &Arc<Self>, outcome: Result<(), ottla_log::StorageError>) {
        let mut state = self.lock();
        match outcome {
            Ok(()) => {
                let flushed = state.log.flush_done();
                state.flushed(flushed);
                state.flushed_at_ms = now_ms();
                self.advance(&mut state, now_ms());
                if state.hold.is_some() {
                    self.flusher.request(self);
                }
            }
            Err(e) => {
                state.log.flush_failed();
                self.failed(&e);
            }
        }
        drop(state);
        self.wake_all();
    }

    /// Everyone who waits looks again.
    pub(super) fn wake_all(&self) {
        self.progress.wake();
        self.safety.wake();
    }

    fn failed(&self, error: &ottla_log::StorageError) {
        error!("{} is offline: {error}; mend the disk and start the broker again", self.id);
    }
}

impl State {
    /// Whether `flush.messages` are reached.
    fn wants_flush(&self) -> bool {
        self.log.config().flush_messages.is_some_and(|most| self.log.unflushed_records() >= most)
    }

    fn promise(&mut self, from: Offset, until: Offset) {
        match &mut self.hold {
            Some(hold) => hold.until = hold.until.max(until),
            None => self.hold = Some(Hold { from, until }),
        }
    }

    fn flushed(&mut self, flushed: Offset) {
        self.hold =
            self.hold.filter(|hold| flushed < hold.until).map(|hold| Hold { from: hold.from.max(flushed), ..hold });
    }

    fn check_reader(&self, named_epoch: i32) -> Result<(), ReadError> {
        self.replica.leader()?;
        Ok(self.replica.check_leader_epoch((named_epoch >= 0).then_some(LeaderEpoch(named_epoch)))?)
    }

    fn bound(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::ReadUncommitted => self.replica.high_watermark(),
            Isolation::ReadCommitted => self.log.last_stable_offset(self.replica.high_watermark()),
            Isolation::LogEnd => self.log.log_end_offset(),
        }
    }
}

fn append_origin(origin: Origin) -> AppendOrigin {
    match origin {
        Origin::Client { .. } => AppendOrigin::Client,
        Origin::Coordinator => AppendOrigin::Coordinator,
    }
}

/// What a topic's configuration asks of records.
fn rules(config: &LogConfig, full_record_check: bool) -> Rules {
    Rules {
        compression_type: config.compression_type,
        timestamp_type: config.message_timestamp_type,
        timestamp_before_max_ms: config.message_timestamp_before_max_ms.unwrap_or(i64::MAX),
        timestamp_after_max_ms: config.message_timestamp_after_max_ms.unwrap_or(i64::MAX),
        max_message_bytes: config.max_message_bytes as usize,
        is_compacted: config.cleanup_policy.compact,
        check_records: full_record_check,
    }
}
