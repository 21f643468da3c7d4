//! `/consumers/<group>/plan` and `planner`: ours. Which stream takes which partition of the group, decided by one member.

use std::collections::BTreeMap;

use ottla_types::{PartitionIndex, TopicName, TopicPartition};
use serde_json::{Map, Value, json};

use crate::document::{self, DecodeError, Document};

const REMEDY: &str = "delete the node: the group's planner writes it anew";

/// The plan of a group, persistent.
pub fn path(group: &str) -> String {
    format!("{}/plan", crate::consumers::group_path(group))
}

/// The member that writes the plans, ephemeral; holds its consumer id as plain text.
pub fn planner_path(group: &str) -> String {
    format!("{}/planner", crate::consumers::group_path(group))
}

/// A numbered decision. Old members neither read nor write it; they are in it, since what they take by their rules is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerPlan {
    /// One more than the plan before.
    pub generation: i32,
    /// The rule it follows: `sticky`, `range` or `roundrobin`.
    pub assignor: String,
    /// The consumer id of the member that wrote it.
    pub planner: String,
    /// When it was written; ms since the epoch.
    pub timestamp_ms: i64,
    /// How many partitions have another stream than in the plan before.
    pub moved: i32,
    /// The thread id (`<consumer id>-<stream>`) of each partition that somebody wants.
    pub streams: BTreeMap<TopicPartition, String>,
}

impl ConsumerPlan {
    /// Reads any version. Streams are listed once and named by their place in the list, -1: nobody.
    pub fn decode(path: &str, data: &[u8]) -> Result<ConsumerPlan, DecodeError> {
        let document = Document::parse(path, REMEDY, data)?;
        let broken = |key| document.error(key, "is not what a plan holds there");
        let threads: Vec<&str> = document
            .list("streams")?
            .iter()
            .map(|thread| thread.as_str().ok_or_else(|| broken("streams")))
            .collect::<Result<_, _>>()?;
        let topics = document.optional_object("topics")?.ok_or_else(|| document.error("topics", "is missing"))?;
        let mut streams = BTreeMap::new();
        for (topic, places) in topics {
            let topic = TopicName::new(topic).map_err(|_| broken("topics"))?;
            for (index, place) in document::ints(places).ok_or_else(|| broken("topics"))?.into_iter().enumerate() {
                if place == -1 {
                    continue;
                }
                let thread = usize::try_from(place).ok().and_then(|place| threads.get(place));
                let thread = thread.ok_or_else(|| document.error("topics", "names a stream that is not listed"))?;
                streams.insert(TopicPartition::new(topic.clone(), index as PartitionIndex), (*thread).to_owned());
            }
        }
        Ok(ConsumerPlan {
            generation: document.int("generation")?,
            assignor: document.text("assignor")?.into(),
            planner: document.text("planner")?.into(),
            timestamp_ms: document.long("timestamp")?,
            moved: document.optional_int("moved")?.unwrap_or(0),
            streams,
        })
    }

    /// Version 1.
    pub fn encode(&self) -> Vec<u8> {
        let mut places: BTreeMap<&str, i32> = self.streams.values().map(|thread| (thread.as_str(), 0)).collect();
        for (place, slot) in (0..).zip(places.values_mut()) {
            *slot = place;
        }
        let mut topics: BTreeMap<&TopicName, Vec<i32>> = BTreeMap::new();
        for (partition, thread) in &self.streams {
            // Partitions are numbered from 0 without gaps, up to a gap that nobody wants.
            let list = topics.entry(&partition.topic).or_default();
            list.resize(usize::try_from(partition.partition).unwrap_or(0), -1);
            list.push(places[thread.as_str()]);
        }
        let topics: Map<String, Value> =
            topics.into_iter().map(|(topic, list)| (topic.to_string(), json!(list))).collect();
        document::encode(&json!({
            "version": 1,
            "generation": self.generation,
            "assignor": self.assignor,
            "planner": self.planner,
            "timestamp": self.timestamp_ms.to_string(),
            "moved": self.moved,
            "streams": places.keys().collect::<Vec<_>>(),
            "topics": topics,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(topic: &str, index: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new(topic).unwrap(), index)
    }

    #[test]
    fn a_plan_reads_back() {
        let streams = [(partition("a", 0), "h:1-0"), (partition("a", 3), "h:1-1"), (partition("b", 0), "h:1-0")];
        let plan = ConsumerPlan {
            generation: 7,
            assignor: "sticky".into(),
            planner: "h:1".into(),
            timestamp_ms: 1_795_400_076_850,
            moved: 2,
            streams: streams.map(|(partition, thread)| (partition, thread.to_owned())).into(),
        };
        let text = String::from_utf8(plan.encode()).unwrap();
        assert_eq!(
            text,
            r#"{"version":1,"generation":7,"assignor":"sticky","planner":"h:1","timestamp":"1795400076850","moved":2,"streams":["h:1-0","h:1-1"],"topics":{"a":[0,-1,-1,1],"b":[0]}}"#
        );
        assert_eq!(ConsumerPlan::decode("/p", text.as_bytes()).unwrap(), plan);
    }

    #[test]
    fn a_broken_plan_is_refused() {
        let good =
            r#"{"generation":1,"assignor":"range","planner":"h","timestamp":"1","streams":["a-0"],"topics":{"t":[0]}}"#;
        assert!(ConsumerPlan::decode("/p", good.as_bytes()).is_ok());
        for (from, to) in [("[0]", "[1]"), ("[0]", "[-2]"), ("[0]", "0"), ("\"a-0\"", "1"), ("\"t\"", "\"t/\"")] {
            assert!(ConsumerPlan::decode("/p", good.replace(from, to).as_bytes()).is_err(), "{to}");
        }
    }
}
