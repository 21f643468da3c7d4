//! When the clock next has something for the commit loop: one moment, set by the loop, slept for by the network thread.
//!
//! Every packet of a client puts its session's end off, so the moment mostly moves away from who sleeps for it. They are
//! woken only when it comes nearer; else they find at the old moment that there is a new one.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use tokio::{sync::Notify, time::sleep_until};

/// The next moment at which a session may expire or nodes may have perished.
#[derive(Debug)]
pub(crate) struct Deadline {
    zero: Instant,
    /// After `zero`.
    ms: AtomicU64,
    nearer: Notify,
}

impl Deadline {
    /// Due at `zero`, from which times are counted.
    pub(crate) fn new(zero: Instant) -> Self {
        Self { zero, ms: AtomicU64::new(0), nearer: Notify::new() }
    }

    /// Moves it to so many ms after zero.
    pub(crate) fn set(&self, ms: i64) {
        let ms = ms.max(0) as u64;
        if ms < self.ms.swap(ms, Ordering::AcqRel) {
            self.nearer.notify_one();
        }
    }

    fn get(&self) -> Instant {
        self.zero + Duration::from_millis(self.ms.load(Ordering::Acquire))
    }

    /// Until it is past, however it moves meanwhile; the time then. Who was heard in time may wait in a socket: to read it,
    /// `grace` is given before the end, and five times that after a pause of the whole process or machine, in which clients
    /// have lost their connections as well.
    pub(crate) async fn passed(&self, grace: Duration) -> Instant {
        loop {
            let mut awaited = self.get();
            tokio::select! {
                () = sleep_until(awaited.into()) => {}
                () = self.nearer.notified() => continue,
            }
            let has_paused = |awaited: Instant| awaited.elapsed() > grace * 10;
            let at = loop {
                let grace = if has_paused(awaited) { grace * 5 } else { grace };
                awaited = Instant::now() + grace;
                sleep_until(awaited.into()).await;
                if !has_paused(awaited) {
                    break Instant::now();
                }
            };
            if self.get() <= at {
                return at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    const GRACE: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn a_deadline_that_comes_nearer_ends_the_sleep() {
        let zero = Instant::now();
        let deadline = Deadline::new(zero);
        deadline.set(3_600_000);
        let nearer = async {
            tokio::task::yield_now().await;
            deadline.set(30);
        };
        let both = async { tokio::join!(deadline.passed(GRACE), nearer).0 };
        let at = timeout(Duration::from_secs(60), both).await.unwrap();
        assert!(at - zero >= Duration::from_millis(30));
    }

    #[tokio::test]
    async fn a_deadline_that_was_put_off_in_the_last_moment_has_not_passed() {
        let deadline = Deadline::new(Instant::now());
        let put_off = async {
            sleep(GRACE).await;
            deadline.set(3_600_000);
        };
        // Polled in this order: on a machine that is late for both, the first comes first.
        let both = async { tokio::join!(biased; put_off, deadline.passed(GRACE * 10)) };
        assert!(timeout(Duration::from_millis(300), both).await.is_err());
    }

    #[tokio::test]
    async fn after_a_pause_there_is_more_time_to_be_heard() {
        let deadline = Deadline::new(Instant::now());
        deadline.set(10);
        let grace = GRACE * 4;
        let put_off = async {
            sleep(GRACE).await;
            // Nothing runs, as when the process is stopped.
            std::thread::sleep(grace * 20);
            sleep(grace * 2).await;
            deadline.set(3_600_000);
        };
        let both = async { tokio::join!(biased; put_off, deadline.passed(grace)) };
        assert!(timeout(grace * 50, both).await.is_err());
    }

    #[tokio::test]
    async fn putting_it_off_wakes_nobody() {
        let deadline = Deadline::new(Instant::now());
        for ms in [10_000, 20_000, 20_000, 30_000] {
            deadline.set(ms);
        }
        assert!(timeout(Duration::from_millis(20), deadline.nearer.notified()).await.is_err());
    }
}
