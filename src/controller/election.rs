//! Who leads: Kafka's five rules as functions of values (`Election.scala`, `PartitionLeaderElectionAlgorithms`).
//!
//! `replicas` is the assignment in order of preference, `isr` the current ISR in its order.

use ottla_types::BrokerId;

/// A leader with the ISR it starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The new leader.
    pub leader: BrokerId,
    /// The new ISR.
    pub isr: Vec<BrokerId>,
    /// The leader comes from outside the ISR, so records may be lost.
    pub unclean: bool,
}

impl Choice {
    fn clean(leader: BrokerId, isr: Vec<BrokerId>) -> Choice {
        Choice { leader, isr, unclean: false }
    }
}

/// The leader is gone: the first replica that is online and in the ISR, which shrinks to its online members. If there is
/// none and unclean election is allowed, the first that is online, alone.
pub fn offline(
    replicas: &[BrokerId],
    isr: &[BrokerId],
    online: impl Fn(BrokerId) -> bool,
    unclean_allowed: bool,
) -> Option<Choice> {
    let first = |wanted: &dyn Fn(BrokerId) -> bool| replicas.iter().copied().find(|r| wanted(*r));
    if let Some(leader) = first(&|r| online(r) && isr.contains(&r)) {
        return Some(Choice::clean(leader, isr.iter().copied().filter(|r| online(*r)).collect()));
    }
    let leader = first(&|r| unclean_allowed && online(r))?;
    Some(Choice { leader, isr: vec![leader], unclean: true })
}

/// The leader is not among the replicas that a reassignment leads to: the first of those that is online and in the ISR.
pub fn reassign(target: &[BrokerId], isr: &[BrokerId], online: impl Fn(BrokerId) -> bool) -> Option<Choice> {
    let leader = target.iter().copied().find(|r| online(*r) && isr.contains(r))?;
    Some(Choice::clean(leader, isr.to_vec()))
}

/// Leadership goes back to the first replica, if that is online and in the ISR.
pub fn preferred(replicas: &[BrokerId], isr: &[BrokerId], online: impl Fn(BrokerId) -> bool) -> Option<Choice> {
    reassign(replicas.get(..1)?, isr, online)
}

/// Brokers shut down: the first replica in the ISR that is `live` and does not shut down; those that do leave the ISR.
/// `live` counts brokers that are shutting down.
pub fn controlled_shutdown(
    replicas: &[BrokerId],
    isr: &[BrokerId],
    live: impl Fn(BrokerId) -> bool,
    shutting_down: impl Fn(BrokerId) -> bool,
) -> Option<Choice> {
    let leader = replicas.iter().copied().find(|r| isr.contains(r) && live(*r) && !shutting_down(*r))?;
    Some(Choice::clean(leader, isr.iter().copied().filter(|r| !shutting_down(*r)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(list: &[i32]) -> Vec<BrokerId> {
        list.iter().map(|b| BrokerId(*b)).collect()
    }

    fn among(list: &'static [i32]) -> impl Fn(BrokerId) -> bool {
        |b| list.contains(&b.0)
    }

    fn clean(leader: i32, isr: &[i32]) -> Option<Choice> {
        Some(Choice { leader: BrokerId(leader), isr: ids(isr), unclean: false })
    }

    #[test]
    fn offline_takes_the_first_assigned_of_the_isr() {
        // The order of the assignment counts, not that of the ISR, which keeps its own.
        assert_eq!(offline(&ids(&[1, 2, 3]), &ids(&[3, 2, 1]), among(&[2, 3]), false), clean(2, &[3, 2]));
        assert_eq!(offline(&ids(&[1, 2, 3]), &ids(&[1]), among(&[2, 3]), false), None);
    }

    #[test]
    fn unclean_only_if_nobody_of_the_isr_is_online() {
        assert_eq!(offline(&ids(&[1, 2, 3]), &ids(&[3]), among(&[2, 3]), true), clean(3, &[3]));
        let unclean = Choice { leader: BrokerId(2), isr: ids(&[2]), unclean: true };
        assert_eq!(offline(&ids(&[1, 2, 3]), &ids(&[1]), among(&[2, 3]), true), Some(unclean));
        assert_eq!(offline(&ids(&[1, 2]), &ids(&[1]), among(&[]), true), None);
    }

    #[test]
    fn reassign_keeps_the_isr() {
        assert_eq!(reassign(&ids(&[4, 3]), &ids(&[1, 3]), among(&[1, 3, 4])), clean(3, &[1, 3]));
        assert_eq!(reassign(&ids(&[4]), &ids(&[1, 3]), among(&[1, 3, 4])), None);
    }

    #[test]
    fn preferred_is_the_first_or_nobody() {
        assert_eq!(preferred(&ids(&[1, 2]), &ids(&[2, 1]), among(&[1, 2])), clean(1, &[2, 1]));
        assert_eq!(preferred(&ids(&[1, 2]), &ids(&[2]), among(&[1, 2])), None);
        assert_eq!(preferred(&ids(&[1, 2]), &ids(&[2, 1]), among(&[2])), None);
        assert_eq!(preferred(&[], &[], among(&[])), None);
    }

    #[test]
    fn controlled_shutdown_goes_by_the_assignment() {
        // KAFKA-3670: assignment order, not ISR order.
        let choice = controlled_shutdown(&ids(&[1, 2, 3]), &ids(&[3, 2, 1]), among(&[1, 2, 3]), among(&[1]));
        assert_eq!(choice, clean(2, &[3, 2]));
        assert_eq!(controlled_shutdown(&ids(&[1, 2]), &ids(&[1]), among(&[1, 2]), among(&[1])), None);
        assert_eq!(controlled_shutdown(&ids(&[1, 2]), &ids(&[1, 2]), among(&[1]), among(&[1])), None);
    }
}
