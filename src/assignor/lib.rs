//! Who consumes what: the ways in which a group's members share partitions, as functions.
//!
//! [`range`] and the two round robins are Kafka's old consumer to the letter, since members that are not ours compute them
//! for themselves and must come to the same end. [`sticky`] is for those who follow one decision: as even as the
//! subscriptions allow, and of all the even ways one that moves the fewest partitions.
//!
//! All of them give the same answer in whatever order the members are listed, and to each partition at most one member,
//! who wants its topic. Nothing here knows where members or partitions come from.

mod cycles;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod golden;
mod range;
mod round_robin;
mod shares;
mod sticky;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_types::{PartitionIndex, TopicName, TopicPartition};

pub use range::range;
pub use round_robin::{NotUniform, round_robin, round_robin_0_8_2};
pub use sticky::sticky;

/// One that takes partitions: a stream of a classic consumer, or a member of a standard group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// `<consumer id>-<stream>` in a classic group. Order is by UTF-16 code units, as Java sorts strings.
    pub id: String,
    /// The topics it wants, whether they exist or not. Shared, since a consumer's streams mostly want the same.
    pub topics: Arc<BTreeSet<TopicName>>,
}

/// The partitions of each topic that exists, sorted.
pub type Topics = BTreeMap<TopicName, Vec<PartitionIndex>>;

/// Who takes each partition, as an index into the members that were given. Partitions that nobody wants are missing.
pub type Assignment = BTreeMap<TopicPartition, usize>;

/// The order of Java's `String.compareTo`: by UTF-16 code units, so that U+10000 and above come before U+E000.
pub fn java_order(left: &str, right: &str) -> Ordering {
    left.encode_utf16().cmp(right.encode_utf16())
}

/// The members as indices, sorted by id.
fn sorted(members: &[Member]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by(|left, right| java_order(&members[*left].id, &members[*right].id));
    order
}

/// For each topic that exists, the members that want it, sorted by id. Topics that nobody wants are missing.
fn takers<'a>(members: &[Member], topics: &'a Topics) -> BTreeMap<&'a TopicName, Vec<usize>> {
    let mut takers: BTreeMap<&TopicName, Vec<usize>> = BTreeMap::new();
    for member in sorted(members) {
        for topic in members[member].topics.iter() {
            if let Some((topic, _)) = topics.get_key_value(topic) {
                takers.entry(topic).or_default().push(member);
            }
        }
    }
    takers
}
