//! Requests that change the cluster answer when this broker has heard of the change, or at their deadline
//! (`DelayedCreatePartitions.scala`, `DelayedDeleteTopics.scala`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_types::{BrokerId, PartitionIndex, TopicName};
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

/// How long a broker that was announced waits for its topics: all that it holds may have been deleted in its absence.
const TOPICS_PATIENCE: Duration = Duration::from_secs(2);

/// Waits until the controller has announced `broker` and what it holds. A new controller announces the living first and
/// what stands afterwards; who listed topics in between would be told that there are none. False: no controller spoke
/// until `deadline`.
pub(super) async fn wait_until_announced(
    cache: &Arc<MetadataCache>,
    broker: BrokerId,
    held: &BTreeSet<TopicName>,
    deadline: Instant,
) -> bool {
    let lives = |snapshot: &Snapshot| snapshot.brokers.contains_key(&broker);
    if !lives(&*wait_until(cache, deadline, lives).await) {
        return false;
    }
    let stands = |snapshot: &Snapshot| held.is_empty() || held.iter().any(|topic| snapshot.topics.contains_key(topic));
    wait_until(cache, Instant::now() + TOPICS_PATIENCE, stands).await;
    true
}

/// Whether all of a topic's first `count` partitions have a leader.
pub(super) fn has_leaders(snapshot: &Snapshot, topic: &TopicName, count: usize) -> bool {
    let led = |index: usize| {
        let partition = snapshot.partition(topic, index as PartitionIndex);
        partition.is_some_and(|partition| partition.leader.is_some())
    };
    (0..count).all(led)
}

#[cfg(test)]
mod tests {
    use ottla_types::{LeaderEpoch, PartitionEpoch, TopicId};

    use super::*;
    use crate::broker::metadata_cache::{LiveBroker, PartitionMetadata, Update};

    fn living() -> Update {
        let broker = Arc::new(LiveBroker { endpoints: vec![], rack: None });
        Update { brokers: [(BrokerId(0), broker)].into(), ..Update::default() }
    }

    fn standing(topic: &TopicName) -> Update {
        let partition = PartitionMetadata {
            leader: Some(BrokerId(0)),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
            replicas: vec![BrokerId(0)],
            isr: vec![BrokerId(0)],
            offline_replicas: vec![],
        };
        Update { partitions: vec![(topic.clone(), TopicId([7; 16]), 0, Some(partition))], ..living() }
    }

    #[tokio::test]
    async fn a_broker_with_topics_waits_until_they_are_announced() {
        let cache = Arc::new(MetadataCache::default());
        let topic = TopicName::new("t").unwrap();
        let held = BTreeSet::from([topic.clone()]);
        let begun = Instant::now();
        let controller = async {
            for update in [living(), standing(&topic)] {
                tokio::time::sleep(Duration::from_millis(20)).await;
                cache.apply(update);
            }
        };
        let wait = wait_until_announced(&cache, BrokerId(0), &held, begun + Duration::from_secs(10));
        let announced = async { wait.await && cache.snapshot().topics.contains_key(&topic) };
        let (announced_with_its_topic, ()) = tokio::join!(announced, controller);
        assert!(announced_with_its_topic);
    }

    #[tokio::test]
    async fn a_missing_controller_is_not_waited_for_without_end() {
        let cache = Arc::new(MetadataCache::default());
        let soon = Instant::now() + Duration::from_millis(20);
        assert!(!wait_until_announced(&cache, BrokerId(0), &BTreeSet::new(), soon).await);
        cache.apply(living());
        assert!(wait_until_announced(&cache, BrokerId(0), &BTreeSet::new(), soon).await);
    }
}
