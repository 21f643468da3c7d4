use ottla_types::{TopicName, TopicPartition};
use serde_json::{Value, json};

use crate::document::{self, DecodeError, Document};

/// Reads `{"version":1,"partitions":[{"topic":s,"partition":n}]}`, the payload of several nodes.
pub(crate) fn decode(path: &str, remedy: &'static str, data: &[u8]) -> Result<Vec<TopicPartition>, DecodeError> {
    Document::parse(path, remedy, data)?.objects("partitions")?.iter().map(partition).collect()
}

/// Reads the partition that an entry names.
pub(crate) fn partition(entry: &Document) -> Result<TopicPartition, DecodeError> {
    let topic = TopicName::new(entry.text("topic")?).map_err(|error| entry.error("topic", &error.to_string()))?;
    match entry.int("partition")? {
        number if number < 0 => Err(entry.error("partition", "is negative")),
        number => Ok(TopicPartition::new(topic, number)),
    }
}

/// Version 1.
pub(crate) fn encode(partitions: &[TopicPartition]) -> Vec<u8> {
    let entry = |p: &TopicPartition| json!({"topic": p.topic.as_str(), "partition": p.partition});
    document::encode(&json!({"version": 1, "partitions": partitions.iter().map(entry).collect::<Value>()}))
}
