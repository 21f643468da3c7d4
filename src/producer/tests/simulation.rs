//! A producer in a world where everything goes wrong in an order that a seed decides, and how soon it follows a leader where
//! nothing else goes wrong.

mod world;

use std::collections::BTreeSet;

use ottla_producer::{Acks, Settings};
use ottla_types::{BrokerId, TopicPartition};
use rand::RngExt;
use world::application::{Batch, Load};
use world::controller::name;
use world::{Profile, World, chaos};

/// How many seeds are run; `OTTLA_SIMULATION_SEEDS=from..to` runs others.
const SEEDS: u64 = 1_000;
/// What must have happened in one of them or another, or the world does not try.
const TRIED: &[&str] = &[
    "a batch came twice",
    "a connection broke before a request was written",
    "a leader went on that had a successor",
    "a new producer id",
    "a part of a batch was delivered",
    "a session expired",
    "a topic was deleted",
    "acknowledged records were lost with their leader",
    "buffer.memory was full",
    "delivery.timeout.ms was over",
    "producers were forgotten",
    "retries were used up",
    "sequences began anew",
    "the application waited no longer",
];

#[test]
fn no_record_is_lost_doubled_or_reordered() {
    let range = std::env::var("OTTLA_SIMULATION_SEEDS").unwrap_or_default();
    let bounds = range.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    let (from, to): (u64, u64) = bounds.unwrap_or((0, SEEDS));
    let tried: BTreeSet<&str> = (from..to).flat_map(chaos::run).collect();
    let never: Vec<&&str> = TRIED.iter().filter(|what| !tried.contains(**what)).collect();
    assert!(bounds.is_some() || never.is_empty(), "the world does not try: {never:?}");
}

/// Three brokers, one partition that broker 0 leads, an application that sends a record every millisecond or so.
fn quiet(settings: Settings, seed: u64) -> (World, TopicPartition) {
    let mut world = World::new(seed, Profile::default(), Settings { linger_ms: 0, ..settings });
    world.trace = Some(vec![]);
    (0..3).for_each(|id| world.add_broker(id));
    world.create_topic(&name("t"), 1);
    world.reconnect_zookeeper();
    world.run_for(20);
    let partition = TopicPartition::new(name("t"), 0);
    world.elect(&partition, Some(BrokerId(0)), false);
    let load = Load { topics: vec![name("t")], pause_ms: 2, burst: 1, size: 50, flush_one_in: 0 };
    world.start_sending(load);
    world.run_for(500);
    (world, partition)
}

fn all_settings() -> [Settings; 4] {
    let with = |acks, idempotent, max_in_flight| Settings { acks, idempotent, max_in_flight, ..Settings::default() };
    [with(Acks::All, true, 5), with(Acks::All, true, 1), with(Acks::All, false, 5), with(Acks::Leader, false, 5)]
}

/// When the first record was told to be delivered that the new leader has, ms.
fn first_success(world: &mut World, partition: &TopicPartition, most_ms: u64) -> Option<u64> {
    let end_before = world.partition(partition).map_or(0, |found| found.log.end());
    let news = |world: &World| {
        let told = world.application.batches.values().flat_map(Batch::told);
        told.filter_map(|(_, told)| told.outcome.as_ref().ok())
            .flatten()
            .max()
            .is_some_and(|offset| *offset >= end_before)
    };
    world.run_while(most_ms, |world| !news(world))?;
    Some(world.now)
}

/// Runs until the new leader has heard, fails with a trace if no success follows soon.
fn judge_move(mut world: World, partition: &TopicPartition, node_ms: u64, told_ms: u64, what: &str) -> u64 {
    let since = node_ms.max(told_ms);
    world.run_until(told_ms);
    let success = first_success(&mut world, partition, 2_000);
    let took = success.map(|at| at.saturating_sub(since));
    if took.is_none_or(|took| took > 20) {
        let trace = world.trace.iter().flatten();
        let lines: Vec<&String> = trace
            .filter(|line| line.split(' ').next().is_some_and(|ms| ms.parse::<u64>().is_ok_and(|ms| ms + 5 >= node_ms)))
            .collect();
        lines.iter().take(120).for_each(|line| eprintln!("{line}"));
        panic!("{what}: node written at {node_ms}, leader told at {told_ms}, success after {took:?} ms");
    }
    took.unwrap_or(0)
}

#[test]
fn a_new_leader_has_the_first_record_within_20_ms_of_its_election() {
    let mut longest = 0;
    for settings in all_settings() {
        for delay in [0, 1, 3, 10, 40, 150, 400] {
            let what = format!("{:?}, idempotent {}, told after {delay} ms", settings.acks, settings.idempotent);
            let (mut world, partition) = quiet(settings.clone(), delay);
            world.profile.tell_ms = (delay, delay);
            world.elect(&partition, Some(BrokerId(1)), false);
            let now = world.now;
            longest = longest.max(judge_move(world, &partition, now, now + delay, &what));
        }
    }
    println!("the longest took {longest} ms");
}

#[test]
fn a_dead_leaders_successor_has_the_first_record_within_20_ms_of_its_election() {
    for settings in all_settings() {
        for delay in [0, 1, 3, 10, 40, 150, 400] {
            let what = format!("dead, {:?}, idempotent {}, told after {delay} ms", settings.acks, settings.idempotent);
            let (mut world, partition) = quiet(settings.clone(), delay);
            world.profile.tell_ms = (delay, delay);
            world.kill_broker(BrokerId(0));
            let leads = |world: &World| world.partition(&partition).and_then(|found| found.leader) == Some(BrokerId(0));
            world.run_while(4_000, leads).expect("a successor is elected");
            let now = world.now;
            judge_move(world, &partition, now - 1, now + delay, &what);
        }
    }
}

#[test]
fn a_leader_that_goes_on_refusing_is_not_asked_all_the_time() {
    for settings in all_settings() {
        let (mut world, partition) = quiet(settings.clone(), 1);
        world.run_for(100);
        // The node says 1, and nobody hears of it but broker 0, which resigns.
        world.write_leader(&partition, Some(BrokerId(1)));
        world.tell_broker(BrokerId(0), &partition, 5);
        world.run_for(1_000);
        let sent = |world: &World| world.lanes.values().map(|lane| lane.sent).sum::<u64>();
        let (requests, reads) = (sent(&world), world.watching.asked);
        world.run_for(10_000);
        let (requests, reads) = (sent(&world) - requests, world.watching.asked - reads);
        println!("{requests} requests and {reads} reads in 10 s");
        assert!(requests <= 250, "{requests} requests in 10 s to a leader that refuses");
        assert!(reads <= 40, "{reads} reads in 10 s because of a leader that refuses");
    }
}

#[test]
fn a_broker_that_is_not_where_it_says_is_not_called_all_the_time() {
    let (mut world, partition) = quiet(Settings::default(), 1);
    let elsewhere = |world: &mut World, by: i32| {
        let broker = world.brokers.get_mut(&BrokerId(0)).expect("it was added");
        broker.port = broker.port.saturating_add_signed(by as i16);
    };
    elsewhere(&mut world, 1);
    world.close_lane(BrokerId(0), "connection reset");
    world.run_for(10_000);
    let calls: u64 = world.lanes.values().map(|lane| lane.unreachable).sum();
    assert!((10..=100).contains(&calls), "{calls} calls in 10 s to a broker that is away");
    elsewhere(&mut world, -1);
    let back = world.now;
    let success = first_success(&mut world, &partition, 2_000).expect("it is there again");
    assert!(success - back <= 2_000, "it took {} ms", success - back);
}

#[test]
fn a_leader_that_hears_of_its_successor_last_holds_up_nobody_for_longer() {
    for settings in all_settings() {
        for (new, old) in [(1, 5), (3, 40), (40, 150)] {
            let what = format!("{:?}, idempotent {}, old told after {old} ms", settings.acks, settings.idempotent);
            let (mut world, partition) = quiet(settings.clone(), old);
            let now = world.now;
            world.write_leader(&partition, Some(BrokerId(1)));
            world.tell_broker(BrokerId(1), &partition, new);
            world.tell_broker(BrokerId(0), &partition, old);
            judge_move(world, &partition, now, now + old, &what);
        }
    }
}

#[test]
fn a_hundred_partitions_of_a_dead_leader_have_successes_within_20_ms() {
    let (mut world, _) = quiet(Settings::default(), 1);
    world.create_topic(&name("many"), 100);
    world.run_for(10);
    let many = || (0..100).map(|index| TopicPartition::new(name("many"), index));
    many().for_each(|partition| world.elect(&partition, Some(BrokerId(0)), false));
    world.application.load = Load { topics: vec![name("many")], pause_ms: 1, burst: 20, size: 50, flush_one_in: 0 };
    world.run_for(500);
    world.kill_broker(BrokerId(0));
    let leads = |world: &World| world.partition(&many().next().expect("a hundred")).and_then(|p| p.leader);
    world.run_while(4_000, |world| leads(world) == Some(BrokerId(0))).expect("successors are elected");
    let elected = world.now;
    let open = world.application.open.iter().map(|ticket| world.application.batches[ticket].partition.clone());
    let before: BTreeSet<TopicPartition> = open.collect();
    assert!(before.len() >= 30, "{} partitions have something that waits", before.len());
    world.run_until(elected + 1 + 20);
    let is_served = |batch: &Batch| batch.told().any(|(_, told)| told.outcome.is_ok() && told.at_ms > elected);
    let served: BTreeSet<&TopicPartition> =
        world.application.batches.values().filter(|batch| is_served(batch)).map(|batch| &batch.partition).collect();
    let left: Vec<&TopicPartition> = before.iter().filter(|partition| !served.contains(partition)).collect();
    assert!(left.is_empty(), "{} of {} partitions wait, first {}", left.len(), before.len(), left[0]);
}

#[test]
fn a_view_is_the_tree_a_few_round_trips_after_each_change() {
    for seed in 0..50 {
        let (mut world, partition) = quiet(Settings::default(), seed);
        let topic = partition.topic.clone();
        for round in 0..20 {
            match world.random.random_range(0..7) {
                0 => world.grow_topic(&topic, round),
                1 => world.delete_topic(&topic),
                2 => world.create_topic(&topic, 3),
                3 => world.move_broker(BrokerId(2)),
                4 => world.lose_zookeeper(0),
                5 => {
                    world.kill_broker(BrokerId(1));
                    world.start_broker(BrokerId(1));
                }
                _ => world.elect(&partition, Some(BrokerId(2)), false),
            }
            // A watch, or a sync; the list or the topic; the node, or its state; whether that is there.
            world.run_for(1 + 4 * 2 + 1);
            if let Err(amiss) = world.view_is_true() {
                let trace = world.trace.unwrap_or_default();
                trace[trace.len().saturating_sub(60)..].iter().for_each(|line| eprintln!("{line}"));
                panic!("seed {seed}, round {round}: {amiss}");
            }
        }
    }
}
