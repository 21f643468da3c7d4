//! LeaderAndIsr: the controller says which partitions this broker leads or follows. `ReplicaManager.scala`
//! (becomeLeaderOrFollower). It comes through the controller's queue in this process.

use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::schema::leader_and_isr::{
    LeaderAndIsrPartitionError, LeaderAndIsrPartitionState, LeaderAndIsrRequest, LeaderAndIsrResponse,
    LeaderAndIsrTopicError,
};
use ottla_replication::{Instruction, Refusal, Role, Verdict};
use ottla_types::{
    BrokerEpoch, BrokerId, ControllerEpoch, LeaderEpoch, PartitionEpoch, TopicId, TopicName, TopicPartition,
};
use tracing::{error, info, warn};

use crate::broker::fence::Fence;
use crate::broker::partitions::Partitions;
use crate::broker::topic_configs::TopicConfigs;

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
            warn!("LeaderAndIsr of controller {} in epoch {controller} refused: {}", request.controller_id, code.name());
            return LeaderAndIsrResponse { error_code: code.code(), ..LeaderAndIsrResponse::default() };
        }
        let mut topics = Vec::with_capacity(request.topic_states.len());
        for topic in request.topic_states {
            let mut partition_errors = Vec::with_capacity(topic.partition_states.len());
            for state in &topic.partition_states {
                let outcome = match TopicName::new(&topic.topic_name) {
                    Ok(name) => self.take(name, TopicId(topic.topic_id), state).await,
                    Err(_) => Err(ErrorCode::InvalidTopicException),
                };
                partition_errors.push(LeaderAndIsrPartitionError {
                    topic_name: topic.topic_name.clone(),
                    partition_index: state.partition_index,
                    error_code: outcome.err().map_or(0, ErrorCode::code),
                });
            }
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
        let told = instruction(topic_id, state);
        let hosted = self.partitions.get(&id);
        let (role, stored) = match &hosted {
            Some(partition) => (partition.with_role(|role| role.clone()), partition.topic_id()),
            None => (Role::default(), TopicId::ZERO),
        };
        let verdict = role.judge(self.broker_id, stored, &told).map_err(|refusal| refused(&id, refusal))?;
        let partition = match hosted {
            Some(partition) => partition,
            None => {
                let config = self.configs.of_topic(&id.topic).await;
                let (partitions, id) = (self.partitions.clone(), id.clone());
                let made = tokio::task::spawn_blocking(move || partitions.create(&id, topic_id, config)).await;
                made.map_err(|_| ErrorCode::KafkaStorageError)?.map_err(storage)?
            }
        };
        if verdict == Verdict::Follow {
            let leader = told.leader.map_or("nobody".to_string(), |leader| format!("broker {leader}"));
            warn!("{id} is led by {leader}: replication between brokers is not built, its records do not come here");
        }
        let epoch = told.leader_epoch;
        let role = Role::taking(self.broker_id, told);
        // Assigning an epoch writes and syncs a small file.
        tokio::task::block_in_place(|| partition.take_role(role)).map_err(storage)?;
        info!("{id}: {verdict:?} in leader epoch {epoch}");
        Ok(())
    }
}

fn storage(e: ottla_log::StorageError) -> ErrorCode {
    error!("{e}; mend the disk and start the broker again");
    ErrorCode::KafkaStorageError
}

fn refused(id: &TopicPartition, refusal: Refusal) -> ErrorCode {
    let code = match refusal {
        Refusal::Stale { .. } => ErrorCode::StaleControllerEpoch,
        Refusal::TopicId { .. } => ErrorCode::InconsistentTopicId,
        Refusal::NotAReplica(_) => ErrorCode::UnknownTopicOrPartition,
    };
    match refusal {
        Refusal::Stale { .. } => info!("{id}: a LeaderAndIsr changes nothing: {refusal}"),
        _ => error!("{id}: a LeaderAndIsr is refused: {refusal}"),
    }
    code
}

fn instruction(topic_id: TopicId, state: &LeaderAndIsrPartitionState) -> Instruction {
    let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
    Instruction {
        topic_id,
        controller_epoch: ControllerEpoch(state.controller_epoch),
        leader: (state.leader >= 0).then_some(BrokerId(state.leader)),
        leader_epoch: LeaderEpoch(state.leader_epoch),
        isr: ids(&state.isr),
        partition_epoch: PartitionEpoch(state.partition_epoch),
        replicas: ids(&state.replicas),
    }
}
