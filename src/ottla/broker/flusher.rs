//! Making appends durable: a small pool of threads that fsync, so that no lock, no connection and no runtime waits for a
//! disk.
//!
//! A partition asks once; whatever is appended until its turn comes shares one fsync (group commit). What is promised while
//! an fsync runs asks anew when that one ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::sync::Notify;

use super::partition::Partition;

/// Threads: as many partitions are flushed at once. A disk gains little from more.
const THREADS: usize = 4;

/// Takes requests to flush. Cheap to clone; the threads end when the last clone is gone.
#[derive(Clone)]
pub struct Flusher {
    /// Bounded by the number of partitions: each is queued once at most.
    queue: mpsc::Sender<Arc<Partition>>,
    flush_ms: Arc<Hint>,
}

/// Some partition may have a `flush.ms`.
#[derive(Default)]
struct Hint {
    hinted: AtomicBool,
    notify: Notify,
}

impl Flusher {
    /// Starts the threads.
    pub fn start() -> std::io::Result<Flusher> {
        let (queue, requests) = mpsc::channel::<Arc<Partition>>();
        let requests = Arc::new(Mutex::new(requests));
        for number in 0..THREADS {
            let requests = requests.clone();
            let body = move || {
                loop {
                    let next = requests.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(partition) = next else { return };
                    flush(&partition);
                }
            };
            std::thread::Builder::new().name(format!("flush-{number}")).spawn(body)?;
        }
        Ok(Flusher { queue, flush_ms: Arc::default() })
    }

    /// Notes that a partition has a `flush.ms`.
    pub fn hint_flush_ms(&self) {
        if !self.flush_ms.hinted.swap(true, Ordering::AcqRel) {
            self.flush_ms.notify.notify_one();
        }
    }

    /// Until somebody has hinted since it was taken.
    pub async fn flush_ms_hinted(&self) {
        while !self.flush_ms.hinted.load(Ordering::Acquire) {
            self.flush_ms.notify.notified().await;
        }
    }

    /// Whether somebody hinted since the last time; who looks at the partitions then lets them hint again.
    pub fn take_flush_ms_hint(&self) -> bool {
        self.flush_ms.hinted.swap(false, Ordering::AcqRel)
    }

    /// Asks for a flush of everything that is appended now.
    pub fn request(&self, partition: &Arc<Partition>) {
        if partition.wish_flush() {
            // The threads live as long as this sender.
            let _ = self.queue.send(partition.clone());
        }
    }
}

fn flush(partition: &Arc<Partition>) {
    partition.take_flush_wish();
    if let Some(work) = partition.flush_begin() {
        partition.flush_ended(work.run());
    }
}
