//! Members and topics for tests.

use std::sync::Arc;

use ottla_types::{PartitionIndex, TopicName, TopicPartition};

use crate::{Member, Topics};

pub(crate) fn member(id: &str, topics: &[&str]) -> Member {
    let topics = topics.iter().map(|name| TopicName::new(name).unwrap()).collect();
    Member { id: id.into(), topics: Arc::new(topics) }
}

pub(crate) fn topics(counts: &[(&str, i32)]) -> Topics {
    counts.iter().map(|(name, count)| (TopicName::new(name).unwrap(), (0..*count).collect())).collect()
}

pub(crate) fn partition(topic: &str, index: PartitionIndex) -> TopicPartition {
    TopicPartition::new(TopicName::new(topic).unwrap(), index)
}
