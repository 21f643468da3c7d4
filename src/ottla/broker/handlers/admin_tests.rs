//! The administrative APIs on the fake ZooKeeper, with a controller that makes and deletes at once what it sees there.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::schema::alter_configs::{self, AlterConfigsRequest};
use ottla_protocol::schema::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use ottla_protocol::schema::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreatableTopicResult, CreateTopicsRequest,
};
use ottla_protocol::schema::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use ottla_protocol::schema::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResult,
};
use ottla_protocol::schema::incremental_alter_configs::{self, IncrementalAlterConfigsRequest};
use ottla_protocol::schema::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::schema::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestTopic};
use ottla_protocol::{ErrorCode, Str};
use ottla_types::{BrokerId, LeaderEpoch, PartitionEpoch, TopicId, TopicName};

use super::alter_configs::AlterConfigs;
use super::create_partitions::CreatePartitions;
use super::create_topics::CreateTopics;
use super::delete_topics::DeleteTopics;
use super::describe_configs::DescribeConfigs;
use super::incremental_alter_configs::IncrementalAlterConfigs;
use super::offset_commit::OffsetCommit;
use super::offset_fetch::OffsetFetch;
use crate::broker::config_alteration::ConfigAlteration;
use crate::broker::current_config::CurrentConfig;
use crate::broker::metadata_cache::{LiveBroker, MetadataCache, PartitionMetadata, Update};
use crate::broker::topic_creation::TopicCreation;
use crate::config::BrokerConfig;
use crate::zk::fake::{FakeEnsemble, FakeZnodes};
use crate::zk::store_cluster;
use crate::zk::store_registration::create_parents;
use crate::zk::znodes::{CreateMode, Znodes};

const BROKER: BrokerId = BrokerId(0);

struct Given {
    zk: Arc<FakeZnodes>,
    cache: Arc<MetadataCache>,
    config: Arc<CurrentConfig>,
}

async fn given(pairs: &[(&str, &str)]) -> Given {
    let zk = Arc::new(FakeEnsemble::default().connect());
    create_parents(&*zk).await.unwrap();
    let config = Arc::new(CurrentConfig::new(BrokerConfig::from_pairs(pairs).unwrap()));
    let given = Given { zk, cache: Arc::default(), config };
    given.cache.apply(given.update());
    given
}

impl Given {
    fn update(&self) -> Update {
        let broker = Arc::new(LiveBroker { endpoints: vec![], rack: None });
        Update { controller: Some(BROKER), brokers: BTreeMap::from([(BROKER, broker)]), partitions: vec![] }
    }

    /// What the controller would do by now.
    async fn control(&self) {
        let mut update = self.update();
        for (name, node) in store_cluster::topics(&*self.zk, names(&self.zk).await).await.unwrap() {
            let marker = format!("/admin/delete_topics/{name}");
            let delete = self.zk.exists(&marker).await.unwrap().is_some();
            for (index, replicas) in node.assignment.partitions {
                let partition = PartitionMetadata {
                    leader: Some(replicas[0]),
                    leader_epoch: LeaderEpoch(0),
                    partition_epoch: PartitionEpoch(0),
                    isr: replicas.clone(),
                    replicas,
                    offline_replicas: vec![],
                };
                let id = node.assignment.topic_id.unwrap_or(TopicId::ZERO);
                update.partitions.push((name.clone(), id, index, (!delete).then_some(partition)));
            }
            if delete {
                self.zk.delete(&format!("/brokers/topics/{name}"), None).await.unwrap();
                self.zk.delete(&marker, None).await.unwrap();
            }
        }
        self.cache.apply(update);
    }

    /// The answer, given while the controller works.
    async fn with_controller<R>(&self, answer: impl Future<Output = R>) -> R {
        tokio::pin!(answer);
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                () = tokio::time::sleep(Duration::from_millis(1)) => self.control().await,
            }
        }
    }

    async fn text(&self, path: &str) -> String {
        String::from_utf8(self.zk.get(path).await.unwrap().0).unwrap()
    }

    fn creation(&self) -> Arc<TopicCreation> {
        let (znodes, cache, config) = (self.zk.clone(), self.cache.clone(), self.config.clone());
        Arc::new(TopicCreation { znodes, cache, config })
    }

    async fn create(&self, request: &CreateTopicsRequest) -> Vec<CreatableTopicResult> {
        let handler = CreateTopics { broker_id: BROKER, creation: self.creation() };
        self.with_controller(handler.answer(request)).await.topics
    }

    async fn topic(&self, name: &str) {
        let made = self.create(&topics(vec![CreatableTopic { name: name.into(), ..automatic() }])).await;
        assert_eq!(made[0].error_code, 0, "{made:?}");
    }

    async fn create_partitions(&self, request: &CreatePartitionsRequest) -> Vec<String> {
        let (znodes, cache) = (self.zk.clone(), self.cache.clone());
        let handler = CreatePartitions { broker_id: BROKER, znodes, cache };
        let answer = self.with_controller(handler.answer(request)).await;
        answer.results.iter().map(|result| said(result.error_code, &result.error_message)).collect()
    }

    async fn delete(&self, version: i16, request: &DeleteTopicsRequest) -> Vec<(Option<Str>, ErrorCode)> {
        let (znodes, cache, config) = (self.zk.clone(), self.cache.clone(), self.config.clone());
        let handler = DeleteTopics { broker_id: BROKER, znodes, cache, config };
        let answer = self.with_controller(handler.answer(version, request)).await;
        let code = |code| ErrorCode::from_code(code).unwrap();
        answer.responses.into_iter().map(|result| (result.name, code(result.error_code))).collect()
    }

    fn alteration(&self) -> Arc<ConfigAlteration> {
        let (znodes, cache, config) = (self.zk.clone(), self.cache.clone(), self.config.clone());
        Arc::new(ConfigAlteration { broker_id: BROKER, znodes, cache, config })
    }

    /// Changes are `op key=value` with the operations `+` (append), `-` (subtract), `=` (set) and `x` (delete).
    async fn incremental(&self, kind: i8, name: &str, changes: &[&str]) -> String {
        let config = |change: &&str| {
            let (key, value) = change[1..].split_once('=').unwrap_or((&change[1..], ""));
            let config_operation = "=x+-".find(&change[..1]).unwrap() as i8;
            let value = (config_operation != 1).then(|| value.into());
            incremental_alter_configs::AlterableConfig { name: key.into(), config_operation, value }
        };
        let resource = incremental_alter_configs::AlterConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configs: changes.iter().map(config).collect(),
        };
        let handler = IncrementalAlterConfigs { alteration: self.alteration() };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        let answer = handler.answer(&request).await;
        said(answer.responses[0].error_code, &answer.responses[0].error_message)
    }

    async fn describe(&self, request: &DescribeConfigsRequest) -> Vec<DescribeConfigsResult> {
        let (znodes, cache, config) = (self.zk.clone(), self.cache.clone(), self.config.clone());
        let handler = DescribeConfigs { broker_id: BROKER, znodes, cache, config };
        handler.answer(request).await.results
    }
}

async fn names(zk: &FakeZnodes) -> Vec<TopicName> {
    store_cluster::topic_names(zk).await.unwrap()
}

fn said(code: i16, message: &Option<Str>) -> String {
    let code = ErrorCode::from_code(code).unwrap().name();
    message.as_ref().map_or(code.into(), |message| format!("{code}: {message}"))
}

fn topics(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest { topics, timeout_ms: 60_000, validate_only: false }
}

fn automatic() -> CreatableTopic {
    CreatableTopic { name: "t".into(), num_partitions: -1, replication_factor: -1, ..CreatableTopic::default() }
}

fn config(name: &str, value: Option<&str>) -> CreatableTopicConfig {
    CreatableTopicConfig { name: name.into(), value: value.map(Into::into) }
}

#[tokio::test]
async fn a_topic_is_written_as_kafka_writes_it_and_answered_with_its_leaders_there() {
    let given = given(&[("num.partitions", "2")]).await;
    let wanted = CreatableTopic { configs: vec![config("retention.ms", Some("86400000"))], ..automatic() };
    let made = given.create(&topics(vec![wanted])).await.remove(0);
    assert_eq!((made.error_code, made.num_partitions, made.replication_factor), (0, 2, 1));
    assert_eq!(given.text("/config/topics/t").await, r#"{"version":1,"config":{"retention.ms":"86400000"}}"#);
    let id = TopicId(made.topic_id);
    let node = format!(
        r#"{{"partitions":{{"0":[0],"1":[0]}},"topic_id":"{id}","adding_replicas":{{}},"removing_replicas":{{}},"version":3}}"#
    );
    assert_eq!(given.text("/brokers/topics/t").await, node);
    assert_eq!(given.cache.snapshot().topics.len(), 1);
    let configs = made.configs.unwrap();
    let retention = configs.iter().find(|config| &*config.name == "retention.ms").unwrap();
    assert_eq!((retention.value.as_deref(), retention.config_source), (Some("86400000"), 1));
}

#[tokio::test]
async fn topics_that_cannot_be_are_refused_in_kafkas_words() {
    let given = given(&[]).await;
    given.topic("a.b").await;
    let listed = |partition_index, ids: &[i32]| CreatableReplicaAssignment { partition_index, broker_ids: ids.into() };
    let by_hand = |assignments: Vec<_>| CreatableTopic { assignments, ..automatic() };
    let sized =
        |num_partitions, replication_factor| CreatableTopic { num_partitions, replication_factor, ..automatic() };
    let named = |name: &str| CreatableTopic { name: name.into(), ..automatic() };
    let both = CreatableTopic { num_partitions: 1, ..by_hand(vec![listed(0, &[0])]) };
    let with = |name, value| CreatableTopic { configs: vec![config(name, value)], ..automatic() };
    for (topic, expected) in [
        (named("a/b"), "INVALID_TOPIC_EXCEPTION: Topic name is invalid: 'a/b' contains one or more"),
        (named("a.b"), "TOPIC_ALREADY_EXISTS: Topic 'a.b' already exists."),
        (named("a_b"), "INVALID_TOPIC_EXCEPTION: Topic 'a_b' collides with existing topic"),
        (named("__cluster_metadata"), "TOPIC_AUTHORIZATION_FAILED"),
        (sized(0, 1), "INVALID_PARTITIONS: Number of partitions must be larger than 0."),
        (sized(2_000_000_000, 1), "INVALID_PARTITIONS: 2000000000 partitions do not fit"),
        (sized(1, 0), "INVALID_REPLICATION_FACTOR: Replication factor must be larger than 0."),
        (sized(1, 2), "INVALID_REPLICATION_FACTOR: Replication factor: 2 larger than available brokers: 1."),
        (both, "INVALID_REQUEST: Both numPartitions or replicationFactor and replicasAssignments were set."),
        (by_hand(vec![listed(1, &[0])]), "INVALID_REPLICA_ASSIGNMENT: partitions should be a consecutive"),
        (by_hand(vec![listed(0, &[0]), listed(0, &[0])]), "INVALID_REPLICA_ASSIGNMENT: partitions should be a con"),
        (by_hand(vec![listed(0, &[0, 0])]), "INVALID_REPLICA_ASSIGNMENT: Duplicate brokers not allowed"),
        (by_hand(vec![listed(0, &[7])]), "INVALID_REPLICA_ASSIGNMENT: Unknown broker(s) in replica assignment: 7."),
        (by_hand(vec![listed(0, &[])]), "INVALID_REPLICA_ASSIGNMENT: Cannot have replication factor of 0"),
        (by_hand(vec![listed(0, &[0]), listed(1, &[])]), "INVALID_REPLICA_ASSIGNMENT: All partitions should have"),
        (with("foo", Some("1")), "INVALID_CONFIG: Unknown topic config name: foo"),
        (with("retention.ms", None), "INVALID_CONFIG: Null value not supported for topic configs: retention.ms"),
    ] {
        let result = given.create(&topics(vec![topic])).await.remove(0);
        let said = said(result.error_code, &result.error_message);
        assert!(said.starts_with(expected), "{said} instead of {expected}");
        assert_eq!((result.num_partitions, result.configs), (-1, Some(vec![])));
    }
    let twice = given.create(&topics(vec![automatic(), automatic()])).await;
    assert!(twice.iter().all(|result| result.error_code == ErrorCode::InvalidRequest.code()), "{twice:?}");
    given.zk.create("/admin/delete_topics/t", b"", CreateMode::Persistent).await.unwrap();
    for validate_only in [true, false] {
        let result = given.create(&CreateTopicsRequest { validate_only, ..topics(vec![automatic()]) }).await.remove(0);
        let expected = "TOPIC_ALREADY_EXISTS: Topic 't' is marked for deletion.";
        assert_eq!(said(result.error_code, &result.error_message), expected);
    }
    assert_eq!(names(&given.zk).await.len(), 1);
}

#[tokio::test]
async fn timeouts_and_validation_answer_at_once() {
    let given = given(&[]).await;
    let handler = CreateTopics { broker_id: BROKER, creation: given.creation() };
    let checked = CreateTopicsRequest { validate_only: true, ..topics(vec![automatic()]) };
    assert_eq!(handler.answer(&checked).await.topics[0].error_code, 0);
    assert!(names(&given.zk).await.is_empty());
    // Nobody controls: the topic is written and has no leader.
    for (name, timeout_ms) in [("u", 0), ("v", 1)] {
        let topic = CreatableTopic { name: name.into(), ..automatic() };
        let made = handler.answer(&CreateTopicsRequest { timeout_ms, ..topics(vec![topic]) }).await.topics.remove(0);
        assert_eq!(made.error_code, ErrorCode::RequestTimedOut.code());
        assert_ne!(TopicId(made.topic_id), TopicId::ZERO);
    }
    assert_eq!(names(&given.zk).await.len(), 2);
}

#[tokio::test]
async fn another_controller_is_asked_instead() {
    let given = given(&[]).await;
    given.topic("t").await;
    given.cache.apply(Update { controller: Some(BrokerId(1)), ..given.update() });
    let creation = CreateTopics { broker_id: BROKER, creation: given.creation() };
    let request = topics(vec![automatic()]);
    assert_eq!(creation.answer(&request).await.topics[0].error_code, ErrorCode::NotController.code());
    let (znodes, cache, config) = (given.zk.clone(), given.cache.clone(), given.config.clone());
    let deletion = DeleteTopics { broker_id: BROKER, znodes, cache, config };
    let request = DeleteTopicsRequest { topic_names: vec!["t".into()], ..DeleteTopicsRequest::default() };
    assert_eq!(deletion.answer(5, &request).await.responses[0].error_code, ErrorCode::NotController.code());
    let (znodes, cache) = (given.zk.clone(), given.cache.clone());
    let partitions = CreatePartitions { broker_id: BROKER, znodes, cache };
    let topic = CreatePartitionsTopic { name: "t".into(), count: 2, assignments: None };
    let request = CreatePartitionsRequest { topics: vec![topic], ..CreatePartitionsRequest::default() };
    assert_eq!(partitions.answer(&request).await.results[0].error_code, ErrorCode::NotController.code());
}

#[tokio::test]
async fn a_first_use_makes_a_topic_once() {
    let given = given(&[("num.partitions", "3")]).await;
    let creation = given.creation();
    let names = || ["t", "t", "__consumer_offsets"].map(|name| TopicName::new(name).unwrap()).to_vec();
    assert!(creation.automatic());
    let both = async { tokio::join!(creation.create_at_first_use(names()), creation.create_at_first_use(names())) };
    given.with_controller(both).await;
    let snapshot = given.cache.snapshot();
    let made: Vec<_> = snapshot.topics.iter().map(|(name, topic)| (name.as_str(), topic.partitions.len())).collect();
    assert_eq!(made, [("t", 3)]);
}

#[tokio::test]
async fn topics_are_deleted_by_name_and_by_id() {
    let given = given(&[]).await;
    for name in ["a", "b", "c"] {
        given.topic(name).await;
    }
    let names_request = |names: &[&str]| DeleteTopicsRequest {
        topic_names: names.iter().map(|n| (*n).into()).collect(),
        timeout_ms: 60_000,
        ..DeleteTopicsRequest::default()
    };
    let deleted = given.delete(5, &names_request(&["a", "nowhere"])).await;
    let expected = [("a", ErrorCode::None), ("nowhere", ErrorCode::UnknownTopicOrPartition)];
    assert_eq!(deleted, expected.map(|(name, code)| (Some(name.into()), code)));
    let id = given.cache.snapshot().topics[&TopicName::new("b").unwrap()].id;
    let by_id = |name: Option<&str>, id: TopicId| DeleteTopicState { name: name.map(Into::into), topic_id: id.0 };
    let request = |topics| DeleteTopicsRequest { topics, timeout_ms: 60_000, ..DeleteTopicsRequest::default() };
    let deleted = given.delete(6, &request(vec![by_id(None, id), by_id(None, TopicId([9; 16]))])).await;
    assert_eq!(deleted, [(Some("b".into()), ErrorCode::None), (None, ErrorCode::UnknownTopicId)]);
    let deleted = given.delete(6, &request(vec![by_id(Some("c"), id)])).await;
    assert_eq!(deleted[0].1, ErrorCode::InvalidRequest);
    assert_eq!(names(&given.zk).await, [TopicName::new("c").unwrap()]);
}

#[tokio::test]
async fn a_deletion_may_be_forbidden_or_take_longer() {
    let forbidden = given(&[("delete.topic.enable", "false")]).await;
    forbidden.topic("t").await;
    let request = DeleteTopicsRequest { topic_names: vec!["t".into()], ..DeleteTopicsRequest::default() };
    assert_eq!(forbidden.delete(2, &request).await[0].1, ErrorCode::InvalidRequest);
    assert_eq!(forbidden.delete(3, &request).await[0].1, ErrorCode::TopicDeletionDisabled);
    assert_eq!(names(&forbidden.zk).await.len(), 1);
    let slow = given(&[]).await;
    slow.topic("t").await;
    assert_eq!(slow.delete(3, &request).await[0].1, ErrorCode::RequestTimedOut);
    assert!(slow.zk.exists("/admin/delete_topics/t").await.unwrap().is_some());
}

#[tokio::test]
async fn partitions_are_added() {
    let given = given(&[]).await;
    given.topic("t").await;
    let request = |name: &str, count, assignments: Option<&[&[i32]]>| {
        let ids = |ids: &&[i32]| CreatePartitionsAssignment { broker_ids: ids.to_vec() };
        let assignments = assignments.map(|all| all.iter().map(ids).collect());
        let topics = vec![CreatePartitionsTopic { name: name.into(), count, assignments }];
        CreatePartitionsRequest { topics, timeout_ms: 60_000, validate_only: false }
    };
    for (wanted, expected) in [
        (request("u", 2, None), "UNKNOWN_TOPIC_OR_PARTITION: The topic 'u' does not exist."),
        (request("t", 1, None), "INVALID_PARTITIONS: Topic already has 1 partitions."),
        (
            request("t", 0, None),
            "INVALID_PARTITIONS: Topic currently has 1 partitions, which is higher than the reques",
        ),
        (request("t", i32::MAX, None), "INVALID_PARTITIONS: 2147483647 partitions do not fit"),
        (
            request("t", 2, Some(&[])),
            "INVALID_REPLICA_ASSIGNMENT: Increasing the number of partitions by 1 but 0 assign",
        ),
        (request("t", 2, Some(&[&[3]])), "INVALID_REPLICA_ASSIGNMENT: Unknown broker(s) in replica assignment: 3."),
        (request("t", 2, Some(&[&[0, 0]])), "INVALID_REPLICA_ASSIGNMENT: Duplicate brokers not allowed"),
    ] {
        let said = given.create_partitions(&wanted).await.remove(0);
        assert!(said.starts_with(expected), "{said} instead of {expected}");
    }
    let twice = CreatePartitionsRequest {
        topics: [request("t", 2, None).topics, request("t", 3, None).topics].concat(),
        ..request("t", 2, None)
    };
    assert_eq!(given.create_partitions(&twice).await, ["INVALID_REQUEST: Duplicate topic in request."]);
    let validated = CreatePartitionsRequest { validate_only: true, ..request("t", 3, None) };
    assert_eq!(given.create_partitions(&validated).await, ["NONE"]);
    assert_eq!(given.cache.snapshot().topics[&TopicName::new("t").unwrap()].partitions.len(), 1);
    assert_eq!(given.create_partitions(&request("t", 3, None)).await, ["NONE"]);
    assert_eq!(given.create_partitions(&request("t", 4, Some(&[&[0]]))).await, ["NONE"]);
    assert_eq!(given.cache.snapshot().topics[&TopicName::new("t").unwrap()].partitions.len(), 4);
    given.zk.create("/admin/delete_topics/t", b"", CreateMode::Persistent).await.unwrap();
    let (znodes, cache) = (given.zk.clone(), given.cache.clone());
    let handler = CreatePartitions { broker_id: BROKER, znodes, cache };
    let refused = handler.answer(&request("t", 9, None)).await.results.remove(0);
    assert_eq!(refused.error_code, ErrorCode::InvalidTopicException.code());
}

#[tokio::test]
async fn single_configs_change_and_all_brokers_are_told() {
    let given = given(&[]).await;
    given.topic("t").await;
    assert_eq!(given.incremental(2, "t", &["=retention.ms=5", "+cleanup.policy=compact"]).await, "NONE");
    let written = r#"{"version":1,"config":{"retention.ms":"5","cleanup.policy":"delete,compact"}}"#;
    assert_eq!(given.text("/config/topics/t").await, written);
    let told = r#"{"version":2,"entity_path":"topics/t"}"#;
    assert_eq!(given.text("/config/changes/config_change_0000000000").await, told);
    assert_eq!(given.incremental(2, "t", &["xretention.ms", "-cleanup.policy=delete"]).await, "NONE");
    assert_eq!(given.text("/config/topics/t").await, r#"{"version":1,"config":{"cleanup.policy":"compact"}}"#);
    for (kind, name, change, expected) in [
        (2, "t", "=retention.ms=soon", "INVALID_CONFIG: Invalid value soon for configuration retention.ms"),
        (2, "t", "=foo=1", "INVALID_CONFIG: Unknown topic config name: foo"),
        (2, "t", "+foo=1", "INVALID_CONFIG: Unknown config name: foo"),
        (2, "t", "+retention.ms=1", "INVALID_REQUEST: Config value append is not allowed for config key: retention.ms"),
        (2, "u", "=retention.ms=1", "UNKNOWN_TOPIC_OR_PARTITION: The topic 'u' does not exist."),
        (4, "1", "=log.segment.bytes=1000", "INVALID_REQUEST: Unexpected broker id, expected 0, but received 1"),
        (4, "x", "=log.segment.bytes=1000", "INVALID_REQUEST: Broker id must be an integer, but it is: x"),
        (4, "0", "=broker.id=1", "INVALID_REQUEST: Cannot update these configs dynamically"),
        (8, "0", "=root=INFO", "INVALID_REQUEST: Unknown resource type 8"),
    ] {
        let said = given.incremental(kind, name, &[change]).await;
        assert!(said.starts_with(expected), "{said} instead of {expected}");
    }
    let twice = given.incremental(2, "t", &["=retention.ms=1", "xretention.ms"]).await;
    assert_eq!(twice, "INVALID_REQUEST: Error due to duplicate config keys");
    assert_eq!(given.zk.children("/config/changes").await.unwrap().len(), 2, "refusals change nothing");
}

#[tokio::test]
async fn broker_configs_are_kept_for_one_broker_or_for_all() {
    let given = given(&[]).await;
    let foreign = br#"{"version":1,"config":{"no.such.key":"1"}}"#;
    given.zk.create("/config/brokers/0", foreign, CreateMode::Persistent).await.unwrap();
    assert_eq!(given.incremental(4, "0", &["=log.segment.bytes=1000"]).await, "NONE");
    let both = r#"{"version":1,"config":{"no.such.key":"1","log.segment.bytes":"1000"}}"#;
    assert_eq!(given.text("/config/brokers/0").await, both);
    assert_eq!(given.incremental(4, "", &["=log.segment.bytes=2000"]).await, "NONE");
    let all = r#"{"version":1,"config":{"log.segment.bytes":"2000"}}"#;
    assert_eq!(given.text("/config/brokers/<default>").await, all);
    let told = r#"{"version":2,"entity_path":"brokers/<default>"}"#;
    assert_eq!(given.text("/config/changes/config_change_0000000001").await, told);
}

#[tokio::test]
async fn all_configs_are_replaced() {
    let given = given(&[]).await;
    given.topic("t").await;
    given.incremental(2, "t", &["=retention.ms=5"]).await;
    let resource = |configs: &[(&str, Option<&str>)]| alter_configs::AlterConfigsResource {
        resource_type: 2,
        resource_name: "t".into(),
        configs: configs
            .iter()
            .map(|(name, value)| alter_configs::AlterableConfig { name: (*name).into(), value: value.map(Into::into) })
            .collect(),
    };
    let handler = AlterConfigs { alteration: given.alteration() };
    let request = |resources, validate_only| AlterConfigsRequest { resources, validate_only };
    let code = |code: ErrorCode| code.code();
    let good = || resource(&[("segment.bytes", Some("1000"))]);
    let checked = handler.answer(&request(vec![good()], true)).await;
    assert_eq!(checked.responses[0].error_code, 0);
    let twice = handler.answer(&request(vec![good(), good()], false)).await;
    assert!(twice.responses.iter().all(|result| result.error_code == code(ErrorCode::InvalidRequest)));
    let null = handler.answer(&request(vec![resource(&[("segment.bytes", None)])], false)).await;
    assert_eq!(null.responses[0].error_code, code(ErrorCode::InvalidRequest));
    assert_eq!(given.text("/config/topics/t").await, r#"{"version":1,"config":{"retention.ms":"5"}}"#);
    let done = handler.answer(&request(vec![good()], false)).await;
    assert_eq!(done.responses[0].error_code, 0);
    assert_eq!(given.text("/config/topics/t").await, r#"{"version":1,"config":{"segment.bytes":"1000"}}"#);
}

#[tokio::test]
async fn configs_are_described_with_their_sources() {
    let given = given(&[("log.segment.bytes", "1000")]).await;
    given.topic("t").await;
    given.incremental(2, "t", &["=retention.ms=5"]).await;
    given.config.set_dynamic(&BTreeMap::from([("log.segment.bytes".into(), "2000".into())]), &BTreeMap::new());
    let resource = |resource_type, name: &str, keys: Option<&[&str]>| DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).into()).collect()),
    };
    let keys: &[&str] = &["retention.ms", "segment.bytes"];
    let resources = vec![
        resource(2, "t", Some(keys)),
        resource(4, "0", Some(&["log.segment.bytes", "broker.id"])),
        resource(4, "", None),
        resource(2, "u", None),
        resource(2, "a/b", None),
        resource(4, "1", None),
        resource(8, "0", None),
    ];
    let plain = DescribeConfigsRequest { resources, include_synonyms: false, include_documentation: false };
    let full = DescribeConfigsRequest { include_synonyms: true, include_documentation: true, ..plain.clone() };
    let show = |result: &DescribeConfigsResult| {
        let entry = |config: &ottla_protocol::schema::describe_configs::DescribeConfigsResourceResult| {
            let synonyms: Vec<String> = config.synonyms.iter().map(|s| format!("{}@{}", s.name, s.source)).collect();
            let value = config.value.as_deref().unwrap_or("null");
            let flags = format!("{}{}", config.is_default as i8, config.read_only as i8);
            let documented = config.documentation.is_some() as i8;
            format!("{}={value}@{} {flags}{documented} [{}]", config.name, config.config_source, synonyms.join(" "))
        };
        let code = ErrorCode::from_code(result.error_code).unwrap().name();
        [vec![code.to_owned()], result.configs.iter().map(entry).collect()].concat()
    };
    let described = given.describe(&plain).await;
    assert_eq!(show(&described[0]), ["NONE", "retention.ms=5@1 000 []", "segment.bytes=2000@3 000 []"]);
    assert_eq!(show(&described[1]), ["NONE", "broker.id=0@4 010 []", "log.segment.bytes=2000@3 000 []"]);
    assert_eq!(show(&described[2]), ["NONE", "log.segment.bytes=2000@3 000 []"]);
    let codes: Vec<String> = described[3..].iter().map(|result| show(result).join(" ")).collect();
    let expected = ["UNKNOWN_TOPIC_OR_PARTITION", "INVALID_TOPIC_EXCEPTION", "INVALID_REQUEST", "INVALID_REQUEST"];
    assert_eq!(codes, expected);
    let described = given.describe(&full).await;
    let segment = "log.segment.bytes@3 log.segment.bytes@4 log.segment.bytes@5";
    assert_eq!(show(&described[0])[2], format!("segment.bytes=2000@3 001 [{segment}]"));
    assert_eq!(show(&described[2])[1], "log.segment.bytes=2000@3 001 [log.segment.bytes@3]");
}

#[tokio::test]
async fn classic_offsets_go_to_zookeeper_and_back() {
    let given = given(&[("offset.metadata.max.bytes", "3")]).await;
    given.topic("t").await;
    let (znodes, cache, config) = (given.zk.clone(), given.cache.clone(), given.config.clone());
    let commit = OffsetCommit { znodes: znodes.clone(), cache: cache.clone(), config };
    let fetch = OffsetFetch { znodes, cache };
    let partition = |partition_index, committed_offset, metadata: &str| OffsetCommitRequestPartition {
        partition_index,
        committed_offset,
        committed_metadata: Some(metadata.into()),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = |name: &str, partitions| OffsetCommitRequestTopic { name: name.into(), partitions };
    let request = |group: &str| OffsetCommitRequest {
        group_id: group.into(),
        topics: vec![
            topic("t", vec![partition(0, 1 << 40, "abc"), partition(1, 5, "abcd"), partition(-1, 5, "")]),
            topic("nowhere", vec![partition(0, 5, "")]),
        ],
        ..OffsetCommitRequest::default()
    };
    let codes = |topics: Vec<ottla_protocol::schema::offset_commit::OffsetCommitResponseTopic>| {
        let partitions = topics.into_iter().flat_map(|topic| topic.partitions);
        partitions.map(|partition| ErrorCode::from_code(partition.error_code).unwrap()).collect::<Vec<_>>()
    };
    let expected = [
        ErrorCode::None,
        ErrorCode::OffsetMetadataTooLarge,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::UnknownTopicOrPartition,
    ];
    assert_eq!(codes(commit.answer(&request("g")).await.topics), expected);
    assert_eq!(given.text("/consumers/g/offsets/t/0").await, "1099511627776");
    assert!(given.zk.exists("/consumers/g/offsets/nowhere").await.unwrap().is_none());
    assert_eq!(codes(commit.answer(&request("a/b")).await.topics)[0], ErrorCode::InvalidGroupId);
    let asked = |name: &str| OffsetFetchRequestTopic { name: name.into(), partition_indexes: vec![0, 1] };
    let topics = Some(vec![asked("t"), asked("nowhere")]);
    let fetched = fetch.answer(&OffsetFetchRequest { group_id: "g".into(), topics, ..Default::default() }).await;
    let partitions = fetched.topics.into_iter().flat_map(|topic| topic.partitions);
    let found: Vec<_> = partitions.map(|p| (p.committed_offset, p.error_code, p.metadata.unwrap().len())).collect();
    assert_eq!(found, [(1 << 40, 0, 0), (-1, 3, 0), (-1, 3, 0), (-1, 3, 0)]);
}
