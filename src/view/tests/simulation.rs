//! Brokers, topics, leaders and sessions change in an order that a seed decides, requests are answered late, side by side or
//! never, watches fire late. Whenever the view claims to be current it is, and when all is quiet it is what the tree is.

mod simulated;
mod zookeeper;

use std::collections::VecDeque;

use ottla_types::{TopicName, TopicPartition};
use ottla_view::{Effect, Event, Settings, View};
use rand::RngExt;
use simulated::World;
use zookeeper::ZooKeeper;

/// How many seeds are run; `OTTLA_SIMULATION_SEEDS=from..to` runs others.
const SEEDS: u64 = 300;
/// Things that happen before it becomes quiet.
const LENGTH: usize = 1_500;

fn run(seed: u64) -> World {
    let mut world = World::new(seed);
    let length = world.random.random_range(20..LENGTH);
    for _ in 0..length {
        world.happen();
    }
    world.become_quiet();
    world
}

#[test]
fn a_view_that_claims_to_be_current_is_and_becomes_it_when_all_is_quiet() {
    let range = std::env::var("OTTLA_SIMULATION_SEEDS").unwrap_or_default();
    let bounds = range.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    let (from, to): (u64, u64) = bounds.unwrap_or((0, SEEDS));
    let (mut claims, mut changes) = (0, 0);
    for seed in from..to {
        let world = run(seed);
        claims += world.claims;
        changes += world.changes;
    }
    println!("{claims} claims were looked at, {changes} changes told");
    if bounds.is_none() {
        assert!(claims > 20 * SEEDS, "{claims} claims: the world is never quiet enough");
        assert!(changes > 20 * SEEDS, "{changes} changes: too little happens");
    }
}

/// Tells the view what happened and answers whatever it asks; returns how many requests that were.
fn settle(view: &mut View, zk: &mut ZooKeeper, session: i64, events: impl IntoIterator<Item = Event>) -> usize {
    let (mut events, mut requests) = (VecDeque::from_iter(events), 0);
    while let Some(event) = events.pop_front() {
        let mut out = vec![];
        view.step(0, event, &mut out);
        for effect in out {
            if let Effect::Send { id, request } = effect {
                requests += 1;
                events.push_back(Event::Answered { request: id, outcome: zk.ask(session, &request).0 });
            }
        }
    }
    assert!(view.is_current());
    requests
}

#[test]
fn what_happens_to_ten_thousand_partitions_costs_a_read_of_each() {
    const PARTITIONS: i32 = 10_000;
    let each = PARTITIONS as usize;
    let name = TopicName::new("t").expect("it is a name");
    let (mut zk, mut view) = (ZooKeeper::new(), View::new(Settings::default()));
    let session = zk.begin();
    zk.put(None, "/brokers/ids", b"");
    zk.put(None, &zk_schema::broker_topics::path(&name), zookeeper::assignment(PARTITIONS).as_bytes());
    let lead = |zk: &mut ZooKeeper, leader, epoch| {
        let state = zookeeper::state(leader, epoch);
        let path = |index| zk_schema::partition_state::path(&TopicPartition::new(name.clone(), index));
        let fired = (0..PARTITIONS).flat_map(|index| zk.put(None, &path(index), state.as_bytes()));
        fired.map(|(_, event)| event).collect::<Vec<_>>()
    };
    lead(&mut zk, 1, 0);
    let started = settle(&mut view, &mut zk, session, [Event::SessionStarted, Event::TopicUsed(name.clone())]);
    assert_eq!(started, each + 3, "a sync, the list of brokers, the topic");
    let moved = lead(&mut zk, 2, 1);
    assert_eq!(settle(&mut view, &mut zk, session, moved), each);
    let again = settle(&mut view, &mut zk, session, [Event::Reconnected]);
    assert_eq!(again, each + 3);
    let removed: Vec<_> = zk.remove("/brokers/topics/t").into_iter().map(|(_, event)| event).collect();
    let removed = settle(&mut view, &mut zk, session, removed);
    assert_eq!(removed, each + 2, "the topic, twice: that it is not there, and the watch on that");
    assert_eq!(zk.differences(view.cluster(), &[name].into(), false), [""; 0]);
}
