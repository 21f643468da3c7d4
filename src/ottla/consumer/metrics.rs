use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ottla_classic::Report;
use ottla_types::{Offset, TopicPartition};

/// What a consumer can say about itself, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumerMetrics {
    /// Who the member is in its current session, once it is registered.
    pub consumer_id: Option<String>,
    /// Whether it writes the group's plans in this session.
    pub is_planner: bool,
    /// The number of the last plan that it followed to the end.
    pub generation: Option<i32>,
    /// Plans followed to the end.
    pub rebalances: u64,
    /// How long the last one took, from its being seen to everything being owned; ms.
    pub last_rebalance_ms: u64,
    /// Plans written, if it is the planner.
    pub plans: u64,
    /// Partitions that changed hands by the last plan that this member wrote.
    pub moved: usize,
    /// Nodes that nobody could read, each with the problem that was seen last.
    pub unreadable: BTreeMap<String, String>,
    /// Owner nodes of this member that somebody else took away.
    pub owners_removed: u64,
    /// Offsets that were older than their topic and not used.
    pub stale_offsets: u64,
    /// Sessions that ended before the consumer was closed.
    pub expired_sessions: u64,
    /// Offsets that brokers no longer had.
    pub offset_resets: u64,
    /// The partitions that are read.
    pub partitions: BTreeMap<TopicPartition, PartitionMetrics>,
}

/// How far a partition is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionMetrics {
    /// The offset after the last record that was handed out.
    pub position: Offset,
    /// The offset after the last record that consumers may see, as the last answer said.
    pub end: Option<Offset>,
}

impl PartitionMetrics {
    /// Records that were not handed out yet.
    pub fn lag(&self) -> Option<i64> {
        self.end.map(|end| (end - self.position).max(0))
    }
}

/// The figures as they grow.
#[derive(Debug, Default)]
pub(super) struct Figures(Mutex<ConsumerMetrics>);

impl Figures {
    pub(super) fn lock(&self) -> MutexGuard<'_, ConsumerMetrics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what the core reports, and says it where operators look.
    pub(super) fn report(&self, group: &str, report: Report) {
        let mut figures = self.lock();
        match report {
            Report::Registered { consumer_id } => {
                tracing::info!(group, "registered as {consumer_id}");
                figures.consumer_id = Some(consumer_id);
            }
            Report::BecamePlanner => {
                tracing::info!(group, "this member plans for the group from now on");
                figures.is_planner = true;
            }
            Report::Planned { generation, assignor, threads, partitions, moved } => {
                tracing::info!(
                    group,
                    "plan {generation} ({assignor}): {partitions} partitions for {threads} streams, {moved} move"
                );
                figures.plans += 1;
                figures.moved = moved;
            }
            Report::Settled { generation, owned, since_plan_ms } => {
                tracing::info!(group, "plan {generation} followed: {owned} partitions after {since_plan_ms} ms");
                figures.generation = Some(generation);
                figures.rebalances += 1;
                figures.last_rebalance_ms = since_plan_ms;
            }
            Report::Unreadable { path, problem } => {
                tracing::warn!(group, "{path}: {problem}; left out, all else goes on");
                figures.unreadable.insert(path, problem);
            }
            Report::WaitingForOwner { partition, owner, data } => {
                tracing::info!(
                    group,
                    "{partition} is still owned by {data} (session 0x{owner:x}); waiting for it to go"
                );
            }
            Report::OwnerRemoved { partition } => {
                tracing::warn!(group, "somebody took the owner node of {partition} away; no longer reading it");
                figures.owners_removed += 1;
            }
            Report::StaleOffset { path } => {
                tracing::warn!(group, "{path} is older than its topic; not used");
                figures.stale_offsets += 1;
            }
            Report::MixedAssignors => {
                tracing::warn!(group, "members differ in partition.assignment.strategy; range holds");
            }
        }
    }
}
