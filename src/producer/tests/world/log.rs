//! A partition's log, and what it remembers of each idempotent producer (`ProducerStateManager.java`, `ProducerAppendInfo.java`).

use std::collections::{BTreeMap, VecDeque};

use ottla_producer::Stamp;
use ottla_types::Offset;

/// Batches remembered of each producer.
const WINDOW: usize = 5;

pub(crate) const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
pub(crate) const DUPLICATE_SEQUENCE_NUMBER: i16 = 46;
pub(crate) const INVALID_PRODUCER_EPOCH: i16 = 47;
pub(crate) const UNKNOWN_PRODUCER_ID: i16 = 59;

/// A batch in a log.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) stamp: Stamp,
    pub(crate) values: Vec<u64>,
    pub(crate) base_offset: Offset,
    /// Of the leader that has written it.
    pub(crate) leader_epoch: i32,
    /// Its producer was told that it is there.
    pub(crate) acknowledged: bool,
}

impl Entry {
    fn last_sequence(&self) -> i32 {
        self.stamp.base_sequence + self.values.len() as i32 - 1
    }

    pub(crate) fn end(&self) -> Offset {
        self.base_offset + self.values.len() as Offset
    }

    /// Each number and its offset.
    pub(crate) fn offsets(&self) -> impl Iterator<Item = (u64, Offset)> {
        self.values.iter().copied().zip(self.base_offset..)
    }
}

#[derive(Debug, Clone, Default)]
struct Known {
    epoch: i16,
    /// First and last sequence and the place of each of the last batches of this epoch.
    window: VecDeque<(i32, i32, usize)>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub(crate) entries: Vec<Entry>,
    producers: BTreeMap<i64, Known>,
    /// Of what is before nothing is known of producers any more.
    forgotten: usize,
}

/// Where a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which entry.
    pub(crate) index: usize,
    /// It was there before.
    pub(crate) duplicate: bool,
}

impl Log {
    pub(crate) fn end(&self) -> Offset {
        self.entries.last().map_or(0, Entry::end)
    }

    /// Appends a batch, or finds it; or the error code. `old`: a broker from before KIP-360.
    pub(crate) fn append(&mut self, stamp: Stamp, values: &[u64], leader_epoch: i32, old: bool) -> Result<Place, i16> {
        if let Some(place) = self.judge(stamp, values.len(), old)? {
            return Ok(place);
        }
        let base_offset = self.end();
        self.entries.push(Entry { stamp, values: values.to_vec(), base_offset, leader_epoch, acknowledged: false });
        let index = self.entries.len() - 1;
        self.record(index);
        Ok(Place { index, duplicate: false })
    }

    fn judge(&self, stamp: Stamp, count: usize, old: bool) -> Result<Option<Place>, i16> {
        if stamp.producer_id < 0 {
            return Ok(None);
        }
        let first = stamp.base_sequence;
        let Some(known) = self.producers.get(&stamp.producer_id) else {
            return if old && first != 0 { Err(UNKNOWN_PRODUCER_ID) } else { Ok(None) };
        };
        if stamp.producer_epoch < known.epoch {
            return Err(INVALID_PRODUCER_EPOCH);
        }
        if stamp.producer_epoch > known.epoch {
            return if first == 0 { Ok(None) } else { Err(OUT_OF_ORDER_SEQUENCE_NUMBER) };
        }
        let range = (first, first + count as i32 - 1);
        if let Some((_, _, index)) = known.window.iter().find(|(first, last, _)| (*first, *last) == range) {
            return Ok(Some(Place { index: *index, duplicate: true }));
        }
        match known.window.back() {
            Some((_, last, _)) if first == last + 1 => Ok(None),
            _ => Err(OUT_OF_ORDER_SEQUENCE_NUMBER),
        }
    }

    fn record(&mut self, index: usize) {
        let entry = &self.entries[index];
        let Stamp { producer_id, producer_epoch, base_sequence } = entry.stamp;
        if producer_id < 0 {
            return;
        }
        let last = entry.last_sequence();
        let known = self.producers.entry(producer_id).or_default();
        if known.epoch != producer_epoch {
            *known = Known { epoch: producer_epoch, window: VecDeque::new() };
        }
        if known.window.len() == WINDOW {
            known.window.pop_front();
        }
        known.window.push_back((base_sequence, last, index));
    }

    /// Drops what is beyond so many entries, and returns it.
    pub(crate) fn truncate(&mut self, keep: usize) -> Vec<Entry> {
        let dropped = self.entries.split_off(keep.min(self.entries.len()));
        if !dropped.is_empty() {
            self.producers.clear();
            self.forgotten = self.forgotten.min(self.entries.len());
            (self.forgotten..self.entries.len()).for_each(|index| self.record(index));
        }
        dropped
    }

    /// What was known of producers is lost, as it is with their last records.
    pub(crate) fn forget_producers(&mut self) {
        self.producers.clear();
        self.forgotten = self.entries.len();
    }
}
