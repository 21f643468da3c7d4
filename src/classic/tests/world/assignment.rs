//! What Kafka's range says, computed as its text says and not as our room does.

use std::collections::BTreeMap;

use ottla_types::{PartitionIndex, TopicName, TopicPartition};

/// The thread of each partition, from the threads that want each topic.
pub(crate) fn range(
    threads: &BTreeMap<TopicName, Vec<String>>,
    partitions: &BTreeMap<TopicName, Vec<PartitionIndex>>,
) -> BTreeMap<TopicPartition, String> {
    let mut assignment = BTreeMap::new();
    for (topic, threads) in threads {
        let Some(partitions) = partitions.get(topic) else { continue };
        let mut threads = threads.clone();
        threads.sort();
        let (each, more) = (partitions.len() / threads.len(), partitions.len() % threads.len());
        let mut next = partitions.iter();
        for (place, thread) in threads.iter().enumerate() {
            for index in next.by_ref().take(each + usize::from(place < more)) {
                assignment.insert(TopicPartition::new(topic.clone(), *index), thread.clone());
            }
        }
    }
    assignment
}
