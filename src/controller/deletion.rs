//! A topic goes away: brokers forget it, its replicas stop and delete their logs, and when all have, its nodes go, the
//! mark in `/admin/delete_topics` last. So a crash at any point leaves something to go on from. Kafka does not wait until
//! every broker has forgotten the topic; one that had not heard when the controller failed remembers it until it restarts.
//!
//! A replica whose broker is down waits for it. One that could not delete its log is asked again when its broker
//! returns, and every half minute.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{BrokerId, PartitionIndex, TopicName, TopicPartition};

use crate::effect::{Effect, Report};
use crate::term::Term;

/// How long a replica that failed to delete its log waits before it is asked again, ms.
const ASK_AGAIN_MS: i64 = 30_000;

/// How long to wait before the nodes of a topic are deleted again, ms.
const NODES_AGAIN_MS: i64 = 1_000;

/// How far the deletion of a topic is.
#[derive(Debug, Default)]
pub(crate) struct Deletion {
    replicas: BTreeMap<(PartitionIndex, BrokerId), Replica>,
    /// Live brokers that have not forgotten the topic yet.
    untold: BTreeSet<BrokerId>,
    /// All replicas are gone and the nodes are being deleted.
    deleting_nodes: bool,
    pub(crate) retry_at_ms: Option<i64>,
}

/// How far the deletion of a replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replica {
    /// It waits for its broker.
    Waiting,
    /// Its broker was asked to delete it.
    Asked,
    /// Its broker could not.
    Failed,
    /// Nothing is left of it.
    Deleted,
}

impl Term {
    /// The marks below `/admin/delete_topics`.
    pub(crate) fn delete_topics_changed(&mut self, topics: BTreeSet<TopicName>) {
        if topics.is_empty() {
            self.cluster.topics_to_delete.clear();
            return;
        }
        if !self.settings.delete_topic_enable {
            // Left where they are, they would fire when somebody turns deletion on later (KAFKA-3175).
            self.effects.push(Effect::RemoveDeleteTopicEntries(topics.into_iter().collect()));
            return;
        }
        let (known, unknown): (BTreeSet<_>, BTreeSet<_>) =
            topics.iter().cloned().partition(|t| self.cluster.topics.contains_key(t));
        // The list of topics may be older than the mark: the node says whether the topic exists.
        self.effects.extend(unknown.into_iter().map(Effect::ReadTopic));
        self.cluster.topics_to_delete = topics;
        self.start_deletions(known);
    }

    /// Starts to delete those of these topics that are not being deleted.
    pub(crate) fn start_deletions(&mut self, topics: BTreeSet<TopicName>) {
        let mut started = BTreeSet::new();
        for name in topics {
            let Some(topic) = self.cluster.topics.get_mut(&name).filter(|t| t.deletion.is_none()) else { continue };
            let mut replicas = BTreeMap::new();
            for (index, partition) in &topic.partitions {
                let outside = partition.state.iter().flat_map(|s| &s.isr);
                let holders = partition.assignment.replicas.iter().chain(outside);
                replicas.extend(holders.map(|broker| ((*index, *broker), Replica::Waiting)));
            }
            let untold = match topic.partitions.is_empty() {
                true => BTreeSet::new(),
                false => self.cluster.brokers.keys().copied().collect(),
            };
            topic.deletion = Some(Deletion { replicas, untold, ..Deletion::default() });
            for partition in self.partitions_of(&name) {
                self.notices.metadata(&partition);
                self.retries.remove(&partition);
                self.waiting.remove(&partition);
            }
            started.insert(name);
        }
        self.flush_notices();
        self.advance_deletions(started);
    }

    /// Asks every waiting replica whose broker lives, first to stop and then to delete: a follower that still fetches
    /// from a leader whose log is gone would only complain. Deletes the nodes of topics without replicas.
    fn advance_deletions(&mut self, topics: BTreeSet<TopicName>) {
        let mut asked: Vec<(BrokerId, TopicPartition)> = Vec::new();
        for name in &topics {
            let Some(topic) = self.cluster.topics.get_mut(name) else { continue };
            let Some(deletion) = topic.deletion.as_mut() else { continue };
            for ((index, broker), replica) in &mut deletion.replicas {
                if *replica == Replica::Waiting && self.cluster.brokers.contains_key(broker) {
                    *replica = Replica::Asked;
                    asked.push((*broker, TopicPartition::new(name.clone(), *index)));
                }
            }
            let is_told = deletion.untold.is_empty();
            if is_told && !deletion.deleting_nodes && deletion.replicas.values().all(|r| *r == Replica::Deleted) {
                deletion.deleting_nodes = true;
                deletion.retry_at_ms = None;
                self.effects.push(Effect::DeleteTopicNodes(name.clone()));
            }
        }
        for delete in [false, true] {
            for (broker, partition) in &asked {
                self.notices.stop_replica(*broker, partition, delete);
            }
            self.flush_notices();
        }
    }

    /// A broker answered that it has forgotten topics.
    pub(crate) fn topics_forgotten(&mut self, broker: BrokerId, topics: BTreeSet<TopicName>) {
        for name in &topics {
            if let Some(deletion) = self.cluster.topics.get_mut(name).and_then(|t| t.deletion.as_mut()) {
                deletion.untold.remove(&broker);
            }
        }
        self.advance_deletions(topics);
    }

    /// A broker answered what became of the replicas that it was asked to delete.
    pub(crate) fn replicas_stopped(
        &mut self,
        now_ms: i64,
        broker: BrokerId,
        deleted: Vec<TopicPartition>,
        failed: Vec<TopicPartition>,
    ) {
        let deleted = deleted.into_iter().map(|p| (p, Replica::Deleted));
        let mut topics = BTreeSet::new();
        let mut failures = BTreeSet::new();
        for (partition, outcome) in deleted.chain(failed.into_iter().map(|p| (p, Replica::Failed))) {
            let Some(topic) = self.cluster.topics.get_mut(&partition.topic) else { continue };
            let Some(deletion) = topic.deletion.as_mut() else { continue };
            let Some(replica) = deletion.replicas.get_mut(&(partition.partition, broker)) else { continue };
            if *replica != Replica::Asked {
                continue;
            }
            *replica = outcome;
            if outcome == Replica::Failed {
                deletion.retry_at_ms = Some(now_ms + ASK_AGAIN_MS);
                failures.insert(partition.topic.clone());
            }
            topics.insert(partition.topic);
        }
        let report = |topic| Effect::Report(Report::DeletionFailed { topic, broker });
        self.effects.extend(failures.into_iter().map(report));
        self.advance_deletions(topics);
    }

    /// Brokers failed or started: replicas on them are asked (again) as soon as they live. The started were told of all
    /// topics, with these as deleted.
    pub(crate) fn brokers_of_deleted_topics_changed(
        &mut self,
        failed: &BTreeSet<BrokerId>,
        started: &BTreeSet<BrokerId>,
    ) {
        let mut topics = BTreeSet::new();
        for (name, topic) in &mut self.cluster.topics {
            let Some(deletion) = topic.deletion.as_mut() else { continue };
            for ((_, broker), replica) in &mut deletion.replicas {
                if failed.contains(broker) && *replica != Replica::Deleted {
                    *replica = Replica::Waiting;
                }
            }
            deletion.untold.retain(|b| !failed.contains(b));
            if !topic.partitions.is_empty() {
                deletion.untold.extend(started);
            }
            topics.insert(name.clone());
        }
        self.advance_deletions(topics);
    }

    pub(crate) fn retry_deletions(&mut self, now_ms: i64) {
        let mut topics = BTreeSet::new();
        for (name, topic) in &mut self.cluster.topics {
            let Some(deletion) = topic.deletion.as_mut() else { continue };
            if deletion.retry_at_ms.is_none_or(|at| at > now_ms) {
                continue;
            }
            deletion.retry_at_ms = None;
            deletion.deleting_nodes = false;
            for replica in deletion.replicas.values_mut().filter(|r| **r == Replica::Failed) {
                *replica = Replica::Waiting;
            }
            topics.insert(name.clone());
        }
        self.advance_deletions(topics);
    }

    pub(crate) fn topic_nodes_deleted(&mut self, now_ms: i64, name: TopicName, done: bool) {
        let Some(topic) = self.cluster.topics.get_mut(&name) else { return };
        let Some(deletion) = topic.deletion.as_mut().filter(|d| d.deleting_nodes) else { return };
        if !done {
            deletion.retry_at_ms = Some(now_ms + NODES_AGAIN_MS);
            return;
        }
        self.cluster.topics.remove(&name);
        self.cluster.topics_to_delete.remove(&name);
        self.effects.push(Effect::Report(Report::TopicDeleted { topic: name.clone() }));
        // Somebody may have made it anew in between, when its name was still known here.
        self.effects.push(Effect::ReadTopic(name));
    }
}
