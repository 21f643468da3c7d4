//! A model of everything around a controller: a ZooKeeper, brokers and the queues to them, with the rules that must hold
//! checked at every step. Scripts and the random test drive it.

#![allow(dead_code, unreachable_pub, reason = "each test crate uses its part")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ottla_controller::*;
use ottla_types::{
    BrokerEpoch, BrokerId, ControllerEpoch, PartitionEpoch, PartitionIndex, TopicId, TopicName, TopicPartition,
};

/// What a write does besides succeeding or being refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    None,
    /// Done, but the answer is lost.
    AnswerLost,
    /// Not done, and the answer is lost.
    RequestLost,
}

/// ZooKeeper's nodes, as far as a controller cares.
#[derive(Debug, Default)]
pub struct Zk {
    pub zxid: i64,
    pub controller_epoch: i32,
    pub brokers: BTreeMap<BrokerId, Broker>,
    pub topics: BTreeMap<TopicName, (TopicNode, u64)>,
    pub states: BTreeMap<TopicPartition, PartitionNode>,
    pub marks: BTreeSet<TopicName>,
    pub notifications: BTreeMap<String, TopicPartition>,
    pub preferred: Option<BTreeSet<TopicPartition>>,
    /// Every state that was ever in a node, by the topic's life: what may be announced.
    pub history: BTreeMap<(TopicPartition, u64), Vec<(PartitionEpoch, PartitionState)>>,
    pub ids: u8,
}

impl Zk {
    pub fn tick(&mut self) -> i64 {
        self.zxid += 1;
        self.zxid
    }

    pub fn fresh_id(&mut self) -> TopicId {
        self.ids = self.ids.wrapping_add(1);
        TopicId([self.ids; 16])
    }

    pub fn read(&mut self) -> ClusterRead {
        let mut topics = BTreeMap::new();
        for name in self.topics.keys().cloned().collect::<Vec<_>>() {
            topics.insert(name.clone(), self.topic_node(&name).unwrap());
        }
        ClusterRead {
            brokers: self.brokers.clone(),
            topics,
            states: self.states.clone(),
            topics_to_delete: self.marks.clone(),
        }
    }

    pub fn topic_node(&mut self, name: &TopicName) -> Option<TopicNode> {
        let fresh_id = self.fresh_id();
        self.topics.get(name).map(|(node, _)| TopicNode { fresh_id, ..node.clone() })
    }

    pub fn create_topic(&mut self, name: TopicName, id: Option<TopicId>, replicas: Vec<Vec<BrokerId>>) {
        let life = self.tick() as u64;
        let assignment = |(p, replicas)| (p as PartitionIndex, Assignment { replicas, ..Assignment::default() });
        let assignment = replicas.into_iter().enumerate().map(assignment).collect();
        self.topics.insert(name, (TopicNode { id, fresh_id: TopicId::ZERO, assignment, version: 0 }, life));
    }

    pub fn remove_topic(&mut self, name: &TopicName) {
        self.topics.remove(name);
        self.states.retain(|p, _| p.topic != *name);
    }

    /// A conditional write of a state node, by a controller or a leader; checks what must hold of every state.
    pub fn write_state(
        &mut self,
        name: &TopicPartition,
        state: &PartitionState,
        expected: Option<PartitionEpoch>,
    ) -> Result<PartitionEpoch, ()> {
        let life = self.topics.get(&name.topic).map(|(_, life)| *life).ok_or(())?;
        let version = match (self.states.get(name), expected) {
            (None, None) => PartitionEpoch(0),
            (Some(node), Some(expected)) if node.version == expected => PartitionEpoch(expected.0 + 1),
            _ => return Err(()),
        };
        if let Some(leader) = state.leader {
            assert!(state.isr.contains(&leader), "{name}: leader {leader} is not in its ISR {:?}", state.isr);
        }
        let history = self.history.entry((name.clone(), life)).or_default();
        if let Some((_, last)) = history.last() {
            assert!(state.leader_epoch >= last.leader_epoch, "{name}: the leader epoch falls");
            if state.leader_epoch == last.leader_epoch {
                assert_eq!(state.leader, last.leader, "{name}: two leaders in one epoch");
            }
            assert!(state.controller_epoch >= last.controller_epoch, "{name}: an old controller wrote");
            let clean = state.leader.is_none_or(|l| last.isr.contains(&l));
            assert!(clean || state.recovering, "{name}: unclean leader without a mark");
        }
        history.push((version, state.clone()));
        let written_zxid = self.tick();
        self.states.insert(name.clone(), PartitionNode { state: state.clone(), version, written_zxid });
        Ok(version)
    }
}

/// A broker's memory of what controllers told it in this life.
#[derive(Debug, Default)]
pub struct ModelBroker {
    pub controller_epoch: i32,
    pub live: BTreeSet<BrokerId>,
    pub roles: BTreeMap<TopicPartition, LeaderAndIsrPartition>,
    pub metadata: BTreeMap<TopicPartition, UpdateMetadataPartition>,
    /// It cannot delete logs.
    pub failing: bool,
}

/// Something that the driver would do, in the term that asked for it.
#[derive(Debug, Clone)]
pub struct Io {
    pub term: i32,
    pub effect: Effect,
}

/// Which watch fired.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watch {
    Brokers,
    Topics,
    Topic(TopicName),
    Marks,
    Notifications,
    Preferred,
}

pub struct World {
    pub zk: Zk,
    pub now_ms: i64,
    pub controller: Controller,
    /// Epoch of the controller's term, 0 if it has none.
    pub term: i32,
    pub brokers: BTreeMap<BrokerId, ModelBroker>,
    /// Queues to brokers: (term, broker, life).
    pub queues: BTreeMap<(i32, BrokerId, BrokerEpoch), VecDeque<Effect>>,
    /// Reads and writes of ZooKeeper that were asked for.
    pub io: VecDeque<Io>,
    pub fired: BTreeSet<Watch>,
    /// What the script prints.
    pub trace: Vec<String>,
}

impl World {
    pub fn new(settings: Settings) -> World {
        World {
            zk: Zk::default(),
            now_ms: 0,
            controller: Controller::new(BrokerId(1), settings),
            term: 0,
            brokers: BTreeMap::new(),
            queues: BTreeMap::new(),
            io: VecDeque::new(),
            fired: BTreeSet::new(),
            trace: Vec::new(),
        }
    }

    pub fn elect(&mut self) {
        self.zk.controller_epoch += 1;
        self.zk.tick();
        self.term = self.zk.controller_epoch;
        self.fired.clear();
        self.zk.notifications.clear();
        let cluster = Box::new(self.zk.read());
        self.step(Event::Elected { epoch: ControllerEpoch(self.term), cluster });
        if self.zk.preferred.is_some() {
            self.fired.insert(Watch::Preferred);
        }
    }

    pub fn resign(&mut self) {
        self.term = 0;
        self.step(Event::Resigned);
        self.fired.clear();
    }

    pub fn broker_up(&mut self, id: BrokerId, rack: Option<String>) {
        let epoch = BrokerEpoch(self.zk.tick());
        self.zk.brokers.insert(id, Broker { id, epoch, endpoints: vec![], rack });
        self.brokers.insert(id, ModelBroker::default());
        self.fired.insert(Watch::Brokers);
    }

    pub fn broker_down(&mut self, id: BrokerId) {
        self.zk.tick();
        self.zk.brokers.remove(&id);
        self.brokers.remove(&id);
        self.fired.insert(Watch::Brokers);
    }

    /// The leader changes its ISR by itself and notifies, as Kafka up to 2.6 does.
    pub fn leader_writes_isr(&mut self, name: &TopicPartition, isr: Vec<BrokerId>) {
        let node = self.zk.states[name].clone();
        let state = PartitionState { isr, ..node.state };
        self.zk.write_state(name, &state, Some(node.version)).unwrap();
        let zxid = self.zk.tick();
        self.zk.notifications.insert(format!("isr_change_{zxid:010}"), name.clone());
        self.fired.insert(Watch::Notifications);
    }

    pub fn step(&mut self, event: Event) {
        let mut out = Vec::new();
        self.controller.step(self.now_ms, event, &mut out);
        for effect in out {
            self.check(&effect);
            self.trace.push(print_effect(&effect));
            match &effect {
                Effect::AddBroker(broker) => {
                    let new = self.queues.insert((self.term, broker.id, broker.epoch), VecDeque::new());
                    assert!(new.is_none(), "two queues to broker {}", broker.id);
                }
                Effect::RemoveBroker(id) => {
                    let term = self.term;
                    self.queues.retain(|(t, broker, _), _| *t != term || broker != id);
                }
                Effect::SendLeaderAndIsr { broker, broker_epoch, .. }
                | Effect::SendUpdateMetadata { broker, broker_epoch, .. }
                | Effect::SendStopReplica { broker, broker_epoch, .. } => {
                    let queue = self.queues.get_mut(&(self.term, *broker, *broker_epoch));
                    queue.expect("a request has a queue").push_back(effect);
                }
                Effect::Report(_) => {}
                _ => self.io.push_back(Io { term: self.term, effect }),
            }
        }
    }

    /// Nothing is announced that was not written.
    fn check(&self, effect: &Effect) {
        let check = |name: &TopicPartition, version: PartitionEpoch, state: &PartitionState| {
            let lives = self.zk.history.iter().filter(|((p, _), _)| p == name);
            let known = lives.flat_map(|(_, h)| h).any(|(v, s)| *v == version && s == state);
            assert!(known, "{name}: announced but not written: {state:?} at {version}");
        };
        match effect {
            Effect::SendLeaderAndIsr { broker, broker_epoch, request } => {
                for p in &request.partitions {
                    check(&p.partition, p.partition_epoch, &p.state);
                    assert_ne!(p.topic_id, TopicId::ZERO);
                    let rejoined = p.state.leader.is_some() && p.state.isr.contains(broker);
                    if rejoined && p.assignment.replicas.len() > 1 {
                        let lives = self.zk.states.get(&p.partition);
                        let written = lives.filter(|n| n.version == p.partition_epoch).map(|n| n.written_zxid);
                        assert!(
                            written.is_none_or(|w| w > broker_epoch.0),
                            "{}: broker {broker} restarted and is told that it is in the ISR",
                            p.partition
                        );
                    }
                }
            }
            Effect::SendUpdateMetadata { request, .. } => {
                for p in &request.partitions {
                    if let MetadataState::Known(state, version) = &p.state {
                        check(&p.partition, *version, state);
                    }
                }
            }
            Effect::WritePartitionStates(writes) => {
                let names: BTreeSet<_> = writes.iter().map(|w| &w.partition).collect();
                assert_eq!(names.len(), writes.len(), "two writes of one partition at a time");
                assert!(writes.iter().all(|w| w.state.controller_epoch.0 == self.term));
            }
            _ => {}
        }
    }

    /// Answers an event of a term, unless the term is over.
    fn answer(&mut self, term: i32, event: Event) {
        if term == self.term {
            self.step(event);
        }
    }

    /// Does one read or write; `mishap` says what goes wrong with each write.
    pub fn perform(&mut self, io: Io, mut mishap: impl FnMut() -> Mishap) {
        let Io { term, effect } = io;
        let fenced = term != self.zk.controller_epoch;
        let outcome = |done: Result<PartitionEpoch, ()>, mishap| match (done, mishap) {
            (Ok(version), Mishap::None) => WriteOutcome::Written(version),
            (Err(()), Mishap::None) => WriteOutcome::Conflict,
            _ => WriteOutcome::Unknown,
        };
        match effect {
            Effect::WritePartitionStates(writes) => {
                let mut results = Vec::new();
                for PartitionStateWrite { write, partition, state, expected } in writes {
                    let mishap = mishap();
                    let outcome = match mishap {
                        Mishap::RequestLost => WriteOutcome::Unknown,
                        _ if fenced => WriteOutcome::Fenced,
                        _ => outcome(self.zk.write_state(&partition, &state, expected), mishap),
                    };
                    results.push(PartitionStateWritten { write, partition, outcome });
                }
                self.answer(term, Event::PartitionStatesWritten { results });
            }
            Effect::ReadPartitionStates(names) => {
                let states = names.into_iter().map(|n| (n.clone(), self.zk.states.get(&n).cloned())).collect();
                self.answer(term, Event::PartitionStatesRead { states });
            }
            Effect::ReadTopic(topic) => {
                let node = self.zk.topic_node(&topic);
                self.answer(term, Event::TopicRead { topic, node });
            }
            Effect::WriteTopicNode { topic, id, assignment, version } => {
                let mishap = mishap();
                let done = match self.zk.topics.get_mut(&topic) {
                    Some((node, _)) if node.version == version && !fenced && mishap != Mishap::RequestLost => {
                        *node = TopicNode { id: Some(id), fresh_id: id, assignment, version: version + 1 };
                        self.fired.insert(Watch::Topic(topic.clone()));
                        Ok(PartitionEpoch(version + 1))
                    }
                    _ => Err(()),
                };
                let outcome = if fenced { WriteOutcome::Fenced } else { outcome(done, mishap) };
                self.answer(term, Event::TopicNodeWritten { topic, outcome });
            }
            Effect::DeleteTopicNodes(topic) => {
                let mishap = mishap();
                if !fenced && mishap != Mishap::RequestLost {
                    self.zk.tick();
                    self.zk.remove_topic(&topic);
                    self.zk.marks.remove(&topic);
                    self.fired.extend([Watch::Topics, Watch::Topic(topic.clone()), Watch::Marks]);
                }
                self.answer(term, Event::TopicNodesDeleted { topic, done: mishap == Mishap::None && !fenced });
            }
            Effect::RemoveDeleteTopicEntries(topics) if !fenced => {
                self.zk.marks.retain(|t| !topics.contains(t));
                self.fired.insert(Watch::Marks);
            }
            Effect::DeleteIsrNotifications(names) if !fenced => {
                self.zk.notifications.retain(|n, _| !names.contains(n));
            }
            Effect::DeletePreferredElection if !fenced => self.zk.preferred = None,
            Effect::Resign => self.resign(),
            _ => {}
        }
    }

    /// Reads what a watch says has changed.
    pub fn notice(&mut self, watch: Watch) {
        let event = match watch {
            Watch::Brokers => Event::BrokersChanged { live: self.zk.brokers.clone() },
            Watch::Topics => Event::TopicsChanged { topics: self.zk.topics.keys().cloned().collect() },
            Watch::Topic(topic) => Event::TopicRead { node: self.zk.topic_node(&topic), topic },
            Watch::Marks => Event::DeleteTopicsChanged { topics: self.zk.marks.clone() },
            Watch::Notifications => Event::IsrChangeNotified {
                notifications: self.zk.notifications.keys().cloned().collect(),
                partitions: self.zk.notifications.values().cloned().collect(),
            },
            Watch::Preferred => {
                let Some(partitions) = self.zk.preferred.clone() else { return };
                Event::PreferredElectionRequested { partitions }
            }
        };
        self.step(event);
    }

    /// Delivers the first request of a queue; the broker answers it.
    pub fn deliver(&mut self, key: (i32, BrokerId, BrokerEpoch)) {
        let Some(effect) = self.queues.get_mut(&key).and_then(VecDeque::pop_front) else { return };
        let (term, id, epoch) = key;
        let is_alive = self.zk.brokers.get(&id).is_some_and(|b| b.epoch == epoch);
        let Some(broker) = self.brokers.get_mut(&id).filter(|b| is_alive && b.controller_epoch <= term) else { return };
        broker.controller_epoch = term;
        match effect {
            Effect::SendLeaderAndIsr { request, .. } => {
                let names = request.partitions.iter().map(|p| p.partition.clone()).collect();
                for p in request.partitions {
                    let known = broker.roles.get(&p.partition);
                    let same_topic = known.filter(|k| k.topic_id == p.topic_id);
                    if same_topic.is_none_or(|k| k.state.leader_epoch < p.state.leader_epoch) {
                        broker.roles.insert(p.partition.clone(), p);
                    }
                }
                let event =
                    Event::LeaderAndIsrAnswered { broker: id, broker_epoch: epoch, online: names, offline: vec![] };
                self.answer(term, event);
            }
            Effect::SendUpdateMetadata { request, .. } => {
                broker.live = request.live_brokers.iter().map(|b| b.id).collect();
                for p in &request.partitions {
                    match p.state {
                        MetadataState::Deleted => broker.metadata.remove(&p.partition),
                        MetadataState::Known(..) => broker.metadata.insert(p.partition.clone(), p.clone()),
                    };
                }
                let deleted = request.partitions.iter().filter(|p| p.state == MetadataState::Deleted);
                let forgotten = deleted.map(|p| p.partition.topic.clone()).collect();
                self.answer(term, Event::UpdateMetadataAnswered { broker: id, broker_epoch: epoch, forgotten });
            }
            Effect::SendStopReplica { request, .. } => {
                let names: Vec<_> =
                    request.partitions.iter().filter(|p| p.delete).map(|p| p.partition.clone()).collect();
                let (deleted, failed) = match broker.failing {
                    true => (vec![], names),
                    false => (names, vec![]),
                };
                broker.roles.retain(|p, _| !deleted.contains(p));
                self.answer(term, Event::StopReplicaAnswered { broker: id, broker_epoch: epoch, deleted, failed });
            }
            _ => unreachable!("only requests are queued"),
        }
    }

    /// Lets everything happen that can without time passing.
    pub fn run(&mut self) {
        for _ in 0..10_000 {
            if self.term != 0
                && let Some(watch) = self.fired.pop_first()
            {
                self.notice(watch);
            } else if let Some(io) = self.io.pop_front() {
                self.perform(io, || Mishap::None);
            } else if let Some(key) = self.queues.iter().find(|(_, q)| !q.is_empty()).map(|(k, _)| *k) {
                self.deliver(key);
            } else {
                return;
            }
        }
        panic!("it never comes to rest: {:#?}", &self.trace[self.trace.len() - 20..]);
    }

    /// Lets time pass until `until_ms`, with all deadlines in between.
    pub fn sleep(&mut self, until_ms: i64) {
        while let Some(at) = self.controller.next_deadline().filter(|at| *at <= until_ms) {
            self.now_ms = self.now_ms.max(at);
            self.step(Event::DeadlinePassed);
            self.run();
        }
        self.now_ms = until_ms;
    }
}

fn list(ids: &[BrokerId]) -> String {
    ids.iter().map(|b| b.to_string()).collect::<Vec<_>>().join(",")
}

pub fn print_state(state: &PartitionState) -> String {
    let leader = state.leader.map_or("none".into(), |l| l.to_string());
    let recovering = if state.recovering { " recovering" } else { "" };
    let (epoch, isr) = (state.leader_epoch, list(&state.isr));
    format!("leader={leader} epoch={epoch} isr={isr} by={}{recovering}", state.controller_epoch)
}

fn brokers(live: &[Arc<Broker>]) -> String {
    list(&live.iter().map(|b| b.id).collect::<Vec<_>>())
}

fn print_effect(effect: &Effect) -> String {
    let lines = |lines: Vec<String>| lines.iter().map(|l| format!("\n  {l}")).collect::<String>();
    match effect {
        Effect::AddBroker(broker) => format!("open queue to {}", broker.id),
        Effect::RemoveBroker(id) => format!("close queue to {id}"),
        Effect::SendLeaderAndIsr { broker, request, .. } => {
            let print = |p: &LeaderAndIsrPartition| {
                let new = if p.is_new { " new" } else { "" };
                format!("{} {} version={}{new}", p.partition, print_state(&p.state), p.partition_epoch)
            };
            format!("LeaderAndIsr to {broker}{}", lines(request.partitions.iter().map(print).collect()))
        }
        Effect::SendUpdateMetadata { broker, request, .. } => {
            let print = |p: &UpdateMetadataPartition| {
                let state = match &p.state {
                    MetadataState::Deleted => "deleted".into(),
                    MetadataState::Known(state, _) => print_state(state),
                };
                let offline = match p.offline_replicas.is_empty() {
                    true => String::new(),
                    false => format!(" offline={}", list(&p.offline_replicas)),
                };
                format!("{} {state}{offline}", p.partition)
            };
            let partitions = lines(request.partitions.iter().map(print).collect());
            format!("UpdateMetadata to {broker} live={}{partitions}", brokers(&request.live_brokers))
        }
        Effect::SendStopReplica { broker, request, .. } => {
            let print = |p: &StopReplicaPartition| format!("{}{}", p.partition, if p.delete { " delete" } else { "" });
            format!("StopReplica to {broker}{}", lines(request.partitions.iter().map(print).collect()))
        }
        Effect::WritePartitionStates(writes) => {
            let print = |w: &PartitionStateWrite| {
                let how = w.expected.map_or("create".into(), |v| format!("set at version {v}"));
                format!("{} {how}: {}", w.partition, print_state(&w.state))
            };
            format!("write states{}", lines(writes.iter().map(print).collect()))
        }
        Effect::ReadPartitionStates(names) => {
            let names: Vec<_> = names.iter().map(|n| n.to_string()).collect();
            format!("read states {}", names.join(" "))
        }
        Effect::ReadTopic(topic) => format!("read topic {topic}"),
        Effect::WriteTopicNode { topic, assignment, version, .. } => {
            let print = |(p, a): (&PartitionIndex, &Assignment)| format!("{p}={}", list(&a.replicas));
            let assignment = assignment.iter().map(print).collect::<Vec<_>>().join(" ");
            format!("write topic {topic} at version {version}: id, {assignment}")
        }
        Effect::DeleteTopicNodes(topic) => format!("delete nodes of {topic}"),
        Effect::RemoveDeleteTopicEntries(topics) => format!("remove marks {topics:?}"),
        Effect::DeleteIsrNotifications(names) => format!("delete {} notifications", names.len()),
        Effect::DeletePreferredElection => "delete /admin/preferred_replica_election".into(),
        Effect::Resign => "resign".into(),
        Effect::Report(report) => format!("report: {report}"),
    }
}

pub fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

/// Reads `orders-0`.
pub fn partition(text: &str) -> TopicPartition {
    let (name, index) = text.rsplit_once('-').unwrap();
    TopicPartition::new(topic(name), index.parse().unwrap())
}

/// Reads `1/2/3`.
pub fn ids(text: &str) -> Vec<BrokerId> {
    text.split('/').map(|id| BrokerId(id.parse().unwrap())).collect()
}
