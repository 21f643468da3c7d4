//! Brokers, topics, leaders and sessions change in an order that a seed decides, requests are answered late, side by side or
//! never, watches fire late. Whenever the view claims to be current it is, and when all is quiet it is what the tree is.

mod simulated;
mod zookeeper;

use rand::RngExt;
use simulated::World;

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
