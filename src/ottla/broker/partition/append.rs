use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use ottla_log::AppendOrigin;
use ottla_records::validate::{Origin, ValidationError, validate};
use ottla_replication::AppendRefusal;
use ottla_types::Offset;

use super::Partition;

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

impl Partition {
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
        let validated = validate(records, origin, &rules, now_ms)?;
        let mut state = self.lock();
        let leader_epoch = state.replica.check_append(acks == -1, self.isr_rules(&state))?;
        let log_start_offset = state.log.log_start_offset();
        let end = state.log.log_end_offset();
        let Some(mut validated) = validated else {
            return Ok(Appended { base_offset: end, end_offset: end, log_append_time_ms: None, log_start_offset });
        };
        validated.stamp(end, leader_epoch.0);
        let written = {
            let _write = self.flusher.writing();
            state.log.append(&validated.batch(records), append_origin(origin), now_ms)?
        };
        let appended = match written {
            ottla_log::Appended::Written(info) => {
                // A rolled segment is flushed, so that a recovery begins behind it.
                if info.rolled || state.wants_flush() {
                    self.ask_for_flush(&mut state);
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
            self.ask_for_flush(&mut state);
        }
        let moved = self.advance(&mut state, now_ms);
        drop(state);
        if moved {
            self.progress.wake();
        }
        Ok(Appended { base_offset, end_offset, log_append_time_ms, log_start_offset })
    }

    /// Whether what was appended below `end_offset` is as safe as acks=all claims: on every in-sync replica, and
    /// flushed (unless `flush.before.ack` is false). `None`: it was not when somebody last looked, and something slow holds
    /// the lock, see [`Partition::until_free`].
    pub fn is_safe(&self, end_offset: Offset) -> Option<Result<bool, AppendError>> {
        let is_safe = || self.safe_end.load(Ordering::Acquire) >= end_offset;
        if is_safe() {
            return Some(Ok(true));
        }
        let state = self.try_lock()?;
        if state.log.is_offline() {
            return Some(Err(AppendError::Offline));
        }
        Some(match state.replica.leader() {
            Ok(_) => Ok(is_safe()),
            Err(e) => Err(AppendRefusal::from(e).into()),
        })
    }
}

fn append_origin(origin: Origin) -> AppendOrigin {
    match origin {
        Origin::Client { .. } => AppendOrigin::Client,
        Origin::Coordinator => AppendOrigin::Coordinator,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use ottla_log::{FileDisk, Log, LogConfig, LogOpening};
    use ottla_records::builder::{BatchBuilder, BatchFields};
    use ottla_records::{Codec, TimestampType};
    use ottla_replication::PartitionChange;
    use ottla_types::{BrokerId, ControllerEpoch, LeaderEpoch, PartitionEpoch, TopicName, TopicPartition};

    use super::*;
    use crate::broker::clock::now_ms;
    use crate::broker::flusher::Flusher;
    use crate::broker::partition::Settings;

    const ME: BrokerId = BrokerId(0);

    /// A partition in `folder` that this broker leads alone.
    pub(in crate::broker::partition) fn leader(folder: &std::path::Path) -> Arc<Partition> {
        let opening = LogOpening {
            dir: folder.join("t-0"),
            config: Arc::default(),
            recovery_point: 0,
            log_start_offset: 0,
            clean: true,
            now_ms: now_ms(),
        };
        let (log, _) = Log::open(Arc::new(FileDisk), opening).unwrap();
        let settings =
            Settings { broker_id: ME, lag_time_max_ms: 30_000, flush_before_ack: true, full_record_check: false };
        let id = TopicPartition::new(TopicName::new("t").unwrap(), 0);
        let partition = Arc::new(Partition::new(id, None, log, None, settings, Flusher::start().unwrap()));
        let change = PartitionChange {
            topic_id: None,
            controller_epoch: ControllerEpoch(1),
            leader: Some(ME),
            leader_epoch: LeaderEpoch(0),
            isr: vec![ME],
            partition_epoch: PartitionEpoch(0),
            replicas: vec![ME],
        };
        partition.take_role(change, now_ms()).unwrap();
        partition
    }

    #[test]
    fn the_log_gets_the_records_as_they_came_behind_a_header_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let partition = leader(folder.path());
        let now = now_ms();
        let mut expected = Vec::new();
        for (offset, timestamp_type) in [(0, TimestampType::CreateTime), (2, TimestampType::LogAppendTime)] {
            let config = LogConfig { message_timestamp_type: timestamp_type, ..LogConfig::default() };
            partition.set_config(Arc::new(config), false);
            let batch = |fields| {
                let mut builder = BatchBuilder::new(fields);
                builder.append(now - 9, Some(b"k"), Some(b"first"), &[]);
                builder.append(now - 5, None, Some(b"second"), &[]);
                builder.finish().unwrap()
            };
            let sent = Bytes::from(batch(BatchFields::new(0, Codec::None)));
            partition.append(&sent, Origin::Client { produce_version: 9 }, 1, now).unwrap();
            let log_append_time_ms = (timestamp_type == TimestampType::LogAppendTime).then_some(now);
            let fields = BatchFields { leader_epoch: 0, log_append_time_ms, ..BatchFields::new(offset, Codec::None) };
            expected.extend(batch(fields));
        }
        assert_eq!(std::fs::read(folder.path().join("t-0/00000000000000000000.log")).unwrap(), expected);
    }

    #[test]
    fn a_batch_sent_again_with_acks_all_is_safe_only_when_it_is_flushed() {
        let folder = tempfile::tempdir().unwrap();
        let partition = leader(folder.path());
        let fields =
            BatchFields { producer_id: 1, producer_epoch: 0, base_sequence: 0, ..BatchFields::new(0, Codec::None) };
        let mut builder = BatchBuilder::new(fields);
        builder.append(now_ms(), None, Some(b"x"), &[]);
        let batch = Bytes::from(builder.finish().unwrap());
        let origin = Origin::Client { produce_version: 9 };
        let first = partition.append(&batch, origin, 1, now_ms()).unwrap();
        let again = partition.append(&batch, origin, -1, now_ms()).unwrap();
        assert_eq!((first.base_offset, again.base_offset, again.end_offset), (0, 0, 1));
        let begun = std::time::Instant::now();
        while !matches!(partition.is_safe(1), Some(Ok(true))) {
            assert!(begun.elapsed() < Duration::from_secs(10), "the flush that was asked for does not come");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(partition.with_log(|log| log.flushed_offset()), 1);
    }
}
