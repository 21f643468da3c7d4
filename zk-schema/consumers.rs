//! `/consumers/<group>`: members, owners and offsets of the classic consumer groups.

use ottla_types::{Offset, PartitionIndex, TopicName, TopicPartition};
use serde_json::{Map, Value, json};

use crate::document::{self, DecodeError, Document};

/// The folder of the classic consumer groups.
pub const PARENT: &str = "/consumers";

/// What lies below a group's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupNode {
    /// `ids/<consumer id>`, ephemeral: a member.
    Member(String),
    /// `owners/<topic>/<partition>`, ephemeral: who consumes the partition.
    Owner(TopicPartition),
    /// `offsets/<topic>/<partition>`, persistent: the next offset to consume.
    Offset(TopicPartition),
    /// `plan`, persistent, ours: who is to consume what.
    Plan,
    /// `planner`, ephemeral, ours: who writes the plan.
    Planner,
}

/// The folder of a group. A group's name is taken as it is: one with a slash has no classic offsets.
pub fn group_path(group: &str) -> String {
    format!("{PARENT}/{group}")
}

/// The registration of a member.
pub fn member_path(group: &str, consumer_id: &str) -> String {
    format!("{PARENT}/{group}/ids/{consumer_id}")
}

/// The folder of a topic's offsets.
pub fn offsets_path(group: &str, topic: &TopicName) -> String {
    format!("{PARENT}/{group}/offsets/{topic}")
}

/// The committed offset of a partition.
pub fn offset_path(group: &str, partition: &TopicPartition) -> String {
    format!("{}/{}", offsets_path(group, &partition.topic), partition.partition)
}

/// The folder of a topic's owners.
pub fn owners_path(group: &str, topic: &TopicName) -> String {
    format!("{PARENT}/{group}/owners/{topic}")
}

/// The owner of a partition.
pub fn owner_path(group: &str, partition: &TopicPartition) -> String {
    format!("{}/{}", owners_path(group, &partition.topic), partition.partition)
}

/// The group and the node in a path.
pub fn parse_path(path: &str) -> Option<(&str, GroupNode)> {
    let parts: Vec<&str> = path.strip_prefix(PARENT)?.strip_prefix('/')?.split('/').collect();
    let partition = |topic: &str, number: &str| {
        let number: PartitionIndex = number.parse().ok().filter(|number| *number >= 0)?;
        Some(TopicPartition::new(TopicName::new(topic).ok()?, number))
    };
    match parts[..] {
        [group, "plan"] => Some((group, GroupNode::Plan)),
        [group, "planner"] => Some((group, GroupNode::Planner)),
        [group, "ids", id] => Some((group, GroupNode::Member(id.into()))),
        [group, "owners", topic, number] => Some((group, GroupNode::Owner(partition(topic, number)?))),
        [group, "offsets", topic, number] => Some((group, GroupNode::Offset(partition(topic, number)?))),
        _ => None,
    }
}

/// Reads an offset: decimal text, the next offset to consume.
pub fn decode_offset(path: &str, data: &[u8]) -> Result<Offset, DecodeError> {
    document::decimal(path, "write the offset as decimal text, or delete the node", data)
}

/// Writes an offset.
pub fn encode_offset(offset: Offset) -> Vec<u8> {
    offset.to_string().into_bytes()
}

/// Reads an owner: the thread id `<consumer id>-<n>`, plain text.
pub fn decode_owner(path: &str, data: &[u8]) -> Result<String, DecodeError> {
    String::from_utf8(data.into()).map_err(|_| DecodeError {
        path: path.into(),
        problem: "the owner is no text".into(),
        remedy: "delete the node and restart the group's members",
    })
}

/// `/consumers/<group>/ids/<consumer id>`, ephemeral: what a member wants (`TopicCount.scala`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Topic names, or one filter, each with a number of streams.
    pub subscription: Vec<(String, i32)>,
    /// `static`, `white_list` or `black_list`.
    pub pattern: String,
    /// When the member registered; ms since the epoch, seconds from some foreign clients.
    pub timestamp: Option<i64>,
    /// Ours: the assignor that the member would follow a plan by. Old members have none, and follow no plan.
    pub assignor: Option<String>,
}

impl Registration {
    /// Reads version 1.
    pub fn decode(path: &str, data: &[u8]) -> Result<Registration, DecodeError> {
        let document = Document::parse(path, "restart that consumer: it writes the node anew", data)?;
        let streams = |(topic, count): (&String, &Value)| Some((topic.clone(), document::int(count)?));
        let broken = || document.error("subscription", "has an entry that is no topic with a number of streams");
        let subscription =
            document.optional_object("subscription")?.ok_or_else(|| document.error("subscription", "is missing"))?;
        Ok(Registration {
            subscription: subscription
                .iter()
                .map(|entry| streams(entry).ok_or_else(broken))
                .collect::<Result<_, _>>()?,
            pattern: document.text("pattern")?.into(),
            timestamp: document.optional_long("timestamp")?,
            assignor: document.optional_text("assignor")?.map(str::to_owned),
        })
    }

    /// Version 1. Old readers ignore the key that is ours.
    pub fn encode(&self) -> Vec<u8> {
        let subscription: Map<String, Value> =
            self.subscription.iter().map(|(topic, count)| (topic.clone(), json!(count))).collect();
        let mut document = json!({
            "version": 1,
            "subscription": subscription,
            "pattern": self.pattern,
            "timestamp": self.timestamp.unwrap_or(-1).to_string(),
        });
        if let Some(assignor) = &self.assignor {
            document["assignor"] = json!(assignor);
        }
        document::encode(&document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_back() {
        let partition = TopicPartition::new(TopicName::new("t").unwrap(), 3);
        let offset = offset_path("g", &partition);
        assert_eq!(offset, "/consumers/g/offsets/t/3");
        assert_eq!(parse_path(&offset), Some(("g", GroupNode::Offset(partition.clone()))));
        assert_eq!(parse_path(&owner_path("g", &partition)), Some(("g", GroupNode::Owner(partition))));
        assert_eq!(parse_path(&member_path("g", "g_m")), Some(("g", GroupNode::Member("g_m".into()))));
        assert_eq!(parse_path(&crate::consumer_plan::path("g")), Some(("g", GroupNode::Plan)));
        assert_eq!(parse_path(&crate::consumer_plan::planner_path("g")), Some(("g", GroupNode::Planner)));
        assert_eq!(parse_path("/consumers/g/offsets/t/0-1"), None);
    }

    #[test]
    fn offsets_are_decimal_text_of_64_bits() {
        assert_eq!(decode_offset("/o", &encode_offset(1 << 40)).unwrap(), 1 << 40);
        for bad in ["", "x", "1.5", "9223372036854775808"] {
            assert!(decode_offset("/o", bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
