//! ZooKeeper as one value: the tree, when its sessions expire, and how often it was asked.

use std::collections::BTreeMap;

use ottla_jute::Stat;
use ottla_tree::{Caller, SessionTracker, Tree};
use ottla_znodes::wire::{Fired, fired};
use ottla_znodes::{CreateMode, Failure, Op, Reply, Request, wire};
use zk_schema::consumers::{GroupNode, parse_path};

/// Wall clock at virtual time 0, ms since the epoch.
pub(crate) const EPOCH_MS: u64 = 1_790_000_000_000;
/// ZooKeeper's usual tick; sessions expire in steps of it.
const TICK_MS: i64 = 100;

/// What was asked, by purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// All but heartbeats.
    pub(crate) asked: u64,
    /// Exists of the own registration, by which a lease lives on.
    pub(crate) heartbeats: u64,
    /// What was asked by the kind of node that it is about.
    pub(crate) by_kind: BTreeMap<&'static str, u64>,
}

pub(crate) struct ZooKeeper {
    pub(crate) tree: Tree,
    pub(crate) counts: Counts,
    tracker: SessionTracker,
    next_session: i64,
    admin: i64,
}

impl ZooKeeper {
    pub(crate) fn new() -> ZooKeeper {
        let (tree, tracker) = (Tree::new(), SessionTracker::new(TICK_MS));
        let mut zk = ZooKeeper { tree, tracker, counts: Counts::default(), next_session: 0x100, admin: 0 };
        zk.admin = zk.begin_unending(0);
        for path in ["/brokers", "/brokers/topics", "/brokers/ids", "/consumers"] {
            zk.create(0, path, b"");
        }
        zk
    }

    /// A session that expires when nothing is heard for that long.
    pub(crate) fn begin(&mut self, now: u64, timeout_ms: u64) -> i64 {
        let session = self.begin_unending(now);
        self.tracker.track(session, timeout_ms as i32, now as i64);
        session
    }

    /// A session that ends only when it is told to.
    pub(crate) fn begin_unending(&mut self, now: u64) -> i64 {
        self.next_session += 1;
        self.tree.create_session(wall(now), self.next_session, 6_000);
        self.tree.connect(self.next_session, "127.0.0.1");
        self.next_session
    }

    pub(crate) fn lives(&self, session: i64) -> bool {
        self.tree.sessions().contains_key(&session)
    }

    pub(crate) fn touch(&mut self, session: i64, now: u64) {
        self.tracker.touch(session, now as i64);
    }

    /// When a session expires next, if nobody is heard until then.
    pub(crate) fn next_expiry(&self) -> Option<u64> {
        self.tracker.next_deadline().map(|at| at as u64)
    }

    /// The sessions whose time is over.
    pub(crate) fn overdue(&mut self, now: u64) -> Vec<i64> {
        self.tracker.expired(now as i64)
    }

    /// Ends a session, as its expiry or its closing does.
    pub(crate) fn end(&mut self, now: u64, session: i64) -> Vec<Fired> {
        self.tracker.remove(session);
        fired(self.tree.expire_session(wall(now), session).events)
    }

    /// Does what a member asks; `None` if its session has ended.
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

    /// Counts a request by what it is for.
    pub(crate) fn count(&mut self, request: &Request, own_id: Option<&str>) {
        let path = match request {
            Request::Get { path, .. } | Request::Exists { path, .. } => path,
            Request::Children { path, .. } | Request::Sync { path } => path,
            Request::Write(_) => "",
        };
        let kind = match parse_path(path).map(|(_, node)| node) {
            Some(GroupNode::Member(id)) if matches!(request, Request::Exists { .. }) && Some(&*id) == own_id => {
                self.counts.heartbeats += 1;
                return;
            }
            Some(GroupNode::Member(_)) => "registrations",
            Some(GroupNode::Owner(_)) => "owners",
            Some(GroupNode::Offset(_)) => "offsets",
            Some(GroupNode::Plan) => "plan",
            Some(GroupNode::Planner) => "planner",
            None if path.starts_with("/brokers") => "topics",
            None if path.is_empty() => "writes",
            None => "others",
        };
        self.counts.asked += 1;
        *self.counts.by_kind.entry(kind).or_default() += 1;
    }

    /// A node's data and Stat.
    pub(crate) fn node(&self, path: &str) -> Option<(Vec<u8>, Stat)> {
        let node = self.tree.node(path)?;
        Some((node.data().map_or(vec![], |data| data.to_vec()), node.stat()))
    }

    pub(crate) fn children(&self, path: &str) -> Vec<String> {
        self.tree.node(path).map_or(vec![], |node| node.children().map(str::to_owned).collect())
    }

    /// An operator's writes: at once, whatever is there.
    pub(crate) fn create(&mut self, now: u64, path: &str, data: &[u8]) -> Vec<Fired> {
        self.administer(now, Op::Create { path: path.into(), data: data.into(), mode: CreateMode::Persistent })
    }

    pub(crate) fn set(&mut self, now: u64, path: &str, data: &[u8]) -> Vec<Fired> {
        self.administer(now, Op::Set { path: path.into(), data: data.into(), version: None })
    }

    pub(crate) fn delete(&mut self, now: u64, path: &str) -> Vec<Fired> {
        self.administer(now, Op::Delete { path: path.into(), version: None })
    }

    fn administer(&mut self, now: u64, op: Op) -> Vec<Fired> {
        self.perform(now, self.admin, &Request::Write(vec![op])).1
    }
}

/// Wall clock at a virtual time.
pub(crate) fn wall(now: u64) -> i64 {
    (EPOCH_MS + now) as i64
}
