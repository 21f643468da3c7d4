//! Everything goes wrong in an order that a seed decides; then the faults stop and all must be well again.

use std::collections::BTreeSet;

use ottla_producer::{Acks, Failure, Settings};
use ottla_types::{BrokerId, TopicName};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::application::{Batch, Load, Told};
use super::controller::name;
use super::verdict::is_in_doubt;
use super::{Profile, World};

/// Within what time after the last fault, and after what a broker is given to answer, everything is delivered, ms.
const WELL_WITHIN_MS: u64 = 8_000;
/// And what is sent when all that has been delivered.
const WELL_WITHIN_CALM_MS: u64 = 100;

/// What a request and its answer take when there are no faults, ms.
const TURN_MS: u64 = 5;

/// Bytes of a batch of one record, at most.
const LARGEST_RECORD: usize = 200;

pub(crate) struct Chaos {
    pub(crate) world: World,
    seed: u64,
    load: Load,
    partitions: usize,
    /// The batches' time may run out while there are faults.
    hurried: bool,
    with_topics: bool,
}

fn settings(random: &mut StdRng) -> Settings {
    let (acks, idempotent) = match random.random_range(0..10) {
        0 => (Acks::All, false),
        1 | 2 => (Acks::Leader, false),
        3 => (Acks::None, false),
        _ => (Acks::All, true),
    };
    let batch_size = [200, 400, 1_000][random.random_range(0..3)];
    Settings {
        acks,
        idempotent,
        batch_size,
        linger_ms: [0, 0, 5, 50][random.random_range(0..4)],
        buffer_memory: batch_size * [8, 30, 1_000][random.random_range(0..3)],
        max_request_size: batch_size * [1, 3, 100][random.random_range(0..3)],
        max_in_flight: random.random_range(1..=5),
        delivery_timeout_ms: [600, 3_000, 120_000, 120_000][random.random_range(0..4)],
        retries: [3, u32::MAX, u32::MAX, u32::MAX][random.random_range(0..4)],
        request_timeout_ms: [300, 1_500][random.random_range(0..2)],
        seed: random.random_range(0..u64::MAX),
        ..Settings::default()
    }
}

fn profile(random: &mut StdRng) -> Profile {
    let mut one_of = |all: &[u64]| all[random.random_range(0..all.len())];
    Profile {
        leg_ms: (0, one_of(&[1, 3, 20])),
        tell_ms: (0, one_of(&[2, 50, 400])),
        serve_ms: (0, one_of(&[0, 1, 10])),
        commit_ms: (0, one_of(&[1, 10, 100])),
        local_ms: (0, one_of(&[0, 0, 1, 5])),
        seal_ms: (0, one_of(&[0, 0, 2, 50])),
        metadata: one_of(&[0, 0, 0, 0, 0, 1]) == 1,
        zk_lag_ms: one_of(&[0, 0, 20, 300]),
        watch_late_ms: one_of(&[0, 0, 5, 200]),
        max_message_bytes: [(1 << 20, 1 << 20), (200, 400), (90, 600)][one_of(&[0, 0, 1, 2]) as usize],
        trouble_one_in: one_of(&[0, 3, 10, 100]) as u32,
        refused_one_in: one_of(&[0, 0, 0, 50]) as u32,
        break_one_in: one_of(&[0, 20, 200]) as u32,
        serial: one_of(&[0, 1]) == 0,
        old_brokers: one_of(&[0, 0, 0, 1]) == 1,
        forgetful_of_offsets: one_of(&[0, 0, 0, 0, 1]) == 1,
        no_producer_id_one_in: one_of(&[0, 2]) as u32,
        first_epoch: one_of(&[0, 0, i16::MAX as u64 - 1]) as i16,
    }
}

impl Chaos {
    pub(crate) fn new(seed: u64, traced: bool) -> Chaos {
        let mut random = StdRng::seed_from_u64(seed);
        let (settings, profile) = (settings(&mut random), profile(&mut random));
        let hurried = settings.delivery_timeout_ms < 100_000;
        let topics: Vec<TopicName> = (0..random.random_range(1..=3)).map(|n| name(&format!("t{n}"))).collect();
        let load = Load {
            topics,
            pause_ms: [2, 20, 200][random.random_range(0..3)],
            burst: [1, 3, 30][random.random_range(0..3)],
            size: [0, 100][random.random_range(0..2)],
            flush_one_in: [0, 5, 50][random.random_range(0..3)],
        };
        let (partitions, with_topics) = (random.random_range(1..=4), random.random_range(0..3) == 0);
        let mut world = World::new(random.random_range(0..u64::MAX), profile, settings);
        world.trace = traced.then(Vec::new);
        Chaos { world, seed, load, partitions, hurried, with_topics }
    }

    pub(crate) fn run(&mut self) {
        let (settings, profile) = (self.world.settings.clone(), self.world.profile.clone());
        self.world.note(|| format!("{settings:?} {profile:?}"));
        for id in 0..self.world.random.random_range(1..=4) {
            self.world.add_broker(id);
        }
        for topic in self.load.topics.clone() {
            let partitions = self.world.random.random_range(1..=self.partitions);
            self.world.create_topic(&topic, partitions);
        }
        match self.world.profile.metadata {
            true => self.world.ask_metadata_soon(),
            false => self.world.reconnect_zookeeper(),
        }
        self.world.start_sending(self.load.clone());
        let gap = [20, 100, 500][self.world.random.random_range(0..3)];
        let end = self.world.now + self.world.random.random_range(500..4_000);
        while self.world.now < end {
            let ms = self.world.random.random_range(0..2 * gap);
            self.world.run_for(ms);
            self.disturb();
        }
        if self.world.one_in(20) {
            self.world.tried.insert("the application waited no longer");
            self.world.abandon();
        }
        self.heal();
        self.check_well();
    }

    fn broker(&mut self) -> BrokerId {
        BrokerId(self.world.random.random_range(0..self.world.brokers.len() as i32))
    }

    /// Something happens.
    fn disturb(&mut self) {
        let id = self.broker();
        let until = self.world.now + self.world.random.random_range(0..1_000);
        match self.world.random.random_range(0..27) {
            0 | 1 => {
                self.world.kill_broker(id);
                let back = self.world.random.random_range(10..4_000);
                self.world.after(back, move |world| world.start_broker(id));
            }
            2 => {
                self.world.kill_broker(id);
                self.world.move_broker(id);
                self.world.start_broker(id);
            }
            3 => self.world.move_broker(id),
            4..=8 => self.move_leader(),
            9 | 10 => self.world.close_lane(id, "connection reset"),
            11 => self.world.brokers.get_mut(&id).expect("it was added").stalled_until = until,
            12 => {
                let ms = self.world.random.random_range(10..400);
                self.world.brokers.get_mut(&id).expect("it was added").slow = (ms, until);
            }
            13..=15 => {
                let away = [0, 5, 200, 5_000][self.world.random.random_range(0..4)];
                self.world.lose_zookeeper(away);
            }
            16 | 17 if self.with_topics => self.replace_topic(),
            18 if self.with_topics => {
                let topic = self.load.topics[self.world.random.random_range(0..self.load.topics.len())].clone();
                let partitions = self.world.random.random_range(1..=self.partitions + 2);
                self.world.grow_topic(&topic, partitions);
            }
            19 => {
                for partition in self.world.partitions() {
                    self.world.forget_producers(&partition);
                }
            }
            20 | 21 => (0..3).for_each(|_| self.disturb()),
            22 => self.world.flush(),
            23 => self.forget_topic(),
            24 | 25 => {
                let topic = self.load.topics[self.world.random.random_range(0..self.load.topics.len())].clone();
                self.world.limit_topic(&topic);
            }
            _ => {}
        }
    }

    /// To a broker that may hear of it long after, to nobody, or to one that is not there.
    fn move_leader(&mut self) {
        let all = self.world.partitions();
        if all.is_empty() {
            return;
        }
        let partition = all[self.world.random.random_range(0..all.len())].clone();
        let late = self.world.one_in(3);
        let leader = match self.world.random.random_range(0..10) {
            0 => None,
            1 => Some(self.broker()).filter(|id| !self.world.brokers[id].up),
            _ => self.world.pick_leader(&partition, None),
        };
        self.world.elect(&partition, leader, late);
    }

    fn replace_topic(&mut self) {
        let topic = self.load.topics[self.world.random.random_range(0..self.load.topics.len())].clone();
        self.world.delete_topic(&topic);
        let partitions = self.world.random.random_range(1..=self.partitions);
        let after = [0, 5, 300, 2_000][self.world.random.random_range(0..4)];
        self.world.after(after, move |world| world.create_topic(&topic, partitions));
    }

    /// The application sends to a topic no more, until it sends again.
    fn forget_topic(&mut self) {
        let topic = self.load.topics[self.world.random.random_range(0..self.load.topics.len())].clone();
        let application = &mut self.world.application;
        let busy = application.open.iter().any(|ticket| application.batches[ticket].partition.topic == topic);
        if !busy && !self.world.profile.metadata && application.used.remove(&topic) {
            self.world.tell_view(ottla_view::Event::TopicUnused(topic));
        }
    }

    /// No more faults: who is away returns, who was to hear something has heard it.
    fn heal(&mut self) {
        let world = &mut self.world;
        world.note(|| "no more faults".into());
        let serial = world.profile.serial;
        let Profile { old_brokers, forgetful_of_offsets, metadata, .. } = world.profile;
        let legs = Profile { leg_ms: (0, 2), tell_ms: (0, 5), ..Profile::default() };
        world.profile = Profile { serial, old_brokers, forgetful_of_offsets, metadata, ..legs };
        for topic in world.topics.values_mut() {
            topic.max_message_bytes = topic.max_message_bytes.max(LARGEST_RECORD);
        }
        world.run_for(4_500);
        world.brokers.keys().copied().collect::<Vec<_>>().into_iter().for_each(|id| world.start_broker(id));
        if !world.profile.metadata {
            world.reconnect_zookeeper();
        }
        world.run_for(500);
        for partition in world.partitions() {
            let leads = world.partition(&partition).and_then(|found| found.leader);
            if leads.is_none_or(|leader| !world.brokers[&leader].up) {
                let leader = world.pick_leader(&partition, None);
                world.elect(&partition, leader, false);
            }
        }
        world.run_for(50);
    }

    fn check_well(&mut self) {
        let world = &mut self.world;
        let faults_end = world.now;
        let mut calm = faults_end;
        if !world.application.closed {
            world.application.sends = false;
            world.flush();
            // Where batches were too large they may have a record each by now, and go one at a time.
            let turns = |world: &World| {
                let small = world.application.batches.values().any(Batch::is_split);
                if small { world.application.open.len() as u64 * TURN_MS } else { 0 }
            };
            let within = WELL_WITHIN_MS + world.settings.request_timeout_ms + turns(world);
            let rest = world.run_while(within, |world| world.at_rest().is_err());
            assert!(rest.is_some(), "not well {within} ms after the last fault: {:?}", world.at_rest());
            calm = world.now;
            world.start_sending(Load { pause_ms: 10, burst: 2, flush_one_in: 0, ..self.load.clone() });
            world.run_for(200);
            world.application.sends = false;
            let within = WELL_WITHIN_CALM_MS + turns(world);
            let rest = world.run_while(within, |world| world.at_rest().is_err());
            assert!(rest.is_some(), "not delivered within {within} ms: {:?}", world.at_rest());
            world.close();
            assert!(world.application.closed, "nothing is left, and closing takes time");
        }
        world.run_for(2_000);
        let view = if world.profile.metadata { Ok(()) } else { world.view_is_true() };
        if let Err(amiss) = world.at_rest().and(view) {
            panic!("not well once it is quiet: {amiss}");
        }
        assert!(
            world.profile.metadata || world.watching.view.is_current(),
            "the view is the tree, and does not say so"
        );
        // Alarms that nobody needs any more may be left, and are not set again.
        let asked = world.watching.asked;
        world.run_for(world.settings.delivery_timeout_ms + 5_000);
        assert_eq!(world.watching.asked, asked, "a view at rest asks");
        assert_eq!(world.producer.next_deadline(), None, "a closed producer waits");
        world.judge_logs();
        self.judge_failures(faults_end, calm);
    }

    /// What nothing stood in the way of is delivered.
    fn judge_failures(&self, faults_end: u64, calm: u64) {
        let application = &self.world.application;
        let told =
            application.batches.iter().flat_map(|(ticket, batch)| batch.told().map(move |of| (ticket, batch, of)));
        for (ticket, batch, (values, Told { outcome, at_ms, .. })) in told {
            let Err(why) = outcome else { continue };
            let excused = match why {
                Failure::Timeout { .. } => self.hurried && batch.opened_ms < calm,
                Failure::Retries { .. } => self.world.settings.retries == 3 && batch.opened_ms < calm,
                Failure::TopicDeleted(_) => self.with_topics && batch.opened_ms < faults_end,
                Failure::Refused { code, .. } => {
                    values.iter().all(|value| application.refused.contains(value))
                        || batch.opened_ms < faults_end && is_in_doubt(batch, *code)
                }
                Failure::Closed => application.closed && *at_ms < faults_end,
                _ => false,
            };
            assert!(excused, "batch {ticket} of {}, opened at {}: {why}", batch.partition, batch.opened_ms);
        }
    }

    pub(crate) fn report(&self) {
        let trace = self.world.trace.as_deref().unwrap_or(&[]);
        let shown = std::env::var("OTTLA_SIMULATION_TRACE").ok().and_then(|lines| lines.parse().ok()).unwrap_or(80);
        for line in &trace[trace.len().saturating_sub(shown)..] {
            eprintln!("{line}");
        }
        eprintln!("seed {}", self.seed);
    }
}

/// Runs a seed and says what happened; one that fails is run again with a trace.
pub(crate) fn run(seed: u64) -> BTreeSet<&'static str> {
    let attempt = |traced| {
        let mut chaos = Chaos::new(seed, traced);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| chaos.run()));
        (chaos, outcome)
    };
    let (chaos, outcome) = attempt(false);
    if outcome.is_err() {
        let (chaos, outcome) = attempt(true);
        chaos.report();
        let panic = outcome.expect_err("a seed is one run, whether it is traced or not");
        std::panic::resume_unwind(panic);
    }
    chaos.world.tried
}
