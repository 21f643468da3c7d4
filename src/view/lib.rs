//! A cluster as a client sees it, kept by ZooKeeper's watches, as a value without I/O.
//!
//! [`View::step`] takes one [`Event`] and answers with [`Effect`]s: what to ask ZooKeeper, and what has changed. A driver keeps
//! the session, sends requests and says which watches fired. There is no clock and no chance in here.
//!
//! What is watched: the list of brokers and each registration; the node of each topic in use, whether it exists or not; the
//! state node of each partition of a topic in use; the list of all topics once somebody wants it. Nothing else is read.

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
