//! The seam: a dozen ZooKeeper operations as one trait, so that nothing else knows which client speaks them.
//!
//! Two implementations: `live` over the network, `fake` over the pure tree. Paths are absolute below the chroot.
//! Watches fire once. Errors say what is known about the outcome: only an answered error is certain.

use std::future::Future;
use std::pin::Pin;

pub use ottla_jute::Stat;
pub use ottla_znodes::{CreateMode, Op};

/// A boxed future, so that the trait can be an object.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, ZkError>> + Send + 'a>>;

/// Resolves once when the watched node changes, or when the session that set the watch is lost for good.
pub type Watcher = Pin<Box<dyn Future<Output = WatchEvent> + Send>>;

/// What a watch saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchEvent {
    /// The node was created.
    Created,
    /// The node is gone.
    Deleted,
    /// Its data changed.
    DataChanged,
    /// Its list of children changed.
    ChildrenChanged,
    /// The session ended, or the watch can no longer be trusted: read again in the session that follows.
    Lost,
}

/// Why an operation did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZkError {
    /// The node, or the parent of the node to create, does not exist.
    #[error("no such node")]
    NoNode,
    /// The node exists already.
    #[error("the node exists")]
    NodeExists,
    /// The node's version is not the expected one.
    #[error("the node has another version")]
    BadVersion,
    /// The node has children.
    #[error("the node has children")]
    NotEmpty,
    /// The node's ACL forbids it.
    #[error("not permitted by the node's ACL")]
    NoAuth,
    /// The connection was lost with the request in flight: it may or may not have been done. Read, then decide.
    #[error("connection to ZooKeeper lost; the outcome is unknown")]
    Unknown,
    /// The session has ended; ephemeral nodes and watches are gone.
    #[error("the ZooKeeper session has expired")]
    Expired,
    /// Larger than ZooKeeper accepts; it was not sent.
    #[error("{0} bytes are more than ZooKeeper accepts in one request")]
    TooLarge(usize),
    /// Any other error that the server answered, by its code.
    #[error("ZooKeeper refused: error {0}")]
    Refused(i32),
}

/// What one operation of a successful multi did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpResult {
    /// A check held.
    Checked,
    /// A node was created at this path.
    Created(String),
    /// Data was set.
    Set(Stat),
    /// A node was deleted.
    Deleted,
}

/// Why a multi did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MultiError {
    /// The operation at `index` failed, so none was done.
    #[error("operation {index}: {source}")]
    At {
        /// Position in the list that was given.
        index: usize,
        /// Why.
        source: ZkError,
    },
    /// The request as a whole failed; see the error for what is known.
    #[error(transparent)]
    Whole(#[from] ZkError),
}

/// What happened to the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEvent {
    /// The connection is lost; the session may live on.
    Lost,
    /// Connected again in the same session. One-shot watches were set again, yet read everything anew.
    Restored,
    /// The session is gone: ephemeral nodes and watches with it. `Started` follows.
    Expired,
    /// A session, the first or one after an expiry.
    Started {
        /// ZooKeeper's id of it.
        session_id: i64,
    },
}

/// A session with ZooKeeper, or with something that behaves like it.
pub trait Znodes: Send + Sync {
    /// The id of the current session.
    fn session_id(&self) -> i64;
    /// The timeout of the current session, as the server granted it.
    fn session_timeout(&self) -> std::time::Duration;
    /// Session events from now on. Every receiver sees all of them, in order; a slow one is told `Lagged`.
    fn session_events(&self) -> tokio::sync::broadcast::Receiver<SessionEvent>;
    /// Creates a node whose parent exists. Returns its path (with the number, if sequential) and Stat.
    fn create<'a>(&'a self, path: &'a str, data: &'a [u8], mode: CreateMode) -> Pending<'a, (String, Stat)>;
    /// Data and Stat of a node.
    fn get<'a>(&'a self, path: &'a str) -> Pending<'a, (Vec<u8>, Stat)>;
    /// The same with a watch on data and deletion.
    fn get_and_watch<'a>(&'a self, path: &'a str) -> Pending<'a, (Vec<u8>, Stat, Watcher)>;
    /// Stat of a node, if it exists.
    fn exists<'a>(&'a self, path: &'a str) -> Pending<'a, Option<Stat>>;
    /// The same with a watch on creation, data and deletion.
    fn exists_and_watch<'a>(&'a self, path: &'a str) -> Pending<'a, (Option<Stat>, Watcher)>;
    /// Names of a node's children, in no order.
    fn children<'a>(&'a self, path: &'a str) -> Pending<'a, Vec<String>>;
    /// The same with a watch on the list.
    fn children_and_watch<'a>(&'a self, path: &'a str) -> Pending<'a, (Vec<String>, Watcher)>;
    /// Sets a node's data; `None` takes any version.
    fn set<'a>(&'a self, path: &'a str, data: &'a [u8], version: Option<i32>) -> Pending<'a, Stat>;
    /// Deletes a node without children; `None` takes any version.
    fn delete<'a>(&'a self, path: &'a str, version: Option<i32>) -> Pending<'a, ()>;
    /// All operations or none.
    fn multi<'a>(
        &'a self,
        ops: Vec<Op>,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<OpResult>, MultiError>> + Send + 'a>>;
    /// Waits until this server has seen every write that was acknowledged before the call.
    fn sync<'a>(&'a self, path: &'a str) -> Pending<'a, ()>;
    /// Ends the session and waits until ZooKeeper has said so (ephemeral nodes are gone then).
    fn close<'a>(&'a self) -> Pending<'a, ()>;
}
