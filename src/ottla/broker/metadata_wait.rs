//! Requests that change the cluster answer when this broker has heard of the change, or at their deadline
//! (`DelayedCreatePartitions.scala`, `DelayedDeleteTopics.scala`).

use std::sync::Arc;

use ottla_types::{PartitionIndex, TopicName};
use tokio::time::Instant;

use super::metadata_cache::{MetadataCache, Snapshot};
use super::waiting::Ticket;

/// Waits until `holds` is true of the cluster, until `deadline` at the latest. Returns the cluster as it is then.
pub(super) async fn wait_until(
    cache: &Arc<MetadataCache>,
    deadline: Instant,
    holds: impl Fn(&Snapshot) -> bool,
) -> Arc<Snapshot> {
    let mut ticket = Ticket::new(deadline);
    ticket.enter(cache.clone());
    loop {
        let snapshot = cache.snapshot();
        if holds(&snapshot) {
            return snapshot;
        }
        if !ticket.woken().await {
            return cache.snapshot();
        }
    }
}

/// Whether all of a topic's first `count` partitions have a leader.
pub(super) fn has_leaders(snapshot: &Snapshot, topic: &TopicName, count: usize) -> bool {
    let led = |index: usize| {
        let partition = snapshot.partition(topic, index as PartitionIndex);
        partition.is_some_and(|partition| partition.leader.is_some())
    };
    (0..count).all(led)
}
