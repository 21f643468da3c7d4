//! Which leader epoch began at which offset (`leader-epoch-checkpoint`, `LeaderEpochFileCache.java`, KIP-101): what
//! followers and consumers ask to find where two histories part.

use std::fmt::Write as _;
use std::path::PathBuf;

use ottla_types::{LeaderEpoch, Offset};

use crate::checkpoint::{lines_of, read_lines, write_lines};
use crate::disk::{DiskRef, StorageError};

/// The file's name in a partition's folder.
pub const EPOCH_CHECKPOINT_FILE: &str = "leader-epoch-checkpoint";

/// An epoch and the offset of its first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEntry {
    /// The leader epoch.
    pub epoch: LeaderEpoch,
    /// Its first offset.
    pub start_offset: Offset,
}

/// The epochs of one partition, both columns strictly ascending.
#[derive(Debug)]
pub struct EpochCache {
    disk: DiskRef,
    path: PathBuf,
    entries: Vec<EpochEntry>,
    /// There is a file, which must not be lost while it is replaced.
    has_file: bool,
}

/// What [`EpochCache::assign`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Assigned {
    /// The epoch was known.
    Nothing,
    /// It is in the file, durably.
    Durably,
    /// It is in a file that is new and not yet synced.
    InNewFile,
}

impl EpochCache {
    /// Reads the file; none is an empty cache, and so is one that cannot be understood: the epochs are then taken from
    /// the batches again.
    pub(crate) fn open(disk: DiskRef, path: PathBuf) -> Result<EpochCache, StorageError> {
        let lines = match read_lines(&*disk, &path) {
            Ok(lines) => lines,
            Err(e) if e.source.kind() == std::io::ErrorKind::InvalidData => {
                tracing::warn!("{e}: starting with no epochs");
                Some(Vec::new())
            }
            Err(e) => return Err(e),
        };
        let mut cache = EpochCache { disk, path, entries: Vec::new(), has_file: lines.is_some() };
        for line in lines.unwrap_or_default() {
            let entry = match line.as_slice() {
                [epoch, offset] => epoch.parse().ok().zip(offset.parse().ok()),
                _ => None,
            };
            match entry {
                Some((epoch, start_offset)) => cache.insert(LeaderEpoch(epoch), start_offset),
                None => {
                    tracing::warn!("{}: {line:?} is not `epoch offset`: ignored", cache.path.display());
                    continue;
                }
            };
        }
        Ok(cache)
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The newest epoch.
    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// The epoch that the record at `offset` was written in.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|e| e.start_offset <= offset);
        self.entries[..after].last().map(|e| e.epoch)
    }

    /// Kafka's `endOffsetFor`: the largest known epoch not above `requested`, and where it ended. `None` is the wire's
    /// (-1, -1).
    pub fn end_offset_for(&self, requested: LeaderEpoch, log_end_offset: Offset) -> Option<(LeaderEpoch, Offset)> {
        let latest = self.latest()?;
        if requested.0 < 0 || requested > latest.epoch {
            return None;
        }
        if requested == latest.epoch {
            return Some((requested, log_end_offset));
        }
        let above = self.entries.partition_point(|e| e.epoch <= requested);
        let end = self.entries[above].start_offset;
        // Older than everything known: the requester's own epoch, ending where ours begin.
        let epoch = self.entries[..above].last().map_or(requested, |e| e.epoch);
        Some((epoch, end))
    }

    /// Notes that `epoch` begins at `start_offset`, and writes the file if that is news. A file that was there is replaced
    /// durably. A new one is left to the next flush: if it is lost before, so are the records it speaks of, or recovery
    /// reads the epoch from them.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> Result<Assigned, StorageError> {
        if !self.insert(epoch, start_offset) {
            return Ok(Assigned::Nothing);
        }
        if self.has_file {
            self.write()?;
            return Ok(Assigned::Durably);
        }
        let file = self.disk.create(&self.path)?;
        self.has_file = true;
        let text = lines_of(self.entries.len(), &self.lines());
        file.write_all_at(text.as_bytes(), 0).map_err(StorageError::of("write", &self.path))?;
        Ok(Assigned::InNewFile)
    }

    /// As [`EpochCache::assign`] without the file: recovery assigns many and writes once.
    pub(crate) fn insert(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        if epoch.0 < 0 || start_offset < 0 {
            return false;
        }
        if self.latest().is_some_and(|l| l.epoch == epoch && l.start_offset <= start_offset) {
            return false;
        }
        while self.latest().is_some_and(|l| l.epoch >= epoch || l.start_offset >= start_offset) {
            self.entries.pop();
        }
        self.entries.push(EpochEntry { epoch, start_offset });
        true
    }

    /// Forgets epochs that begin at or after `offset`.
    pub(crate) fn truncate_from_end(&mut self, offset: Offset) -> Result<(), StorageError> {
        let kept = self.entries.partition_point(|e| e.start_offset < offset);
        if kept == self.entries.len() {
            return Ok(());
        }
        self.entries.truncate(kept);
        self.write()
    }

    /// Forgets epochs that ended at or before `offset`; the one that spans it begins there from now on.
    pub(crate) fn truncate_from_start(&mut self, offset: Offset) -> Result<(), StorageError> {
        let before = self.entries.partition_point(|e| e.start_offset <= offset);
        let Some(spanning) = before.checked_sub(1).map(|i| self.entries[i].epoch) else { return Ok(()) };
        if before == 1 && self.entries[0].start_offset == offset {
            return Ok(());
        }
        self.entries.drain(..before - 1);
        self.entries[0] = EpochEntry { epoch: spanning, start_offset: offset };
        self.write()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) -> Result<(), StorageError> {
        self.entries.clear();
        self.write()
    }

    /// Writes the file durably.
    pub(crate) fn write(&mut self) -> Result<(), StorageError> {
        write_lines(&*self.disk, &self.path, self.entries.len(), &self.lines())?;
        self.has_file = true;
        Ok(())
    }

    fn lines(&self) -> String {
        let mut lines = String::new();
        for entry in &self.entries {
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{} {}", entry.epoch, entry.start_offset);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{MemoryDisk, read_file};
    use std::path::Path;
    use std::sync::Arc;

    fn cache(entries: &[(i32, i64)]) -> EpochCache {
        let disk: DiskRef = Arc::new(MemoryDisk::new());
        disk.create_dir(Path::new("/p")).unwrap();
        let mut cache = EpochCache::open(disk, PathBuf::from("/p/leader-epoch-checkpoint")).unwrap();
        for (epoch, offset) in entries {
            cache.assign(LeaderEpoch(*epoch), *offset).unwrap();
        }
        cache
    }

    fn pairs(cache: &EpochCache) -> Vec<(i32, i64)> {
        cache.entries().iter().map(|e| (e.epoch.0, e.start_offset)).collect()
    }

    #[test]
    fn the_file_is_kafkas() {
        let cache = cache(&[(0, 5), (1, 12), (2, 13)]);
        let written = read_file(&*cache.disk, &cache.path, 1000).unwrap();
        assert_eq!(written, include_bytes!("testdata/v2/segments-0/leader-epoch-checkpoint"));
        let again = EpochCache::open(cache.disk.clone(), cache.path.clone()).unwrap();
        assert_eq!(pairs(&again), pairs(&cache));
    }

    #[test]
    fn end_offsets_follow_the_table() {
        let cache = cache(&[(2, 10), (4, 20), (7, 30)]);
        let end = |epoch| cache.end_offset_for(LeaderEpoch(epoch), 42).map(|(e, o)| (e.0, o));
        assert_eq!(end(-1), None);
        assert_eq!(end(8), None);
        assert_eq!(end(7), Some((7, 42)));
        assert_eq!(end(6), Some((4, 30)));
        assert_eq!(end(2), Some((2, 20)));
        assert_eq!(end(1), Some((1, 10)));
        assert_eq!(cache.epoch_at(9), None);
        assert_eq!(cache.epoch_at(29), Some(LeaderEpoch(4)));
    }

    #[test]
    fn assigning_replaces_what_contradicts() {
        assert_eq!(pairs(&cache(&[(1, 0), (1, 5)])), [(1, 0)]);
        assert_eq!(pairs(&cache(&[(1, 0), (2, 5), (3, 5)])), [(1, 0), (3, 5)]);
        assert_eq!(pairs(&cache(&[(1, 0), (3, 5), (2, 7)])), [(1, 0), (2, 7)]);
    }

    #[test]
    fn truncation_at_both_ends() {
        let mut c = cache(&[(0, 0), (1, 10), (2, 20)]);
        c.truncate_from_start(15).unwrap();
        assert_eq!(pairs(&c), [(1, 15), (2, 20)]);
        c.truncate_from_end(20).unwrap();
        assert_eq!(pairs(&c), [(1, 15)]);
        c.truncate_from_end(15).unwrap();
        assert_eq!(pairs(&c), []);
    }
}
