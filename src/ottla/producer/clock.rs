//! The time of day for each record, without a look at the clock for each.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// How long what the calendar says is taken to follow the clock that never jumps.
const CALIBRATED_MS: u64 = 250;

/// Milliseconds since the start, the clock of both cores; and since 1970, which records carry.
///
/// To read the clock takes as long as to copy a record of 100 bytes. So it is read when the system's tick, which costs a fifth of
/// that, has gone on (every 4 ms at most), and with whatever else happens to the producer, many times in between if it is busy.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    /// What was read last, in ms since the start.
    read_ms: AtomicU64,
    /// The tick at that time, or an earlier one; in ns.
    tick_ns: AtomicU64,
    /// ms since 1970 at the start, as of the last look at the calendar.
    wall_at_start_ms: AtomicI64,
    /// When that was, in ms since the start.
    looked_ms: AtomicU64,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock {
            start: Instant::now(),
            read_ms: AtomicU64::new(0),
            tick_ns: AtomicU64::new(0),
            wall_at_start_ms: AtomicI64::new(wall_ms()),
            looked_ms: AtomicU64::new(0),
        }
    }
}

fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

fn tick_ns() -> u64 {
    let tick = clock_gettime(ClockId::MonotonicCoarse);
    (tick.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(tick.tv_nsec as u64)
}

impl Clock {
    /// Milliseconds since the start.
    pub(super) fn now_ms(&self) -> u64 {
        let now_ms = self.start.elapsed().as_millis() as u64;
        self.read_ms.fetch_max(now_ms, Ordering::Relaxed).max(now_ms)
    }

    /// The same, as of the last tick or later, and milliseconds since 1970.
    #[inline]
    pub(super) fn recent(&self) -> (u64, i64) {
        let tick_ns = tick_ns();
        let now_ms = match tick_ns == self.tick_ns.load(Ordering::Relaxed) {
            true => self.read_ms.load(Ordering::Relaxed),
            false => self.read(tick_ns),
        };
        (now_ms, self.wall_at_start_ms.load(Ordering::Relaxed) + now_ms as i64)
    }

    #[cold]
    fn read(&self, tick_ns: u64) -> u64 {
        let now_ms = self.now_ms();
        self.tick_ns.store(tick_ns, Ordering::Relaxed);
        if now_ms.saturating_sub(self.looked_ms.load(Ordering::Relaxed)) >= CALIBRATED_MS {
            self.wall_at_start_ms.store(wall_ms() - now_ms as i64, Ordering::Relaxed);
            self.looked_ms.store(now_ms, Ordering::Relaxed);
        }
        now_ms
    }

    /// When the clock will show a time.
    pub(super) fn instant(&self, at_ms: u64) -> Instant {
        let after = Duration::from_millis(at_ms);
        self.start.checked_add(after).unwrap_or_else(|| self.start + Duration::from_secs(1 << 30))
    }
}
