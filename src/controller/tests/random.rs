//! A controller in a world where everything goes wrong in an order that a seed decides. The world checks at each step that
//! states move as they may and that nothing is announced before it is written; at the end, when the faults stop, that all
//! is well again: leaders everywhere, every broker told, marked topics gone.

mod world;

use std::collections::VecDeque;

use ottla_controller::{MetadataState, Settings, UncleanElection};
use ottla_types::{BrokerId, TopicPartition};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use world::{Mishap, Watch, World, topic};

const BROKERS: std::ops::RangeInclusive<i32> = 1..=4;

struct Chaos {
    world: World,
    random: StdRng,
}

impl Chaos {
    fn new(seed: u64) -> Chaos {
        let settings = Settings { leader_imbalance_check_interval_ms: 2_000, ..Settings::default() };
        let mut chaos = Chaos { world: World::new(settings), random: StdRng::seed_from_u64(seed) };
        for id in BROKERS {
            chaos.world.broker_up(BrokerId(id), None);
        }
        chaos.world.elect();
        chaos
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.random.random_range(0..n) == 0
    }

    fn pick<T: Clone>(&mut self, from: Vec<T>) -> Option<T> {
        if from.is_empty() {
            return None;
        }
        let index = self.random.random_range(0..from.len());
        Some(from[index].clone())
    }

    fn replicas(&mut self) -> Vec<BrokerId> {
        let mut all: Vec<BrokerId> = BROKERS.map(BrokerId).collect();
        let count = self.random.random_range(1..=3);
        (0..count).map(|_| all.remove(self.random.random_range(0..all.len()))).collect()
    }

    /// Something happens outside the controller.
    fn disturb(&mut self) {
        let name = topic(["a", "b", "c"][self.random.random_range(0..3)]);
        let id = BrokerId(self.random.random_range(BROKERS));
        let exists = self.world.zk.topics.contains_key(&name);
        match self.random.random_range(0..14) {
            0 | 1 if self.world.zk.brokers.contains_key(&id) => self.world.broker_down(id),
            0..=3 if !self.world.zk.brokers.contains_key(&id) => self.world.broker_up(id, None),
            4 if self.world.zk.brokers.contains_key(&id) => {
                self.world.broker_down(id);
                self.world.broker_up(id, None);
            }
            5 | 6 if !exists && !self.world.zk.marks.contains(&name) => {
                let replicas = (0..self.random.random_range(1..4)).map(|_| self.replicas()).collect();
                let fresh = self.world.zk.fresh_id();
                let id = (!self.one_in(3)).then_some(fresh);
                self.world.zk.create_topic(name, id, replicas);
                self.world.fired.insert(Watch::Topics);
            }
            7 if exists => {
                let added = self.replicas();
                let (node, _) = self.world.zk.topics.get_mut(&name).unwrap();
                let index = node.assignment.len() as i32;
                if index < 5 {
                    let assignment = ottla_controller::Assignment { replicas: added, ..Default::default() };
                    node.assignment.insert(index, assignment);
                    node.version += 1;
                    self.world.fired.insert(Watch::Topic(name));
                }
            }
            8 => {
                self.world.zk.marks.insert(name);
                self.world.fired.insert(Watch::Marks);
            }
            9..=11 => self.change_isr(),
            12 if self.one_in(3) => self.world.elect(),
            13 if self.one_in(3) => {
                let broker = self.world.brokers.get_mut(&id);
                broker.into_iter().for_each(|b| b.failing = !b.failing);
            }
            _ => {}
        }
    }

    /// A leader changes its ISR, as far as it knows of its role.
    fn change_isr(&mut self) {
        let names: Vec<TopicPartition> = self.world.zk.states.keys().cloned().collect();
        let Some(name) = self.pick(names) else { return };
        let node = self.world.zk.states[&name].clone();
        let Some(leader) = node.state.leader else { return };
        // It must be the leader of this epoch in this life, and know this version: otherwise its write is refused.
        let role = self.world.brokers.get(&leader).and_then(|b| b.roles.get(&name)).cloned();
        if role.as_ref().is_none_or(|r| r.state.leader_epoch != node.state.leader_epoch) {
            return;
        }
        let mut isr = node.state.isr.clone();
        match self.one_in(2) {
            true => isr.retain(|b| *b == leader || self.random.random_range(0..2) == 0),
            false => {
                // A replica joins once it has fetched in this leader epoch, so it was told of it in its present life.
                let replicas = role.map_or(vec![], |r| r.assignment.replicas.clone());
                let knows = |b: &BrokerId| {
                    let role = self.world.brokers.get(b).and_then(|m| m.roles.get(&name));
                    role.is_some_and(|r| r.state.leader_epoch == node.state.leader_epoch)
                };
                isr.extend(replicas.into_iter().filter(|b| !node.state.isr.contains(b)).filter(knows));
            }
        }
        self.world.leader_writes_isr(&name, isr);
    }

    /// One of the things happens that are under way.
    fn proceed(&mut self) {
        match self.random.random_range(0..4) {
            0 => {
                let watches = self.world.fired.iter().cloned().collect();
                if let Some(watch) = self.pick(watches) {
                    self.world.fired.remove(&watch);
                    self.world.notice(watch);
                }
            }
            1 => {
                // ZooKeeper answers in order within a term, but terms mix.
                let terms: Vec<i32> = self.world.io.iter().map(|io| io.term).collect();
                let Some(term) = self.pick(terms) else { return };
                let position = self.world.io.iter().position(|io| io.term == term).unwrap();
                let io = self.world.io.remove(position).unwrap();
                let random = &mut self.random;
                self.world.perform(io, || match random.random_range(0..10) {
                    0 => Mishap::AnswerLost,
                    1 => Mishap::RequestLost,
                    _ => Mishap::None,
                });
            }
            2 => {
                let queues = self.world.queues.iter().filter(|(_, q)| !q.is_empty()).map(|(k, _)| *k).collect();
                if let Some(key) = self.pick(queues) {
                    self.world.deliver(key);
                }
            }
            _ => {
                let until = self.world.now_ms + self.random.random_range(0..200);
                self.world.now_ms = until;
                if self.world.controller.next_deadline().is_some_and(|at| at <= until) {
                    self.world.step(ottla_controller::Event::DeadlinePassed);
                }
            }
        }
        if self.world.term == 0 {
            self.world.elect();
        }
    }

    /// No more faults: every broker returns, everything that is under way happens, time passes.
    fn heal(&mut self) {
        for id in BROKERS.map(BrokerId) {
            if !self.world.zk.brokers.contains_key(&id) {
                self.world.broker_up(id, None);
            }
            self.world.brokers.get_mut(&id).unwrap().failing = false;
        }
        for _ in 0..100 {
            self.world.run();
            if self.world.term == 0 {
                self.world.elect();
            }
            self.world.sleep(self.world.now_ms + 1_000);
        }
        assert_eq!(self.world.term, self.world.zk.controller_epoch);
    }

    fn check_healed(&self) {
        let zk = &self.world.zk;
        assert!(zk.marks.is_empty(), "marks are left: {:?}", zk.marks);
        let mut expected = Vec::new();
        for (name, (node, _)) in &zk.topics {
            assert!(node.id.is_some(), "{name} has no id");
            for (index, assignment) in &node.assignment {
                let name = TopicPartition::new(name.clone(), *index);
                let state = zk.states.get(&name).unwrap_or_else(|| panic!("{name} has no state"));
                assert!(state.state.leader.is_some(), "{name} has no leader: {state:?}");
                for broker in &assignment.replicas {
                    let role = self.world.brokers[broker].roles.get(&name);
                    let told = role.unwrap_or_else(|| panic!("{broker} does not know its role in {name}"));
                    assert_eq!(told.state.leader_epoch, state.state.leader_epoch, "{broker} knows an old {name}");
                    assert_eq!(Some(told.topic_id), node.id);
                }
                expected.push((name, MetadataState::Known(state.state.clone(), state.version)));
            }
        }
        assert_eq!(expected.len(), zk.states.len(), "states of no topic");
        for (id, broker) in &self.world.brokers {
            assert_eq!(broker.live.len(), BROKERS.count(), "{id} does not know who lives");
            let known: Vec<_> = broker.metadata.iter().map(|(n, p)| (n.clone(), p.state.clone())).collect();
            assert_eq!(known, expected, "broker {id} has other metadata");
        }
        assert_eq!(self.world.controller.offline_partitions(), 0);
    }
}

fn run(seed: u64) {
    let mut chaos = Chaos::new(seed);
    let mut trace = VecDeque::new();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        if seed.is_multiple_of(3) {
            let unclean = UncleanElection { default: true, ..Default::default() };
            chaos.world.step(ottla_controller::Event::UncleanElectionConfigured(unclean));
        }
        for _ in 0..600 {
            if chaos.one_in(6) {
                chaos.disturb();
            }
            chaos.proceed();
            trace.extend(std::mem::take(&mut chaos.world.trace));
        }
        chaos.heal();
        trace.extend(std::mem::take(&mut chaos.world.trace));
        chaos.check_healed();
    }));
    if let Err(panic) = result {
        let last: Vec<String> = trace.into_iter().rev().take(60).collect();
        last.iter().rev().for_each(|line| eprintln!("{line}"));
        chaos.world.trace.iter().for_each(|line| eprintln!("{line}"));
        eprintln!("seed {seed}");
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn survives_everything() {
    for seed in 0..1000 {
        run(seed);
    }
}
