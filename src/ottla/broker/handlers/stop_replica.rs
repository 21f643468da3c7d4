//! StopReplica: the controller takes partitions away, with or without their logs. `ReplicaManager.scala` (stopReplicas).

use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::schema::stop_replica::{StopReplicaPartitionError, StopReplicaRequest, StopReplicaResponse};
use ottla_types::{BrokerEpoch, ControllerEpoch, LeaderEpoch, TopicName, TopicPartition};
use tracing::{error, info, warn};

use crate::broker::fence::Fence;
use crate::broker::partitions::Partitions;
use crate::metrics::Metrics;

/// What the handler needs.
pub struct StopReplica {
    /// Which controller the broker obeys.
    pub fence: Arc<Fence>,
    /// What is stopped.
    pub partitions: Arc<Partitions>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl StopReplica {
    /// Stops and deletes.
    pub async fn handle(&self, request: StopReplicaRequest) -> StopReplicaResponse {
        let (controller, broker) = (ControllerEpoch(request.controller_epoch), BrokerEpoch(request.broker_epoch));
        if let Err(code) = self.fence.admit(controller, broker) {
            warn!("StopReplica of controller {} in epoch {controller} refused: {}", request.controller_id, code.name());
            return StopReplicaResponse { error_code: code.code(), ..StopReplicaResponse::default() };
        }
        let mut partition_errors = Vec::new();
        for topic in request.topic_states {
            for state in topic.partition_states {
                let outcome = match TopicName::new(&topic.topic_name) {
                    Ok(name) => {
                        let id = TopicPartition::new(name, state.partition_index);
                        self.stop(id, LeaderEpoch(state.leader_epoch), state.delete_partition).await
                    }
                    Err(_) => Err(ErrorCode::InvalidTopicException),
                };
                partition_errors.push(StopReplicaPartitionError {
                    topic_name: topic.topic_name.clone(),
                    partition_index: state.partition_index,
                    error_code: outcome.err().map_or(0, ErrorCode::code),
                });
            }
        }
        StopReplicaResponse { partition_errors, ..StopReplicaResponse::default() }
    }

    /// An epoch below zero means any: none is known, or the topic is being deleted.
    async fn stop(&self, id: TopicPartition, epoch: LeaderEpoch, delete: bool) -> Result<(), ErrorCode> {
        let Some(partition) = self.partitions.get(&id) else { return Ok(()) };
        let named = (epoch.0 >= 0).then_some(epoch);
        let fenced = partition.with_replica(|replica| replica.check_stop_replica(named));
        fenced.map_err(|_| ErrorCode::FencedLeaderEpoch)?;
        if !delete {
            partition.drop_role();
            return Ok(());
        }
        let (partitions, of) = (self.partitions.clone(), id.clone());
        let deleted = tokio::task::spawn_blocking(move || partitions.delete(&of)).await;
        match deleted.map_err(|_| ErrorCode::KafkaStorageError)? {
            Ok(()) => {
                info!("{id} is deleted");
                if self.partitions.of_topic(&id.topic).is_empty() {
                    self.metrics.forget_topic(&id.topic);
                }
            }
            Err(e) => {
                error!("{id} cannot be deleted: {e}");
                return Err(ErrorCode::KafkaStorageError);
            }
        }
        Ok(())
    }
}
