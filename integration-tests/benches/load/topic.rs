//! Making and deleting topics, so that a benchmark needs no tool of either broker.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use ottla_protocol::ErrorCode;
use ottla_protocol::schema::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use ottla_protocol::schema::delete_topics::DeleteTopicsRequest;
use ottla_protocol::schema::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponseTopic};

use super::connection::{ask, connect, invalid};

/// How long a topic may take to come or go.
const LIMIT: Duration = Duration::from_secs(60);
/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(20);

/// Makes a topic with one replica of each partition, and waits until every partition has a leader.
///
/// # Errors
/// `AlreadyExists`; what else the broker says; a minute without success.
pub(crate) fn create(bootstrap: &str, topic: &str, partitions: i32, configs: &[(&str, &str)]) -> io::Result<()> {
    create_replicated(bootstrap, topic, (partitions, 1), configs)
}

/// The same with so many partitions and replicas of each. With several brokers it must be the controller that is asked.
///
/// # Errors
/// Those of [`create`].
pub(crate) fn create_replicated(
    bootstrap: &str,
    topic: &str,
    (partitions, replicas): (i32, i16),
    configs: &[(&str, &str)],
) -> io::Result<()> {
    let config =
        |(name, value): &(&str, &str)| CreatableTopicConfig { name: (*name).into(), value: Some((*value).into()) };
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: topic.into(),
            num_partitions: partitions,
            replication_factor: replicas,
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        }],
        timeout_ms: LIMIT.as_millis() as i32,
        ..Default::default()
    };
    let stream = connect(bootstrap)?;
    let response = ask(&stream, &request, 4)?;
    for result in &response.topics {
        check(result.error_code, topic, result.error_message.as_deref())?;
    }
    wait_until(bootstrap, topic, "every partition has a leader", |found| {
        found.error_code == 0
            && found.partitions.len() == partitions.max(0) as usize
            && found.partitions.iter().all(|partition| partition.error_code == 0 && partition.leader_id >= 0)
    })
}

/// Deletes a topic and waits until the broker knows it no more.
///
/// # Errors
/// `NotFound`; what else the broker says; a minute without success.
pub(crate) fn delete(bootstrap: &str, topic: &str) -> io::Result<()> {
    let request = DeleteTopicsRequest {
        topic_names: vec![topic.into()],
        timeout_ms: LIMIT.as_millis() as i32,
        ..Default::default()
    };
    let stream = connect(bootstrap)?;
    for result in &ask(&stream, &request, 3)?.responses {
        check(result.error_code, topic, None)?;
    }
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    wait_until(bootstrap, topic, "it is gone", |found| found.error_code == unknown)
}

fn check(code: i16, topic: &str, message: Option<&str>) -> io::Result<()> {
    let error = ErrorCode::from_code(code);
    if error == Some(ErrorCode::None) {
        return Ok(());
    }
    let kind = match error {
        Some(ErrorCode::TopicAlreadyExists) => ErrorKind::AlreadyExists,
        Some(ErrorCode::UnknownTopicOrPartition) => ErrorKind::NotFound,
        _ => ErrorKind::Other,
    };
    let why = message.or(error.map(ErrorCode::message)).unwrap_or("unknown error");
    Err(io::Error::new(kind, format!("topic {topic}: {why} (error {code})")))
}

fn wait_until(
    bootstrap: &str,
    topic: &str,
    what: &str,
    is_so: impl Fn(&MetadataResponseTopic) -> bool,
) -> io::Result<()> {
    let stream = connect(bootstrap)?;
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: Some(topic.into()), ..Default::default() }]),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        let response = ask(&stream, &request, 5)?;
        if response.topics.iter().any(&is_so) {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    Err(invalid(format!("topic {topic}: not within {LIMIT:?}: {what}")))
}
