//! A partition that is being delivered: how far it was handed out, how far it was consumed, and whether it may go on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottla_classic::Position;
use ottla_types::{Offset, TopicPartition};

use super::queue::StreamQueue;

/// Set in `handed` when the delivery has ended: no offset has this bit.
const ENDED: i64 = i64::MIN;

/// One delivery of a partition, from the start or a seek to the stop. What was fetched for one is never handed out by
/// another: each chunk names its own.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) partition: TopicPartition,
    pub(super) queue: Arc<StreamQueue>,
    /// The offset after the last record handed out. One exchange both claims the right to hand out a record and sees whether
    /// the delivery has ended: what is committed after the end misses nothing.
    handed: AtomicI64,
    /// The offset after the last record that the application has done with.
    consumed: AtomicI64,
    /// Whether the application has sought, and `consumed` may lie behind what is committed; until it was reported.
    sought: AtomicBool,
    /// Where to fetch next: behind what waits in the queue.
    pub(super) fetch: AtomicI64,
    /// The end of the partition, as the last answer said; -1: not known yet.
    pub(super) log_end: AtomicI64,
    /// Chunks that wait in the stream's queue.
    pub(super) queued: AtomicUsize,
}

impl Delivery {
    pub(super) fn new(partition: TopicPartition, queue: Arc<StreamQueue>, offset: Offset, sought: bool) -> Delivery {
        Delivery {
            partition,
            queue,
            handed: offset.into(),
            consumed: offset.into(),
            sought: sought.into(),
            fetch: offset.into(),
            log_end: (-1).into(),
            queued: 0.into(),
        }
    }

    /// Claims the record before `next`; `false` if the delivery has ended.
    #[inline]
    pub(super) fn hand_out(&self, next: Offset) -> bool {
        let before = self.handed.load(Ordering::Relaxed);
        before >= 0 && self.handed.compare_exchange(before, next, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Nothing is left before `offset`: fetches go on there, and so does the position when all that was fetched is handed out.
    pub(super) fn skip_to(&self, offset: Offset) {
        let before = self.fetch.swap(offset, Ordering::AcqRel);
        if self.handed.compare_exchange(before, offset, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            // Unless the application still works on the last one: its stream says when it has done.
            let _ = self.consumed.compare_exchange(before, offset, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// The application has done with all that was handed out.
    #[inline]
    pub(super) fn consume(&self) {
        // Only the stream that calls this hands out, so `handed` does not grow between the two.
        self.consumed.store(self.handed.load(Ordering::Relaxed) & !ENDED, Ordering::Release);
    }

    /// What was handed out counts as consumed, from another task than the stream's.
    pub(super) fn consume_all(&self) {
        self.consumed.fetch_max(self.handed(), Ordering::AcqRel);
    }

    /// No record is handed out from here on. Its chunks leave the queue.
    pub(super) fn end(&self) {
        self.handed.fetch_or(ENDED, Ordering::AcqRel);
        self.queue.purge(self);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.handed.load(Ordering::Acquire) < 0
    }

    /// Whether the application holds a record that it has not done with.
    pub(super) fn is_held(&self) -> bool {
        self.consumed.load(Ordering::Acquire) != self.handed.load(Ordering::Acquire) & !ENDED
    }

    /// The offset after the last record handed out.
    pub(super) fn handed(&self) -> Offset {
        self.handed.load(Ordering::Acquire) & !ENDED
    }

    /// The offset after the last record that consumers may see, once an answer has said it.
    pub(super) fn log_end(&self) -> Option<Offset> {
        Some(self.log_end.load(Ordering::Relaxed)).filter(|end| *end >= 0)
    }

    /// How far it was consumed, for a report: that the application has sought is said once.
    pub(super) fn report(&self) -> Position {
        Position { sought: self.sought.swap(false, Ordering::AcqRel), offset: self.consumed.load(Ordering::Acquire) }
    }
}

/// The deliveries that have not ended, by partition.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    by_partition: Mutex<BTreeMap<TopicPartition, Arc<Delivery>>>,
}

impl Deliveries {
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Arc<Delivery>>> {
        self.by_partition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, partition: &TopicPartition) -> Option<Arc<Delivery>> {
        self.lock().get(partition).cloned()
    }

    /// Ends the delivery of a partition and puts another in its place, from `offset` on; `None` if there is none.
    pub(super) fn restart(&self, partition: &TopicPartition, offset: Offset) -> Option<Arc<Delivery>> {
        let mut deliveries = self.lock();
        let slot = deliveries.get_mut(partition).filter(|delivery| !delivery.has_ended())?;
        Some(replace(slot, offset, true))
    }

    /// The same for one delivery, from where it was read to.
    pub(super) fn renew(&self, delivery: &Arc<Delivery>) -> Option<Arc<Delivery>> {
        let mut deliveries = self.lock();
        let slot = deliveries.get_mut(&delivery.partition)?;
        if !Arc::ptr_eq(slot, delivery) || slot.has_ended() {
            return None;
        }
        Some(replace(slot, delivery.handed(), delivery.sought.load(Ordering::Acquire)))
    }
}

/// Ends a delivery and puts another in its place.
fn replace(slot: &mut Arc<Delivery>, offset: Offset, sought: bool) -> Arc<Delivery> {
    let next = Arc::new(Delivery::new(slot.partition.clone(), slot.queue.clone(), offset, sought));
    std::mem::replace(slot, next.clone()).end();
    next
}
