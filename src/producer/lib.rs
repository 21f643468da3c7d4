//! A producer as a value without I/O: which partition a record goes to, which batch, when a batch is sent to whom, what is
//! sent again, and what is told to whom in the end.
//!
//! [`Producer::append`] puts a record into the batch that is open for its partition; [`Producer::next_request`] gives a broker's
//! connection what it is to send next; everything else that happens is an [`Event`] for [`Producer::step`], which answers
//! with [`Effect`]s. Who leads what comes as the changes of an `ottla-view`. There is no clock and no chance in here.

mod answers;
mod batch;
mod broker;
mod changes;
mod effect;
mod errors;
mod event;
mod memory;
mod outcome;
mod partition;
mod partitioner;
mod producer;
mod record;
mod request;
mod sending;
mod sequences;
mod settings;
mod sticky;
mod topic;

pub use effect::{Effect, Failure, Report};
pub use event::{Event, Lost, PartitionAnswer};
pub use partitioner::partition_for_key;
pub use producer::{Placed, Producer};
pub use record::{Record, Refusal};
pub use request::{BatchId, Content, Outgoing, Request, RequestId, Stamp};
pub use settings::{Acks, KeyHash, Settings};
