//! Topics and what their partitions hold. A partition's end is a function of time, so that growth costs no events.

use std::collections::BTreeMap;

use ottla_types::{BrokerId, Offset, TopicName, TopicPartition};
use zk_schema::broker_topics::{self, TopicAssignment};

use super::World;

/// A topic's partitions from its creation on.
pub(crate) struct Topic {
    pub(crate) partitions: i32,
    pub(crate) created_ms: u64,
    /// Counts the creations of all topics: which of two topics of one name it is.
    pub(crate) incarnation: u64,
    /// Records that each partition gains in a second.
    pub(crate) per_second: u64,
}

#[derive(Default)]
pub(crate) struct Topics {
    pub(crate) all: BTreeMap<TopicName, Topic>,
    /// From when on no partition grows.
    pub(crate) still_from_ms: Option<u64>,
    created: u64,
}

impl Topics {
    /// The end of a partition, and of which incarnation; none if there is no such partition.
    pub(crate) fn end(&self, partition: &TopicPartition, now: u64) -> Option<(Offset, u64)> {
        let topic = self.all.get(&partition.topic).filter(|topic| partition.partition < topic.partitions)?;
        let until = self.still_from_ms.map_or(now, |still| still.min(now));
        let end = until.saturating_sub(topic.created_ms) * topic.per_second / 1_000;
        Some((end as Offset, topic.incarnation))
    }

    pub(crate) fn partitions(&self) -> Vec<TopicPartition> {
        let of = |(name, topic): (&TopicName, &Topic)| {
            let name = name.clone();
            (0..topic.partitions).map(move |index| TopicPartition::new(name.clone(), index))
        };
        self.all.iter().flat_map(of).collect()
    }
}

pub(crate) fn name(text: &str) -> TopicName {
    TopicName::new(text).expect("a test's topic has a good name")
}

fn node(partitions: i32) -> Vec<u8> {
    let partitions = (0..partitions).map(|index| (index, vec![BrokerId(1)])).collect();
    TopicAssignment { partitions, ..TopicAssignment::default() }.encode()
}

impl World {
    pub(crate) fn create_topic(&mut self, topic: TopicName, partitions: i32, per_second: u64) {
        self.note(|| format!("topic {topic} with {partitions} partitions"));
        self.topics.created += 1;
        let incarnation = self.topics.created;
        let made = Topic { partitions, created_ms: self.now, incarnation, per_second };
        self.topics.all.insert(topic.clone(), made);
        let fired = self.zk.create(self.now, &broker_topics::path(&topic), &node(partitions));
        self.publish(fired);
    }

    pub(crate) fn grow_topic(&mut self, topic: &TopicName, partitions: i32) {
        let Some(found) = self.topics.all.get_mut(topic) else { return };
        found.partitions = found.partitions.max(partitions);
        let partitions = found.partitions;
        self.note(|| format!("topic {topic} has {partitions} partitions now"));
        let fired = self.zk.set(self.now, &broker_topics::path(topic), &node(partitions));
        self.publish(fired);
    }

    /// What consumers committed stays, as old tools leave it.
    pub(crate) fn delete_topic(&mut self, topic: &TopicName) {
        self.note(|| format!("topic {topic} deleted"));
        self.topics.all.remove(topic);
        self.ledger.forget(topic);
        let fired = self.zk.delete(self.now, &broker_topics::path(topic));
        self.publish(fired);
    }
}
