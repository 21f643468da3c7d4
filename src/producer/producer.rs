//! The producer: its parts, and what is done with a record.

use std::collections::{BTreeMap, BTreeSet};

use ottla_records::builder::{BatchBuilder, BatchFields, single_record_len};
use ottla_types::{BrokerId, PartitionIndex, TopicName};

use crate::batch::{Batch, Held};
use crate::broker::{Brokers, PartitionKey};
use crate::memory::Memory;
use crate::partition::Rules;
use crate::partitioner::partition_for_key;
use crate::sequences::Identity;
use crate::sticky::{Lots, Sticky, choose};
use crate::topic::{Known, Topics};
use crate::{Acks, BatchId, Effect, Event, Record, Refusal, RequestId, Settings};

/// Most batches of a partition under way: as many as a broker remembers of a producer, to tell those that come twice.
const MAX_IN_FLIGHT: usize = 5;

/// Batches that grow, wait, are under way; `T` is the application's ticket for the records of one batch.
pub struct Producer<T> {
    pub(crate) settings: Settings,
    pub(crate) topics: Topics<T>,
    pub(crate) brokers: Brokers,
    pub(crate) memory: Memory,
    lots: Lots,
    pub(crate) timers: BTreeSet<(u64, Alarm)>,
    pub(crate) requests: BTreeMap<RequestId, Sent>,
    /// Batches whose bytes the driver makes.
    pub(crate) given_out: BTreeMap<BatchId, PartitionKey>,
    pub(crate) last_request: RequestId,
    pub(crate) last_batch: BatchId,
    /// What partitions without an identity get.
    pub(crate) producer_id: Option<Identity>,
    /// A producer id has been asked for.
    pub(crate) asked: bool,
    /// Batches without an outcome.
    pub(crate) unresolved: usize,
    pub(crate) flushes: Vec<Flush>,
    pub(crate) stage: Stage,
    /// Batches do not linger since somebody waits for memory.
    pub(crate) hurried: bool,
}

/// What the clock is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// A batch has lingered, is too old, or may be sent again.
    Partition(PartitionKey),
    /// A connection may be tried again.
    Broker(BrokerId),
    /// A producer id may be asked for again.
    ProducerId,
    /// Somebody was refused for want of memory.
    Memory,
}

/// A request without an answer.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) broker: BrokerId,
    pub(crate) batches: Vec<SentBatch>,
}

/// A batch in a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SentBatch {
    pub(crate) key: PartitionKey,
    /// That of the partition.
    pub(crate) generation: u64,
    pub(crate) batch: BatchId,
}

/// Somebody who waits for the batches of a moment.
#[derive(Debug)]
pub(crate) struct Flush {
    pub(crate) token: u64,
    /// The last batch that it waits for, and all parts of those up to it.
    pub(crate) last: BatchId,
    /// How many of them have no outcome.
    pub(crate) left: usize,
}

/// Whether records are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    Running,
    /// What was taken is delivered.
    Closing,
    /// All has its outcome.
    Closed,
    /// It cannot go on.
    Fatal(String),
}

/// Where a record was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// The ticket of its batch.
    pub ticket: T,
    /// Its place among the ticket's records, from 0: if they are written as one batch, its offset is that of the first one and this.
    pub index: u32,
    /// Its partition.
    pub partition: PartitionIndex,
    /// A broker's connection has to be told that there is something to send ([`Effect::Wake`]).
    pub wake: Option<BrokerId>,
}

impl<T: Clone> Producer<T> {
    /// Knows of no topic and no broker.
    pub fn new(settings: Settings) -> Producer<T> {
        let largest = settings.max_request_size.min(settings.buffer_memory).min(i32::MAX as usize);
        let batch_limit = settings.batch_size.min(largest);
        Producer {
            topics: Topics::new(batch_limit),
            brokers: Brokers::default(),
            memory: Memory::new(settings.buffer_memory, batch_limit),
            lots: Lots::new(settings.seed),
            timers: BTreeSet::new(),
            requests: BTreeMap::new(),
            given_out: BTreeMap::new(),
            last_request: 0,
            last_batch: 0,
            producer_id: None,
            asked: false,
            unresolved: 0,
            flushes: Vec::new(),
            stage: Stage::Running,
            hurried: false,
            settings,
        }
    }

    /// Puts a record into the open batch of its partition. `ticket` is called with the partition when a batch is opened for it.
    /// `now_ms`: ms from any fixed point, as in [`step`](Producer::step). [`next_deadline`](Producer::next_deadline) may be earlier than before when
    /// a ticket was asked for, and after [`Refusal::Full`].
    ///
    /// # Errors
    /// A [`Refusal`]; the record is in no batch.
    #[inline]
    pub fn append(
        &mut self,
        now_ms: u64,
        topic: &TopicName,
        record: &Record<'_>,
        ticket: impl FnOnce(PartitionIndex) -> T,
    ) -> Result<Placed<T>, Refusal> {
        let Some(at) = self.topics.find(topic) else { return Err(self.refusal(topic, None)) };
        let known = self.topics.get_mut(at);
        let limit = known.batch_limit;
        let mut sticky = false;
        let place = match (record.partition, record.key) {
            (Some(index), _) => known.place(index),
            (None, Some(key)) if !self.settings.ignore_keys => {
                let place = partition_for_key(self.settings.key_hash, key, known.partitions.len() as i32);
                Some(place as usize)
            }
            (None, _) => {
                sticky = true;
                known.sticky.place
            }
        };
        if matches!(self.stage, Stage::Running)
            && known.known == Known::Present
            && let Some(place) = place
            && let Some(partition) = known.partitions.get_mut(place)
            && let Some(batch) = partition.queue.back_mut()
            && let Some(size) = batch.append(limit, record)
        {
            let index = batch.count - 1;
            let placed = Placed { ticket: batch.ticket.clone(), index, partition: partition.index, wake: None };
            known.sticky.produced += if sticky { size } else { 0 };
            return Ok(placed);
        }
        self.open(now_ms, (at, place, sticky), record, ticket)
    }

    /// Puts a record into a new batch, of another partition perhaps.
    #[cold]
    fn open(
        &mut self,
        now_ms: u64,
        (at, place, sticky): (usize, Option<usize>, bool),
        record: &Record<'_>,
        ticket: impl FnOnce(PartitionIndex) -> T,
    ) -> Result<Placed<T>, Refusal> {
        let topic = self.topics.get(at);
        if self.stage != Stage::Running || topic.known != Known::Present || topic.partitions.is_empty() {
            return Err(self.refusal(&topic.name, record.partition));
        }
        let size = single_record_len(record.key, record.value, record.headers);
        let limits = [("max.request.size", self.settings.max_request_size), ("buffer.memory", self.memory.limit())];
        for (key, limit) in limits {
            if size > limit.min(i32::MAX as usize) {
                return Err(Refusal::TooLarge { size, key, limit });
            }
        }
        let place = match place {
            place if sticky => {
                let chosen = self.stick(at, size);
                let topic = self.topics.get_mut(at);
                let limit = topic.batch_limit;
                let partition = &mut topic.partitions[chosen];
                if place != Some(chosen)
                    && let Some(batch) = partition.queue.back_mut()
                    && let Some(size) = batch.append(limit, record)
                {
                    topic.sticky.produced += size;
                    let (ticket, index) = (batch.ticket.clone(), batch.count - 1);
                    return Ok(Placed { ticket, index, partition: partition.index, wake: None });
                }
                chosen
            }
            Some(place) => place,
            None => return Err(self.refusal(&topic.name, record.partition)),
        };
        let capacity = size.max(self.topics.get(at).batch_limit);
        if !self.memory.take(capacity) {
            self.timers.insert((now_ms, Alarm::Memory));
            return Err(Refusal::Full { limit: self.memory.limit() });
        }
        let fields = BatchFields::new(0, self.settings.codec);
        let mut builder = BatchBuilder::with_buffer(fields, self.memory.buffer(capacity));
        builder.append(record.timestamp, record.key, record.value, record.headers);
        self.last_batch += 1;
        self.unresolved += 1;
        let index = self.topics.get(at).partitions[place].index;
        let ticket = ticket(index);
        let batch = Batch {
            id: self.last_batch,
            opened_as: self.last_batch,
            ticket: ticket.clone(),
            first_record: 0,
            content: Held::Open(builder),
            capacity,
            count: 1,
            hurried: false,
            ready_at: now_ms.saturating_add(self.settings.linger_ms),
            deadline: now_ms.saturating_add(self.settings.delivery_timeout_ms),
            base_sequence: None,
            flight: None,
            tries: 0,
            excused: 0,
            may_be_written: false,
            whole_may_be_written: false,
            obstacle: None,
        };
        let topic = self.topics.get_mut(at);
        let partition = &mut topic.partitions[place];
        let idle = partition.queue.is_empty() && partition.outstanding == 0;
        if idle && now_ms.saturating_sub(partition.delivered_at) > self.settings.delivery_timeout_ms {
            // The broker may have forgotten this producer.
            partition.sequences.proven = false;
        }
        partition.queue.push_back(batch);
        topic.sticky.produced += if sticky { size } else { 0 };
        let wake = self.list(now_ms, (at, index));
        self.arm(now_ms, (at, index));
        Ok(Placed { ticket, index: 0, partition: index, wake })
    }

    /// The place that a record without a key goes to if it needs a new batch where the last one went: the same until that has
    /// had a batch's worth.
    fn stick(&mut self, at: usize, size: usize) -> usize {
        let topic = self.topics.get(at);
        let reachable = |place: usize| self.brokers.is_reachable(topic.partitions[place].leadership.leader);
        if let Some(place) = topic.sticky.place
            && place < topic.partitions.len()
            && topic.sticky.produced + size <= self.settings.batch_size
            && reachable(place)
        {
            return place;
        }
        let queues = (0..topic.partitions.len()).map(|place| (topic.partitions[place].queue.len(), reachable(place)));
        let chosen = choose(&mut self.lots, queues).unwrap_or(0);
        self.topics.get_mut(at).sticky = Sticky { place: Some(chosen), produced: 0 };
        chosen
    }

    /// Why a record for this topic cannot be taken at all.
    #[cold]
    fn refusal(&self, name: &TopicName, partition: Option<PartitionIndex>) -> Refusal {
        match &self.stage {
            Stage::Running => {}
            Stage::Closing | Stage::Closed => return Refusal::Closed,
            Stage::Fatal(why) => return Refusal::Fatal(why.clone()),
        }
        let Some(topic) = self.topics.look_up(name) else { return Refusal::UnknownTopic(name.to_string()) };
        match topic.known {
            Known::Unknown => Refusal::UnknownTopic(name.to_string()),
            Known::Missing => Refusal::MissingTopic(name.to_string()),
            Known::Present => Refusal::NoSuchPartition {
                topic: name.to_string(),
                partition: partition.unwrap_or_default(),
                count: topic.partitions.len(),
            },
        }
    }

    /// Takes in an event at a time (ms, from any fixed point, never backwards).
    pub fn step(&mut self, now_ms: u64, event: Event, out: &mut Vec<Effect<T>>) {
        match event {
            Event::View(change) => self.changed(now_ms, change, out),
            Event::Connected { broker } => self.connected(broker, out),
            Event::Disconnected { broker, why } => self.disconnected(now_ms, broker, why, out),
            Event::Answered { broker, request, outcome } => self.answered(now_ms, broker, request, outcome, out),
            Event::ProducerId { outcome } => self.identified(now_ms, outcome, out),
            Event::FlushAsked { token } => self.flush(now_ms, token, out),
            Event::CloseAsked => self.close(now_ms, out),
            Event::Abandoned => self.abandon(out),
            Event::TimePassed => self.time_passed(now_ms, out),
        }
        self.settle(now_ms, out);
    }

    /// When [`Event::TimePassed`] is wanted, ms; none: not by the clock. Changed by everything that needs the producer `mut`.
    #[inline]
    pub fn next_deadline(&self) -> Option<u64> {
        self.timers.first().map(|(deadline, _)| *deadline)
    }

    /// Bytes of `buffer.memory` that are in use.
    pub fn buffered(&self) -> usize {
        self.memory.used()
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules {
            idempotent: self.settings.idempotent,
            in_flight: self.settings.max_in_flight.min(MAX_IN_FLIGHT),
            hurry: self.stage == Stage::Closing || self.hurried,
        }
    }

    /// Puts a partition into its leader's list if it has something to be sent; who is to be woken.
    pub(crate) fn list(&mut self, now_ms: u64, key: PartitionKey) -> Option<BrokerId> {
        let rules = self.rules();
        let partition = self.topics.partition_mut(key)?;
        let leader = partition.leadership.leader?;
        let lane = self.brokers.get_mut(leader).filter(|lane| lane.registration.is_some())?;
        let place = partition.next(now_ms, rules)?;
        lane.due |= partition.queue[place].is_due(now_ms, rules.hurry);
        if partition.listed != Some(leader) {
            partition.listed = Some(leader);
            lane.ready.push_back(key);
        }
        lane.wake(now_ms, self.settings.max_in_flight).then_some(leader)
    }

    /// Sees to it that a partition is looked at when something is due.
    pub(crate) fn arm(&mut self, now_ms: u64, key: PartitionKey) {
        let Some(partition) = self.topics.partition_mut(key) else { return };
        let Some(deadline) = partition.next_deadline(now_ms) else { return };
        if partition.alarm.is_some_and(|alarm| alarm <= deadline) {
            return;
        }
        if let Some(later) = partition.alarm.replace(deadline) {
            self.timers.remove(&(later, Alarm::Partition(key)));
        }
        self.timers.insert((deadline, Alarm::Partition(key)));
    }

    /// Whether brokers answer at all.
    pub(crate) fn is_answered(&self) -> bool {
        self.settings.acks != Acks::None
    }
}
