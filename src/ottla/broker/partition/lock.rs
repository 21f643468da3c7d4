use std::future::Future;
use std::hint::spin_loop;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{Ordering, fence};
use std::sync::{MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Partition, State};
use crate::broker::waiting::{Ticket, WaitList};

/// How often a lock that is held is looked at before somebody waits for it: about as long as an append of one record
/// takes.
const LOOKS: usize = 200;

/// Who waits looks again after so long at the latest.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The lock on a partition's log and role. Whoever waits for it without a thread is woken when it is released.
pub(super) struct Guard<'p> {
    state: MutexGuard<'p, State>,
    // Dropped after the lock.
    _release: Release<'p>,
}

struct Release<'p>(&'p WaitList);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        // Orders the release before the look at who waits; `until_free` has the other half.
        fence(Ordering::SeqCst);
        self.0.wake();
    }
}

impl Deref for Guard<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Partition {
    /// Locks log and role. A panic with the lock held aborts the process (`main.rs`), so poison is never met.
    pub(super) fn lock(&self) -> Guard<'_> {
        self.guard(self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn guard<'p>(&'p self, state: MutexGuard<'p, State>) -> Guard<'p> {
        Guard { state, _release: Release(&self.freed) }
    }

    /// The lock, if it is free or soon will be.
    pub(super) fn try_lock(&self) -> Option<Guard<'_>> {
        for _ in 0..LOOKS {
            match self.state.try_lock() {
                Ok(state) => return Some(self.guard(state)),
                Err(TryLockError::Poisoned(poisoned)) => return Some(self.guard(poisoned.into_inner())),
                Err(TryLockError::WouldBlock) => spin_loop(),
            }
        }
        None
    }

    /// `None` if the lock is free or soon will be; else a wait for that moment. Writes into a full page cache hold the
    /// lock for as long as the disk takes: a request that waits for it in this way leaves its thread to those who ask for
    /// other partitions.
    pub fn until_free(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        if self.try_lock().is_some() {
            return None;
        }
        let mut ticket = Ticket::new(Instant::now() + LOOK_AGAIN);
        ticket.enter(self.freed.clone());
        fence(Ordering::SeqCst);
        if self.try_lock().is_some() {
            return None;
        }
        Some(async move {
            ticket.woken().await;
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::broker::partition::append::tests::leader;
    use crate::broker::partition::{Isolation, ReadRequest};

    #[tokio::test]
    async fn who_finds_a_partition_held_is_woken_when_it_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let partition = leader(folder.path());
        let request = ReadRequest {
            offset: 0,
            max_bytes: 100,
            whole_first_batch: false,
            isolation: Isolation::LogEnd,
            current_leader_epoch: -1,
        };
        assert!(partition.until_free().is_none());
        assert!(partition.read(&request).is_some());
        let (held, is_held) = mpsc::channel();
        let (let_go, may_go) = mpsc::channel::<()>();
        let slow = partition.clone();
        let holder = std::thread::spawn(move || {
            slow.with_log(|_| {
                held.send(()).unwrap();
                may_go.recv().unwrap();
            });
        });
        is_held.recv().unwrap();
        assert!(partition.read(&request).is_none());
        let free = partition.until_free().expect("it is held");
        let begun = std::time::Instant::now();
        let_go.send(()).unwrap();
        free.await;
        assert!(begun.elapsed() < LOOK_AGAIN, "woken by the release, not by the clock");
        holder.join().unwrap();
        assert!(partition.until_free().is_none());
    }
}
