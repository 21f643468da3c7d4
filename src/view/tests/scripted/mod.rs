//! A small world for the golden scripts: one view with a driver that does as it is told, in the order in which it was.

mod print;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ottla_types::{TopicName, TopicPartition};
use ottla_view::{Cluster, Effect, Event, Settings, View};
use ottla_znodes::{Failure, Refusal, Request, RequestId};

use crate::zookeeper::{Fired, ZooKeeper};

/// What happens next.
enum Next {
    Event(Event),
    Request { session: i64, id: RequestId, request: Request },
}

pub(crate) struct World {
    zk: ZooKeeper,
    now_ms: u64,
    view: View,
    /// All changes that were told, applied.
    told: Cluster,
    session: i64,
    brokers: BTreeMap<i32, i64>,
    used: BTreeSet<TopicName>,
    names_wanted: bool,
    /// Watches that fire are not told.
    pub(crate) deaf: bool,
    /// One of them was not, and the view cannot know it yet.
    missed: bool,
    /// Paths that may not be read, and ZooKeeper's code.
    pub(crate) refused: BTreeMap<String, i32>,
    next: VecDeque<Next>,
    /// Answers that are on their way for long.
    late: Vec<Next>,
    /// There is no connection.
    pub(crate) cut: bool,
    requests: usize,
    pub(crate) trace: Vec<String>,
}

impl World {
    pub(crate) fn new() -> World {
        World {
            zk: ZooKeeper::new(),
            now_ms: 0,
            view: View::new(Settings::default()),
            told: Cluster::default(),
            session: 0,
            brokers: BTreeMap::new(),
            used: BTreeSet::new(),
            names_wanted: false,
            deaf: false,
            missed: false,
            refused: BTreeMap::new(),
            next: VecDeque::new(),
            late: vec![],
            cut: false,
            requests: 0,
            trace: vec![],
        }
    }

    pub(crate) fn register(&mut self, id: i32, registration: &[u8]) {
        let zk = &mut self.zk;
        let owner = *self.brokers.entry(id).or_insert_with(|| zk.begin());
        let events = self.zk.put(Some(owner), &format!("/brokers/ids/{id}"), registration);
        self.fire(events);
    }

    pub(crate) fn stop(&mut self, id: i32) {
        let session = self.brokers.remove(&id).expect("it runs");
        let events = self.zk.end(session);
        self.fire(events);
    }

    pub(crate) fn put(&mut self, path: &str, data: &[u8]) {
        let events = self.zk.put(None, path, data);
        self.fire(events);
    }

    pub(crate) fn remove(&mut self, path: &str) {
        let events = self.zk.remove(path);
        self.fire(events);
    }

    fn fire(&mut self, events: Fired) {
        let session = self.session;
        for (_, event) in events.into_iter().filter(|(of, _)| *of == session) {
            match self.deaf {
                true => self.missed = true,
                false => self.event(event),
            }
        }
    }

    pub(crate) fn start_session(&mut self) {
        self.session = self.zk.begin();
        self.event(Event::SessionStarted);
    }

    pub(crate) fn expire(&mut self) {
        let events = self.zk.end(self.session);
        self.fire(events);
        self.session = 0;
        self.missed = false;
        self.event(Event::SessionExpired);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.next.push_back(Next::Event(event));
    }

    pub(crate) fn reconnect(&mut self) {
        self.missed = false;
        self.event(Event::Reconnected);
    }

    pub(crate) fn doubt(&mut self, partition: TopicPartition) {
        self.missed = false;
        self.event(Event::Doubted(partition));
    }

    pub(crate) fn use_topic(&mut self, name: TopicName) {
        self.used.insert(name.clone());
        self.event(Event::TopicUsed(name));
    }

    pub(crate) fn forget_topic(&mut self, name: TopicName) {
        self.used.remove(&name);
        self.event(Event::TopicUnused(name));
    }

    pub(crate) fn want_names(&mut self) {
        self.names_wanted = true;
        self.event(Event::TopicNamesWanted);
    }

    /// The first requests that are held are lost, each done or not.
    pub(crate) fn lose(&mut self, mut count: usize, done: bool, failure: Failure) {
        for next in std::mem::take(&mut self.next) {
            self.next.push_back(match next {
                Next::Request { session, id, request } if count > 0 => {
                    count -= 1;
                    self.trace.push(format!("lost: {}", print::request(&request)));
                    if done {
                        _ = self.zk.ask(session, &request);
                    }
                    Next::Event(Event::Answered { request: id, outcome: Err(failure.clone()) })
                }
                other => other,
            });
        }
    }

    /// One request is done and answered before whatever else is held.
    pub(crate) fn answer(&mut self, first: bool) {
        let next = if first { self.next.pop_front() } else { self.next.pop_back() };
        let held = std::mem::take(&mut self.next);
        self.perform(next.expect("something is held"));
        self.run_events();
        self.next.extend(held);
    }

    /// The first request is done; its answer waits.
    pub(crate) fn perform_first(&mut self) {
        let next = self.next.pop_front().expect("something is held");
        let before = self.next.len();
        self.perform(next);
        self.late.extend(self.next.drain(before..));
    }

    /// Until nothing happens any more at this time.
    pub(crate) fn run(&mut self) {
        self.next.extend(self.late.drain(..));
        for happened in 0.. {
            let Some(next) = self.next.pop_front() else { break };
            assert!(happened < 10_000, "it never ends");
            self.perform(next);
        }
    }

    /// Only the events that happened already: the requests that follow from them stay under way.
    pub(crate) fn run_events(&mut self) {
        let mut requests = VecDeque::new();
        while let Some(next) = self.next.pop_front() {
            match next {
                Next::Event(event) => self.step(event),
                request => requests.push_back(request),
            }
        }
        self.next = requests;
    }

    fn perform(&mut self, next: Next) {
        match next {
            Next::Event(event) => self.step(event),
            Next::Request { session, id, request } => {
                let refused = |(path, code): (&String, &i32)| request_path(&request).eq(path).then_some(*code);
                let outcome = match self.refused.iter().find_map(refused) {
                    _ if self.cut => Err(Failure::Unknown),
                    Some(code) => Err(Failure::Refused { at: 0, why: Refusal::Other(code) }),
                    None => self.zk.ask(session, &request).0,
                };
                if let Err(failure) = &outcome {
                    self.trace.push(format!("  {} <- {}", print::failure(failure), print::request(&request)));
                }
                self.next.push_back(Next::Event(Event::Answered { request: id, outcome }));
            }
        }
    }

    pub(crate) fn sleep(&mut self, ms: u64) {
        let until_ms = self.now_ms + ms;
        for woken in 0.. {
            self.run();
            let Some(at) = self.view.next_deadline().filter(|at| *at <= until_ms) else { break };
            assert!(woken < 10_000, "a deadline does not pass");
            self.now_ms = self.now_ms.max(at);
            self.step(Event::TimePassed);
        }
        self.now_ms = until_ms;
    }

    fn step(&mut self, event: Event) {
        let mut out = Vec::new();
        self.view.step(self.now_ms, event, &mut out);
        for effect in out {
            self.trace.push(print::effect(&effect));
            match effect {
                Effect::Send { id, request } => {
                    self.requests += 1;
                    self.next.push_back(Next::Request { session: self.session, id, request });
                }
                Effect::Changed(change) => self.told.apply(&change),
                Effect::Report(_) => {}
            }
        }
    }

    /// What must hold after each command.
    pub(crate) fn check(&self) {
        assert_eq!(*self.view.cluster(), self.told, "what was told is not what is known");
        if self.view.is_current() && !self.missed {
            let known = self.view.cluster();
            assert_eq!(self.zk.differences(known, &self.used, self.names_wanted), [""; 0]);
        }
    }

    /// Requests since the last count, and the watches that are set.
    pub(crate) fn count(&mut self) {
        self.trace.push(format!("{} requests", std::mem::take(&mut self.requests)));
    }

    pub(crate) fn show(&mut self) {
        self.trace.extend(print::cluster(self.view.cluster()));
        self.trace.push(if self.view.is_current() { "current" } else { "not current" }.into());
    }
}

fn request_path(request: &Request) -> &str {
    match request {
        Request::Get { path, .. } | Request::Exists { path, .. } | Request::Children { path, .. } => path,
        Request::Sync { .. } | Request::Write(_) => "",
    }
}
