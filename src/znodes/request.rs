//! Requests and their outcomes.

use ottla_jute::Stat;

/// The number of a request; the answer carries it.
pub type RequestId = u64;

/// One request. Paths are absolute below the chroot. `watch`: a one-shot watch is set if the request succeeds (and, for
/// [`Exists`](Request::Exists), also on a node that is not there); the driver tells the core when it fires.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what the variants name")]
pub enum Request {
    /// Data and Stat.
    Get { path: String, watch: bool },
    /// Stat, if the node exists.
    Exists { path: String, watch: bool },
    /// Names of the children.
    Children { path: String, watch: bool },
    /// All operations or none. A single write is a list of one.
    Write(Vec<Op>),
    /// Waits until the server has seen all that was acknowledged before.
    Sync { path: String },
}

/// How long a node lives and how it is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateMode {
    /// Until deleted.
    Persistent,
    /// Until deleted; a ten-digit number is added to its name.
    PersistentSequential,
    /// Until deleted or until the session ends.
    Ephemeral,
}

/// One operation of a [`Request::Write`]. Paths are absolute below the chroot; a version of `None` takes any.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what the variants name")]
pub enum Op {
    /// The node has this data version.
    Check { path: String, version: i32 },
    /// Create the node; its parent must exist.
    Create { path: String, data: Vec<u8>, mode: CreateMode },
    /// Set its data.
    Set { path: String, data: Vec<u8>, version: Option<i32> },
    /// Delete it.
    Delete { path: String, version: Option<i32> },
}

/// What a request that succeeded was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To `Get`.
    Data(Vec<u8>, Stat),
    /// To `Exists`.
    Stat(Option<Stat>),
    /// To `Children`, in no order.
    Children(Vec<String>),
    /// To `Write`, for each operation: the new Stat of a node that was set, else nothing.
    Written(Vec<Option<Stat>>),
    /// To `Sync`.
    Synced,
}

/// Why a request did not do what it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// ZooKeeper refused: nothing was done. `at` is the operation of a `Write`, 0 otherwise.
    Refused {
        /// Which operation.
        at: usize,
        /// Why.
        why: Refusal,
    },
    /// The answer was lost: it may or may not have been done, and may yet be done. Read, then decide.
    Unknown,
    /// The session has ended.
    Expired,
}

/// An error that ZooKeeper answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The node, or the parent of the node to create, does not exist.
    NoNode,
    /// The node exists.
    NodeExists,
    /// It has another version.
    BadVersion,
    /// It has children.
    NotEmpty,
    /// Any other, by ZooKeeper's code: an ACL (-102), a request over the size limit.
    Other(i32),
}

impl Request {
    /// Whether it sets a watch.
    pub fn sets_watch(&self) -> bool {
        match self {
            Request::Get { watch, .. } | Request::Exists { watch, .. } | Request::Children { watch, .. } => *watch,
            Request::Write(_) | Request::Sync { .. } => false,
        }
    }
}

impl Op {
    /// The node that it is about.
    pub fn path(&self) -> &str {
        match self {
            Op::Check { path, .. } | Op::Create { path, .. } | Op::Set { path, .. } | Op::Delete { path, .. } => path,
        }
    }
}
