//! The tree as a value.

use crate::acl::AclEntry;
use crate::node::Node;
use crate::nodes::Nodes;
use crate::outcome::{Caller, Outcome};
use crate::quota::Quotas;
use crate::watch::WatchTable;
use bytes::Bytes;
use ottla_jute::{Acl, ErrorCode, Id, LogEntry, OpCode, StatPersisted, Txn, TxnDigest, TxnHeader};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Nodes, sessions, connections' identities and watches.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(crate) nodes: Nodes,
    pub(crate) zxid: i64,
    /// Open sessions and their timeouts of creation, ms.
    pub(crate) sessions: BTreeMap<i64, i32>,
    /// Identities of the connection that each session has now.
    pub(crate) identities: BTreeMap<i64, Vec<Id>>,
    pub(crate) data_watches: WatchTable,
    pub(crate) child_watches: WatchTable,
    pub(crate) quotas: Quotas,
    pub(crate) extended_types: bool,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// A fresh tree: `/`, `/zookeeper` and the two nodes below it, no zxid used.
    pub fn new() -> Self {
        let mut tree = Self::bare();
        let zeros = StatPersisted {
            czxid: 0,
            mzxid: 0,
            ctime: 0,
            mtime: 0,
            version: 0,
            cversion: 0,
            aversion: 0,
            ephemeral_owner: 0,
            pzxid: 0,
        };
        let anyone_reads = Acl { perms: crate::acl::READ, ..Acl::open() };
        let readable = tree.nodes.acls.intern(&[anyone_reads]);
        let open = tree.nodes.acls.unlisted_open();
        for (path, acl, aversion) in [
            ("", &open, 0),
            ("/zookeeper", &open, 0),
            ("/zookeeper/quota", &open, 0),
            ("/zookeeper/config", &readable, -1),
        ] {
            let stat = StatPersisted { aversion, ..zeros.clone() };
            tree.nodes.insert(path.into(), Node::new(Some(Bytes::new()), acl.clone(), stat));
        }
        tree
    }

    /// Without a node.
    pub(crate) fn bare() -> Self {
        Self {
            nodes: Nodes::new(),
            zxid: 0,
            sessions: BTreeMap::new(),
            identities: BTreeMap::new(),
            data_watches: WatchTable::default(),
            child_watches: WatchTable::default(),
            quotas: Quotas::default(),
            extended_types: false,
        }
    }

    /// Whether createTTL is accepted (`zookeeper.extendedTypesEnabled`; false unless set).
    pub fn set_extended_types(&mut self, enabled: bool) {
        self.extended_types = enabled;
    }

    /// A connection of that session is there, from that address; what the one before had is forgotten. A connection's
    /// identity, for access control, is its address until it sends auth.
    pub fn connect(&mut self, session_id: i64, address: &str) {
        self.disconnect(session_id);
        self.identities.insert(session_id, vec![Id { scheme: "ip".into(), id: address.into() }]);
    }

    /// The session's connection is gone, and with it watches and identities. The session lives on.
    pub fn disconnect(&mut self, session_id: i64) {
        self.identities.remove(&session_id);
        self.data_watches.remove_session(session_id);
        self.child_watches.remove_session(session_id);
    }

    /// A new session; the entry must be on disk before the client learns of it.
    pub fn create_session(&mut self, now_ms: i64, session_id: i64, timeout_ms: i32) -> LogEntry {
        let header = self.header(now_ms, Caller { session_id, xid: 0 });
        let txn = Txn::CreateSession(timeout_ms);
        self.apply(&header, &txn);
        self.entry(header, txn)
    }

    /// Ends a session because its time is over: no reply, and its own connection hears no more. Nothing happens if there
    /// is no such session.
    pub fn expire_session(&mut self, now_ms: i64, session_id: i64) -> Outcome {
        if !self.sessions.contains_key(&session_id) {
            return Outcome::default();
        }
        self.disconnect(session_id);
        let mut outcome = self.close_session(now_ms, Caller { session_id, xid: 0 });
        outcome.reply = None;
        outcome
    }

    /// Containers and nodes with a time to live that [`Self::delete_perished`] would delete now, at most `limit`.
    pub fn perished(&self, now_ms: i64, limit: usize) -> Vec<String> {
        let perished = |path: &&str| self.nodes.get(path).is_some_and(|node| node.has_perished(now_ms));
        self.nodes.perishable().filter(perished).take(limit).map(str::to_owned).collect()
    }

    /// Deletes a node whose time is over; nothing happens if it is not.
    pub fn delete_perished(&mut self, now_ms: i64, path: &str) -> Outcome {
        if !self.nodes.get(path).is_some_and(|node| node.has_perished(now_ms)) {
            return Outcome::default();
        }
        let mut outcome = self.commit(now_ms, Caller { session_id: 0, xid: 0 }, Txn::DeleteContainer(path.to_owned()));
        outcome.reply = None;
        outcome
    }

    /// A request whose record could not be read: MARSHALLINGERROR, and a log entry if it was a write.
    pub fn malformed(&mut self, now_ms: i64, caller: Caller, op_code: OpCode) -> Outcome {
        if !self.sessions.contains_key(&caller.session_id) {
            return Outcome::dropped();
        }
        if op_code.is_write() {
            self.refuse(now_ms, caller, ErrorCode::MarshallingError)
        } else {
            Outcome::error(caller, self.zxid, ErrorCode::MarshallingError)
        }
    }

    /// The header of the write that comes next.
    pub(crate) fn header(&self, now_ms: i64, caller: Caller) -> TxnHeader {
        TxnHeader { client_id: caller.session_id, cxid: caller.xid, zxid: self.zxid + 1, time_ms: now_ms }
    }

    /// The log entry of what was just applied.
    pub(crate) fn entry(&self, header: TxnHeader, txn: Txn) -> LogEntry {
        let digest = TxnDigest { version: crate::digest::DIGEST_VERSION, tree_digest: self.digest() };
        // ZooKeeper writes none behind an error.
        let digest = if matches!(txn, Txn::Error(_)) { None } else { Some(digest) };
        LogEntry { header, txn, digest }
    }

    /// Identities of a session's connection.
    pub(crate) fn ids(&self, session_id: i64) -> &[Id] {
        self.identities.get(&session_id).map_or(&[], Vec::as_slice)
    }

    /// Whether a session may do that with a node.
    pub(crate) fn check_acl(&self, acl: &AclEntry, bit: i32, session_id: i64) -> Result<(), ErrorCode> {
        acl.check(bit, self.ids(session_id))
    }

    /// The newest write: the zxid of its log entry.
    pub fn zxid(&self) -> i64 {
        self.zxid
    }

    /// Digest of the nodes, as log entries and snapshots hold it.
    pub fn digest(&self) -> i64 {
        self.nodes.digest()
    }

    /// A node; the root is `/` or the empty path.
    pub fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// All nodes, a parent before its children; the root's path is empty.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter()
    }

    /// Number of nodes as ZooKeeper counts them: the root twice.
    pub fn node_count(&self) -> usize {
        self.nodes.len() + 1
    }

    /// Bytes of paths and data.
    pub fn approximate_data_size(&self) -> i64 {
        self.nodes.size()
    }

    /// The ACL table for a snapshot: numbers and lists that nodes refer to, sorted.
    pub fn acls(&self) -> BTreeMap<i64, &[Acl]> {
        self.nodes.acls.entries().map(|entry| (entry.id, entry.list.as_slice())).collect()
    }

    /// Open sessions and their timeouts of creation, ms.
    pub fn sessions(&self) -> &BTreeMap<i64, i32> {
        &self.sessions
    }

    /// Sessions that own ephemeral nodes, and the paths of these.
    pub fn ephemerals(&self) -> impl Iterator<Item = (i64, &BTreeSet<Arc<str>>)> {
        self.nodes.ephemerals()
    }

    /// Number of watches.
    pub fn watch_count(&self) -> usize {
        self.data_watches.len() + self.child_watches.len()
    }

    /// Paths with data watches, and the sessions that watch them (what `wchs`, `wchc` and `wchp` show).
    pub fn data_watches(&self) -> impl Iterator<Item = (&str, Vec<i64>)> {
        self.data_watches.paths()
    }
}
