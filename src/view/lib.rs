//! A cluster as a client sees it, kept by ZooKeeper's watches, as a value without I/O.
//!
//! [`View::step`] takes one [`Event`] and answers with [`Effect`]s: what to ask ZooKeeper, and what has changed. A driver keeps
//! the session, sends requests and says which watches fired. There is no clock and no chance in here.
//!
//! What is watched: the list of brokers and each registration; the node of each topic in use, whether it exists or not; the
//! state node of each partition of a topic in use; the list of all topics once somebody wants it. Nothing else is read.
//!
//! # How it is kept
//!
//! - An event only marks nodes; after each event, what is marked is asked for. So it does not matter how often a watch fires,
//!   how late, or whether something else was the reason: a node is read until a read began after its last mark.
//! - What a watch told of is read at once. What **may** have been missed (a new session, a reconnection, a lost answer, a
//!   broker that denies what is known) is read behind a sync that is awaited, since requests side by side have no order.
//!   Until then what was known is believed; differences are told one by one.
//! - A node that is missing is looked at (`Exists`), which alone sets a watch on what is not there; when that fires, it is read.
//!   That a topic is missing of which nothing was known is told behind a sync only: it may be new.
//! - A broker is another if its registration was created anew (`czxid`), a topic if its node was or if its id is another. The latter
//!   is told as missing first, and nothing is kept of its partitions.
//! - What cannot be read (nonsense, an ACL) is reported and changes nothing, except that nothing is kept of a broker or a topic
//!   that was created anew. Nonsense waits for its watch, an ACL for the clock.

mod change;
mod cluster;
mod contents;
mod effect;
mod event;
mod node;
mod reads;
mod settings;
mod view;

pub use change::Change;
pub use cluster::{Broker, Cluster, Leadership, Topic};
pub use effect::{Effect, Report};
pub use event::Event;
pub use settings::Settings;
pub use view::View;
