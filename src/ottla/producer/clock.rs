//! One look at the clock for each record.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// How long what the calendar says is taken to follow the clock that never jumps: to look at both for each record would cost as much
/// as its checksum.
const CALIBRATED_MS: u64 = 250;

/// Milliseconds since the start, the clock of both cores; and since 1970, which records carry.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    /// ms since 1970 at the start, as of the last look at the calendar.
    wall_at_start_ms: AtomicI64,
    /// When that was.
    looked_ms: AtomicU64,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { start: Instant::now(), wall_at_start_ms: AtomicI64::new(wall_ms()), looked_ms: AtomicU64::new(0) }
    }
}

fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

impl Clock {
    /// Milliseconds since the start.
    pub(super) fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// The same, and milliseconds since 1970.
    pub(super) fn now(&self) -> (u64, i64) {
        let now_ms = self.now_ms();
        if now_ms.saturating_sub(self.looked_ms.load(Ordering::Relaxed)) >= CALIBRATED_MS {
            self.wall_at_start_ms.store(wall_ms() - now_ms as i64, Ordering::Relaxed);
            self.looked_ms.store(now_ms, Ordering::Relaxed);
        }
        (now_ms, self.wall_at_start_ms.load(Ordering::Relaxed) + now_ms as i64)
    }

    /// When the clock will show a time.
    pub(super) fn instant(&self, at_ms: u64) -> Instant {
        let after = Duration::from_millis(at_ms);
        self.start.checked_add(after).unwrap_or_else(|| self.start + Duration::from_secs(1 << 30))
    }
}
