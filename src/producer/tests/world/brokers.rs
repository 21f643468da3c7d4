//! Brokers: who they think leads, requests in the order in which they came, and batches that wait for all in-sync replicas.
//!
//! Replication is simple: the log of whoever was told last to lead is the partition's. What all in-sync replicas have stays;
//! of the rest a new leader has a part. A leader that has not heard of its successor goes on in a log of its own.

use std::collections::{BTreeMap, VecDeque};

use ottla_producer::{Acks, PartitionAnswer, RequestId, Stamp};
use ottla_types::{BrokerId, Offset, TopicName, TopicPartition};
use rand::RngExt;

use super::World;
use super::log::{DUPLICATE_SEQUENCE_NUMBER, Log};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const LEADER_NOT_AVAILABLE: i16 = 5;
const NOT_LEADER_OR_FOLLOWER: i16 = 6;
const REQUEST_TIMED_OUT: i16 = 7;
pub(crate) const MESSAGE_TOO_LARGE: i16 = 10;
const NOT_ENOUGH_REPLICAS: i16 = 19;
const NOT_ENOUGH_REPLICAS_AFTER_APPEND: i16 = 20;
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
const KAFKA_STORAGE_ERROR: i16 = 56;
const INVALID_RECORD: i16 = 87;

/// What a broker has heard of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) incarnation: u64,
    pub(crate) epoch: i32,
    pub(crate) leader: Option<BrokerId>,
    pub(crate) leads: bool,
}

/// A produce request on its way.
pub(crate) struct Wire {
    pub(crate) id: RequestId,
    pub(crate) batches: Vec<Written>,
}

/// A batch on its way.
pub(crate) struct Written {
    pub(crate) partition: TopicPartition,
    pub(crate) stamp: Stamp,
    pub(crate) values: Vec<u64>,
    /// How many it takes.
    pub(crate) bytes: usize,
}

/// A connection as the broker sees it.
#[derive(Default)]
struct Connection {
    /// Requests without an answer, in the order in which they came.
    outstanding: VecDeque<RequestId>,
    /// Their answers, if they are not the first; none: it gets none.
    done: BTreeMap<RequestId, Option<Vec<PartitionAnswer>>>,
    /// Requests that are looked at when the one before is answered.
    backlog: VecDeque<Wire>,
    /// Answers are lost from here on.
    closed: bool,
}

/// What becomes of a batch of a request.
enum Slot {
    Done(PartitionAnswer),
    /// It waits for all in-sync replicas.
    Pending {
        incarnation: u64,
        base_offset: Offset,
        end: Offset,
        /// It is in a log that nobody follows any more.
        forked: bool,
    },
}

struct Waiting {
    link: u64,
    request: RequestId,
    slots: Vec<(TopicPartition, Vec<u64>, Slot)>,
}

pub(crate) struct Broker {
    pub(crate) id: BrokerId,
    pub(crate) up: bool,
    /// Counts its starts.
    pub(crate) life: u64,
    pub(crate) port: u16,
    pub(crate) session: Option<i64>,
    /// When it hears the last that the controller has told it, ms.
    pub(crate) hears_ms: u64,
    /// Its followers do not come until then, ms.
    pub(crate) stalled_until: u64,
    /// It takes so much longer for everything until then, ms.
    pub(crate) slow: (u64, u64),
    pub(crate) told: BTreeMap<TopicPartition, Told>,
    forks: BTreeMap<TopicPartition, Log>,
    connections: BTreeMap<u64, Connection>,
    queue: VecDeque<(u64, Wire)>,
    busy: bool,
    waiting: Vec<Waiting>,
}

impl Broker {
    pub(crate) fn new(id: BrokerId, port: u16) -> Broker {
        Broker {
            id,
            up: false,
            life: 0,
            port,
            session: None,
            hears_ms: 0,
            stalled_until: 0,
            slow: (0, 0),
            told: BTreeMap::new(),
            forks: BTreeMap::new(),
            connections: BTreeMap::new(),
            queue: VecDeque::new(),
            busy: false,
            waiting: vec![],
        }
    }

    /// Whether a request about a partition is in here.
    fn concerns(&self, partition: &TopicPartition) -> bool {
        let about = |wire: &Wire| wire.batches.iter().any(|batch| batch.partition == *partition);
        self.queue.iter().any(|(_, wire)| about(wire))
            || self.connections.values().any(|connection| connection.backlog.iter().any(about))
            || self.waiting.iter().any(|waiting| waiting.slots.iter().any(|(of, _, _)| of == partition))
    }
}

fn answer(partition: &TopicPartition, error_code: i16, base_offset: Offset) -> PartitionAnswer {
    PartitionAnswer {
        topic: partition.topic.clone(),
        partition: partition.partition,
        error_code,
        message: None,
        base_offset,
        log_append_time: -1,
    }
}

impl World {
    /// A broker hears who leads.
    pub(crate) fn broker_told(&mut self, id: BrokerId, life: u64, partition: &TopicPartition, told: Told) {
        let current = self.incarnation(&partition.topic) == Some(told.incarnation);
        let broker = self.brokers.get_mut(&id).expect("it was added");
        let known = broker.told.get(partition).filter(|known| known.incarnation == told.incarnation);
        if !broker.up || broker.life != life || !current || known.is_some_and(|known| known.epoch >= told.epoch) {
            return;
        }
        broker.told.insert(partition.clone(), told);
        self.note(|| format!("broker {id} hears of {partition}: {told:?}"));
        if told.leads {
            self.take_over(id, partition, told);
        } else {
            self.resign(id, partition);
        }
    }

    fn resign(&mut self, id: BrokerId, partition: &TopicPartition) {
        self.brokers.get_mut(&id).expect("it was added").forks.remove(partition);
        self.settle(id, partition, |_| Some((NOT_LEADER_OR_FOLLOWER, -1)));
    }

    /// A broker begins to lead with what it has.
    fn take_over(&mut self, id: BrokerId, partition: &TopicPartition, told: Told) {
        let life = self.brokers[&id].life;
        let Some(found) =
            self.topics.get_mut(&partition.topic).and_then(|t| t.partitions.get_mut(partition.partition as usize))
        else {
            return;
        };
        if found.writer_epoch >= told.epoch {
            // It hears of its office when it has lost it, and has what was written before.
            let mut log = found.log.clone();
            let keep = log.entries.iter().take_while(|entry| entry.leader_epoch < told.epoch).count();
            log.truncate(keep);
            self.brokers.get_mut(&id).expect("it was added").forks.insert(partition.clone(), log);
            return;
        }
        found.writer_epoch = told.epoch;
        if found.writer != Some((id, life)) {
            let before = found.writer.replace((id, life));
            let keep = self.random.random_range(found.committed..=found.log.entries.len());
            if let Some((old, old_life)) = before
                && let Some(old) = self.brokers.get_mut(&old).filter(|old| old.up && old.life == old_life)
            {
                old.forks.insert(partition.clone(), found.log.clone());
                let pending = old.waiting.iter_mut().flat_map(|waiting| &mut waiting.slots);
                for (_, _, slot) in pending.filter(|(of, _, _)| of == partition) {
                    if let Slot::Pending { forked, .. } = slot {
                        *forked = true;
                    }
                }
            }
            let dropped = found.log.truncate(keep);
            let acknowledged = dropped.iter().filter(|entry| entry.acknowledged);
            let before = self.application.lost.len();
            self.application.lost.extend(acknowledged.flat_map(|entry| &entry.values));
            if self.application.lost.len() > before {
                self.tried.insert("acknowledged records were lost with their leader");
            }
            self.note(|| format!("{partition}: broker {id} keeps {keep} batches and has not {}", dropped.len()));
            // What it wrote when it led before is not the partition's any more.
            self.resign(id, partition);
        }
        self.replicate(partition);
    }

    /// In-sync replicas get what the leader has, after a while.
    fn replicate(&mut self, partition: &TopicPartition) {
        let Some(incarnation) = self.incarnation(&partition.topic) else { return };
        let Some(found) = self.partition(partition) else { return };
        let (epoch, upto, partition) = (found.writer_epoch, found.log.entries.len(), partition.clone());
        let delay = self.between(self.profile.commit_ms);
        self.after(delay, move |world| world.commit(&partition, incarnation, epoch, upto));
    }

    fn commit(&mut self, partition: &TopicPartition, incarnation: u64, epoch: i32, upto: usize) {
        if self.incarnation(&partition.topic) != Some(incarnation) {
            return;
        }
        let Some(found) = self.partition(partition).filter(|found| found.writer_epoch == epoch) else { return };
        let Some((id, life)) = found.writer else { return };
        let broker = &self.brokers[&id];
        if !broker.up || broker.life != life || !broker.told.get(partition).is_some_and(|told| told.leads) {
            return;
        }
        if broker.stalled_until > self.now {
            let (at, partition) = (broker.stalled_until, partition.clone());
            return self.at(at, move |world| world.commit(&partition, incarnation, epoch, upto));
        }
        let Some(found) = self.partition_mut(partition) else { return };
        found.committed = found.committed.max(upto);
        let end = found.log.entries.get(found.committed.wrapping_sub(1)).map_or(0, super::log::Entry::end);
        self.settle(id, partition, |slot| match slot {
            Slot::Pending { incarnation: of, end: needs, forked: false, base_offset } => {
                (*of == incarnation && *needs <= end).then_some((0, *base_offset))
            }
            _ => None,
        });
    }

    /// Batches that wait get their answers, if they get one from `outcome`.
    fn settle(&mut self, id: BrokerId, partition: &TopicPartition, outcome: impl Fn(&Slot) -> Option<(i16, Offset)>) {
        let broker = self.brokers.get_mut(&id).expect("it was added");
        for waiting in &mut broker.waiting {
            for (of, values, slot) in waiting.slots.iter_mut().filter(|(of, _, _)| of == partition) {
                if !matches!(slot, Slot::Pending { .. }) {
                    continue;
                }
                if let Some((code, base_offset)) = outcome(slot) {
                    if code != 0 {
                        self.application.doubtful.extend(values.iter());
                    }
                    *slot = Slot::Done(answer(of, code, base_offset));
                }
            }
        }
        self.answer_waiting(id);
    }

    fn answer_waiting(&mut self, id: BrokerId) {
        let broker = self.brokers.get_mut(&id).expect("it was added");
        let done = |waiting: &Waiting| waiting.slots.iter().all(|(_, _, slot)| matches!(slot, Slot::Done(_)));
        let (ready, waiting) = std::mem::take(&mut broker.waiting).into_iter().partition(done);
        broker.waiting = waiting;
        for waiting in ready {
            let answers = waiting.slots.into_iter().filter_map(|(_, _, slot)| match slot {
                Slot::Done(answer) => Some(answer),
                Slot::Pending { .. } => None,
            });
            self.answer(id, waiting.link, waiting.request, Some(answers.collect()));
        }
    }

    /// `request.timeout.ms` of a request that waits is over.
    fn wait_no_longer(&mut self, id: BrokerId, link: u64, request: RequestId) {
        let broker = self.brokers.get_mut(&id).expect("it was added");
        let found = broker.waiting.iter_mut().find(|waiting| waiting.link == link && waiting.request == request);
        let Some(waiting) = found else { return };
        for (partition, values, slot) in &mut waiting.slots {
            if matches!(slot, Slot::Pending { .. }) {
                self.application.doubtful.extend(values.iter());
                *slot = Slot::Done(answer(partition, REQUEST_TIMED_OUT, -1));
            }
        }
        self.answer_waiting(id);
    }

    /// A request reaches a broker.
    pub(crate) fn take_in(&mut self, id: BrokerId, life: u64, link: u64, wire: Wire) {
        let trouble = match self.one_in(self.profile.break_one_in) {
            true => self.random.random_range(0..2),
            false => 2,
        };
        let broker = self.brokers.get_mut(&id).expect("it was added");
        if !broker.up {
            return;
        }
        if broker.life != life {
            return self.hang_up(id, link);
        }
        let connection = broker.connections.entry(link).or_default();
        if connection.closed {
            return;
        }
        if trouble < 2 {
            // Before it has read the request, or before it answers.
            connection.closed = true;
            self.hang_up(id, link);
            if trouble == 0 {
                return;
            }
        }
        let broker = self.brokers.get_mut(&id).expect("it was added");
        let connection = broker.connections.entry(link).or_default();
        connection.outstanding.push_back(wire.id);
        if self.profile.serial && connection.outstanding.len() > 1 {
            connection.backlog.push_back(wire);
        } else {
            broker.queue.push_back((link, wire));
            self.serve_soon(id);
        }
    }

    fn serve_soon(&mut self, id: BrokerId) {
        let broker = self.brokers.get_mut(&id).expect("it was added");
        if broker.busy || broker.queue.is_empty() {
            return;
        }
        broker.busy = true;
        let (slow_ms, until) = broker.slow;
        let (life, slow_ms) = (broker.life, if until > self.now { slow_ms } else { 0 });
        let takes = self.between(self.profile.serve_ms) + slow_ms;
        self.after(takes, move |world| {
            let broker = world.brokers.get_mut(&id).expect("it was added");
            if broker.life != life {
                return;
            }
            broker.busy = false;
            if let Some((link, wire)) = broker.queue.pop_front() {
                world.serve(id, link, wire);
            }
            world.serve_soon(id);
        });
    }

    fn serve(&mut self, id: BrokerId, link: u64, wire: Wire) {
        let mut slots = vec![];
        for batch in wire.batches {
            let slot = self.produce(id, &batch);
            slots.push((batch.partition, batch.values, slot));
        }
        let request = wire.id;
        if self.settings.acks == Acks::None {
            let refused = slots.iter().any(|(_, _, slot)| matches!(slot, Slot::Done(answer) if answer.error_code != 0));
            self.answer(id, link, request, None);
            if refused && let Some(connection) = self.brokers.get_mut(&id).and_then(|b| b.connections.get_mut(&link)) {
                connection.closed = true;
                self.hang_up(id, link);
            }
            return;
        }
        self.brokers.get_mut(&id).expect("it was added").waiting.push(Waiting { link, request, slots });
        let timeout = self.settings.request_timeout_ms;
        self.after(timeout, move |world| world.wait_no_longer(id, link, request));
        self.answer_waiting(id);
    }

    /// Appends a batch, or refuses it.
    fn produce(&mut self, id: BrokerId, batch: &Written) -> Slot {
        let Written { partition, stamp, values, bytes } = batch;
        let all = self.settings.acks == Acks::All;
        let refuse = |code| Slot::Done(answer(partition, code, -1));
        if self.one_in(self.profile.refused_one_in) {
            let codes = [TOPIC_AUTHORIZATION_FAILED, INVALID_RECORD, MESSAGE_TOO_LARGE];
            let code = codes[self.random.random_range(0..3)];
            self.application.refuse(values, code == MESSAGE_TOO_LARGE);
            return refuse(code);
        }
        let trouble = self.one_in(self.profile.trouble_one_in);
        if trouble && self.random.random_range(0..2) == 0 {
            let codes = [KAFKA_STORAGE_ERROR, LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS];
            return refuse(codes[self.random.random_range(0..if all { 4 } else { 3 })]);
        }
        let Some(incarnation) = self.incarnation(&partition.topic) else { return refuse(UNKNOWN_TOPIC_OR_PARTITION) };
        let broker = self.brokers.get_mut(&id).expect("it was added");
        let told = broker.told.get(partition).filter(|told| told.incarnation == incarnation);
        let Some(told) = told else { return refuse(UNKNOWN_TOPIC_OR_PARTITION) };
        if !told.leads {
            return refuse(NOT_LEADER_OR_FOLLOWER);
        }
        let life = broker.life;
        let limit = self.topics.get(&partition.topic).map(|topic| topic.max_message_bytes);
        let found =
            self.topics.get_mut(&partition.topic).and_then(|t| t.partitions.get_mut(partition.partition as usize));
        let Some(found) = found else { return refuse(UNKNOWN_TOPIC_OR_PARTITION) };
        let forked = found.writer != Some((id, life));
        let log = if forked { broker.forks.get_mut(partition) } else { Some(&mut found.log) };
        let Some(log) = log else { return refuse(NOT_LEADER_OR_FOLLOWER) };
        if limit.is_none_or(|limit| *bytes > limit) {
            self.application.refuse(values, true);
            return refuse(MESSAGE_TOO_LARGE);
        }
        let place = match log.append(*stamp, values, told.epoch, self.profile.old_brokers) {
            Ok(place) => place,
            Err(code) => return refuse(code),
        };
        let entry = &mut log.entries[place.index];
        assert_eq!(entry.values, *values, "one sequence for two batches");
        let (base_offset, end) = (entry.base_offset, entry.end());
        let is_committed = !forked && place.index < found.committed;
        entry.acknowledged |= !all;
        if place.duplicate {
            self.tried.insert("a batch came twice");
        }
        if forked {
            self.tried.insert("a leader went on that had a successor");
        }
        if forked && !all {
            self.application.lost.extend(values);
        }
        if !forked {
            self.replicate(partition);
        }
        if place.duplicate && is_committed && self.profile.forgetful_of_offsets {
            return refuse(DUPLICATE_SEQUENCE_NUMBER);
        }
        if !all {
            return Slot::Done(answer(partition, 0, base_offset));
        }
        if trouble {
            self.application.doubtful.extend(values);
            let codes = [NOT_ENOUGH_REPLICAS_AFTER_APPEND, REQUEST_TIMED_OUT];
            return refuse(codes[self.random.random_range(0..2)]);
        }
        Slot::Pending { incarnation, base_offset, end, forked }
    }

    /// A request is done with, and the next one of its connection is looked at.
    fn answer(&mut self, id: BrokerId, link: u64, request: RequestId, answers: Option<Vec<PartitionAnswer>>) {
        let broker = self.brokers.get_mut(&id).expect("it was added");
        let Some(connection) = broker.connections.get_mut(&link) else { return };
        connection.done.insert(request, answers);
        let mut ready = vec![];
        while let Some(first) = connection.outstanding.front()
            && let Some(answers) = connection.done.remove(first)
        {
            ready.extend(answers.map(|answers| (*first, answers)));
            connection.outstanding.pop_front();
            if let Some(next) = connection.backlog.pop_front() {
                broker.queue.push_back((link, next));
            }
        }
        let closed = connection.closed;
        for (request, answers) in ready.into_iter().filter(|_| !closed) {
            self.send_answer(id, link, request, answers);
        }
        self.serve_soon(id);
    }

    /// A connection is made: what was sent on those before it and not read is lost.
    pub(crate) fn forget_connections(&mut self, id: BrokerId, before: u64) {
        let broker = self.brokers.get_mut(&id).expect("it was added");
        for (_, connection) in broker.connections.range_mut(..before) {
            connection.closed = true;
            connection.backlog.clear();
        }
    }

    /// The process is gone, with all that it had not written.
    pub(crate) fn broker_stops(&mut self, id: BrokerId) {
        let port = self.brokers[&id].port;
        let broker = self.brokers.get_mut(&id).expect("it was added");
        let (life, session, links) = (broker.life, broker.session, std::mem::take(&mut broker.connections));
        *broker = Broker { life, session, ..Broker::new(id, port) };
        for link in links.into_keys() {
            // Its machine may be gone too, and say nothing.
            if self.random.random_range(0..4) > 0 {
                self.hang_up(id, link);
            }
        }
    }

    /// A topic's deletion reaches a broker.
    pub(crate) fn topic_gone(&mut self, id: BrokerId, topic: &TopicName) {
        let broker = self.brokers.get_mut(&id).expect("it was added");
        broker.told.retain(|partition, _| partition.topic != *topic);
        broker.forks.retain(|partition, _| partition.topic != *topic);
        let of: Vec<TopicPartition> = broker
            .waiting
            .iter()
            .flat_map(|waiting| &waiting.slots)
            .filter(|(partition, _, _)| partition.topic == *topic)
            .map(|(partition, _, _)| partition.clone())
            .collect();
        for partition in of {
            self.settle(id, &partition, |_| Some((UNKNOWN_TOPIC_OR_PARTITION, -1)));
        }
    }

    /// A partition's leader loses what it knows of producers: an old one with their last records, a new one when they have
    /// been idle for long. Not while somebody may need it.
    pub(crate) fn forget_producers(&mut self, partition: &TopicPartition) {
        let busy = self.brokers.values().any(|broker| broker.concerns(partition))
            || self.lanes.values().any(|lane| lane.concerns(partition));
        let of = self.application.batches.values().filter(|batch| batch.partition == *partition);
        let idle_ms = of
            .map(|batch| batch.told_ms().unwrap_or_default().max(batch.opened_ms))
            .max()
            .map_or(0, |last| self.now - last);
        let idle = self.profile.old_brokers || idle_ms > self.settings.delivery_timeout_ms;
        let Some(found) = self.partition(partition).filter(|_| idle && !busy) else { return };
        let values = found.log.entries.iter().flat_map(|entry| &entry.values);
        if values.clone().all(|value| self.application.is_delivered(*value)) {
            self.tried.insert("producers were forgotten");
            self.note(|| format!("{partition}: producers are forgotten"));
            if let Some(found) = self.partition_mut(partition) {
                found.log.forget_producers();
            }
        }
    }
}
