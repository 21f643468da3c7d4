//! What the controller knows of the cluster: read once after its election, then kept up to date by events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_types::{
    BrokerEpoch, BrokerId, ControllerEpoch, Endpoint, LeaderEpoch, PartitionEpoch, PartitionIndex, TopicId, TopicName,
    TopicPartition,
};

use crate::deletion::Deletion;
use crate::partition_state::PendingWrite;

/// A registered broker: what its node below `/brokers/ids` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its id.
    pub id: BrokerId,
    /// The czxid of its node: one life of the broker.
    pub epoch: BrokerEpoch,
    /// Where it listens, in the order it registered them.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
}

/// The replicas of a partition, in order of preference, as the topic's node says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// All replicas; the first is the preferred leader.
    pub replicas: Vec<BrokerId>,
    /// Those of `replicas` that a reassignment is adding.
    pub adding: Vec<BrokerId>,
    /// Those of `replicas` that a reassignment will remove.
    pub removing: Vec<BrokerId>,
}

/// A topic's node: `/brokers/topics/T`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicNode {
    /// The topic's id; `None` if an old tool made the topic.
    pub id: Option<TopicId>,
    /// A new random id for a topic that has none: the controller draws no random numbers itself.
    pub fresh_id: TopicId,
    /// Replicas by partition.
    pub assignment: BTreeMap<PartitionIndex, Assignment>,
    /// The node's data version.
    pub version: i32,
}

/// Leader and ISR of a partition: the data of `/brokers/topics/T/partitions/P/state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    /// The leader, if there is one.
    pub leader: Option<BrokerId>,
    /// Raised with every change by a controller.
    pub leader_epoch: LeaderEpoch,
    /// The replicas that hold every committed record. Empty only in what Kafka before 0.11 wrote.
    pub isr: Vec<BrokerId>,
    /// Epoch of the controller that decided this.
    pub controller_epoch: ControllerEpoch,
    /// The leader was elected uncleanly and has not said that it recovered (KIP-704).
    pub recovering: bool,
}

/// A partition's state node as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionNode {
    /// Its data.
    pub state: PartitionState,
    /// Its data version.
    pub version: PartitionEpoch,
    /// Its mzxid. A broker whose epoch is higher has started since this was written.
    pub written_zxid: i64,
}

/// Everything a new controller reads before its first decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterRead {
    /// The registered brokers.
    pub brokers: BTreeMap<BrokerId, Broker>,
    /// Every topic's node.
    pub topics: BTreeMap<TopicName, TopicNode>,
    /// Every state node that exists.
    pub states: BTreeMap<TopicPartition, PartitionNode>,
    /// The names below `/admin/delete_topics`.
    pub topics_to_delete: BTreeSet<TopicName>,
}

/// Where an unclean leader may be elected: `unclean.leader.election.enable`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UncleanElection {
    /// The broker's setting.
    pub default: bool,
    /// Topics that override it.
    pub topics: BTreeMap<TopicName, bool>,
}

impl UncleanElection {
    /// Whether a topic would rather lose records than be without a leader.
    pub fn allowed(&self, topic: &TopicName) -> bool {
        self.topics.get(topic).copied().unwrap_or(self.default)
    }
}

/// A broker that is registered now.
#[derive(Debug)]
pub(crate) struct LiveBroker {
    pub(crate) registration: Arc<Broker>,
    /// Partitions whose log dir this life of the broker could not read or write.
    pub(crate) offline: BTreeSet<TopicPartition>,
}

/// A topic that exists.
#[derive(Debug)]
pub(crate) struct Topic {
    /// `None` until the id is known to be written: without it nothing of the topic is announced.
    pub(crate) id: Option<TopicId>,
    /// The node's data version when it was last read or written.
    pub(crate) version: i32,
    pub(crate) partitions: BTreeMap<PartitionIndex, Partition>,
    /// Present once the topic is to be deleted; then leaders are no longer elected.
    pub(crate) deletion: Option<Deletion>,
    /// The node is being written, with this id.
    pub(crate) writing: Option<TopicId>,
}

/// A partition of it.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) assignment: Assignment,
    /// What is known to be written, and all that is ever announced.
    pub(crate) state: Option<PartitionState>,
    /// Data version of the node that holds `state`.
    pub(crate) version: PartitionEpoch,
    /// The node of `state` was found missing and must be created again.
    pub(crate) node_missing: bool,
    /// The one write that may be under way.
    pub(crate) pending: Option<PendingWrite>,
    /// ISR members that stopped since `state` was written: they may lack records that they had acknowledged, so they
    /// leave the ISR before they are told of it, unless nobody else is left.
    pub(crate) distrusted: BTreeSet<BrokerId>,
}

impl Partition {
    /// One that has neither state nor node.
    pub(crate) fn new(assignment: Assignment) -> Partition {
        Partition {
            assignment,
            state: None,
            version: PartitionEpoch::NONE,
            node_missing: false,
            pending: None,
            distrusted: BTreeSet::new(),
        }
    }

    /// The same with the state that its node holds.
    pub(crate) fn with_node(assignment: Assignment, node: PartitionNode) -> Partition {
        Partition { state: Some(node.state), version: node.version, ..Partition::new(assignment) }
    }

    /// Takes note that a broker stopped: what it holds may be less than what it acknowledged.
    pub(crate) fn distrust(&mut self, broker: BrokerId) {
        let is_member = |s: &PartitionState| s.isr.contains(&broker);
        if self.state.as_ref().is_some_and(is_member) || self.pending.as_ref().is_some_and(|p| is_member(&p.state)) {
            self.distrusted.insert(broker);
        }
        // A write under way was decided before this stop.
        if let Some(pending) = &mut self.pending {
            pending.settles.remove(&broker);
        }
    }
}

/// The brokers and topics, and questions about them.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) brokers: BTreeMap<BrokerId, LiveBroker>,
    pub(crate) topics: BTreeMap<TopicName, Topic>,
    /// The names below `/admin/delete_topics` when last read, whether such topics exist or not.
    pub(crate) topics_to_delete: BTreeSet<TopicName>,
}

impl Cluster {
    /// Whether a replica can serve: its broker lives and has not lost the log dir that holds it.
    pub(crate) fn is_online(&self, broker: BrokerId, partition: &TopicPartition) -> bool {
        self.brokers.get(&broker).is_some_and(|b| !b.offline.contains(partition))
    }

    pub(crate) fn partition(&self, partition: &TopicPartition) -> Option<&Partition> {
        self.topics.get(&partition.topic)?.partitions.get(&partition.partition)
    }

    pub(crate) fn partition_mut(&mut self, partition: &TopicPartition) -> Option<&mut Partition> {
        self.topics.get_mut(&partition.topic)?.partitions.get_mut(&partition.partition)
    }

    /// The live brokers that an assignment names, in its order.
    pub(crate) fn live_replicas(&self, assignment: &Assignment) -> Vec<BrokerId> {
        assignment.replicas.iter().copied().filter(|b| self.brokers.contains_key(b)).collect()
    }

    /// How many partitions have no leader that lives, topics on their way out not counted.
    pub(crate) fn offline_partitions(&self) -> usize {
        let lives = |p: &&Partition| {
            p.state.as_ref().and_then(|s| s.leader).is_some_and(|leader| self.brokers.contains_key(&leader))
        };
        let topics = self.topics.values().filter(|t| t.deletion.is_none());
        topics.flat_map(|t| t.partitions.values()).filter(|p| !lives(p)).count()
    }

    /// The names of all partitions, in order.
    pub(crate) fn all_partitions(&self) -> Vec<TopicPartition> {
        let of_topic = |(name, topic): (&TopicName, &Topic)| {
            topic.partitions.keys().map(|p| TopicPartition::new(name.clone(), *p)).collect::<Vec<_>>()
        };
        self.topics.iter().flat_map(of_topic).collect()
    }
}
