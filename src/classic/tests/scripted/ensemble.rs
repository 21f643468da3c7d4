//! ZooKeeper: the keeper's tree, spoken to in the core's requests.

use std::collections::BTreeSet;

use ottla_classic::Event;
use ottla_jute as jute;
use ottla_tree::{Caller, Outcome, Tree};
use ottla_znodes::{CreateMode, Failure, Op, Refusal, Reply, Request, wire};

/// What a request and its answer lead to for others.
pub(crate) struct Answer {
    pub(crate) outcome: Result<Reply, Failure>,
    pub(crate) events: Vec<(i64, Event)>,
}

pub(crate) struct Ensemble {
    pub(crate) tree: Tree,
    /// What every request that names these is refused with.
    pub(crate) refused: Vec<(String, i32)>,
    /// Sessions that ended.
    ended: BTreeSet<i64>,
    /// Writes may be done by hand, in this session.
    hand: i64,
}

impl Ensemble {
    pub(crate) fn new() -> Ensemble {
        let mut ensemble = Ensemble { tree: Tree::new(), refused: vec![], ended: BTreeSet::new(), hand: 0xad };
        ensemble.begin(0, ensemble.hand);
        ensemble
    }

    pub(crate) fn begin(&mut self, now_ms: u64, session: i64) {
        self.tree.create_session(now_ms as i64, session, 6000);
        self.tree.connect(session, "127.0.0.1");
    }

    pub(crate) fn end(&mut self, now_ms: u64, session: i64) -> Vec<(i64, Event)> {
        self.ended.insert(session);
        let outcome = self.tree.expire_session(now_ms as i64, session);
        told(&outcome)
    }

    /// One request of one session.
    pub(crate) fn ask(&mut self, now_ms: u64, session: i64, request: &Request) -> Answer {
        if self.ended.contains(&session) {
            return Answer { outcome: Err(Failure::Expired), events: vec![] };
        }
        for (path, code) in &self.refused {
            let names = |named: &str| named == path || (path.ends_with('/') && named.starts_with(path.as_str()));
            let at = match request {
                Request::Write(ops) => ops.iter().position(|op| names(op.path())),
                Request::Get { path, .. }
                | Request::Exists { path, .. }
                | Request::Children { path, .. }
                | Request::Sync { path } => names(path).then_some(0),
            };
            if let Some(at) = at {
                let outcome = Err(Failure::Refused { at, why: Refusal::Other(*code) });
                return Answer { outcome, events: vec![] };
            }
        }
        self.perform(now_ms, session, request)
    }

    fn perform(&mut self, now_ms: u64, session: i64, request: &Request) -> Answer {
        let outcome = self.tree.step(now_ms as i64, Caller { session_id: session, xid: 1 }, &wire::encode(request));
        let events = told(&outcome);
        let reply = outcome.reply.expect("a session that lives is answered");
        Answer { outcome: wire::decode(request, reply.header.err, reply.response), events }
    }

    /// A write by somebody's hand; parents are made.
    pub(crate) fn put(&mut self, now_ms: u64, session: Option<i64>, path: &str, data: &str) -> Vec<(i64, Event)> {
        let mut events = Vec::new();
        let mut at = 0;
        while let Some(end) = path[at + 1..].find('/') {
            at += end + 1;
            let op = Op::Create { path: path[..at].into(), data: vec![], mode: CreateMode::Persistent };
            events.extend(self.perform(now_ms, self.hand, &Request::Write(vec![op])).events);
        }
        let data = data.as_bytes().to_vec();
        let mode = if session.is_some() { CreateMode::Ephemeral } else { CreateMode::Persistent };
        let op = match self.tree.node(path) {
            Some(_) => Op::Set { path: path.into(), data, version: None },
            None => Op::Create { path: path.into(), data, mode },
        };
        let answer = self.perform(now_ms, session.unwrap_or(self.hand), &Request::Write(vec![op]));
        answer.outcome.expect("a hand may write");
        events.extend(answer.events);
        events
    }

    pub(crate) fn remove(&mut self, now_ms: u64, path: &str) -> Vec<(i64, Event)> {
        let op = Op::Delete { path: path.into(), version: None };
        let answer = self.perform(now_ms, self.hand, &Request::Write(vec![op]));
        answer.outcome.expect("there is something to remove");
        answer.events
    }
}

fn told(outcome: &Outcome) -> Vec<(i64, Event)> {
    let event = |(session, event): &(i64, jute::WatcherEvent)| {
        // A folder that goes takes the watch on its children along.
        let children = event.event_type == jute::EventType::NodeChildrenChanged.code()
            || (event.event_type == jute::EventType::NodeDeleted.code() && event.path.ends_with("/ids"));
        (*session, Event::Changed { path: event.path.clone(), children })
    };
    outcome.events.iter().map(event).collect()
}
