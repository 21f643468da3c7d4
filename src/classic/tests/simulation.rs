//! Classic groups in a world where everything goes wrong in an order that a seed decides, and what a change costs where
//! nothing goes wrong.

mod world;

use std::collections::BTreeMap;

use ottla_classic::{Settings, Subscription};
use ottla_types::TopicPartition;
use rand::RngExt;
use world::topics::name;
use world::{ClientId, GROUP, Profile, World, chaos};

/// How many seeds are run; `OTTLA_SIMULATION_SEEDS=from..to` runs others.
const SEEDS: u64 = 2_000;
/// Seeds that found a fault of the core, or find one that is put in on purpose, and are run for ever.
const KEPT: &[u64] = &[92, 5_472];

#[test]
fn groups_survive_everything() {
    let range = std::env::var("OTTLA_SIMULATION_SEEDS").unwrap_or_default();
    let bounds = range.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    let (from, to): (u64, u64) = bounds.unwrap_or((0, SEEDS));
    KEPT.iter().copied().chain(from..to).for_each(chaos::run);
}

const SESSION_MS: u64 = 6_000;

fn subscribed() -> Settings {
    let topics = Subscription::topics([(name("t"), 1)]).expect("one stream is a good number");
    Settings { commit_interval_ms: None, ..Settings::new(GROUP, topics) }
}

/// A world without faults where a request takes a millisecond on average, and members that start at once.
fn quiet(seed: u64, members: usize, partitions: i32, tick_ms: u64) -> World {
    let mut world = World::new(seed, Profile { tick_ms, ..Profile::default() });
    world.create_topic(name("t"), partitions, 100);
    for member in 0..members {
        world.join(&format!("h{member}"), subscribed(), SESSION_MS);
    }
    world
}

/// Lets it settle and returns how long that took.
#[track_caller]
fn settle(world: &mut World, within_ms: u64) -> u64 {
    // Looking is dear.
    let step = (world.clients.len() as u64 / 50).max(1);
    match world.run_while(within_ms, step, |world| world.settled().is_err()) {
        Some(took) => took,
        None => {
            world.trace.iter().flatten().for_each(|line| eprintln!("{line}"));
            panic!("not settled after {within_ms} ms: {:?}", world.settled())
        }
    }
}

fn streams(world: &World) -> BTreeMap<TopicPartition, String> {
    world.plan().expect("a settled group has a plan").streams
}

/// Partitions whose thread is another than before.
fn moved(before: &BTreeMap<TopicPartition, String>, after: &BTreeMap<TopicPartition, String>) -> Vec<TopicPartition> {
    after.iter().filter(|(partition, thread)| before.get(partition) != Some(thread)).map(|(p, _)| p.clone()).collect()
}

/// Partitions that were stopped or abandoned since, by those who still run.
fn lost_since(world: &World, ms: u64) -> Vec<TopicPartition> {
    let consumers = world.alive().into_iter().filter_map(|id| world.clients[id].new_program());
    consumers.flat_map(|consumer| &consumer.lost).filter(|(at, _)| *at >= ms).map(|(_, p)| p.clone()).collect()
}

#[test]
fn old_members_alone_settle_as_the_model_of_them_should() {
    let mut world = World::new(1, Profile { leg_ms: (0, 5), ..Profile::default() });
    world.trace = Some(vec![]);
    world.create_topic(name("t"), 10, 100);
    for host in ["c", "a", "b"] {
        world.join_old(host, [(name("t"), 2)].into(), host == "b", SESSION_MS);
    }
    settle(&mut world, 12_000);
    let event = ottla_classic::Event::CloseAsked { commit: true };
    world.after(0, world::Happening::Tell { client: 0, event });
    world.run_for(1);
    settle(&mut world, 12_000);
    world.kill(1);
    world.run_for(1);
    let took = settle(&mut world, 20_000);
    assert!(took > 4_000, "a killed member's session ended after {took} ms");
    world.topics.still_from_ms = Some(world.now);
    world.run_for(5_000);
    world.all_consumed().unwrap();
}

#[test]
fn a_hundred_members_start_and_thirty_die() {
    let mut world = quiet(16, 100, 300, 50);
    let started = settle(&mut world, 10_000);
    let victims: Vec<ClientId> = (0..30).map(|n| n * 3).collect();
    victims.iter().for_each(|id| world.kill(*id));
    let alive = |world: &World| victims.iter().any(|id| world.clients[*id].session.is_some_and(|s| world.zk.lives(s)));
    let sessions = world.run_while(2 * SESSION_MS, 1, alive);
    assert!(sessions.is_some(), "the sessions of the dead end");
    let healed = settle(&mut world, 10_000);
    let asked = world.zk.counts.asked;
    println!("100 members, 300 partitions: settled after {started} ms, after 30 deaths {healed} ms; {asked} requests");
    println!("{:?}", world.zk.counts);
    assert!(started <= 2_000, "{started} ms");
    assert!(healed <= 1_000, "{healed} ms");
    assert!(asked <= 5_000, "{asked} requests");
}

#[test]
fn the_cost_of_a_change_grows_with_the_members_and_not_with_their_square() {
    let cost = |members: usize| {
        let mut world = quiet(7, members, 3 * members as i32, 500);
        settle(&mut world, 60_000);
        let change = |world: &mut World, what: &dyn Fn(&mut World)| {
            world.run_for(3_000);
            let before = world.zk.counts.asked;
            what(world);
            world.run_for(1);
            settle(world, 30_000);
            // Who hears of it later asks later.
            world.run_for(500);
            world.zk.counts.asked - before
        };
        let joined = change(&mut world, &|world| _ = world.join("new", subscribed(), SESSION_MS));
        let closed = change(&mut world, &|world| world.close(members / 2, true));
        let killed = change(&mut world, &|world| world.kill(members / 3));
        let planner = world.zk.node(&zk_schema::consumer_plan::planner_path(GROUP)).expect("there is a planner").0;
        let planner = world.alive().into_iter().find(|id| world.consumer_id(*id).as_bytes() == planner);
        let planner_killed = change(&mut world, &|world| world.kill(planner.expect("the planner lives")));
        println!(
            "{members} members: join {joined}, close {closed}, kill {killed}, planner killed {planner_killed} requests"
        );
        [joined, closed, killed, planner_killed]
    };
    let (few, some, many) = (cost(10), cost(100), cost(1_000));
    for change in 0..few.len() {
        assert!(some[change] <= 20 * few[change], "ten times the members, {} for {}", some[change], few[change]);
        assert!(many[change] <= 15 * some[change], "ten times the members, {} for {}", many[change], some[change]);
        assert!(many[change] <= 12_000, "{} requests for a change of 1,000 members", many[change]);
    }
}

#[test]
fn a_member_that_wakes_after_its_session_hands_out_one_record_at_most_and_commits_nothing() {
    let mut most = 0;
    for round in 0..20 {
        let mut world =
            World::new(round, Profile { leg_ms: (0, 3), slow_one_in: 50, tick_ms: 20, ..Profile::default() });
        world.create_topic(name("t"), 12, 100);
        for member in 0..4 {
            let settings = Settings { commit_interval_ms: Some(300), ..subscribed() };
            world.join(&format!("h{member}"), settings, 2_000);
        }
        settle(&mut world, 10_000);
        for _ in 0..50 {
            let id = world.random.random_range(0..4);
            let before = world.consumer(id).unowned;
            let ms = world.random.random_range(2_200..4_000);
            world.pause(id, ms);
            world.run_for(ms + 200);
            let after = world.consumer(id).unowned - before;
            assert!(after <= 1, "{after} records were handed out after a pause of {ms} ms");
            most = most.max(after);
            let ms = world.random.random_range(0..2_000);
            world.run_for(ms);
        }
        // The world itself refuses every commit of somebody who is not the owner.
        world.topics.still_from_ms = Some(world.now);
        world.run_for(4_000);
        world.settled().and_then(|()| world.all_consumed()).and_then(|()| world.all_committed()).unwrap();
    }
    assert_eq!(most, 1, "no pause fell between the check of the lease and the record: the world does not try");
}

#[test]
fn one_more_member_moves_its_share_and_stops_nobody_else() {
    for (partitions, within_ms) in [(900, 400), (100, 100)] {
        let mut world = quiet(11, 10, partitions, 10);
        settle(&mut world, 10_000);
        world.run_for(5_000);
        let (before, begun) = (streams(&world), world.now);
        world.ledger.silence_ms.clear();
        let again = world.ledger.again;
        world.join("new", subscribed(), SESSION_MS);
        world.run_for(1);
        let took = settle(&mut world, 10_000);
        let moved = moved(&before, &streams(&world));
        let lost = lost_since(&world, begun);
        world.run_for(1_000);
        let silence = |moves: bool| {
            let of = world.ledger.silence_ms.iter().filter(|(partition, _)| moved.contains(partition) == moves);
            of.map(|(_, ms)| *ms).max().unwrap_or(0)
        };
        let (stays, moves) = (silence(false), silence(true));
        println!(
            "{partitions} partitions: one more joins: settled after {took} ms, {} moved, silent for {stays} ms, moved ones {moves} ms",
            moved.len()
        );
        assert!(took <= within_ms, "{took} ms");
        assert!(moved.len() <= (partitions as usize).div_ceil(11), "{} moved", moved.len());
        assert!(lost.iter().all(|partition| moved.contains(partition)), "a partition that stays was stopped");
        assert_eq!(lost.len(), moved.len());
        assert_eq!(world.ledger.again, again, "records were handed out twice though nothing failed");
        assert!(moves <= 200, "a moved partition was silent for {moves} ms");
        assert!(stays <= 30, "a partition that stays was silent for {stays} ms");
    }
}
