//! All nodes by path, and what is kept beside them so that nobody has to search: children, ephemerals, digest, sizes.

use crate::acl::AclTable;
use crate::digest::node_digest;
use crate::node::{Lifetime, Node};
use crate::path;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// The root's key is the empty path; clients also call it `/`. Sorted by path, so a parent comes before its children.
#[derive(Debug, Clone)]
pub(crate) struct Nodes {
    by_path: BTreeMap<Arc<str>, Node>,
    /// Ephemeral nodes of each session.
    ephemerals: BTreeMap<i64, BTreeSet<Arc<str>>>,
    /// Containers and nodes with a time to live.
    perishable: BTreeSet<Arc<str>>,
    pub(crate) acls: AclTable,
    digest: u64,
    /// Bytes of paths and data.
    size: i64,
}

impl Nodes {
    pub(crate) fn new() -> Self {
        Self {
            by_path: BTreeMap::new(),
            ephemerals: BTreeMap::new(),
            perishable: BTreeSet::new(),
            acls: AclTable::new(),
            digest: 0,
            size: 0,
        }
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        self.by_path.get(if path == "/" { "" } else { path })
    }

    pub(crate) fn len(&self) -> usize {
        self.by_path.len()
    }

    pub(crate) fn digest(&self) -> i64 {
        self.digest as i64
    }

    pub(crate) fn size(&self) -> i64 {
        self.size
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.by_path.iter().map(|(path, node)| (path.as_ref(), node))
    }

    /// Nodes below that path, without itself. `0` is the character behind `/`.
    pub(crate) fn below(&self, path: &str) -> impl Iterator<Item = (&str, &Node)> {
        let (first, end) = (format!("{path}/"), format!("{path}0"));
        let range = (Bound::Excluded(first.as_str()), Bound::Excluded(end.as_str()));
        self.by_path.range::<str, _>(range).map(|(path, node)| (path.as_ref(), node))
    }

    /// Paths of a session's ephemeral nodes, sorted.
    pub(crate) fn ephemerals_of(&self, session: i64) -> impl Iterator<Item = &Arc<str>> {
        self.ephemerals.get(&session).into_iter().flatten()
    }

    /// Sessions with ephemeral nodes, and these.
    pub(crate) fn ephemerals(&self) -> impl Iterator<Item = (i64, &BTreeSet<Arc<str>>)> {
        self.ephemerals.iter().map(|(session, paths)| (*session, paths))
    }

    pub(crate) fn perishable(&self) -> impl Iterator<Item = &str> {
        self.perishable.iter().map(AsRef::as_ref)
    }

    /// Adds a node; its parent is told its name if it is there.
    pub(crate) fn insert(&mut self, path: Arc<str>, mut node: Node) {
        if let Some((parent, name)) = path::split(&path)
            && let Some(parent) = self.by_path.get_mut(parent)
        {
            parent.children.insert(name.into());
        }
        match node.lifetime() {
            Lifetime::Persistent => {}
            Lifetime::Session(session) => {
                self.ephemerals.entry(session).or_default().insert(path.clone());
            }
            Lifetime::Container | Lifetime::Ttl(_) => {
                self.perishable.insert(path.clone());
            }
        }
        node.digest = node_digest(&path, &node);
        self.digest = self.digest.wrapping_add(node.digest.into());
        self.size += path.len() as i64 + node.data_length();
        self.by_path.insert(path, node);
    }

    /// Takes a node out; its parent forgets its name also if there is no such node.
    pub(crate) fn remove(&mut self, path: &str) -> Option<(Arc<str>, Node)> {
        if let Some((parent, name)) = path::split(path)
            && let Some(parent) = self.by_path.get_mut(parent)
        {
            parent.children.remove(name);
        }
        let (path, node) = self.by_path.remove_entry(path)?;
        match node.lifetime() {
            Lifetime::Persistent => {}
            Lifetime::Session(session) => {
                if let Some(paths) = self.ephemerals.get_mut(&session) {
                    paths.remove(&path);
                    if paths.is_empty() {
                        self.ephemerals.remove(&session);
                    }
                }
            }
            Lifetime::Container | Lifetime::Ttl(_) => {
                self.perishable.remove(&path);
            }
        }
        self.digest = self.digest.wrapping_sub(node.digest.into());
        self.size -= path.len() as i64 + node.data_length();
        Some((path, node))
    }

    /// Changes data, ACL or metadata of a node; not its owner, not its children. `None`: there is none.
    pub(crate) fn change<T>(&mut self, path: &str, change: impl FnOnce(&mut Node) -> T) -> Option<T> {
        let path = if path == "/" { "" } else { path };
        let node = self.by_path.get_mut(path)?;
        self.digest = self.digest.wrapping_sub(node.digest.into());
        self.size -= node.data_length();
        let result = change(node);
        node.digest = node_digest(path, node);
        self.digest = self.digest.wrapping_add(node.digest.into());
        self.size += node.data_length();
        Some(result)
    }
}
