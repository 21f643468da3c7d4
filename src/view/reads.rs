//! Which nodes are read when, and what is asked of ZooKeeper.

use std::collections::{BTreeMap, BTreeSet};

use ottla_znodes::{Request, RequestId, Watched};
use zk_schema::broker_ids;

use crate::node::Node;
use crate::{Effect, Settings};

/// Pauses after answers that were lost, ms: twice as long each time, up to the last.
const FIRST_PAUSE_MS: u64 = 10;
const LAST_PAUSE_MS: u64 = 1_000;

/// How far the reading of a node is.
#[derive(Debug, Default)]
struct Reading {
    watched: Watched,
    asked: Option<RequestId>,
    /// It was not there when it was read last, and nothing says that it is there now.
    missing: bool,
    problem: Option<Problem>,
    /// When it was doubted, ms; and when it is read again since it is doubted again or was refused.
    doubted_ms: Option<u64>,
    later_ms: Option<u64>,
}

/// Why nothing could be read in a node that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// What it holds makes no sense, in words.
    Unreadable(String),
    /// ZooKeeper's code.
    Refused(i32),
}

/// What a request was for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// That the server is not behind.
    Sync,
    /// To read a node, or to look whether it is there.
    Node {
        /// Which.
        node: Node,
        /// It was missing: it is looked at.
        missing: bool,
    },
}

/// Every node that is read, and every request under way.
#[derive(Debug)]
pub(crate) struct Reads {
    settings: Settings,
    nodes: BTreeMap<Node, Reading>,
    /// There is a session.
    open: bool,
    /// To be read now.
    due: BTreeSet<Node>,
    /// Missing nodes that are to be looked at when what names them has been read: most likely it does not any more.
    waiting: BTreeSet<Node>,
    /// To be read behind a sync that is still to be sent: a watch may have been missed, or the server may be behind.
    suspected: BTreeSet<Node>,
    /// The sync under way, and what is read after it.
    sync: Option<RequestId>,
    covered: BTreeSet<Node>,
    /// By the clock.
    later: BTreeSet<(u64, Node)>,
    pending: BTreeMap<RequestId, (Node, bool)>,
    next: RequestId,
    pause_until_ms: Option<u64>,
    next_pause_ms: u64,
}

impl Reads {
    pub(crate) fn new(settings: Settings) -> Reads {
        Reads {
            settings,
            nodes: BTreeMap::new(),
            open: false,
            due: BTreeSet::new(),
            waiting: BTreeSet::new(),
            suspected: BTreeSet::new(),
            sync: None,
            covered: BTreeSet::new(),
            later: BTreeSet::new(),
            pending: BTreeMap::new(),
            next: 0,
            pause_until_ms: None,
            next_pause_ms: FIRST_PAUSE_MS,
        }
    }

    /// There is a session without watches: everything is read.
    pub(crate) fn session_started(&mut self) {
        self.session_ended();
        self.open = true;
        self.suspected = self.nodes.keys().cloned().collect();
    }

    /// No answer is waited for any more. Numbers go on.
    pub(crate) fn session_ended(&mut self) {
        self.open = false;
        self.due.clear();
        self.waiting.clear();
        self.suspected.clear();
        self.sync = None;
        self.covered.clear();
        self.later.clear();
        self.pending.clear();
        self.resume();
        for reading in self.nodes.values_mut() {
            reading.watched = Watched::Unread;
            reading.later_ms = None;
        }
    }

    /// Watches may have fired unseen. A sync under way belongs to the connection that is gone.
    pub(crate) fn reconnected(&mut self) {
        self.resume();
        self.sync = None;
        self.covered.clear();
        self.suspected = self.nodes.keys().cloned().collect();
    }

    /// ZooKeeper answers, or may do so again.
    pub(crate) fn resume(&mut self) {
        self.pause_until_ms = None;
        self.next_pause_ms = FIRST_PAUSE_MS;
    }

    /// A node is read from here on. What a server that is behind says of it is put right by its watch.
    pub(crate) fn add(&mut self, node: Node) {
        if !self.nodes.contains_key(&node) {
            self.nodes.insert(node.clone(), Reading::default());
            self.due.insert(node);
        }
    }

    /// A node is of no interest any more; nor is an answer that is still to come.
    pub(crate) fn forget(&mut self, node: &Node) {
        let Some(reading) = self.nodes.remove(node) else { return };
        for set in [&mut self.due, &mut self.waiting, &mut self.suspected, &mut self.covered] {
            set.remove(node);
        }
        if let Some(at) = reading.later_ms {
            self.later.remove(&(at, node.clone()));
        }
        if let Some(request) = reading.asked {
            self.pending.remove(&request);
        }
    }

    /// The watch of a node fired. If it was missing, it is there now.
    pub(crate) fn changed(&mut self, node: Node) {
        if let Some(reading) = self.nodes.get_mut(&node) {
            reading.missing = false;
        }
        self.reread(node);
    }

    fn reread(&mut self, node: Node) {
        let Some(reading) = self.nodes.get_mut(&node) else { return };
        reading.watched.changed();
        if reading.watched == Watched::Unread {
            self.due.insert(node);
        }
    }

    /// Somebody says that a node is not as was read; it is believed now and then.
    pub(crate) fn doubt(&mut self, now_ms: u64, node: Node) {
        let Some(reading) = self.nodes.get_mut(&node).filter(|_| self.open) else { return };
        if self.suspected.contains(&node) {
            return;
        }
        let again_ms = reading.doubted_ms.map_or(0, |before| before.saturating_add(self.settings.doubt_interval_ms));
        if again_ms <= now_ms {
            reading.doubted_ms = Some(now_ms);
            self.suspected.insert(node);
        } else {
            self.postpone(again_ms, node);
        }
    }

    fn postpone(&mut self, until_ms: u64, node: Node) {
        if let Some(reading) = self.nodes.get_mut(&node)
            && reading.later_ms.is_none()
        {
            reading.later_ms = Some(until_ms);
            self.later.insert((until_ms, node));
        }
    }

    /// What a request was for; none if nobody waits for it.
    pub(crate) fn take(&mut self, request: RequestId) -> Option<Asked> {
        if self.sync == Some(request) {
            self.sync = None;
            return Some(Asked::Sync);
        }
        let (node, missing) = self.pending.remove(&request)?;
        self.nodes.get_mut(&node)?.asked = None;
        self.release(&node);
        Some(Asked::Node { node, missing })
    }

    /// Whoever waits for a list to be read need not any longer, or will be told so again.
    fn release(&mut self, node: &Node) {
        if matches!(node, Node::Brokers | Node::Topic(_)) {
            self.due.append(&mut self.waiting);
        }
    }

    /// The server is not behind what was true when that was asked.
    pub(crate) fn synced(&mut self) {
        for node in std::mem::take(&mut self.covered) {
            self.reread(node);
        }
    }

    /// An answer was lost: asked again behind a sync, when the connection is back or after a while.
    pub(crate) fn lost(&mut self, now_ms: u64, asked: Asked) {
        match asked {
            Asked::Sync => self.suspected.append(&mut self.covered),
            Asked::Node { node, .. } => self.again(node, true),
        }
        if self.pause_until_ms.is_none() {
            self.pause_until_ms = Some(now_ms.saturating_add(self.next_pause_ms));
            self.next_pause_ms = (self.next_pause_ms * 2).min(LAST_PAUSE_MS);
        }
    }

    /// A node was read and is watched. Returns whether the problem is another than before.
    pub(crate) fn answered(&mut self, node: Node, problem: Option<Problem>) -> bool {
        let Some(reading) = self.nodes.get_mut(&node) else { return false };
        reading.watched.answered();
        let news = reading.problem != problem;
        reading.problem = problem;
        if reading.watched == Watched::Unread {
            self.due.insert(node);
        }
        news
    }

    /// ZooKeeper does not let a node be read. Returns whether that is new.
    pub(crate) fn refused(&mut self, now_ms: u64, node: Node, code: i32) -> bool {
        let Some(reading) = self.nodes.get_mut(&node) else { return false };
        let problem = Some(Problem::Refused(code));
        let news = reading.problem != problem;
        reading.problem = problem;
        reading.watched.failed();
        self.postpone(now_ms.saturating_add(self.settings.refused_retry_ms), node);
        news
    }

    /// A node is to be read in the other way, since it is there or is not. `behind_sync`: not before the server is known to
    /// have seen everything.
    pub(crate) fn set_missing(&mut self, node: Node, missing: bool, behind_sync: bool) {
        if let Some(reading) = self.nodes.get_mut(&node) {
            reading.missing = missing;
            self.again(node, behind_sync);
        }
    }

    fn again(&mut self, node: Node, behind_sync: bool) {
        let Some(reading) = self.nodes.get_mut(&node) else { return };
        reading.watched.failed();
        match behind_sync {
            true => self.suspected.insert(node),
            false => self.due.insert(node),
        };
    }

    /// Whether everything was read and nothing is doubted.
    pub(crate) fn is_current(&self) -> bool {
        let sets = [&self.due, &self.waiting, &self.suspected, &self.covered];
        self.open && self.pending.is_empty() && self.later.is_empty() && sets.iter().all(|set| set.is_empty())
    }

    /// When to settle again, ms.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.pause_until_ms.or_else(|| Some(self.later.first()?.0))
    }

    /// Asks for what is to be read.
    pub(crate) fn settle(&mut self, now_ms: u64, out: &mut Vec<Effect>) {
        if !self.open || self.pause_until_ms.is_some_and(|until| now_ms < until) {
            return;
        }
        self.pause_until_ms = None;
        while self.later.first().is_some_and(|(at, _)| *at <= now_ms) {
            let Some((_, node)) = self.later.pop_first() else { break };
            if let Some(reading) = self.nodes.get_mut(&node) {
                reading.later_ms = None;
                reading.doubted_ms = Some(now_ms);
                self.suspected.insert(node);
            }
        }
        if self.sync.is_none() && !self.suspected.is_empty() {
            self.covered = std::mem::take(&mut self.suspected);
            self.sync = Some(self.send(Request::Sync { path: broker_ids::PARENT.into() }, out));
        }
        for node in std::mem::take(&mut self.due) {
            let named_by = node.named_by().and_then(|parent| self.nodes.get(&parent));
            let is_named = named_by.is_none_or(|parent| parent.watched.is_fresh());
            let Some(reading) = self.nodes.get_mut(&node) else { continue };
            if reading.missing && !is_named {
                self.waiting.insert(node);
            } else if reading.watched.take_due() {
                let missing = reading.missing;
                let id = self.next;
                reading.asked = Some(id);
                self.send(node.request(missing), out);
                self.pending.insert(id, (node, missing));
            }
        }
    }

    fn send(&mut self, request: Request, out: &mut Vec<Effect>) -> RequestId {
        let id = self.next;
        self.next += 1;
        out.push(Effect::Send { id, request });
        id
    }
}
