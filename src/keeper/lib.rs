//! The embedded coordinator: one server that speaks ZooKeeper's protocol and keeps ZooKeeper's own files.
//!
//! For one machine and for tests; production points `zookeeper.connect` at an ensemble. Clients cannot tell it from
//! Apache ZooKeeper 3.8 in standalone mode, and its folder can be given to Apache ZooKeeper and back.
//!
//! Three threads' worth of work, two threads:
//!
//! - The network thread runs tokio. It cuts connections into frames, reads the requests and puts them into one bounded
//!   queue, in which the order of all things is decided. When the queue is full, nobody is read from.
//! - The commit loop owns everything that changes: the tree, the sessions, the log. It takes what is queued, applies each
//!   request, appends what changed to the log, makes the whole group durable with one fdatasync, and only then lets
//!   answers and watch events go, in order. Nothing that a client has seen can be lost. A disk that refuses to write ends
//!   the keeper: what it holds in memory and what it could promise would differ from then on.
//!
//! Neither thread is the caller's: a busy broker does not cost anybody their session.
//!
//! - `file/`: the folder, its lock, the log, the snapshots, restoring and purging;
//! - `server/`: listener, connections, sessions, the commit loop, the four-letter commands;
//! - [`KeeperSettings`]: the keys of zoo.cfg.

mod error;
mod file;
mod keeper;
mod server;
mod settings;

pub use error::KeeperError;
pub use keeper::Keeper;
pub use settings::{FourLetterWords, KEYS, KeeperSettings, Key, SettingsError};
