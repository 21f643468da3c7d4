//! A member of a classic consumer group, which lives in ZooKeeper, as a value without I/O.

mod effect;
mod event;
mod filter;
mod plan;
mod request;
mod subscription;

pub use effect::{CommitError, Effect, Fatal, Report};
pub use event::{Event, Position};
pub use filter::{FilterError, TopicFilter};
pub use plan::{Decision, RANGE, ROUND_ROBIN, Registered, STICKY, decide};
pub use request::{Failure, Op, Refusal, Reply, Request, RequestId};
pub use subscription::{Filters, MAX_STREAMS, Subscription, SubscriptionError};
