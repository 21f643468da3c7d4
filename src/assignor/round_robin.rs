//! Kafka's two round robins: all partitions of all topics, shuffled by a hash, dealt to the members in turn.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_types::{TopicName, TopicPartition};

use crate::{Assignment, Member, Topics, sorted, takers};

/// Two members want different topics, which round robin did not allow before 0.10.2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{one} and {other} want different topics: round robin as of 0.8.2 needs the same topics and streams everywhere"
)]
pub struct NotUniform {
    /// The id of a member.
    pub one: String,
    /// The id of another.
    pub other: String,
}

/// Round robin as 0.8.2 to 0.10.1 compute it (KAFKA-687): every topic must be wanted by the same members. Those that want
/// nothing do not count.
pub fn round_robin_0_8_2(members: &[Member], topics: &Topics) -> Result<Assignment, NotUniform> {
    let mut takers = members.iter().filter(|member| !member.topics.is_empty());
    if let Some(one) = takers.next() {
        let same = |other: &BTreeSet<TopicName>| *other == *one.topics;
        if let Some(other) = takers.find(|other| !Arc::ptr_eq(&one.topics, &other.topics) && !same(&other.topics)) {
            return Err(NotUniform { one: one.id.clone(), other: other.id.clone() });
        }
    }
    Ok(round_robin(members, topics))
}

/// Round robin as 0.10.2 to 1.1 compute it (KAFKA-2434): the members of all topics form one circle, and each partition goes
/// to the next one that wants its topic. The same as 0.8.2's where that one computes at all.
pub fn round_robin(members: &[Member], topics: &Topics) -> Assignment {
    let takers = takers(members, topics);
    let mut partitions: Vec<(i32, TopicPartition)> = takers
        .keys()
        .flat_map(|topic| topics[*topic].iter().map(|partition| TopicPartition::new((*topic).clone(), *partition)))
        .map(|partition| (java_hash(&format!("[{},{}]", partition.topic, partition.partition)), partition))
        .collect();
    // Equal hashes keep the order of a hash map in Kafka, which differs between its members; here they have one.
    partitions.sort();
    let circle: Vec<usize> = sorted(members).into_iter().filter(|member| !members[*member].topics.is_empty()).collect();
    let mut turn = 0;
    let mut assignment = Assignment::new();
    for (_, partition) in partitions {
        while !members[circle[turn]].topics.contains(&partition.topic) {
            turn = (turn + 1) % circle.len();
        }
        assignment.insert(partition, circle[turn]);
        turn = (turn + 1) % circle.len();
    }
    assignment
}

/// `String.hashCode`: 31 h + c over the UTF-16 code units, in 32 bits.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}
