//! A view, its driver and ZooKeeper, with all that can go wrong between them.

mod cluster;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ottla_types::{TopicName, TopicPartition};
use ottla_view::{Change, Cluster, Effect, Event, Settings, Topic, View};
use ottla_znodes::{Failure, Refusal, Reply, Request, RequestId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::zookeeper::{Fired, ZooKeeper};

/// Most deliveries and deadlines from the last change until all is read.
const QUIET_WITHIN: usize = 3_000;

pub(crate) struct World {
    pub(crate) random: StdRng,
    seed: u64,
    now_ms: u64,
    zk: ZooKeeper,
    view: View,
    /// All changes that were told, applied.
    told: Cluster,
    session: Option<i64>,
    connected: bool,
    /// Sent and not done yet, with the session in which that was.
    asked: Vec<(Option<i64>, RequestId, Request)>,
    /// Done and not heard of yet.
    answers: Vec<(RequestId, Result<Reply, Failure>)>,
    /// Watches that fired and were not heard of yet.
    fired: Vec<Event>,
    /// What happened to the session, in order.
    session_events: VecDeque<Event>,
    /// Watches that fired and never will be heard of: a broker will deny what is known.
    denied: Vec<TopicPartition>,
    /// What ZooKeeper does not let be read.
    refused: BTreeSet<String>,
    brokers: BTreeMap<i32, i64>,
    used: BTreeSet<TopicName>,
    names_wanted: bool,
    /// When each topic was created that was there at the last claim, and those of which was told since that they are not.
    created: BTreeMap<TopicName, i64>,
    told_missing: BTreeSet<TopicName>,
    pub(crate) claims: u64,
    pub(crate) changes: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let mut world = World {
            random: StdRng::seed_from_u64(seed),
            seed,
            now_ms: 0,
            zk: ZooKeeper::new(),
            view: View::new(Settings::default()),
            told: Cluster::default(),
            session: None,
            connected: true,
            asked: vec![],
            answers: vec![],
            fired: vec![],
            session_events: VecDeque::new(),
            denied: vec![],
            refused: BTreeSet::new(),
            brokers: BTreeMap::new(),
            used: BTreeSet::new(),
            names_wanted: false,
            created: BTreeMap::new(),
            told_missing: BTreeSet::new(),
            claims: 0,
            changes: 0,
        };
        world.begin_session();
        world
    }

    fn one_in(&mut self, many: u32) -> bool {
        self.random.random_range(0..many) == 0
    }

    fn topic(&mut self) -> TopicName {
        TopicName::new(["t", "u", "v", "w"][self.random.random_range(0..4)]).expect("it is a name")
    }

    /// Anything.
    pub(crate) fn happen(&mut self) {
        self.now_ms += self.random.random_range(0..20);
        match self.random.random_range(0..100) {
            0..25 => self.change_cluster(),
            25..30 => {
                let name = self.topic();
                self.used.insert(name.clone());
                self.step(Event::TopicUsed(name));
            }
            30 => {
                let name = self.topic();
                self.used.remove(&name);
                self.step(Event::TopicUnused(name));
            }
            31 if self.one_in(3) => {
                self.names_wanted = true;
                self.step(Event::TopicNamesWanted);
            }
            32 if self.connected => self.cut(),
            33 if self.one_in(3) => self.expire(),
            34 => {
                // Without reason.
                let partition = TopicPartition::new(self.topic(), self.random.random_range(0..4));
                self.step(Event::Doubted(partition));
            }
            35 => self.lose_one(),
            36 => {
                // A watch that cannot be trusted any more.
                let path = zk_schema::broker_topics::path(&self.topic());
                self.step(Event::Changed { path, children: false });
            }
            37 if self.one_in(2) => self.toggle_refusal(),
            38 => self.miss_one(),
            39 => self.now_ms += 1_000,
            // For a moment nothing changes.
            40 => (0..100).for_each(|_| self.deliver()),
            _ => self.deliver(),
        }
        self.check();
    }

    fn begin_session(&mut self) {
        self.session = Some(self.zk.begin());
        self.connected = true;
        self.session_events.push_back(Event::SessionStarted);
    }

    /// The connection is gone: what was under way is done or not, and not heard of.
    fn cut(&mut self) {
        self.connected = false;
        for (session, id, request) in std::mem::take(&mut self.asked) {
            match self.one_in(3) {
                // It waits for the connection.
                true => self.asked.push((session, id, request)),
                false => self.lose(session, id, &request),
            }
        }
        for (_, outcome) in &mut self.answers {
            *outcome = Err(Failure::Unknown);
        }
        // Not heard of, unless they were on their way already.
        let random = &mut self.random;
        self.fired.retain(|_| random.random_range(0..2) == 0);
    }

    fn lose(&mut self, session: Option<i64>, id: RequestId, request: &Request) {
        if let Some(session) = session.filter(|_| self.one_in(2)) {
            _ = self.zk.ask(session, request);
        }
        self.answers.push((id, Err(Failure::Unknown)));
    }

    fn lose_one(&mut self) {
        if let Some((session, id, request)) = take(&mut self.random, &mut self.asked) {
            self.lose(session, id, &request);
        }
    }

    fn reconnect(&mut self) {
        self.connected = true;
        self.session_events.push_back(Event::Reconnected);
    }

    fn expire(&mut self) {
        let Some(session) = self.session.take() else { return };
        _ = self.zk.end(session);
        self.fired.clear();
        for (_, outcome) in &mut self.answers {
            if self.random.random_range(0..2) == 0 {
                *outcome = Err(Failure::Expired);
            }
        }
        self.session_events.push_back(Event::SessionExpired);
    }

    fn toggle_refusal(&mut self) {
        let name = self.topic();
        let state = zk_schema::partition_state::path(&TopicPartition::new(name.clone(), 0));
        let path = match self.random.random_range(0..5) {
            0 => "/brokers/ids".into(),
            1 => "/brokers/topics".into(),
            2 => "/brokers/ids/1".into(),
            3 => zk_schema::broker_topics::path(&name),
            _ => state,
        };
        if !self.refused.remove(&path) {
            self.refused.insert(path);
        }
    }

    /// A watch that fired is lost without a word, and a broker denies what is known since.
    fn miss_one(&mut self) {
        let of = |event: &Event| match event {
            Event::Changed { path, .. } => zk_schema::partition_state::parse_path(path)
                .or_else(|| Some(TopicPartition::new(zk_schema::broker_topics::parse_path(path)?, 0))),
            _ => None,
        };
        let found = self.fired.iter().enumerate().find_map(|(at, event)| Some((at, of(event)?)));
        if let Some((at, partition)) = found {
            self.fired.swap_remove(at);
            self.denied.push(partition);
        }
    }

    /// One thing that was under way comes about, whichever.
    fn deliver(&mut self) {
        if self.view.next_deadline().is_some_and(|at| at <= self.now_ms) && self.one_in(2) {
            self.step(Event::TimePassed);
        }
        let session = self.session.is_none() || !self.connected || !self.session_events.is_empty();
        let weights = [
            usize::from(session),
            2 * self.fired.len().min(2),
            self.denied.len(),
            2 * self.asked.len().min(2),
            2 * self.answers.len().min(2),
        ];
        let all: usize = weights.iter().sum();
        if all == 0 {
            return;
        }
        let mut drawn = self.random.random_range(0..all);
        let found = weights.iter().position(|weight| match drawn.checked_sub(*weight) {
            Some(left) => {
                drawn = left;
                false
            }
            None => true,
        });
        match found {
            Some(0) => self.deliver_session(),
            Some(1) => {
                let event = take(&mut self.random, &mut self.fired).expect("there are some");
                self.step(event);
            }
            Some(2) => {
                let partition = take(&mut self.random, &mut self.denied).expect("there are some");
                self.step(Event::Doubted(partition));
            }
            Some(3) => self.perform(),
            _ => {
                let (request, outcome) = take(&mut self.random, &mut self.answers).expect("there are some");
                self.step(Event::Answered { request, outcome });
            }
        }
        self.check();
    }

    fn deliver_session(&mut self) {
        match self.session_events.pop_front() {
            Some(event) => {
                if event == Event::SessionStarted {
                    // The driver drops what was watched before.
                    self.fired.clear();
                }
                self.step(event);
            }
            None if self.session.is_none() => self.begin_session(),
            None => self.reconnect(),
        }
    }

    fn perform(&mut self) {
        let Some((session, id, request)) = take(&mut self.random, &mut self.asked) else { return };
        let Some(session) = session.filter(|_| session == self.session) else {
            return self.answers.push((id, Err(Failure::Expired)));
        };
        if !self.connected {
            return self.asked.push((Some(session), id, request));
        }
        let path = match &request {
            Request::Get { path, .. } | Request::Exists { path, .. } | Request::Children { path, .. } => path,
            Request::Sync { .. } | Request::Write(_) => "",
        };
        let outcome = match self.refused.contains(path) {
            true => Err(Failure::Refused { at: 0, why: Refusal::Other(-102) }),
            false => self.zk.ask(session, &request).0,
        };
        self.answers.push((id, outcome));
    }

    /// A watch may fire; without a connection nobody hears of it.
    fn fire(&mut self, events: Fired) {
        for (session, event) in events {
            if Some(session) == self.session && self.connected {
                self.fired.push(event);
            }
        }
    }

    fn step(&mut self, event: Event) {
        let mut out = vec![];
        self.view.step(self.now_ms, event, &mut out);
        for effect in out {
            match effect {
                Effect::Send { id, request } => {
                    self.check_needed(&request);
                    self.asked.push((self.session, id, request));
                }
                Effect::Changed(change) => {
                    self.changes += 1;
                    let before = self.told.clone();
                    self.told.apply(&change);
                    if let Change::Topic { name, topic: Topic::Missing } | Change::TopicForgotten { name } = &change {
                        self.told_missing.insert(name.clone());
                    }
                    assert_ne!(before, self.told, "seed {}: {change:?} is none", self.seed);
                }
                Effect::Report(_) => {}
            }
        }
        let due = self.view.next_deadline().is_some_and(|at| at <= self.now_ms);
        assert!(!due, "seed {}: what is due is not done by a step", self.seed);
    }

    /// Nothing is read that is not in use.
    fn check_needed(&self, request: &Request) {
        let (Request::Get { path, watch } | Request::Exists { path, watch } | Request::Children { path, watch }) =
            request
        else {
            return;
        };
        let needed = match path.strip_prefix("/brokers/topics") {
            None => path.starts_with("/brokers/ids"),
            Some("") => self.names_wanted,
            Some(below) => {
                let name = below[1..].split('/').next().expect("there is a first");
                self.used.contains(name)
            }
        };
        assert!(needed && *watch, "seed {}: {request:?}", self.seed);
    }

    /// What must hold at any time.
    fn check(&mut self) {
        assert_eq!(*self.view.cluster(), self.told, "seed {}: what was told is not what is known", self.seed);
        let heard = self.fired.is_empty() && self.session_events.is_empty() && self.denied.is_empty();
        if self.view.is_current() && heard && self.connected && self.session.is_some() {
            self.claims += 1;
            let differences = self.zk.differences(self.view.cluster(), &self.used, self.names_wanted);
            assert!(differences.is_empty(), "seed {}: it claims to be current: {differences:#?}", self.seed);
            self.check_created();
        }
    }

    /// A topic that was made again was told as missing in between.
    fn check_created(&mut self) {
        let mut created = BTreeMap::new();
        let known = self.told.topics.iter().filter(|(_, topic)| **topic != Topic::Missing);
        for (name, _) in known {
            if let Some(node) = self.zk.tree.node(&zk_schema::broker_topics::path(name)) {
                let czxid = node.stat().czxid;
                let same = self.created.get(name).is_none_or(|before| *before == czxid);
                assert!(same || self.told_missing.contains(name), "seed {}: {name} is another", self.seed);
                created.insert(name.clone(), czxid);
            }
        }
        self.created = created;
        self.told_missing.clear();
    }

    /// Nothing changes any more, nothing fails: everything becomes known.
    pub(crate) fn become_quiet(&mut self) {
        self.refused.clear();
        self.mend();
        let mut left = QUIET_WITHIN;
        while !self.is_quiet() {
            left -= 1;
            assert!(left > 0, "seed {}: it is never quiet", self.seed);
            let nothing = self.asked.is_empty() && self.answers.is_empty() && self.fired.is_empty();
            if let Some(at) = self.view.next_deadline().filter(|_| nothing) {
                self.now_ms = self.now_ms.max(at);
            }
            self.deliver();
        }
        let differences = self.zk.differences(self.view.cluster(), &self.used, self.names_wanted);
        assert!(differences.is_empty(), "seed {}: all is quiet: {differences:#?}", self.seed);
        assert!(self.view.is_current(), "seed {}: all is quiet, and it is not current", self.seed);
        assert_eq!(self.told.topics.len(), self.used.len());
    }

    fn is_quiet(&self) -> bool {
        let under_way = self.asked.len() + self.answers.len() + self.fired.len() + self.denied.len();
        under_way == 0
            && self.session_events.is_empty()
            && self.connected
            && self.session.is_some()
            && self.view.next_deadline().is_none()
    }
}

fn take<T>(random: &mut StdRng, from: &mut Vec<T>) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(random.random_range(0..from.len())))
}
