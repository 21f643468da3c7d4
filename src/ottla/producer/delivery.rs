//! What becomes of records: one ticket for a batch, shared by the deliveries of its records.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use ottla_producer::Failure;
use ottla_types::{Offset, PartitionIndex};

use super::ProducerError;

/// A batch that was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) base_offset: Option<Offset>,
    pub(super) log_append_time: Option<i64>,
}

/// What the deliveries of one batch share.
#[derive(Debug)]
pub(super) struct Ticket {
    partition: PartitionIndex,
    /// Of the first record, ms since 1970.
    timestamp: i64,
    outcome: OnceLock<Result<Written, Failure>>,
    records: AtomicU32,
    aside: Mutex<Aside>,
}

/// What few records need: both in the order of their places in the batch.
#[derive(Debug, Default)]
struct Aside {
    waiting: Vec<(u32, Waker)>,
    /// Timestamps that are weeks from the first one.
    far: Vec<(u32, i64)>,
}

/// A record's place in its batch, and its timestamp from that of the first one, in ms. One word, as a delivery is two: then it goes
/// through the processor's registers, several times on its way to the application.
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

impl Ticket {
    /// That of a batch that a record opens.
    pub(super) fn new(partition: PartitionIndex, timestamp: i64) -> Ticket {
        Ticket { partition, timestamp, outcome: OnceLock::new(), records: AtomicU32::new(0), aside: Mutex::default() }
    }

    /// The delivery of the record at a place in the batch, which is the last one so far.
    #[inline]
    pub(super) fn delivery(self: Arc<Ticket>, index: u32, timestamp: i64) -> Delivery {
        self.records.store(index + 1, Ordering::Relaxed);
        let after_ms = timestamp.wrapping_sub(self.timestamp);
        if i32::try_from(after_ms).is_err() {
            self.aside().far.push((index, timestamp));
        }
        Delivery { ticket: self, place: Place::new(index, after_ms as i32) }
    }

    /// How many records the batch has.
    pub(super) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed).into()
    }

    /// Tells the outcome to all who wait, and to all who will.
    pub(super) fn settle(&self, outcome: Result<Written, Failure>) {
        if self.outcome.set(outcome).is_ok() {
            let waiting = std::mem::take(&mut self.aside().waiting);
            waiting.into_iter().for_each(|(_, waker)| waker.wake());
        }
    }

    fn aside(&self) -> MutexGuard<'_, Aside> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
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
        let delivered = |written: &Written| Delivered {
            partition: self.ticket.partition,
            offset: written.base_offset.map(|base| base.saturating_add(self.place.index().into())),
            timestamp: written.log_append_time.unwrap_or_else(|| self.timestamp()),
        };
        let outcome = self.ticket.outcome.get()?;
        Some(outcome.as_ref().map(delivered).map_err(|why| ProducerError::Failed(why.clone())))
    }

    fn timestamp(&self) -> i64 {
        let aside = self.ticket.aside();
        match aside.far.binary_search_by_key(&self.place.index(), |(index, _)| *index) {
            Ok(at) => aside.far[at].1,
            Err(_) => self.ticket.timestamp + self.place.after_ms(),
        }
    }
}

impl Future for Delivery {
    type Output = Result<Delivered, ProducerError>;

    fn poll(self: Pin<&mut Delivery>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        {
            let mut aside = self.ticket.aside();
            // Whoever settles it looks at those that wait after the outcome is set.
            if self.ticket.outcome.get().is_none() {
                let index = self.place.index();
                match aside.waiting.binary_search_by_key(&index, |(index, _)| *index) {
                    Ok(at) => aside.waiting[at].1.clone_from(context.waker()),
                    Err(at) => aside.waiting.insert(at, (index, context.waker().clone())),
                }
                return Poll::Pending;
            }
        }
        self.poll(context)
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("partition", &self.partition()).field("outcome", &self.outcome()).finish()
    }
}
