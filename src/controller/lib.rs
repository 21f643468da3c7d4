//! The controller of a cluster: which broker leads which partition, as a value without I/O.
//!
//! One broker at a time holds the office. It learns from ZooKeeper which brokers live and which topics exist, decides the
//! leader and ISR of every partition, writes them down, and only then tells the brokers. [`Controller::step`] takes one
//! [`Event`] and answers with [`Effect`]s; a driver reads, watches, writes and sends. There is no clock and no chance in
//! here: time is an argument, and a topic that lacks an id is read together with a fresh one.
//!
//! # Decide, persist, announce
//!
//! A partition's state moves in one way only. `settle` (in `partition_state`) compares what is written with what the
//! cluster allows, and asks for a conditional write in the next leader epoch. Until the answer is known nothing else is
//! asked for that partition and the old state is what brokers hear. A confirmed write becomes the state and is announced:
//! LeaderAndIsr to the replicas, UpdateMetadata to all. A refused or unanswered one is followed by a read, and what the
//! node then holds is either the very state that was to be written, which confirms it, or the new ground to decide from.
//! So no request can name a state that is not in ZooKeeper, and an answer that is lost costs a read.
//!
//! Kafka moves partitions and replicas through lists of states (`PartitionStateMachine.scala`,
//! `ReplicaStateMachine.scala`) and writes along the way. Here the same rules (`election`) are applied to levels instead of
//! edges: an event that is missed, doubled or late changes nothing in the outcome.
//!
//! Differences in what is written, each for a reason:
//!
//! - A failure is one write, not two: leader and ISR move together, so the leader epoch rises once.
//! - If all of an ISR fails at once, all of it stays in the ISR: each member has every committed record, so the first to
//!   return may lead. Kafka keeps the one whose failure it handled last.
//! - A broker that stopped is distrusted: it leaves the ISR, or gets a new leader epoch if nobody else is left, before it
//!   hears of the partition again, even if it is back before the write is done. Kafka does this for a bounce that the
//!   controller sees. Here a new controller also sees the one that took its predecessor down: such a broker's
//!   registration is younger than the partition state that names it.
//! - A state node that vanishes while its topic exists is written again from memory, in the next leader epoch.
//!
//! # What fences what
//!
//! Every write carries the expected node version and a check of `/controller_epoch`; a refusal by the latter is
//! [`WriteOutcome::Fenced`] and ends the term with [`Effect::Resign`]. A state written in a later controller epoch is never
//! overwritten. Requests name the life of the broker (its epoch), and answers from an earlier life are dropped.
//!
//! # Not here yet
//!
//! Reassignment, controlled shutdown, AlterPartition: their rules have a place (`election::reassign`,
//! `election::controlled_shutdown`, the fields of [`Assignment`]), their events do not exist.

mod broker_change;
mod cluster;
mod controller;
mod deletion;
mod effect;
pub mod election;
mod event;
mod notify;
mod partition_state;
pub mod placement;
mod term;
mod topic_change;

pub use cluster::{Assignment, Broker, ClusterRead, PartitionNode, PartitionState, TopicNode, UncleanElection};
pub use controller::{Controller, Settings};
pub use effect::{
    Effect, LeaderAndIsr, LeaderAndIsrPartition, MetadataState, PartitionStateWrite, Report, StopReplica,
    StopReplicaPartition, UpdateMetadata, UpdateMetadataPartition,
};
pub use event::{Event, PartitionStateWritten, WriteOutcome};
