//! ZooKeeper as one value: the tree of the server that the producer is connected to, and what its leader has and it has not
//! seen yet.

use std::collections::VecDeque;

use ottla_jute::Stat;
use ottla_tree::{Caller, Tree};
use ottla_znodes::wire::{Fired, fired};
use ottla_znodes::{CreateMode, Failure, Op, Reply, Request, wire};

/// Wall clock at virtual time 0, ms since the epoch.
pub(crate) const EPOCH_MS: u64 = 1_790_000_000_000;

/// What the leader has taken.
#[derive(Debug)]
enum Taken {
    Begin(i64),
    Write(i64, Op),
    End(i64),
}

pub(crate) struct ZooKeeper {
    pub(crate) tree: Tree,
    behind: VecDeque<(u64, Taken)>,
    next_session: i64,
    /// Of the controller and of operators.
    pub(crate) admin: i64,
}

impl ZooKeeper {
    pub(crate) fn new() -> ZooKeeper {
        let mut zk = ZooKeeper { tree: Tree::new(), behind: VecDeque::new(), next_session: 0x100, admin: 0 };
        zk.admin = zk.begin(0, 0);
        for path in ["/brokers", "/brokers/topics", "/brokers/ids"] {
            zk.write(0, 0, zk.admin, create(path, b"", CreateMode::Persistent));
        }
        zk.catch_up(0, true);
        zk
    }

    /// A session that ends when it is told to. The server sees it after `lag_ms`.
    pub(crate) fn begin(&mut self, now: u64, lag_ms: u64) -> i64 {
        self.next_session += 1;
        self.take(now, lag_ms, Taken::Begin(self.next_session));
        self.next_session
    }

    pub(crate) fn write(&mut self, now: u64, lag_ms: u64, session: i64, op: Op) {
        self.take(now, lag_ms, Taken::Write(session, op));
    }

    pub(crate) fn end(&mut self, now: u64, lag_ms: u64, session: i64) {
        self.take(now, lag_ms, Taken::End(session));
    }

    fn take(&mut self, now: u64, lag_ms: u64, taken: Taken) {
        let due = self.behind.back().map_or(0, |(due, _)| *due).max(now + lag_ms);
        self.behind.push_back((due, taken));
    }

    /// When the server sees more.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.behind.front().map(|(due, _)| *due)
    }

    /// The server sees what is due, or everything.
    pub(crate) fn catch_up(&mut self, now: u64, everything: bool) -> Vec<Fired> {
        let mut all = vec![];
        while self.behind.front().is_some_and(|(due, _)| everything || *due <= now) {
            let Some((_, taken)) = self.behind.pop_front() else { break };
            match taken {
                Taken::Begin(session) => {
                    self.tree.create_session(wall(now), session, 6_000);
                    self.tree.connect(session, "127.0.0.1");
                }
                Taken::Write(session, op) => {
                    let request = Request::Write(vec![op]);
                    let (outcome, fires) = self.perform(now, session, &request);
                    assert!(matches!(outcome, Some(Ok(_))), "{request:?}: {outcome:?}");
                    all.extend(fires);
                }
                Taken::End(session) => all.extend(fired(self.tree.expire_session(wall(now), session).events)),
            }
        }
        all
    }

    pub(crate) fn lives(&self, session: i64) -> bool {
        self.tree.sessions().contains_key(&session)
    }

    /// Does what is asked; `None` if the session has ended.
    pub(crate) fn perform(
        &mut self,
        now: u64,
        session: i64,
        request: &Request,
    ) -> (Option<Result<Reply, Failure>>, Vec<Fired>) {
        let caller = Caller { session_id: session, xid: 1 };
        let outcome = self.tree.step(wall(now), caller, &wire::encode(request));
        let reply = outcome.reply.map(|reply| wire::decode(request, reply.header.err, reply.response));
        (reply, fired(outcome.events))
    }

    /// A node's data and Stat.
    pub(crate) fn node(&self, path: &str) -> Option<(Vec<u8>, Stat)> {
        let node = self.tree.node(path)?;
        Some((node.data().map_or(vec![], |data| data.to_vec()), node.stat()))
    }

    pub(crate) fn children(&self, path: &str) -> Vec<String> {
        self.tree.node(path).map_or(vec![], |node| node.children().map(str::to_owned).collect())
    }
}

pub(crate) fn create(path: &str, data: &[u8], mode: CreateMode) -> Op {
    Op::Create { path: path.into(), data: data.into(), mode }
}

pub(crate) fn set(path: &str, data: &[u8]) -> Op {
    Op::Set { path: path.into(), data: data.into(), version: None }
}

pub(crate) fn delete(path: &str) -> Op {
    Op::Delete { path: path.into(), version: None }
}

/// Wall clock at a virtual time.
pub(crate) fn wall(now: u64) -> i64 {
    (EPOCH_MS + now) as i64
}
