//! A tree from what a snapshot holds.

use crate::acl::{AclEntry, AclTable};
use crate::apply::Journal;
use crate::node::Node;
use crate::path;
use crate::quota::Quotas;
use crate::tree::Tree;
use bytes::Bytes;
use ottla_jute::{Acl, StatPersisted, TxnHeader};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A snapshot that does not hold together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Nodes stand behind their parents.
    #[error("node {0} stands in the snapshot without its parent")]
    NoParent(String),
    /// A node's ACL is not in the table.
    #[error("node {path} has the ACL number {acl_id}, which the snapshot's table lacks")]
    NoAcl {
        /// The node.
        path: String,
        /// The number.
        acl_id: i64,
    },
    /// There is no root.
    #[error("the snapshot has no root node")]
    NoRoot,
}

/// Builds a tree in the order of a snapshot file.
#[derive(Debug)]
pub struct Restore {
    tree: Tree,
    acls: BTreeMap<i64, Arc<AclEntry>>,
}

impl Restore {
    /// Sessions with their timeouts, ms, and the table of ACLs.
    pub fn new(
        sessions: impl IntoIterator<Item = (i64, i32)>,
        acls: impl IntoIterator<Item = (i64, Vec<Acl>)>,
    ) -> Self {
        let mut tree = Tree::bare();
        tree.sessions = sessions.into_iter().collect();
        let mut table = BTreeMap::from([(AclTable::UNLISTED_OPEN, tree.nodes.acls.unlisted_open())]);
        for (id, list) in acls {
            table.insert(id, tree.nodes.acls.restore(id, list));
        }
        Self { tree, acls: table }
    }

    /// The next node; the root, whose path is empty, comes first.
    pub fn node(
        &mut self,
        path: String,
        data: Option<Bytes>,
        acl_id: i64,
        stat: StatPersisted,
    ) -> Result<(), RestoreError> {
        let Some(acl) = self.acls.get(&acl_id).cloned() else { return Err(RestoreError::NoAcl { path, acl_id }) };
        let has_parent =
            path::split(&path).map_or(path.is_empty(), |(parent, _)| self.tree.nodes.get(parent).is_some());
        if !has_parent {
            return Err(RestoreError::NoParent(path));
        }
        self.tree.nodes.insert(path.into(), Node::new(data, acl, stat));
        Ok(())
    }

    /// The tree, which held everything up to that zxid.
    pub fn finish(mut self, zxid: i64) -> Result<Tree, RestoreError> {
        if self.tree.nodes.get("").is_none() {
            return Err(RestoreError::NoRoot);
        }
        drop(self.acls);
        self.tree.nodes.acls.purge();
        self.tree.zxid = zxid;
        self.tree.quotas = Quotas::restore(&mut self.tree.nodes);
        Ok(self.tree)
    }
}

impl Tree {
    /// At the end of a start: removes ephemeral nodes whose session is not known, without a transaction, as ZooKeeper does
    /// (`ZooKeeperServer.loadData`). Returns how many.
    pub fn drop_orphans(&mut self) -> usize {
        let owners: Vec<i64> = self.nodes.ephemerals().map(|(session, _)| session).collect();
        let nodes_before = self.nodes.len();
        let header = TxnHeader { client_id: 0, cxid: 0, zxid: self.zxid, time_ms: 0 };
        for session in owners.into_iter().filter(|session| !self.sessions.contains_key(session)).collect::<Vec<_>>() {
            let mut journal = Journal::default();
            self.delete_ephemerals(self.zxid, session, &mut journal);
            self.settle(&header, journal);
        }
        nodes_before - self.nodes.len()
    }
}
