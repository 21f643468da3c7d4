//! Kafka's range: each topic's partitions in numeric order, cut into runs for the members in the order of their ids.

use ottla_types::TopicPartition;

use crate::{Assignment, Member, Topics, takers};

/// Shares each topic for itself (`kafka.consumer.RangeAssignor`, 0.7 to 1.1): of P partitions and C members the first
/// P mod C members by id take one more than the others. Every topic favours the same first members.
pub fn range(members: &[Member], topics: &Topics) -> Assignment {
    let mut assignment = Assignment::new();
    for (topic, takers) in takers(members, topics) {
        let partitions = &topics[topic];
        let (each, more) = (partitions.len() / takers.len(), partitions.len() % takers.len());
        for (position, member) in takers.into_iter().enumerate() {
            let start = each * position + position.min(more);
            let count = each + usize::from(position < more);
            for partition in &partitions[start..start + count] {
                assignment.insert(TopicPartition::new(topic.clone(), *partition), member);
            }
        }
    }
    assignment
}
