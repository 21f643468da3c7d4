//! When each request of an open loop is due. The schedule never waits for the broker: what is late is sent at once, and
//! its latency counts from when it should have been sent (no coordinated omission).

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// How long before the time to wake up, and spin for the rest.
const SPIN: Duration = Duration::from_micros(15);

/// Due times at a fixed rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    start: Instant,
    requests_per_second: f64,
}

impl Schedule {
    /// The first request is due at `start`.
    pub(crate) fn new(start: Instant, requests_per_second: f64) -> Schedule {
        Schedule { start, requests_per_second }
    }

    /// When the request with this number is due.
    pub(crate) fn due(&self, number: u64) -> Instant {
        self.start + Duration::from_nanos((number as f64 * 1e9 / self.requests_per_second) as u64)
    }

    /// How many requests are due within `duration`.
    pub(crate) fn requests_in(&self, duration: Duration) -> u64 {
        (duration.as_secs_f64() * self.requests_per_second) as u64
    }

    /// Waits until the request with this number is due, and returns how late it is then.
    pub(crate) fn wait(&self, number: u64) -> Duration {
        let due = self.due(number);
        let left = due.saturating_duration_since(Instant::now());
        if left > SPIN {
            std::thread::sleep(left - SPIN);
        }
        loop {
            let now = Instant::now();
            if now >= due {
                return now - due;
            }
            std::hint::spin_loop();
        }
    }
}

/// Lets the kernel wake this thread on time, instead of up to 50 µs later to save power.
pub(crate) fn wake_on_time() {
    // Without it the generator's own lateness is larger, and is seen in the results.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each due time is counted from the start, so that nothing adds up: neither rounding nor a late request.
    #[test]
    fn due_times_depend_on_the_number_alone() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 3000.0);
        assert_eq!(schedule.due(0), start);
        assert_eq!(schedule.due(1) - start, Duration::from_nanos(333_333));
        assert_eq!(schedule.due(3_000_000) - start, Duration::from_secs(1000));
        assert_eq!(schedule.requests_in(Duration::from_millis(1500)), 4500);
    }

    #[test]
    fn what_is_early_waits_and_what_is_late_goes_at_once() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 100.0);
        schedule.wait(1);
        assert!(start.elapsed() >= Duration::from_millis(10));
        std::thread::sleep(Duration::from_millis(25));
        assert!(schedule.wait(2) >= Duration::from_millis(15), "the lateness of a stalled sender is told");
    }
}
