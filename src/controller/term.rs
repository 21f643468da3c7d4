//! One term of office: what a controller knows and has under way from its election to its resignation. Nothing of it
//! survives; the next term reads everything anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_types::{BrokerId, ControllerEpoch, TopicName, TopicPartition};

use crate::cluster::{Cluster, ClusterRead, LiveBroker, Partition, Topic, TopicNode, UncleanElection};
use crate::controller::Settings;
use crate::effect::{Effect, PartitionStateWrite};
use crate::event::Event;
use crate::notify::Notices;

/// How long something that ZooKeeper refused for a passing reason waits before it is tried again, ms.
pub(crate) const RETRY_MS: i64 = 100;

/// How long after its election a controller first looks at the balance of leaders, ms (Kafka: 5 s).
const FIRST_REBALANCE_MS: i64 = 5_000;

#[derive(Debug)]
pub(crate) struct Term {
    pub(crate) epoch: ControllerEpoch,
    pub(crate) settings: Settings,
    pub(crate) unclean: UncleanElection,
    pub(crate) cluster: Cluster,
    /// Partitions whose write waits, and until when.
    pub(crate) retries: BTreeMap<TopicPartition, i64>,
    /// Partitions that wait for a broker and were reported.
    pub(crate) waiting: BTreeSet<TopicPartition>,
    pub(crate) rebalance_at_ms: Option<i64>,
    pub(crate) last_write: u64,
    /// Gathered during a step, asked for at its end.
    pub(crate) notices: Notices,
    pub(crate) writes: Vec<PartitionStateWrite>,
    pub(crate) reads: BTreeSet<TopicPartition>,
    pub(crate) effects: Vec<Effect>,
}

impl Term {
    /// Takes office: tells everybody who lives and what stands, then mends what does not.
    pub(crate) fn begin(
        now_ms: i64,
        me: BrokerId,
        epoch: ControllerEpoch,
        settings: Settings,
        unclean: UncleanElection,
        read: ClusterRead,
    ) -> Term {
        let rebalance_at_ms = settings.auto_leader_rebalance_enable.then_some(now_ms + FIRST_REBALANCE_MS);
        let mut term = Term {
            epoch,
            settings,
            unclean,
            cluster: Cluster::default(),
            retries: BTreeMap::new(),
            waiting: BTreeSet::new(),
            rebalance_at_ms,
            last_write: 0,
            notices: Notices::new(me, epoch),
            writes: Vec::new(),
            reads: BTreeSet::new(),
            effects: Vec::new(),
        };
        for (id, broker) in read.brokers {
            term.add_broker(id, Arc::new(broker));
        }
        // The live brokers before any partition: a follower refuses a leader it has not heard of (KAFKA-4443).
        term.notices.liveness();
        term.flush_notices();

        let mut states = read.states;
        for (name, node) in read.topics {
            let TopicNode { id, fresh_id, assignment, version } = node;
            let mut topic = Topic { id, version, partitions: BTreeMap::new(), deletion: None, writing: None };
            let mut written = BTreeMap::new();
            for (index, assignment) in &assignment {
                let partition = match states.remove(&TopicPartition::new(name.clone(), *index)) {
                    Some(node) => {
                        written.insert(*index, node.written_zxid);
                        Partition::with_node(assignment.clone(), node)
                    }
                    None => Partition::new(assignment.clone()),
                };
                topic.partitions.insert(*index, partition);
            }
            term.cluster.topics.insert(name.clone(), topic);
            for (index, written_zxid) in written {
                term.check_adopted(&TopicPartition::new(name.clone(), index), written_zxid);
            }
            if id.is_none() && !read.topics_to_delete.contains(&name) {
                term.write_topic_node(&name, fresh_id, assignment, version);
            }
        }
        term.delete_topics_changed(read.topics_to_delete);
        for name in term.cluster.all_partitions() {
            term.announce(&name, false);
        }
        term.settle_all();
        term
    }

    pub(crate) fn step(&mut self, now_ms: i64, event: Event) {
        match event {
            Event::BrokersChanged { live } => self.brokers_changed(live),
            Event::TopicsChanged { topics } => self.topics_changed(topics),
            Event::TopicRead { topic, node } => self.topic_read(topic, node),
            Event::TopicNodeWritten { topic, outcome } => self.topic_node_written(topic, outcome),
            Event::DeleteTopicsChanged { topics } => self.delete_topics_changed(topics),
            Event::TopicNodesDeleted { topic, done } => self.topic_nodes_deleted(now_ms, topic, done),
            Event::PartitionStatesWritten { results } => self.partition_states_written(results),
            Event::PartitionStatesRead { states } => self.partition_states_read(now_ms, states),
            Event::IsrChangeNotified { notifications, partitions } => {
                self.reads.extend(partitions.into_iter().filter(|p| self.cluster.partition(p).is_some()));
                self.effects.push(Effect::DeleteIsrNotifications(notifications));
            }
            Event::PreferredElectionRequested { partitions } => {
                for name in &partitions {
                    self.elect_preferred(name);
                }
                self.effects.push(Effect::DeletePreferredElection);
            }
            Event::LeaderAndIsrAnswered { broker, broker_epoch, online, offline } => {
                if self.is_current(broker, broker_epoch) {
                    self.log_dirs_answered(broker, online, offline);
                }
            }
            Event::UpdateMetadataAnswered { broker, broker_epoch, forgotten } => {
                if self.is_current(broker, broker_epoch) {
                    self.topics_forgotten(broker, forgotten);
                }
            }
            Event::StopReplicaAnswered { broker, broker_epoch, deleted, failed } => {
                if self.is_current(broker, broker_epoch) {
                    self.replicas_stopped(now_ms, broker, deleted, failed);
                }
            }
            Event::DeadlinePassed => self.deadline_passed(now_ms),
            Event::Elected { .. } | Event::Resigned | Event::UncleanElectionConfigured(_) => {}
        }
    }

    /// The next time at which something is to be done, ms.
    pub(crate) fn next_deadline(&self) -> Option<i64> {
        let deletions = self.cluster.topics.values().filter_map(|t| t.deletion.as_ref()?.retry_at_ms);
        self.retries.values().copied().chain(deletions).chain(self.rebalance_at_ms).min()
    }

    fn deadline_passed(&mut self, now_ms: i64) {
        let is_due = |at: &i64| *at <= now_ms;
        let due: Vec<TopicPartition> =
            self.retries.iter().filter(|(_, at)| is_due(at)).map(|(p, _)| p.clone()).collect();
        for name in due {
            self.retries.remove(&name);
            self.settle(&name);
        }
        self.retry_deletions(now_ms);
        if self.rebalance_at_ms.is_some_and(|at| at <= now_ms) {
            self.rebalance_at_ms = Some(now_ms + self.settings.leader_imbalance_check_interval_ms);
            self.rebalance_leaders();
        }
    }

    /// Hands over what the step gathered.
    pub(crate) fn finish(&mut self, out: &mut Vec<Effect>) {
        self.flush_notices();
        if !self.writes.is_empty() {
            self.effects.push(Effect::WritePartitionStates(std::mem::take(&mut self.writes)));
        }
        if !self.reads.is_empty() {
            let reads = std::mem::take(&mut self.reads);
            self.effects.push(Effect::ReadPartitionStates(reads.into_iter().collect()));
        }
        out.append(&mut self.effects);
    }

    /// Makes requests of all notices so far, so that what follows comes after them.
    pub(crate) fn flush_notices(&mut self) {
        self.notices.flush(&self.cluster, &mut self.effects);
    }

    pub(crate) fn add_broker(&mut self, id: BrokerId, registration: Arc<crate::Broker>) {
        self.effects.push(Effect::AddBroker(registration.clone()));
        self.cluster.brokers.insert(id, LiveBroker { registration, offline: BTreeSet::new() });
    }

    /// The partitions of a topic, by name.
    pub(crate) fn partitions_of(&self, topic: &TopicName) -> Vec<TopicPartition> {
        let Some(found) = self.cluster.topics.get(topic) else { return vec![] };
        found.partitions.keys().map(|p| TopicPartition::new(topic.clone(), *p)).collect()
    }
}
