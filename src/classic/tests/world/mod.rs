//! A world for classic groups: processes with the real core, processes that behave like Kafka 0.8.2's consumer, a network
//! between each of them and ZooKeeper, partitions that grow. One thread, virtual time, a seed: the same seed is the same run.
//!
//! The world checks at each step what must never happen: a record handed out by a member that does not own its partition,
//! an offset that goes backwards, one written by somebody who does not own the partition, one with a hole below it.

pub(crate) mod assignment;
pub(crate) mod chaos;
pub(crate) mod client;
pub(crate) mod consumer;
pub(crate) mod foreign;
pub(crate) mod ledger;
pub(crate) mod old;
pub(crate) mod topics;
pub(crate) mod verdict;
pub(crate) mod zookeeper;

use std::collections::{BTreeMap, BTreeSet};

use ottla_classic::Event;
use ottla_types::TopicPartition;
use ottla_znodes::{Failure, Reply, Request, RequestId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use client::{Client, Program};
use ledger::Ledger;
use topics::Topics;
use zookeeper::ZooKeeper;

pub(crate) const GROUP: &str = "g";

/// A process, by its place in the list.
pub(crate) type ClientId = usize;

/// How the world behaves.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// Least and most that a packet takes in one direction, ms.
    pub(crate) leg_ms: (u64, u64),
    /// One packet in so many takes ten times as long; 0: none.
    pub(crate) slow_one_in: u32,
    /// For how long at most a server may be behind what the leader took from a broken connection, ms.
    pub(crate) late_ms: u64,
    /// Whether requests of one step leave in another order than they were asked for.
    pub(crate) shuffle: bool,
    /// How often each process hands out records, ms.
    pub(crate) tick_ms: u64,
    /// Records of a partition that it hands out then at most.
    pub(crate) batch: i64,
    /// Most that a listener, or a look-up of a start offset, takes, ms.
    pub(crate) local_ms: u64,
}

impl Default for Profile {
    fn default() -> Profile {
        Profile { leg_ms: (0, 1), slow_one_in: 0, late_ms: 0, shuffle: false, tick_ms: 50, batch: 20, local_ms: 0 }
    }
}

/// A value as a line in which bytes are text.
pub(crate) fn shown(value: &dyn std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let mut line = String::new();
    let mut rest = text.as_str();
    while let Some((before, list)) = rest.split_once('[') {
        line.push_str(before);
        let (inside, after) = list.split_once(']').unwrap_or((list, ""));
        let bytes: Option<Vec<u8>> = inside.split(", ").map(|byte| byte.parse().ok()).collect();
        match bytes {
            Some(bytes) => line.push_str(&format!("'{}'", String::from_utf8_lossy(&bytes))),
            None => {
                line.push('[');
                rest = list;
                continue;
            }
        }
        rest = after;
    }
    line.push_str(rest);
    line
}

/// Something that is going to happen.
pub(crate) enum Happening {
    /// A request reaches the server.
    Arrive {
        client: ClientId,
        link: u64,
        session: i64,
        call: RequestId,
        request: Request,
    },
    /// A write of a broken connection takes effect.
    Late {
        client: ClientId,
    },
    /// An answer reaches the process.
    Answer {
        client: ClientId,
        link: u64,
        call: RequestId,
        outcome: Result<Reply, Failure>,
    },
    /// The client library gives a call up.
    Fail {
        client: ClientId,
        call: RequestId,
        failure: Failure,
    },
    /// So it does with one that waited for the connection too long.
    GiveUp {
        client: ClientId,
        call: RequestId,
    },
    /// A watch event reaches the process.
    Watch {
        client: ClientId,
        link: u64,
        path: String,
        children: bool,
    },
    /// The server has closed the connection of a session that ended.
    Lose {
        client: ClientId,
        session: i64,
    },
    Reconnect {
        client: ClientId,
    },
    Ping {
        client: ClientId,
        link: u64,
    },
    /// The driver has news for the program.
    Tell {
        client: ClientId,
        event: Event,
    },
    /// The program's deadline has come.
    Deadline {
        client: ClientId,
        at_ms: u64,
    },
    /// Records are handed out; a `tick` is followed by the next.
    Deliver {
        client: ClientId,
        tick: bool,
    },
    Wake {
        client: ClientId,
    },
    /// Anything else.
    Do(Box<dyn FnOnce(&mut World)>),
}

impl Happening {
    /// The process that must be running for it.
    fn inside(&self) -> Option<ClientId> {
        match self {
            Happening::Answer { client, .. }
            | Happening::Fail { client, .. }
            | Happening::GiveUp { client, .. }
            | Happening::Watch { client, .. }
            | Happening::Lose { client, .. }
            | Happening::Reconnect { client }
            | Happening::Ping { client, .. }
            | Happening::Tell { client, .. }
            | Happening::Deadline { client, .. }
            | Happening::Deliver { client, .. } => Some(*client),
            Happening::Arrive { .. } | Happening::Late { .. } | Happening::Wake { .. } | Happening::Do(_) => None,
        }
    }
}

pub(crate) struct World {
    /// Virtual time, ms.
    pub(crate) now: u64,
    pub(crate) random: StdRng,
    pub(crate) profile: Profile,
    pub(crate) zk: ZooKeeper,
    pub(crate) clients: Vec<Client>,
    pub(crate) topics: Topics,
    pub(crate) ledger: Ledger,
    /// What happened, if somebody wants to know.
    pub(crate) trace: Option<Vec<String>>,
    /// Whose session it is, or was.
    sessions: BTreeMap<i64, ClientId>,
    /// Owner nodes that were taken from a session by hand: it cannot know yet.
    robbed: BTreeSet<(TopicPartition, i64)>,
    queue: BTreeMap<(u64, u64), Happening>,
    next: u64,
}

impl World {
    pub(crate) fn new(seed: u64, profile: Profile) -> World {
        World {
            now: 1_000,
            random: StdRng::seed_from_u64(seed),
            profile,
            zk: ZooKeeper::new(),
            clients: vec![],
            topics: Topics::default(),
            ledger: Ledger::default(),
            trace: None,
            sessions: BTreeMap::new(),
            robbed: BTreeSet::new(),
            queue: BTreeMap::new(),
            next: 0,
        }
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{} {}", self.now, line()));
        }
    }

    pub(crate) fn at(&mut self, at: u64, happening: Happening) {
        self.next += 1;
        self.queue.insert((at.max(self.now), self.next), happening);
    }

    pub(crate) fn after(&mut self, ms: u64, happening: Happening) {
        self.at(self.now + ms, happening);
    }

    pub(crate) fn do_at(&mut self, at: u64, what: impl FnOnce(&mut World) + 'static) {
        self.at(at, Happening::Do(Box::new(what)));
    }

    pub(crate) fn one_in(&mut self, n: u32) -> bool {
        n > 0 && self.random.random_range(0..n) == 0
    }

    /// How long a packet takes.
    fn leg(&mut self) -> u64 {
        let (least, most) = self.profile.leg_ms;
        let leg = self.random.random_range(least..=most);
        if self.one_in(self.profile.slow_one_in) { leg * 10 } else { leg }
    }

    /// Lets everything happen up to a time.
    pub(crate) fn run_until(&mut self, end: u64) {
        let (mut at, mut steps) = (self.now, 0);
        loop {
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            let expiry = self.zk.next_expiry();
            let Some(due) = next.into_iter().chain(expiry).min().filter(|due| *due <= end) else { break };
            self.now = self.now.max(due);
            steps = if at == self.now { steps + 1 } else { 0 };
            at = self.now;
            assert!(steps < 1_000_000, "time stands still: somebody asks and asks");
            if expiry.is_some_and(|expiry| expiry <= self.now) {
                self.expire();
            } else if let Some((_, happening)) = self.queue.pop_first() {
                self.happen(happening);
            }
        }
        self.now = self.now.max(end);
    }

    pub(crate) fn run_for(&mut self, ms: u64) {
        self.run_until(self.now + ms);
    }

    /// Lets everything happen while that holds, looking now and then; how long that was, or none if longer than `most_ms`.
    pub(crate) fn run_while(
        &mut self,
        most_ms: u64,
        look_ms: u64,
        mut goes_on: impl FnMut(&World) -> bool,
    ) -> Option<u64> {
        let begin = self.now;
        while goes_on(self) {
            if self.now - begin >= most_ms {
                return None;
            }
            self.run_for(look_ms);
        }
        Some(self.now - begin)
    }

    fn happen(&mut self, happening: Happening) {
        if let Some(id) = happening.inside() {
            if self.clients[id].gone {
                return;
            }
            if let Some(waiting) = &mut self.clients[id].asleep {
                waiting.push(happening);
                return;
            }
        }
        match happening {
            Happening::Arrive { client, link, session, call, request } => {
                self.arrive(client, link, session, call, request);
            }
            Happening::Late { client } => self.late(client),
            Happening::Answer { client, link, call, outcome } => self.answer(client, link, call, outcome),
            Happening::Fail { client, call, failure } => self.complete(client, call, Err(failure)),
            Happening::GiveUp { client, call } => self.give_up(client, call),
            Happening::Watch { client, link, path, children } => self.watch(client, link, path, children),
            Happening::Lose { client, session } => {
                if self.clients[client].session == Some(session) {
                    self.lose(client, 1);
                }
            }
            Happening::Reconnect { client } => self.reconnect(client),
            Happening::Ping { client, link } => self.ping(client, link),
            Happening::Tell { client, event } => self.tell(client, event),
            Happening::Deadline { client, at_ms } => self.deadline(client, at_ms),
            Happening::Deliver { client, tick } => {
                self.deliver(client);
                if tick {
                    self.after(self.profile.tick_ms, Happening::Deliver { client, tick });
                }
            }
            Happening::Wake { client } => self.wake(client),
            Happening::Do(what) => what(self),
        }
    }

    /// Something happened to a process.
    fn tell(&mut self, id: ClientId, event: Event) {
        if self.clients[id].gone {
            return;
        }
        match self.clients[id].program {
            Program::New(_) => self.tell_new(id, event),
            Program::Old(_) => self.tell_old(id, event),
        }
    }

    fn deadline(&mut self, id: ClientId, at_ms: u64) {
        if self.clients[id].alarm != Some(at_ms) {
            return;
        }
        self.clients[id].alarm = None;
        match self.clients[id].program {
            Program::New(_) => self.new_deadline(id),
            Program::Old(_) => self.poll_old(id),
        }
    }

    fn deliver(&mut self, id: ClientId) {
        match self.clients[id].program {
            Program::New(_) => self.deliver_new(id),
            Program::Old(_) => self.deliver_old(id),
        }
    }

    /// Has the program woken when its clock shows this.
    fn wake_at(&mut self, id: ClientId, deadline: Option<u64>) {
        let Some(at_ms) = deadline else { return };
        let client = &mut self.clients[id];
        if client.alarm != Some(at_ms) {
            client.alarm = Some(at_ms);
            let at = at_ms.saturating_sub(client.clock_ms);
            self.at(at, Happening::Deadline { client: id, at_ms });
        }
    }

    /// Starts a process.
    fn launch(&mut self, program: Program, session_timeout_ms: u64) -> ClientId {
        let id = self.clients.len();
        let clock_ms = self.random.random_range(0..1_000_000);
        self.clients.push(Client::new(program, clock_ms, session_timeout_ms));
        let phase = self.random.random_range(0..self.profile.tick_ms);
        self.after(phase, Happening::Deliver { client: id, tick: true });
        self.after(0, Happening::Reconnect { client: id });
        id
    }

    /// Processes that run.
    pub(crate) fn alive(&self) -> Vec<ClientId> {
        (0..self.clients.len()).filter(|id| !self.clients[*id].gone).collect()
    }
}
