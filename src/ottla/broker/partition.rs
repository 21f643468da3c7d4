//! A partition hosted here: its log and its role under one lock, and those who wait for either to move.
//!
//! The high watermark is what consumers may read. With one replica it is the log's end, except for what was promised: a
//! record appended with acks=all is not shown before the flush that makes it durable, nor is anything behind it
//! (`flush`'s `Hold`). The lock is never held across an fsync or a socket; batches are validated before it is taken.

mod append;
mod flush;
mod lock;
mod read;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use ottla_log::partition_metadata::write_topic_id;
use ottla_log::{Log, LogConfig};
use ottla_records::validate::Rules;
use ottla_replication::{IsrRules, LeaderAndIsrRefusal, PartitionChange, Role, RoleChange};
use ottla_types::{BrokerId, Offset, TopicId, TopicPartition};

use super::clock::now_ms;
use super::flusher::Flusher;
use super::waiting::WaitList;
use crate::metrics::{Metrics, TopicCounters};
pub use append::{AppendError, Appended};
use flush::{Hold, Turn};
pub use read::{Isolation, ReadError, ReadOutcome, ReadRequest};

/// A partition. Shared by everyone who reads, appends, flushes or keeps house.
pub struct Partition {
    id: TopicPartition,
    flush_before_ack: bool,
    lag_time_max_ms: i64,
    rules: RwLock<Rules>,
    state: Mutex<State>,
    /// Whether `state` has a role, for those who need not know which.
    has_role: AtomicBool,
    /// Below this everything is as safe as acks=all claims: what `state` said last, for those who wait for no lock.
    safe_end: AtomicI64,
    counters: OnceLock<Arc<TopicCounters>>,
    progress: Arc<WaitList>,
    safety: Arc<WaitList>,
    freed: Arc<WaitList>,
    flusher: Flusher,
}

struct State {
    log: Log,
    replica: ottla_replication::Partition,
    hold: Option<Hold>,
    turn: Turn,
    /// When the last flush ended, in ms since 1970, for `flush.ms`.
    flushed_at_ms: i64,
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
            state: Mutex::new(State { log, replica, hold: None, turn: Turn::None, flushed_at_ms: now_ms() }),
            has_role: AtomicBool::new(false),
            safe_end: AtomicI64::new(0),
            counters: OnceLock::new(),
            progress: Arc::default(),
            safety: Arc::default(),
            freed: Arc::default(),
            flusher,
        }
    }

    /// Its name.
    pub fn id(&self) -> &TopicPartition {
        &self.id
    }

    /// Whether the controller has given this broker a part in it. Takes no lock, so the part may be another one soon:
    /// append and read look again.
    pub fn has_role(&self) -> bool {
        self.has_role.load(Ordering::Relaxed)
    }

    /// Where its topic is counted: looked up once.
    pub fn counters(&self, metrics: &Metrics) -> &TopicCounters {
        self.counters.get_or_init(|| metrics.topic(&self.id.topic))
    }

    /// Woken when consumers may read further, or must ask elsewhere.
    pub fn progress(&self) -> Arc<WaitList> {
        self.progress.clone()
    }

    /// Woken when more has become durable, or never will.
    pub fn safety(&self) -> Arc<WaitList> {
        self.safety.clone()
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

    /// Takes the part that the controller gives, if it is a newer one. A new leader notes its epoch in the log before any
    /// record of it; what it finds in its log and is not durable counts as promised: nobody knows what was acknowledged
    /// before. Blocks: a small file is written and synced.
    pub fn take_role(self: &Arc<Self>, change: PartitionChange, now_ms: i64) -> Result<RoleChange, RoleError> {
        let mut state = self.lock();
        let end = state.log.log_end_offset();
        let epoch = change.leader_epoch;
        let had_topic_id = state.replica.topic_id().is_some();
        let taken = state.replica.apply_leader_and_isr(change, end, now_ms)?;
        self.has_role.store(*state.replica.role() != Role::None, Ordering::Relaxed);
        if let Some(topic_id) = state.replica.topic_id().filter(|_| !had_topic_id) {
            // The folder is of a broker before 2.8, or lost the file before its first flush.
            write_topic_id(&**state.log.disk(), state.log.dir(), topic_id)?;
        }
        if let RoleChange::BecameLeader { epoch_start_offset } = taken {
            state.log.assign_epoch(epoch, epoch_start_offset)?;
            let flushed = state.log.flushed_offset();
            if self.flush_before_ack && flushed < end {
                state.promise(flushed, end);
                self.ask_for_flush(&mut state);
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
        self.has_role.store(false, Ordering::Relaxed);
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
        // The high watermark does not go back: what was appended with acks=1 and is now sent again with acks=all has
        // passed it without a flush.
        let flushed = if self.flush_before_ack { state.log.flushed_offset() } else { end };
        self.safe_end.store(state.replica.high_watermark().min(flushed), Ordering::Release);
        moved.is_some()
    }

    /// Everyone who waits looks again.
    pub(super) fn wake_all(&self) {
        self.progress.wake();
        self.safety.wake();
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
