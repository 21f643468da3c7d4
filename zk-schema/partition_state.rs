//! `/brokers/topics/<topic>/partitions/<n>/state`: leader and ISR of a partition.

use ottla_types::{BrokerId, ControllerEpoch, LeaderEpoch, TopicName, TopicPartition};
use serde_json::json;

use crate::broker_topics;
use crate::document::{self, DecodeError, Document};

const REMEDY: &str = "delete /controller: the next controller elects a leader and writes the node anew once it reads well; \
                      until then restore the last good content";

/// The folder of a topic's partitions; no data.
pub fn partitions_path(topic: &TopicName) -> String {
    format!("{}/partitions", broker_topics::path(topic))
}

/// The folder of one partition; no data.
pub fn partition_path(partition: &TopicPartition) -> String {
    format!("{}/{}", partitions_path(&partition.topic), partition.partition)
}

/// The state node of a partition.
pub fn path(partition: &TopicPartition) -> String {
    format!("{}/state", partition_path(partition))
}

/// The partition in the path of its state node.
pub fn parse_path(path: &str) -> Option<TopicPartition> {
    let rest = path.strip_prefix(broker_topics::PARENT)?.strip_prefix('/')?.strip_suffix("/state")?;
    let (topic, number) = rest.split_once("/partitions/")?;
    let number: i32 = number.parse().ok().filter(|number| *number >= 0)?;
    Some(TopicPartition::new(TopicName::new(topic).ok()?, number))
}

/// `/brokers/topics/<topic>/partitions/<n>/state`, persistent: who leads the partition (`ZkData.scala`
/// TopicPartitionStateZNode). The node's data version is the partition epoch. Only the controller creates it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    /// The leader; none while no replica of the ISR lives.
    pub leader: Option<BrokerId>,
    /// Raised with each change of leader.
    pub leader_epoch: LeaderEpoch,
    /// The replicas in sync.
    pub isr: Vec<BrokerId>,
    /// The controller that wrote it last.
    pub controller_epoch: ControllerEpoch,
    /// After an unclean election the leader may have lost records and is RECOVERING (KIP-704): 1; 0: recovered.
    pub leader_recovery_state: i32,
}

impl PartitionState {
    /// Reads any version.
    pub fn decode(path: &str, data: &[u8]) -> Result<PartitionState, DecodeError> {
        let document = Document::parse(path, REMEDY, data)?;
        let leader = document.int("leader")?;
        Ok(PartitionState {
            leader: (leader >= 0).then_some(BrokerId(leader)),
            leader_epoch: LeaderEpoch(document.int("leader_epoch")?),
            isr: document.ints("isr")?.into_iter().map(BrokerId).collect(),
            controller_epoch: ControllerEpoch(document.int("controller_epoch")?),
            leader_recovery_state: document.optional_int("leader_recovery_state")?.unwrap_or(0),
        })
    }

    /// Version 1, keys in the order of Kafka 3.9; the recovery state only if it is not 0.
    pub fn encode(&self) -> Vec<u8> {
        let mut document = json!({
            "controller_epoch": self.controller_epoch.0,
            "leader": self.leader.map_or(-1, |leader| leader.0),
            "version": 1,
        });
        if self.leader_recovery_state != 0 {
            document["leader_recovery_state"] = json!(self.leader_recovery_state);
        }
        document["leader_epoch"] = json!(self.leader_epoch.0);
        document["isr"] = self.isr.iter().map(|id| id.0).collect();
        document::encode(&document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_leader_is_minus_one_and_recovery_is_written_only_when_it_is_going_on() {
        let mut state = PartitionState {
            leader: None,
            leader_epoch: LeaderEpoch(3),
            isr: vec![BrokerId(1)],
            controller_epoch: ControllerEpoch(2),
            leader_recovery_state: 0,
        };
        let text = |state: &PartitionState| String::from_utf8(state.encode()).unwrap();
        assert_eq!(text(&state), r#"{"controller_epoch":2,"leader":-1,"version":1,"leader_epoch":3,"isr":[1]}"#);
        assert_eq!(PartitionState::decode("/s", &state.encode()).unwrap(), state);
        state.leader_recovery_state = 1;
        assert!(text(&state).contains(r#""version":1,"leader_recovery_state":1,"leader_epoch":3"#));
        assert_eq!(PartitionState::decode("/s", &state.encode()).unwrap(), state);
    }

    #[test]
    fn paths_read_back() {
        let partition = TopicPartition::new(TopicName::new("a").unwrap(), 12);
        assert_eq!(path(&partition), "/brokers/topics/a/partitions/12/state");
        assert_eq!(parse_path(&path(&partition)), Some(partition));
        for other in
            ["/brokers/topics/a/partitions/-1/state", "/brokers/topics/a/partitions/1", "/brokers/topics/state"]
        {
            assert_eq!(parse_path(other), None);
        }
    }
}
