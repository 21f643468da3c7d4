//! Gathers who is to be told what during a step, and makes the fewest requests of it.
//!
//! For each broker first LeaderAndIsr, then UpdateMetadata, then StopReplica. Every UpdateMetadata has the full list of
//! live brokers, because the receiver replaces what it knew. The content is taken when the requests are made, from what is
//! known to be written, so nothing else can be announced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_types::{BrokerId, ControllerEpoch, TopicId, TopicPartition};

use crate::cluster::{Broker, Cluster};
use crate::effect::{
    Effect, LeaderAndIsr, LeaderAndIsrPartition, MetadataState, StopReplica, StopReplicaPartition, UpdateMetadata,
    UpdateMetadataPartition,
};

#[derive(Debug)]
pub(crate) struct Notices {
    me: BrokerId,
    epoch: ControllerEpoch,
    /// By receiver: partitions, and whether each is new.
    leader_and_isr: BTreeMap<BrokerId, BTreeMap<TopicPartition, bool>>,
    /// Partitions that everybody is to hear of.
    metadata: BTreeSet<TopicPartition>,
    /// Everybody is to hear who lives.
    liveness: bool,
    /// Brokers that are to hear of every partition.
    everything: BTreeSet<BrokerId>,
    /// By receiver: partitions, and whether their logs go too.
    stop_replica: BTreeMap<BrokerId, BTreeMap<TopicPartition, bool>>,
}

impl Notices {
    pub(crate) fn new(me: BrokerId, epoch: ControllerEpoch) -> Notices {
        Notices {
            me,
            epoch,
            leader_and_isr: BTreeMap::new(),
            metadata: BTreeSet::new(),
            liveness: false,
            everything: BTreeSet::new(),
            stop_replica: BTreeMap::new(),
        }
    }

    pub(crate) fn leader_and_isr(&mut self, broker: BrokerId, partition: &TopicPartition, is_new: bool) {
        *self.leader_and_isr.entry(broker).or_default().entry(partition.clone()).or_default() |= is_new;
    }

    pub(crate) fn metadata(&mut self, partition: &TopicPartition) {
        self.metadata.insert(partition.clone());
    }

    pub(crate) fn liveness(&mut self) {
        self.liveness = true;
    }

    pub(crate) fn everything(&mut self, broker: BrokerId) {
        self.everything.insert(broker);
    }

    pub(crate) fn stop_replica(&mut self, broker: BrokerId, partition: &TopicPartition, delete: bool) {
        *self.stop_replica.entry(broker).or_default().entry(partition.clone()).or_default() |= delete;
    }

    pub(crate) fn flush(&mut self, cluster: &Cluster, effects: &mut Vec<Effect>) {
        let epoch_of = |broker: BrokerId| cluster.brokers.get(&broker).map(|b| b.registration.epoch);
        for (broker, partitions) in std::mem::take(&mut self.leader_and_isr) {
            let Some(broker_epoch) = epoch_of(broker) else { continue };
            let request = self.leader_and_isr_request(cluster, partitions);
            effects.push(Effect::SendLeaderAndIsr { broker, broker_epoch, request });
        }
        self.flush_metadata(cluster, effects);
        for (broker, partitions) in std::mem::take(&mut self.stop_replica) {
            let Some(broker_epoch) = epoch_of(broker) else { continue };
            let request = self.stop_replica_request(cluster, partitions);
            effects.push(Effect::SendStopReplica { broker, broker_epoch, request });
        }
    }

    fn flush_metadata(&mut self, cluster: &Cluster, effects: &mut Vec<Effect>) {
        let metadata = std::mem::take(&mut self.metadata);
        let everything = std::mem::take(&mut self.everything);
        let to_all = std::mem::take(&mut self.liveness) || !metadata.is_empty();
        if !to_all && everything.is_empty() {
            return;
        }
        let all = (!everything.is_empty()).then(|| Arc::new(self.update_metadata(cluster, cluster.all_partitions())));
        let changed = Arc::new(self.update_metadata(cluster, metadata));
        for (&broker, live) in &cluster.brokers {
            let request = match &all {
                Some(all) if everything.contains(&broker) => all.clone(),
                _ if to_all => changed.clone(),
                _ => continue,
            };
            effects.push(Effect::SendUpdateMetadata { broker, broker_epoch: live.registration.epoch, request });
        }
    }

    fn leader_and_isr_request(&self, cluster: &Cluster, names: BTreeMap<TopicPartition, bool>) -> LeaderAndIsr {
        let mut leaders = BTreeSet::new();
        let mut partitions = Vec::with_capacity(names.len());
        for (name, is_new) in names {
            let Some(topic) = cluster.topics.get(&name.topic) else { continue };
            let Some(partition) = topic.partitions.get(&name.partition) else { continue };
            let (Some(topic_id), Some(state)) = (topic.id, partition.state.clone()) else { continue };
            leaders.extend(state.leader);
            partitions.push(LeaderAndIsrPartition {
                partition: name,
                topic_id,
                state,
                partition_epoch: partition.version,
                assignment: partition.assignment.clone(),
                is_new,
            });
        }
        let live_leaders = leaders.iter().filter_map(|l| Some(cluster.brokers.get(l)?.registration.clone())).collect();
        LeaderAndIsr { controller: self.me, controller_epoch: self.epoch, partitions, live_leaders }
    }

    fn update_metadata(&self, cluster: &Cluster, names: impl IntoIterator<Item = TopicPartition>) -> UpdateMetadata {
        let partitions = names.into_iter().filter_map(|name| metadata_of(cluster, name)).collect();
        let live_brokers: Vec<Arc<Broker>> = cluster.brokers.values().map(|b| b.registration.clone()).collect();
        UpdateMetadata { controller: self.me, controller_epoch: self.epoch, partitions, live_brokers }
    }

    fn stop_replica_request(&self, cluster: &Cluster, names: BTreeMap<TopicPartition, bool>) -> StopReplica {
        let leader_epoch = |name: &TopicPartition| {
            let topic = cluster.topics.get(&name.topic).filter(|t| t.deletion.is_none())?;
            Some(topic.partitions.get(&name.partition)?.state.as_ref()?.leader_epoch)
        };
        let partitions = names
            .into_iter()
            .map(|(name, delete)| StopReplicaPartition { leader_epoch: leader_epoch(&name), partition: name, delete })
            .collect();
        StopReplica { controller: self.me, controller_epoch: self.epoch, partitions }
    }
}

/// What to say of a partition; nothing before it has a state.
fn metadata_of(cluster: &Cluster, name: TopicPartition) -> Option<UpdateMetadataPartition> {
    let topic = cluster.topics.get(&name.topic)?;
    let partition = topic.partitions.get(&name.partition)?;
    let state = match topic.deletion {
        Some(_) => MetadataState::Deleted,
        None => MetadataState::Known(partition.state.clone()?, partition.version),
    };
    let topic_id = match topic.deletion {
        Some(_) => topic.id.unwrap_or(TopicId::ZERO),
        None => topic.id?,
    };
    let replicas = partition.assignment.replicas.clone();
    let offline_replicas = replicas.iter().copied().filter(|r| !cluster.is_online(*r, &name)).collect();
    Some(UpdateMetadataPartition { partition: name, topic_id, state, replicas, offline_replicas })
}
