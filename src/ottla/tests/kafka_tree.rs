//! What the stores write, beside what two brokers of Kafka 3.9.1 wrote in the same situation: the same payloads byte for byte,
//! the same data versions, the same lifetimes.

use std::collections::BTreeMap;

use ottla::zk::fake::{FakeEnsemble, FakeZnodes};
use ottla::zk::znodes::Znodes;
use ottla::zk::{
    store_configs, store_controller::ControllerStore, store_election, store_offsets, store_producer_ids,
    store_registration, store_topics,
};
use ottla_types::{BrokerId, TopicName, TopicPartition};
use serde_json::Value;
use zk_schema::{
    BrokerRegistration, ConfigEntity, Controller, EntityConfig, Kind, PartitionState, TopicAssignment, consumers,
};

/// Kinds of nodes in Kafka's tree that nothing here writes yet: consumers write their own.
const NOT_WRITTEN: [&str; 2] = ["/consumers/old-group/ids", "/consumers/old-group/owners"];

struct Node {
    data: String,
    version: i64,
    ephemeral: bool,
}

fn kafka() -> BTreeMap<String, Node> {
    let node = |line: &str| {
        let node: Value = serde_json::from_str(line).unwrap();
        let data = node["data"].as_str().unwrap_or_default().into();
        let version = node["version"].as_i64().unwrap();
        (node["path"].as_str().unwrap().into(), Node { data, version, ephemeral: node["ephemeral"] == true })
    };
    include_str!("../testdata/znodes-3.9.1.jsonl").lines().map(node).collect()
}

/// Does with the stores what the brokers, the tools and an old client did.
async fn same_again(zk: &FakeZnodes, kafka: &BTreeMap<String, Node>) {
    let data = |path: &str| kafka[path].data.as_bytes();
    store_registration::create_parents(zk).await.unwrap();
    let id = zk_schema::cluster_id::decode("", data("/cluster/id")).unwrap();
    store_registration::cluster_id_or_create(zk, &id).await.unwrap();
    let broker = BrokerRegistration::decode("", data("/brokers/ids/1")).unwrap();
    store_registration::register(zk, BrokerId(1), &broker, None).await.unwrap();
    let controller = Controller::decode("", data("/controller")).unwrap();
    let elected = store_election::elect(zk, controller.broker_id, controller.timestamp_ms.unwrap()).await.unwrap();
    let store_election::Election::Won(leadership) = elected else { panic!("{elected:?}") };
    let store = ControllerStore::new(zk, leadership);
    store.set_up_feature().await.unwrap();
    store_producer_ids::allocate(zk, BrokerId(1)).await.unwrap();

    let (mut states, mut changes) = (Vec::new(), Vec::new());
    for (path, node) in kafka {
        match Kind::of(path) {
            Kind::Topic(topic) => {
                let mut assignment = TopicAssignment::decode(path, node.data.as_bytes()).unwrap();
                // The last partition of each topic is added afterwards, as happened to "plain".
                let last = assignment.partitions.pop_last().into_iter().collect();
                let config_path = zk_schema::config::path(&ConfigEntity::Topic(topic.clone()));
                let configs = match kafka[&config_path].version {
                    0 => EntityConfig::decode("", data(&config_path)).unwrap(),
                    _ => EntityConfig::default(),
                };
                store_topics::create_topic(zk, &topic, &assignment, &configs).await.unwrap();
                store_topics::add_partitions(zk, &topic, &last).await.unwrap();
            }
            Kind::PartitionState(partition) => {
                states.push((partition, PartitionState::decode(path, node.data.as_bytes()).unwrap()));
            }
            Kind::ConfigChange => changes.push(zk_schema::config_changes::decode(path, node.data.as_bytes()).unwrap()),
            Kind::Consumer(consumers::GroupNode::Offset(partition)) => {
                let offset = consumers::decode_offset(path, node.data.as_bytes()).unwrap();
                store_offsets::commit_offset(zk, "old-group", &partition, offset).await.unwrap();
            }
            _ => {}
        }
    }
    for (_, outcome) in store.create_partition_states(states).await {
        outcome.unwrap();
    }
    for entity in changes {
        let path = zk_schema::config::path(&entity);
        let wanted = EntityConfig::decode(&path, data(&path)).unwrap();
        let change = |configs: &mut EntityConfig| wanted.iter().for_each(|(key, value)| configs.set(key, value));
        store_configs::change_configs(zk, &entity, change).await.unwrap();
    }
}

#[tokio::test]
async fn the_tree_is_kafkas() {
    let kafka = kafka();
    let zk = FakeEnsemble::default().connect();
    same_again(&zk, &kafka).await;
    for (path, node) in &kafka {
        if NOT_WRITTEN.iter().any(|folder| path.starts_with(folder)) {
            assert_eq!(zk.exists(path).await, Ok(None), "{path} is written: strike it off the list");
            continue;
        }
        let (data, stat) = zk.get(path).await.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(String::from_utf8(data).unwrap(), node.data, "{path}");
        assert_eq!(stat.ephemeral_owner != 0, node.ephemeral, "{path}");
        // The tool that enlarged "plain" had its topic at version 1; here each topic was enlarged.
        let version = if let Kind::Topic(_) = Kind::of(path) { 1 } else { node.version };
        assert_eq!(i64::from(stat.version), version, "version of {path}");
    }
}

#[tokio::test]
async fn nothing_is_written_that_kafka_does_not_write() {
    let kafka = kafka();
    let ensemble = FakeEnsemble::default();
    let zk = ensemble.connect();
    same_again(&zk, &kafka).await;
    let tree = ensemble.tree();
    let ours = tree.nodes().map(|(path, _)| path).filter(|path| !path.is_empty() && !path.starts_with("/zookeeper"));
    for path in ours {
        assert!(kafka.contains_key(path), "{path}");
    }
    let partition = TopicPartition::new(TopicName::new("orders").unwrap(), 0);
    assert_eq!(store_offsets::offset(&zk, "old-group", &partition).await, Ok(Some(4)));
}
