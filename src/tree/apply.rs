//! Doing what a log entry says: the one place that changes nodes, for requests as for replay.
//!
//! Replay must bear a snapshot that already holds some of what follows in the log (ZooKeeper writes snapshots while the
//! tree changes), so what cannot be done is passed over, and only ever raises what it touches.

use crate::acl::AclEntry;
use crate::node::{Lifetime, Node};
use crate::path;
use crate::tree::Tree;
use bytes::Bytes;
use ottla_jute::{Acl, EventType, StatPersisted, Txn, TxnHeader, WatcherEvent};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A change of the tree, with what quotas and watches need to know of it.
pub(crate) enum Change {
    Created { path: Arc<str>, acl: Arc<AclEntry>, parent_acl: Arc<AclEntry>, bytes: i64 },
    Deleted { path: Arc<str>, acl: Arc<AclEntry>, parent_acl: Arc<AclEntry>, bytes: i64 },
    DataChanged { path: Arc<str>, acl: Arc<AclEntry>, bytes: i64 },
}

/// How to take a change back.
enum Undo {
    Remove { path: Arc<str>, parent: Restored },
    Insert { path: Arc<str>, node: Node, parent: Restored },
    Data { path: Arc<str>, data: Option<Bytes>, stat: StatPersisted },
}

/// What a parent had before.
struct Restored {
    cversion: i32,
    pzxid: i64,
}

/// Changes made so far, in order, and the way back.
#[derive(Default)]
pub(crate) struct Journal {
    changes: Vec<Change>,
    undo: Vec<Undo>,
}

impl Tree {
    /// Does again what the log says. The caller may compare the entry's digest with [`Tree::digest`] afterwards.
    pub fn apply(&mut self, header: &TxnHeader, txn: &Txn) {
        let mut journal = Journal::default();
        self.apply_to(header, txn, &mut journal);
        self.settle(header, journal);
    }

    /// Applies, with the way back kept. Neither the zxid moves nor do watches fire before [`Self::settle`].
    pub(crate) fn apply_to(&mut self, header: &TxnHeader, txn: &Txn, journal: &mut Journal) {
        match txn {
            Txn::Create(create) | Txn::Create2(create) => {
                let lifetime =
                    if create.ephemeral { Lifetime::Session(header.client_id) } else { Lifetime::Persistent };
                let created = self.create(
                    header,
                    &create.path,
                    &create.data,
                    &create.acl,
                    lifetime,
                    create.parent_cversion,
                    journal,
                );
                if !created && matches!(txn, Txn::Create(_)) {
                    self.raise_parent(header, &create.path, create.parent_cversion);
                }
            }
            Txn::CreateContainer(create) => {
                self.create(
                    header,
                    &create.path,
                    &create.data,
                    &create.acl,
                    Lifetime::Container,
                    create.parent_cversion,
                    journal,
                );
            }
            Txn::CreateTtl(create) => {
                let lifetime = Lifetime::Ttl(create.ttl);
                self.create(header, &create.path, &create.data, &create.acl, lifetime, create.parent_cversion, journal);
            }
            Txn::Delete(path) | Txn::DeleteContainer(path) => self.delete(header.zxid, path, journal),
            Txn::SetData(set) | Txn::Reconfig(set) => self.set_data(header, &set.path, &set.data, set.version, journal),
            Txn::SetAcl(set) => self.set_acl(&set.path, &set.acl, set.version),
            Txn::Multi(txns) => {
                if !txns.iter().any(|txn| matches!(txn, Txn::Error(_))) {
                    for txn in txns {
                        self.apply_to(header, txn, journal);
                    }
                }
            }
            Txn::CreateSession(timeout_ms) => {
                self.sessions.insert(header.client_id, *timeout_ms);
            }
            Txn::CloseSession(paths) => {
                self.sessions.remove(&header.client_id);
                for path in paths.iter().flatten() {
                    self.delete(header.zxid, path, journal);
                }
                self.delete_ephemerals(header.zxid, header.client_id, journal);
            }
            Txn::Check(_) | Txn::Error(_) => {}
        }
    }

    /// Makes what was applied final: the zxid, quotas, watches. Returns the events, in order.
    pub(crate) fn settle(&mut self, header: &TxnHeader, journal: Journal) -> Vec<(i64, WatcherEvent)> {
        self.zxid = self.zxid.max(header.zxid);
        let mut events = Vec::new();
        for change in journal.changes {
            match change {
                Change::Created { path, acl, parent_acl, bytes } => {
                    self.quotas.created(&mut self.nodes, &path, bytes);
                    self.fire_data(&path, EventType::NodeCreated, &acl, &mut events);
                    self.fire_children_changed(&path, &parent_acl, &mut events);
                }
                Change::DataChanged { path, acl, bytes } => {
                    self.quotas.changed(&mut self.nodes, &path, bytes);
                    self.fire_data(&path, EventType::NodeDataChanged, &acl, &mut events);
                }
                Change::Deleted { path, acl, parent_acl, bytes } => {
                    self.quotas.deleted(&mut self.nodes, &path, bytes);
                    let told = self.fire_data(&path, EventType::NodeDeleted, &acl, &mut events);
                    let mut concerned = self.child_watches.trigger(&path, EventType::NodeDeleted);
                    concerned.retain(|session| !told.contains(session));
                    self.tell(&concerned, &path, EventType::NodeDeleted, &acl, &mut events);
                    self.fire_children_changed(&path, &parent_acl, &mut events);
                }
            }
        }
        for undo in journal.undo {
            if let Undo::Insert { node, .. } = undo {
                self.nodes.acls.release(node.acl);
            }
        }
        events
    }

    /// Takes back what was applied, last change first.
    pub(crate) fn undo(&mut self, journal: Journal) {
        // They hold ACLs, which would then not be released.
        drop(journal.changes);
        for undo in journal.undo.into_iter().rev() {
            match undo {
                Undo::Remove { path, parent } => {
                    let removed = self.nodes.remove(&path);
                    self.restore_parent(&path, &parent);
                    if let Some((_, node)) = removed {
                        self.nodes.acls.release(node.acl);
                    }
                }
                Undo::Insert { path, node, parent } => {
                    self.nodes.insert(path.clone(), node);
                    self.restore_parent(&path, &parent);
                }
                Undo::Data { path, data, stat } => {
                    self.nodes.change(&path, |node| {
                        node.data = data;
                        node.stat = stat;
                    });
                }
            }
        }
    }

    fn restore_parent(&mut self, path: &str, parent: &Restored) {
        if let Some((parent_path, _)) = path::split(path) {
            self.nodes.change(parent_path, |node| {
                node.stat.cversion = parent.cversion;
                node.stat.pzxid = parent.pzxid;
            });
        }
    }

    /// False if the node or no parent is there.
    #[expect(clippy::too_many_arguments, reason = "the fields of four records that differ in their other fields")]
    fn create(
        &mut self,
        header: &TxnHeader,
        path: &str,
        data: &Option<Bytes>,
        acl: &[Acl],
        lifetime: Lifetime,
        parent_cversion: i32,
        journal: &mut Journal,
    ) -> bool {
        let Some((parent_path, _)) = path::split(path) else { return false };
        let Some(parent) = self.nodes.get(parent_path) else { return false };
        if self.nodes.get(path).is_some() {
            return false;
        }
        let before = Restored { cversion: parent.stat.cversion, pzxid: parent.stat.pzxid };
        let parent_acl = parent.acl.clone();
        let acl = self.nodes.acls.intern(acl);
        self.raise_parent(header, path, parent_cversion);
        let stat = StatPersisted {
            czxid: header.zxid,
            mzxid: header.zxid,
            ctime: header.time_ms,
            mtime: header.time_ms,
            version: 0,
            cversion: 0,
            aversion: 0,
            ephemeral_owner: lifetime.owner(),
            pzxid: header.zxid,
        };
        let node = Node::new(data.clone(), acl.clone(), stat);
        let (path, bytes): (Arc<str>, i64) = (path.into(), node.data_length());
        self.nodes.insert(path.clone(), node);
        journal.undo.push(Undo::Remove { path: path.clone(), parent: before });
        journal.changes.push(Change::Created { path, acl, parent_acl, bytes });
        true
    }

    /// The parent's version of its list of children only grows; -1, from servers before 3.4, means one more.
    fn raise_parent(&mut self, header: &TxnHeader, path: &str, parent_cversion: i32) {
        let Some((parent_path, _)) = path::split(path) else { return };
        let Some(parent) = self.nodes.get(parent_path) else { return };
        let cversion = parent.stat.cversion;
        let raised = if parent_cversion == -1 { cversion.wrapping_add(1) } else { parent_cversion };
        if raised > cversion {
            self.nodes.change(parent_path, |parent| {
                parent.stat.cversion = raised;
                parent.stat.pzxid = header.zxid;
            });
        }
    }

    fn delete(&mut self, zxid: i64, path: &str, journal: &mut Journal) {
        let Some((parent_path, _)) = path::split(path) else { return };
        let Some(parent) = self.nodes.get(parent_path) else { return };
        let before = Restored { cversion: parent.stat.cversion, pzxid: parent.stat.pzxid };
        let parent_acl = parent.acl.clone();
        // In the log a deleted node has no children. Those that a snapshot knows of already come again.
        let below: Vec<Arc<str>> = match self.nodes.get(path) {
            Some(node) if !node.children.is_empty() => self.nodes.below(path).map(|(path, _)| path.into()).collect(),
            _ => Vec::new(),
        };
        for path in below.iter().rev() {
            if let Some((_, node)) = self.nodes.remove(path) {
                self.nodes.acls.release(node.acl);
            }
        }
        let removed = self.nodes.remove(path);
        if zxid > before.pzxid {
            self.nodes.change(parent_path, |parent| parent.stat.pzxid = zxid);
        }
        if let Some((path, node)) = removed {
            let (acl, bytes) = (node.acl.clone(), node.data_length());
            journal.undo.push(Undo::Insert { path: path.clone(), node, parent: before });
            journal.changes.push(Change::Deleted { path, acl, parent_acl, bytes });
        }
    }

    pub(crate) fn delete_ephemerals(&mut self, zxid: i64, session_id: i64, journal: &mut Journal) {
        let paths: Vec<Arc<str>> = self.nodes.ephemerals_of(session_id).cloned().collect();
        for path in paths {
            self.delete(zxid, &path, journal);
        }
    }

    fn set_data(&mut self, header: &TxnHeader, path: &str, data: &Option<Bytes>, version: i32, journal: &mut Journal) {
        let changed = self.nodes.change(path, |node| {
            let length_before = node.data_length();
            let undo = Undo::Data { path: path.into(), data: node.data.take(), stat: node.stat.clone() };
            node.data = data.clone();
            node.stat.version = version;
            node.stat.mzxid = header.zxid;
            node.stat.mtime = header.time_ms;
            (undo, node.acl.clone(), node.data_length() - length_before)
        });
        if let Some((undo, acl, bytes)) = changed {
            journal.undo.push(undo);
            journal.changes.push(Change::DataChanged { path: path.into(), acl, bytes });
        }
    }

    /// Not part of any multi, so without a way back.
    fn set_acl(&mut self, path: &str, acl: &[Acl], version: i32) {
        if self.nodes.get(path).is_none() {
            return;
        }
        let acl = self.nodes.acls.intern(acl);
        let before = self.nodes.change(path, |node| {
            node.stat.aversion = version;
            std::mem::replace(&mut node.acl, acl)
        });
        if let Some(before) = before {
            self.nodes.acls.release(before);
        }
    }

    fn fire_data(
        &mut self,
        path: &str,
        event: EventType,
        acl: &AclEntry,
        events: &mut Vec<(i64, WatcherEvent)>,
    ) -> BTreeSet<i64> {
        let concerned = self.data_watches.trigger(path, event);
        self.tell(&concerned, path, event, acl, events);
        concerned
    }

    fn fire_children_changed(&mut self, path: &str, acl: &AclEntry, events: &mut Vec<(i64, WatcherEvent)>) {
        let parent = path::parent_in_events(path);
        let concerned = self.child_watches.trigger(parent, EventType::NodeChildrenChanged);
        self.tell(&concerned, parent, EventType::NodeChildrenChanged, acl, events);
    }

    /// Only who may read a node hears of it.
    fn tell(
        &self,
        concerned: &BTreeSet<i64>,
        path: &str,
        event: EventType,
        acl: &AclEntry,
        events: &mut Vec<(i64, WatcherEvent)>,
    ) {
        for session in concerned {
            if self.check_acl(acl, crate::acl::READ, *session).is_ok() {
                events.push((*session, WatcherEvent::new(event, path)));
            }
        }
    }
}
