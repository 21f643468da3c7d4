//! Partitions gained and lost, told to the application.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use ottla_types::{Offset, TopicPartition};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep, timeout};

use super::delivery::Delivery;

/// What a listener does; awaited for [`ConsumerConfig::revoke_wait`](super::ConsumerConfig::revoke_wait) at most.
pub type Reaction<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Is told when partitions come and go, in order, one call at a time.
pub trait PartitionListener: Send + Sync {
    /// These partitions are owned from now on; their first records are handed out when this is done.
    fn gained<'a>(&'a self, partitions: &'a [TopicPartition]) -> Reaction<'a> {
        let _ = partitions;
        Box::pin(ready(()))
    }

    /// No record of these partitions is handed out any more. Those `Revoked` are owned until this is done: what was handed
    /// out of them can still be committed ([`Consumer::commit`](super::Consumer::commit)).
    fn lost<'a>(&'a self, partitions: &'a [LostPartition], loss: Loss) -> Reaction<'a> {
        let _ = (partitions, loss);
        Box::pin(ready(()))
    }
}

/// A partition that went, and how far the application came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset after the last record that was handed out.
    pub position: Offset,
}

/// Why partitions went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The plan gives them to another, or the consumer closes. They are still owned.
    Revoked,
    /// The session ended, or somebody took the owner node away: another may read them already.
    Abandoned,
}

/// What is to be told.
#[derive(Debug)]
pub(super) enum News {
    Gained(Vec<Arc<Delivery>>),
    Lost(Vec<Arc<Delivery>>, Loss),
}

/// What follows when it was told.
#[derive(Debug)]
pub(super) enum Told {
    /// Fetch these.
    Gained(Vec<Arc<Delivery>>),
    /// Give these up.
    Revoked(Vec<Arc<Delivery>>),
}

/// How often to look whether the application has done with the record that it holds.
const LOOK: Duration = Duration::from_millis(2);

/// Tells the listener in order; ends with either channel. The queue of news is as long as the list of partitions at most: none is
/// gained again before its loss was told.
pub(super) async fn tell(
    listener: Option<Arc<dyn PartitionListener>>,
    mut news: mpsc::UnboundedReceiver<News>,
    told: mpsc::Sender<Told>,
    wait: Duration,
) {
    while let Some(news) = news.recv().await {
        let done = match news {
            News::Gained(deliveries) => {
                if let Some(listener) = &listener {
                    let partitions: Vec<_> = deliveries.iter().map(|delivery| delivery.partition.clone()).collect();
                    bounded(wait, listener.gained(&partitions), "gained").await;
                }
                Told::Gained(deliveries)
            }
            News::Lost(deliveries, loss) => {
                let since = Instant::now();
                if loss == Loss::Revoked {
                    until_done_with(&deliveries, since + wait).await;
                }
                if let Some(listener) = &listener {
                    let partitions: Vec<_> = deliveries
                        .iter()
                        .map(|delivery| LostPartition {
                            partition: delivery.partition.clone(),
                            position: delivery.handed(),
                        })
                        .collect();
                    bounded(wait.saturating_sub(since.elapsed()), listener.lost(&partitions, loss), "lost").await;
                }
                match loss {
                    Loss::Revoked => Told::Revoked(deliveries),
                    Loss::Abandoned => continue,
                }
            }
        };
        if told.send(done).await.is_err() {
            return;
        }
    }
}

async fn bounded(wait: Duration, reaction: Reaction<'_>, what: &str) {
    if timeout(wait, reaction).await.is_err() {
        tracing::warn!("the listener for partitions {what} took longer than {} ms and was left", wait.as_millis());
    }
}

/// Waits until the application has asked for the record after the one that it holds, for each of them.
async fn until_done_with(deliveries: &[Arc<Delivery>], deadline: Instant) {
    while deliveries.iter().any(|delivery| delivery.is_held()) {
        if Instant::now() >= deadline {
            let held = deliveries.iter().find(|delivery| delivery.is_held());
            let held = held.map(|delivery| delivery.partition.to_string()).unwrap_or_default();
            return tracing::warn!(
                "the application has not done with a record of {held} in time; the partition is given up, and its new \
                 owner will read the record again"
            );
        }
        sleep(LOOK).await;
    }
}
