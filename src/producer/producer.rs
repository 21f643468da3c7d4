//! The producer.

use bytes::Bytes;
use ottla_records::compression::CompressionError;
use ottla_types::{BrokerId, PartitionIndex, TopicName};

use crate::{BatchId, Effect, Event, Record, Refusal, Request, Settings};

/// Batches that grow, wait, are under way; `T` is the application's ticket for the records of one batch.
pub struct Producer<T> {
    ticket: Option<T>,
}

/// Where a record was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// The ticket of its batch.
    pub ticket: T,
    /// Its place in the batch, from 0: its offset is that of the batch's first record and this.
    pub index: u32,
    /// Its partition.
    pub partition: PartitionIndex,
    /// A broker's connection has to be told that there is something to send ([`Effect::Wake`]).
    pub wake: Option<BrokerId>,
}

impl<T: Clone> Producer<T> {
    /// Knows of no topic and no broker.
    pub fn new(_settings: Settings) -> Producer<T> {
        unimplemented!()
    }

    /// Puts a record into the open batch of its partition. `ticket` is called when a batch is opened for it. `now_ms`: ms from any
    /// fixed point, as in [`step`](Producer::step).
    pub fn append(
        &mut self,
        _now_ms: u64,
        _topic: &TopicName,
        _record: &Record<'_>,
        _ticket: impl FnOnce() -> T,
    ) -> Result<Placed<T>, Refusal> {
        unimplemented!()
    }

    /// Takes in an event at a time (ms, from any fixed point, never backwards).
    pub fn step(&mut self, _now_ms: u64, _event: Event, _out: &mut Vec<Effect<T>>) {
        unimplemented!()
    }

    /// What a broker is to be sent now on a connection that is there; none: nothing, or enough is under way. The connection is
    /// told by [`Effect::Wake`] when there may be more.
    pub fn next_request(&mut self, _now_ms: u64, _broker: BrokerId) -> Option<Request> {
        unimplemented!()
    }

    /// The bytes of a batch that was given out open. One that has failed meanwhile is not kept.
    pub fn sealed(&mut self, _batch: BatchId, _bytes: Result<Bytes, CompressionError>, _out: &mut Vec<Effect<T>>) {
        unimplemented!()
    }

    /// When [`Event::TimePassed`] is wanted, ms; none: not by the clock.
    pub fn next_deadline(&self) -> Option<u64> {
        unimplemented!()
    }

    /// Bytes of `buffer.memory` that are in use.
    pub fn buffered(&self) -> usize {
        unimplemented!()
    }
}
