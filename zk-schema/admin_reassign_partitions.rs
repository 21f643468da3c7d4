//! `/admin/reassign_partitions`: replicas that are to move, asked for by a tool.

use ottla_types::{BrokerId, TopicPartition};
use serde_json::{Value, json};

use crate::document::{self, DecodeError, Document};
use crate::partition_list;

/// The node of a reassignment under way; absent when there is none.
pub const PATH: &str = "/admin/reassign_partitions";

/// Reads which replicas each partition is to have. A partition named twice keeps its last entry's replicas in Kafka; here
/// both are handed on, in order.
pub fn decode(path: &str, data: &[u8]) -> Result<Vec<(TopicPartition, Vec<BrokerId>)>, DecodeError> {
    let document = Document::parse(path, "delete the node and start the reassignment anew", data)?;
    let entry = |entry: &Document| {
        let replicas = entry.ints("replicas")?.into_iter().map(BrokerId).collect();
        Ok((partition_list::partition(entry)?, replicas))
    };
    document.objects("partitions")?.iter().map(entry).collect()
}

/// Version 1.
pub fn encode(partitions: &[(TopicPartition, Vec<BrokerId>)]) -> Vec<u8> {
    let entry = |(p, replicas): &(TopicPartition, Vec<BrokerId>)| {
        let replicas: Value = replicas.iter().map(|id| id.0).collect();
        json!({"topic": p.topic.as_str(), "partition": p.partition, "replicas": replicas})
    };
    document::encode(&json!({"version": 1, "partitions": partitions.iter().map(entry).collect::<Value>()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_entry_is_named() {
        let text = br#"{"version":1,"partitions":[{"topic":"a","partition":0,"replicas":[1]},{"topic":"a/b","partition":0,"replicas":[]}]}"#;
        let error = decode(PATH, text).unwrap_err().to_string();
        assert!(error.contains("'partitions[1].topic'"), "{error}");
    }
}
