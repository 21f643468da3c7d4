//! CreatePartitions (KIP-195): more partitions for topics that exist. `KafkaApis.scala` (handleCreatePartitionsRequest),
//! `ZkAdminManager.scala` (createPartitions).
//!
//! A timeout of 0 or less answers REQUEST_TIMED_OUT at once although the partitions are written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ottla_controller::placement::{self, Start};
use ottla_protocol::ErrorCode;
use ottla_protocol::schema::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};
use ottla_types::{BrokerId, PartitionIndex, TopicName};
use tokio::time::Instant;
use tracing::info;
use zk_schema::{ReplicaMap, TopicAssignment};

use crate::broker::api_error::{ApiError, outcome};
use crate::broker::metadata_cache::{MetadataCache, Snapshot};
use crate::broker::metadata_wait::{has_leaders, wait_until};
use crate::broker::request::Reply;
use crate::broker::topic_creation::{brokers_and_racks, check_brokers, check_node_size, placement_refused};
use crate::zk::znodes::Znodes;
use crate::zk::{store_admin, store_cluster, store_topics};

/// What the handler needs.
pub struct CreatePartitions {
    /// This broker.
    pub broker_id: BrokerId,
    /// Where topics are.
    pub znodes: Arc<dyn Znodes>,
    /// Live brokers, and partitions as they come to life.
    pub cache: Arc<MetadataCache>,
}

impl CreatePartitions {
    /// Answers when the partitions have leaders.
    pub fn handle(self: &Arc<Self>, request: CreatePartitionsRequest) -> Reply<CreatePartitionsResponse> {
        let handler = self.clone();
        Reply::later(async move { handler.answer(&request).await })
    }

    pub(super) async fn answer(&self, request: &CreatePartitionsRequest) -> CreatePartitionsResponse {
        let snapshot = self.cache.snapshot();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for topic in &request.topics {
            *counts.entry(&topic.name).or_default() += 1;
        }
        let is_controller = snapshot.controller == Some(self.broker_id);
        // A topic that is named twice is answered once.
        let mut named = BTreeSet::new();
        let topics: Vec<&CreatePartitionsTopic> =
            request.topics.iter().filter(|topic| named.insert(topic.name.clone())).collect();
        let additions = topics.iter().map(|topic| {
            let (snapshot, twice) = (&snapshot, counts[&*topic.name] > 1);
            async move {
                if !is_controller {
                    return Err(ErrorCode::NotController.into());
                }
                if twice {
                    return Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic in request."));
                }
                self.add(snapshot, topic, request.validate_only).await
            }
        });
        let added = join_all(additions).await;
        let waits = !request.validate_only && request.timeout_ms > 0;
        let snapshot = if waits {
            let deadline = Instant::now() + Duration::from_millis(request.timeout_ms as u64);
            let led = |snapshot: &Snapshot| {
                added.iter().flatten().all(|(topic, partitions)| has_leaders(snapshot, topic, *partitions))
            };
            wait_until(&self.cache, deadline, led).await
        } else {
            snapshot
        };
        let result = |(topic, added): (&CreatePartitionsTopic, Result<(TopicName, usize), ApiError>)| {
            let done = added.and_then(|(name, partitions)| {
                let done = request.validate_only || waits && has_leaders(&snapshot, &name, partitions);
                if done { Ok(()) } else { Err(ErrorCode::RequestTimedOut.into()) }
            });
            let (error_code, error_message) = outcome(&done);
            CreatePartitionsTopicResult { name: topic.name.clone(), error_code, error_message }
        };
        let results = topics.into_iter().zip(added).map(result).collect();
        CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() }
    }

    /// Returns the topic and how many partitions it has then.
    async fn add(
        &self,
        snapshot: &Snapshot,
        wanted: &CreatePartitionsTopic,
        validate_only: bool,
    ) -> Result<(TopicName, usize), ApiError> {
        let unknown = || {
            let message = format!("The topic '{}' does not exist.", wanted.name);
            ApiError::new(ErrorCode::UnknownTopicOrPartition, message)
        };
        let topic = TopicName::new(&wanted.name).map_err(|_| unknown())?;
        let going = || ApiError::new(ErrorCode::InvalidTopicException, "The topic is queued for deletion.");
        if store_admin::is_marked_for_deletion(&*self.znodes, &topic).await? {
            return Err(going());
        }
        let mut found = store_cluster::topics(&*self.znodes, [topic.clone()]).await?;
        let existing = found.remove(&topic).ok_or_else(unknown)?.assignment;
        let added = plan(snapshot, &topic, &existing, wanted)?;
        if !validate_only {
            match store_topics::add_partitions(&*self.znodes, &topic, &added).await {
                Ok(()) => {}
                Err(store_topics::TopicError::BeingDeleted(_)) => return Err(going()),
                Err(error) => return Err(error.into()),
            }
            info!("topic {topic} now has {} partitions", wanted.count);
        }
        Ok((topic, wanted.count as usize))
    }
}

fn plan(
    snapshot: &Snapshot,
    topic: &TopicName,
    existing: &TopicAssignment,
    wanted: &CreatePartitionsTopic,
) -> Result<ReplicaMap, ApiError> {
    if !existing.adding_replicas.is_empty() || !existing.removing_replicas.is_empty() {
        let message = format!("A partition reassignment is in progress for the topic '{topic}'.");
        return Err(ApiError::new(ErrorCode::ReassignmentInProgress, message));
    }
    let old = existing.partitions.len() as PartitionIndex;
    let refused = |message| Err(ApiError::new(ErrorCode::InvalidPartitions, message));
    if wanted.count < old {
        return refused(format!(
            "Topic currently has {old} partitions, which is higher than the requested {}.",
            wanted.count
        ));
    }
    if wanted.count == old {
        return refused(format!("Topic already has {old} partitions."));
    }
    let Some(first) = existing.partitions.get(&0).filter(|replicas| !replicas.is_empty()) else {
        return refused(format!(
            "Unexpected existing replica assignment for topic '{topic}', partition id 0 is missing."
        ));
    };
    check_node_size(wanted.count.into(), first.len() as i64)?;
    if let Some(listed) = &wanted.assignments {
        return check_listed(snapshot, old, wanted.count - old, first.len(), listed);
    }
    let brokers = brokers_and_racks(snapshot);
    let index = brokers.keys().position(|id| *id >= first[0]).unwrap_or(0);
    placement::place(&brokers, old, wanted.count - old, first.len(), Start { index, shift: index })
        .map_err(|error| placement_refused(&error))
}

/// Replicas by hand for `count` partitions from `old` on, as many for each as the others have.
fn check_listed(
    snapshot: &Snapshot,
    old: PartitionIndex,
    count: PartitionIndex,
    replication_factor: usize,
    listed: &[CreatePartitionsAssignment],
) -> Result<ReplicaMap, ApiError> {
    let refused = |message| Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
    let given = listed.len();
    if given != count as usize {
        return refused(format!("Increasing the number of partitions by {count} but {given} assignments provided."));
    }
    let ids = |listed: &CreatePartitionsAssignment| listed.broker_ids.iter().copied().map(BrokerId).collect();
    let replicas: ReplicaMap = (old..).zip(listed.iter().map(ids)).collect();
    check_brokers(snapshot, &replicas)?;
    if let Some((partition, brokers)) = replicas.iter().find(|(_, brokers)| brokers.len() != replication_factor) {
        return refused(format!(
            "Inconsistent replication factor between partitions, partition 0 has {replication_factor} while partitions \
             [{partition}] have replication factors [{}], respectively.",
            brokers.len()
        ));
    }
    Ok(replicas)
}
