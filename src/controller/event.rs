//! What happened: everything that the controller is told, in the past tense.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{BrokerEpoch, BrokerId, ControllerEpoch, PartitionEpoch, TopicName, TopicPartition};

use crate::cluster::{Broker, ClusterRead, PartitionNode, TopicNode, UncleanElection};

/// One thing that happened.
///
/// Lists are always what was read when the event was made, never a difference: a watch only says that something changed
/// (KAFKA-5502). A list may be older than what the controller knows; the one that follows mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// This broker became controller: it owns `/controller` and raised `/controller_epoch` to `epoch`.
    Elected {
        /// The epoch it won.
        epoch: ControllerEpoch,
        /// What it read after its watches were set.
        cluster: Box<ClusterRead>,
    },
    /// This broker is no longer controller, for any reason: another took over, the session ended, it shuts down.
    Resigned,
    /// The children of `/brokers/ids` changed, or the data of one of them.
    BrokersChanged {
        /// The brokers registered now.
        live: BTreeMap<BrokerId, Broker>,
    },
    /// The children of `/brokers/topics` changed.
    TopicsChanged {
        /// The topics that exist now.
        topics: BTreeSet<TopicName>,
    },
    /// A topic's node was read, because it changed or because [`ReadTopic`](crate::Effect::ReadTopic) asked.
    TopicRead {
        /// The topic.
        topic: TopicName,
        /// Its node, if there is one.
        node: Option<TopicNode>,
    },
    /// [`WriteTopicNode`](crate::Effect::WriteTopicNode) was answered.
    TopicNodeWritten {
        /// The topic.
        topic: TopicName,
        /// How it went; the version is the node's.
        outcome: WriteOutcome,
    },
    /// The children of `/admin/delete_topics` changed.
    DeleteTopicsChanged {
        /// The topics marked now.
        topics: BTreeSet<TopicName>,
    },
    /// [`DeleteTopicNodes`](crate::Effect::DeleteTopicNodes) was answered.
    TopicNodesDeleted {
        /// The topic.
        topic: TopicName,
        /// Whether all its nodes are known to be gone, the mark last.
        done: bool,
    },
    /// [`WritePartitionStates`](crate::Effect::WritePartitionStates) was answered.
    PartitionStatesWritten {
        /// One for each write, in any order.
        results: Vec<PartitionStateWritten>,
    },
    /// [`ReadPartitionStates`](crate::Effect::ReadPartitionStates) was answered.
    PartitionStatesRead {
        /// Each partition's node, if there is one.
        states: Vec<(TopicPartition, Option<PartitionNode>)>,
    },
    /// Leaders wrote ISR changes themselves, and notified below `/isr_change_notification`.
    IsrChangeNotified {
        /// The names of the notifications.
        notifications: Vec<String>,
        /// The partitions that they name.
        partitions: BTreeSet<TopicPartition>,
    },
    /// A tool created `/admin/preferred_replica_election`.
    PreferredElectionRequested {
        /// The partitions that it names.
        partitions: BTreeSet<TopicPartition>,
    },
    /// `unclean.leader.election.enable` was set or changed. Holds from one term to the next.
    UncleanElectionConfigured(UncleanElection),
    /// A broker answered a LeaderAndIsr request.
    LeaderAndIsrAnswered {
        /// Which broker.
        broker: BrokerId,
        /// In which life.
        broker_epoch: BrokerEpoch,
        /// Partitions that it now holds.
        online: Vec<TopicPartition>,
        /// Partitions whose log dir has failed (KAFKA_STORAGE_ERROR).
        offline: Vec<TopicPartition>,
    },
    /// A broker answered an UpdateMetadata request.
    UpdateMetadataAnswered {
        /// Which broker.
        broker: BrokerId,
        /// In which life.
        broker_epoch: BrokerEpoch,
        /// The topics that the request made it forget.
        forgotten: BTreeSet<TopicName>,
    },
    /// A broker answered a StopReplica request. Only the partitions it was asked to delete are named.
    StopReplicaAnswered {
        /// Which broker.
        broker: BrokerId,
        /// In which life.
        broker_epoch: BrokerEpoch,
        /// Partitions of which it keeps nothing.
        deleted: Vec<TopicPartition>,
        /// Partitions that it could not delete.
        failed: Vec<TopicPartition>,
    },
    /// [`next_deadline`](crate::Controller::next_deadline) came.
    DeadlinePassed,
}

/// How the write of a partition's state went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStateWritten {
    /// The write's number.
    pub write: u64,
    /// The partition.
    pub partition: TopicPartition,
    /// How it went; the version is the state node's.
    pub outcome: WriteOutcome,
}

/// How a conditional, fenced write to ZooKeeper went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// Done; the node has this data version now.
    Written(PartitionEpoch),
    /// Refused: the node has another version, exists already, or does not exist.
    Conflict,
    /// Refused: `/controller_epoch` has changed, so another controller rules.
    Fenced,
    /// The answer was lost, or is one that says nothing about the node: read, then decide.
    Unknown,
}
