//! What is known of a cluster.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{BrokerId, Endpoint, LeaderEpoch, PartitionIndex, TopicName};

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
    /// Takes in a change.
    pub fn apply(&mut self, _change: &Change) {
        unimplemented!()
    }

    /// The changes that make this cluster the other one, in an order in which they can be applied. For a source that tells
    /// everything at once (Metadata).
    pub fn changes_to(&self, _other: &Cluster) -> Vec<Change> {
        unimplemented!()
    }
}
