//! A controller that writes who leads and tells the brokers a little later, and operators who write by hand.

use ottla_types::{
    BrokerId, ControllerEpoch, Endpoint, LeaderEpoch, ListenerName, SecurityProtocol, TopicName, TopicPartition,
};
use ottla_znodes::CreateMode;
use rand::RngExt;
use zk_schema::broker_ids::{self, BrokerRegistration};
use zk_schema::broker_topics::{self, TopicAssignment};
use zk_schema::partition_state::{self, PartitionState};

use super::World;
use super::brokers::{Broker, Told};
use super::log::Log;
use super::zookeeper::{create, delete, set};

/// How long the session of a dead broker lives on, ms.
const BROKER_SESSION_MS: (u64, u64) = (0, 3_000);

pub(crate) struct Topic {
    /// Counts creations of all topics: which of two topics of one name it is.
    pub(crate) incarnation: u64,
    /// The parent of its state nodes has been made.
    has_states: bool,
    pub(crate) partitions: Vec<Partition>,
    /// Larger batches are refused.
    pub(crate) max_message_bytes: usize,
}

pub(crate) struct Partition {
    /// As the node says; an epoch of -1: there is none.
    pub(crate) leader: Option<BrokerId>,
    pub(crate) epoch: i32,
    /// Who has been told to lead last, with its life: the log is its log.
    pub(crate) writer: Option<(BrokerId, u64)>,
    pub(crate) writer_epoch: i32,
    pub(crate) log: Log,
    /// Entries that all in-sync replicas have.
    pub(crate) committed: usize,
}

impl Partition {
    fn new() -> Partition {
        Partition { leader: None, epoch: -1, writer: None, writer_epoch: -1, log: Log::default(), committed: 0 }
    }
}

pub(crate) fn name(text: &str) -> TopicName {
    TopicName::new(text).expect("a test's topic has a good name")
}

impl World {
    pub(crate) fn partition(&self, partition: &TopicPartition) -> Option<&Partition> {
        self.topics.get(&partition.topic)?.partitions.get(partition.partition as usize)
    }

    pub(crate) fn partition_mut(&mut self, partition: &TopicPartition) -> Option<&mut Partition> {
        self.topics.get_mut(&partition.topic)?.partitions.get_mut(partition.partition as usize)
    }

    pub(crate) fn partitions(&self) -> Vec<TopicPartition> {
        let of = |(name, topic): (&TopicName, &Topic)| {
            let name = name.clone();
            (0..topic.partitions.len()).map(move |index| TopicPartition::new(name.clone(), index as i32))
        };
        self.topics.iter().flat_map(of).collect()
    }

    pub(crate) fn alive(&self) -> Vec<BrokerId> {
        self.brokers.values().filter(|broker| broker.up).map(|broker| broker.id).collect()
    }

    pub(crate) fn incarnation(&self, topic: &TopicName) -> Option<u64> {
        self.topics.get(topic).map(|topic| topic.incarnation)
    }

    fn assignment(&self, partitions: usize) -> Vec<u8> {
        let replicas: Vec<BrokerId> = self.brokers.keys().copied().collect();
        let partitions = (0..partitions as i32).map(|index| (index, replicas.clone())).collect();
        TopicAssignment { partitions, ..TopicAssignment::default() }.encode()
    }

    /// A topic, and after a moment its state nodes.
    pub(crate) fn create_topic(&mut self, topic: &TopicName, partitions: usize) {
        if self.topics.contains_key(topic) {
            return;
        }
        self.note(|| format!("topic {topic} with {partitions} partitions"));
        let incarnation = self.application.created_ms.len() as u64 + 1;
        self.application.created_ms.insert(incarnation, self.now);
        let max_message_bytes = self.draw_limit();
        let made = Topic { incarnation, has_states: false, partitions: vec![], max_message_bytes };
        self.topics.insert(topic.clone(), made);
        let path = broker_topics::path(topic);
        self.zk_write(self.zk.admin, create(&path, &self.assignment(partitions), CreateMode::Persistent));
        self.add_partitions(topic, partitions);
    }

    fn draw_limit(&mut self) -> usize {
        let (least, most) = self.profile.max_message_bytes;
        self.random.random_range(least..=most)
    }

    /// Another max.message.bytes.
    pub(crate) fn limit_topic(&mut self, topic: &TopicName) {
        let limit = self.draw_limit();
        if let Some(found) = self.topics.get_mut(topic) {
            found.max_message_bytes = limit;
            self.note(|| format!("{topic} takes batches of {limit} bytes"));
        }
    }

    pub(crate) fn grow_topic(&mut self, topic: &TopicName, partitions: usize) {
        if self.topics.get(topic).is_none_or(|found| found.partitions.len() >= partitions) {
            return;
        }
        self.note(|| format!("topic {topic} has {partitions} partitions now"));
        let node = self.assignment(partitions);
        self.zk_write(self.zk.admin, set(&broker_topics::path(topic), &node));
        self.add_partitions(topic, partitions);
    }

    fn add_partitions(&mut self, topic: &TopicName, partitions: usize) {
        let Some(found) = self.topics.get_mut(topic) else { return };
        let (first, incarnation) = (found.partitions.len(), found.incarnation);
        found.partitions.resize_with(partitions, Partition::new);
        let delay = self.between(self.profile.tell_ms);
        let topic = topic.clone();
        self.after(delay, move |world| {
            if world.incarnation(&topic) == Some(incarnation) {
                world.bring_online(&topic, first..partitions);
            }
        });
    }

    /// New partitions get their nodes and leaders.
    fn bring_online(&mut self, topic: &TopicName, indexes: std::ops::Range<usize>) {
        let parent = format!("{}/partitions", broker_topics::path(topic));
        if self.topics.get_mut(topic).is_some_and(|found| !std::mem::replace(&mut found.has_states, true)) {
            self.zk_write(self.zk.admin, create(&parent, b"", CreateMode::Persistent));
        }
        for index in indexes {
            let partition = TopicPartition::new(topic.clone(), index as i32);
            let leader = self.pick_leader(&partition, None);
            let path = partition_state::partition_path(&partition);
            self.zk_write(self.zk.admin, create(&path, b"", CreateMode::Persistent));
            let Some(found) = self.partition_mut(&partition) else { return };
            (found.leader, found.epoch) = (leader, 0);
            let node = state(leader, 0);
            let path = partition_state::path(&partition);
            self.zk_write(self.zk.admin, create(&path, &node, CreateMode::Persistent));
            self.tell_brokers(&partition, false);
        }
    }

    pub(crate) fn delete_topic(&mut self, topic: &TopicName) {
        let Some(gone) = self.topics.remove(topic) else { return };
        self.note(|| format!("topic {topic} deleted"));
        for (index, partition) in gone.partitions.into_iter().enumerate() {
            let path = partition_state::partition_path(&TopicPartition::new(topic.clone(), index as i32));
            let tree_has = |world: &mut World, path: &str| {
                world.catch_up(true);
                world.zk.node(path).is_some()
            };
            if tree_has(self, &path) {
                self.zk_write(self.zk.admin, delete(&format!("{path}/state")));
                self.zk_write(self.zk.admin, delete(&path));
            }
            self.archive.push((TopicPartition::new(topic.clone(), index as i32), gone.incarnation, partition.log));
        }
        let path = broker_topics::path(topic);
        if self.zk.node(&format!("{path}/partitions")).is_some() {
            self.zk_write(self.zk.admin, delete(&format!("{path}/partitions")));
        }
        self.zk_write(self.zk.admin, delete(&path));
        for broker in self.brokers.keys().copied().collect::<Vec<_>>() {
            self.topic_gone(broker, topic);
        }
    }

    /// A broker that may lead: it runs and follows whoever has led last, so that it has what is committed.
    pub(crate) fn pick_leader(&mut self, partition: &TopicPartition, not: Option<BrokerId>) -> Option<BrokerId> {
        let alive = self.alive();
        let in_sync: Vec<BrokerId> =
            alive.into_iter().filter(|id| Some(*id) != not && self.is_in_sync(*id, partition)).collect();
        if in_sync.is_empty() {
            return None;
        }
        Some(in_sync[self.random.random_range(0..in_sync.len())])
    }

    pub(crate) fn is_in_sync(&self, id: BrokerId, partition: &TopicPartition) -> bool {
        let Some(found) = self.partition(partition) else { return false };
        let told = self.brokers[&id].told.get(partition);
        let told = told.filter(|told| Some(told.incarnation) == self.incarnation(&partition.topic));
        found.writer_epoch < 0 || told.is_some_and(|told| told.epoch >= found.writer_epoch)
    }

    /// Writes another leader into the node and tells the brokers: soon, or (`late`) long after.
    pub(crate) fn elect(&mut self, partition: &TopicPartition, leader: Option<BrokerId>, late: bool) {
        if self.write_leader(partition, leader) {
            self.tell_brokers(partition, late);
        }
    }

    /// Writes another leader into the node. Whether there is one.
    pub(crate) fn write_leader(&mut self, partition: &TopicPartition, leader: Option<BrokerId>) -> bool {
        let Some(found) = self.partition_mut(partition).filter(|found| found.epoch >= 0) else { return false };
        found.epoch += 1;
        found.leader = leader;
        let epoch = found.epoch;
        self.note(|| format!("{partition}: leader {leader:?}, epoch {epoch}"));
        self.zk_write(self.zk.admin, set(&partition_state::path(partition), &state(leader, epoch)));
        true
    }

    fn tell_brokers(&mut self, partition: &TopicPartition, late: bool) {
        for broker in self.alive() {
            let mut delay = self.between(self.profile.tell_ms);
            if late {
                delay += self.random.random_range(100..2_000);
            }
            self.tell_broker(broker, partition, delay);
        }
    }

    /// A broker hears what the node says now.
    pub(crate) fn tell_broker(&mut self, broker: BrokerId, partition: &TopicPartition, delay: u64) {
        let Some(incarnation) = self.incarnation(&partition.topic) else { return };
        let Some(found) = self.partition(partition) else { return };
        let told = Told { incarnation, epoch: found.epoch, leader: found.leader, leads: found.leader == Some(broker) };
        let (partition, at, found) = (partition.clone(), self.now + delay, self.brokers.get_mut(&broker));
        let Some(Broker { life, hears_ms, .. }) = found else { return };
        // In the order in which it was decided.
        let (life, at) = (*life, at.max(*hears_ms));
        *hears_ms = at;
        self.at(at, move |world| world.broker_told(broker, life, &partition, told));
    }

    /// A new broker.
    pub(crate) fn add_broker(&mut self, id: i32) {
        let id = BrokerId(id);
        self.brokers.insert(id, Broker::new(id, 9_000 + id.0 as u16));
        self.start_broker(id);
    }

    /// It starts, registers, and hears what it leads.
    pub(crate) fn start_broker(&mut self, id: BrokerId) {
        if self.brokers[&id].up {
            return;
        }
        // The session of an earlier life is ended first.
        self.end_broker_session(id);
        let lag = self.zk_lag();
        let session = self.zk.begin(self.now, lag);
        let broker = self.brokers.get_mut(&id).expect("it was added");
        broker.up = true;
        broker.life += 1;
        broker.session = Some(session);
        let port = broker.port;
        self.note(|| format!("broker {id} starts at {port}"));
        self.zk_write(session, create(&broker_ids::path(id), &registration(port), CreateMode::Ephemeral));
        for partition in self.partitions() {
            let leaderless = self.partition(&partition).is_some_and(|found| found.leader.is_none());
            match leaderless {
                true => self.elect(&partition, Some(id), false),
                false => {
                    let delay = self.between(self.profile.tell_ms);
                    self.tell_broker(id, &partition, delay);
                }
            }
        }
    }

    /// It dies: its session ends a while later, and only then others are elected.
    pub(crate) fn kill_broker(&mut self, id: BrokerId) {
        if !self.brokers[&id].up {
            return;
        }
        self.note(|| format!("broker {id} dies"));
        self.broker_stops(id);
        let delay = self.between(BROKER_SESSION_MS);
        let session = self.brokers[&id].session;
        self.after(delay, move |world| {
            if world.brokers[&id].session == session {
                world.end_broker_session(id);
            }
        });
    }

    fn end_broker_session(&mut self, id: BrokerId) {
        let Some(session) = self.brokers.get_mut(&id).and_then(|broker| broker.session.take()) else { return };
        self.note(|| format!("broker {id}'s session ends"));
        let lag = self.zk_lag();
        self.zk.end(self.now, lag, session);
        self.catch_up(false);
        for partition in self.partitions() {
            if self.partition(&partition).is_some_and(|found| found.leader == Some(id)) {
                let next = self.pick_leader(&partition, Some(id));
                self.elect(&partition, next, false);
            }
        }
    }

    /// It is at another address from here on, told by its registration, the same one or that of its next life.
    pub(crate) fn move_broker(&mut self, id: BrokerId) {
        let broker = self.brokers.get_mut(&id).expect("it was added");
        broker.port += 100;
        let (port, up, session) = (broker.port, broker.up, broker.session);
        self.note(|| format!("broker {id} is at {port} now"));
        if let Some(session) = session.filter(|_| up) {
            self.zk_write(session, set(&broker_ids::path(id), &registration(port)));
        }
    }
}

fn state(leader: Option<BrokerId>, epoch: i32) -> Vec<u8> {
    let isr = leader.into_iter().collect();
    let (leader_epoch, controller_epoch) = (LeaderEpoch(epoch), ControllerEpoch(1));
    PartitionState { leader, leader_epoch, isr, controller_epoch, leader_recovery_state: 0 }.encode()
}

/// Where a broker is.
pub(crate) fn endpoint(port: u16) -> Endpoint {
    let security_protocol = SecurityProtocol::Plaintext;
    let listener = ListenerName::new(security_protocol.as_str());
    Endpoint { listener, security_protocol, host: "h".into(), port }
}

fn registration(port: u16) -> Vec<u8> {
    let (endpoints, features) = (vec![endpoint(port)], Default::default());
    BrokerRegistration { endpoints, rack: None, jmx_port: -1, timestamp_ms: None, features }.encode()
}
