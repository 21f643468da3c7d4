//! A partition's role on one broker, as a value: whether it leads, in which epoch, which replicas are in sync, and what
//! follows for epochs that clients name and for the high watermark.
//!
//! Roles change by the controller's LeaderAndIsr alone; [`Role::judge`] holds its fencing rules, [`Role::taking`] makes
//! the new role. Nothing here waits, locks or knows a log: a partition calls in with its log end and acts on the answer.
//!
//! How the roles of a partition relate, by rule and not by message: of two roles with different leader epochs the higher
//! one holds; within one epoch there is one leader; a leader's ISR changes only as the controller wrote it.

mod epoch;
mod instruction;
mod role;

pub use epoch::EpochError;
pub use instruction::{Instruction, Refusal, Verdict};
pub use role::Role;
