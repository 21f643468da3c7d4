//! What becomes of records: one ticket for a batch, shared by the deliveries of its records.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
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
#[derive(Debug)]
pub(super) struct Ticket {
    partition: PartitionIndex,
    /// Of the first record, ms since 1970.
    timestamp: i64,
    /// The first outcome: that of all records, unless the batch was split.
    first: OnceLock<Settled>,
    aside: Mutex<Aside>,
}

/// What became of some of the records.
#[derive(Debug)]
struct Settled {
    records: Range<u32>,
    outcome: Result<Written, Failure>,
}

/// What few tickets need.
#[derive(Debug, Default)]
struct Aside {
    /// In the order of their places in the batch.
    waiting: Vec<(u32, Waker)>,
    /// Timestamps that are weeks from the first one, in the order of their places.
    far: Vec<(u32, i64)>,
    /// The outcomes of a batch that was split, but the first.
    others: Vec<Settled>,
}

impl Ticket {
    /// That of a batch that a record opens.
    pub(super) fn new(partition: PartitionIndex, timestamp: i64) -> Ticket {
        Ticket { partition, timestamp, first: OnceLock::new(), aside: Mutex::default() }
    }

    /// The delivery of the record at a place in the batch, which is the last one so far.
    #[inline]
    pub(super) fn delivery(self: Arc<Ticket>, index: u32, timestamp: i64) -> Delivery {
        let after_ms = timestamp.wrapping_sub(self.timestamp);
        if i32::try_from(after_ms).is_err() {
            lock(&self.aside).far.push((index, timestamp));
        }
        Delivery { ticket: self, place: Place::new(index, after_ms as i32) }
    }

    /// Tells the outcome of some of its records, which is told once, to all who wait for one of them, and to all who will.
    pub(super) fn settle(&self, records: Range<u32>, outcome: Result<Written, Failure>) {
        let settled = Settled { records: records.clone(), outcome };
        let other = self.first.set(settled).err();
        let mut aside = lock(&self.aside);
        aside.others.extend(other);
        let at = |place| aside.waiting.partition_point(|(index, _)| *index < place);
        let concerned = at(records.start)..at(records.end);
        let waiting: Vec<(u32, Waker)> = aside.waiting.drain(concerned).collect();
        drop(aside);
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// What became of a record: its place in what was written with it, and that.
    fn outcome(&self, index: u32) -> Option<Result<(u32, Written), Failure>> {
        let of = |settled: &Settled| {
            let place = index - settled.records.start;
            settled.outcome.clone().map(|written| (place, written))
        };
        let first = self.first.get()?;
        if first.records.contains(&index) {
            return Some(of(first));
        }
        lock(&self.aside).others.iter().find(|settled| settled.records.contains(&index)).map(of)
    }

    fn timestamp(&self, place: Place) -> i64 {
        let aside = lock(&self.aside);
        match aside.far.binary_search_by_key(&place.index(), |(index, _)| *index) {
            Ok(at) => aside.far[at].1,
            Err(_) => self.timestamp + place.after_ms(),
        }
    }
}

/// A record's place in its batch, and its timestamp from that of the first one, in ms. One word, as a delivery is two: so it goes
/// through the processor's registers on its way to the application.
#[derive(Debug, Clone, Copy)]
struct Place(u64);

impl Place {
    fn new(index: u32, after_ms: i32) -> Place {
        Place(u64::from(index) | u64::from(after_ms as u32) << 32)
    }

    fn index(self) -> u32 {
        self.0 as u32
    }

    fn after_ms(self) -> i64 {
        (self.0 as i64) >> 32
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
    place: Place,
}

impl Delivery {
    /// The record's partition, known before the outcome is.
    pub fn partition(&self) -> PartitionIndex {
        self.ticket.partition
    }

    /// The outcome, if there is one already.
    pub fn outcome(&self) -> Option<Result<Delivered, ProducerError>> {
        let delivered = |(place, written): (u32, Written)| Delivered {
            partition: self.ticket.partition,
            offset: written.base_offset.map(|base| base.saturating_add(place.into())),
            timestamp: written.log_append_time.unwrap_or_else(|| self.ticket.timestamp(self.place)),
        };
        Some(self.ticket.outcome(self.place.index())?.map(delivered).map_err(ProducerError::Failed))
    }
}

impl Future for Delivery {
    type Output = Result<Delivered, ProducerError>;

    fn poll(self: Pin<&mut Delivery>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        let index = self.place.index();
        {
            let mut aside = lock(&self.ticket.aside);
            match aside.waiting.binary_search_by_key(&index, |(index, _)| *index) {
                Ok(at) => aside.waiting[at].1.clone_from(context.waker()),
                Err(at) => aside.waiting.insert(at, (index, context.waker().clone())),
            }
        }
        // Once more: whoever settled it in between has looked at those that wait, or will.
        match self.outcome() {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("partition", &self.partition()).field("outcome", &self.outcome()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Woken>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_waits_for_another_part_waits_on_and_is_woken_by_that_alone() {
        let ticket = Arc::new(Ticket::new(7, 5));
        let mut waits = [3, 0, 2].map(|index| (ticket.clone().delivery(index, 5), Arc::<Woken>::default()));
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
        assert_eq!(waits.each_mut().map(look), [(None, false), (Some(Some(10)), true), (None, false)]);
        assert_eq!(all(&mut waits)[0], (None, false));
        ticket.settle(3..4, written(20));
        assert_eq!(look(&mut waits[0]), (Some(Some(20)), true));
        assert_eq!(look(&mut waits[2]), (None, false));
        ticket.settle(2..3, Err(Failure::Closed));
        assert_eq!(look(&mut waits[2]), (Some(None), true));
    }

    #[test]
    fn a_records_own_time_is_told_however_far_it_is_from_that_of_the_first() {
        let ticket = Arc::new(Ticket::new(0, 100));
        let edge = i64::from(i32::MAX);
        let times = [100, 99, 100 + edge, 101 + edge, 99 - edge, 98 - edge, i64::MAX, i64::MIN, 101];
        let deliveries = (0..).zip(times).map(|(index, time)| ticket.clone().delivery(index, time));
        let deliveries: Vec<Delivery> = deliveries.collect();
        ticket.settle(0..9, Ok(Written { base_offset: Some(5), log_append_time: None }));
        let told = deliveries.iter().map(|delivery| delivery.outcome().unwrap().unwrap());
        let expected =
            (5..).zip(times).map(|(offset, timestamp)| Delivered { partition: 0, offset: Some(offset), timestamp });
        assert!(told.eq(expected));
    }
}
