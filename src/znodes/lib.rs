//! What a core asks of ZooKeeper and what it is answered, as plain values.
//!
//! A core (`ottla-classic`, `ottla-view`) never speaks to ZooKeeper: it answers an event with
//! [`Request`]s, a driver sends them and comes back with [`Reply`] or [`Failure`]. A [`Watched`] is what a core remembers of
//! a node that it reads with a one-shot watch. [`wire`] is the same in ZooKeeper's own records, so that a core can be
//! tested with the keeper's tree.

mod request;
mod watched;
pub mod wire;

pub use request::{CreateMode, Failure, Op, Refusal, Reply, Request, RequestId};
pub use watched::Watched;
