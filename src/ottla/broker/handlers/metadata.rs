//! Metadata: brokers as the listener that asked can reach them, topics and their leaders. `MetadataRequest.json`,
//! `KafkaApis.scala` (handleTopicMetadataRequest).

use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::schema::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use ottla_types::{BrokerId, ListenerName, TopicId, TopicName};

use crate::broker::metadata_cache::{LiveBroker, PartitionMetadata, Snapshot, TopicMetadata};
use crate::broker::request::{Reply, RequestContext};
use crate::broker::topic_creation::TopicCreation;
use crate::broker::{ClusterId, MetadataCache};

/// What the handler needs.
pub struct Metadata {
    /// The cluster.
    pub cache: Arc<MetadataCache>,
    /// Its id.
    pub cluster_id: ClusterId,
    /// Makes topics at their first use.
    pub creation: Arc<TopicCreation>,
}

impl Metadata {
    /// Answers at once, unless a topic is to be made first.
    pub fn handle(self: &Arc<Self>, context: RequestContext, request: MetadataRequest) -> Reply<MetadataResponse> {
        let snapshot = self.cache.snapshot();
        let version = context.version();
        let Some(asked) = asked_topics(&request, version) else {
            let topics = snapshot.topics.iter().map(|(name, topic)| describe(&snapshot, &context, name, topic)).collect();
            return Reply::Now(self.response(&snapshot, &context, topics));
        };
        let unknown = missing(&snapshot, &asked);
        let may_create = self.creation.automatic() && (version < 4 || request.allow_auto_topic_creation);
        if unknown.is_empty() || !may_create {
            let topics = asked.iter().map(|topic| self.topic(&snapshot, &context, topic, false)).collect();
            return Reply::Now(self.response(&snapshot, &context, topics));
        }
        let handler = self.clone();
        Reply::later(async move {
            handler.creation.create_at_first_use(unknown).await;
            let snapshot = handler.cache.snapshot();
            let topics = asked.iter().map(|topic| handler.topic(&snapshot, &context, topic, true)).collect();
            handler.response(&snapshot, &context, topics)
        })
    }
}

impl Metadata {
    fn response(
        &self,
        snapshot: &Snapshot,
        context: &RequestContext,
        topics: Vec<MetadataResponseTopic>,
    ) -> MetadataResponse {
        MetadataResponse {
            brokers: brokers_at(snapshot, &context.listener),
            cluster_id: Some((&*self.cluster_id).into()),
            controller_id: snapshot.controller.map_or(-1, |id| id.0),
            topics,
            ..MetadataResponse::default()
        }
    }

    /// `created`: the topic was asked for at its first use and may be on its way.
    fn topic(
        &self,
        snapshot: &Snapshot,
        context: &RequestContext,
        asked: &Asked,
        created: bool,
    ) -> MetadataResponseTopic {
        let error = |code: ErrorCode, name: Option<&str>, id: TopicId| MetadataResponseTopic {
            error_code: code as i16,
            name: name.map(Into::into),
            topic_id: id.0,
            ..MetadataResponseTopic::default()
        };
        match asked {
            Asked::Wrong(name) => error(ErrorCode::InvalidTopicException, Some(name), TopicId::ZERO),
            Asked::Id(id) => match snapshot.topic_name(*id).and_then(|name| Some((name, snapshot.topics.get(name)?))) {
                Some((name, topic)) => describe(snapshot, context, name, topic),
                None => error(ErrorCode::UnknownTopicId, None, *id),
            },
            Asked::Name(name) => match snapshot.topics.get(name) {
                Some(topic) => describe(snapshot, context, name, topic),
                None => {
                    let code =
                        if created { ErrorCode::LeaderNotAvailable } else { ErrorCode::UnknownTopicOrPartition };
                    error(code, Some(name.as_str()), TopicId::ZERO)
                }
            },
        }
    }
}

/// A topic as a client named it.
enum Asked {
    Name(TopicName),
    Id(TopicId),
    /// No topic can have this name.
    Wrong(String),
}

/// `None`: all of them (an empty list in version 0, null later).
fn asked_topics(request: &MetadataRequest, version: i16) -> Option<Vec<Asked>> {
    let topics = request.topics.as_ref().filter(|topics| version > 0 || !topics.is_empty())?;
    let asked = |topic: &MetadataRequestTopic| match &topic.name {
        Some(name) => TopicName::new(name).map_or_else(|_| Asked::Wrong(name.to_string()), Asked::Name),
        None => Asked::Id(TopicId(topic.topic_id)),
    };
    Some(topics.iter().map(asked).collect())
}

fn missing(snapshot: &Snapshot, asked: &[Asked]) -> Vec<TopicName> {
    let name = |topic: &Asked| match topic {
        Asked::Name(name) if !snapshot.topics.contains_key(name) => Some(name.clone()),
        _ => None,
    };
    asked.iter().filter_map(name).collect()
}

/// Live brokers that have the listener which was asked.
pub(super) fn brokers_at(snapshot: &Snapshot, listener: &ListenerName) -> Vec<MetadataResponseBroker> {
    let broker = |(id, broker): (&BrokerId, &Arc<LiveBroker>)| {
        let endpoint = broker.endpoint(listener)?;
        Some(MetadataResponseBroker {
            node_id: id.0,
            host: endpoint.host.as_str().into(),
            port: endpoint.port.into(),
            rack: broker.rack.as_deref().map(Into::into),
        })
    };
    snapshot.brokers.iter().filter_map(broker).collect()
}

fn describe(
    snapshot: &Snapshot,
    context: &RequestContext,
    name: &TopicName,
    topic: &TopicMetadata,
) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: ErrorCode::None as i16,
        name: Some(name.as_str().into()),
        topic_id: topic.id.0,
        is_internal: name.is_internal(),
        partitions: topic
            .partitions
            .iter()
            .map(|(index, partition)| describe_partition(snapshot, context, *index, partition))
            .collect(),
        ..MetadataResponseTopic::default()
    }
}

/// `ZkMetadataCache.scala` (getPartitionMetadata): a leader that is gone or not on this listener is an error; version 0
/// clients are also told of replicas that are down, and do not see their ids.
fn describe_partition(
    snapshot: &Snapshot,
    context: &RequestContext,
    index: i32,
    partition: &PartitionMetadata,
) -> MetadataResponsePartition {
    let live = |id: &BrokerId| {
        snapshot.brokers.get(id).is_some_and(|broker| broker.endpoint(&context.listener).is_some())
    };
    let old = context.version() == 0;
    let ids = |all: &[BrokerId]| all.iter().filter(|id| !old || live(id)).map(|id| id.0).collect::<Vec<_>>();
    let (replica_nodes, isr_nodes) = (ids(&partition.replicas), ids(&partition.isr));
    let error = match partition.leader {
        Some(leader) if live(&leader) => {
            let down = replica_nodes.len() < partition.replicas.len() || isr_nodes.len() < partition.isr.len();
            if old && down { ErrorCode::ReplicaNotAvailable } else { ErrorCode::None }
        }
        Some(leader) if snapshot.brokers.contains_key(&leader) && context.version() >= 6 => ErrorCode::ListenerNotFound,
        _ => ErrorCode::LeaderNotAvailable,
    };
    let has_leader = !matches!(error, ErrorCode::LeaderNotAvailable | ErrorCode::ListenerNotFound);
    MetadataResponsePartition {
        error_code: error as i16,
        partition_index: index,
        leader_id: partition.leader.filter(|_| has_leader).map_or(-1, |id| id.0),
        leader_epoch: partition.leader_epoch.0,
        replica_nodes,
        isr_nodes,
        offline_replicas: partition.offline_replicas.iter().map(|id| id.0).collect(),
    }
}
