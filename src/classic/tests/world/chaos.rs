//! Everything goes wrong in an order that a seed decides; then the faults stop and all must be well again.

use ottla_classic::{Settings, Subscription};
use ottla_types::{TopicName, TopicPartition};
use rand::RngExt;
use zk_schema::consumer_plan;
use zk_schema::consumers::member_path;

use super::topics::name;
use super::{ClientId, GROUP, Profile, World, foreign};

/// Within what time after the last fault all must be well, ms. Old members wait two seconds between their tries.
const WELL_WITHIN_MS: u64 = 3_000;
const WELL_WITHIN_OLD_MS: u64 = 90_000;

pub(crate) struct Chaos {
    pub(crate) world: World,
    seed: u64,
    members: usize,
    with_old: bool,
    assignors: &'static [&'static str],
    topics: Vec<TopicName>,
    partitions: i32,
    /// Connections break again and again.
    flaky: bool,
    joined: usize,
    foreign: Vec<i64>,
    token: u64,
}

impl Chaos {
    pub(crate) fn new(seed: u64, traced: bool) -> Chaos {
        let mut world = World::new(seed, Profile::default());
        world.trace = traced.then(Vec::new);
        let random = &mut world.random;
        let most = [1, 5, 30][random.random_range(0..3)];
        let profile = Profile {
            leg_ms: (0, most),
            slow_one_in: [0, 0, 20, 200][random.random_range(0..4)],
            late_ms: [0, 0, 300, 2_000][random.random_range(0..4)],
            shuffle: random.random_range(0..2) == 0,
            tick_ms: 100,
            batch: 50,
            local_ms: [0, 5, 50][random.random_range(0..3)],
        };
        let members = match random.random_range(0..100) {
            0 => random.random_range(20..=50),
            1..=10 => random.random_range(6..=16),
            _ => random.random_range(1..=5),
        };
        let with_old = members < 8 && random.random_range(0..4) == 0;
        let assignors: &[&str] = match random.random_range(0..8) {
            0 => &[ottla_classic::RANGE],
            1 => &[ottla_classic::RANGE, ottla_classic::STICKY],
            _ => &[ottla_classic::STICKY],
        };
        let topics = (0..random.random_range(1..=3)).map(|n| name(&format!("t{n}"))).collect();
        let partitions = random.random_range(1..=(members as i32 * 2).clamp(4, 12));
        let flaky = random.random_range(0..4) == 0;
        world.profile = profile;
        let (joined, foreign) = (0, vec![]);
        Chaos { world, seed, members, with_old, assignors, topics, partitions, flaky, joined, foreign, token: 0 }
    }

    pub(crate) fn run(&mut self) {
        for topic in self.topics.clone() {
            let partitions = self.world.random.random_range(1..=self.partitions);
            self.world.create_topic(topic, partitions, 40);
        }
        for _ in 0..self.members {
            self.join();
            let ms = self.world.random.random_range(0..200);
            self.world.run_for(ms);
        }
        let gap = [100, 400, 2_000][self.world.random.random_range(0..3)];
        let end = self.world.now + self.world.random.random_range(2_000..20_000);
        while self.world.now < end {
            let ms = self.world.random.random_range(0..2 * gap);
            self.world.run_for(ms);
            self.disturb();
            if self.flaky {
                // Soon after, so that it meets what that began.
                let ms = self.world.random.random_range(0..4 * self.world.profile.leg_ms.1 + 30);
                self.world.run_for(ms);
                if let Some(id) = self.pick(&self.world.alive()) {
                    let away_ms = self.world.random.random_range(0..20);
                    self.world.lose(id, away_ms);
                }
            }
        }
        self.heal();
        self.check_well();
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() {
            return None;
        }
        Some(from[self.world.random.random_range(0..from.len())].clone())
    }

    fn join(&mut self) {
        let random = &mut self.world.random;
        let timeout_ms = [2_000, 4_000, 6_000][random.random_range(0..3)];
        let host = format!("h{}", random.random_range(0..20));
        self.joined += 1;
        if self.with_old && random.random_range(0..2) == 0 {
            let topics = self.topics.iter().map(|topic| (topic.clone(), random.random_range(1..=2))).collect();
            let in_two_steps = random.random_range(0..3) == 0;
            self.world.join_old(&host, topics, in_two_steps, timeout_ms);
            return;
        }
        let streams = random.random_range(1..=2);
        let subscription = match random.random_range(0..3) {
            0 => Subscription::white_list("t.*", streams, true),
            1 => Subscription::topics(self.topics.iter().map(|topic| (topic.clone(), streams))),
            _ => Subscription::topics([(self.topics[0].clone(), streams)]),
        };
        let mut settings = Settings::new(GROUP, subscription.expect("a good subscription"));
        settings.commit_interval_ms = [None, Some(500), Some(2_000)][random.random_range(0..3)];
        settings.assignor = self.assignors[random.random_range(0..self.assignors.len())].into();
        self.world.join(&host, settings, timeout_ms);
    }

    fn new_ones(&self) -> Vec<ClientId> {
        let new = |id: &ClientId| self.world.clients[*id].new_program().is_some();
        self.world.alive().into_iter().filter(new).collect()
    }

    fn partition(&mut self) -> Option<TopicPartition> {
        self.pick(&self.world.topics.partitions())
    }

    /// Something happens.
    fn disturb(&mut self) {
        let alive = self.world.alive();
        let Some(id) = self.pick(&alive) else { return self.join() };
        let few = alive.len() <= 1 + self.members / 2;
        match self.world.random.random_range(0..32) {
            0..=2 if alive.len() < self.members + 2 => self.join(),
            3 | 4 if !few => {
                let commit = !self.world.one_in(4);
                self.world.close(id, commit);
            }
            5 if !few => self.world.kill(id),
            6 if !few => self.kill_planner(),
            7..=9 => {
                let away_ms = [0, 10, 300, 8_000][self.world.random.random_range(0..4)];
                self.world.lose(id, away_ms);
            }
            10 | 11 => {
                let ms = [50, 1_000, 5_000, 9_000][self.world.random.random_range(0..4)];
                self.world.pause(id, ms);
            }
            12 => self.replace_topic(),
            13 => {
                if let Some(topic) = self.pick(&self.topics.clone()) {
                    let partitions = self.world.random.random_range(1..=self.partitions + 2);
                    self.world.grow_topic(&topic, partitions);
                }
            }
            14..=16 => {
                if let Some(id) = self.pick(&self.new_ones()) {
                    self.token += 1;
                    self.world.ask_commit(id, self.token);
                }
            }
            17 => {
                if let Some(id) = self.pick(&self.new_ones()) {
                    let by = self.world.random.random_range(1..100);
                    self.world.seek_back(id, by);
                }
            }
            18..=21 => self.meddle_with_partition(),
            22..=24 => self.meddle_with_group(),
            25 | 26 => self.register_foreign(),
            27..=29 => {
                if let Some(session) = self.pick(&self.foreign.clone()) {
                    self.foreign.retain(|known| *known != session);
                    self.world.end_foreign(session);
                }
            }
            // Several at once.
            30 => (0..3).for_each(|_| self.disturb()),
            _ => {}
        }
    }

    fn kill_planner(&mut self) {
        let Some((planner, _)) = self.world.zk.node(&consumer_plan::planner_path(GROUP)) else { return };
        let planner = String::from_utf8_lossy(&planner).into_owned();
        let found = self.new_ones().into_iter().find(|id| self.world.consumer_id(*id) == planner);
        if let Some(id) = found {
            self.world.kill(id);
        }
    }

    fn replace_topic(&mut self) {
        let Some(topic) = self.pick(&self.topics.clone()) else { return };
        if !self.world.topics.all.contains_key(&topic) {
            return;
        }
        self.world.delete_topic(&topic);
        let partitions = self.world.random.random_range(1..=self.partitions);
        let after = self.world.now + self.world.random.random_range(1_000..4_000);
        self.world.do_at(after, move |world| world.create_topic(topic, partitions, 40));
    }

    fn meddle_with_partition(&mut self) {
        let Some(partition) = self.partition() else { return };
        match self.world.random.random_range(0..6) {
            0 => self.world.remove_owner(&partition),
            1 => {
                let text = ["p", "b'kafka-0'", "h1:x-0", ""][self.world.random.random_range(0..4)];
                let session = self.world.claim_foreign(&partition, text);
                self.foreign.push(session);
            }
            2 | 3 => {
                let (end, _) = self.world.topics.end(&partition, self.world.now).unwrap_or((0, 0));
                let offset = self.world.random.random_range(0..=end);
                self.world.move_offset(&partition, offset);
            }
            4 => {
                let garbage: &[u8] = [&b"x"[..], b"", b"1.5", b"\xff"][self.world.random.random_range(0..4)];
                self.world.write_offset(&partition, garbage);
            }
            _ => self.world.delete_offset(&partition),
        }
    }

    fn meddle_with_group(&mut self) {
        match self.world.random.random_range(0..5) {
            0 => self.world.remove(&consumer_plan::path(GROUP)),
            1 => {
                let garbage: &[u8] =
                    [&b""[..], b"{}", b"\xff", b"{\"generation\":1}"][self.world.random.random_range(0..4)];
                self.world.break_plan(garbage);
            }
            2 => self.world.remove(&consumer_plan::planner_path(GROUP)),
            _ => {
                if let Some(id) = self.pick(&self.new_ones()) {
                    let path = member_path(GROUP, self.world.consumer_id(id));
                    self.world.remove(&path);
                }
            }
        }
    }

    fn register_foreign(&mut self) {
        self.joined += 1;
        let id = format!("foreign-{}", self.joined);
        let session = match self.world.random.random_range(0..4) {
            0 => self.world.register_foreign(&id, foreign::BARE_TEXT),
            1 => self.world.register_foreign(&id, foreign::OF_ANOTHER),
            // kafka-node creates the node first and fills it then.
            2 => {
                let session = self.world.register_foreign(&id, b"");
                let after = self.world.now + self.world.random.random_range(0..100);
                self.world.do_at(after, move |world| world.write_registration(&id, foreign::OF_ANOTHER));
                session
            }
            _ => self.world.register_foreign(&id, b""),
        };
        self.foreign.push(session);
    }

    /// No more faults: who is away returns, other hands let go.
    fn heal(&mut self) {
        self.world.note(|| "no more faults".into());
        self.world.run_for(10_000);
        for session in std::mem::take(&mut self.foreign) {
            self.world.end_foreign(session);
        }
        self.world.mend_offsets();
        self.world.profile.slow_one_in = 0;
        if self.world.alive().is_empty() {
            self.join();
        }
    }

    fn check_well(&mut self) {
        let old = self.world.alive().iter().any(|id| self.world.clients[*id].new_program().is_none());
        let within = if old { WELL_WITHIN_OLD_MS } else { WELL_WITHIN_MS };
        let begin = self.world.now;
        let mut rest = self.world.settled();
        while rest.is_err() && self.world.now < begin + within {
            self.world.run_for(200);
            rest = self.world.settled();
            // An old member that has given up takes part again when something changes.
            if old && rest.is_err() && (self.world.now - begin).is_multiple_of(15_000) {
                let session = self.world.register_foreign("passer-by", foreign::OF_ANOTHER);
                self.world.end_foreign(session);
            }
        }
        if old && rest.is_err() {
            rest = self.world.settled_but_for_old_ones();
            if rest.is_ok() {
                return;
            }
        }
        if let Err(amiss) = rest {
            panic!("not well {} ms after the last fault: {amiss}", self.world.now - begin);
        }
        self.world.topics.still_from_ms = Some(self.world.now);
        // Each partition is behind by what nobody handed out in between, and is read faster than it grew.
        self.world.run_while(60_000, 100, |world| world.all_consumed().is_err());
        for id in self.new_ones() {
            self.token += 1;
            self.world.ask_commit(id, self.token);
        }
        self.world.run_for(2_000);
        if let Err(amiss) = self.world.settled().and_then(|()| self.world.all_consumed()) {
            panic!("not well once at rest: {amiss}");
        }
        for id in self.new_ones() {
            let left = &self.world.consumer(id).asked;
            assert!(left.is_empty(), "{id} never answered the commits {left:?}");
        }
        if !old {
            self.world.all_committed().unwrap_or_else(|amiss| panic!("not well once at rest: {amiss}"));
            let before = self.world.zk.counts.asked;
            self.world.run_for(2_000);
            assert_eq!(self.world.zk.counts.asked, before, "a group at rest asks for more than its heartbeats");
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

/// Runs a seed; one that fails is run again with a trace.
pub(crate) fn run(seed: u64) {
    let attempt = |traced| {
        let mut chaos = Chaos::new(seed, traced);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| chaos.run()));
        (chaos, outcome)
    };
    if attempt(false).1.is_err() {
        let (chaos, outcome) = attempt(true);
        chaos.report();
        let panic = outcome.expect_err("a seed is one run, whether it is traced or not");
        std::panic::resume_unwind(panic);
    }
}
