//! What a broker is to a partition: its leader, a follower, or nothing; and what follows from that.
//!
//! [`Partition`] is a plain value. The broker keeps one beside each log, under the log's own lock, and calls it on the way:
//! before an append ([`Partition::check_append`]), after one and after each follower's fetch
//! ([`Partition::advance_high_watermark`]), before a read ([`Partition::check_leader_epoch`]). Only LeaderAndIsr requests
//! change its role ([`Partition::apply_leader_and_isr`]). It holds no records and no clock: the log's offsets and the time
//! come as arguments.
//!
//! # The high watermark and the disk
//!
//! Below the high watermark a record is *committed*: consumers may read it, `acks=all` may be answered, and no later leader
//! lacks it. Kafka means by that "in the memory of every ISR member". Here the leader says how far it counts itself, with
//! the argument `own_end` of [`Partition::advance_high_watermark`]:
//!
//! - the log end offset is Kafka's meaning. An `acks=all` produce that must not be answered before an fsync then waits for
//!   both: high watermark and flushed offset past its last record. A consumer may meanwhile read records that a power cut
//!   takes back.
//! - the flushed offset makes "committed" include the leader's disk: nothing is acknowledged *or delivered* before it is as
//!   safe as it claims to be. Each append must then be followed by a flush, whatever its `acks`.
//!
//! With one replica the high watermark is `own_end`.
//!
//! # ISR
//!
//! Who should leave ([`Leader::out_of_sync`]) and who may join ([`Leader::may_join`]) are questions with answers; asking the
//! controller to write the change is the broker's part.

mod leader;
mod partition;
#[cfg(test)]
mod tests;

pub use leader::{FollowerState, IsrRules, Leader, UnknownReplica};
pub use partition::{
    AppendRefusal, EpochRefusal, LeaderAndIsrRefusal, NotLeader, Partition, PartitionChange, Role, RoleChange,
};
