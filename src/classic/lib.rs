//! A member of a classic consumer group, which lives in ZooKeeper, as a value without I/O.

mod effect;
mod event;
mod request;

pub use effect::{CommitError, Effect, Fatal, Report};
pub use event::{Event, Position};
pub use request::{Failure, Op, Refusal, Reply, Request, RequestId};
