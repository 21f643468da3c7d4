//! The sequence numbers of one partition's batches: by them a broker writes each one once, and in order.
//!
//! Each partition has an epoch of its own: a broker compares epochs and sequences within a partition only, so that one that
//! begins anew (KIP-360) need not disturb the others.

/// Producer id and epoch.
pub(crate) type Identity = (i64, i16);

/// The state of a partition's numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sequences {
    /// Whose they are; none before there is a producer id, and when the epochs of one are used up.
    pub(crate) identity: Option<Identity>,
    /// That of the next batch.
    pub(crate) next: i32,
    /// The leader has answered for one under this identity. Until it has, a batch goes alone: a broker that knows nothing of
    /// a producer takes any first sequence, so that one behind a refused one would be written before it.
    pub(crate) proven: bool,
    /// It is not known what the broker has: they begin anew under a higher epoch as soon as nothing is under way.
    pub(crate) doubt: Option<String>,
    /// How often they began anew since a batch was delivered.
    pub(crate) renewals: u32,
}

impl Sequences {
    /// Those of a partition that nothing was sent to.
    pub(crate) fn new(identity: Option<Identity>) -> Sequences {
        Sequences { identity, ..Sequences::default() }
    }

    /// The sequence for a batch of so many records.
    pub(crate) fn assign(&mut self, count: u32) -> i32 {
        let base = self.next;
        self.next = sequence_after(base, count);
        base
    }

    /// Begins anew, under the next epoch, or with `current` if that is another producer id; without identity if the epochs
    /// are used up.
    pub(crate) fn renew(&mut self, current: Option<Identity>) {
        self.identity = match (self.identity, current) {
            (Some((id, _)), Some(current)) if current.0 != id => Some(current),
            (Some(identity), _) => next_epoch(identity),
            (None, current) => current,
        };
        self.next = 0;
        self.proven = false;
        self.doubt = None;
        self.renewals += 1;
    }

    /// A batch was delivered.
    pub(crate) fn delivered(&mut self) {
        self.proven = true;
        self.renewals = 0;
    }

    /// Where another partition of the same name may begin, if this one is deleted.
    pub(crate) fn successor(&self, used: bool) -> Option<Identity> {
        match used || self.next != 0 {
            true => self.identity.and_then(next_epoch),
            false => self.identity,
        }
    }
}

/// The sequence so many records later. After 2^31-1 comes 0.
pub(crate) fn sequence_after(base: i32, count: u32) -> i32 {
    ((base as u32).wrapping_add(count) & 0x7fff_ffff) as i32
}

/// The next epoch of a producer id; none after 32767.
fn next_epoch((id, epoch): Identity) -> Option<Identity> {
    epoch.checked_add(1).map(|epoch| (id, epoch))
}

/// Where partitions begin whose topic was deleted, and may be made again with what is left of the old one in a broker's memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Floor {
    id: Option<i64>,
    /// The least epoch of a new partition; beyond 32767: none.
    epoch: i32,
}

impl Floor {
    /// Remembers a deleted partition.
    pub(crate) fn raise(&mut self, sequences: &Sequences, used: bool) {
        let Some((id, epoch)) = sequences.identity else { return };
        if self.id != Some(id) {
            *self = Floor { id: Some(id), epoch: 0 };
        }
        let next = sequences.successor(used).map_or(i32::from(epoch) + 1, |(_, epoch)| i32::from(epoch));
        self.epoch = self.epoch.max(next);
    }

    /// What a new partition begins with.
    pub(crate) fn identity(&self, current: Option<Identity>) -> Option<Identity> {
        let (id, epoch) = current?;
        match self.id == Some(id) {
            true => i16::try_from(self.epoch.max(i32::from(epoch))).ok().map(|epoch| (id, epoch)),
            false => Some((id, epoch)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        let mut sequences = Sequences { next: i32::MAX - 1, ..Sequences::new(Some((7, 0))) };
        assert_eq!((sequences.assign(2), sequences.assign(3), sequences.next), (i32::MAX - 1, 0, 3));
        sequences.next = i32::MAX;
        assert_eq!((sequences.assign(2), sequences.next), (i32::MAX, 1));
    }

    #[test]
    fn epochs_rise_until_another_producer_id_is_needed() {
        let mut sequences = Sequences::new(Some((7, i16::MAX - 1)));
        sequences.assign(5);
        sequences.renew(Some((7, 0)));
        assert_eq!((sequences.identity, sequences.next), (Some((7, i16::MAX)), 0));
        sequences.renew(Some((7, 0)));
        assert_eq!(sequences.identity, None);
        sequences.renew(Some((8, 0)));
        assert_eq!(sequences.identity, Some((8, 0)));
        sequences.renew(Some((9, 3)));
        assert_eq!(sequences.identity, Some((9, 3)), "one that others have got already is taken first");
    }

    #[test]
    fn a_partition_made_again_begins_above_the_deleted_one() {
        let mut floor = Floor::default();
        assert_eq!(floor.identity(Some((7, 2))), Some((7, 2)));
        assert_eq!(floor.identity(None), None);
        floor.raise(&Sequences::new(Some((7, 2))), false);
        assert_eq!(floor.identity(Some((7, 2))), Some((7, 2)), "nothing was sent to it");
        floor.raise(&Sequences::new(Some((7, 4))), true);
        floor.raise(&Sequences { next: 1, ..Sequences::new(Some((7, 2))) }, false);
        assert_eq!(floor.identity(Some((7, 2))), Some((7, 5)));
        assert_eq!(floor.identity(Some((8, 0))), Some((8, 0)), "another producer id is new to every broker");
        floor.raise(&Sequences::new(Some((7, i16::MAX))), true);
        assert_eq!(floor.identity(Some((7, 2))), None);
    }
}
