//! What a controller reads at failover and whenever a watch fires; brokers read some of it too.
//!
//! Readers that take a watch set it before they read, so that no change in between is missed. What is broken is logged and
//! left out.

use std::collections::BTreeMap;

use ottla_types::{BrokerEpoch, BrokerId, PartitionEpoch, TopicName, TopicPartition};
use zk_schema::{
    BrokerRegistration, DecodeError, PartitionState, TopicAssignment, admin_delete_topics,
    admin_preferred_replica_election, admin_reassign_partitions, broker_ids, broker_topics, isr_change_notification,
    log_dir_event_notification, partition_state,
};

use super::store::{StoreError, at, list, read, read_all, readable};
use super::znodes::{Stat, Watcher, ZkError, Znodes};

/// A live broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveBroker {
    /// Where it can be reached.
    pub registration: BrokerRegistration,
    /// Which life of the broker this is.
    pub epoch: BrokerEpoch,
}

/// A topic's node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicNode {
    /// Its replicas and id.
    pub assignment: TopicAssignment,
    /// The node's data version, for a write that must not undo another.
    pub version: i32,
}

/// The live brokers.
pub async fn brokers(zk: &dyn Znodes) -> Result<BTreeMap<BrokerId, LiveBroker>, StoreError> {
    let ids = broker_list(list(zk, broker_ids::PARENT).await?);
    let nodes = ids.into_iter().map(|id| (id, broker_ids::path(id))).collect();
    let found = readable(read_all(zk, nodes).await?, BrokerRegistration::decode);
    Ok(found
        .map(|(id, registration, stat)| (id, LiveBroker { registration, epoch: BrokerEpoch(stat.czxid) }))
        .collect())
}

/// Ids of the live brokers, and a watch on their list.
pub async fn watch_broker_ids(zk: &dyn Znodes) -> Result<(Vec<BrokerId>, Watcher), StoreError> {
    let (names, watcher) = children_and_watch(zk, broker_ids::PARENT).await?;
    Ok((broker_list(names), watcher))
}

fn broker_list(names: Vec<String>) -> Vec<BrokerId> {
    names.iter().filter_map(|name| broker_ids::parse_path(&format!("{}/{name}", broker_ids::PARENT))).collect()
}

/// A broker's registration, and a watch on it; none if it is gone or broken.
pub async fn watch_broker(zk: &dyn Znodes, id: BrokerId) -> Result<(Option<LiveBroker>, Watcher), StoreError> {
    let (found, watcher) = get_and_watch(zk, &broker_ids::path(id), BrokerRegistration::decode).await?;
    let broker = found.map(|(registration, stat)| LiveBroker { registration, epoch: BrokerEpoch(stat.czxid) });
    Ok((broker, watcher))
}

/// Names of all topics.
pub async fn topic_names(zk: &dyn Znodes) -> Result<Vec<TopicName>, StoreError> {
    Ok(topic_list(list(zk, broker_topics::PARENT).await?))
}

/// Names of all topics, and a watch on their list.
pub async fn watch_topic_names(zk: &dyn Znodes) -> Result<(Vec<TopicName>, Watcher), StoreError> {
    let (names, watcher) = children_and_watch(zk, broker_topics::PARENT).await?;
    Ok((topic_list(names), watcher))
}

/// Nodes whose names are no topic names are not Kafka's.
fn topic_list(names: Vec<String>) -> Vec<TopicName> {
    names.iter().filter_map(|name| TopicName::new(name).ok()).collect()
}

/// The nodes of these topics; those that are gone are left out.
pub async fn topics(
    zk: &dyn Znodes,
    names: impl IntoIterator<Item = TopicName>,
) -> Result<BTreeMap<TopicName, TopicNode>, StoreError> {
    let nodes = names.into_iter().map(|topic| (topic.clone(), broker_topics::path(&topic))).collect();
    let found = readable(read_all(zk, nodes).await?, TopicAssignment::decode);
    Ok(found.map(|(topic, assignment, stat)| (topic, TopicNode { assignment, version: stat.version })).collect())
}

/// A topic's node, and a watch on it; none if it is gone or broken.
pub async fn watch_topic(zk: &dyn Znodes, topic: &TopicName) -> Result<(Option<TopicNode>, Watcher), StoreError> {
    let (found, watcher) = get_and_watch(zk, &broker_topics::path(topic), TopicAssignment::decode).await?;
    Ok((found.map(|(assignment, stat)| TopicNode { assignment, version: stat.version }), watcher))
}

/// A partition's state node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionNode {
    /// Leader and ISR.
    pub state: PartitionState,
    /// The node's data version.
    pub epoch: PartitionEpoch,
    /// The node's mzxid: a broker whose epoch is higher has started since this was written.
    pub written_zxid: i64,
}

/// The state of these partitions; those without a state node (not yet initialised) are left out.
pub async fn partition_states(
    zk: &dyn Znodes,
    partitions: impl IntoIterator<Item = TopicPartition>,
) -> Result<BTreeMap<TopicPartition, PartitionNode>, StoreError> {
    let nodes =
        partitions.into_iter().map(|partition| (partition.clone(), partition_state::path(&partition))).collect();
    let found = readable(read_all(zk, nodes).await?, PartitionState::decode);
    let node =
        |state, stat: Stat| PartitionNode { state, epoch: PartitionEpoch(stat.version), written_zxid: stat.mzxid };
    Ok(found.map(|(partition, state, stat)| (partition, node(state, stat))).collect())
}

/// Topics that are to be deleted, and a watch on their list.
pub async fn watch_topics_to_delete(zk: &dyn Znodes) -> Result<(Vec<TopicName>, Watcher), StoreError> {
    let (names, watcher) = children_and_watch(zk, admin_delete_topics::PARENT).await?;
    Ok((topic_list(names), watcher))
}

/// Notifications of one kind: the names of their nodes, what could be read of them, and a watch on their list.
pub struct Notifications<T> {
    /// Names, to delete the nodes once they are dealt with.
    pub names: Vec<String>,
    /// What they say.
    pub contents: Vec<T>,
    /// Fires when another one comes.
    pub watcher: Watcher,
}

/// ISR changes that leaders wrote themselves.
pub async fn watch_isr_changes(zk: &dyn Znodes) -> Result<Notifications<TopicPartition>, StoreError> {
    let parent = isr_change_notification::PARENT;
    let read = notifications(zk, parent, isr_change_notification::decode).await?;
    Ok(Notifications { names: read.names, contents: read.contents.concat(), watcher: read.watcher })
}

/// Brokers that lost a log directory.
pub async fn watch_log_dir_events(zk: &dyn Znodes) -> Result<Notifications<BrokerId>, StoreError> {
    notifications(zk, log_dir_event_notification::PARENT, log_dir_event_notification::decode).await
}

async fn notifications<T>(zk: &dyn Znodes, parent: &str, decode: Decode<T>) -> Result<Notifications<T>, StoreError> {
    let (names, watcher) = children_and_watch(zk, parent).await?;
    let nodes = names.iter().map(|name| ((), format!("{parent}/{name}"))).collect();
    let contents = readable(read_all(zk, nodes).await?, decode).map(|((), content, _)| content).collect();
    Ok(Notifications { names, contents, watcher })
}

/// Which replicas partitions are to have.
pub type Reassignment = Vec<(TopicPartition, Vec<BrokerId>)>;

/// The reassignment asked for by a tool, if there is one, and a watch on its node. A broken one asks for nothing.
pub async fn watch_reassignment(zk: &dyn Znodes) -> Result<(Option<Reassignment>, Watcher), StoreError> {
    admin_node(zk, admin_reassign_partitions::PATH, admin_reassign_partitions::decode).await
}

/// The preferred leader election asked for by a tool, if there is one, and a watch on its node. A broken one asks for
/// nothing.
pub async fn watch_preferred_election(zk: &dyn Znodes) -> Result<(Option<Vec<TopicPartition>>, Watcher), StoreError> {
    admin_node(zk, admin_preferred_replica_election::PATH, admin_preferred_replica_election::decode).await
}

async fn admin_node<T: Default>(
    zk: &dyn Znodes,
    path: &str,
    decode: Decode<T>,
) -> Result<(Option<T>, Watcher), StoreError> {
    let (_, watcher) = zk.exists_and_watch(path).await.map_err(at(path))?;
    let content = read(zk, path).await?.map(|(data, _)| decode(path, &data));
    let content = content.map(|content| {
        content.unwrap_or_else(|error| {
            tracing::error!("taken as empty: {error}");
            T::default()
        })
    });
    Ok((content, watcher))
}

type Decode<T> = fn(&str, &[u8]) -> Result<T, DecodeError>;

/// Children, sorted, and a watch on their list.
pub(super) async fn children_and_watch(zk: &dyn Znodes, path: &str) -> Result<(Vec<String>, Watcher), StoreError> {
    let (mut names, watcher) = zk.children_and_watch(path).await.map_err(at(path))?;
    names.sort_unstable();
    Ok((names, watcher))
}

/// A node's content, and a watch on the node whether it exists or not.
pub(super) async fn get_and_watch<T>(
    zk: &dyn Znodes,
    path: &str,
    decode: Decode<T>,
) -> Result<(Option<(T, Stat)>, Watcher), StoreError> {
    loop {
        match zk.get_and_watch(path).await {
            Ok((data, stat, watcher)) => {
                let found = vec![((), path.to_owned(), data, stat)];
                return Ok((readable(found, decode).next().map(|((), value, stat)| (value, stat)), watcher));
            }
            Err(ZkError::NoNode) => {}
            Err(error) => return Err(at(path)(error)),
        }
        let (stat, watcher) = zk.exists_and_watch(path).await.map_err(at(path))?;
        if stat.is_none() {
            return Ok((None, watcher));
        }
    }
}
