//! What changes in the cluster, and in the connections to it.

use std::collections::BTreeMap;

use ottla_types::{BrokerId, PartitionIndex, TopicName};
use ottla_view::{Broker, Change, Leadership, Topic};

use crate::broker::{Link, short_pause};
use crate::partition::Partition;
use crate::producer::Alarm;
use crate::sticky::Sticky;
use crate::topic::Known;
use crate::{Effect, Failure, Lost, Producer, Report};

impl<T: Clone> Producer<T> {
    pub(crate) fn changed(&mut self, now_ms: u64, change: Change, out: &mut Vec<Effect<T>>) {
        match change {
            Change::BrokerCame { id, broker } => self.broker_came(now_ms, id, broker, out),
            Change::BrokerWent { id } => {
                let Some(lane) = self.brokers.get_mut(id) else { return };
                lane.registration = None;
                self.hang_up(id, out);
                self.brokers.tidy(id);
            }
            Change::Topic { name, topic: Topic::Missing } => self.topic_missing(&name, out),
            Change::Topic { name, topic: Topic::Partitions(partitions) } => {
                self.topic_found(now_ms, &name, &partitions, out);
            }
            Change::TopicForgotten { name } => {
                let place = self.topics.enter(&name);
                self.topics.get_mut(place).known = Known::Unknown;
            }
            Change::Leader { partition, leadership } => {
                let place = self.topics.enter(&partition.topic);
                let key = (place, partition.partition);
                let Some(partition) = self.topics.partition_mut(key) else { return };
                partition.led_by(now_ms, leadership);
                self.attend(now_ms, key, out);
            }
            Change::TopicNames { .. } => {}
        }
    }

    fn broker_came(&mut self, now_ms: u64, id: BrokerId, broker: Broker, out: &mut Vec<Effect<T>>) {
        let lane = self.brokers.enter(id);
        let same = lane
            .registration
            .as_ref()
            .is_some_and(|old| (old.epoch, &old.endpoints) == (broker.epoch, &broker.endpoints));
        lane.registration = Some(broker);
        if !same {
            lane.failures = 0;
            lane.paused_until = 0;
            lane.reported = false;
            lane.why = None;
            self.hang_up(id, out);
        }
        for key in self.topics.keys(|partition| partition.leadership.leader == Some(id)) {
            self.attend(now_ms, key, out);
        }
    }

    /// Ends the connection to a broker, if there is one. What waits for it is listed again when it can be reached.
    fn hang_up(&mut self, id: BrokerId, out: &mut Vec<Effect<T>>) {
        let Some(lane) = self.brokers.get_mut(id) else { return };
        if matches!(lane.link, Link::Wanted | Link::Up) {
            lane.link = Link::Closing;
            out.push(Effect::Disconnect(id));
        }
        for key in std::mem::take(&mut lane.ready) {
            if let Some(partition) = self.topics.partition_mut(key)
                && partition.listed == Some(id)
            {
                partition.listed = None;
            }
        }
    }

    fn topic_missing(&mut self, name: &TopicName, out: &mut Vec<Effect<T>>) {
        let place = self.topics.enter(name);
        let batch_limit = self.topics.batch_limit;
        let topic = self.topics.get_mut(place);
        topic.known = Known::Missing;
        topic.sticky = Sticky::default();
        // Another one of its name may take larger batches.
        topic.batch_limit = batch_limit;
        for partition in std::mem::take(&mut topic.partitions) {
            self.bury(place, partition, out);
        }
    }

    /// A partition is no more, and its batches with it.
    fn bury(&mut self, place: usize, partition: Partition<T>, out: &mut Vec<Effect<T>>) {
        let topic = self.topics.get_mut(place);
        topic.generation += 1;
        let used = partition.outstanding > 0 || partition.sequences.doubt.is_some();
        topic.floor.raise(&partition.sequences, used);
        let why = Failure::TopicDeleted(topic.name.to_string());
        for batch in partition.queue {
            let (ticket, records) = self.resolve(batch);
            out.push(Effect::Failed { ticket, records, why: why.clone() });
        }
    }

    fn topic_found(
        &mut self,
        now_ms: u64,
        name: &TopicName,
        partitions: &BTreeMap<PartitionIndex, Leadership>,
        out: &mut Vec<Effect<T>>,
    ) {
        let place = self.topics.enter(name);
        self.ask(out);
        let identity = self.producer_id;
        let topic = self.topics.get_mut(place);
        topic.known = Known::Present;
        let mut old: BTreeMap<_, _> =
            std::mem::take(&mut topic.partitions).into_iter().map(|partition| (partition.index, partition)).collect();
        for (index, leadership) in partitions {
            let partition = match old.remove(index) {
                Some(mut partition) => {
                    if partition.leadership != *leadership {
                        partition.led_by(now_ms, *leadership);
                    }
                    partition
                }
                None => Partition::new((*index, topic.generation), *leadership, topic.floor.identity(identity)),
            };
            topic.partitions.push(partition);
        }
        if !old.is_empty() {
            topic.sticky = Sticky::default();
        }
        for partition in old.into_values() {
            self.bury(place, partition, out);
        }
        for index in partitions.keys() {
            self.attend(now_ms, (place, *index), out);
        }
    }

    /// A connection is there, perhaps one that nobody waits for any more: a broker that was woken late, or for another reason.
    pub(crate) fn connected(&mut self, broker: BrokerId, out: &mut Vec<Effect<T>>) {
        let lane = self.brokers.enter(broker);
        match lane.link {
            // It was told to end before it was there, perhaps to nobody.
            Link::Closing => out.push(Effect::Disconnect(broker)),
            _ if lane.registration.is_none() => {
                lane.link = Link::Closing;
                out.push(Effect::Disconnect(broker));
            }
            _ => lane.connected(),
        }
    }

    pub(crate) fn disconnected(&mut self, now_ms: u64, broker: BrokerId, why: String, out: &mut Vec<Effect<T>>) {
        let left: Vec<_> =
            self.requests.iter().filter(|(_, sent)| sent.broker == broker).map(|(request, _)| *request).collect();
        let Some(lane) = self.brokers.get_mut(broker) else { return };
        let link = lane.link;
        lane.disconnected();
        if matches!(link, Link::Wanted | Link::Up) {
            lane.failures += 1;
            lane.paused_until = now_ms.saturating_add(short_pause(lane.failures, self.settings.retry_backoff_max_ms));
            lane.why = Some(why.clone());
            self.timers.insert((lane.paused_until, Alarm::Broker(broker)));
            if link == Link::Wanted && !std::mem::replace(&mut lane.reported, true) {
                out.push(Effect::Report(Report::Unreachable { broker, why: why.clone() }));
            }
        }
        for request in left {
            self.answered(now_ms, broker, request, Err(Lost::Unknown(why.clone())), out);
        }
        self.wake(now_ms, broker, out);
        self.brokers.tidy(broker);
    }

    /// Tells a broker's connection that there is something to be sent, if there is.
    pub(crate) fn wake(&mut self, now_ms: u64, broker: BrokerId, out: &mut Vec<Effect<T>>) {
        if let Some(lane) = self.brokers.get_mut(broker)
            && lane.wake(now_ms, self.settings.max_in_flight)
        {
            out.push(Effect::Wake(broker));
        }
    }
}
