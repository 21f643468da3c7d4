//! What the contents of nodes say of the cluster.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{BrokerId, LeaderEpoch, PartitionIndex, TopicId, TopicName, TopicPartition};
use zk_schema::{
    BrokerRegistration, DecodeError, PartitionState, TopicAssignment, broker_ids, broker_topics, partition_state,
};

use crate::node::Node;
use crate::{Broker, Change, Effect, Leadership, Topic, View};

/// A topic between its creation and its deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Incarnation {
    czxid: i64,
    /// None until the controller adds one, in a topic that an old tool made.
    topic_id: Option<TopicId>,
}

impl Incarnation {
    fn is_other(self, czxid: i64, topic_id: Option<TopicId>) -> bool {
        self.czxid != czxid || self.topic_id.zip(topic_id).is_some_and(|(before, now)| before != now)
    }
}

const NO_LEADER: Leadership = Leadership { leader: None, epoch: LeaderEpoch::NONE };

impl View {
    /// What a node holds that has data.
    pub(crate) fn data(
        &mut self,
        node: &Node,
        data: &[u8],
        czxid: i64,
        out: &mut Vec<Effect>,
    ) -> Result<(), DecodeError> {
        match node {
            Node::Broker(id) => self.broker(*id, data, czxid, out),
            Node::Topic(name) => self.topic(name, data, czxid, out),
            Node::State(partition) => self.state(partition, data, out),
            Node::Brokers | Node::TopicNames => Ok(()),
        }
    }

    /// The list of brokers. Names that no broker has are passed over.
    pub(crate) fn brokers(&mut self, names: &[String], out: &mut Vec<Effect>) {
        let listed = |name: &String| match Node::of(&format!("{}/{name}", broker_ids::PARENT)) {
            Some(Node::Broker(id)) => Some(id),
            _ => None,
        };
        let listed: BTreeSet<BrokerId> = names.iter().filter_map(listed).collect();
        for id in self.listed.difference(&listed).copied().collect::<Vec<_>>() {
            self.reads.forget(&Node::Broker(id));
            self.broker_went(id, out);
        }
        for id in &listed {
            self.reads.add(Node::Broker(*id));
        }
        self.listed = listed;
    }

    fn broker_went(&mut self, id: BrokerId, out: &mut Vec<Effect>) {
        if self.cluster.brokers.contains_key(&id) {
            self.tell(Change::BrokerWent { id }, out);
        }
    }

    /// A broker's registration.
    fn broker(&mut self, id: BrokerId, data: &[u8], czxid: i64, out: &mut Vec<Effect>) -> Result<(), DecodeError> {
        let known = self.cluster.brokers.get(&id);
        match BrokerRegistration::decode(&broker_ids::path(id), data) {
            Ok(BrokerRegistration { endpoints, rack, .. }) => {
                let broker = Broker { endpoints, rack, epoch: czxid };
                if known != Some(&broker) {
                    self.tell(Change::BrokerCame { id, broker }, out);
                }
                Ok(())
            }
            Err(error) => {
                // What was known is of a process that is gone.
                if known.is_some_and(|known| known.epoch != czxid) {
                    self.broker_went(id, out);
                }
                Err(error)
            }
        }
    }

    /// A topic's assignment.
    fn topic(&mut self, name: &TopicName, data: &[u8], czxid: i64, out: &mut Vec<Effect>) -> Result<(), DecodeError> {
        let assignment = TopicAssignment::decode(&broker_topics::path(name), data);
        let topic_id = assignment.as_ref().ok().and_then(|assignment| assignment.topic_id);
        if self.incarnations.get(name).is_some_and(|known| known.is_other(czxid, topic_id)) {
            self.topic_went(name, out);
        }
        let assignment = assignment?;
        self.incarnations.insert(name.clone(), Incarnation { czxid, topic_id });
        let known = match self.cluster.topics.get(name) {
            Some(Topic::Partitions(known)) => Some(known),
            _ => None,
        };
        let leadership = |index| known.and_then(|known| known.get(&index)).copied().unwrap_or(NO_LEADER);
        let partitions: BTreeMap<PartitionIndex, Leadership> =
            assignment.partitions.into_keys().map(|index| (index, leadership(index))).collect();
        if known == Some(&partitions) {
            return Ok(());
        }
        let state = |index| Node::State(TopicPartition::new(name.clone(), index));
        for index in known.into_iter().flat_map(BTreeMap::keys).filter(|index| !partitions.contains_key(index)) {
            self.reads.forget(&state(*index));
        }
        for index in partitions.keys() {
            self.reads.add(state(*index));
        }
        self.tell(Change::Topic { name: name.clone(), topic: Topic::Partitions(partitions) }, out);
        Ok(())
    }

    /// A topic is not there, or is another of the same name.
    fn topic_went(&mut self, name: &TopicName, out: &mut Vec<Effect>) {
        self.forget_states(name);
        if self.cluster.topics.get(name) != Some(&Topic::Missing) {
            self.tell(Change::Topic { name: name.clone(), topic: Topic::Missing }, out);
        }
    }

    fn forget_states(&mut self, name: &TopicName) {
        self.incarnations.remove(name);
        if let Some(Topic::Partitions(partitions)) = self.cluster.topics.get(name) {
            for index in partitions.keys() {
                self.reads.forget(&Node::State(TopicPartition::new(name.clone(), *index)));
            }
        }
    }

    /// A topic is in use no more.
    pub(crate) fn forget_topic(&mut self, name: &TopicName, out: &mut Vec<Effect>) {
        self.reads.forget(&Node::Topic(name.clone()));
        self.forget_states(name);
        if self.cluster.topics.contains_key(name) {
            self.tell(Change::TopicForgotten { name: name.clone() }, out);
        }
    }

    /// Who leads a partition.
    fn state(&mut self, partition: &TopicPartition, data: &[u8], out: &mut Vec<Effect>) -> Result<(), DecodeError> {
        let state = PartitionState::decode(&partition_state::path(partition), data)?;
        self.leadership(partition, Leadership { leader: state.leader, epoch: state.leader_epoch }, out);
        Ok(())
    }

    fn leadership(&mut self, partition: &TopicPartition, leadership: Leadership, out: &mut Vec<Effect>) {
        let known = match self.cluster.topics.get(&partition.topic) {
            Some(Topic::Partitions(known)) => known.get(&partition.partition),
            _ => None,
        };
        if known.is_some_and(|known| *known != leadership) {
            self.tell(Change::Leader { partition: partition.clone(), leadership }, out);
        }
    }

    /// The list of all topics. Names that no topic can have are passed over.
    pub(crate) fn topic_names(&mut self, names: &[String], out: &mut Vec<Effect>) {
        let names: BTreeSet<TopicName> = names.iter().filter_map(|name| TopicName::new(name).ok()).collect();
        let change = match &self.cluster.topic_names {
            Some(known) if *known == names => return,
            Some(known) => {
                let (added, removed) = (names.difference(known), known.difference(&names));
                Change::TopicNames { added: added.cloned().collect(), removed: removed.cloned().collect() }
            }
            None => Change::TopicNames { added: names, removed: BTreeSet::new() },
        };
        self.tell(change, out);
    }

    /// A node is not there.
    pub(crate) fn absent(&mut self, node: &Node, out: &mut Vec<Effect>) {
        match node {
            Node::Brokers => self.brokers(&[], out),
            Node::Broker(id) => self.broker_went(*id, out),
            Node::Topic(name) => self.topic_went(name, out),
            Node::State(partition) => self.leadership(partition, NO_LEADER, out),
            Node::TopicNames => self.topic_names(&[], out),
        }
    }
}
