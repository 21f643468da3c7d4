//! The controller's queue to a broker: one request in flight, answers become events.
//!
//! The broker that is controller has a queue to itself like any other: the same requests and the same fencing, handed to
//! its own handlers without a socket. Other brokers need a connection, which is not built yet.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ottla_controller::{Event, LeaderAndIsr, MetadataState, StopReplica, UpdateMetadata};
use ottla_protocol::ErrorCode;
use ottla_protocol::schema::leader_and_isr::{LeaderAndIsrRequest, LeaderAndIsrResponse};
use ottla_protocol::schema::stop_replica::{StopReplicaRequest, StopReplicaResponse};
use ottla_protocol::schema::update_metadata::{UpdateMetadataRequest, UpdateMetadataResponse};
use ottla_types::{BrokerEpoch, BrokerId, ListenerName, TopicName, TopicPartition};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::warn;

use super::controller_wire;

/// Requests that wait for a broker. One that leaves so many unanswered while its session lives is stuck; the controller
/// then starts over with what stands.
const QUEUE: usize = 10_000;

/// An answer on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A broker's handlers of what a controller says. Requests and responses are in the newest version of their API.
pub trait ControlRequests: Send + Sync {
    /// Takes roles.
    fn leader_and_isr(&self, request: LeaderAndIsrRequest) -> Answer<'_, LeaderAndIsrResponse>;
    /// Takes what clients may be told.
    fn update_metadata(&self, request: UpdateMetadataRequest) -> Answer<'_, UpdateMetadataResponse>;
    /// Stops and deletes replicas.
    fn stop_replica(&self, request: StopReplicaRequest) -> Answer<'_, StopReplicaResponse>;
}

/// A request in the controller's words.
#[derive(Debug)]
pub(super) enum Request {
    LeaderAndIsr(LeaderAndIsr),
    UpdateMetadata(Arc<UpdateMetadata>),
    StopReplica(StopReplica),
}

/// The queue is full.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("broker {0} leaves {QUEUE} requests of the controller unanswered")]
pub(super) struct Stuck(BrokerId);

/// How requests reach a broker.
pub(super) enum Transport {
    /// It is this one.
    InProcess(Arc<dyn ControlRequests>),
}

/// The queue to one life of a broker. Dropped, it forgets what it holds.
pub(super) struct Channel {
    broker: BrokerId,
    queue: mpsc::Sender<Request>,
    worker: AbortHandle,
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

impl Channel {
    /// Opens a queue; answers go to `events`.
    pub(super) fn open(
        broker: BrokerId,
        broker_epoch: BrokerEpoch,
        transport: Transport,
        inter_broker: ListenerName,
        events: mpsc::Sender<Event>,
    ) -> Channel {
        let (queue, mut requests) = mpsc::channel(QUEUE);
        let Transport::InProcess(handlers) = transport;
        let receiver = Receiver { broker, broker_epoch, inter_broker };
        let worker = tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                if let Some(event) = receiver.deliver(&*handlers, request).await
                    && events.send(event).await.is_err()
                {
                    return;
                }
            }
        });
        Channel { broker, queue, worker: worker.abort_handle() }
    }

    /// Queues a request.
    pub(super) fn send(&self, request: Request) -> Result<(), Stuck> {
        // A closed queue means that the worker was aborted together with the term.
        match self.queue.try_send(request) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(Stuck(self.broker)),
            _ => Ok(()),
        }
    }
}

/// One life of a broker, as the requests to it name it.
struct Receiver {
    broker: BrokerId,
    broker_epoch: BrokerEpoch,
    inter_broker: ListenerName,
}

impl Receiver {
    async fn deliver(&self, handlers: &dyn ControlRequests, request: Request) -> Option<Event> {
        match request {
            Request::LeaderAndIsr(request) => {
                let topics = request.partitions.iter().map(|p| (p.topic_id.0, p.partition.topic.clone())).collect();
                let request = controller_wire::leader_and_isr(request, self.broker_epoch, &self.inter_broker);
                self.roles_taken(topics, handlers.leader_and_isr(request).await)
            }
            Request::UpdateMetadata(request) => {
                let answer =
                    handlers.update_metadata(controller_wire::update_metadata(&request, self.broker_epoch)).await;
                self.metadata_taken(&request, &answer)
            }
            Request::StopReplica(request) => {
                let asked = request.partitions.iter().filter(|p| p.delete).map(|p| p.partition.clone()).collect();
                let answer = handlers.stop_replica(controller_wire::stop_replica(request, self.broker_epoch)).await;
                self.replicas_stopped(asked, &answer)
            }
        }
    }

    /// Whether the request as a whole was refused.
    fn is_refused(&self, api: &str, code: i16) -> bool {
        if code != 0 {
            let error = ErrorCode::from_code(code).map_or_else(|| code.to_string(), |e| e.to_string());
            warn!("broker {} refused {api}: {error}", self.broker);
        }
        code != 0
    }

    fn roles_taken(&self, topics: BTreeMap<[u8; 16], TopicName>, answer: LeaderAndIsrResponse) -> Option<Event> {
        if self.is_refused("LeaderAndIsr", answer.error_code) {
            return None;
        }
        let (mut online, mut offline) = (Vec::new(), Vec::new());
        for topic in answer.topics {
            let Some(name) = topics.get(&topic.topic_id) else { continue };
            for partition in topic.partition_errors {
                let place = match ErrorCode::from_code(partition.error_code) {
                    Some(ErrorCode::None) => &mut online,
                    Some(ErrorCode::KafkaStorageError) => &mut offline,
                    // The broker's log says why; nothing follows from it here.
                    _ => continue,
                };
                place.push(TopicPartition::new(name.clone(), partition.partition_index));
            }
        }
        let (broker, broker_epoch) = (self.broker, self.broker_epoch);
        Some(Event::LeaderAndIsrAnswered { broker, broker_epoch, online, offline })
    }

    fn metadata_taken(&self, request: &UpdateMetadata, answer: &UpdateMetadataResponse) -> Option<Event> {
        if self.is_refused("UpdateMetadata", answer.error_code) {
            return None;
        }
        let deleted = request.partitions.iter().filter(|p| p.state == MetadataState::Deleted);
        let forgotten: BTreeSet<TopicName> = deleted.map(|p| p.partition.topic.clone()).collect();
        let (broker, broker_epoch) = (self.broker, self.broker_epoch);
        (!forgotten.is_empty()).then_some(Event::UpdateMetadataAnswered { broker, broker_epoch, forgotten })
    }

    fn replicas_stopped(&self, asked: Vec<TopicPartition>, answer: &StopReplicaResponse) -> Option<Event> {
        let refused = self.is_refused("StopReplica", answer.error_code);
        let is_deleted = |p: &TopicPartition| {
            let same = |e: &&_| {
                let e: &ottla_protocol::schema::stop_replica::StopReplicaPartitionError = e;
                e.topic_name == p.topic.as_str() && e.partition_index == p.partition
            };
            !refused && answer.partition_errors.iter().find(same).is_some_and(|e| e.error_code == 0)
        };
        let (deleted, failed): (Vec<_>, Vec<_>) = asked.into_iter().partition(is_deleted);
        let (broker, broker_epoch) = (self.broker, self.broker_epoch);
        let named = !deleted.is_empty() || !failed.is_empty();
        named.then_some(Event::StopReplicaAnswered { broker, broker_epoch, deleted, failed })
    }
}
