//! Offsets of many logs at once, from the brokers that ZooKeeper knows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use ottla_types::{SecurityProtocol, TopicPartition};

use super::ToolError;
use crate::client::admin::list_offset;
use crate::client::{ClientError, Cluster, ConnectionOptions};
use crate::zk::store_cluster::brokers;
use crate::zk::znodes::Znodes;

/// Questions on their way at once.
const IN_FLIGHT: usize = 100;

/// What the leaders answer; `None`: no record is that young.
pub(super) type Answers = BTreeMap<TopicPartition, Result<Option<i64>, ClientError>>;

/// The cluster of the brokers below `/brokers/ids`, over their plaintext listeners; nothing is connected yet.
pub(super) async fn cluster(zk: &dyn Znodes, client_id: &str, patience: Duration) -> Result<Cluster, ToolError> {
    let brokers = brokers(zk).await.map_err(|error| ToolError::Failed(error.to_string()))?;
    let mut addresses = Vec::new();
    for broker in brokers.values() {
        let endpoints = &broker.registration.endpoints;
        if let Some(found) = endpoints.iter().find(|found| found.security_protocol == SecurityProtocol::Plaintext) {
            addresses.push(match found.host.contains(':') {
                true => format!("[{}]:{}", found.host, found.port),
                false => format!("{}:{}", found.host, found.port),
            });
        }
    }
    let options = ConnectionOptions {
        client_id: client_id.into(),
        connect_timeout: patience,
        request_timeout: patience,
        ..ConnectionOptions::default()
    };
    Ok(Cluster::new(&addresses.join(","), options))
}

/// Asks the leader of each partition for its offset at a time, as [`list_offset`] does.
pub(super) async fn offsets(
    cluster: &Cluster,
    partitions: impl IntoIterator<Item = TopicPartition>,
    time: i64,
) -> Answers {
    let partitions: BTreeSet<TopicPartition> = partitions.into_iter().collect();
    let topics: BTreeSet<&str> = partitions.iter().map(|partition| partition.topic.as_str()).collect();
    let topics: Vec<&str> = topics.into_iter().collect();
    if topics.is_empty() {
        return Answers::new();
    }
    // One question instead of one for each partition; and if nobody answers it, one wait.
    if let Err(error) = cluster.metadata(Some(&topics), false).await {
        return partitions.into_iter().map(|partition| (partition, Err(error.clone()))).collect();
    }
    let ask = |partition: TopicPartition| async move {
        let topic = partition.topic.as_str();
        let mut answer = list_offset(cluster, topic, partition.partition, time).await;
        if answer.as_ref().is_err_and(ClientError::wants_new_metadata) {
            cluster.forget_leader(topic, partition.partition);
            answer = list_offset(cluster, topic, partition.partition, time).await;
        }
        (partition, answer)
    };
    stream::iter(partitions.into_iter().map(ask)).buffer_unordered(IN_FLIGHT).collect().await
}

/// The offsets that were answered, and a line for each reason why others were not.
pub(super) fn known(answers: Answers) -> (BTreeMap<TopicPartition, i64>, Vec<String>) {
    let mut offsets = BTreeMap::new();
    let mut reasons: BTreeMap<String, Vec<TopicPartition>> = BTreeMap::new();
    for (partition, answer) in answers {
        match answer {
            Ok(Some(offset)) => drop(offsets.insert(partition, offset)),
            Ok(None) => {}
            Err(error) => reasons.entry(error.to_string()).or_default().push(partition),
        }
    }
    let line = |(reason, partitions): (String, Vec<TopicPartition>)| match &partitions[..] {
        [partition] => format!("the log of {partition}: {reason}"),
        [first, rest @ ..] => format!("the logs of {first} and {} more: {reason}", rest.len()),
        [] => reason,
    };
    (offsets, reasons.into_iter().map(line).collect())
}
