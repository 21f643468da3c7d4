//! The partition of records without a key (`BuiltInPartitioner.java`, KIP-794).
//!
//! One partition takes all of them until it has a batch's worth, then another: so batches are full, and over time all
//! partitions get as much. Which is next is drawn by lot; those with fewer batches waiting have better odds, so that a slow
//! broker is spared. Partitions whose leader cannot be reached are left out as long as there are others.

/// Where a topic's records without a key go at present.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sticky {
    /// Its place among the topic's partitions; none before the first record.
    pub(crate) place: Option<usize>,
    /// Bytes that it was given since it was chosen.
    pub(crate) produced: usize,
}

/// Numbers that look like chance (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Lots(u64);

impl Lots {
    pub(crate) fn new(seed: u64) -> Lots {
        Lots(seed)
    }

    /// One of `0..count`, or 0.
    pub(crate) fn draw(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * u128::from(count)) >> 64) as u64
    }
}

/// One place of those that `queues` yields: how many batches wait there, and whether it can be reached.
pub(crate) fn choose(lots: &mut Lots, queues: impl Iterator<Item = (usize, bool)> + Clone) -> Option<usize> {
    let any = queues.clone().any(|(_, reachable)| reachable);
    let candidates = queues.enumerate().filter(|(_, (_, reachable))| *reachable || !any);
    let longest = candidates.clone().map(|(_, (waiting, _))| waiting).max()?;
    let weight = |waiting: usize| (longest - waiting + 1) as u64;
    let total = candidates.clone().map(|(_, (waiting, _))| weight(waiting)).sum();
    let mut lot = lots.draw(total);
    for (place, (waiting, _)) in candidates {
        match lot.checked_sub(weight(waiting)) {
            Some(rest) => lot = rest,
            None => return Some(place),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(queues: &[(usize, bool)]) -> Vec<u32> {
        let mut lots = Lots::new(1);
        let mut tally = vec![0; queues.len()];
        for _ in 0..12_000 {
            tally[choose(&mut lots, queues.iter().copied()).unwrap()] += 1;
        }
        tally
    }

    #[test]
    fn equal_partitions_are_chosen_as_often() {
        assert!(tally(&[(3, true); 4]).iter().all(|times| (2_800..3_200).contains(times)));
    }

    #[test]
    fn the_odds_fall_with_the_queue() {
        // 3 + 1 + 2 parts of 12,000.
        let tally = tally(&[(0, true), (2, true), (1, true)]);
        for (times, expected) in tally.iter().zip([6_000, 2_000, 4_000]) {
            assert!(times.abs_diff(expected) < 250, "{tally:?}");
        }
    }

    #[test]
    fn unreachable_partitions_are_left_out_unless_all_are() {
        assert_eq!(tally(&[(0, false), (9, true), (0, false)]), [0, 12_000, 0]);
        assert!(tally(&[(0, false), (0, false)]).iter().all(|times| *times > 5_000));
        assert_eq!(choose(&mut Lots::new(1), std::iter::empty()), None);
    }
}
