//! Trees as real Kafka wrote them, by version: everything decodes, and what 3.9.1 wrote encodes to the same bytes.

use serde_json::Value;

use crate::consumers::{self, GroupNode, Registration};
use crate::*;

const TREES: [(&str, &str); 7] = [
    ("0.8.2.2", include_str!("testdata/0.8.2.2.jsonl")),
    ("0.9.0.1", include_str!("testdata/0.9.0.1.jsonl")),
    ("0.10.2.2", include_str!("testdata/0.10.2.2.jsonl")),
    ("0.11.0.3", include_str!("testdata/0.11.0.3.jsonl")),
    ("1.1.1", include_str!("testdata/1.1.1.jsonl")),
    ("2.8.2", include_str!("testdata/2.8.2.jsonl")),
    ("3.9.1", include_str!("testdata/3.9.1.jsonl")),
];

fn nodes(tree: &str) -> impl Iterator<Item = (String, Option<String>)> {
    tree.lines().map(|line| {
        let node: Value = serde_json::from_str(line).unwrap();
        (node["path"].as_str().unwrap().into(), node["data"].as_str().map(Into::into))
    })
}

/// The node decoded and encoded again; None if the kind has no payload of its own.
fn again(path: &str, data: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
    Ok(Some(match Kind::of(path) {
        Kind::BrokerId(_) => BrokerRegistration::decode(path, data)?.encode(),
        Kind::Topic(_) => TopicAssignment::decode(path, data)?.encode(),
        Kind::PartitionState(_) => PartitionState::decode(path, data)?.encode(),
        Kind::Controller => Controller::decode(path, data)?.encode(),
        Kind::ControllerEpoch => controller_epoch::encode(controller_epoch::decode(path, data)?),
        Kind::ClusterId => cluster_id::encode(&cluster_id::decode(path, data)?),
        Kind::ProducerIdBlock => match ProducerIdBlock::decode(path, data)? {
            None => return Ok(None),
            Some(block) => block.encode(),
        },
        Kind::Config(_) if data.is_empty() => return Ok(None),
        Kind::Config(_) => EntityConfig::decode(path, data)?.encode(),
        Kind::ConfigChange => config_changes::encode(&config_changes::decode(path, data)?),
        Kind::ReassignPartitions => admin_reassign_partitions::encode(&admin_reassign_partitions::decode(path, data)?),
        Kind::PreferredReplicaElection => {
            admin_preferred_replica_election::encode(&admin_preferred_replica_election::decode(path, data)?)
        }
        Kind::IsrChange => isr_change_notification::encode(&isr_change_notification::decode(path, data)?),
        Kind::LogDirEvent => log_dir_event_notification::encode(log_dir_event_notification::decode(path, data)?),
        Kind::Feature => FinalizedFeatures::decode(path, data)?.encode(),
        Kind::Consumer(GroupNode::Member(_)) => Registration::decode(path, data)?.encode(),
        Kind::Consumer(GroupNode::Plan) => ConsumerPlan::decode(path, data)?.encode(),
        Kind::Consumer(GroupNode::Owner(_) | GroupNode::Planner) => consumers::decode_owner(path, data)?.into_bytes(),
        Kind::Consumer(GroupNode::Offset(_)) => consumers::encode_offset(consumers::decode_offset(path, data)?),
        Kind::Folder | Kind::BrokerSeqid | Kind::DeleteTopic(_) => return Ok(None),
        Kind::Unknown => panic!("{path} has no kind"),
    }))
}

#[test]
fn every_node_of_every_version_decodes() {
    for (version, tree) in TREES {
        let mut payloads = 0;
        for (path, data) in nodes(tree) {
            let data = data.unwrap_or_default();
            again(&path, data.as_bytes()).unwrap_or_else(|error| panic!("{version}: {error}"));
            Kind::of(&path).describe(&path, data.as_bytes()).unwrap();
            payloads += usize::from(!data.is_empty());
        }
        assert!(payloads > 50, "{version} has only {payloads} payloads");
    }
}

#[test]
fn nodes_of_3_9_1_encode_to_the_same_bytes() {
    for (path, data) in nodes(TREES[6].1) {
        let data = data.unwrap_or_default();
        if let Some(bytes) = again(&path, data.as_bytes()).unwrap() {
            assert_eq!(String::from_utf8(bytes).unwrap(), data, "{path}");
        } else {
            assert_eq!(data, "", "{path} has data that was not looked at");
        }
    }
}

#[test]
fn no_number_passes_32_bits() {
    fn check(value: &Value) {
        match value {
            Value::Number(n) => assert!(n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()), "{n}"),
            Value::Array(items) => items.iter().for_each(check),
            Value::Object(entries) => entries.values().for_each(check),
            _ => {}
        }
    }
    for (_, tree) in TREES {
        for (path, data) in nodes(tree) {
            let text = again(&path, data.unwrap_or_default().as_bytes()).unwrap();
            let Some(document) = text.and_then(|text| serde_json::from_slice::<Value>(&text).ok()) else { continue };
            match Kind::of(&path) {
                Kind::Consumer(GroupNode::Offset(_)) => {}
                _ => check(&document),
            }
        }
    }
}

#[test]
fn every_byte_cut_or_changed_is_an_error_or_a_value() {
    for (path, data) in nodes(TREES[6].1) {
        let data = data.unwrap_or_default().into_bytes();
        for at in 0..data.len() {
            let _ = again(&path, &data[..at]);
            let mut changed = data.clone();
            changed[at] ^= 0x11;
            let _ = again(&path, &changed);
        }
    }
}

#[test]
fn the_parents_are_those_that_kafka_makes() {
    let paths: Vec<String> = nodes(TREES[6].1).map(|(path, _)| path).collect();
    for parent in PERSISTENT_PARENTS {
        assert!(paths.iter().any(|path| path == parent), "{parent}");
    }
}
