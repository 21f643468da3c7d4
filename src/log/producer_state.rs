//! What a partition remembers of each idempotent producer (`ProducerStateManager.java`, `ProducerAppendInfo.java`): its
//! epoch, its last five batches, its open transaction.
//!
//! An append asks first ([`ProducerStates::check`]), is written, and only then recorded ([`ProducerStates::record`]):
//! a failed write leaves no trace here. The state is derived from the log alone, so followers and recovery arrive at
//! the same one by recording every batch.

use std::collections::BTreeMap;

use ottla_records::BatchHeader;
use ottla_records::batch::{NO_PRODUCER_EPOCH, NO_SEQUENCE, decrement_sequence};
use ottla_types::Offset;

use ottla_records::record::EndTransactionMarker;

/// Batches remembered of each producer: as many as a client may have in flight.
const WINDOW: usize = 5;

/// Who appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A produce request: everything is checked.
    Client,
    /// The group or transaction coordinator in this broker: sequences are its own affair.
    Coordinator,
    /// A leader's bytes: it has checked, and we take what it took.
    Replication,
}

/// Why a producer's batch is refused. The messages are for the answer's `ErrorMessage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// A newer life of this producer has written (INVALID_PRODUCER_EPOCH).
    #[error("Epoch of producer {producer_id} is {found}, which is smaller than the last seen epoch {known}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: i64,
        /// The batch's epoch.
        found: i16,
        /// The newest epoch.
        known: i16,
    },
    /// A batch is missing before this one, or it is an old one (OUT_OF_ORDER_SEQUENCE_NUMBER).
    #[error(
        "Out of order sequence number for producer {producer_id}: {found} (incoming seq. number), {last} (current end sequence number)"
    )]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// The batch's first sequence.
        found: i32,
        /// The last one appended, -1 if none in this epoch.
        last: i32,
    },
    /// A batch outside a transaction while one is open (INVALID_TXN_STATE).
    #[error("Expected transactional write from producer {producer_id}, which has an open transaction")]
    InvalidTxnState {
        /// The producer.
        producer_id: i64,
    },
    /// A marker of a coordinator that was replaced (TRANSACTION_COORDINATOR_FENCED).
    #[error("Invalid coordinator epoch for producer {producer_id}: {found}, {known} (current)")]
    TransactionCoordinatorFenced {
        /// The producer.
        producer_id: i64,
        /// The marker's coordinator epoch.
        found: i32,
        /// The newest one.
        known: i32,
    },
}

/// A batch that was appended before, as its producer must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DuplicateBatch {
    /// Offset its first record got.
    pub first_offset: Offset,
    /// Offset its last record got.
    pub last_offset: Offset,
    /// Its largest timestamp.
    pub timestamp: i64,
}

/// A batch in a producer's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchMetadata {
    pub(crate) last_sequence: i32,
    pub(crate) last_offset: Offset,
    pub(crate) offset_delta: i32,
    pub(crate) timestamp: i64,
}

impl BatchMetadata {
    fn first_sequence(&self) -> i32 {
        decrement_sequence(self.last_sequence, self.offset_delta)
    }

    fn first_offset(&self) -> Offset {
        self.last_offset - i64::from(self.offset_delta)
    }
}

const NO_BATCH: BatchMetadata =
    BatchMetadata { last_sequence: NO_SEQUENCE, last_offset: -1, offset_delta: 0, timestamp: -1 };

/// What is known of one producer. Its last batches, oldest first, lie in `batches[..count]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducerEntry {
    pub(crate) epoch: i16,
    pub(crate) coordinator_epoch: i32,
    pub(crate) last_timestamp: i64,
    pub(crate) txn_first_offset: Option<Offset>,
    batches: [BatchMetadata; WINDOW],
    count: u8,
}

impl ProducerEntry {
    const UNKNOWN: ProducerEntry = ProducerEntry {
        epoch: NO_PRODUCER_EPOCH,
        coordinator_epoch: -1,
        last_timestamp: -1,
        txn_first_offset: None,
        batches: [NO_BATCH; WINDOW],
        count: 0,
    };

    pub(crate) fn restored(epoch: i16, coordinator_epoch: i32, last_timestamp: i64) -> ProducerEntry {
        ProducerEntry { epoch, coordinator_epoch, last_timestamp, ..ProducerEntry::UNKNOWN }
    }

    pub(crate) fn last_batch(&self) -> Option<&BatchMetadata> {
        self.batches[..usize::from(self.count)].last()
    }

    pub(crate) fn push(&mut self, batch: BatchMetadata) {
        if usize::from(self.count) == WINDOW {
            self.batches.rotate_left(1);
            self.count -= 1;
        }
        self.batches[usize::from(self.count)] = batch;
        self.count += 1;
    }

    fn duplicate(&self, header: &BatchHeader) -> Option<DuplicateBatch> {
        if header.producer_epoch != self.epoch {
            return None;
        }
        let range = (header.base_sequence, header.last_sequence());
        let found =
            self.batches[..usize::from(self.count)].iter().find(|b| (b.first_sequence(), b.last_sequence) == range)?;
        Some(DuplicateBatch {
            first_offset: found.first_offset(),
            last_offset: found.last_offset,
            timestamp: found.timestamp,
        })
    }

    fn check(
        &self,
        header: &BatchHeader,
        marker: Option<EndTransactionMarker>,
        origin: AppendOrigin,
    ) -> Result<(), ProducerError> {
        let producer_id = header.producer_id;
        if origin == AppendOrigin::Replication {
            return Ok(());
        }
        if header.producer_epoch < self.epoch {
            let (found, known) = (header.producer_epoch, self.epoch);
            return Err(ProducerError::InvalidProducerEpoch { producer_id, found, known });
        }
        if let Some(marker) = marker {
            let (found, known) = (marker.coordinator_epoch, self.coordinator_epoch);
            return match found < known {
                true => Err(ProducerError::TransactionCoordinatorFenced { producer_id, found, known }),
                false => Ok(()),
            };
        }
        if header.is_control() {
            return Ok(());
        }
        if origin == AppendOrigin::Client && !self.in_sequence(header) {
            let last = if header.producer_epoch == self.epoch { self.last_sequence() } else { NO_SEQUENCE };
            return Err(ProducerError::OutOfOrderSequence { producer_id, found: header.base_sequence, last });
        }
        if self.txn_first_offset.is_some() && !header.is_transactional() {
            return Err(ProducerError::InvalidTxnState { producer_id });
        }
        Ok(())
    }

    fn last_sequence(&self) -> i32 {
        self.last_batch().map_or(NO_SEQUENCE, |b| b.last_sequence)
    }

    fn in_sequence(&self, header: &BatchHeader) -> bool {
        // Nothing is known of it: retention or expiry took its records, so any sequence may be next (KIP-360).
        if self.epoch == NO_PRODUCER_EPOCH {
            return true;
        }
        if header.producer_epoch != self.epoch {
            return header.base_sequence == 0;
        }
        let last = self.last_sequence();
        i64::from(header.base_sequence) == i64::from(last) + 1 || header.base_sequence == 0 && last == i32::MAX
    }

    fn set_epoch(&mut self, epoch: i16) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.count = 0;
        }
    }

    fn record_data(&mut self, header: &BatchHeader) {
        self.set_epoch(header.producer_epoch);
        self.push(BatchMetadata {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        });
        self.last_timestamp = header.max_timestamp;
        if header.is_transactional() && self.txn_first_offset.is_none() {
            self.txn_first_offset = Some(header.base_offset);
        }
    }
}

/// A transaction that a marker has just ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompletedTxn {
    /// The producer.
    pub producer_id: i64,
    /// Its first offset.
    pub first_offset: Offset,
    /// The marker's offset.
    pub last_offset: Offset,
    /// Whether it was aborted.
    pub aborted: bool,
    /// The last stable offset now that it has ended, all offsets being replicated.
    pub last_stable_offset: Offset,
}

/// All producers of a partition.
#[derive(Debug, Clone, Default)]
pub struct ProducerStates {
    producers: BTreeMap<i64, ProducerEntry>,
    /// Open transactions: first offset, producer.
    ongoing: BTreeMap<Offset, i64>,
    /// Ended transactions whose marker is not below the high watermark: first offset, marker's offset.
    unreplicated: BTreeMap<Offset, Offset>,
}

impl ProducerStates {
    /// Number of producers known.
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether no producer is known.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// What the next batch of a producer is compared with: its epoch and last sequence.
    pub fn last_sequence(&self, producer_id: i64) -> Option<(i16, i32)> {
        self.producers.get(&producer_id).map(|p| (p.epoch, p.last_sequence()))
    }

    /// Whether the producer has an open transaction here.
    pub fn has_open_transaction(&self, producer_id: i64) -> bool {
        self.producers.get(&producer_id).is_some_and(|p| p.txn_first_offset.is_some())
    }

    /// Judges a batch with a producer that is to be appended, before anything is written. `Some`: it is a client's that is
    /// here already, and not to be written again.
    ///
    /// # Errors
    /// The refusal.
    pub fn check(
        &self,
        header: &BatchHeader,
        marker: Option<EndTransactionMarker>,
        origin: AppendOrigin,
    ) -> Result<Option<DuplicateBatch>, ProducerError> {
        let known = self.producers.get(&header.producer_id).unwrap_or(&ProducerEntry::UNKNOWN);
        if origin == AppendOrigin::Client
            && let Some(duplicate) = known.duplicate(header)
        {
            return Ok(Some(duplicate));
        }
        known.check(header, marker, origin)?;
        Ok(None)
    }

    /// Takes note of a batch that is in the log now.
    pub fn record(&mut self, header: &BatchHeader, marker: Option<EndTransactionMarker>) -> Option<CompletedTxn> {
        if !header.has_producer_id() || header.is_control() && marker.is_none() {
            return None;
        }
        let entry = self.producers.entry(header.producer_id).or_insert(ProducerEntry::UNKNOWN);
        let Some(marker) = marker else {
            let was_open = entry.txn_first_offset.is_some();
            entry.record_data(header);
            if let (false, Some(first)) = (was_open, entry.txn_first_offset) {
                self.ongoing.insert(first, header.producer_id);
            }
            return None;
        };
        entry.set_epoch(header.producer_epoch);
        entry.coordinator_epoch = marker.coordinator_epoch;
        entry.last_timestamp = header.max_timestamp;
        let first_offset = entry.txn_first_offset.take()?;
        self.ongoing.remove(&first_offset);
        let last_offset = header.last_offset();
        self.unreplicated.insert(first_offset, last_offset);
        let next_open = self.ongoing.keys().next().copied();
        Some(CompletedTxn {
            producer_id: header.producer_id,
            first_offset,
            last_offset,
            aborted: !marker.committed,
            last_stable_offset: next_open.unwrap_or(last_offset + 1),
        })
    }

    /// The first offset that read_committed may not pass: of the earliest transaction that is open, or ended but not
    /// replicated, its marker being at or above the high watermark.
    pub fn first_unstable_offset(&self, high_watermark: Offset) -> Option<Offset> {
        let ongoing = self.ongoing.keys().next().copied();
        let unreplicated = self.unreplicated.iter().find(|(_, last)| **last >= high_watermark).map(|(first, _)| *first);
        match (ongoing, unreplicated) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Ended transactions below the high watermark hold nobody back any more, and are forgotten.
    pub fn advance_high_watermark(&mut self, high_watermark: Offset) {
        if !self.unreplicated.is_empty() {
            self.unreplicated.retain(|_, last| *last >= high_watermark);
        }
    }

    /// Forgets producers that have been idle for the time given, unless a transaction is open.
    pub fn expire(&mut self, now_ms: i64, idle_ms: i64) {
        self.producers.retain(|_, p| p.txn_first_offset.is_some() || now_ms.saturating_sub(p.last_timestamp) < idle_ms);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = ProducerStates::default();
    }

    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = (&i64, &ProducerEntry)> {
        self.producers.iter()
    }

    pub(crate) fn restore(&mut self, producer_id: i64, entry: ProducerEntry) {
        if let Some(first) = entry.txn_first_offset {
            self.ongoing.insert(first, producer_id);
        }
        self.producers.insert(producer_id, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_records::Magic;

    fn batch(epoch: i16, first: i32, last: i32, offset: i64) -> BatchHeader {
        BatchHeader {
            base_offset: offset,
            batch_length: 100,
            leader_epoch: 0,
            magic: Magic::V2,
            crc: 0,
            attributes: 0,
            last_offset_delta: last.wrapping_sub(first).max(0),
            base_timestamp: 0,
            max_timestamp: 1000 + offset,
            producer_id: 7,
            producer_epoch: epoch,
            base_sequence: first,
            count: last.wrapping_sub(first).max(0) + 1,
        }
    }

    fn transactional(header: BatchHeader) -> BatchHeader {
        BatchHeader { attributes: 0x10, ..header }
    }

    fn marker(epoch: i16, offset: i64, coordinator_epoch: i32) -> (BatchHeader, Option<EndTransactionMarker>) {
        let header = BatchHeader { attributes: 0x30, ..batch(epoch, -1, -1, offset) };
        (header, Some(EndTransactionMarker { committed: false, coordinator_epoch }))
    }

    impl ProducerStates {
        fn client(&self, header: &BatchHeader) -> Result<Option<DuplicateBatch>, ProducerError> {
            self.check(header, None, AppendOrigin::Client)
        }

        fn append(&mut self, header: BatchHeader) {
            assert_eq!(self.client(&header), Ok(None), "{header:?}");
            self.record(&header, None);
        }
    }

    fn out_of_order(found: i32, last: i32) -> Result<Option<DuplicateBatch>, ProducerError> {
        Err(ProducerError::OutOfOrderSequence { producer_id: 7, found, last })
    }

    #[test]
    fn sequences_follow_and_the_last_five_are_answered_again() {
        let mut states = ProducerStates::default();
        for i in 0..7 {
            states.append(batch(0, i * 2, i * 2 + 1, 10 + 2 * i64::from(i)));
        }
        assert_eq!(states.client(&batch(0, 15, 15, 99)), out_of_order(15, 13));
        for i in 2..7 {
            let duplicate = states.client(&batch(0, i * 2, i * 2 + 1, 99)).unwrap().unwrap();
            let first_offset = 10 + 2 * i64::from(i);
            assert_eq!(
                duplicate,
                DuplicateBatch { first_offset, last_offset: first_offset + 1, timestamp: 1000 + first_offset }
            );
        }
        // Sixth from the end, or not exactly a batch of the window: no duplicate, and out of order.
        assert_eq!(states.client(&batch(0, 2, 3, 99)), out_of_order(2, 13));
        assert_eq!(states.client(&batch(0, 12, 12, 99)), out_of_order(12, 13));
        // Coordinators write sequence 0 again and again (KAFKA-8335), followers take what the leader took.
        let again = batch(0, 0, 0, 99);
        assert_eq!(states.check(&again, None, AppendOrigin::Coordinator), Ok(None));
        assert_eq!(states.check(&again, None, AppendOrigin::Replication), Ok(None));
    }

    #[test]
    fn sequences_wrap() {
        let mut states = ProducerStates::default();
        states.append(batch(0, i32::MAX - 1, i32::MAX, 0));
        states.append(batch(0, 0, 3, 2));
        let mut states = ProducerStates::default();
        states.append(batch(0, i32::MAX - 2, i32::MAX - 1, 0));
        let mut across = batch(0, i32::MAX, i32::MAX, 2);
        across.last_offset_delta = 2;
        states.append(across);
        assert_eq!(states.last_sequence(7), Some((0, 1)));
        assert!(states.client(&across).unwrap().is_some());
        states.append(batch(0, 2, 2, 5));
    }

    #[test]
    fn epochs_fence_and_begin_at_zero() {
        let mut states = ProducerStates::default();
        states.append(batch(3, 5, 5, 0));
        assert_eq!(states.client(&batch(4, 6, 6, 1)), out_of_order(6, -1));
        states.append(batch(4, 0, 0, 1));
        let old = ProducerError::InvalidProducerEpoch { producer_id: 7, found: 3, known: 4 };
        assert_eq!(states.client(&batch(3, 6, 6, 2)), Err(old));
        // A marker raises the epoch and clears the window; with the same epoch it keeps it.
        let (header, end) = marker(5, 2, 0);
        assert_eq!(states.check(&header, end, AppendOrigin::Coordinator), Ok(None));
        states.record(&header, end);
        assert_eq!(states.client(&batch(5, 1, 1, 3)), out_of_order(1, -1));
        states.append(batch(5, 0, 0, 3));
        let (header, end) = marker(5, 4, 0);
        states.record(&header, end);
        assert!(states.client(&batch(5, 0, 0, 9)).unwrap().is_some());
    }

    #[test]
    fn transactions_hold_the_stable_offset() {
        let mut states = ProducerStates::default();
        let other = |h: BatchHeader| BatchHeader { producer_id: 8, ..h };
        states.append(transactional(batch(0, 0, 1, 10)));
        states.append(transactional(other(batch(0, 0, 0, 12))));
        assert_eq!(states.first_unstable_offset(13), Some(10));
        assert_eq!(states.client(&batch(0, 2, 2, 13)), Err(ProducerError::InvalidTxnState { producer_id: 7 }));
        states.append(transactional(batch(0, 2, 2, 13)));

        let (header, end) = marker(0, 14, 3);
        let completed = states.record(&header, end).unwrap();
        assert_eq!((completed.first_offset, completed.last_offset, completed.last_stable_offset), (10, 14, 12));
        assert!(completed.aborted);
        for forget in [false, true] {
            if forget {
                states.advance_high_watermark(14);
            }
            assert_eq!(states.first_unstable_offset(14), Some(10), "the marker is at the high watermark, not below");
            assert_eq!(states.first_unstable_offset(15), Some(12));
        }
        states.advance_high_watermark(15);
        assert_eq!(states.first_unstable_offset(14), Some(12), "forgotten");

        // Without an open transaction a marker completes nothing; an older coordinator is fenced.
        let (header, end) = marker(0, 15, 2);
        let fenced = ProducerError::TransactionCoordinatorFenced { producer_id: 7, found: 2, known: 3 };
        assert_eq!(states.check(&header, end, AppendOrigin::Coordinator), Err(fenced));
        let (header, end) = marker(0, 15, 3);
        assert_eq!(states.record(&header, end), None);
    }

    #[test]
    fn idle_producers_expire_but_not_inside_a_transaction() {
        let mut states = ProducerStates::default();
        states.append(batch(0, 0, 0, 0));
        states.append(BatchHeader { producer_id: 8, ..transactional(batch(0, 0, 0, 1)) });
        states.expire(1000 + 99, 100);
        assert_eq!(states.len(), 2);
        states.expire(1000 + 100, 100);
        assert_eq!(states.len(), 1);
        assert_eq!(states.client(&batch(0, 42, 42, 2)), Ok(None), "unknown again: any sequence");
    }
}
