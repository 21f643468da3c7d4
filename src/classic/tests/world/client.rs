//! A process with a connection to ZooKeeper that may break, and what the client library does about it: calls wait for the
//! connection's return, reads are asked again, writes that were under way have unknown outcomes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ottla_classic::Event;
use ottla_znodes::wire::Fired;
use ottla_znodes::{Failure, Reply, Request, RequestId};
use rand::RngExt;

use super::consumer::Consumer;
use super::old::OldConsumer;
use super::{ClientId, Happening, World, shown};

/// How often a read whose answer was lost is asked.
const READ_ATTEMPTS: u32 = 3;

/// Which program runs in the process.
pub(crate) enum Program {
    New(Box<Consumer>),
    Old(Box<OldConsumer>),
}

struct Call {
    request: Request,
    /// By the process's clock.
    sent_ms: u64,
    attempts: u32,
}

pub(crate) struct Client {
    pub(crate) program: Program,
    /// The session as the process knows it.
    pub(crate) session: Option<i64>,
    pub(crate) connected: bool,
    /// Killed, or closed by itself.
    pub(crate) gone: bool,
    /// What its clock shows at virtual time 0, ms.
    pub(crate) clock_ms: u64,
    /// While it is stopped: what is waiting for it.
    pub(crate) asleep: Option<Vec<Happening>>,
    /// For which deadline of the program it will be woken.
    pub(super) alarm: Option<u64>,
    pub(crate) session_timeout_ms: u64,
    /// Counts connections: what belongs to an earlier one is lost.
    link: u64,
    /// When the last packet of each direction arrives: they do not overtake each other.
    outward_ms: u64,
    inward_ms: u64,
    calls: BTreeMap<RequestId, Call>,
    watches: BTreeSet<(String, bool)>,
    /// When it last stood still or had no connection: begin and, once it is over, end.
    absent: (u64, Option<u64>),
    /// Of a connection that broke: what arrives until then still arrives.
    arrives_until_ms: u64,
    /// Writes that the ensemble has taken and the server that the client is connected to has not seen yet.
    late: VecDeque<(i64, Request)>,
}

impl Client {
    pub(crate) fn new(program: Program, clock_ms: u64, session_timeout_ms: u64) -> Client {
        Client {
            program,
            session: None,
            connected: false,
            gone: false,
            clock_ms,
            asleep: None,
            alarm: None,
            session_timeout_ms,
            link: 0,
            outward_ms: 0,
            inward_ms: 0,
            calls: BTreeMap::new(),
            watches: BTreeSet::new(),
            absent: (0, Some(0)),
            arrives_until_ms: 0,
            late: VecDeque::new(),
        }
    }

    /// It stands still, or has no connection.
    fn away(&mut self, now: u64) {
        if self.absent.1.is_some() {
            self.absent = (now, None);
        }
    }

    fn back(&mut self, now: u64) {
        if self.connected && self.asleep.is_none() && self.absent.1.is_none() {
            self.absent.1 = Some(now);
        }
    }

    /// Whether it heard nothing, or not in time, when that happened.
    pub(crate) fn was_absent(&self, at: u64) -> bool {
        self.absent.0 <= at && self.absent.1.is_none_or(|end| at <= end)
    }

    pub(crate) fn new_program(&self) -> Option<&Consumer> {
        match &self.program {
            Program::New(consumer) => Some(consumer),
            Program::Old(_) => None,
        }
    }
}

impl World {
    /// The process asks; the answer comes as `Event::Answered`.
    pub(super) fn call(&mut self, id: ClientId, call: RequestId, request: Request) {
        let own_id = self.clients[id].new_program().map(|consumer| consumer.consumer_id.clone());
        self.zk.count(&request, own_id.as_deref());
        let client = &mut self.clients[id];
        let sent_ms = self.now + client.clock_ms;
        client.calls.insert(call, Call { request, sent_ms, attempts: 0 });
        if client.session.is_none() {
            self.fail_soon(id, call, Failure::Expired);
        } else if client.connected {
            self.transmit(id, call);
        } else {
            let timeout_ms = client.session_timeout_ms;
            self.after(timeout_ms, Happening::GiveUp { client: id, call });
        }
    }

    fn transmit(&mut self, id: ClientId, call: RequestId) {
        let leg = self.leg();
        let client = &mut self.clients[id];
        let Some(session) = client.session else { return };
        let pending = client.calls.get_mut(&call).expect("what is sent is pending");
        pending.attempts += 1;
        let request = pending.request.clone();
        client.outward_ms = client.outward_ms.max(self.now + leg);
        let (at, link) = (client.outward_ms, client.link);
        self.at(at, Happening::Arrive { client: id, link, session, call, request });
    }

    /// A request reaches the server.
    pub(super) fn arrive(&mut self, id: ClientId, link: u64, session: i64, call: RequestId, request: Request) {
        let client = &mut self.clients[id];
        if link != client.link || !client.connected {
            if self.now <= client.arrives_until_ms && matches!(request, Request::Write(_)) {
                let delay = self.random.random_range(0..=self.profile.late_ms);
                self.clients[id].late.push_back((session, request));
                self.after(delay, Happening::Late { client: id });
            }
            return;
        }
        // The leader puts a write, and a sync, behind what it took from the session before.
        if matches!(request, Request::Write(_) | Request::Sync { .. }) {
            while !self.clients[id].late.is_empty() {
                self.late(id);
            }
        }
        let Some(outcome) = self.apply(id, session, &request) else { return };
        let client = &mut self.clients[id];
        let watched = match (&request, &outcome) {
            (Request::Exists { path, watch: true }, Ok(_)) | (Request::Get { path, watch: true }, Ok(_)) => {
                Some((path.clone(), false))
            }
            (Request::Children { path, watch: true }, Ok(_)) => Some((path.clone(), true)),
            _ => None,
        };
        client.watches.extend(watched);
        let at = self.inward(id);
        self.at(at, Happening::Answer { client: id, link, call, outcome });
    }

    /// The eldest write of a broken connection takes effect.
    pub(super) fn late(&mut self, id: ClientId) {
        if let Some((session, request)) = self.clients[id].late.pop_front() {
            self.note(|| format!("{id}: late, unseen: {}", shown(&request)));
            self.apply(id, session, &request);
        }
    }

    /// ZooKeeper does it, and everybody who watches hears of it.
    fn apply(&mut self, id: ClientId, session: i64, request: &Request) -> Option<Result<Reply, Failure>> {
        if !self.zk.lives(session) {
            return None;
        }
        self.zk.touch(session, self.now);
        let before = self.before_write(request);
        let (outcome, fired) = self.zk.perform(self.now, session, request);
        let (now, trace) = (self.now, &mut self.trace);
        if let Some(trace) = trace {
            trace.push(format!("{now} {id}: zk {} -> {}", shown(request), shown(&outcome)));
        }
        if matches!(outcome, Some(Ok(_))) {
            self.judge_write(id, session, request, before);
        }
        self.publish(fired);
        outcome
    }

    fn inward(&mut self, id: ClientId) -> u64 {
        let leg = self.leg();
        let client = &mut self.clients[id];
        client.inward_ms = client.inward_ms.max(self.now + leg);
        client.inward_ms
    }

    /// Watch events go to the connections of the sessions that watch.
    pub(super) fn publish(&mut self, fired: Vec<Fired>) {
        for (session, path, fires) in fired {
            let Some(&id) = self.sessions.get(&session) else { continue };
            let client = &mut self.clients[id];
            if !client.connected || client.session != Some(session) {
                continue;
            }
            for children in [false, true] {
                if fires.concerns(children) && self.clients[id].watches.remove(&(path.clone(), children)) {
                    let (at, link) = (self.inward(id), self.clients[id].link);
                    self.at(at, Happening::Watch { client: id, link, path: path.clone(), children });
                }
            }
        }
    }

    /// An answer reaches the process.
    pub(super) fn answer(&mut self, id: ClientId, link: u64, call: RequestId, outcome: Result<Reply, Failure>) {
        if self.clients[id].link == link && self.clients[id].connected {
            self.complete(id, call, outcome);
        }
    }

    pub(super) fn complete(&mut self, id: ClientId, call: RequestId, outcome: Result<Reply, Failure>) {
        if let Some(done) = self.clients[id].calls.remove(&call) {
            self.tell(id, Event::Answered { request: call, sent_ms: done.sent_ms, outcome });
        }
    }

    fn fail_soon(&mut self, id: ClientId, call: RequestId, failure: Failure) {
        let delay = self.random.random_range(0..10);
        self.after(delay, Happening::Fail { client: id, call, failure });
    }

    pub(super) fn watch(&mut self, id: ClientId, link: u64, path: String, children: bool) {
        if self.clients[id].link == link && self.clients[id].connected {
            self.tell(id, Event::Changed { path, children });
        }
    }

    /// The connection breaks: a part of what is on its way arrives, no answer does.
    pub(crate) fn lose(&mut self, id: ClientId, away_ms: u64) {
        if self.clients[id].gone || !self.clients[id].connected {
            return;
        }
        self.note(|| format!("{id}: connection lost"));
        let until = self.now + self.random.random_range(0..2 * self.profile.leg_ms.1 + 2);
        let client = &mut self.clients[id];
        client.connected = false;
        client.away(self.now);
        client.arrives_until_ms = until;
        client.watches.clear();
        if let Some(session) = client.session {
            self.zk.tree.disconnect(session);
        }
        let pending: Vec<(RequestId, bool)> = client
            .calls
            .iter()
            .map(|(call, pending)| {
                (*call, matches!(pending.request, Request::Write(_)) || pending.attempts >= READ_ATTEMPTS)
            })
            .collect();
        for (call, given_up) in pending {
            let timeout_ms = self.clients[id].session_timeout_ms;
            match given_up {
                true => self.fail_soon(id, call, Failure::Unknown),
                false => self.after(timeout_ms, Happening::GiveUp { client: id, call }),
            }
        }
        self.after(away_ms, Happening::Reconnect { client: id });
    }

    pub(super) fn give_up(&mut self, id: ClientId, call: RequestId) {
        // One that was sent meanwhile is answered, or lost with its connection.
        if !self.clients[id].connected {
            self.complete(id, call, Err(Failure::Unknown));
        }
    }

    /// A server takes the session back, or refuses it.
    pub(super) fn reconnect(&mut self, id: ClientId) {
        let client = &self.clients[id];
        if client.gone || client.connected {
            return;
        }
        match client.session {
            Some(session) if self.zk.lives(session) => {
                self.zk.tree.connect(session, "127.0.0.1");
                self.zk.touch(session, self.now);
                self.link_up(id);
                self.note(|| format!("{id}: reconnected"));
                let calls: Vec<RequestId> = self.clients[id].calls.keys().copied().collect();
                self.tell(id, Event::Reconnected);
                for call in calls {
                    let pending = self.clients[id].calls.get(&call);
                    let unanswered =
                        pending.is_some_and(|p| p.attempts == 0 || !matches!(p.request, Request::Write(_)));
                    if unanswered {
                        self.transmit(id, call);
                    }
                }
            }
            Some(_) => {
                self.note(|| format!("{id}: session expired"));
                self.clients[id].session = None;
                self.clients[id].late.clear();
                let calls: Vec<RequestId> = self.clients[id].calls.keys().copied().collect();
                for call in calls {
                    match self.random.random_range(0..2) {
                        0 => self.complete(id, call, Err(Failure::Expired)),
                        _ => self.fail_soon(id, call, Failure::Expired),
                    }
                }
                self.tell(id, Event::SessionExpired);
                let delay = self.random.random_range(0..20);
                self.after(delay, Happening::Reconnect { client: id });
            }
            None => self.begin_session(id),
        }
    }

    fn link_up(&mut self, id: ClientId) {
        let client = &mut self.clients[id];
        client.link += 1;
        client.connected = true;
        client.back(self.now);
        client.outward_ms = self.now;
        client.inward_ms = self.now;
        let (link, every) = (client.link, client.session_timeout_ms / 3);
        self.after(every, Happening::Ping { client: id, link });
    }

    fn begin_session(&mut self, id: ClientId) {
        let timeout_ms = self.clients[id].session_timeout_ms;
        let session = self.zk.begin(self.now, timeout_ms);
        self.sessions.insert(session, id);
        self.clients[id].session = Some(session);
        self.link_up(id);
        self.note(|| format!("{id}: session 0x{session:x}"));
        self.session_began(id, session, timeout_ms);
    }

    /// The library keeps the session alive while the process runs.
    pub(super) fn ping(&mut self, id: ClientId, link: u64) {
        let client = &self.clients[id];
        if client.gone || client.link != link || !client.connected {
            return;
        }
        let (session, every) = (client.session, client.session_timeout_ms / 3);
        if let Some(session) = session {
            self.zk.touch(session, self.now);
        }
        self.after(every, Happening::Ping { client: id, link });
    }

    /// Sessions whose time is over end; their connections are closed.
    pub(super) fn expire(&mut self) {
        for session in self.zk.overdue(self.now) {
            self.note(|| format!("zk: session 0x{session:x} ends"));
            let fired = self.zk.end(self.now, session);
            self.publish(fired);
            let Some(&id) = self.sessions.get(&session) else { continue };
            if self.clients[id].session == Some(session) {
                let leg = self.leg();
                self.after(leg, Happening::Lose { client: id, session });
            }
        }
    }

    /// SIGKILL: the session lives on until its time is over.
    pub(crate) fn kill(&mut self, id: ClientId) {
        self.note(|| format!("{id}: killed"));
        self.clients[id].gone = true;
        self.clients[id].asleep = None;
        self.clients[id].arrives_until_ms = self.now + self.random.random_range(0..2 * self.profile.leg_ms.1 + 2);
        self.clients[id].connected = false;
    }

    /// SIGSTOP, and SIGCONT after a while.
    pub(crate) fn pause(&mut self, id: ClientId, ms: u64) {
        if self.clients[id].gone || self.clients[id].asleep.is_some() {
            return;
        }
        self.note(|| format!("{id}: paused for {ms} ms"));
        self.grasp(id);
        self.clients[id].asleep = Some(vec![]);
        self.clients[id].away(self.now);
        self.after(ms, Happening::Wake { client: id });
    }

    pub(super) fn wake(&mut self, id: ClientId) {
        let Some(waiting) = self.clients[id].asleep.take() else { return };
        self.note(|| format!("{id}: wakes"));
        self.clients[id].back(self.now);
        // Records are handed out first: nothing may depend on the session's news being read in time.
        self.after(0, Happening::Deliver { client: id, tick: false });
        for happening in waiting {
            self.after(0, happening);
        }
    }

    /// The program is done with ZooKeeper: the session is closed, not left to expire.
    pub(super) fn leave(&mut self, id: ClientId) {
        self.note(|| format!("{id}: leaves"));
        let client = &mut self.clients[id];
        client.gone = true;
        client.connected = false;
        if let Some(session) = client.session {
            let fired = self.zk.end(self.now, session);
            self.publish(fired);
        }
    }
}
