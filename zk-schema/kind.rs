use ottla_types::{BrokerId, TopicName, TopicPartition};

use crate::consumers::{self, GroupNode};
use crate::document::DecodeError;
use crate::*;

/// What a node is, told from its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A node that only holds others.
    Folder,
    /// A broker's registration.
    BrokerId(BrokerId),
    /// The counter of generated broker ids.
    BrokerSeqid,
    /// A topic's replicas.
    Topic(TopicName),
    /// A partition's leader and ISR.
    PartitionState(TopicPartition),
    /// The active controller.
    Controller,
    /// The epoch that fences controllers.
    ControllerEpoch,
    /// The cluster's id.
    ClusterId,
    /// The newest block of producer ids.
    ProducerIdBlock,
    /// The configs of a topic, broker, client, user or address.
    Config(ConfigEntity),
    /// A notification that configs changed.
    ConfigChange,
    /// A request to delete a topic.
    DeleteTopic(TopicName),
    /// A reassignment under way.
    ReassignPartitions,
    /// A preferred leader election asked for.
    PreferredReplicaElection,
    /// A notification that a leader wrote an ISR.
    IsrChange,
    /// A notification that a log directory failed.
    LogDirEvent,
    /// The finalized features.
    Feature,
    /// A node of a classic consumer group.
    Consumer(GroupNode),
    /// Not Kafka's, or of a kind that this crate does not know.
    Unknown,
}

impl Kind {
    /// The kind of the node at a path below the chroot.
    pub fn of(path: &str) -> Kind {
        match path {
            "/" => return Kind::Folder,
            producer_id_block::PATH => return Kind::ProducerIdBlock,
            broker_seqid::PATH => return Kind::BrokerSeqid,
            controller::PATH => return Kind::Controller,
            controller_epoch::PATH => return Kind::ControllerEpoch,
            cluster_id::PATH => return Kind::ClusterId,
            feature::PATH => return Kind::Feature,
            admin_reassign_partitions::PATH => return Kind::ReassignPartitions,
            admin_preferred_replica_election::PATH => return Kind::PreferredReplicaElection,
            path if PERSISTENT_PARENTS.contains(&path) => return Kind::Folder,
            _ => {}
        }
        let prefixed = [
            (config_changes::PREFIX, Kind::ConfigChange),
            (isr_change_notification::PREFIX, Kind::IsrChange),
            (log_dir_event_notification::PREFIX, Kind::LogDirEvent),
        ];
        if let Some((_, kind)) = prefixed.into_iter().find(|(prefix, _)| path.starts_with(prefix)) {
            return kind;
        }
        None.or_else(|| broker_ids::parse_path(path).map(Kind::BrokerId))
            .or_else(|| broker_topics::parse_path(path).map(Kind::Topic))
            .or_else(|| partition_state::parse_path(path).map(Kind::PartitionState))
            .or_else(|| config::parse_path(path).map(Kind::Config))
            .or_else(|| admin_delete_topics::parse_path(path).map(Kind::DeleteTopic))
            .or_else(|| consumers::parse_path(path).map(|(_, node)| Kind::Consumer(node)))
            .unwrap_or_else(|| if is_folder(path) { Kind::Folder } else { Kind::Unknown })
    }

    /// What the node says, in a line or a few, for people.
    pub fn describe(&self, path: &str, data: &[u8]) -> Result<String, DecodeError> {
        Ok(match self {
            Kind::Folder => "a folder".into(),
            Kind::BrokerId(id) => {
                let broker = BrokerRegistration::decode(path, data)?;
                let mut text = format!("broker {id} at {}", join(broker.endpoints.iter()));
                text += &broker.rack.map_or(String::new(), |rack| format!(", rack {rack}"));
                text += &since(broker.timestamp_ms, "registered");
                text
            }
            Kind::BrokerSeqid => "counts the broker ids that were generated, by its data version".into(),
            Kind::Topic(topic) => {
                let assignment = TopicAssignment::decode(path, data)?;
                let id = assignment.topic_id.map_or("none yet".into(), |id| id.to_string());
                let mut text = format!("topic {topic}, {} partitions, id {id}", assignment.partitions.len());
                let lists = [
                    ("replicas", &assignment.partitions),
                    ("adding", &assignment.adding_replicas),
                    ("removing", &assignment.removing_replicas),
                ];
                for (what, map) in lists {
                    for (index, ids) in map {
                        text += &format!("\n  partition {index} {what} {}", join(ids));
                    }
                }
                text
            }
            Kind::PartitionState(partition) => {
                let state = PartitionState::decode(path, data)?;
                let leader = state.leader.map_or("no leader".into(), |leader| format!("leader {leader}"));
                let recovering =
                    if state.leader_recovery_state == 0 { "" } else { ", recovering from an unclean election" };
                format!(
                    "partition {partition}: {leader}, leader epoch {}, in sync {}, written by controller epoch {}{recovering}",
                    state.leader_epoch,
                    join(&state.isr),
                    state.controller_epoch,
                )
            }
            Kind::Controller => {
                let controller = Controller::decode(path, data)?;
                let kraft = match controller.kraft_controller_epoch > 0 {
                    true => ", for a KRaft controller that migrates the cluster",
                    false => "",
                };
                format!(
                    "controller: broker {}{}{kraft}",
                    controller.broker_id,
                    since(controller.timestamp_ms, "elected")
                )
            }
            Kind::ControllerEpoch => format!("controller epoch {}", controller_epoch::decode(path, data)?),
            Kind::ClusterId => format!("cluster {}", cluster_id::decode(path, data)?),
            Kind::ProducerIdBlock => match ProducerIdBlock::decode(path, data)? {
                None => "no producer id has been given out".into(),
                Some(b) => format!("producer ids {} to {} belong to broker {}", b.block_start, b.block_end, b.broker),
            },
            Kind::Config(entity) => {
                let config = EntityConfig::decode(path, data)?;
                let mut text = format!("configs of {entity}: {}", if config.is_empty() { "all defaults" } else { "" });
                for (key, value) in config.iter() {
                    let value = if is_secret(key) { "(hidden)" } else { value };
                    text += &format!("\n  {key}={value}");
                }
                text
            }
            Kind::ConfigChange => format!("configs of {} changed", config_changes::decode(path, data)?),
            Kind::DeleteTopic(topic) => format!("topic {topic} is to be deleted"),
            Kind::ReassignPartitions => {
                let entries = admin_reassign_partitions::decode(path, data)?;
                let lines = entries.iter().map(|(p, replicas)| format!("\n  {p} to {}", join(replicas)));
                format!("replicas are to move:{}", lines.collect::<String>())
            }
            Kind::PreferredReplicaElection => {
                format!(
                    "preferred leaders are asked for: {}",
                    join(&admin_preferred_replica_election::decode(path, data)?)
                )
            }
            Kind::IsrChange => {
                format!("leaders changed the ISR of {}", join(&isr_change_notification::decode(path, data)?))
            }
            Kind::LogDirEvent => {
                format!("a log directory of broker {} failed", log_dir_event_notification::decode(path, data)?)
            }
            Kind::Feature => {
                let features = FinalizedFeatures::decode(path, data)?;
                let list = features.features.iter().map(|(name, level)| format!("{name}={level}"));
                format!("features {}: {}", if features.enabled { "enabled" } else { "disabled" }, join(list))
            }
            Kind::Consumer(GroupNode::Member(id)) => {
                let registration = consumers::Registration::decode(path, data)?;
                let topics = registration.subscription.iter().map(|(topic, streams)| format!("{topic} ({streams})"));
                let plan = registration.assignor.map_or(String::new(), |by| format!(", by a plan ({by})"));
                format!("consumer {id} wants, as {}{plan}: {}", registration.pattern, join(topics))
            }
            Kind::Consumer(GroupNode::Owner(p)) => {
                format!("{p} is consumed by {}", consumers::decode_owner(path, data)?)
            }
            Kind::Consumer(GroupNode::Offset(p)) => {
                format!("{p} is to be consumed from offset {}", consumers::decode_offset(path, data)?)
            }
            Kind::Consumer(GroupNode::Plan) => {
                let plan = ConsumerPlan::decode(path, data)?;
                let mut text = format!(
                    "plan {} by {} ({}), {} partitions moved{}",
                    plan.generation,
                    plan.planner,
                    plan.assignor,
                    plan.moved,
                    since(Some(plan.timestamp_ms), "written")
                );
                for (partition, stream) in &plan.streams {
                    text += &format!("\n  {partition} to {stream}");
                }
                text
            }
            Kind::Consumer(GroupNode::Planner) => {
                format!("{} writes the group's plan", consumers::decode_owner(path, data)?)
            }
            Kind::Unknown => String::from_utf8_lossy(data).into_owned(),
        })
    }
}

/// Folders that are made on the way to a node.
fn is_folder(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    matches!(
        parts[..],
        ["brokers", "topics", _, "partitions"]
            | ["brokers", "topics", _, "partitions", _]
            | ["config", "users", _, "clients"]
            | ["consumers", _]
            | ["consumers", _, "ids" | "owners" | "offsets"]
            | ["consumers", _, "owners" | "offsets", _]
    )
}

fn is_secret(key: &str) -> bool {
    key.starts_with("SCRAM-") || key.contains("password") || key.ends_with("jaas.config")
}

fn since(timestamp_ms: Option<i64>, what: &str) -> String {
    timestamp_ms.map_or(String::new(), |ms| format!(", {what} at {ms} ms since 1970"))
}

fn join<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(path: &str, data: &str) -> String {
        Kind::of(path).describe(path, data.as_bytes()).unwrap()
    }

    #[test]
    fn nodes_are_described_for_people() {
        let state = r#"{"controller_epoch":1,"leader":2,"version":1,"leader_epoch":0,"isr":[2,1]}"#;
        assert_eq!(
            describe("/brokers/topics/orders/partitions/0/state", state),
            "partition orders-0: leader 2, leader epoch 0, in sync 2, 1, written by controller epoch 1"
        );
        assert_eq!(describe("/consumers/g/offsets/t/3", "42"), "t-3 is to be consumed from offset 42");
        assert_eq!(describe("/latest_producer_id_block", ""), "no producer id has been given out");
        assert_eq!(describe("/hello", "world"), "world");
    }

    #[test]
    fn credentials_are_not_shown() {
        let text = describe("/config/users/alice", r#"{"version":1,"config":{"SCRAM-SHA-256":"salt=x","a":"b"}}"#);
        assert_eq!(text, "configs of users/alice: \n  SCRAM-SHA-256=(hidden)\n  a=b");
    }
}
