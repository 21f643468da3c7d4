//! UpdateMetadata: the controller tells what clients are told. `ZkMetadataCache.scala` (updateMetadata).

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::schema::update_metadata::{
    UpdateMetadataBroker, UpdateMetadataPartitionState, UpdateMetadataRequest, UpdateMetadataResponse,
};
use ottla_types::{
    BrokerEpoch, BrokerId, ControllerEpoch, Endpoint, LeaderEpoch, ListenerName, PartitionEpoch, SecurityProtocol,
    TopicId, TopicName,
};
use tracing::warn;

use crate::broker::MetadataCache;
use crate::broker::fence::Fence;
use crate::broker::metadata_cache::{LiveBroker, PartitionMetadata, Update};

/// What the handler needs.
pub struct UpdateMetadata {
    /// Which controller the broker obeys.
    pub fence: Arc<Fence>,
    /// What is told.
    pub cache: Arc<MetadataCache>,
}

/// The leader of a partition that is deleted.
const LEADER_DURING_DELETE: i32 = -2;

impl UpdateMetadata {
    /// Merges it into the cache.
    pub fn handle(&self, request: UpdateMetadataRequest) -> UpdateMetadataResponse {
        let (controller, broker) = (ControllerEpoch(request.controller_epoch), BrokerEpoch(request.broker_epoch));
        if let Err(code) = self.fence.admit(controller, broker) {
            warn!("UpdateMetadata of controller {} in epoch {controller} refused: {}", request.controller_id, code.name());
            return UpdateMetadataResponse { error_code: code.code() };
        }
        let mut partitions = Vec::new();
        for topic in &request.topic_states {
            let Ok(name) = TopicName::new(&topic.topic_name) else { continue };
            for state in &topic.partition_states {
                let metadata = (state.leader != LEADER_DURING_DELETE).then(|| partition(state));
                partitions.push((name.clone(), TopicId(topic.topic_id), state.partition_index, metadata));
            }
        }
        self.cache.apply(Update {
            controller: (request.controller_id >= 0).then_some(BrokerId(request.controller_id)),
            brokers: request.live_brokers.iter().map(live_broker).collect::<BTreeMap<_, _>>(),
            partitions,
        });
        UpdateMetadataResponse::default()
    }
}

fn live_broker(broker: &UpdateMetadataBroker) -> (BrokerId, Arc<LiveBroker>) {
    let endpoints = broker.endpoints.iter().filter_map(|endpoint| {
        Some(Endpoint {
            listener: ListenerName::new(&endpoint.listener),
            security_protocol: SecurityProtocol::from_id(endpoint.security_protocol)?,
            host: endpoint.host.to_string(),
            port: u16::try_from(endpoint.port).ok()?,
        })
    });
    let rack = broker.rack.as_ref().map(|rack| rack.to_string());
    (BrokerId(broker.id), Arc::new(LiveBroker { endpoints: endpoints.collect(), rack }))
}

fn partition(state: &UpdateMetadataPartitionState) -> PartitionMetadata {
    let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
    PartitionMetadata {
        leader: (state.leader >= 0).then_some(BrokerId(state.leader)),
        leader_epoch: LeaderEpoch(state.leader_epoch),
        partition_epoch: PartitionEpoch(state.zk_version),
        replicas: ids(&state.replicas),
        isr: ids(&state.isr),
        offline_replicas: ids(&state.offline_replicas),
    }
}
