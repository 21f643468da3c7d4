//! Making appends durable: a small pool of threads that fsync, so that no lock, no connection and no runtime waits for a
//! disk.
//!
//! A partition is queued once, or flushed by one thread; whatever is appended until its fsync begins shares it (group
//! commit). What is promised while an fsync runs waits for the next one, which the same thread begins when this one ends,
//! behind the partitions that have waited longer. So nobody is woken who would find a flush running, and a disk that is
//! busy makes larger groups.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::attendance::{Attendance, Write};
use super::partition::Partition;

/// Threads: as many partitions are flushed at once. Fsyncs that run side by side share the disk's own flush.
const THREADS: usize = 4;

/// Takes requests to flush. Cheap to clone; the threads end when the last clone is gone.
#[derive(Clone)]
pub struct Flusher {
    handle: Arc<Handle>,
    flush_ms: Arc<Hint>,
}

/// Some partition may have a `flush.ms`.
#[derive(Default)]
struct Hint {
    hinted: AtomicBool,
    notify: Notify,
}

/// What all clones share: its end is the threads'.
struct Handle {
    queue: Arc<Queue>,
    attendance: Arc<Attendance>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    /// Bounded by the number of partitions: each is queued once at most.
    waiting: VecDeque<Arc<Partition>>,
    /// Threads that wait for `filled`.
    idle: usize,
    closed: bool,
}

impl Flusher {
    /// Starts the threads.
    pub fn start() -> std::io::Result<Flusher> {
        let queue = Arc::new(Queue::default());
        let handle = Arc::new(Handle { queue: queue.clone(), attendance: Attendance::start()? });
        for number in 0..THREADS {
            let queue = queue.clone();
            std::thread::Builder::new().name(format!("flush-{number}")).spawn(move || queue.serve())?;
        }
        Ok(Flusher { handle, flush_ms: Arc::default() })
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

    /// A write begins that the disk may hold up; it ends with the guard.
    pub fn writing(&self) -> Write<'_> {
        self.handle.attendance.begin()
    }

    /// Queues a partition that is neither queued nor being flushed.
    pub fn queue(&self, partition: Arc<Partition>) {
        self.handle.queue.push(partition);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.state().closed = true;
        self.queue.filled.notify_all();
        self.attendance.close();
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, partition: Arc<Partition>) {
        let mut state = self.state();
        state.waiting.push_back(partition);
        let somebody_is_idle = state.idle > 0;
        drop(state);
        if somebody_is_idle {
            self.filled.notify_one();
        }
    }

    /// What one thread does until all flushers are gone.
    fn serve(&self) {
        let mut again = None;
        loop {
            let Some(partition) = self.next(again.take()) else { return };
            let asked_again = match partition.flush_begin() {
                Some(work) => partition.flush_ended(work.run()),
                None => false,
            };
            again = asked_again.then_some(partition);
        }
    }

    /// The partition whose turn it is, once there is one; `again` is put behind those that wait.
    fn next(&self, again: Option<Arc<Partition>>) -> Option<Arc<Partition>> {
        let mut state = self.state();
        state.waiting.extend(again);
        loop {
            if let Some(partition) = state.waiting.pop_front() {
                return Some(partition);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}
