//! A producer as a value without I/O: which partition a record goes to, which batch, when a batch is sent to whom, what is
//! sent again, and what is told to whom in the end.
//!
//! [`Producer::append`] puts a record into the batch that is open for its partition; [`Producer::next_request`] gives a broker's
//! connection what it is to send next; everything else that happens is an [`Event`] for [`Producer::step`], which answers
//! with [`Effect`]s. Who leads what comes as the changes of an `ottla-view`. There is no clock and no chance in here.
//!
//! # What a driver keeps to
//!
//! - A broker has one connection at a time. [`Effect::Wake`] makes it if there is none, and it asks for requests until it is
//!   given none; [`Event::Connected`] and [`Event::Disconnected`] tell of it, also when none came about. Who is woken tries
//!   once: when to try again is decided here.
//! - [`Effect::Disconnect`] is answered by [`Event::Disconnected`], always.
//! - Requests of one connection are sent in the order in which they were given out. Each is told as [`Event::Answered`] once,
//!   before the connection's `Disconnected`. A request that is not answered within `request.timeout.ms` ends the connection.
//! - A batch that was given out open comes back by [`Producer::sealed`] before anything else is told of its request.
//! - [`Producer::next_deadline`] is looked at again after each call that changes the producer, `append` included if a
//!   ticket was asked for or it was refused [`Refusal::Full`].
//!
//! # Order, and each record once
//!
//! The batches of a partition stand in one queue from the first record to the outcome; those under way stay in it. The next
//! one to be sent is always the first that is not under way, and only if those before it are on the same connection in the
//! same order. A batch that comes back is thus sent before those behind it, with the sequence it was given at first. What
//! a broker has is in doubt when a batch behind which others have sequences is given up, or the first batch in the queue
//! is refused for its sequence: then the partition waits until nothing is under way, and begins at sequence 0 of the next epoch.
//!
//! A batch that the broker finds too large becomes two in its place, with the sequences that its records had, down to a single
//! record, which fails. The records of a ticket are those of the batch as it was opened: what is told of it is told of a range.

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
mod split;
mod sticky;
mod topic;

pub use effect::{Effect, Failure, Report};
pub use event::{Event, Lost, PartitionAnswer};
pub use partitioner::partition_for_key;
pub use producer::{Placed, Producer};
pub use record::{Record, Refusal};
pub use request::{BatchId, Content, Outgoing, Request, RequestId, Stamp};
pub use settings::{Acks, KeyHash, Settings};
