//! One node.

use crate::acl::AclEntry;
use bytes::Bytes;
use ottla_jute::{Acl, Stat, StatPersisted};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The owner that marks a container (`EphemeralType.CONTAINER_EPHEMERAL_OWNER`).
pub(crate) const CONTAINER_OWNER: i64 = i64::MIN;
/// The first byte of an owner that is a time to live.
const TTL_MARK: i64 = 0xff << 56;
/// The longest time to live, ms.
pub(crate) const TTL_MAX_MS: i64 = (1 << 40) - 1;

/// Until when a node lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is deleted.
    Persistent,
    /// At most until that session ends.
    Session(i64),
    /// Until its last child is deleted; then the server deletes it.
    Container,
    /// Until it has had no child and no change for that long, ms; then the server deletes it.
    Ttl(i64),
}

impl Lifetime {
    pub(crate) fn from_owner(owner: i64) -> Self {
        match owner {
            0 => Self::Persistent,
            CONTAINER_OWNER => Self::Container,
            _ if owner & TTL_MARK == TTL_MARK => Self::Ttl(owner & TTL_MAX_MS),
            session => Self::Session(session),
        }
    }

    pub(crate) fn owner(self) -> i64 {
        match self {
            Self::Persistent => 0,
            Self::Container => CONTAINER_OWNER,
            Self::Ttl(ttl_ms) => TTL_MARK | (ttl_ms & TTL_MAX_MS),
            Self::Session(session) => session,
        }
    }
}

/// A node: data, ACL, metadata as files hold it, names of children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub(crate) data: Option<Bytes>,
    pub(crate) acl: Arc<AclEntry>,
    pub(crate) stat: StatPersisted,
    pub(crate) children: BTreeSet<Box<str>>,
    /// Its part of the tree's digest.
    pub(crate) digest: u32,
}

impl Node {
    pub(crate) fn new(data: Option<Bytes>, acl: Arc<AclEntry>, stat: StatPersisted) -> Self {
        Self { data, acl, stat, children: BTreeSet::new(), digest: 0 }
    }

    /// The data; none is not the same as empty.
    pub fn data(&self) -> Option<&Bytes> {
        self.data.as_ref()
    }

    /// The ACL.
    pub fn acl(&self) -> &[Acl] {
        &self.acl.list
    }

    /// The number of the ACL in the table of a snapshot; -1 is the open one without an entry.
    pub fn acl_id(&self) -> i64 {
        self.acl.id
    }

    /// The metadata as files hold it.
    pub fn persisted(&self) -> &StatPersisted {
        &self.stat
    }

    /// Names of children, sorted.
    pub fn children(&self) -> impl Iterator<Item = &str> {
        self.children.iter().map(AsRef::as_ref)
    }

    /// Until when it lives.
    pub fn lifetime(&self) -> Lifetime {
        Lifetime::from_owner(self.stat.ephemeral_owner)
    }

    /// The metadata as clients see it: `cversion` counts deletions too, and only sessions are owners.
    pub fn stat(&self) -> Stat {
        let num_children = self.children.len() as i32;
        Stat {
            czxid: self.stat.czxid,
            mzxid: self.stat.mzxid,
            ctime: self.stat.ctime,
            mtime: self.stat.mtime,
            version: self.stat.version,
            cversion: self.stat.cversion.wrapping_mul(2).wrapping_sub(num_children),
            aversion: self.stat.aversion,
            ephemeral_owner: match self.lifetime() {
                Lifetime::Session(session) => session,
                _ => 0,
            },
            data_length: self.data_length() as i32,
            num_children,
            pzxid: self.stat.pzxid,
        }
    }

    pub(crate) fn data_length(&self) -> i64 {
        self.data.as_ref().map_or(0, |data| data.len() as i64)
    }

    /// Whether the server is to delete it: a container that had children, or a node with a time to live that is over.
    pub(crate) fn has_perished(&self, now_ms: i64) -> bool {
        let over = match self.lifetime() {
            Lifetime::Container => self.stat.cversion > 0,
            Lifetime::Ttl(ttl_ms) => now_ms - self.stat.mtime > ttl_ms,
            Lifetime::Persistent | Lifetime::Session(_) => false,
        };
        over && self.children.is_empty()
    }
}
