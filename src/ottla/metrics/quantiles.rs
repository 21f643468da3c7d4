use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Buckets of each doubling of the time: a quantile is at most 1/8 too large.
const PARTS: u32 = 8;
/// Doublings from 1 microsecond on: up to 2^32 us, over an hour.
const DOUBLINGS: u32 = 32;
const BUCKETS: usize = (PARTS * DOUBLINGS) as usize;
/// Quantiles look back over one to two of these, as Kafka's over about five minutes.
const WINDOW: Duration = Duration::from_secs(300);

/// The quantiles of durations in the last minutes, and how many there were since the start.
#[derive(Debug)]
pub(super) struct Quantiles {
    count: AtomicU64,
    /// The window under way and the one before, which take turns.
    windows: [Box<[AtomicU32]>; 2],
    current: AtomicU32,
    /// When the window under way began.
    began: Mutex<Instant>,
}

impl Quantiles {
    /// Without durations.
    pub(super) fn new(now: Instant) -> Quantiles {
        let window = || (0..BUCKETS).map(|_| AtomicU32::new(0)).collect();
        Quantiles {
            count: AtomicU64::new(0),
            windows: [window(), window()],
            current: AtomicU32::new(0),
            began: Mutex::new(now),
        }
    }

    /// Takes a duration in.
    pub(super) fn record(&self, duration: Duration, now: Instant) {
        self.turn(now);
        let window = &self.windows[self.current.load(Ordering::Relaxed) as usize & 1];
        window[bucket(duration)].fetch_add(1, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// How many durations there were.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The durations, in milliseconds, below which these shares of the last ones lie; 0 without any.
    pub(super) fn quantiles(&self, shares: &[f64], now: Instant) -> Vec<f64> {
        self.turn(now);
        let counts: Vec<u64> = (0..BUCKETS)
            .map(|at| self.windows.iter().map(|window| u64::from(window[at].load(Ordering::Relaxed))).sum())
            .collect();
        let total: u64 = counts.iter().sum();
        shares.iter().map(|share| quantile(&counts, total, *share)).collect()
    }

    /// Begins a new window when the time has come. Durations that come at the same moment may be lost to the figures.
    fn turn(&self, now: Instant) {
        // Whoever holds the lock does it.
        let Ok(mut began) = self.began.try_lock() else { return };
        let age = now.saturating_duration_since(*began);
        if age < WINDOW {
            return;
        }
        let next = (self.current.load(Ordering::Relaxed) + 1) & 1;
        self.windows[next as usize].iter().for_each(|bucket| bucket.store(0, Ordering::Relaxed));
        if age >= WINDOW * 2 {
            let last = (next + 1) & 1;
            self.windows[last as usize].iter().for_each(|bucket| bucket.store(0, Ordering::Relaxed));
        }
        self.current.store(next, Ordering::Relaxed);
        *began = now;
    }
}

fn bucket(duration: Duration) -> usize {
    let us = duration.as_micros().clamp(1, u128::from(u32::MAX)) as u32;
    let doubling = us.ilog2();
    let part = (u64::from(us - (1 << doubling)) * u64::from(PARTS) >> doubling) as u32;
    (doubling * PARTS + part) as usize
}

/// The upper end of a bucket, in milliseconds.
fn upper_ms(bucket: usize) -> f64 {
    let (doubling, part) = (bucket as u32 / PARTS, bucket as u32 % PARTS);
    let us = (1u64 << doubling) as f64 * (1.0 + f64::from(part + 1) / f64::from(PARTS));
    us / 1000.0
}

fn quantile(counts: &[u64], total: u64, share: f64) -> f64 {
    let rank = ((total as f64 * share).ceil() as u64).max(1);
    let mut below = 0;
    for (bucket, count) in counts.iter().enumerate() {
        below += count;
        if below >= rank {
            return upper_ms(bucket);
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_close_and_never_too_small() {
        let now = Instant::now();
        let quantiles = Quantiles::new(now);
        assert_eq!(quantiles.quantiles(&[0.5], now), [0.0]);
        for ms in 1..=1000 {
            quantiles.record(Duration::from_millis(ms), now);
        }
        let found = quantiles.quantiles(&[0.5, 0.99, 1.0], now);
        for (found, exact) in found.into_iter().zip([500.0, 990.0, 1000.0]) {
            assert!(found >= exact && found <= exact * 1.13, "{found} for {exact}");
        }
        assert_eq!(quantiles.count(), 1000);
    }

    #[test]
    fn the_past_is_forgotten_and_the_count_is_not() {
        let now = Instant::now();
        let quantiles = Quantiles::new(now);
        quantiles.record(Duration::from_secs(1), now);
        let later = now + WINDOW;
        assert!(quantiles.quantiles(&[0.5], later)[0] >= 1000.0, "the window before still counts");
        assert_eq!(quantiles.quantiles(&[0.5], later + WINDOW), [0.0]);
        assert_eq!(quantiles.count(), 1);
    }

    #[test]
    fn any_duration_has_a_bucket() {
        for duration in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(u64::MAX)] {
            assert!(bucket(duration) < BUCKETS);
        }
        assert_eq!(bucket(Duration::from_micros(1)), 0);
        assert_eq!(bucket(Duration::from_micros(15)), bucket(Duration::from_micros(14)) + 1);
    }
}
