//! The two sparse indexes beside a segment, `.index` (offset to position) and `.timeindex` (timestamp to offset).
//!
//! Neither is mapped, kept in memory or held open: a lookup opens the file, reads a block or two and closes it, so
//! that thousands of partitions cost nothing while nobody seeks in them. New entries wait in memory until [`BATCHED`]
//! of them are due, or until roll, flush of a rolled segment or close: an index is only ever a hint, and recovery
//! rebuilds it.

use std::path::{Path, PathBuf};

use ottla_types::Offset;

use crate::disk::{Disk, StorageError};

/// Entries written at once.
const BATCHED: usize = 64;
/// Entries that a search reads at once.
const BLOCK: u64 = 64;
/// The longest entry, in bytes.
const LONGEST: usize = 12;

/// One entry of fixed size.
pub(crate) trait Entry: Copy + std::fmt::Debug {
    /// Bytes on disk.
    const SIZE: usize;
    /// What the entries ascend in.
    type Key: Ord + Copy;
    /// The key.
    fn key(&self) -> Self::Key;
    /// Adds the bytes, big endian.
    fn encode(&self, base_offset: Offset, out: &mut Vec<u8>);
    /// From `SIZE` bytes.
    fn decode(base_offset: Offset, bytes: &[u8]) -> Self;
    /// An entry of zeros, as in the unused tail of a file that Kafka preallocated.
    fn is_zero(bytes: &[u8]) -> bool {
        bytes.iter().all(|b| *b == 0)
    }
}

/// The batch that begins at `position` ends with `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) offset: Offset,
    pub(crate) position: u32,
}

impl Entry for OffsetEntry {
    const SIZE: usize = 8;
    type Key = Offset;

    fn key(&self) -> Offset {
        self.offset
    }

    fn encode(&self, base_offset: Offset, out: &mut Vec<u8>) {
        out.extend_from_slice(&((self.offset - base_offset) as i32).to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
    }

    fn decode(base_offset: Offset, bytes: &[u8]) -> OffsetEntry {
        let mut field = [0; 4];
        field.copy_from_slice(&bytes[..4]);
        let relative = i32::from_be_bytes(field);
        field.copy_from_slice(&bytes[4..8]);
        OffsetEntry { offset: base_offset + i64::from(relative), position: u32::from_be_bytes(field) }
    }
}

/// The largest timestamp up to `offset` is `timestamp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp: i64,
    pub(crate) offset: Offset,
}

impl Entry for TimeEntry {
    const SIZE: usize = 12;
    type Key = i64;

    fn key(&self) -> i64 {
        self.timestamp
    }

    fn encode(&self, base_offset: Offset, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&((self.offset - base_offset) as i32).to_be_bytes());
    }

    fn decode(base_offset: Offset, bytes: &[u8]) -> TimeEntry {
        let mut timestamp = [0; 8];
        timestamp.copy_from_slice(&bytes[..8]);
        let mut relative = [0; 4];
        relative.copy_from_slice(&bytes[8..12]);
        TimeEntry {
            timestamp: i64::from_be_bytes(timestamp),
            offset: base_offset + i64::from(i32::from_be_bytes(relative)),
        }
    }
}

/// A file of entries in ascending order.
#[derive(Debug)]
pub(crate) struct Index<E: Entry> {
    path: PathBuf,
    base_offset: Offset,
    /// Entries in the file.
    written: u64,
    /// Entries that are not yet in the file.
    pending: Vec<E>,
    last: Option<E>,
    /// The file has changes that were not synced.
    unsynced: bool,
}

impl<E: Entry> Index<E> {
    /// An index without entries; the file is made, or emptied.
    pub(crate) fn create(disk: &dyn Disk, path: PathBuf, base_offset: Offset) -> Result<Index<E>, StorageError> {
        // A new file is empty whether it is synced or not. One that was there may be empty only until the next power cut.
        let unsynced = disk.exists(&path);
        let file = disk.create(&path)?;
        if !file.is_empty().map_err(StorageError::of("measure", &path))? {
            file.set_len(0).map_err(StorageError::of("truncate", &path))?;
        }
        Ok(Index { path, base_offset, written: 0, pending: Vec::new(), last: None, unsynced })
    }

    /// Opens an index file. `None`: it is missing or damaged and must be rebuilt. A tail of zeros is damage only if
    /// what precedes it is.
    pub(crate) fn open(disk: &dyn Disk, path: PathBuf, base_offset: Offset) -> Result<Option<Index<E>>, StorageError> {
        let file = match disk.open(&path) {
            Ok(file) => file,
            Err(e) if e.is_not_found() => return Ok(None),
            Err(e) => return Err(e),
        };
        let len = file.len().map_err(StorageError::of("measure", &path))?;
        let size = E::SIZE as u64;
        let mut index =
            Index { path, base_offset, written: len / size, pending: Vec::new(), last: None, unsynced: false };
        if len % size != 0 {
            return Ok(None);
        }
        // Zeros are never an entry but the first: a preallocated tail is cut at the first of them.
        let mut bytes = [0; LONGEST];
        let bytes = &mut bytes[..E::SIZE];
        let mut read = |at: u64| -> Result<Option<E>, StorageError> {
            file.read_full_at(bytes, at * size).map_err(StorageError::of("read", &index.path))?;
            Ok((!E::is_zero(bytes)).then(|| E::decode(base_offset, bytes)))
        };
        if index.written > 0 && read(index.written - 1)?.is_none() {
            let (mut low, mut high) = (0, index.written);
            while low < high {
                let middle = low + (high - low) / 2;
                match read(middle)? {
                    Some(_) => low = middle + 1,
                    None => high = middle,
                }
            }
            index.written = low;
            file.set_len(low * size).map_err(StorageError::of("truncate", &index.path))?;
            index.unsynced = true;
        }
        if index.written > 0 {
            index.last = read(index.written - 1)?;
            let first = read(0)?;
            if first.zip(index.last).is_none_or(|(first, last)| last.key() < first.key()) {
                return Ok(None);
            }
        }
        Ok(Some(index))
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    /// The entry with the greatest key.
    pub(crate) fn last(&self) -> Option<E> {
        self.last
    }

    /// Adds an entry, whose key must be greater than the last one's; others are left out.
    pub(crate) fn push(&mut self, disk: &dyn Disk, entry: E) -> Result<(), StorageError> {
        if self.last.is_some_and(|last| last.key() >= entry.key()) {
            return Ok(());
        }
        self.last = Some(entry);
        self.pending.push(entry);
        if self.pending.len() >= BATCHED { self.write_pending(disk) } else { Ok(()) }
    }

    /// Puts the waiting entries into the file.
    pub(crate) fn write_pending(&mut self, disk: &dyn Disk) -> Result<(), StorageError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(self.pending.len() * E::SIZE);
        for entry in &self.pending {
            entry.encode(self.base_offset, &mut bytes);
        }
        let file = disk.create(&self.path)?;
        file.write_all_at(&bytes, self.written * E::SIZE as u64).map_err(StorageError::of("write", &self.path))?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        self.unsynced = true;
        Ok(())
    }

    /// The last entry whose `measure` is at most `wanted`; the measure must ascend with the entries. Most measures ascend
    /// evenly, so the first block is read where the entry should be; halving finds what is elsewhere.
    pub(crate) fn last_at_most(
        &self,
        disk: &dyn Disk,
        wanted: u64,
        measure: impl Fn(&E) -> u64,
    ) -> Result<Option<E>, StorageError> {
        let fits = |entry: &E| measure(entry) <= wanted;
        if self.last.is_none_or(|last| fits(&last)) {
            return Ok(self.last);
        }
        if self.pending.first().is_some_and(fits) {
            let count = self.pending.partition_point(fits);
            return Ok(Some(self.pending[count - 1]));
        }
        if self.written == 0 {
            return Ok(None);
        }
        let file = disk.open(&self.path)?;
        let mut bytes = [0; BLOCK as usize * LONGEST];
        let mut found = None;
        // Invariant: entries below `low` fit, those from `high` on do not.
        let (mut low, mut high) = (0, self.written);
        let whole = self.last.map_or(1, |last| measure(&last).max(1));
        let mut near = (u128::from(self.written) * u128::from(wanted) / u128::from(whole)) as u64;
        while low < high {
            let from = near.saturating_sub(BLOCK / 2).min(high.saturating_sub(BLOCK)).max(low);
            let count = BLOCK.min(high - from) as usize;
            let block = &mut bytes[..count * E::SIZE];
            file.read_full_at(block, from * E::SIZE as u64).map_err(StorageError::of("read", &self.path))?;
            let entries = block.chunks_exact(E::SIZE).map(|entry| E::decode(self.base_offset, entry));
            let fitting = entries.take_while(fits).inspect(|entry| found = Some(*entry)).count();
            match fitting {
                0 => high = from,
                _ => low = from + fitting as u64,
            }
            if (1..count).contains(&fitting) {
                break;
            }
            near = low + (high - low) / 2;
        }
        Ok(found)
    }

    /// Drops the entries for which `kept` does not hold; it must hold for all entries before one that it holds for.
    pub(crate) fn truncate(&mut self, disk: &dyn Disk, kept: impl Fn(&E) -> bool) -> Result<(), StorageError> {
        self.write_pending(disk)?;
        let file = disk.create(&self.path)?;
        let (mut low, mut high) = (0, self.written);
        let mut bytes = [0; LONGEST];
        let bytes = &mut bytes[..E::SIZE];
        let mut last = None;
        while low < high {
            let middle = low + (high - low) / 2;
            file.read_full_at(bytes, middle * E::SIZE as u64).map_err(StorageError::of("read", &self.path))?;
            let entry = E::decode(self.base_offset, bytes);
            if kept(&entry) {
                last = Some(entry);
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.written = low;
        self.last = last;
        self.unsynced = true;
        file.set_len(low * E::SIZE as u64).map_err(StorageError::of("truncate", &self.path))
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file has changes that were not synced.
    pub(crate) fn unsynced(&self) -> bool {
        self.unsynced
    }

    /// Notes that the file was synced, or that it is to be synced again.
    pub(crate) fn set_unsynced(&mut self, unsynced: bool) {
        self.unsynced = unsynced;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{MemoryDisk, read_file};

    fn path() -> PathBuf {
        PathBuf::from("/p/00000000000000000100.index")
    }

    fn entry(n: u64) -> OffsetEntry {
        OffsetEntry { offset: 100 + 10 * n as i64, position: 1000 * n as u32 }
    }

    /// Entries 1 to `count`; those behind the last full batch of 64 are still in memory.
    fn filled(disk: &MemoryDisk, count: u64) -> Index<OffsetEntry> {
        let mut index = Index::create(disk, path(), 100).unwrap();
        (1..=count).for_each(|n| index.push(disk, entry(n)).unwrap());
        index
    }

    #[test]
    fn lookups_find_the_last_entry_not_beyond() {
        for count in [0, 1, 2, 63, 64, 65, 66, 128, 500] {
            let disk = MemoryDisk::new();
            let index = filled(&disk, count);
            assert_eq!(index.len(), count);
            for n in 0..=count + 1 {
                for more in [0, 9] {
                    let found =
                        index.last_at_most(&disk, (entry(n).offset + more) as u64, |e| e.offset as u64).unwrap();
                    assert_eq!(found, (n > 0 && count > 0).then(|| entry(n.min(count))), "{n} of {count}");
                }
            }
        }
    }

    #[test]
    fn lookups_find_what_lies_where_nobody_expects_it() {
        let disk = MemoryDisk::new();
        let mut index = Index::create(&disk, path(), 100).unwrap();
        // Nearly all entries lie in the first thousandth of the file.
        let position = |n: u32| if n < 900 { n } else { n * 1000 };
        for n in 0..1000 {
            index.push(&disk, OffsetEntry { offset: 100 + i64::from(n), position: position(n) }).unwrap();
        }
        index.write_pending(&disk).unwrap();
        for n in 0..1000 {
            let found = index.last_at_most(&disk, u64::from(position(n)), |e| u64::from(e.position)).unwrap();
            assert_eq!(found.map(|e| e.position), Some(position(n)));
        }
    }

    #[test]
    fn the_bytes_are_kafkas_and_a_zero_tail_is_cut() {
        let disk = MemoryDisk::new();
        let mut index = filled(&disk, 70);
        index.write_pending(&disk).unwrap();
        let bytes = read_file(&disk, &path(), 10_000).unwrap();
        assert_eq!(bytes.len(), 560);
        assert_eq!(bytes[8..16], [0, 0, 0, 20, 0, 0, 7, 208]);
        disk.open(&path()).unwrap().set_len(8000).unwrap();
        let index: Index<OffsetEntry> = Index::open(&disk, path(), 100).unwrap().unwrap();
        assert_eq!((index.len(), index.last()), (70, Some(entry(70))));
        assert_eq!(read_file(&disk, &path(), 10_000).unwrap(), bytes);
    }

    #[test]
    fn damage_asks_for_a_rebuild() {
        let disk = MemoryDisk::new();
        assert!(Index::<OffsetEntry>::open(&disk, path(), 100).unwrap().is_none(), "missing");
        filled(&disk, 64);
        disk.open(&path()).unwrap().set_len(511).unwrap();
        assert!(Index::<OffsetEntry>::open(&disk, path(), 100).unwrap().is_none(), "no whole entries");
        disk.open(&path()).unwrap().set_len(504).unwrap();
        disk.open(&path()).unwrap().write_all_at(&[0xff; 8], 496).unwrap();
        assert!(Index::<OffsetEntry>::open(&disk, path(), 100).unwrap().is_none(), "goes backwards");
    }

    #[test]
    fn truncation_keeps_what_the_condition_holds_for() {
        for kept in [0, 1, 63, 64, 65, 70] {
            let disk = MemoryDisk::new();
            let mut index = filled(&disk, 70);
            index.truncate(&disk, |e| e.offset <= entry(kept).offset).unwrap();
            assert_eq!((index.len(), index.last()), (kept, (kept > 0).then(|| entry(kept))));
            index.push(&disk, OffsetEntry { offset: 5000, position: 9 }).unwrap();
            index.write_pending(&disk).unwrap();
            assert_eq!(read_file(&disk, &path(), 10_000).unwrap().len() as u64, 8 * (kept + 1));
        }
    }

    #[test]
    fn keys_only_grow() {
        let disk = MemoryDisk::new();
        let mut times: Index<TimeEntry> = Index::create(&disk, PathBuf::from("/p/t"), 100).unwrap();
        for (timestamp, offset) in [(5, 101), (5, 102), (4, 103), (6, 104)] {
            times.push(&disk, TimeEntry { timestamp, offset }).unwrap();
        }
        assert_eq!(times.len(), 2);
        times.write_pending(&disk).unwrap();
        let expected = [0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 4];
        assert_eq!(read_file(&disk, Path::new("/p/t"), 100).unwrap(), expected);
    }
}
