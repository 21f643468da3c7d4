//! What a controller reads and writes in ZooKeeper, between the stores' words and the core's.
//!
//! A watch only says that something changed: each task here sets its watch, reads, tells the core what it read, waits, and
//! begins again. After a reconnect all of them read anew, whatever their watches say.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all, select_all};
use futures_util::{StreamExt, stream};
use ottla_controller::{
    Assignment, Broker, ClusterRead, Event, PartitionNode, PartitionState, PartitionStateWrite, PartitionStateWritten,
    TopicNode, WriteOutcome,
};
use ottla_types::{BrokerId, PartitionEpoch, PartitionIndex, TopicId, TopicName, TopicPartition};
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::time::sleep;
use tracing::{error, warn};
use zk_schema::{TopicAssignment, broker_topics};

use crate::zk::StoreError;
use crate::zk::store_cluster::{self, LiveBroker};
use crate::zk::store_controller::ControllerStore;
use crate::zk::store_election::{self, FencedError, Leadership};
use crate::zk::znodes::{SessionEvent, Watcher, ZkError, Znodes};

/// How long something waits that ZooKeeper could not do, before it is tried or told again.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// Topics read at once.
const READS_IN_FLIGHT: usize = 500;

/// A term of office as seen from ZooKeeper: who holds it and where its events go.
#[derive(Clone)]
pub(super) struct Office {
    pub(super) zk: Arc<dyn Znodes>,
    pub(super) leadership: Leadership,
    pub(super) events: mpsc::Sender<Event>,
    /// Told once when another controller rules.
    pub(super) deposed: Arc<Notify>,
}

/// Everything read at the start of a term.
pub(super) struct Start {
    pub(super) cluster: ClusterRead,
    /// The watches on the topics read, and the topics whose nodes could not be.
    pub(super) topics: Vec<(TopicName, Option<Watcher>)>,
}

impl Office {
    fn store(&self) -> ControllerStore<'_> {
        ControllerStore::new(&*self.zk, self.leadership)
    }

    /// Tells the core; one that is gone needs to hear nothing.
    async fn tell(&self, event: Event) {
        let _ = self.events.send(event).await;
    }

    /// Reads the cluster, after the notifications that this makes needless are gone (`onControllerFailover`).
    pub(super) async fn start(self) -> Result<Start, FencedError> {
        let (zk, store) = (&*self.zk, self.store());
        store.set_up_feature().await?;
        store.delete_log_dir_events(&store_cluster::watch_log_dir_events(zk).await?.names).await?;
        store.delete_isr_changes(&store_cluster::watch_isr_changes(zk).await?.names).await?;

        let brokers = store_cluster::brokers(zk).await?.into_iter().map(broker).collect();
        let names = store_cluster::topic_names(zk).await?;
        let reads = names.into_iter().map(|name| async move {
            let read = store_cluster::watch_topic(zk, &name).await;
            read.map(|(node, watcher)| (name, node, watcher))
        });
        let read: Vec<Result<_, StoreError>> = stream::iter(reads).buffered(READS_IN_FLIGHT).collect().await;
        let (mut topics, mut watched) = (BTreeMap::new(), Vec::new());
        for topic in read {
            let (name, node, watcher) = topic?;
            watched.push((name.clone(), node.is_some().then_some(watcher)));
            topics.extend(node.map(|node| (name, topic_node(node))));
        }
        let partitions = topics
            .iter()
            .flat_map(|(name, node)| node.assignment.keys().map(|index| TopicPartition::new(name.clone(), *index)));
        let states = store_cluster::partition_states(zk, partitions.collect::<Vec<_>>()).await?;
        let states = states.into_iter().map(|(name, node)| (name, partition_node(node))).collect();
        let (topics_to_delete, _) = store_cluster::watch_topics_to_delete(zk).await?;
        let topics_to_delete = topics_to_delete.into_iter().collect();
        Ok(Start { cluster: ClusterRead { brokers, topics, states, topics_to_delete }, topics: watched })
    }

    /// Says so when `/controller` no longer names this broker.
    pub(super) async fn watch_office(self, me: BrokerId) {
        loop {
            let mut session = self.zk.session_events();
            let (holder, watcher) = persist(|| store_election::watch_controller(&*self.zk)).await;
            if holder.is_none_or(|holder| holder.broker_id != me) {
                return self.deposed.notify_one();
            }
            fired(vec![watcher], &mut session).await;
        }
    }

    pub(super) async fn watch_brokers(self) {
        loop {
            let mut session = self.zk.session_events();
            let (live, watchers) = persist(|| brokers(&*self.zk)).await;
            self.tell(Event::BrokersChanged { live }).await;
            fired(watchers, &mut session).await;
        }
    }

    pub(super) async fn watch_topics(self) {
        loop {
            let mut session = self.zk.session_events();
            let (topics, watcher) = persist(|| store_cluster::watch_topic_names(&*self.zk)).await;
            self.tell(Event::TopicsChanged { topics: topics.into_iter().collect() }).await;
            fired(vec![watcher], &mut session).await;
        }
    }

    pub(super) async fn watch_topics_to_delete(self) {
        loop {
            let mut session = self.zk.session_events();
            let (topics, watcher) = persist(|| store_cluster::watch_topics_to_delete(&*self.zk)).await;
            self.tell(Event::DeleteTopicsChanged { topics: topics.into_iter().collect() }).await;
            fired(vec![watcher], &mut session).await;
        }
    }

    pub(super) async fn watch_isr_changes(self) {
        loop {
            let mut session = self.zk.session_events();
            let read = persist(|| store_cluster::watch_isr_changes(&*self.zk)).await;
            if !read.names.is_empty() {
                let partitions = read.contents.into_iter().collect();
                self.tell(Event::IsrChangeNotified { notifications: read.names, partitions }).await;
            }
            fired(vec![read.watcher], &mut session).await;
        }
    }

    pub(super) async fn watch_preferred_election(self) {
        loop {
            let mut session = self.zk.session_events();
            let (asked, watcher) = persist(|| store_cluster::watch_preferred_election(&*self.zk)).await;
            if let Some(partitions) = asked {
                self.tell(Event::PreferredElectionRequested { partitions: partitions.into_iter().collect() }).await;
            }
            fired(vec![watcher], &mut session).await;
        }
    }

    /// Reads and watches a topic's node until it is gone. With a `watcher` it was read already.
    ///
    /// A node that nobody can read is not one that is gone: what is known of the topic stays until it is mended.
    pub(super) async fn watch_topic(self, topic: TopicName, mut watcher: Option<Watcher>) {
        let path = broker_topics::path(&topic);
        loop {
            let mut session = self.zk.session_events();
            if let Some(watcher) = watcher.take() {
                fired(vec![watcher], &mut session).await;
                continue;
            }
            let (node, next) = persist(|| store_cluster::watch_topic(&*self.zk, &topic)).await;
            match node {
                Some(node) => {
                    let node = Some(topic_node(node));
                    self.tell(Event::TopicRead { topic: topic.clone(), node }).await;
                }
                None => match self.zk.exists(&path).await {
                    Ok(None) => return self.tell(Event::TopicRead { topic, node: None }).await,
                    Ok(Some(_)) => {}
                    Err(_) => {
                        sleep(PAUSE).await;
                        continue;
                    }
                },
            }
            fired(vec![next], &mut session).await;
        }
    }

    pub(super) async fn read_states(self, partitions: Vec<TopicPartition>) {
        let mut found = persist(|| store_cluster::partition_states(&*self.zk, partitions.iter().cloned())).await;
        let state = |name: TopicPartition| {
            let node = found.remove(&name).map(partition_node);
            (name, node)
        };
        let states = partitions.into_iter().map(state).collect();
        self.tell(Event::PartitionStatesRead { states }).await;
    }

    pub(super) async fn write_states(self, writes: Vec<PartitionStateWrite>) {
        let numbers: BTreeMap<TopicPartition, u64> = writes.iter().map(|w| (w.partition.clone(), w.write)).collect();
        let (mut creates, mut sets) = (Vec::new(), Vec::new());
        for PartitionStateWrite { partition, state, expected, .. } in writes {
            let state = stored_state(state);
            match expected {
                Some(expected) => sets.push((partition, state, expected)),
                None => creates.push((partition, state)),
            }
        }
        let store = self.store();
        let (created, set) = join(store.create_partition_states(creates), store.set_partition_states(sets)).await;
        let written = |(partition, result): (TopicPartition, _)| {
            let (write, outcome) = (numbers[&partition], outcome(result));
            PartitionStateWritten { write, partition, outcome }
        };
        let all = created.into_iter().chain(set).map(written);
        let (unknown, known): (Vec<_>, Vec<_>) = all.partition(|r| r.outcome == WriteOutcome::Unknown);
        if !known.is_empty() {
            self.tell(Event::PartitionStatesWritten { results: known }).await;
        }
        if !unknown.is_empty() {
            // What follows is a read and another write: not in a tight loop.
            sleep(PAUSE).await;
            self.tell(Event::PartitionStatesWritten { results: unknown }).await;
        }
    }

    pub(super) async fn write_topic(
        self,
        topic: TopicName,
        id: TopicId,
        assignment: BTreeMap<PartitionIndex, Assignment>,
        version: i32,
    ) {
        let written = self.store().set_topic(&topic, &stored_topic(id, assignment), version).await;
        let outcome = outcome(written.map(PartitionEpoch));
        if outcome == WriteOutcome::Unknown {
            sleep(PAUSE).await;
        }
        self.tell(Event::TopicNodeWritten { topic, outcome }).await;
    }

    pub(super) async fn delete_topic(self, topic: TopicName) {
        let done = match self.store().delete_topic(&topic).await {
            Ok(()) => true,
            Err(FencedError::ControllerMoved) => return self.deposed.notify_one(),
            Err(FencedError::Store(e)) => {
                warn!("topic {topic} is not gone from ZooKeeper yet: {e}");
                false
            }
        };
        self.tell(Event::TopicNodesDeleted { topic, done }).await;
    }

    pub(super) async fn remove_delete_requests(self, topics: Vec<TopicName>) {
        for topic in &topics {
            self.insist(|| async { self.store().delete_request(topic).await }).await;
        }
    }

    pub(super) async fn delete_isr_changes(self, names: Vec<String>) {
        self.insist(|| async { self.store().delete_isr_changes(&names).await }).await;
    }

    pub(super) async fn delete_preferred_election(self) {
        self.insist(|| async { self.store().delete_preferred_election().await }).await;
    }

    /// Tries until it is done or another controller rules.
    async fn insist<F: Future<Output = Result<(), FencedError>>>(&self, attempt: impl Fn() -> F) {
        loop {
            match attempt().await {
                Ok(()) => return,
                Err(FencedError::ControllerMoved) => return self.deposed.notify_one(),
                Err(FencedError::Store(e)) => {
                    warn!("controller: {e}; tried again");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Reads until it succeeds: a connection that is lost comes back, or the session ends and the term with it.
pub(super) async fn persist<T, F: Future<Output = Result<T, StoreError>>>(attempt: impl Fn() -> F) -> T {
    loop {
        match attempt().await {
            Ok(read) => return read,
            Err(e) => {
                if !matches!(e.zk(), Some(ZkError::Unknown | ZkError::Expired)) {
                    error!("controller: {e}; tried again");
                }
                sleep(PAUSE).await;
            }
        }
    }
}

/// Waits for one of these watches, or for the session to say that watches are not to be trusted.
pub(super) async fn fired(watchers: Vec<Watcher>, session: &mut broadcast::Receiver<SessionEvent>) {
    tokio::select! {
        _ = select_all(watchers) => {}
        () = renewed(session) => {}
    }
}

/// Waits until a connection or a session has begun anew.
async fn renewed(session: &mut broadcast::Receiver<SessionEvent>) {
    loop {
        match session.recv().await {
            Ok(SessionEvent::Restored | SessionEvent::Started { .. }) | Err(broadcast::error::RecvError::Lagged(_)) => {
                return;
            }
            Ok(SessionEvent::Lost | SessionEvent::Expired) => {}
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// The registered brokers, with a watch on their list and one on each.
async fn brokers(zk: &dyn Znodes) -> Result<(BTreeMap<BrokerId, Broker>, Vec<Watcher>), StoreError> {
    let (ids, watcher) = store_cluster::watch_broker_ids(zk).await?;
    let reads =
        join_all(ids.into_iter().map(|id| async move { (id, store_cluster::watch_broker(zk, id).await) })).await;
    let (mut live, mut watchers) = (BTreeMap::new(), vec![watcher]);
    for (id, read) in reads {
        let (found, watcher) = read?;
        live.extend(found.map(|found| broker((id, found))));
        watchers.push(watcher);
    }
    Ok((live, watchers))
}

fn broker((id, LiveBroker { registration, epoch }): (BrokerId, LiveBroker)) -> (BrokerId, Broker) {
    (id, Broker { id, epoch, endpoints: registration.endpoints, rack: registration.rack })
}

fn topic_node(node: store_cluster::TopicNode) -> TopicNode {
    let TopicAssignment { partitions, topic_id, mut adding_replicas, mut removing_replicas } = node.assignment;
    let assignment = |(index, replicas)| {
        let adding = adding_replicas.remove(&index).unwrap_or_default();
        let removing = removing_replicas.remove(&index).unwrap_or_default();
        (index, Assignment { replicas, adding, removing })
    };
    let assignment = partitions.into_iter().map(assignment).collect();
    TopicNode { id: topic_id, fresh_id: fresh_id(), assignment, version: node.version }
}

fn fresh_id() -> TopicId {
    loop {
        if let Some(id) = TopicId::from_random(rand::random()) {
            return id;
        }
    }
}

fn stored_topic(id: TopicId, assignment: BTreeMap<PartitionIndex, Assignment>) -> TopicAssignment {
    let mut topic = TopicAssignment { topic_id: Some(id), ..TopicAssignment::default() };
    for (index, Assignment { replicas, adding, removing }) in assignment {
        topic.partitions.insert(index, replicas);
        if !adding.is_empty() {
            topic.adding_replicas.insert(index, adding);
        }
        if !removing.is_empty() {
            topic.removing_replicas.insert(index, removing);
        }
    }
    topic
}

fn partition_node(node: store_cluster::PartitionNode) -> PartitionNode {
    let zk_schema::PartitionState { leader, leader_epoch, isr, controller_epoch, leader_recovery_state } = node.state;
    let recovering = leader_recovery_state != 0;
    let state = PartitionState { leader, leader_epoch, isr, controller_epoch, recovering };
    PartitionNode { state, version: node.epoch, written_zxid: node.written_zxid }
}

fn stored_state(state: PartitionState) -> zk_schema::PartitionState {
    let PartitionState { leader, leader_epoch, isr, controller_epoch, recovering } = state;
    let leader_recovery_state = recovering.into();
    zk_schema::PartitionState { leader, leader_epoch, isr, controller_epoch, leader_recovery_state }
}

fn outcome(written: Result<PartitionEpoch, FencedError>) -> WriteOutcome {
    match written {
        Ok(version) => WriteOutcome::Written(version),
        Err(FencedError::ControllerMoved) => WriteOutcome::Fenced,
        Err(error) => match error.zk() {
            Some(ZkError::BadVersion | ZkError::NodeExists | ZkError::NoNode) => WriteOutcome::Conflict,
            _ => {
                warn!("controller: {error}; read again");
                WriteOutcome::Unknown
            }
        },
    }
}
