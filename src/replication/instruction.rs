use ottla_types::{BrokerId, ControllerEpoch, LeaderEpoch, PartitionEpoch, TopicId};

/// What a LeaderAndIsr request says of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// The topic's id; zero if the controller gives none.
    pub topic_id: TopicId,
    /// The epoch of the controller that decided it.
    pub controller_epoch: ControllerEpoch,
    /// Who leads, if anybody.
    pub leader: Option<BrokerId>,
    /// In which epoch.
    pub leader_epoch: LeaderEpoch,
    /// Replicas in sync.
    pub isr: Vec<BrokerId>,
    /// Version of the state node.
    pub partition_epoch: PartitionEpoch,
    /// All replicas.
    pub replicas: Vec<BrokerId>,
}

/// What to do upon an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Lead.
    Lead,
    /// Follow.
    Follow,
}

/// Why an instruction is not followed; each is a code of the LeaderAndIsr response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The leader epoch is not above the current one: an old or a repeated instruction (STALE_CONTROLLER_EPOCH).
    #[error("leader epoch {told} is not above {current}")]
    Stale {
        /// The instruction's.
        told: LeaderEpoch,
        /// The partition's.
        current: LeaderEpoch,
    },
    /// The partition's folder belongs to another topic of that name (INCONSISTENT_TOPIC_ID).
    #[error("topic id {told} is not the id {stored} of the partition's folder")]
    TopicId {
        /// The instruction's.
        told: TopicId,
        /// The folder's.
        stored: TopicId,
    },
    /// This broker is none of the replicas (UNKNOWN_TOPIC_OR_PARTITION).
    #[error("broker {0} is not among the replicas")]
    NotAReplica(BrokerId),
}
