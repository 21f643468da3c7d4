//! CreateTopics (KIP-4; defaults by -1: KIP-464; the configs in the answer: KIP-525; the id: KIP-516). `KafkaApis.scala`
//! (handleCreateTopicsRequest), `ZkAdminManager.scala` (createTopics).
//!
//! A timeout of 0 or less answers REQUEST_TIMED_OUT at once although the topics are written; any other waits until this
//! broker has heard of all leaders.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ottla_protocol::ErrorCode;
use ottla_protocol::schema::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use ottla_types::{BrokerId, TopicId};
use tokio::time::Instant;
use tracing::info;

use crate::broker::api_error::ApiError;
use crate::broker::metadata_wait::{has_leaders, wait_until};
use crate::broker::request::Reply;
use crate::broker::topic_creation::{PlannedTopic, TopicCreation, WantedReplicas, WantedTopic};
use crate::config::describe;

/// What the handler needs.
pub struct CreateTopics {
    /// This broker.
    pub broker_id: BrokerId,
    /// Plans and writes topics.
    pub creation: Arc<TopicCreation>,
}

/// "The broker's default", and what stands beside a list by hand.
const UNSET: i32 = -1;

/// KRaft's own topic, which nobody may make.
const CLUSTER_METADATA: &str = "__cluster_metadata";

impl CreateTopics {
    /// Answers when the topics have leaders.
    pub fn handle(self: &Arc<Self>, request: CreateTopicsRequest) -> Reply<CreateTopicsResponse> {
        let handler = self.clone();
        Reply::later(async move { handler.answer(&request).await })
    }

    pub(super) async fn answer(&self, request: &CreateTopicsRequest) -> CreateTopicsResponse {
        let snapshot = self.creation.cache.snapshot();
        if snapshot.controller != Some(self.broker_id) {
            return response(request.topics.iter().map(|topic| refused(topic, ErrorCode::NotController.into())));
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for topic in &request.topics {
            *counts.entry(&topic.name).or_default() += 1;
        }
        let create = |topic: &CreatableTopic| {
            let (topic, twice) = (topic.clone(), counts[&*topic.name] > 1);
            async move {
                if twice {
                    let message = "Found multiple entries for this topic.";
                    return Err(ApiError::new(ErrorCode::InvalidRequest, message));
                }
                self.create(&topic, request.validate_only).await
            }
        };
        let created = join_all(request.topics.iter().map(create)).await;
        let waits = !request.validate_only && request.timeout_ms > 0;
        let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
        let made = || created.iter().flatten();
        let snapshot = if waits {
            wait_until(&self.creation.cache, Instant::now() + timeout, |snapshot| {
                made().all(|(topic, _)| has_leaders(snapshot, &topic.name, topic.replicas.len()))
            })
            .await
        } else {
            snapshot
        };
        response(request.topics.iter().zip(&created).map(|(topic, created)| match created {
            Err(error) => refused(topic, error.clone()),
            Ok((planned, id)) if request.validate_only => self.done(planned, *id),
            Ok((planned, id)) if waits && has_leaders(&snapshot, &planned.name, planned.replicas.len()) => {
                self.done(planned, *id)
            }
            Ok((_, id)) => {
                let result = refused(topic, ErrorCode::RequestTimedOut.into());
                CreatableTopicResult { topic_id: id.0, ..result }
            }
        }))
    }

    async fn create(&self, topic: &CreatableTopic, validate_only: bool) -> Result<(PlannedTopic, TopicId), ApiError> {
        let planned = self.creation.plan(&wanted(topic)?)?;
        if validate_only {
            self.creation.check_free(&planned.name).await?;
            return Ok((planned, TopicId::ZERO));
        }
        let id = self.creation.create(&planned).await?;
        info!("topic {} is made, with {} partitions", planned.name, planned.replicas.len());
        Ok((planned, id))
    }

    fn done(&self, planned: &PlannedTopic, id: TopicId) -> CreatableTopicResult {
        let entry = |entry: describe::Entry| CreatableTopicConfigs {
            name: entry.name.into(),
            value: entry.value.map(Into::into),
            read_only: entry.read_only,
            config_source: entry.source as i8,
            is_sensitive: entry.sensitive,
        };
        let configs = describe::topic(&self.creation.config.get().settings, &planned.configs);
        let replication_factor = planned.replicas.values().next().map_or(0, Vec::len);
        CreatableTopicResult {
            name: planned.name.as_str().into(),
            topic_id: id.0,
            num_partitions: planned.replicas.len() as i32,
            replication_factor: replication_factor as i16,
            configs: Some(configs.into_iter().map(entry).collect()),
            ..CreatableTopicResult::default()
        }
    }
}

fn wanted(topic: &CreatableTopic) -> Result<WantedTopic, ApiError> {
    if &*topic.name == CLUSTER_METADATA {
        return Err(ApiError::new(ErrorCode::TopicAuthorizationFailed, "Authorization failed."));
    }
    let without_value: Vec<&str> =
        topic.configs.iter().filter(|config| config.value.is_none()).map(|config| &*config.name).collect();
    if !without_value.is_empty() {
        let names = without_value.join(",");
        let message = format!("Null value not supported for topic configs: {names}");
        return Err(ApiError::new(ErrorCode::InvalidConfig, message));
    }
    let (partitions, factor) = (topic.num_partitions, i32::from(topic.replication_factor));
    let replicas = if topic.assignments.is_empty() {
        let unless_unset = |number: i32| (number != UNSET).then_some(number);
        WantedReplicas::Placed { partitions: unless_unset(partitions), replication_factor: unless_unset(factor) }
    } else if (partitions, factor) != (UNSET, UNSET) {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            "Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be used at the same \
             time.",
        ));
    } else {
        let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
        let listed = topic.assignments.iter().map(|listed| (listed.partition_index, ids(&listed.broker_ids)));
        WantedReplicas::Listed(listed.collect())
    };
    let configs = topic.configs.iter().filter_map(|config| {
        let value = config.value.as_ref()?;
        Some((config.name.to_string(), value.to_string()))
    });
    Ok(WantedTopic { name: topic.name.to_string(), replicas, configs: configs.collect() })
}

fn refused(topic: &CreatableTopic, error: ApiError) -> CreatableTopicResult {
    CreatableTopicResult {
        name: topic.name.clone(),
        error_code: error.code.code(),
        error_message: error.wire_message(),
        configs: Some(Vec::new()),
        ..CreatableTopicResult::default()
    }
}

fn response(topics: impl Iterator<Item = CreatableTopicResult>) -> CreateTopicsResponse {
    CreateTopicsResponse { topics: topics.collect(), ..CreateTopicsResponse::default() }
}
