//! A member of a classic consumer group, which lives in ZooKeeper, as a value without I/O.

mod answers;
mod batch;
mod claim;
mod claims;
mod commits;
mod effect;
mod event;
mod filter;
mod folders;
mod identity;
mod lease;
mod member;
mod office;
mod plan;
mod plan_node;
mod planner;
mod registration;
mod request;
mod requests;
mod settings;
mod subscription;
mod watched;

pub use effect::{CommitError, Effect, Fatal, Report};
pub use event::{Event, Position};
pub use filter::{FilterError, TopicFilter};
pub use member::Member;
pub use plan::{Decision, RANGE, ROUND_ROBIN, Registered, STICKY, decide};
pub use request::{Failure, Op, Refusal, Reply, Request, RequestId};
pub use settings::{Debounce, Settings};
pub use subscription::{Filters, MAX_STREAMS, Subscription, SubscriptionError};
