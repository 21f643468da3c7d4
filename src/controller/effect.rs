//! What to do: everything that the controller asks for, as commands.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ottla_types::{
    BrokerEpoch, BrokerId, ControllerEpoch, LeaderEpoch, PartitionEpoch, PartitionIndex, TopicId, TopicName,
    TopicPartition,
};

use crate::cluster::{Assignment, Broker, PartitionState};

/// One thing to do. Effects of one step begin in the order given; those for one broker also end in it.
///
/// Every write is a multi with a check of `/controller_epoch`. A `Send` is repeated until it is answered or the broker
/// is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Open a queue of requests to a broker.
    AddBroker(Arc<Broker>),
    /// Close a broker's queue and drop what it holds.
    RemoveBroker(BrokerId),
    /// Queue a LeaderAndIsr request.
    SendLeaderAndIsr {
        /// The receiver.
        broker: BrokerId,
        /// Its life that is meant.
        broker_epoch: BrokerEpoch,
        /// What it says.
        request: LeaderAndIsr,
    },
    /// Queue an UpdateMetadata request.
    SendUpdateMetadata {
        /// The receiver.
        broker: BrokerId,
        /// Its life that is meant.
        broker_epoch: BrokerEpoch,
        /// What it says; the same for many receivers.
        request: Arc<UpdateMetadata>,
    },
    /// Queue a StopReplica request.
    SendStopReplica {
        /// The receiver.
        broker: BrokerId,
        /// Its life that is meant.
        broker_epoch: BrokerEpoch,
        /// What it says.
        request: StopReplica,
    },
    /// Write state nodes, pipelined, each on its own; answer with one
    /// [`PartitionStatesWritten`](crate::Event::PartitionStatesWritten).
    WritePartitionStates(Vec<PartitionStateWrite>),
    /// Read state nodes, until it succeeds; answer with [`PartitionStatesRead`](crate::Event::PartitionStatesRead).
    ReadPartitionStates(Vec<TopicPartition>),
    /// Read a topic's node and watch it, until it succeeds; answer with [`TopicRead`](crate::Event::TopicRead).
    ReadTopic(TopicName),
    /// Set a topic's node at its expected version; answer with
    /// [`TopicNodeWritten`](crate::Event::TopicNodeWritten).
    WriteTopicNode {
        /// The topic.
        topic: TopicName,
        /// Its id.
        id: TopicId,
        /// Its replicas.
        assignment: BTreeMap<PartitionIndex, Assignment>,
        /// The data version that the node must have.
        version: i32,
    },
    /// Delete `/brokers/topics/T`, `/config/topics/T`, then `/admin/delete_topics/T`, with all below; answer with
    /// [`TopicNodesDeleted`](crate::Event::TopicNodesDeleted).
    DeleteTopicNodes(TopicName),
    /// Delete these children of `/admin/delete_topics`.
    RemoveDeleteTopicEntries(Vec<TopicName>),
    /// Delete these children of `/isr_change_notification`.
    DeleteIsrNotifications(Vec<String>),
    /// Delete `/admin/preferred_replica_election`.
    DeletePreferredElection,
    /// Another controller rules: give up the office and all that is queued, then stand for election again.
    Resign,
    /// Tell the operator.
    Report(Report),
}

/// A write of a partition's state node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStateWrite {
    /// A number that no other write has, for the answer.
    pub write: u64,
    /// The partition.
    pub partition: TopicPartition,
    /// What to write.
    pub state: PartitionState,
    /// The version that the node must have; `None`: create it, with its parents below the topic's node.
    pub expected: Option<PartitionEpoch>,
}

/// A LeaderAndIsr request: which partitions a broker leads or follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderAndIsr {
    /// The controller.
    pub controller: BrokerId,
    /// Its epoch.
    pub controller_epoch: ControllerEpoch,
    /// The partitions, in order.
    pub partitions: Vec<LeaderAndIsrPartition>,
    /// The brokers that lead them, as far as they live.
    pub live_leaders: Vec<Arc<Broker>>,
}

/// A partition in a LeaderAndIsr request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderAndIsrPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// Its topic's id.
    pub topic_id: TopicId,
    /// Leader and ISR.
    pub state: PartitionState,
    /// Version of the node that holds them.
    pub partition_epoch: PartitionEpoch,
    /// All replicas.
    pub assignment: Assignment,
    /// The partition was created just now, so an absent log is no sign of a lost log dir.
    pub is_new: bool,
}

/// An UpdateMetadata request: what every broker tells clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateMetadata {
    /// The controller.
    pub controller: BrokerId,
    /// Its epoch.
    pub controller_epoch: ControllerEpoch,
    /// The partitions that changed, in order.
    pub partitions: Vec<UpdateMetadataPartition>,
    /// All live brokers: the receiver replaces what it knew.
    pub live_brokers: Vec<Arc<Broker>>,
}

/// A partition in an UpdateMetadata request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateMetadataPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// Its topic's id; zero if it has none yet (only for topics that go away).
    pub topic_id: TopicId,
    /// What to say of it.
    pub state: MetadataState,
    /// All replicas.
    pub replicas: Vec<BrokerId>,
    /// Those of them that cannot serve.
    pub offline_replicas: Vec<BrokerId>,
}

/// What brokers are to know of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataState {
    /// Its leader and ISR, and the version of the node that holds them.
    Known(PartitionState, PartitionEpoch),
    /// Forget it: on the wire leader -2, leader epoch 0, zk version 0.
    Deleted,
}

/// A StopReplica request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopReplica {
    /// The controller.
    pub controller: BrokerId,
    /// Its epoch.
    pub controller_epoch: ControllerEpoch,
    /// The partitions, in order.
    pub partitions: Vec<StopReplicaPartition>,
}

/// A partition in a StopReplica request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopReplicaPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// The leader epoch it must not be behind of; `None`: its topic goes away, so any (on the wire -2).
    pub leader_epoch: Option<LeaderEpoch>,
    /// Delete its log too.
    pub delete: bool,
}

/// Something an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Report {
    /// Records may be lost.
    UncleanLeader { partition: TopicPartition, leader: BrokerId, isr: Vec<BrokerId> },
    /// Nobody can lead until a broker returns.
    NoLeader { partition: TopicPartition, isr: Vec<BrokerId> },
    /// A new partition waits for one of its brokers.
    NoReplica { partition: TopicPartition, replicas: Vec<BrokerId> },
    /// The state node is a later controller's work.
    LaterController { partition: TopicPartition, epoch: ControllerEpoch },
    /// Somebody removed the state node of a topic that exists.
    StateNodeMissing { partition: TopicPartition },
    /// Somebody removed a topic's nodes without marking it for deletion.
    TopicVanished { topic: TopicName },
    /// Somebody replaced a topic's node.
    TopicIdChanged { topic: TopicName, from: TopicId, to: TopicId },
    /// Partitions were added to a topic that is being deleted.
    GrowthUndone { topic: TopicName },
    /// A broker could not delete its replicas.
    DeletionFailed { topic: TopicName, broker: BrokerId },
    /// The topic is gone.
    TopicDeleted { topic: TopicName },
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::UncleanLeader { partition, leader, isr } => write!(
                f,
                "unclean leader election: {partition} is led by {leader}, outside its ISR [{}]: records may be lost",
                list(isr)
            ),
            Report::NoLeader { partition, isr } => {
                write!(f, "{partition} has no leader until a broker of its ISR [{}] returns", list(isr))
            }
            Report::NoReplica { partition, replicas } => {
                write!(f, "{partition} cannot begin until one of its brokers [{}] is up", list(replicas))
            }
            Report::LaterController { partition, epoch } => {
                write!(f, "the state of {partition} was written by controller epoch {epoch}, later than this one's")
            }
            Report::StateNodeMissing { partition } => {
                write!(f, "the state node of {partition} is gone though its topic exists; it is written again")
            }
            Report::TopicVanished { topic } => write!(
                f,
                "the nodes of topic {topic} were removed without /admin/delete_topics; its logs stay on the brokers"
            ),
            Report::TopicIdChanged { topic, from, to } => {
                write!(f, "topic {topic} was replaced in ZooKeeper: its id was {from} and is {to}")
            }
            Report::GrowthUndone { topic } => {
                write!(f, "topic {topic} is being deleted: the partitions added to it are taken back")
            }
            Report::DeletionFailed { topic, broker } => {
                write!(f, "broker {broker} could not delete its replicas of topic {topic}; it will be asked again")
            }
            Report::TopicDeleted { topic } => write!(f, "topic {topic} is deleted"),
        }
    }
}

fn list(brokers: &[BrokerId]) -> String {
    brokers.iter().map(BrokerId::to_string).collect::<Vec<_>>().join(", ")
}
