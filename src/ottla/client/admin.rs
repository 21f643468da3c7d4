//! Topics, configs and offsets: what the tools ask of a cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_protocol::schema::create_partitions::{CreatePartitionsAssignment, CreatePartitionsTopic};
use ottla_protocol::schema::create_topics::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
use ottla_protocol::schema::delete_topics::DeleteTopicState;
use ottla_protocol::schema::describe_configs::{DescribeConfigsResource, DescribeConfigsResourceResult};
use ottla_protocol::schema::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::schema::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::schema::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest, ListOffsetsRequest,
};
use ottla_protocol::{ErrorCode, Str};

use super::{ClientError, Cluster};

/// How long the broker may take to carry out a change.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Asks for the first offset of a partition.
pub const EARLIEST: i64 = -2;
/// Asks for the offset after the last record.
pub const LATEST: i64 = -1;
/// Asks for the record with the largest timestamp (KIP-734).
pub const MAX_TIMESTAMP: i64 = -3;

/// A topic to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// Partitions; `None`: the broker's default.
    pub partitions: Option<i32>,
    /// Replicas of each; `None`: the broker's default.
    pub replication_factor: Option<i16>,
    /// Brokers of each partition in order, instead of the two numbers; empty: the controller chooses.
    pub assignment: Vec<Vec<i32>>,
    /// Its own configs.
    pub configs: BTreeMap<String, String>,
}

/// What configs belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigResource {
    /// A topic.
    Topic(String),
    /// A broker; `None`: all brokers.
    Broker(Option<i32>),
}

impl ConfigResource {
    /// The wire's type and name (`ConfigResource.Type`).
    fn wire(&self) -> (i8, Str) {
        match self {
            ConfigResource::Topic(name) => (2, Str::from(name.as_str())),
            ConfigResource::Broker(Some(id)) => (4, Str::from(id.to_string())),
            ConfigResource::Broker(None) => (4, Str::new()),
        }
    }
}

/// A change of one config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// Set to a value.
    Set(String),
    /// Back to what holds without it.
    Delete,
}

fn missing(what: &str) -> ClientError {
    ClientError::Broker { code: ErrorCode::UnknownServerError, message: format!("the answer lacks {what}") }
}

fn timeout_ms() -> i32 {
    CHANGE_TIMEOUT.as_millis() as i32
}

/// Makes a topic.
pub async fn create_topic(cluster: &Cluster, topic: &NewTopic) -> Result<(), ClientError> {
    let assigned = |(index, brokers): (usize, &Vec<i32>)| CreatableReplicaAssignment {
        partition_index: index as i32,
        broker_ids: brokers.clone(),
    };
    let config = |(name, value): (&String, &String)| CreatableTopicConfig {
        name: Str::from(name.as_str()),
        value: Some(Str::from(value.as_str())),
    };
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: Str::from(topic.name.as_str()),
            num_partitions: topic.partitions.unwrap_or(-1),
            replication_factor: topic.replication_factor.unwrap_or(-1),
            assignments: topic.assignment.iter().enumerate().map(assigned).collect(),
            configs: topic.configs.iter().map(config).collect(),
        }],
        timeout_ms: timeout_ms(),
        validate_only: false,
    };
    let response = cluster.controller().await?.send_at_most(&request, i16::MAX, CHANGE_TIMEOUT).await?;
    let result = response.topics.first().ok_or_else(|| missing(&topic.name))?;
    ClientError::check(result.error_code, result.error_message.as_deref())
}

/// Deletes a topic.
pub async fn delete_topic(cluster: &Cluster, name: &str) -> Result<(), ClientError> {
    let topic = DeleteTopicState { name: Some(Str::from(name)), ..DeleteTopicState::default() };
    // Versions up to 5 read the list of names, later ones the topics.
    let request =
        DeleteTopicsRequest { topics: vec![topic], topic_names: vec![Str::from(name)], timeout_ms: timeout_ms() };
    let response = cluster.controller().await?.send_at_most(&request, i16::MAX, CHANGE_TIMEOUT).await?;
    let result = response.responses.first().ok_or_else(|| missing(name))?;
    ClientError::check(result.error_code, result.error_message.as_deref())
}

/// Gives a topic more partitions; `assignment` is that of the new ones, empty: the controller chooses.
pub async fn create_partitions(
    cluster: &Cluster,
    topic: &str,
    count: i32,
    assignment: &[Vec<i32>],
) -> Result<(), ClientError> {
    let assigned = |brokers: &Vec<i32>| CreatePartitionsAssignment { broker_ids: brokers.clone() };
    let request = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: Str::from(topic),
            count,
            assignments: (!assignment.is_empty()).then(|| assignment.iter().map(assigned).collect()),
        }],
        timeout_ms: timeout_ms(),
        validate_only: false,
    };
    let response = cluster.controller().await?.send_at_most(&request, i16::MAX, CHANGE_TIMEOUT).await?;
    let result = response.results.first().ok_or_else(|| missing(topic))?;
    ClientError::check(result.error_code, result.error_message.as_deref())
}

/// The configs of a topic or broker with everything that stands behind them.
pub async fn describe_configs(
    cluster: &Cluster,
    resource: &ConfigResource,
) -> Result<Vec<DescribeConfigsResourceResult>, ClientError> {
    let (resource_type, resource_name) = resource.wire();
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource { resource_type, resource_name, configuration_keys: None }],
        include_synonyms: true,
        include_documentation: false,
    };
    let connection = match resource {
        ConfigResource::Broker(Some(id)) => cluster.broker(*id).await?,
        ConfigResource::Broker(None) | ConfigResource::Topic(_) => cluster.any().await?,
    };
    let mut response = connection.send(&request).await?;
    let result = response.results.pop().ok_or_else(|| missing("the resource"))?;
    ClientError::check(result.error_code, result.error_message.as_deref())?;
    Ok(result.configs)
}

/// Changes configs of a topic or broker; the others stay as they are.
pub async fn alter_configs(
    cluster: &Cluster,
    resource: &ConfigResource,
    changes: &BTreeMap<String, ConfigChange>,
) -> Result<(), ClientError> {
    let (resource_type, resource_name) = resource.wire();
    let change = |(name, change): (&String, &ConfigChange)| {
        let (config_operation, value) = match change {
            ConfigChange::Set(value) => (0, Some(Str::from(value.as_str()))),
            ConfigChange::Delete => (1, None),
        };
        AlterableConfig { name: Str::from(name.as_str()), config_operation, value }
    };
    let configs = changes.iter().map(change).collect();
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource { resource_type, resource_name, configs }],
        validate_only: false,
    };
    let connection = match resource {
        ConfigResource::Broker(Some(id)) => cluster.broker(*id).await?,
        ConfigResource::Broker(None) | ConfigResource::Topic(_) => cluster.controller().await?,
    };
    let response = connection.send(&request).await?;
    let result = response.responses.first().ok_or_else(|| missing("the resource"))?;
    ClientError::check(result.error_code, result.error_message.as_deref())
}

/// The offset of a partition at a time in ms since 1970, [`EARLIEST`], [`LATEST`] or [`MAX_TIMESTAMP`]; `None`: no
/// record is that young.
pub async fn list_offset(
    cluster: &Cluster,
    topic: &str,
    partition: i32,
    time: i64,
) -> Result<Option<i64>, ClientError> {
    let leader = cluster.leader(topic, partition).await?;
    let asked = ListOffsetsPartition { partition_index: partition, timestamp: time, ..ListOffsetsPartition::default() };
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level: 0,
        topics: vec![ListOffsetsTopic { name: Str::from(topic), partitions: vec![asked] }],
    };
    let response = leader.send(&request).await?;
    let answer = response
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .find(|answer| answer.partition_index == partition)
        .ok_or_else(|| missing(&format!("{topic}-{partition}")))?;
    ClientError::check(answer.error_code, None)?;
    // Version 0 answers with a list.
    let offset = answer.old_style_offsets.first().copied().unwrap_or(answer.offset);
    Ok((offset >= 0).then_some(offset))
}
