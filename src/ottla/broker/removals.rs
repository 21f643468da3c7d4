//! What was deleted and goes from the disk later (`file.delete.delay.ms`), and when the next of it is due.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_log::DiskRef;
use ottla_types::TopicPartition;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::clock::now_ms;

/// Something that goes.
pub enum Removal {
    /// The folder of a partition that was deleted; it has its deleted name.
    Folder(DiskRef, PathBuf),
    /// Segments that retention gave up: the partition's log knows which.
    Segments(TopicPartition),
}

/// All of it, in no order.
#[derive(Default)]
pub struct Removals {
    waiting: Mutex<Vec<(i64, Removal)>>,
    added: Notify,
}

impl Removals {
    /// Adds what is due so many ms after the epoch.
    pub fn add(&self, due_ms: i64, removal: Removal) {
        self.waiting().push((due_ms, removal));
        self.added.notify_one();
    }

    /// Takes what is due.
    pub fn take_due(&self, now_ms: i64) -> Vec<Removal> {
        self.waiting().extract_if(.., |(due_ms, _)| *due_ms <= now_ms).map(|(_, removal)| removal).collect()
    }

    /// Until something is due; sleeps through while there is nothing. One waits at a time.
    pub async fn due(&self) {
        loop {
            let next = self.waiting().iter().map(|(due_ms, _)| *due_ms).min();
            let rest = next.map(|due_ms| due_ms.saturating_sub(now_ms()).max(0) as u64);
            match rest {
                Some(0) => return,
                Some(rest) => tokio::select! {
                    () = sleep(Duration::from_millis(rest)) => {}
                    () = self.added.notified() => {}
                },
                None => self.added.notified().await,
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(i64, Removal)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ottla_types::TopicName;
    use tokio::time::timeout;

    use super::*;

    fn segments(partition: i32) -> Removal {
        Removal::Segments(TopicPartition { topic: TopicName::new("t").unwrap(), partition })
    }

    fn partitions(removals: Vec<Removal>) -> Vec<i32> {
        let partition = |removal| match removal {
            Removal::Segments(id) => id.partition,
            Removal::Folder(..) => -1,
        };
        removals.into_iter().map(partition).collect()
    }

    #[tokio::test]
    async fn what_is_added_later_and_due_earlier_ends_the_wait() {
        let removals = Removals::default();
        assert!(timeout(Duration::from_millis(20), removals.due()).await.is_err());
        removals.add(now_ms() + 3_600_000, segments(0));
        let add = async {
            tokio::task::yield_now().await;
            removals.add(now_ms() + 20, segments(1));
        };
        let due = async { tokio::join!(removals.due(), add) };
        timeout(Duration::from_secs(60), due).await.unwrap();
        assert_eq!(partitions(removals.take_due(now_ms())), [1]);
        assert!(timeout(Duration::from_millis(20), removals.due()).await.is_err());
    }

    #[tokio::test]
    async fn what_is_due_stays_due_until_it_is_taken() {
        let removals = Removals::default();
        removals.add(5, segments(5));
        removals.add(i64::MAX, segments(6));
        removals.due().await;
        removals.due().await;
        assert_eq!(partitions(removals.take_due(4)), [0; 0]);
        assert_eq!(partitions(removals.take_due(5)), [5]);
    }
}
