//! LeaderAndIsr: the controller says which partitions this broker leads or follows. `ReplicaManager.scala`
//! (becomeLeaderOrFollower). It comes through the controller's queue in this process.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use ottla_protocol::ErrorCode;
use ottla_protocol::schema::leader_and_isr::{
    LeaderAndIsrPartitionError, LeaderAndIsrPartitionState, LeaderAndIsrRequest, LeaderAndIsrResponse,
    LeaderAndIsrTopicError,
};
use ottla_replication::{LeaderAndIsrRefusal, PartitionChange, RoleChange};
use ottla_types::{
    BrokerEpoch, BrokerId, ControllerEpoch, LeaderEpoch, PartitionEpoch, TopicId, TopicName, TopicPartition,
};
use tracing::{debug, error, info, warn};

use crate::broker::clock::now_ms;
use crate::broker::fence::Fence;
use crate::broker::partition::RoleError;
use crate::broker::partitions::Partitions;
use crate::broker::topic_configs::TopicConfigs;

/// Partitions of a topic that take their roles at once.
const AT_ONCE: usize = 32;

/// What the handler needs.
pub struct LeaderAndIsr {
    /// This broker.
    pub broker_id: BrokerId,
    /// Which controller it obeys.
    pub fence: Arc<Fence>,
    /// Where roles go.
    pub partitions: Arc<Partitions>,
    /// What new logs are made with.
    pub configs: Arc<TopicConfigs>,
}

impl LeaderAndIsr {
    /// Gives each partition its role; makes logs that are not there.
    pub async fn handle(&self, request: LeaderAndIsrRequest) -> LeaderAndIsrResponse {
        let (controller, broker) = (ControllerEpoch(request.controller_epoch), BrokerEpoch(request.broker_epoch));
        if let Err(code) = self.fence.admit(controller, broker) {
            warn!(
                "LeaderAndIsr of controller {} in epoch {controller} refused: {}",
                request.controller_id,
                code.name()
            );
            return LeaderAndIsrResponse { error_code: code.code(), ..LeaderAndIsrResponse::default() };
        }
        let mut topics = Vec::with_capacity(request.topic_states.len());
        for topic in request.topic_states {
            let name = TopicName::new(&topic.topic_name);
            let taken = topic.partition_states.into_iter().map(|state| {
                let (name, topic_name) = (name.clone(), topic.topic_name.clone());
                async move {
                    let outcome = match name {
                        Ok(name) => self.take(name, TopicId(topic.topic_id), &state).await,
                        Err(_) => Err(ErrorCode::InvalidTopicException),
                    };
                    LeaderAndIsrPartitionError {
                        topic_name,
                        partition_index: state.partition_index,
                        error_code: outcome.err().map_or(0, ErrorCode::code),
                    }
                }
            });
            // A role costs a few fsyncs; side by side they share the disk's time.
            let partition_errors = stream::iter(taken).buffered(AT_ONCE).collect().await;
            topics.push(LeaderAndIsrTopicError { topic_id: topic.topic_id, partition_errors });
        }
        LeaderAndIsrResponse { topics, ..LeaderAndIsrResponse::default() }
    }

    async fn take(
        &self,
        topic: TopicName,
        topic_id: TopicId,
        state: &LeaderAndIsrPartitionState,
    ) -> Result<(), ErrorCode> {
        let id = TopicPartition::new(topic, state.partition_index);
        let topic_id = (topic_id != TopicId::ZERO).then_some(topic_id);
        let change = change(topic_id, state);
        let partition = match self.partitions.get(&id) {
            Some(partition) => partition,
            None if change.replicas.contains(&self.broker_id) => {
                let config = self.configs.of_topic(&id.topic).await;
                let (partitions, id) = (self.partitions.clone(), id.clone());
                let made = tokio::task::spawn_blocking(move || partitions.create(&id, topic_id, config)).await;
                made.map_err(|_| ErrorCode::KafkaStorageError)?.map_err(storage)?
            }
            None => return Err(ErrorCode::UnknownTopicOrPartition),
        };
        let epoch = change.leader_epoch;
        let taken = tokio::task::spawn_blocking(move || partition.take_role(change, now_ms())).await;
        match taken.map_err(|_| ErrorCode::KafkaStorageError)? {
            Ok(RoleChange::BecameLeader { epoch_start_offset }) => {
                info!("{id}: leader in epoch {epoch} from offset {epoch_start_offset}");
            }
            Ok(RoleChange::BecameFollower { leader }) => {
                let leader = leader.map_or("nobody".to_string(), |leader| format!("broker {leader}"));
                warn!(
                    "{id} is led by {leader}: replication between brokers is not built, its records do not come here"
                );
            }
            Ok(RoleChange::TopicIdKnown(_) | RoleChange::Nothing) => {}
            Err(RoleError::Refused(refusal)) => return Err(refused(&id, refusal)),
            Err(RoleError::Storage(e)) => return Err(storage(e)),
        }
        Ok(())
    }
}

fn storage(e: ottla_log::StorageError) -> ErrorCode {
    error!("{e}; mend the disk and start the broker again");
    ErrorCode::KafkaStorageError
}

fn refused(id: &TopicPartition, refusal: LeaderAndIsrRefusal) -> ErrorCode {
    match refusal {
        // A repeated request, as after a failover of the controller.
        LeaderAndIsrRefusal::StaleLeaderEpoch { .. } => {
            debug!("{id}: {refusal}");
            ErrorCode::StaleControllerEpoch
        }
        LeaderAndIsrRefusal::InconsistentTopicId { .. } => {
            error!("{id}: {refusal}; the folder of a deleted topic of that name stands in the way: remove it by hand");
            ErrorCode::InconsistentTopicId
        }
        LeaderAndIsrRefusal::NotAReplica => ErrorCode::UnknownTopicOrPartition,
    }
}

fn change(topic_id: Option<TopicId>, state: &LeaderAndIsrPartitionState) -> PartitionChange {
    let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
    PartitionChange {
        topic_id,
        controller_epoch: ControllerEpoch(state.controller_epoch),
        leader: (state.leader >= 0).then_some(BrokerId(state.leader)),
        leader_epoch: LeaderEpoch(state.leader_epoch),
        isr: ids(&state.isr),
        partition_epoch: PartitionEpoch(state.partition_epoch),
        replicas: ids(&state.replicas),
    }
}
