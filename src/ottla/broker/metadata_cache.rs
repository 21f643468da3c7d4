//! What this broker knows of the cluster: live brokers, topics, leaders. Written by the controller's UpdateMetadata
//! alone, read by everyone as an immutable snapshot.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use ottla_types::{BrokerId, Endpoint, LeaderEpoch, ListenerName, PartitionEpoch, PartitionIndex, TopicId, TopicName};

use super::waiting::{Awaited, WaitList};

/// A broker that the controller calls live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveBroker {
    /// Where clients reach it, one for each listener.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
}

impl LiveBroker {
    /// Its endpoint on a listener.
    pub fn endpoint(&self, listener: &ListenerName) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.listener == *listener)
    }
}

/// One partition as the controller announced it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// Its leader, if it has one.
    pub leader: Option<BrokerId>,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// Version of its state node.
    pub partition_epoch: PartitionEpoch,
    /// Replicas in order of preference.
    pub replicas: Vec<BrokerId>,
    /// Replicas that are in sync.
    pub isr: Vec<BrokerId>,
    /// Replicas that the controller knows to be offline.
    pub offline_replicas: Vec<BrokerId>,
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Its id; zero when the controller does not give one.
    pub id: TopicId,
    /// Its partitions.
    pub partitions: BTreeMap<PartitionIndex, PartitionMetadata>,
}

/// The cluster at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The controller, if one has spoken.
    pub controller: Option<BrokerId>,
    /// Live brokers.
    pub brokers: BTreeMap<BrokerId, Arc<LiveBroker>>,
    /// Topics by name.
    pub topics: BTreeMap<TopicName, Arc<TopicMetadata>>,
    names: BTreeMap<TopicId, TopicName>,
}

impl Snapshot {
    /// The name of the topic with this id.
    pub fn topic_name(&self, id: TopicId) -> Option<&TopicName> {
        self.names.get(&id)
    }

    /// One partition.
    pub fn partition(&self, topic: &TopicName, partition: PartitionIndex) -> Option<&PartitionMetadata> {
        self.topics.get(topic)?.partitions.get(&partition)
    }
}

/// One UpdateMetadata in domain words.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// Who sent it.
    pub controller: Option<BrokerId>,
    /// All live brokers; they replace those known before.
    pub brokers: BTreeMap<BrokerId, Arc<LiveBroker>>,
    /// Changed partitions; `None` for one of a topic that is deleted.
    pub partitions: Vec<(TopicName, TopicId, PartitionIndex, Option<PartitionMetadata>)>,
}

/// The current [`Snapshot`], and those who wait for the next.
#[derive(Default)]
pub struct MetadataCache {
    snapshot: RwLock<Arc<Snapshot>>,
    changed: WaitList,
}

impl MetadataCache {
    /// The cluster as of now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Merges an update: brokers are replaced, partitions are merged, a deleted topic's are dropped.
    pub fn apply(&self, update: Update) {
        let mut snapshot = (*self.snapshot()).clone();
        snapshot.controller = update.controller;
        snapshot.brokers = update.brokers;
        for (name, id, index, partition) in update.partitions {
            match partition {
                Some(partition) => {
                    let empty = || Arc::new(TopicMetadata { id, partitions: BTreeMap::new() });
                    let topic = Arc::make_mut(snapshot.topics.entry(name.clone()).or_insert_with(empty));
                    if topic.id != id {
                        snapshot.names.remove(&topic.id);
                        topic.id = id;
                    }
                    topic.partitions.insert(index, partition);
                    if id != TopicId::ZERO {
                        snapshot.names.insert(id, name);
                    }
                }
                None => {
                    let Some(topic) = snapshot.topics.get_mut(&name) else { continue };
                    let topic = Arc::make_mut(topic);
                    topic.partitions.remove(&index);
                    if topic.partitions.is_empty() {
                        let id = topic.id;
                        snapshot.topics.remove(&name);
                        snapshot.names.remove(&id);
                    }
                }
            }
        }
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
        self.changed.wake();
    }
}

impl Awaited for MetadataCache {
    fn wait_list(&self) -> &WaitList {
        &self.changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> PartitionMetadata {
        PartitionMetadata {
            leader: Some(BrokerId(0)),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
            replicas: vec![BrokerId(0)],
            isr: vec![BrokerId(0)],
            offline_replicas: vec![],
        }
    }

    #[test]
    fn a_deleted_topic_is_forgotten_with_its_id() {
        let cache = MetadataCache::default();
        let name = TopicName::new("t").unwrap();
        let id = TopicId([7; 16]);
        cache.apply(Update { partitions: vec![(name.clone(), id, 0, Some(partition()))], ..Update::default() });
        assert_eq!(cache.snapshot().topic_name(id), Some(&name));
        cache.apply(Update { partitions: vec![(name.clone(), id, 0, None)], ..Update::default() });
        assert!(cache.snapshot().topics.is_empty());
        assert_eq!(cache.snapshot().topic_name(id), None);
    }

    #[test]
    fn brokers_are_replaced_and_partitions_merged() {
        let cache = MetadataCache::default();
        let name = TopicName::new("t").unwrap();
        let brokers = |ids: &[i32]| {
            let broker = Arc::new(LiveBroker { endpoints: vec![], rack: None });
            ids.iter().map(|id| (BrokerId(*id), broker.clone())).collect()
        };
        let update = |index, ids| Update {
            brokers: brokers(ids),
            partitions: vec![(name.clone(), TopicId([7; 16]), index, Some(partition()))],
            ..Update::default()
        };
        cache.apply(update(0, &[0, 1]));
        cache.apply(update(1, &[1]));
        let snapshot = cache.snapshot();
        assert_eq!(snapshot.brokers.keys().collect::<Vec<_>>(), [&BrokerId(1)]);
        assert_eq!(snapshot.topics[&name].partitions.len(), 2);
    }
}
