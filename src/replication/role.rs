use ottla_types::{BrokerId, LeaderEpoch, Offset, TopicId};

use crate::{EpochError, Instruction, Refusal, Verdict};

/// A partition's role on this broker. The default: none has been given yet.
#[derive(Debug, Clone, Default)]
pub struct Role {
    given: Option<Given>,
}

#[derive(Debug, Clone)]
struct Given {
    me: BrokerId,
    instruction: Instruction,
}

impl Role {
    /// Judges an instruction for the partition with this role, whose folder carries `stored`, on broker `me`
    /// (`ReplicaManager.becomeLeaderOrFollower`).
    ///
    /// # Errors
    /// Why the partition stays as it is.
    pub fn judge(&self, me: BrokerId, stored: TopicId, told: &Instruction) -> Result<Verdict, Refusal> {
        if stored != TopicId::ZERO && told.topic_id != TopicId::ZERO && stored != told.topic_id {
            return Err(Refusal::TopicId { told: told.topic_id, stored });
        }
        let current = self.leader_epoch();
        if told.leader_epoch <= current {
            return Err(Refusal::Stale { told: told.leader_epoch, current });
        }
        if !told.replicas.contains(&me) {
            return Err(Refusal::NotAReplica(me));
        }
        Ok(if told.leader == Some(me) { Verdict::Lead } else { Verdict::Follow })
    }

    /// The role that an instruction gives to broker `me`.
    pub fn taking(me: BrokerId, instruction: Instruction) -> Role {
        Role { given: Some(Given { me, instruction }) }
    }

    /// Whether the controller has given a role in this broker's life.
    pub fn is_assigned(&self) -> bool {
        self.given.is_some()
    }

    /// The leader epoch, [`LeaderEpoch::NONE`] without a role.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.given.as_ref().map_or(LeaderEpoch::NONE, |given| given.instruction.leader_epoch)
    }

    /// The epoch in which this broker leads, if it does.
    pub fn leads(&self) -> Option<LeaderEpoch> {
        let given = self.given.as_ref()?;
        (given.instruction.leader == Some(given.me)).then_some(given.instruction.leader_epoch)
    }

    /// How many replicas are in sync.
    pub fn in_sync(&self) -> usize {
        self.given.as_ref().map_or(0, |given| given.instruction.isr.len())
    }

    /// How many replicas there should be.
    pub fn replica_count(&self) -> usize {
        self.given.as_ref().map_or(0, |given| given.instruction.replicas.len())
    }

    /// Compares the epoch that a client names, -1 for none, with the current one.
    ///
    /// # Errors
    /// They differ.
    pub fn check_epoch(&self, named: i32) -> Result<(), EpochError> {
        let (named, current) = (LeaderEpoch(named), self.leader_epoch());
        match named {
            LeaderEpoch::NONE => Ok(()),
            named if named < current => Err(EpochError::Fenced { named, current }),
            named if named > current => Err(EpochError::Unknown { named, current }),
            _ => Ok(()),
        }
    }

    /// How far the log is on every in-sync replica. Of other brokers' logs nothing is known (followers do not fetch from
    /// here yet), so an ISR with others in it keeps the high watermark where it is: the answer is 0.
    pub fn high_watermark(&self, log_end_offset: Offset) -> Offset {
        let Some(given) = &self.given else { return 0 };
        let alone = self.leads().is_some() && given.instruction.isr.iter().all(|broker| *broker == given.me);
        if alone { log_end_offset } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use ottla_types::{ControllerEpoch, PartitionEpoch};

    use super::*;

    const ME: BrokerId = BrokerId(1);
    const OTHER: BrokerId = BrokerId(2);

    fn told(leader: Option<BrokerId>, leader_epoch: i32) -> Instruction {
        Instruction {
            topic_id: TopicId([7; 16]),
            controller_epoch: ControllerEpoch(1),
            leader,
            leader_epoch: LeaderEpoch(leader_epoch),
            isr: vec![ME],
            partition_epoch: PartitionEpoch(0),
            replicas: vec![ME, OTHER],
        }
    }

    #[test]
    fn only_a_higher_leader_epoch_changes_a_role() {
        let role = Role::taking(ME, told(Some(ME), 3));
        let judge = |epoch| role.judge(ME, TopicId::ZERO, &told(Some(ME), epoch));
        assert_eq!(judge(4), Ok(Verdict::Lead));
        for old in [2, 3] {
            assert!(matches!(judge(old), Err(Refusal::Stale { .. })), "{old}");
        }
        assert_eq!(Role::default().judge(ME, TopicId::ZERO, &told(Some(OTHER), 0)), Ok(Verdict::Follow));
    }

    #[test]
    fn a_folder_of_another_topic_is_not_taken_over() {
        let judged = Role::default().judge(ME, TopicId([8; 16]), &told(Some(ME), 0));
        assert!(matches!(judged, Err(Refusal::TopicId { .. })));
        assert!(Role::default().judge(ME, TopicId::ZERO, &told(Some(ME), 0)).is_ok(), "an old folder without an id");
    }

    #[test]
    fn who_is_no_replica_takes_no_role() {
        let stranger = BrokerId(9);
        let judged = Role::default().judge(stranger, TopicId::ZERO, &told(Some(ME), 0));
        assert_eq!(judged, Err(Refusal::NotAReplica(stranger)));
    }

    #[test]
    fn epochs_that_clients_name_are_compared() {
        let role = Role::taking(ME, told(Some(ME), 3));
        assert_eq!(role.check_epoch(-1), Ok(()));
        assert_eq!(role.check_epoch(3), Ok(()));
        assert!(matches!(role.check_epoch(2), Err(EpochError::Fenced { .. })));
        assert!(matches!(role.check_epoch(4), Err(EpochError::Unknown { .. })));
    }

    #[test]
    fn the_high_watermark_moves_only_where_the_whole_isr_is_known() {
        let leading = told(Some(ME), 0);
        assert_eq!(Role::taking(ME, leading.clone()).high_watermark(9), 9);
        assert_eq!(Role::taking(ME, Instruction { isr: vec![ME, OTHER], ..leading.clone() }).high_watermark(9), 0);
        assert_eq!(Role::taking(ME, Instruction { leader: Some(OTHER), ..leading }).high_watermark(9), 0);
        assert_eq!(Role::default().high_watermark(9), 0);
    }
}
