//! A broker's part in one partition: its role, and the epochs that fence everybody's idea of it.

use ottla_types::{BrokerId, ControllerEpoch, LeaderEpoch, Offset, PartitionEpoch, TopicId};

use crate::leader::{IsrRules, Leader};

/// What a LeaderAndIsr request says of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionChange {
    /// Its topic's id; `None` if the sender knows none.
    pub topic_id: Option<TopicId>,
    /// Epoch of the controller that decided.
    pub controller_epoch: ControllerEpoch,
    /// The leader, if there is one.
    pub leader: Option<BrokerId>,
    /// Raised with each decision.
    pub leader_epoch: LeaderEpoch,
    /// The in-sync replicas.
    pub isr: Vec<BrokerId>,
    /// Version of the state node.
    pub partition_epoch: PartitionEpoch,
    /// All replicas, in order of preference.
    pub replicas: Vec<BrokerId>,
}

/// What a LeaderAndIsr request did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleChange {
    /// This broker leads now. The log records the leader epoch at `epoch_start_offset`, even with no data (KAFKA-7415).
    BecameLeader {
        /// The log end offset when the epoch began.
        epoch_start_offset: Offset,
    },
    /// This broker follows now.
    BecameFollower {
        /// Whom; `None`: nobody leads.
        leader: Option<BrokerId>,
    },
    /// Only the topic's id was news: the log folder is to record it.
    TopicIdKnown(TopicId),
    /// Nothing new.
    Nothing,
}

/// Why a LeaderAndIsr request was refused for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeaderAndIsrRefusal {
    /// UNKNOWN_TOPIC_OR_PARTITION.
    #[error("this broker is not among the replicas")]
    NotAReplica,
    /// STALE_CONTROLLER_EPOCH, as Kafka answers also an equal leader epoch.
    #[error("leader epoch {given} is not above {current}")]
    StaleLeaderEpoch {
        /// In the request.
        given: LeaderEpoch,
        /// Known.
        current: LeaderEpoch,
    },
    /// INCONSISTENT_TOPIC_ID.
    #[error("topic id {given} differs from {current}, which the log belongs to")]
    InconsistentTopicId {
        /// In the request.
        given: TopicId,
        /// Known.
        current: TopicId,
    },
}

/// Why a client's leader epoch does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EpochRefusal {
    /// FENCED_LEADER_EPOCH: the client's metadata is old.
    #[error("leader epoch {given} is older than {current}")]
    Fenced {
        /// In the request.
        given: LeaderEpoch,
        /// Known.
        current: LeaderEpoch,
    },
    /// UNKNOWN_LEADER_EPOCH: this broker's is.
    #[error("leader epoch {given} is newer than {current}")]
    Unknown {
        /// In the request.
        given: LeaderEpoch,
        /// Known.
        current: LeaderEpoch,
    },
}

/// NOT_LEADER_OR_FOLLOWER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this broker does not lead the partition")]
pub struct NotLeader;

/// Why a produce is refused before anything is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendRefusal {
    /// NOT_LEADER_OR_FOLLOWER.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// NOT_ENOUGH_REPLICAS: `acks=all` cannot be kept.
    #[error("{in_sync} replicas are in sync, {required} are required")]
    NotEnoughReplicas {
        /// Size of the ISR.
        in_sync: usize,
        /// Least size.
        required: usize,
    },
}

/// What this broker is to a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// No controller has said.
    None,
    /// It leads.
    Leader(Leader),
    /// It follows.
    Follower {
        /// Whom; `None`: nobody leads.
        leader: Option<BrokerId>,
    },
}

/// A partition of which this broker holds a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    me: BrokerId,
    topic_id: Option<TopicId>,
    role: Role,
    replicas: Vec<BrokerId>,
    leader_epoch: LeaderEpoch,
    controller_epoch: ControllerEpoch,
    partition_epoch: PartitionEpoch,
    high_watermark: Offset,
}

impl Partition {
    /// A replica on broker `me` that no controller has spoken of yet. `topic_id` is what its folder says, `high_watermark`
    /// what the checkpoint says, within the log's bounds.
    pub fn new(me: BrokerId, topic_id: Option<TopicId>, high_watermark: Offset) -> Partition {
        Partition {
            me,
            topic_id,
            role: Role::None,
            replicas: Vec::new(),
            leader_epoch: LeaderEpoch::NONE,
            controller_epoch: ControllerEpoch::NONE,
            partition_epoch: PartitionEpoch::NONE,
            high_watermark,
        }
    }

    /// Takes a LeaderAndIsr request's word, if it is news. `log_end_offset` is the log's.
    ///
    /// The controller's epoch and the broker's are for the request as a whole and checked before.
    pub fn apply_leader_and_isr(
        &mut self,
        change: PartitionChange,
        log_end_offset: Offset,
        now_ms: i64,
    ) -> Result<RoleChange, LeaderAndIsrRefusal> {
        if let (Some(given), Some(current)) = (change.topic_id, self.topic_id)
            && given != current
        {
            return Err(LeaderAndIsrRefusal::InconsistentTopicId { given, current });
        }
        let (given, current) = (change.leader_epoch, self.leader_epoch);
        if given <= current {
            // A topic that lacked an id gets one without a new leader epoch (KAFKA-13132).
            return match (change.topic_id, self.topic_id) {
                (Some(id), None) if given == current => {
                    self.topic_id = Some(id);
                    Ok(RoleChange::TopicIdKnown(id))
                }
                _ => Err(LeaderAndIsrRefusal::StaleLeaderEpoch { given, current }),
            };
        }
        if !change.replicas.contains(&self.me) {
            return Err(LeaderAndIsrRefusal::NotAReplica);
        }
        if change.partition_epoch < self.partition_epoch {
            return Ok(RoleChange::Nothing);
        }
        self.topic_id = change.topic_id.or(self.topic_id);
        self.leader_epoch = change.leader_epoch;
        self.controller_epoch = change.controller_epoch;
        self.partition_epoch = change.partition_epoch;
        self.replicas = change.replicas;
        match change.leader {
            Some(leader) if leader == self.me => {
                let leader = Leader::begin(self.me, &self.replicas, change.isr, log_end_offset, now_ms);
                self.role = Role::Leader(leader);
                Ok(RoleChange::BecameLeader { epoch_start_offset: log_end_offset })
            }
            leader => {
                self.role = Role::Follower { leader };
                Ok(RoleChange::BecameFollower { leader })
            }
        }
    }

    /// Takes the ISR that a controller wrote at this leader's wish.
    pub fn isr_written(&mut self, isr: Vec<BrokerId>, partition_epoch: PartitionEpoch) {
        if let Role::Leader(leader) = &mut self.role
            && partition_epoch > self.partition_epoch
        {
            leader.isr = isr;
            self.partition_epoch = partition_epoch;
        }
    }

    /// Whether a StopReplica request concerns the partition as it is now. `None` passes always: its topic goes away, or the
    /// sender knows no epoch.
    pub fn check_stop_replica(&self, leader_epoch: Option<LeaderEpoch>) -> Result<(), EpochRefusal> {
        match leader_epoch {
            Some(given) if given < self.leader_epoch => Err(EpochRefusal::Fenced { given, current: self.leader_epoch }),
            _ => Ok(()),
        }
    }

    /// Compares the leader epoch that a client believes in (none: an old client) with the present one.
    pub fn check_leader_epoch(&self, given: Option<LeaderEpoch>) -> Result<(), EpochRefusal> {
        let current = self.leader_epoch;
        match given {
            Some(given) if given < current => Err(EpochRefusal::Fenced { given, current }),
            Some(given) if given > current => Err(EpochRefusal::Unknown { given, current }),
            _ => Ok(()),
        }
    }

    /// The role of leader, if this broker has it.
    pub fn leader(&self) -> Result<&Leader, NotLeader> {
        match &self.role {
            Role::Leader(leader) => Ok(leader),
            _ => Err(NotLeader),
        }
    }

    /// The same, to record fetches.
    pub fn leader_mut(&mut self) -> Result<&mut Leader, NotLeader> {
        match &mut self.role {
            Role::Leader(leader) => Ok(leader),
            _ => Err(NotLeader),
        }
    }

    /// Whether a produce may be appended, and the leader epoch to stamp on its batches.
    pub fn check_append(&self, acks_all: bool, rules: IsrRules) -> Result<LeaderEpoch, AppendRefusal> {
        let in_sync = self.leader()?.isr.len();
        let required = rules.min_in_sync.min(self.replicas.len());
        match acks_all && in_sync < required {
            true => Err(AppendRefusal::NotEnoughReplicas { in_sync, required }),
            false => Ok(self.leader_epoch),
        }
    }

    /// Raises a leader's high watermark as far as all replicas have come who count; it never falls. Returns it if it rose.
    ///
    /// `own_end` is how far the leader counts itself: see the crate's text. `lives` says which brokers are registered.
    pub fn advance_high_watermark(
        &mut self,
        own_end: Offset,
        rules: IsrRules,
        now_ms: i64,
        lives: impl Fn(BrokerId) -> bool,
    ) -> Option<Offset> {
        let end = self.leader().ok()?.committed_end(own_end, rules, now_ms, lives)?;
        (end > self.high_watermark).then(|| {
            self.high_watermark = end;
            end
        })
    }

    /// Takes a leader's word for the high watermark, as far as this follower's log goes.
    pub fn follow_high_watermark(&mut self, of_leader: Offset, log_end_offset: Offset) {
        self.high_watermark = self.high_watermark.max(of_leader.min(log_end_offset));
    }

    /// The log was truncated or its start moved: the high watermark lies within it (KAFKA-9491).
    pub fn clamp_high_watermark(&mut self, log_start_offset: Offset, log_end_offset: Offset) {
        self.high_watermark = self.high_watermark.min(log_end_offset).max(log_start_offset);
    }

    /// End, exclusive, of what is committed.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The broker whose part this is.
    pub fn broker_id(&self) -> BrokerId {
        self.me
    }

    /// What this broker is to the partition.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The topic's id, if known.
    pub fn topic_id(&self) -> Option<TopicId> {
        self.topic_id
    }

    /// The present leader epoch; [`LeaderEpoch::NONE`] before a controller spoke.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// Epoch of the controller that decided the present state.
    pub fn controller_epoch(&self) -> ControllerEpoch {
        self.controller_epoch
    }

    /// Version of the state node that holds it.
    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.partition_epoch
    }

    /// All replicas, in order of preference.
    pub fn replicas(&self) -> &[BrokerId] {
        &self.replicas
    }
}
