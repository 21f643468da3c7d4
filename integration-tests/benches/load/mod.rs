//! What loads a broker: clients in threads with blocking sockets, made to cost as little as possible, because they share
//! the processor with the broker that is measured.
//!
//! - [`produce`]: as fast as the broker can; [`rate`]: at a fixed rate, without coordinated omission; [`end_to_end`]:
//!   the same until a consumer has the record.
//! - [`consume`]: a topic from its beginning to its end; [`poll`]: consumers that wait.
//! - [`topic`]: makes and deletes topics; [`cpu`]: what a process has used; [`raw`]: clients of the floors.
//! - [`batch`], [`connection`], [`fetch`], [`schedule`]: what these are made of.
//! - [`command`]: all of it by hand.

pub(crate) mod batch;
pub(crate) mod command;
pub(crate) mod connection;
pub(crate) mod consume;
pub(crate) mod cpu;
pub(crate) mod end_to_end;
pub(crate) mod fetch;
pub(crate) mod poll;
pub(crate) mod produce;
pub(crate) mod rate;
mod raw;
pub(crate) mod schedule;
pub(crate) mod topic;

pub(crate) use raw::{Passed, raw_receive, raw_send};
