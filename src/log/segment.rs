//! One segment: a file of batches back to back, named after its first offset, and the indexes beside it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ottla_records::{BatchHeader, Magic};
use ottla_types::Offset;

use crate::disk::{Disk, FileRef, StorageError};
use crate::index::{Index, OffsetEntry, TimeEntry};
use crate::reservation::Reservation;
use crate::scan::{HeaderScan, ScanError};
use crate::txn_index::{AbortedTxn, TxnIndex};

pub(crate) const LOG_SUFFIX: &str = ".log";
pub(crate) const OFFSET_INDEX_SUFFIX: &str = ".index";
pub(crate) const TIME_INDEX_SUFFIX: &str = ".timeindex";
pub(crate) const TXN_INDEX_SUFFIX: &str = ".txnindex";
/// All files of a segment; the log first.
pub(crate) const SUFFIXES: [&str; 4] = [LOG_SUFFIX, OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX];

/// The path of a segment's file in its partition's folder.
pub(crate) fn segment_path(dir: &Path, base_offset: Offset, suffix: &str) -> PathBuf {
    dir.join(format!("{base_offset:020}{suffix}"))
}

/// Splits `00000000000000000042.log` into 42 and `.log`.
pub(crate) fn parse_file_name(name: &str) -> Option<(Offset, &str)> {
    let (digits, suffix) = name.split_at_checked(20)?;
    let offset = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    Some((offset, suffix))
}

/// A segment of a log. Its file is opened when first used and then kept open.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base_offset: Offset,
    /// Bytes of whole batches in the file.
    pub(crate) size: u64,
    path: PathBuf,
    file: OnceLock<FileRef>,
    pub(crate) offsets: Index<OffsetEntry>,
    pub(crate) times: Index<TimeEntry>,
    pub(crate) txns: TxnIndex,
    /// Largest timestamp and the last offset of its batch; -1 if no batch has one.
    pub(crate) largest: TimeEntry,
    /// Bytes appended since the last index entry.
    pub(crate) bytes_since_index: u64,
    /// When it was made or opened, wall clock.
    pub(crate) created_ms: i64,
    first_timestamp: OnceLock<i64>,
    /// The file has bytes, or lost bytes, that were not synced.
    pub(crate) unsynced: bool,
    reservation: Reservation,
}

impl Segment {
    /// A new, empty segment. Leftovers of the same name are emptied.
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, base: Offset, now_ms: i64) -> Result<Segment, StorageError> {
        let path = segment_path(dir, base, LOG_SUFFIX);
        let file = disk.create(&path)?;
        if !file.is_empty().map_err(StorageError::of("measure", &path))? {
            file.set_len(0).map_err(StorageError::of("truncate", &path))?;
        }
        let mut segment = Segment::with_empty_indexes(disk, dir, base, now_ms)?;
        segment.file = OnceLock::from(file);
        segment.size = 0;
        Ok(segment)
    }

    /// An existing file with indexes that hold nothing: they are to be rebuilt.
    pub(crate) fn with_empty_indexes(
        disk: &dyn Disk,
        dir: &Path,
        base: Offset,
        now_ms: i64,
    ) -> Result<Segment, StorageError> {
        let path = |suffix| segment_path(dir, base, suffix);
        let offsets = Index::create(disk, path(OFFSET_INDEX_SUFFIX), base)?;
        let times = Index::create(disk, path(TIME_INDEX_SUFFIX), base)?;
        let txns = TxnIndex::reset(disk, path(TXN_INDEX_SUFFIX))?;
        Segment::assemble(disk, dir, base, (offsets, times, txns), now_ms)
    }

    /// An existing segment; `None` if an index is missing or damaged.
    pub(crate) fn open(
        disk: &dyn Disk,
        dir: &Path,
        base: Offset,
        now_ms: i64,
    ) -> Result<Option<Segment>, StorageError> {
        let path = |suffix| segment_path(dir, base, suffix);
        let offsets = Index::open(disk, path(OFFSET_INDEX_SUFFIX), base)?;
        let times = Index::open(disk, path(TIME_INDEX_SUFFIX), base)?;
        let txns = TxnIndex::open(disk, path(TXN_INDEX_SUFFIX), base)?;
        let (Some(offsets), Some(times), Some(txns)) = (offsets, times, txns) else { return Ok(None) };
        let segment = Segment::assemble(disk, dir, base, (offsets, times, txns), now_ms)?;
        let fits = segment.offsets.last().is_none_or(|e| e.offset >= base && u64::from(e.position) < segment.size)
            && segment.times.last().is_none_or(|e| e.offset >= base);
        Ok(fits.then_some(segment))
    }

    fn assemble(
        disk: &dyn Disk,
        dir: &Path,
        base_offset: Offset,
        (offsets, times, txns): (Index<OffsetEntry>, Index<TimeEntry>, TxnIndex),
        now_ms: i64,
    ) -> Result<Segment, StorageError> {
        let path = segment_path(dir, base_offset, LOG_SUFFIX);
        let file = disk.open(&path)?;
        let size = file.len().map_err(StorageError::of("measure", &path))?;
        let largest = times.last().unwrap_or(TimeEntry { timestamp: -1, offset: base_offset });
        Ok(Segment {
            base_offset,
            size,
            path,
            file: OnceLock::new(),
            offsets,
            times,
            txns,
            largest,
            bytes_since_index: 0,
            created_ms: now_ms,
            first_timestamp: OnceLock::new(),
            unsynced: false,
            reservation: Reservation::default(),
        })
    }

    /// The file of batches.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub(crate) fn file(&self, disk: &dyn Disk) -> Result<&FileRef, StorageError> {
        match self.file.get() {
            Some(file) => Ok(file),
            None => {
                let file = disk.open(&self.path)?;
                Ok(self.file.get_or_init(|| file))
            }
        }
    }

    /// Sees that an append of `size` bytes finds its blocks, in a segment of `limit` bytes at most.
    pub(crate) fn reserve(&mut self, disk: &dyn Disk, size: u64, limit: u64) -> Result<(), StorageError> {
        let file = self.file(disk)?.clone();
        self.reservation.cover(&*file, self.size + size, limit);
        Ok(())
    }

    /// Nothing is appended any more: gives back what was reserved, also by a process that crashed.
    pub(crate) fn release(&mut self, disk: &dyn Disk) -> Result<(), StorageError> {
        self.file(disk)?.release().map_err(StorageError::of("give back space of", &self.path))?;
        self.reservation.forget();
        Ok(())
    }

    /// Whether what was reserved is as good as used.
    pub(crate) fn has_used_reserved(&self) -> bool {
        self.reservation.is_used_up(self.size)
    }

    /// Whether this process has reserved what it did not use.
    pub(crate) fn has_reserved(&self) -> bool {
        self.reservation.exceeds(self.size)
    }

    /// Timestamp of the first batch, `None` if it has none or there is no batch.
    pub(crate) fn first_timestamp(&self, disk: &dyn Disk) -> Result<Option<i64>, StorageError> {
        if self.first_timestamp.get().is_none() && self.size > 0 {
            let first = HeaderScan::new(&**self.file(disk)?, 0, self.size).next();
            if let Some((_, header)) = first.map_err(|e| e.into_storage(&self.path))? {
                // Two threads cannot meet here: the log is behind one lock; a second value would be the same anyway.
                let _ = self.first_timestamp.set(header.max_timestamp);
            }
        }
        Ok(self.first_timestamp.get().copied().filter(|t| *t >= 0))
    }

    /// Takes note of a batch that was written at `position`: indexes, largest timestamp.
    pub(crate) fn index_batch(
        &mut self,
        disk: &dyn Disk,
        position: u64,
        header: &BatchHeader,
        interval: u32,
    ) -> Result<(), StorageError> {
        let last_offset = header.last_offset();
        if position == 0 {
            self.first_timestamp = OnceLock::from(header.max_timestamp);
        }
        if header.max_timestamp > self.largest.timestamp {
            self.largest = TimeEntry { timestamp: header.max_timestamp, offset: last_offset };
        }
        if self.bytes_since_index > u64::from(interval) {
            self.offsets.push(disk, OffsetEntry { offset: last_offset, position: position as u32 })?;
            if self.largest.timestamp >= 0 {
                self.times.push(disk, self.largest)?;
            }
            self.bytes_since_index = 0;
        }
        self.bytes_since_index += header.size() as u64;
        Ok(())
    }

    /// Adds an aborted transaction.
    pub(crate) fn index_aborted(&mut self, disk: &dyn Disk, txn: &AbortedTxn) -> Result<(), StorageError> {
        self.txns.push(disk, txn)
    }

    /// Completes the index files: the largest timestamp is always their last entry, as Kafka's readers expect of a
    /// segment that is no longer written.
    pub(crate) fn finish_indexes(&mut self, disk: &dyn Disk) -> Result<(), StorageError> {
        if self.largest.timestamp >= 0 {
            self.times.push(disk, self.largest)?;
        }
        self.offsets.write_pending(disk)?;
        self.times.write_pending(disk)
    }

    /// Makes the index files durable, as recovery must where the checkpoint says already that they are.
    pub(crate) fn sync_indexes(&mut self, disk: &dyn Disk) -> Result<(), StorageError> {
        for path in self.unsynced_indexes() {
            disk.open(path)?.sync().map_err(StorageError::of("sync", path))?;
        }
        self.set_indexes_unsynced(false);
        Ok(())
    }

    /// The index files with changes that were not synced; counts once the segment is rolled.
    pub(crate) fn unsynced_indexes(&self) -> impl Iterator<Item = &Path> {
        let offsets = self.offsets.unsynced().then(|| self.offsets.path());
        let times = self.times.unsynced().then(|| self.times.path());
        let txns = self.txns.unsynced().then(|| self.txns.path());
        [offsets, times, txns].into_iter().flatten()
    }

    /// Notes that the index files were synced, or that all are to be synced again.
    pub(crate) fn set_indexes_unsynced(&mut self, unsynced: bool) {
        self.offsets.set_unsynced(unsynced);
        self.times.set_unsynced(unsynced);
        self.txns.set_unsynced(unsynced);
    }

    /// The first batch, at or behind the batch that begins at `from`, whose last offset is at least `offset`.
    pub(crate) fn find_from(
        &self,
        disk: &dyn Disk,
        from: u64,
        offset: Offset,
    ) -> Result<Option<(u64, BatchHeader)>, StorageError> {
        let mut scan = HeaderScan::new(&**self.file(disk)?, from, self.size);
        while let Some((position, header)) = scan.next().map_err(|e| e.into_storage(&self.path))? {
            if header.last_offset() >= offset {
                return Ok(Some((position, header)));
            }
        }
        Ok(None)
    }

    /// The last entry of the index that is not behind `offset`.
    pub(crate) fn last_entry(&self, disk: &dyn Disk, offset: Offset) -> Result<Option<OffsetEntry>, StorageError> {
        let from_base = |offset: Offset| u64::try_from(offset - self.base_offset).unwrap_or(0);
        match offset < self.base_offset {
            true => Ok(None),
            false => self.offsets.last_at_most(disk, from_base(offset), |e| from_base(e.offset)),
        }
    }

    /// The first batch whose last offset is at least `offset`, found through the index.
    pub(crate) fn find(&self, disk: &dyn Disk, offset: Offset) -> Result<Option<(u64, BatchHeader)>, StorageError> {
        let near = self.last_entry(disk, offset)?;
        self.find_from(disk, near.map_or(0, |e| u64::from(e.position)), offset)
    }

    /// The header of the batch that begins at `position`.
    pub(crate) fn header_at(&self, disk: &dyn Disk, position: u64) -> Result<Option<BatchHeader>, StorageError> {
        let header = HeaderScan::new(&**self.file(disk)?, position, self.size).next();
        Ok(header.map_err(|e| e.into_storage(&self.path))?.map(|(_, header)| header))
    }

    /// The last place, from `from` on and at most at `limit`, where a batch ends: its position, and the offset after
    /// it. `from` must be where a batch begins, and that batch must fit.
    pub(crate) fn end_of_whole_batches(
        &self,
        disk: &dyn Disk,
        from: u64,
        limit: u64,
    ) -> Result<(u64, Offset), StorageError> {
        let near = self.offsets.last_at_most(disk, limit, |e| e.position.into())?;
        let near = near.map_or(from, |e| u64::from(e.position).max(from));
        for start in [near, from] {
            let mut scan = HeaderScan::new(&**self.file(disk)?, start, self.size);
            let mut end = None;
            while let Some((position, header)) = scan.next().map_err(|e| e.into_storage(&self.path))? {
                let after = position + header.size() as u64;
                if after > limit {
                    // The batch that the index led to reaches over the limit: the range ends before it, at its first
                    // offset, which a compressed message of magic 0 or 1 does not tell.
                    if end.is_none() && header.magic == Magic::V2 {
                        end = Some((position, header.base_offset));
                    }
                    break;
                }
                end = Some((after, header.next_offset()));
            }
            if let Some(end) = end {
                return Ok(end);
            }
        }
        Err(StorageError::malformed(&self.path, format!("position {from}: no whole batch within the next bytes")))
    }

    /// The offset after the last batch; reads from the last index entry on. Adds what the walk passes to the indexes'
    /// bookkeeping, so that appends go on where they stopped.
    pub(crate) fn read_end(
        &mut self,
        disk: &dyn Disk,
        interval: u32,
    ) -> Result<Result<Offset, ScanError>, StorageError> {
        let last = self.offsets.last();
        let from = last.map_or(0, |e| u64::from(e.position));
        let file = self.file(disk)?.clone();
        let mut scan = HeaderScan::new(&*file, from, self.size);
        let mut end = self.base_offset;
        loop {
            match scan.next() {
                Ok(None) => return Ok(Ok(end)),
                Ok(Some((position, header))) => {
                    if header.last_offset() < end.max(last.map_or(0, |e| e.offset)) || header.last_offset_delta < 0 {
                        let reason = format!("position {position}: offset {} goes backwards", header.base_offset);
                        return Ok(Err(ScanError::Damaged(reason)));
                    }
                    end = header.next_offset();
                    self.index_batch(disk, position, &header, interval)?;
                }
                Err(e) => return Ok(Err(e)),
            }
        }
    }

    /// Cuts the file at `position`, where the batch of `offset` begins, durably, and the indexes with it.
    pub(crate) fn truncate(&mut self, disk: &dyn Disk, position: u64, offset: Offset) -> Result<(), StorageError> {
        let file = self.file(disk)?;
        file.set_len(position).map_err(StorageError::of("truncate", &self.path))?;
        file.sync().map_err(StorageError::of("sync", &self.path))?;
        self.size = position;
        self.reservation.forget();
        self.unsynced = false;
        self.offsets.truncate(disk, |e| u64::from(e.position) < position)?;
        self.times.truncate(disk, |e| e.offset < offset)?;
        self.txns.truncate(disk, offset)?;
        if position == 0 {
            self.first_timestamp = OnceLock::new();
        }
        // What the index entries do not tell: the largest timestamp behind the last of them, and the bytes.
        self.largest = self.times.last().unwrap_or(TimeEntry { timestamp: -1, offset: self.base_offset });
        let near = self.last_entry(disk, self.largest.offset)?;
        let file = self.file(disk)?.clone();
        let mut scan = HeaderScan::new(&*file, near.map_or(0, |e| u64::from(e.position)), self.size);
        while let Some((_, header)) = scan.next().map_err(|e| e.into_storage(&self.path))? {
            if header.max_timestamp > self.largest.timestamp {
                self.largest = TimeEntry { timestamp: header.max_timestamp, offset: header.last_offset() };
            }
        }
        self.bytes_since_index = self.size - self.offsets.last().map_or(0, |e| u64::from(e.position));
        Ok(())
    }

    /// Removes the files at once.
    pub(crate) fn remove(&self, disk: &dyn Disk) -> Result<(), StorageError> {
        // The log goes first: index files without their log are swept up when the folder is opened.
        for suffix in SUFFIXES {
            disk.remove(&self.path.with_extension(&suffix[1..]))?;
        }
        Ok(())
    }
}
