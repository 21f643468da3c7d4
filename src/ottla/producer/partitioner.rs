use std::collections::BTreeMap;

use ottla_types::{PartitionIndex, TopicName};
use ottla_view::{Cluster, Leadership};

use super::Record;

/// Chooses partitions in the application's own way. It is called for each record that names no partition, by the thread that
/// sends it.
///
/// ```
/// use ottla::producer::{Partitioner, Record, TopicView};
///
/// /// The first byte of the value decides.
/// struct ByFirstByte;
///
/// impl Partitioner for ByFirstByte {
///     fn partition(&self, record: &Record<'_>, topic: &TopicView<'_>) -> Option<i32> {
///         let first = *record.value?.first()?;
///         Some(i32::from(first) % topic.count())
///     }
/// }
/// ```
pub trait Partitioner: Send + Sync {
    /// The partition for a record; `None`: by the built-in rule.
    fn partition(&self, record: &Record<'_>, topic: &TopicView<'_>) -> Option<PartitionIndex>;
}

/// A topic as a [`Partitioner`] sees it.
#[derive(Debug, Clone, Copy)]
pub struct TopicView<'a> {
    pub(super) name: &'a TopicName,
    pub(super) partitions: &'a BTreeMap<PartitionIndex, Leadership>,
    pub(super) cluster: &'a Cluster,
}

impl TopicView<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// How many partitions it has: 1 or more.
    pub fn count(&self) -> i32 {
        self.partitions.len() as i32
    }

    /// Its partitions, and who leads each.
    pub fn partitions(&self) -> &BTreeMap<PartitionIndex, Leadership> {
        self.partitions
    }

    /// Whether a partition has a leader that lives: what is sent to it need not wait.
    pub fn is_available(&self, partition: PartitionIndex) -> bool {
        let leader = self.partitions.get(&partition).and_then(|leadership| leadership.leader);
        leader.is_some_and(|leader| self.cluster.brokers.contains_key(&leader))
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        self.cluster
    }
}
