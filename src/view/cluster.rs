//! What is known of a cluster.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{BrokerId, Endpoint, LeaderEpoch, PartitionIndex, TopicName, TopicPartition};

use crate::Change;

/// Brokers that live, and the topics that are in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The registered brokers.
    pub brokers: BTreeMap<BrokerId, Broker>,
    /// The topics in use, as far as they have been read.
    pub topics: BTreeMap<TopicName, Topic>,
    /// The names of all topics, if somebody wants to know them.
    pub topic_names: Option<BTreeSet<TopicName>>,
}

/// A broker that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Where it can be reached, in the order of `advertised.listeners`.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// Which registration this is: the `czxid` of its node, 0 if that is not known. A broker that came back has another.
    pub epoch: i64,
}

/// A topic in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// There is no such topic.
    Missing,
    /// Its partitions. A partition whose state has not been read, or does not exist yet, has no leader.
    Partitions(BTreeMap<PartitionIndex, Leadership>),
}

/// Who leads a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leadership {
    /// The leader; none while there is none, or none is known.
    pub leader: Option<BrokerId>,
    /// Raised with each change of leader; -1 if not known.
    pub epoch: LeaderEpoch,
}

impl Cluster {
    /// Takes in a change. The leader of a partition that is not known is passed over.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::BrokerCame { id, broker } => drop(self.brokers.insert(*id, broker.clone())),
            Change::BrokerWent { id } => drop(self.brokers.remove(id)),
            Change::Topic { name, topic } => drop(self.topics.insert(name.clone(), topic.clone())),
            Change::TopicForgotten { name } => drop(self.topics.remove(name)),
            Change::Leader { partition, leadership } => {
                if let Some(Topic::Partitions(partitions)) = self.topics.get_mut(&partition.topic)
                    && let Some(known) = partitions.get_mut(&partition.partition)
                {
                    *known = *leadership;
                }
            }
            Change::TopicNames { added, removed } => {
                let names = self.topic_names.get_or_insert_default();
                names.retain(|name| !removed.contains(name));
                names.extend(added.iter().cloned());
            }
        }
    }

    /// The changes that make this cluster the other one, in an order in which they can be applied. For a source that tells
    /// everything at once (Metadata). Names of topics that are known stay known if the other has no list of them.
    pub fn changes_to(&self, other: &Cluster) -> Vec<Change> {
        let mut changes = Vec::new();
        let went = self.brokers.keys().filter(|id| !other.brokers.contains_key(id));
        changes.extend(went.map(|id| Change::BrokerWent { id: *id }));
        let came = other.brokers.iter().filter(|(id, broker)| self.brokers.get(id) != Some(broker));
        changes.extend(came.map(|(id, broker)| Change::BrokerCame { id: *id, broker: broker.clone() }));
        let forgotten = self.topics.keys().filter(|name| !other.topics.contains_key(*name));
        changes.extend(forgotten.map(|name| Change::TopicForgotten { name: name.clone() }));
        for (name, topic) in &other.topics {
            match (self.topics.get(name), topic) {
                (Some(Topic::Partitions(before)), Topic::Partitions(after)) if before.keys().eq(after.keys()) => {
                    for (index, leadership) in after.iter().filter(|(index, now)| before.get(index) != Some(now)) {
                        let partition = TopicPartition::new(name.clone(), *index);
                        changes.push(Change::Leader { partition, leadership: *leadership });
                    }
                }
                (before, after) if before == Some(after) => {}
                (_, after) => changes.push(Change::Topic { name: name.clone(), topic: after.clone() }),
            }
        }
        if let Some(after) = other.topic_names.as_ref().filter(|_| self.topic_names != other.topic_names) {
            let before = self.topic_names.clone().unwrap_or_default();
            let (added, removed) = (after.difference(&before), before.difference(after));
            changes.push(Change::TopicNames { added: added.cloned().collect(), removed: removed.cloned().collect() });
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn name(name: &str) -> TopicName {
        TopicName::new(name).unwrap()
    }

    fn leadership(random: &mut StdRng) -> Leadership {
        let leader = random.random_bool(0.7).then(|| BrokerId(random.random_range(0..3)));
        Leadership { leader, epoch: LeaderEpoch(random.random_range(-1..3)) }
    }

    fn cluster(random: &mut StdRng) -> Cluster {
        let mut cluster = Cluster::default();
        for id in 0..3 {
            if random.random_bool(0.5) {
                let broker = Broker { endpoints: vec![], rack: None, epoch: random.random_range(0..2) };
                cluster.brokers.insert(BrokerId(id), broker);
            }
        }
        for topic in ["a", "b", "c"] {
            let known = match random.random_range(0..4) {
                0 => Topic::Missing,
                1 => continue,
                _ => {
                    let partitions = random.random_range(0..3);
                    Topic::Partitions((0..partitions).map(|index| (index, leadership(random))).collect())
                }
            };
            cluster.topics.insert(name(topic), known);
        }
        let names = ["a", "b", "c"].into_iter().filter(|_| random.random_bool(0.5)).map(name).collect();
        cluster.topic_names = random.random_bool(0.8).then_some(names);
        cluster
    }

    #[test]
    fn changes_to_another_cluster_give_it_and_each_is_one() {
        let mut random = StdRng::seed_from_u64(6);
        for _ in 0..3_000 {
            let (mut from, mut to) = (cluster(&mut random), cluster(&mut random));
            for change in from.changes_to(&to) {
                let before = from.clone();
                from.apply(&change);
                assert_ne!(before, from, "{change:?} is none");
            }
            if to.topic_names.is_none() {
                // What is known of names stays.
                to.topic_names.clone_from(&from.topic_names);
            }
            assert_eq!(from, to);
            assert_eq!(from.changes_to(&to), []);
        }
    }

    #[test]
    fn a_leader_that_moved_is_not_told_as_the_whole_topic() {
        let (nobody, epoch) = (Leadership { leader: None, epoch: LeaderEpoch(3) }, LeaderEpoch(4));
        let mut cluster = Cluster::default();
        cluster.topics.insert(name("t"), Topic::Partitions([(0, nobody), (1, nobody)].into()));
        let mut other = cluster.clone();
        let leadership = Leadership { leader: Some(BrokerId(1)), epoch };
        let moved = Change::Leader { partition: TopicPartition::new(name("t"), 1), leadership };
        other.apply(&moved);
        assert_eq!(cluster.changes_to(&other), [moved]);
    }

    #[test]
    fn leaders_of_what_is_not_known_are_passed_over() {
        let mut cluster = Cluster::default();
        cluster.topics.insert(name("missing"), Topic::Missing);
        cluster.topics.insert(name("t"), Topic::Partitions(BTreeMap::new()));
        let before = cluster.clone();
        for topic in ["missing", "t", "u"] {
            let leadership = Leadership { leader: Some(BrokerId(1)), epoch: LeaderEpoch(0) };
            cluster.apply(&Change::Leader { partition: TopicPartition::new(name(topic), 0), leadership });
        }
        assert_eq!(cluster, before);
    }
}
