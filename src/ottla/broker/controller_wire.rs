//! A controller's requests as the wire says them, in their newest version: the one place where its newtypes become plain
//! integers.

use ottla_controller::{
    Assignment, Broker, LeaderAndIsr, MetadataState, PartitionState, StopReplica, UpdateMetadata,
    UpdateMetadataPartition,
};
use ottla_protocol::schema::leader_and_isr::{
    LeaderAndIsrLiveLeader, LeaderAndIsrPartitionState, LeaderAndIsrRequest, LeaderAndIsrTopicState,
};
use ottla_protocol::schema::stop_replica::{StopReplicaPartitionState, StopReplicaRequest, StopReplicaTopicState};
use ottla_protocol::schema::update_metadata::{
    UpdateMetadataBroker, UpdateMetadataEndpoint, UpdateMetadataPartitionState, UpdateMetadataRequest,
    UpdateMetadataTopicState,
};
use ottla_types::{BrokerEpoch, BrokerId, ListenerName, TopicName};

/// What `leader` says when there is none.
const NO_LEADER: i32 = -1;

/// What `leader` and `leader_epoch` say when the topic goes away (`LeaderAndIsr.LeaderDuringDelete`,
/// `EpochDuringDelete`).
const DURING_DELETE: i32 = -2;

fn ids(brokers: &[BrokerId]) -> Vec<i32> {
    brokers.iter().map(|id| id.0).collect()
}

fn leader(state: &PartitionState) -> i32 {
    state.leader.map_or(NO_LEADER, |id| id.0)
}

/// Partitions in order, gathered by topic.
fn by_topic<P, T>(
    partitions: Vec<P>,
    topic_of: impl Fn(&P) -> TopicName,
    begin: impl Fn(&P) -> T,
    add: impl Fn(&mut T, P),
) -> Vec<T> {
    let mut topics: Vec<(TopicName, T)> = Vec::new();
    for partition in partitions {
        let name = topic_of(&partition);
        if topics.last().is_none_or(|(last, _)| *last != name) {
            topics.push((name, begin(&partition)));
        }
        if let Some((_, topic)) = topics.last_mut() {
            add(topic, partition);
        }
    }
    topics.into_iter().map(|(_, topic)| topic).collect()
}

/// LeaderAndIsr; leaders are named with their endpoint on the listener between brokers.
pub(super) fn leader_and_isr(
    request: LeaderAndIsr,
    broker_epoch: BrokerEpoch,
    inter_broker: &ListenerName,
) -> LeaderAndIsrRequest {
    let live_leader = |broker: &Broker| {
        let endpoint = broker.endpoints.iter().find(|e| e.listener == *inter_broker)?;
        Some(LeaderAndIsrLiveLeader {
            broker_id: broker.id.0,
            host_name: endpoint.host.as_str().into(),
            port: endpoint.port.into(),
        })
    };
    let topic_states = by_topic(
        request.partitions,
        |p| p.partition.topic.clone(),
        |p| LeaderAndIsrTopicState {
            topic_name: p.partition.topic.as_str().into(),
            topic_id: p.topic_id.0,
            ..LeaderAndIsrTopicState::default()
        },
        |topic, p| {
            let Assignment { replicas, adding, removing } = &p.assignment;
            topic.partition_states.push(LeaderAndIsrPartitionState {
                partition_index: p.partition.partition,
                controller_epoch: p.state.controller_epoch.0,
                leader: leader(&p.state),
                leader_epoch: p.state.leader_epoch.0,
                isr: ids(&p.state.isr),
                partition_epoch: p.partition_epoch.0,
                replicas: ids(replicas),
                adding_replicas: ids(adding),
                removing_replicas: ids(removing),
                is_new: p.is_new,
                leader_recovery_state: p.state.recovering.into(),
                ..LeaderAndIsrPartitionState::default()
            });
        },
    );
    LeaderAndIsrRequest {
        controller_id: request.controller.0,
        controller_epoch: request.controller_epoch.0,
        broker_epoch: broker_epoch.0,
        topic_states,
        live_leaders: request.live_leaders.iter().filter_map(|b| live_leader(b)).collect(),
        ..LeaderAndIsrRequest::default()
    }
}

/// UpdateMetadata.
pub(super) fn update_metadata(request: &UpdateMetadata, broker_epoch: BrokerEpoch) -> UpdateMetadataRequest {
    let partition = |p: &UpdateMetadataPartition| {
        let state = UpdateMetadataPartitionState {
            partition_index: p.partition.partition,
            replicas: ids(&p.replicas),
            offline_replicas: ids(&p.offline_replicas),
            ..UpdateMetadataPartitionState::default()
        };
        match &p.state {
            MetadataState::Known(known, version) => UpdateMetadataPartitionState {
                controller_epoch: known.controller_epoch.0,
                leader: leader(known),
                leader_epoch: known.leader_epoch.0,
                isr: ids(&known.isr),
                zk_version: version.0,
                ..state
            },
            MetadataState::Deleted => UpdateMetadataPartitionState {
                controller_epoch: request.controller_epoch.0,
                leader: DURING_DELETE,
                ..state
            },
        }
    };
    let broker = |broker: &Broker| UpdateMetadataBroker {
        id: broker.id.0,
        endpoints: broker
            .endpoints
            .iter()
            .map(|e| UpdateMetadataEndpoint {
                port: e.port.into(),
                host: e.host.as_str().into(),
                listener: e.listener.as_str().into(),
                security_protocol: e.security_protocol as i16,
            })
            .collect(),
        rack: broker.rack.as_deref().map(Into::into),
        ..UpdateMetadataBroker::default()
    };
    UpdateMetadataRequest {
        controller_id: request.controller.0,
        controller_epoch: request.controller_epoch.0,
        broker_epoch: broker_epoch.0,
        topic_states: by_topic(
            request.partitions.iter().collect(),
            |p| p.partition.topic.clone(),
            |p| UpdateMetadataTopicState {
                topic_name: p.partition.topic.as_str().into(),
                topic_id: p.topic_id.0,
                ..UpdateMetadataTopicState::default()
            },
            |topic, p| topic.partition_states.push(partition(p)),
        ),
        live_brokers: request.live_brokers.iter().map(|b| broker(b)).collect(),
        ..UpdateMetadataRequest::default()
    }
}

/// StopReplica.
pub(super) fn stop_replica(request: StopReplica, broker_epoch: BrokerEpoch) -> StopReplicaRequest {
    StopReplicaRequest {
        controller_id: request.controller.0,
        controller_epoch: request.controller_epoch.0,
        broker_epoch: broker_epoch.0,
        topic_states: by_topic(
            request.partitions,
            |p| p.partition.topic.clone(),
            |p| StopReplicaTopicState {
                topic_name: p.partition.topic.as_str().into(),
                ..StopReplicaTopicState::default()
            },
            |topic, p| {
                topic.partition_states.push(StopReplicaPartitionState {
                    partition_index: p.partition.partition,
                    leader_epoch: p.leader_epoch.map_or(DURING_DELETE, |epoch| epoch.0),
                    delete_partition: p.delete,
                });
            },
        ),
        ..StopReplicaRequest::default()
    }
}
