//! What becomes of records: one ticket for a batch, shared by the deliveries of its records.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use ottla_producer::Failure;
use ottla_types::{Offset, PartitionIndex};

use super::ProducerError;
use super::shared::lock;

/// A batch that was written, or a part of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    /// That of its first record.
    pub(super) base_offset: Option<Offset>,
    pub(super) log_append_time: Option<i64>,
}

/// What the deliveries of one batch share.
#[derive(Debug, Default)]
pub(super) struct Ticket {
    outcome: OnceLock<Outcome>,
    waiting: Mutex<Vec<Waker>>,
    records: AtomicU32,
}

/// What became of the records of a batch.
#[derive(Debug)]
enum Outcome {
    /// The same of all.
    Whole(Result<Written, Failure>),
    /// The batch was split: its parts that have their outcomes, by their first records.
    Parts(Mutex<BTreeMap<u32, Part>>),
}

#[derive(Debug)]
struct Part {
    /// The first record behind it.
    end: u32,
    outcome: Result<Written, Failure>,
}

impl Ticket {
    /// Another record is in the batch.
    pub(super) fn count(&self, records: u32) {
        self.records.store(records, Ordering::Relaxed);
    }

    /// Tells the outcome of some of its records to all who wait, and to all who will.
    pub(super) fn settle(&self, records: Range<u32>, outcome: Result<Written, Failure>) {
        if records == (0..self.records.load(Ordering::Relaxed)) {
            if self.outcome.set(Outcome::Whole(outcome)).is_ok() {
                let waiting = std::mem::take(&mut *lock(&self.waiting));
                waiting.into_iter().for_each(Waker::wake);
            }
            return;
        }
        if let Outcome::Parts(parts) = self.outcome.get_or_init(|| Outcome::Parts(Mutex::default())) {
            lock(parts).insert(records.start, Part { end: records.end, outcome });
        }
        // Whose record is in another part waits on, at the same place.
        let waiting = lock(&self.waiting).clone();
        waiting.into_iter().for_each(Waker::wake);
    }

    /// What became of a record: its place in what was written with it, and that.
    fn outcome(&self, index: u32) -> Option<Result<(u32, Written), Failure>> {
        match self.outcome.get()? {
            Outcome::Whole(outcome) => Some(outcome.as_ref().map(|written| (index, *written)).map_err(Failure::clone)),
            Outcome::Parts(parts) => {
                let parts = lock(parts);
                let (first, Part { end, outcome }) = parts.range(..=index).next_back()?;
                (index < *end).then(|| outcome.clone().map(|written| (index - first, written)))
            }
        }
    }
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// Its partition.
    pub partition: PartitionIndex,
    /// Its offset; none with acks=0, and when the broker knows only that it has the record.
    pub offset: Option<Offset>,
    /// Its time, in ms since 1970: the broker's if the topic has log append time.
    pub timestamp: i64,
}

/// The outcome of a record that was sent, to be awaited, or dropped if nobody wants to know: the record is sent all the same.
///
/// Costs nothing until it is awaited: all records of a batch share one allocation.
///
/// # Errors
/// [`ProducerError::Failed`]: the record was not delivered, or nobody can say.
pub struct Delivery {
    ticket: Arc<Ticket>,
    index: u32,
    partition: PartitionIndex,
    timestamp: i64,
    /// Where its waker is among those that wait.
    slot: Option<u32>,
}

impl Delivery {
    pub(super) fn new(ticket: Arc<Ticket>, index: u32, partition: PartitionIndex, timestamp: i64) -> Delivery {
        Delivery { ticket, index, partition, timestamp, slot: None }
    }

    /// The record's partition, known before the outcome is.
    pub fn partition(&self) -> PartitionIndex {
        self.partition
    }

    /// The outcome, if there is one already.
    pub fn outcome(&self) -> Option<Result<Delivered, ProducerError>> {
        let delivered = |(place, written): (u32, Written)| Delivered {
            partition: self.partition,
            offset: written.base_offset.map(|base| base.saturating_add(place.into())),
            timestamp: written.log_append_time.unwrap_or(self.timestamp),
        };
        Some(self.ticket.outcome(self.index)?.map(delivered).map_err(ProducerError::Failed))
    }
}

impl Future for Delivery {
    type Output = Result<Delivered, ProducerError>;

    fn poll(mut self: Pin<&mut Delivery>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        let ticket = Arc::clone(&self.ticket);
        let mut waiting = lock(&ticket.waiting);
        // Once more: whoever settled it in between has looked at those that wait, or will.
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        match self.slot.and_then(|slot| waiting.get_mut(slot as usize)) {
            Some(waker) => waker.clone_from(context.waker()),
            None => {
                self.slot = Some(waiting.len() as u32);
                waiting.push(context.waker().clone());
            }
        }
        Poll::Pending
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("partition", &self.partition).field("outcome", &self.outcome()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32 as Count;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(Count);

    impl Wake for Woken {
        fn wake(self: Arc<Woken>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_waits_for_another_part_waits_on_and_is_woken_by_that() {
        let ticket = Arc::new(Ticket::default());
        ticket.count(4);
        let mut waits = [3, 0, 2].map(|index| (Delivery::new(ticket.clone(), index, 7, 5), Arc::<Woken>::default()));
        let look = |(delivery, woken): &mut (Delivery, Arc<Woken>)| {
            let outcome = Pin::new(delivery).poll(&mut Context::from_waker(&woken.clone().into()));
            let offset = match outcome {
                Poll::Pending => None,
                Poll::Ready(outcome) => Some(outcome.ok().and_then(|delivered| delivered.offset)),
            };
            (offset, woken.0.load(Ordering::Relaxed) > 0)
        };
        let all = |waits: &mut [(Delivery, Arc<Woken>); 3]| {
            waits.iter().for_each(|(_, woken)| woken.0.store(0, Ordering::Relaxed));
            waits.each_mut().map(look)
        };
        assert_eq!(all(&mut waits).map(|(offset, _)| offset), [None; 3]);
        let written = |base| Ok(Written { base_offset: Some(base), log_append_time: None });
        ticket.settle(0..2, written(10));
        assert_eq!(waits.each_mut().map(look), [(None, true), (Some(Some(10)), true), (None, true)]);
        assert_eq!(all(&mut waits)[0], (None, false));
        ticket.settle(3..4, written(20));
        assert_eq!(look(&mut waits[0]), (Some(Some(20)), true));
        assert_eq!(look(&mut waits[2]), (None, true));
        assert_eq!(all(&mut waits)[2], (None, false));
        ticket.settle(2..3, Err(Failure::Closed));
        assert_eq!(look(&mut waits[2]), (Some(None), true));
    }
}
