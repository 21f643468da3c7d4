//! When each partition's records came to whichever member: silences, and what never came.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::members::Hearer;

/// All partitions of a topic, told by the lines that members print.
pub(crate) struct Deliveries(Vec<Mutex<Delivery>>);

struct Delivery {
    last: Instant,
    /// The longest silence that ended since the mark.
    worst: Duration,
    /// Which offsets came.
    seen: Vec<bool>,
}

impl Deliveries {
    /// Silent since now.
    pub(crate) fn new(partitions: i32) -> Deliveries {
        let silent = || Delivery { last: Instant::now(), worst: Duration::ZERO, seen: Vec::new() };
        Deliveries((0..partitions).map(|_| Mutex::new(silent())).collect())
    }

    fn with<T>(&self, partition: usize, work: impl FnOnce(&mut Delivery) -> T) -> T {
        work(&mut self.0[partition].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Forgets the silences that have ended. One that lasts counts from its own beginning.
    pub(crate) fn mark(&self) {
        (0..self.0.len()).for_each(|partition| self.with(partition, |delivery| delivery.worst = Duration::ZERO));
    }

    /// The longest silence of any of these partitions since the mark, those that last included; `None` of none.
    pub(crate) fn longest_silence<'a>(&self, partitions: impl IntoIterator<Item = &'a i32>) -> Option<Duration> {
        let now = Instant::now();
        let silence = |partition: &i32| {
            let lasting = |delivery: &mut Delivery| now.saturating_duration_since(delivery.last);
            self.with(*partition as usize, |delivery| delivery.worst.max(lasting(delivery)))
        };
        partitions.into_iter().map(silence).max()
    }

    /// Whether every partition had a record since then.
    pub(crate) fn all_since(&self, then: Instant) -> bool {
        (0..self.0.len()).all(|partition| self.with(partition, |delivery| delivery.last >= then))
    }

    /// How many of the offsets 0 to `written` of each partition never came to anybody.
    pub(crate) fn missing(&self, written: usize) -> usize {
        let came = |delivery: &mut Delivery| delivery.seen.iter().take(written).filter(|came| **came).count();
        (0..self.0.len()).map(|partition| written - self.with(partition, came)).sum()
    }

    /// All partitions.
    pub(crate) fn partitions(&self) -> BTreeSet<i32> {
        (0..self.0.len() as i32).collect()
    }
}

impl Hearer for Deliveries {
    fn record(&self, partition: i32, offset: i64) {
        let (Ok(partition), Ok(offset)) = (usize::try_from(partition), usize::try_from(offset)) else { return };
        if partition >= self.0.len() {
            return;
        }
        let now = Instant::now();
        self.with(partition, |delivery| {
            delivery.worst = delivery.worst.max(now.saturating_duration_since(delivery.last));
            delivery.last = now;
            if delivery.seen.len() <= offset {
                delivery.seen.resize(offset + 1, false);
            }
            delivery.seen[offset] = true;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_counts_when_it_ends_and_while_it_lasts() {
        let deliveries = Deliveries::new(2);
        std::thread::sleep(Duration::from_millis(20));
        deliveries.record(0, 0);
        assert!(deliveries.longest_silence(&[0]).unwrap() >= Duration::from_millis(20));
        deliveries.mark();
        deliveries.record(0, 1);
        assert!(deliveries.longest_silence(&[0]).unwrap() < Duration::from_millis(20));
        assert!(deliveries.longest_silence(&[0, 1]).unwrap() >= Duration::from_millis(20), "1 is still silent");
        assert_eq!(deliveries.longest_silence(&[]), None);
    }

    #[test]
    fn what_never_came_is_missing_and_what_came_twice_is_not_counted_twice() {
        let deliveries = Deliveries::new(2);
        for (partition, offset) in [(0, 0), (0, 2), (0, 2), (1, 0), (1, 1), (1, 2), (7, 0), (0, -1)] {
            deliveries.record(partition, offset);
        }
        assert_eq!((deliveries.missing(3), deliveries.missing(4), deliveries.missing(1)), (1, 3, 0));
    }
}
