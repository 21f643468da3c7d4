//! `/brokers/topics/<topic>`: a topic and the replicas of its partitions.

use std::collections::BTreeMap;

use ottla_types::{BrokerId, PartitionIndex, TopicId, TopicName};
use serde_json::{Map, Value, json};

use crate::document::{self, DecodeError, Document};

/// The folder of the topics.
pub const PARENT: &str = "/brokers/topics";

const REMEDY: &str = "write the node back as a broker or kafka-topics wrote it, or delete it and make the topic again";

/// The node of a topic.
pub fn path(topic: &TopicName) -> String {
    format!("{PARENT}/{topic}")
}

/// The topic in the path of its node.
pub fn parse_path(path: &str) -> Option<TopicName> {
    TopicName::new(path.strip_prefix(PARENT)?.strip_prefix('/')?).ok()
}

/// The replicas of each partition.
pub type ReplicaMap = BTreeMap<PartitionIndex, Vec<BrokerId>>;

/// `/brokers/topics/<topic>`, persistent: which brokers hold which partition. Versions 1 to 3 are read (the number itself
/// is never looked at), 3 is written (KIP-516; `ZkData.scala` TopicZNode).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicAssignment {
    /// Each partition's replicas, the preferred leader first.
    pub partitions: ReplicaMap,
    /// The topic's id; none in a topic that an old tool made, until the controller adds one.
    pub topic_id: Option<TopicId>,
    /// Replicas being added; only of partitions under reassignment.
    pub adding_replicas: ReplicaMap,
    /// Replicas being removed; only of partitions under reassignment.
    pub removing_replicas: ReplicaMap,
}

impl TopicAssignment {
    /// Reads any version.
    pub fn decode(path: &str, data: &[u8]) -> Result<TopicAssignment, DecodeError> {
        let document = Document::parse(path, REMEDY, data)?;
        let replicas = |key: &str| -> Result<ReplicaMap, DecodeError> {
            let partition = |(index, replicas): (&String, &Value)| {
                let index: PartitionIndex = index.parse().ok().filter(|index| *index >= 0)?;
                Some((index, document::ints(replicas)?.into_iter().map(BrokerId).collect()))
            };
            let broken = || document.error(key, "has an entry that is no partition number with a list of broker ids");
            let entries = document.optional_object(key)?.into_iter().flatten();
            entries.map(|entry| partition(entry).ok_or_else(broken)).collect()
        };
        let topic_id = match document.optional_text("topic_id")? {
            Some(text) => Some(TopicId::parse(text).map_err(|_| document.error("topic_id", "is no topic id"))?),
            None => None,
        };
        Ok(TopicAssignment {
            partitions: replicas("partitions")?,
            topic_id,
            adding_replicas: replicas("adding_replicas")?,
            removing_replicas: replicas("removing_replicas")?,
        })
    }

    /// Version 3, keys in the order of Kafka 3.9.
    pub fn encode(&self) -> Vec<u8> {
        let mut document = json!({ "partitions": replicas(&self.partitions) });
        if let Some(id) = self.topic_id {
            document["topic_id"] = json!(id.to_string());
        }
        document["adding_replicas"] = replicas(&self.adding_replicas);
        document["removing_replicas"] = replicas(&self.removing_replicas);
        document["version"] = json!(3);
        document::encode(&document)
    }
}

fn replicas(partitions: &ReplicaMap) -> Value {
    let entry = |(index, ids): (&PartitionIndex, &Vec<BrokerId>)| {
        (index.to_string(), ids.iter().map(|id| Value::from(id.0)).collect::<Value>())
    };
    Value::Object(partitions.iter().map(entry).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<TopicAssignment, DecodeError> {
        TopicAssignment::decode("/brokers/topics/t", text.as_bytes())
    }

    #[test]
    fn partitions_are_sorted_by_number_not_by_text() {
        let topic = decode(r#"{"version":1,"partitions":{"10":[2,1],"9":[1]}}"#).unwrap();
        assert_eq!(topic.partitions.keys().copied().collect::<Vec<_>>(), [9, 10]);
        assert_eq!(topic.partitions[&10], [BrokerId(2), BrokerId(1)]);
        assert_eq!(topic.topic_id, None);
        let text = r#"{"partitions":{"9":[1],"10":[2,1]},"adding_replicas":{},"removing_replicas":{},"version":3}"#;
        assert_eq!(String::from_utf8(topic.encode()).unwrap(), text);
    }

    #[test]
    fn no_partitions_is_an_empty_assignment_but_broken_ones_are_an_error() {
        assert_eq!(decode("{}").unwrap(), TopicAssignment::default());
        for bad in [r#"{"partitions":{"x":[1]}}"#, r#"{"partitions":{"-1":[1]}}"#, r#"{"partitions":{"0":1}}"#] {
            assert!(decode(bad).unwrap_err().to_string().contains("'partitions'"));
        }
        assert!(decode(r#"{"topic_id":"short"}"#).is_err());
    }

    #[test]
    fn paths_read_back() {
        let topic = TopicName::new("a.b").unwrap();
        assert_eq!(parse_path(&path(&topic)), Some(topic));
        assert_eq!(parse_path("/brokers/topics/a/partitions"), None);
    }
}
