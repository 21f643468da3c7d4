//! A small world for the golden scripts: members with drivers that do as they are told, in the order in which they were.

mod ensemble;
pub(crate) mod print;

use std::collections::{BTreeMap, VecDeque};

use ottla_classic::{Effect, Event, Member, Position, Settings};
use ottla_types::{Offset, TopicName, TopicPartition};
use ottla_znodes::{Failure, Request, RequestId};

use ensemble::Ensemble;

/// The wall clock when the script begins.
const WALL_MS: i64 = 1_700_000_000_000;
const TIMEOUT_MS: u64 = 6000;

pub(crate) struct Client {
    member: Member,
    /// What `consumer.id` says.
    fixed_id: Option<String>,
    pub(crate) session: i64,
    sessions: usize,
    positions: BTreeMap<TopicPartition, Position>,
    /// Stops wait for the script.
    pub(crate) slow: bool,
    /// Starts wait for the script.
    pub(crate) lost_leader: bool,
    requests: usize,
}

/// What happens next.
enum Next {
    Event(String, Event),
    Request { name: String, session: i64, sent_ms: u64, id: RequestId, request: Request },
}

pub(crate) struct World {
    pub(crate) zk: Ensemble,
    pub(crate) now_ms: u64,
    pub(crate) clients: BTreeMap<String, Client>,
    /// Old members and the like: but a session.
    pub(crate) others: BTreeMap<String, i64>,
    last_session: i64,
    next: VecDeque<Next>,
    pub(crate) starts: BTreeMap<TopicPartition, Offset>,
    pub(crate) show_leases: bool,
    pub(crate) trace: Vec<String>,
}

pub(crate) fn partition(name: &str) -> TopicPartition {
    let (topic, index) = name.rsplit_once('-').expect("topic-partition");
    TopicPartition::new(TopicName::new(topic).expect("a topic"), index.parse().expect("a partition"))
}

impl World {
    pub(crate) fn new() -> World {
        let mut world = World {
            zk: Ensemble::new(),
            now_ms: 0,
            clients: BTreeMap::new(),
            others: BTreeMap::new(),
            last_session: 0,
            next: VecDeque::new(),
            starts: BTreeMap::new(),
            show_leases: false,
            trace: vec![],
        };
        world.put(None, "/consumers", "");
        world.put(None, "/brokers/topics", "");
        world
    }

    pub(crate) fn put(&mut self, session: Option<i64>, path: &str, data: &str) {
        let events = self.zk.put(self.now_ms, session, path, data);
        self.tell(events);
    }

    pub(crate) fn remove(&mut self, path: &str) {
        let events = self.zk.remove(self.now_ms, path);
        self.tell(events);
    }

    /// A node and all below it.
    pub(crate) fn wipe(&mut self, path: &str) {
        let below = |(at, _): (&str, _)| (at == path || at.starts_with(&format!("{path}/"))).then(|| at.to_owned());
        let mut paths: Vec<String> = self.zk.tree.nodes().filter_map(below).collect();
        paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
        paths.iter().for_each(|path| self.remove(path));
    }

    fn tell(&mut self, events: Vec<(i64, Event)>) {
        for (session, event) in events {
            if let Some((name, _)) = self.clients.iter().find(|(_, client)| client.session == session) {
                self.next.push_back(Next::Event(name.clone(), event));
            }
        }
    }

    fn begin(&mut self) -> i64 {
        self.last_session += 1;
        self.zk.begin(self.now_ms, self.last_session);
        self.last_session
    }

    pub(crate) fn join(&mut self, name: &str, settings: Settings, fixed_id: Option<String>) {
        let client = Client {
            member: Member::new(settings),
            fixed_id,
            session: 0,
            sessions: 0,
            positions: BTreeMap::new(),
            slow: false,
            lost_leader: false,
            requests: 0,
        };
        self.clients.insert(name.into(), client);
        self.start_session(name);
    }

    /// The next session of a member.
    pub(crate) fn start_session(&mut self, name: &str) {
        let session = self.begin();
        let client = self.clients.get_mut(name).expect("a member");
        client.session = session;
        client.sessions += 1;
        let consumer_id = client.fixed_id.clone().unwrap_or_else(|| print::consumer_id(name, client.sessions));
        let wall_ms = WALL_MS + self.now_ms as i64;
        let event = Event::SessionStarted { session_id: session, timeout_ms: TIMEOUT_MS, consumer_id, wall_ms };
        self.next.push_back(Next::Event(name.into(), event));
    }

    pub(crate) fn other(&mut self, name: &str) -> i64 {
        match self.others.get(name) {
            Some(session) => *session,
            None => {
                let session = self.begin();
                self.others.insert(name.into(), session);
                session
            }
        }
    }

    /// The server ends a session. `told`: the member lives and learns of it.
    pub(crate) fn expire(&mut self, name: &str, told: bool) {
        let session = match self.others.remove(name) {
            Some(session) => session,
            None => self.clients[name].session,
        };
        if told {
            self.next.push_back(Next::Event(name.into(), Event::SessionExpired));
        } else {
            self.clients.remove(name);
        }
        let events = self.zk.end(self.now_ms, session);
        self.tell(events);
    }

    pub(crate) fn event(&mut self, name: &str, event: Event) {
        self.next.push_back(Next::Event(name.into(), event));
    }

    pub(crate) fn consume(&mut self, name: &str, partition: TopicPartition, position: Position) {
        self.clients.get_mut(name).expect("a member").positions.insert(partition, position);
    }

    pub(crate) fn stopped(&mut self, name: &str, partition: TopicPartition) {
        let client = self.clients.get_mut(name).expect("a member");
        let position = client.positions.remove(&partition).expect("it is delivered");
        self.event(name, Event::Stopped { partition, position });
    }

    /// The requests of a member that were not looked at yet are lost, each done or not.
    pub(crate) fn lose(&mut self, name: &str, done: bool) {
        for next in std::mem::take(&mut self.next) {
            match next {
                Next::Request { name: of, session, sent_ms, id, request } if of == name => {
                    let how = if done { "done" } else { "not done" };
                    self.trace.push(format!("{name}: lost, {how}: {}", print::request(&request)));
                    if done {
                        let answer = self.zk.ask(self.now_ms, session, &request);
                        self.tell(answer.events);
                    }
                    let event = Event::Answered { request: id, sent_ms, outcome: Err(Failure::Unknown) };
                    self.next.push_back(Next::Event(of, event));
                }
                other => self.next.push_back(other),
            }
        }
    }

    /// Until nothing happens any more at this time.
    pub(crate) fn run(&mut self) {
        while let Some(next) = self.next.pop_front() {
            self.perform(next);
        }
    }

    /// What is about to happen, and not what follows from it.
    pub(crate) fn round(&mut self) {
        for next in std::mem::take(&mut self.next) {
            self.perform(next);
        }
    }

    fn perform(&mut self, next: Next) {
        match next {
            Next::Event(name, event) => self.step(&name, event),
            Next::Request { name, session, sent_ms, id, request } => {
                let answer = self.zk.ask(self.now_ms, session, &request);
                if let Err(failure) = &answer.outcome {
                    let (failure, request) = (print::failure(failure), print::request(&request));
                    self.trace.push(format!("{name}:   {failure} <- {request}"));
                }
                // Whoever watches hears of a change before the answer to a later request.
                self.tell(answer.events);
                if self.clients.get(&name).is_some_and(|client| client.session == session) {
                    let event = Event::Answered { request: id, sent_ms, outcome: answer.outcome };
                    self.next.push_back(Next::Event(name, event));
                }
            }
        }
    }

    /// Only the events that happened already: the requests that follow from them stay under way.
    pub(crate) fn run_events(&mut self) {
        let mut requests = VecDeque::new();
        while let Some(next) = self.next.pop_front() {
            match next {
                Next::Event(name, event) => self.step(&name, event),
                request => requests.push_back(request),
            }
        }
        self.next = requests;
    }

    pub(crate) fn sleep(&mut self, ms: u64, only_events: bool) {
        let until_ms = self.now_ms + ms;
        for woken in 0.. {
            if only_events {
                self.run_events()
            } else {
                self.run()
            }
            let due =
                self.clients.iter().filter_map(|(name, client)| Some((client.member.next_deadline()?, name.clone())));
            let Some((at, name)) = due.min().filter(|(at, _)| *at <= until_ms) else { break };
            assert!(woken < 10_000, "{name} has a deadline that does not pass");
            self.now_ms = self.now_ms.max(at);
            self.step(&name, Event::TimePassed);
        }
        self.now_ms = until_ms;
    }

    fn step(&mut self, name: &str, event: Event) {
        let Some(client) = self.clients.get_mut(name) else { return };
        let mut out = Vec::new();
        client.member.step(self.now_ms, event, &mut out);
        for effect in out {
            let client = self.clients.get_mut(name).expect("it is stepping");
            if self.show_leases || !matches!(effect, Effect::Lease { .. }) {
                self.trace.push(format!("{name}: {}", print::effect(&effect)));
            }
            match effect {
                Effect::Send { id, request } => {
                    client.requests += 1;
                    let (session, sent_ms) = (client.session, self.now_ms);
                    self.next.push_back(Next::Request { name: name.into(), session, sent_ms, id, request });
                }
                Effect::Start { partition, offset, .. } => {
                    let old = client.positions.insert(partition.clone(), Position { offset, sought: false });
                    assert_eq!(old, None, "{partition} is delivered twice");
                }
                Effect::Stop { partition } => {
                    assert!(client.positions.contains_key(&partition), "{partition} is not delivered");
                    if !client.slow {
                        self.stopped(name, partition);
                    }
                }
                Effect::Abandon { partition } => {
                    client.positions.remove(&partition).expect("it is delivered");
                }
                Effect::CollectPositions => {
                    let positions = client.positions.iter().map(|(key, position)| (key.clone(), *position)).collect();
                    client.positions.values_mut().for_each(|position| position.sought = false);
                    self.event(name, Event::Positions(positions));
                }
                Effect::FindStart { partition } if !client.lost_leader => {
                    let offset = self.starts.get(&partition).copied().unwrap_or(0);
                    self.event(name, Event::StartFound { partition, offset });
                }
                _ => {}
            }
        }
    }

    /// Requests of each member since the last count.
    pub(crate) fn count(&mut self) {
        let mut all = 0;
        for client in self.clients.values_mut() {
            all += std::mem::take(&mut client.requests);
        }
        self.trace.push(format!("{all} requests"));
    }

    /// What lies below a path.
    pub(crate) fn show(&mut self, below: &str) {
        for (path, node) in self.zk.tree.nodes() {
            let data = node.data().map(|data| data.to_vec()).unwrap_or_default();
            let owner = node.stat().ephemeral_owner;
            if path.starts_with(below) && (!data.is_empty() || owner != 0) {
                let of = if owner == 0 { String::new() } else { format!(" ~0x{owner:x}") };
                let line = format!("{path}@{}{}{of}", node.stat().version, print::payload(path, &data));
                self.trace.push(print::short(&line));
            }
        }
    }
}
