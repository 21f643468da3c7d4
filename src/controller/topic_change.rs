//! Topics appear, grow, lack an id, or vanish: whoever wrote their nodes.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{PartitionIndex, TopicId, TopicName, TopicPartition};

use crate::cluster::{Assignment, Partition, Topic, TopicNode};
use crate::deletion::Deletion;
use crate::effect::{Effect, Report};
use crate::event::WriteOutcome;
use crate::term::Term;

impl Term {
    /// The list of topics: reads those that it gained or lost, since only a node itself says that it is gone.
    pub(crate) fn topics_changed(&mut self, topics: BTreeSet<TopicName>) {
        let known: BTreeSet<TopicName> = self.cluster.topics.keys().cloned().collect();
        let is_doubtful = |name: &&TopicName| self.cluster.topics.get(*name).is_none_or(|t| t.deletion.is_none());
        let changed = topics.symmetric_difference(&known).filter(is_doubtful);
        self.effects.extend(changed.cloned().map(Effect::ReadTopic));
    }

    pub(crate) fn topic_read(&mut self, name: TopicName, node: Option<TopicNode>) {
        let Some(topic) = self.cluster.topics.get(&name) else {
            match node {
                Some(node) => self.add_topic(name, node),
                // A mark for a topic that does not exist.
                None if self.cluster.topics_to_delete.remove(&name) => {
                    self.effects.push(Effect::RemoveDeleteTopicEntries(vec![name]));
                }
                None => {}
            }
            return;
        };
        let Some(node) = node else {
            if topic.deletion.is_none() {
                self.effects.push(Effect::Report(Report::TopicVanished { topic: name.clone() }));
                self.forget_topic(&name);
            }
            return;
        };
        if let (Some(from), Some(to)) = (topic.id, node.id)
            && from != to
            && topic.deletion.is_none()
        {
            self.effects.push(Effect::Report(Report::TopicIdChanged { topic: name.clone(), from, to }));
            self.forget_topic(&name);
            self.add_topic(name, node);
            return;
        }
        self.topic_node_changed(name, node);
    }

    fn add_topic(&mut self, name: TopicName, node: TopicNode) {
        let topic =
            Topic { id: None, version: node.version, partitions: BTreeMap::new(), deletion: None, writing: None };
        self.cluster.topics.insert(name.clone(), topic);
        if self.cluster.topics_to_delete.contains(&name) {
            let Some(topic) = self.cluster.topics.get_mut(&name) else { return };
            topic.id = node.id;
            topic.partitions = node.assignment.into_iter().map(|(p, a)| (p, Partition::new(a))).collect();
            self.start_deletions(BTreeSet::from([name]));
            return;
        }
        self.topic_node_changed(name, node);
    }

    /// Takes in a node of a topic that is known: new partitions, an id that came or went.
    fn topic_node_changed(&mut self, name: TopicName, node: TopicNode) {
        let Some(topic) = self.cluster.topics.get_mut(&name) else { return };
        topic.version = node.version;
        let is_known = |index: &PartitionIndex| topic.partitions.contains_key(index);
        if topic.deletion.is_some() {
            // Growth during deletion is undone, lest the new partitions outlive the topic (KAFKA-6612).
            let mut assignment = node.assignment;
            let before = assignment.len();
            assignment.retain(|index, _| is_known(index));
            if assignment.len() < before {
                let id = topic.id.or(node.id).unwrap_or(node.fresh_id);
                self.effects.push(Effect::Report(Report::GrowthUndone { topic: name.clone() }));
                self.write_topic_node(&name, id, assignment, node.version);
            }
            return;
        }
        let added: Vec<PartitionIndex> = node.assignment.keys().copied().filter(|index| !is_known(index)).collect();
        for index in &added {
            topic.partitions.insert(*index, Partition::new(node.assignment[index].clone()));
        }
        match (topic.id, node.id) {
            (_, None) => {
                // An old tool that rewrote the node dropped the id: it gets the same one back (KAFKA-12835).
                let id = topic.id.unwrap_or(node.fresh_id);
                self.write_topic_node(&name, id, node.assignment, node.version);
            }
            (None, Some(id)) => return self.topic_id_known(&name, id),
            (Some(_), Some(_)) => {}
        }
        for index in added {
            self.settle(&TopicPartition::new(name.clone(), index));
        }
    }

    /// Asks for the write of a topic's node, unless one is under way: its answer leads to another look.
    pub(crate) fn write_topic_node(
        &mut self,
        name: &TopicName,
        id: TopicId,
        assignment: BTreeMap<PartitionIndex, Assignment>,
        version: i32,
    ) {
        let Some(topic) = self.cluster.topics.get_mut(name).filter(|t| t.writing.is_none()) else { return };
        topic.writing = Some(id);
        self.effects.push(Effect::WriteTopicNode { topic: name.clone(), id, assignment, version });
    }

    pub(crate) fn topic_node_written(&mut self, name: TopicName, outcome: WriteOutcome) {
        let Some(topic) = self.cluster.topics.get_mut(&name) else { return };
        let Some(id) = topic.writing.take() else { return };
        match outcome {
            WriteOutcome::Written(version) => {
                topic.version = version.0;
                if topic.id.is_none() && topic.deletion.is_none() {
                    self.topic_id_known(&name, id);
                }
            }
            WriteOutcome::Conflict | WriteOutcome::Unknown => self.effects.push(Effect::ReadTopic(name)),
            WriteOutcome::Fenced => self.effects.push(Effect::Resign),
        }
    }

    /// A topic's id is known to be in its node: from now on its partitions may be written and announced.
    fn topic_id_known(&mut self, name: &TopicName, id: TopicId) {
        let Some(topic) = self.cluster.topics.get_mut(name) else { return };
        topic.id = Some(id);
        for partition in self.partitions_of(name) {
            self.settle(&partition);
            self.announce(&partition, false);
        }
    }

    /// Drops a topic whose nodes are gone, and makes every broker forget it.
    fn forget_topic(&mut self, name: &TopicName) {
        for partition in self.partitions_of(name) {
            self.notices.metadata(&partition);
            self.retries.remove(&partition);
            self.waiting.remove(&partition);
        }
        if let Some(topic) = self.cluster.topics.get_mut(name) {
            topic.deletion = Some(Deletion::default());
        }
        self.flush_notices();
        self.cluster.topics.remove(name);
    }
}
