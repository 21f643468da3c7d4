//! ZooKeeper's data tree, sessions and watches as one value.
//!
//! The keeper serves it, the tests' fake of ZooKeeper is it, a simulator runs it: there is no clock, no I/O and no
//! randomness in here. Time and session ids come with each call.
//!
//! [`Tree::step`] takes one request and returns an [`Outcome`]: the log entry to persist, the watch events to send, the
//! reply. It decides (`decide`: the checks of `PrepRequestProcessor`, first failure wins) and applies (`apply`: the one
//! place that changes nodes) at once. That keeps every decision simple (there are no changes in flight to look at) and
//! puts one duty on the caller: **nothing of an outcome, nor of any later read, leaves before its entry is on disk.**
//!
//! [`Tree::apply`] does again what a log entry says. A multi applies its operations one by one and takes them back when
//! one fails, so a failed multi needs no second tree; watches fire only when all of it stands.
//!
//! What belongs to a connection lives here too, by session, because a session has at most one: its identities for access
//! control and its watches ([`Tree::connect`], [`Tree::disconnect`]). When sessions expire is [`SessionTracker`]'s
//! business, which tells the caller, who tells the tree ([`Tree::expire_session`]).
//!
//! A snapshot is [`Tree::sessions`], [`Tree::acls`], [`Tree::nodes`]; [`Restore`] builds a tree from these. A clone of a
//! tree is consistent and shares all data, so it can be written elsewhere while the original goes on.
//!
//! Everything follows Apache ZooKeeper 3.8, with these exceptions, each of which harms that server itself: createTTL
//! without a TTL flag is refused, a lone check is refused, and createSession cannot be sent by a client.

mod acl;
mod apply;
mod decide;
mod digest;
mod ip;
mod multi;
mod node;
mod nodes;
mod outcome;
mod path;
mod quota;
mod read;
mod session;
mod snapshot;
mod step;
mod tree;
mod watch;

pub use digest::DIGEST_VERSION;
pub use node::{Lifetime, Node};
pub use outcome::{Caller, Outcome, Reply};
pub use session::{SessionIds, SessionTracker, password};
pub use snapshot::{Restore, RestoreError};
pub use tree::Tree;
