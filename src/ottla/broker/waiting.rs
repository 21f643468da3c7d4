//! Answering later: requests that wait for something to happen, with a deadline.
//!
//! What can happen keeps a [`WaitList`] (a partition's high watermark or flushed offset moved, the metadata changed). A
//! request takes a [`Ticket`], enters it in the lists of all that could help, looks again, and only then waits: an event
//! between the first look and the wait is never missed. A dropped ticket leaves every list, so a long poll over a
//! thousand quiet partitions leaves nothing behind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

/// Those who wait for one kind of event.
#[derive(Default)]
pub struct WaitList {
    waiting: Mutex<BTreeMap<u64, Arc<Notify>>>,
    /// The map's length, so that an event nobody waits for costs a load.
    count: AtomicUsize,
}

impl WaitList {
    /// The event happened: everyone here looks again.
    pub fn wake(&self) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        // Not under the lock: who is woken comes for it at once, to leave.
        let waiting: Vec<_> = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for notify in waiting {
            notify.notify_one();
        }
    }

    fn enter(&self, id: u64, notify: Arc<Notify>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(id, notify);
        self.count.store(waiting.len(), Ordering::Release);
    }

    fn leave(&self, id: u64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&id);
        self.count.store(waiting.len(), Ordering::Release);
    }
}

/// Something that owns a wait list: a ticket keeps it alive while it is entered there.
pub trait Awaited: Send + Sync {
    /// The list.
    fn wait_list(&self) -> &WaitList;
}

impl Awaited for WaitList {
    fn wait_list(&self) -> &WaitList {
        self
    }
}

/// One waiting request.
pub struct Ticket {
    id: u64,
    notify: Arc<Notify>,
    entered: Vec<Arc<dyn Awaited>>,
    deadline: Instant,
}

impl Ticket {
    /// A ticket that waits until `deadline` at the latest.
    pub fn new(deadline: Instant) -> Ticket {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Ticket { id, notify: Arc::new(Notify::new()), entered: Vec::new(), deadline }
    }

    /// Waits for this too. Look once more after the last of these and before [`Ticket::woken`].
    pub fn enter(&mut self, awaited: Arc<dyn Awaited>) {
        awaited.wait_list().enter(self.id, self.notify.clone());
        self.entered.push(awaited);
    }

    /// True when something happened, false at the deadline. What happened between two calls is not lost.
    pub async fn woken(&self) -> bool {
        tokio::time::timeout_at(self.deadline, self.notify.notified()).await.is_ok()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        for awaited in &self.entered {
            awaited.wait_list().leave(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn an_event_between_look_and_wait_is_not_missed() {
        let list = Arc::new(WaitList::default());
        let mut ticket = Ticket::new(Instant::now() + Duration::from_secs(60));
        ticket.enter(list.clone());
        list.wake();
        assert!(ticket.woken().await);
    }

    #[tokio::test]
    async fn a_dropped_ticket_leaves_every_list() {
        let (a, b) = (Arc::new(WaitList::default()), Arc::new(WaitList::default()));
        let mut ticket = Ticket::new(Instant::now() + Duration::from_millis(1));
        ticket.enter(a.clone());
        ticket.enter(b.clone());
        assert!(!ticket.woken().await);
        drop(ticket);
        assert_eq!(a.count.load(Ordering::Acquire) + b.count.load(Ordering::Acquire), 0);
        assert!(a.waiting.lock().unwrap().is_empty());
    }
}
