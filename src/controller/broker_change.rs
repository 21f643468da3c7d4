//! Brokers come, go and come again; log dirs fail; leaders return to the replicas that should lead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_types::{BrokerEpoch, BrokerId, TopicPartition};

use crate::cluster::Broker;
use crate::effect::Effect;
use crate::term::Term;

impl Term {
    /// Whether an answer comes from the life of a broker that is registered now.
    pub(crate) fn is_current(&self, broker: BrokerId, epoch: BrokerEpoch) -> bool {
        self.cluster.brokers.get(&broker).is_some_and(|b| b.registration.epoch == epoch)
    }

    /// Compares the registered brokers with those known. A known id with another epoch restarted faster than its
    /// session ended (KAFKA-7235): it failed, then started.
    pub(crate) fn brokers_changed(&mut self, live: BTreeMap<BrokerId, Broker>) {
        let known = &self.cluster.brokers;
        let is_same_life = |id: &BrokerId, epoch| known.get(id).is_some_and(|b| b.registration.epoch == epoch);
        let failed: BTreeSet<BrokerId> =
            known.keys().copied().filter(|id| !live.get(id).is_some_and(|b| is_same_life(id, b.epoch))).collect();
        let started: BTreeSet<BrokerId> =
            live.iter().filter(|(id, b)| !is_same_life(id, b.epoch)).map(|(id, _)| *id).collect();
        let is_other = |id: &BrokerId, b: &Broker| known.get(id).is_some_and(|k| *k.registration != *b);
        let changed = live.iter().any(|(id, b)| is_other(id, b));
        if failed.is_empty() && started.is_empty() && !changed {
            return;
        }

        for id in &failed {
            self.cluster.brokers.remove(id);
            self.effects.push(Effect::RemoveBroker(*id));
        }
        for (id, broker) in live {
            match self.cluster.brokers.get_mut(&id) {
                Some(known) => known.registration = Arc::new(broker),
                None => self.add_broker(id, Arc::new(broker)),
            }
        }
        self.notices.liveness();
        for id in &started {
            self.notices.everything(*id);
        }
        self.flush_notices();

        let touched = |r: &BrokerId| failed.contains(r) || started.contains(r);
        for name in self.cluster.all_partitions() {
            let Some(partition) = self.cluster.partition_mut(&name) else { continue };
            for id in &failed {
                partition.distrust(*id);
            }
            let replicas = &partition.assignment.replicas;
            // During a reassignment the ISR need not be a part of the replicas (KAFKA-1170).
            let mut members = replicas.iter().chain(partition.state.iter().flat_map(|s| &s.isr));
            if !members.any(touched) {
                continue;
            }
            let newcomers: Vec<BrokerId> = replicas.iter().copied().filter(|r| started.contains(r)).collect();
            self.settle(&name);
            self.announce_to(&name, &newcomers);
        }
        self.brokers_of_deleted_topics_changed(&failed, &started);
    }

    /// Tells brokers that have just started what they hold, and everybody that the replica is online.
    fn announce_to(&mut self, name: &TopicPartition, brokers: &[BrokerId]) {
        let Some(topic) = self.cluster.topics.get(&name.topic) else { return };
        let Some(partition) = topic.partitions.get(&name.partition) else { return };
        if topic.id.is_none() || topic.deletion.is_some() || partition.state.is_none() {
            return;
        }
        // A write that is under way will be announced to all.
        if partition.pending.is_none() {
            self.notices.metadata(name);
        }
        if partition.distrusted.is_empty() {
            for broker in brokers {
                self.notices.leader_and_isr(*broker, name, false);
            }
        }
    }

    /// A broker said which of its log dirs work.
    pub(crate) fn log_dirs_answered(
        &mut self,
        id: BrokerId,
        online: Vec<TopicPartition>,
        offline: Vec<TopicPartition>,
    ) {
        let Some(broker) = self.cluster.brokers.get_mut(&id) else { return };
        let recovered: Vec<_> = online.into_iter().filter(|p| broker.offline.remove(p)).collect();
        let lost: Vec<_> = offline.into_iter().filter(|p| broker.offline.insert(p.clone())).collect();
        for name in &lost {
            if let Some(partition) = self.cluster.partition_mut(name) {
                partition.distrust(id);
            }
        }
        for name in lost.iter().chain(&recovered) {
            self.settle(name);
            self.announce_to(name, &[]);
        }
    }

    /// Runs preferred elections for each live broker that leads too few of the partitions whose first replica it is.
    pub(crate) fn rebalance_leaders(&mut self) {
        let mut preferred: BTreeMap<BrokerId, (usize, Vec<TopicPartition>)> = BTreeMap::new();
        for name in self.cluster.all_partitions() {
            let Some(topic) = self.cluster.topics.get(&name.topic).filter(|t| t.deletion.is_none()) else { continue };
            let Some(partition) = topic.partitions.get(&name.partition) else { continue };
            let Some(&head) = partition.assignment.replicas.first() else { continue };
            if !self.cluster.brokers.contains_key(&head) {
                continue;
            }
            let (total, elsewhere) = preferred.entry(head).or_default();
            *total += 1;
            if partition.state.as_ref().is_some_and(|s| s.leader != Some(head)) {
                elsewhere.push(name);
            }
        }
        let allowed = self.settings.leader_imbalance_per_broker_percentage;
        for (total, elsewhere) in preferred.into_values() {
            if elsewhere.len() as i64 * 100 > allowed * total as i64 {
                for name in &elsewhere {
                    self.elect_preferred(name);
                }
            }
        }
    }
}
