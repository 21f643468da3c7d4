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

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(ephemeral_owner: i64) -> StatPersisted {
        StatPersisted {
            czxid: 1,
            mzxid: 1,
            ctime: 0,
            mtime: 0,
            version: 0,
            cversion: 0,
            aversion: 0,
            ephemeral_owner,
            pzxid: 1,
        }
    }

    #[test]
    fn a_snapshot_that_does_not_hold_together_is_refused() {
        let mut restore = Restore::new([], []);
        assert_eq!(restore.node("/a".into(), None, -1, stat(0)), Err(RestoreError::NoParent("/a".into())));
        assert_eq!(
            restore.node(String::new(), None, 1, stat(0)),
            Err(RestoreError::NoAcl { path: String::new(), acl_id: 1 })
        );
        assert_eq!(restore.finish(5).map(|_| ()), Err(RestoreError::NoRoot));
    }

    #[test]
    fn ephemerals_of_unknown_sessions_go_at_the_end_of_a_start() {
        let mut restore = Restore::new([(7, 1000)], [(3, vec![Acl::open()])]);
        for (path, owner) in [("", 0), ("/known", 7), ("/orphan", 8), ("/plain", 0)] {
            restore.node(path.into(), None, 3, stat(owner)).unwrap();
        }
        let mut tree = restore.finish(5).unwrap();
        let digest = tree.digest();
        assert_eq!(tree.drop_orphans(), 1);
        assert_eq!(tree.nodes().map(|(path, _)| path).collect::<Vec<_>>(), ["", "/known", "/plain"]);
        assert_eq!(tree.zxid(), 5, "without a transaction");
        assert_ne!(tree.digest(), digest);
        assert_eq!(tree.acls().len(), 1);
    }

    #[test]
    fn lists_that_no_node_has_are_forgotten() {
        let mut restore = Restore::new([], [(1, vec![Acl::open()]), (9, vec![])]);
        restore.node(String::new(), None, -1, stat(0)).unwrap();
        let tree = restore.finish(5).unwrap();
        assert!(tree.acls().is_empty());
    }
}
