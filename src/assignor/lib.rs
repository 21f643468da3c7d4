//! Who consumes what: the ways in which a group's members share partitions, as functions.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{PartitionIndex, TopicName, TopicPartition};

/// One that takes partitions: a stream of a classic consumer, or a member of a standard group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// `<consumer id>-<stream>` in a classic group. Order is by UTF-16 code units, as Java sorts strings.
    pub id: String,
    /// The topics it wants.
    pub topics: BTreeSet<TopicName>,
}

/// The partitions of each topic that exists, sorted.
pub type Topics = BTreeMap<TopicName, Vec<PartitionIndex>>;

/// Who takes each partition, as an index into the members that were given. Partitions that nobody wants are missing.
pub type Assignment = BTreeMap<TopicPartition, usize>;
