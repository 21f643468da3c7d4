//! Until when records may be handed out.

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Nanoseconds of the local clock that goes on while the machine sleeps.
#[inline]
pub(super) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

/// The same in milliseconds: the clock of the core.
pub(super) fn now_ms() -> u64 {
    now_ns() / 1_000_000
}

/// The right to hand out records, which ends by the local clock before the session can have ended. Asked for each record: about
/// 25 ns, the price of reading the clock.
#[derive(Debug, Default)]
pub(super) struct Lease {
    /// ns, exclusive; 0: none.
    until_ns: AtomicU64,
    renewed: Notify,
}

impl Lease {
    /// Replaces the lease by one until the clock shows `until_ms`.
    pub(super) fn set(&self, until_ms: Option<u64>) {
        self.until_ns.store(until_ms.unwrap_or(0).saturating_mul(1_000_000), Ordering::Release);
        self.renewed.notify_waiters();
    }

    /// Whether a record may be handed out now.
    #[inline]
    pub(super) fn holds(&self) -> bool {
        now_ns() < self.until_ns.load(Ordering::Acquire)
    }

    /// Resolves when the lease is set again, or when nobody will.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.renewed.notified()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_lease_ends_by_the_clock_and_its_renewal_wakes_who_waits() {
        let lease = Lease::default();
        assert!(!lease.holds());
        lease.set(Some(now_ms() + 30));
        assert!(lease.holds());
        std::thread::sleep(Duration::from_millis(31));
        let changed = lease.changed();
        assert!(!lease.holds());
        lease.set(Some(now_ms() + 60_000));
        changed.await;
        assert!(lease.holds());
        lease.set(None);
        assert!(!lease.holds());
    }
}
