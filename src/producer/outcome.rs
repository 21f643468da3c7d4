//! The end of a batch, and who waits for it.

use std::ops::Range;

use crate::batch::{Batch, Held};
use crate::broker::PartitionKey;
use crate::producer::{Alarm, Flush, Stage};
use crate::{Effect, Failure, Producer, Report};

impl<T: Clone> Producer<T> {
    /// A batch is written.
    pub(crate) fn deliver(
        &mut self,
        now_ms: u64,
        key: PartitionKey,
        place: usize,
        (base_offset, log_append_time): (Option<i64>, Option<i64>),
        out: &mut Vec<Effect<T>>,
    ) {
        let Some(partition) = self.topics.partition_mut(key) else { return };
        partition.sequences.delivered();
        partition.delivered_at = now_ms;
        partition.denials = 0;
        let Some(batch) = partition.take(place, None) else { return };
        if batch.whole_may_be_written {
            // The broker has taken a part, so it has not got the whole.
            let parts = partition.queue.iter_mut().filter(|later| later.opened_as == batch.opened_as);
            parts.for_each(|part| part.whole_may_be_written = false);
        }
        let (ticket, records) = self.resolve(batch);
        out.push(Effect::Delivered { ticket, records, base_offset, log_append_time });
    }

    /// A batch is given up.
    pub(crate) fn fail(&mut self, key: PartitionKey, place: usize, why: Failure, out: &mut Vec<Effect<T>>) {
        let Some(partition) = self.topics.partition_mut(key) else { return };
        let Some(batch) = partition.take(place, Some(&why)) else { return };
        let (ticket, records) = self.resolve(batch);
        out.push(Effect::Failed { ticket, records, why });
    }

    /// Settles what a batch held.
    pub(crate) fn resolve(&mut self, batch: Batch<T>) -> (T, Range<u32>) {
        let records = batch.records();
        self.memory.release(batch.capacity);
        self.unresolved -= 1;
        for flush in &mut self.flushes {
            flush.left -= usize::from(batch.opened_as <= flush.last);
        }
        self.reuse(batch.content);
        (batch.ticket, records)
    }

    /// Keeps the buffer of a batch that is not needed any more, if it is there alone.
    pub(crate) fn reuse(&mut self, content: Held) {
        match content {
            Held::Sealed(bytes) if bytes.is_unique() => self.memory.keep(Vec::from(bytes)),
            _ => {}
        }
    }

    /// Fails all batches.
    pub(crate) fn fail_all(&mut self, why: &Failure, out: &mut Vec<Effect<T>>) {
        for key in self.topics.keys(|partition| !partition.queue.is_empty()) {
            while self.topics.partition(key).is_some_and(|partition| !partition.queue.is_empty()) {
                self.fail(key, 0, why.clone(), out);
            }
        }
    }

    /// All that waits goes as soon as it can.
    fn hurry(&mut self, now_ms: u64, out: &mut Vec<Effect<T>>) {
        for key in self.topics.keys(|partition| !partition.queue.is_empty()) {
            self.attend(now_ms, key, out);
        }
    }

    pub(crate) fn flush(&mut self, now_ms: u64, token: u64, out: &mut Vec<Effect<T>>) {
        for topic in self.topics.iter_mut() {
            let batches = topic.partitions.iter_mut().flat_map(|partition| &mut partition.queue);
            batches.for_each(|batch| batch.hurried = true);
        }
        self.flushes.push(Flush { token, last: self.last_batch, left: self.unresolved });
        self.hurry(now_ms, out);
    }

    pub(crate) fn close(&mut self, now_ms: u64, out: &mut Vec<Effect<T>>) {
        if self.stage != Stage::Closed {
            self.stage = Stage::Closing;
            self.hurry(now_ms, out);
        }
    }

    pub(crate) fn abandon(&mut self, out: &mut Vec<Effect<T>>) {
        if self.stage != Stage::Closed {
            self.stage = Stage::Closing;
            self.fail_all(&Failure::Closed, out);
        }
    }

    /// It cannot go on.
    pub(crate) fn stop(&mut self, why: String, out: &mut Vec<Effect<T>>) {
        self.fail_all(&Failure::Fatal(why.clone()), out);
        if self.stage == Stage::Running {
            self.stage = Stage::Fatal(why);
        }
    }

    /// Tells those who wait that it is over.
    pub(crate) fn tell(&mut self, out: &mut Vec<Effect<T>>) {
        if self.memory.has_room() {
            self.hurried = false;
            out.push(Effect::Room);
        }
        for flush in self.flushes.extract_if(.., |flush| flush.left == 0) {
            out.push(Effect::Flushed { token: flush.token });
        }
        if self.stage == Stage::Closing && self.unresolved == 0 {
            self.stage = Stage::Closed;
            out.push(Effect::Closed);
        }
    }

    /// What follows from an event, whatever it was.
    pub(crate) fn settle(&mut self, now_ms: u64, out: &mut Vec<Effect<T>>) {
        if self.memory.is_wanted() && !self.hurried {
            self.hurried = true;
            if self.settings.linger_ms > 0 {
                self.hurry(now_ms, out);
            }
        }
        self.tell(out);
    }

    /// What follows for a partition from whatever happened to it.
    pub(crate) fn attend(&mut self, now_ms: u64, key: PartitionKey, out: &mut Vec<Effect<T>>) {
        if self.settings.idempotent {
            self.identify(key, out);
        }
        if let Some(broker) = self.list(now_ms, key) {
            out.push(Effect::Wake(broker));
        }
        self.arm(now_ms, key);
    }

    /// Gives a partition its producer id and epoch if it has none, or new ones if they are due.
    fn identify(&mut self, key: PartitionKey, out: &mut Vec<Effect<T>>) {
        let current = self.producer_id;
        let topic = self.topics.get_mut(key.0);
        let Some(place) = topic.place(key.1) else { return };
        let partition = &mut topic.partitions[place];
        match (partition.renew_sequences(current), partition.sequences.identity) {
            (Some(why), Some((_, producer_epoch))) => {
                let partition = topic.partition_name(key.1);
                return out.push(Effect::Report(Report::EpochBumped { partition, producer_epoch, why }));
            }
            // All epochs of this producer id are used up.
            (Some(_), None) => {}
            (None, Some(_)) => return,
            (None, None) => partition.sequences.identity = topic.floor.identity(current),
        }
        let partition = &topic.partitions[place];
        if partition.sequences.identity.is_none() {
            self.producer_id = None;
            self.ask(out);
        }
    }

    /// Asks for a producer id if there is none.
    pub(crate) fn ask(&mut self, out: &mut Vec<Effect<T>>) {
        if self.settings.idempotent && self.producer_id.is_none() && !self.asked {
            self.asked = true;
            out.push(Effect::GetProducerId);
        }
    }

    pub(crate) fn time_passed(&mut self, now_ms: u64, out: &mut Vec<Effect<T>>) {
        while let Some((deadline, alarm)) = self.timers.first().copied()
            && deadline <= now_ms
        {
            self.timers.pop_first();
            match alarm {
                Alarm::Partition(key) => {
                    let Some(partition) = self.topics.partition_mut(key) else { continue };
                    partition.alarm = None;
                    self.expire(now_ms, key, out);
                    self.attend(now_ms, key, out);
                }
                Alarm::Broker(broker) => self.wake(now_ms, broker, out),
                Alarm::ProducerId => self.ask(out),
                Alarm::Memory => {}
            }
        }
    }

    /// Gives up the batches of a partition that are too old.
    fn expire(&mut self, now_ms: u64, key: PartitionKey, out: &mut Vec<Effect<T>>) {
        while let Some(partition) = self.topics.partition_mut(key)
            && let Some(batch) = partition.queue.front_mut()
            && batch.deadline <= now_ms
        {
            batch.may_be_written |= batch.flight.is_some();
            let may_be_written = batch.may_be_written;
            let why = self.obstacle(key);
            let partition = self.topics.partition_name(key);
            let timeout_ms = self.settings.delivery_timeout_ms;
            self.fail(key, 0, Failure::Timeout { partition, timeout_ms, why, may_be_written }, out);
        }
    }

    /// What stands in the way of a partition's first batch.
    fn obstacle(&self, key: PartitionKey) -> String {
        let Some(partition) = self.topics.partition(key) else { return String::new() };
        let Some(batch) = partition.queue.front() else { return String::new() };
        let broker = partition.destination.filter(|_| batch.flight.is_some());
        if let Some(broker) = broker {
            return format!("broker {broker} has not answered");
        }
        if let Some(obstacle) = &batch.obstacle {
            return obstacle.clone();
        }
        let Some(leader) = partition.leadership.leader else { return "the partition has no leader".to_owned() };
        let Some(lane) = self.brokers.get(leader).filter(|lane| lane.registration.is_some()) else {
            return format!("its leader, broker {leader}, is not registered");
        };
        if let Some(why) = &lane.why {
            return format!("no connection to its leader, broker {leader}: {why}");
        }
        if self.settings.idempotent && partition.sequences.identity.is_none() {
            return "no broker has given a producer id".to_owned();
        }
        format!("too much is under way to its leader, broker {leader}")
    }
}
