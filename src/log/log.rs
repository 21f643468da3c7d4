//! One partition's log: segments in order, the last of them active, with what is derived from them.
//!
//! `&mut self` throughout, no lock, no thread: the broker keeps a log behind one mutex and holds it neither over an
//! fsync ([`Log::flush_begin`] gives the work away) nor over a socket ([`Log::read`] gives a range of a file).

mod append;
mod flush;
mod read;
mod retention;
#[cfg(test)]
mod tests;
mod timestamps;
mod truncate;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_types::{LeaderEpoch, Offset};

pub use append::{AppendError, Appended, LogAppendInfo};
pub(crate) use flush::Durability;
pub use flush::FlushWork;
pub use read::{FileRange, OffsetOutOfRange, Read, ReadError};
pub use retention::{Deletion, RetentionReport};
pub use timestamps::{ListedOffset, OffsetQuery};

use crate::config::LogConfig;
use crate::disk::{DiskRef, StorageError};
use crate::epoch_cache::{Assigned, EpochCache};
use crate::producer_snapshot;
use crate::producer_state::ProducerStates;
use crate::segment::Segment;
use flush::Flushing;
use read::{Hints, Tail};

/// A partition on disk. [`Log::open`] loads or makes one.
#[derive(Debug)]
pub struct Log {
    disk: DiskRef,
    dir: Arc<Path>,
    config: Arc<LogConfig>,
    /// Never empty; base offsets ascend; the last is active.
    segments: Vec<Segment>,
    log_start_offset: Offset,
    log_end_offset: Offset,
    epochs: EpochCache,
    producers: ProducerStates,
    flushing: Flushing,
    /// If nothing was appended since a clean stop: where the log ended then.
    closed_at: Option<Offset>,
    tail: Tail,
    hints: Hints,
    deletions: Vec<Deletion>,
    offline: bool,
}

/// What recovery found, in the parts that [`Log`] is put together from.
pub(crate) struct LogParts {
    pub(crate) disk: DiskRef,
    pub(crate) dir: PathBuf,
    pub(crate) config: Arc<LogConfig>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) log_start_offset: Offset,
    pub(crate) log_end_offset: Offset,
    pub(crate) durability: Durability,
    /// The files are as a clean stop leaves them.
    pub(crate) closed: bool,
    pub(crate) epochs: EpochCache,
    pub(crate) producers: ProducerStates,
}

impl Log {
    pub(crate) fn assemble(parts: LogParts) -> Log {
        Log {
            disk: parts.disk,
            dir: parts.dir.into(),
            config: parts.config,
            segments: parts.segments,
            log_start_offset: parts.log_start_offset,
            log_end_offset: parts.log_end_offset,
            epochs: parts.epochs,
            producers: parts.producers,
            flushing: Flushing::new(parts.durability),
            closed_at: parts.closed.then_some(parts.log_end_offset),
            tail: Tail::default(),
            hints: Hints::default(),
            deletions: Vec::new(),
            offline: false,
        }
    }

    /// The partition's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The disk that the folder lies on.
    pub fn disk(&self) -> &DiskRef {
        &self.disk
    }

    /// The configuration.
    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Replaces the configuration; it holds from the next append or retention on.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        self.config = config;
    }

    /// The first offset that readers may have.
    pub fn log_start_offset(&self) -> Offset {
        self.log_start_offset
    }

    /// The log's start, if it lies inside the first segment: only then the files alone do not tell it, and
    /// `log-start-offset-checkpoint` must.
    pub fn log_start_to_checkpoint(&self) -> Option<Offset> {
        (self.log_start_offset > self.segments[0].base_offset).then_some(self.log_start_offset)
    }

    /// The offset that the next record gets.
    pub fn log_end_offset(&self) -> Offset {
        self.log_end_offset
    }

    /// Bytes in all segments.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|s| s.size).sum()
    }

    /// Number of segments.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// First offset of the active segment.
    pub fn active_base_offset(&self) -> Offset {
        self.active().base_offset
    }

    /// Bytes in the active segment.
    pub fn active_size(&self) -> u64 {
        self.active().size
    }

    /// Whether the log has failed: its folder must be taken offline, only a new open helps.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Ends the log's use: from here on it writes nothing. For a partition that was deleted, whose folder's name may soon
    /// be another's.
    pub fn take_offline(&mut self) {
        self.offline = true;
    }

    fn check_online(&self) -> Result<(), StorageError> {
        match self.offline {
            true => Err(StorageError {
                operation: "write to",
                path: self.dir.to_path_buf(),
                source: std::io::Error::other("the log is offline after an earlier failure"),
            }),
            false => Ok(()),
        }
    }

    /// The leader epochs.
    pub fn epochs(&self) -> &EpochCache {
        &self.epochs
    }

    /// Notes that a leader of this epoch begins at this offset; a new leader does so before any record (KAFKA-7415). It is
    /// durable at once, or, if it is the partition's first, before the first record is: until then there is nothing that
    /// it could be missing for.
    pub fn assign_epoch(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> Result<(), StorageError> {
        self.check_online()?;
        let assigned = self.epochs.assign(epoch, start_offset);
        self.offline |= assigned.is_err();
        if assigned? == Assigned::InNewFile {
            self.flushing.small_file_made();
        }
        Ok(())
    }

    /// The producers.
    pub fn producers(&self) -> &ProducerStates {
        &self.producers
    }

    /// Forgets producers that have been idle longer than `producer.id.expiration.ms`.
    pub fn expire_producers(&mut self, now_ms: i64) {
        self.producers.expire(now_ms, self.config.producer_id_expiration_ms);
    }

    /// Tells how far the log is replicated, so that transactions that ended below it are forgotten.
    pub fn advance_high_watermark(&mut self, high_watermark: Offset) {
        self.producers.advance_high_watermark(high_watermark);
    }

    /// How far a read_committed reader may go.
    pub fn last_stable_offset(&self, high_watermark: Offset) -> Offset {
        self.producers
            .first_unstable_offset(high_watermark)
            .map_or(high_watermark, |unstable| unstable.min(high_watermark))
    }

    /// Finishes and syncs all files, writes the producer snapshot: after this the log may be called clean. It must not
    /// be used any more.
    ///
    /// # Errors
    /// The disk failed: the log is not clean.
    pub fn close(&mut self) -> Result<(), StorageError> {
        self.check_online()?;
        let disk = self.disk.clone();
        self.active_mut().finish_indexes(&*disk)?;
        if self.active().has_reserved() {
            self.active_mut().release(&*disk)?;
        }
        let end = self.log_end_offset;
        let unsynced = self.segments.iter().any(|s| s.unsynced || s.unsynced_indexes().next().is_some());
        if self.closed_at == Some(end) && !unsynced && !self.flushing.is_due() {
            return Ok(());
        }
        // An empty log says as much as its snapshot would.
        if self.size() > 0 || !self.producers.is_empty() {
            let file = producer_snapshot::write_unsynced(&*disk, &self.dir, end, &self.producers)?;
            self.flushing.names_changed();
            // One without producers may be lost: whatever is read in its place comes to the same.
            if !self.producers.is_empty() {
                self.flushing.also_sync(file);
            }
        }
        let bases: Vec<Offset> = self.segments.iter().map(|s| s.base_offset).collect();
        producer_snapshot::retain(&*disk, &self.dir, |at| at == end || bases.binary_search(&at).is_ok())?;
        if self.flushing.forget_running() {
            // Whether its syncs succeed is not known here: they are made again.
            let from = self.segment_index(self.flushing.flushed());
            for segment in &mut self.segments[from..] {
                segment.unsynced = true;
                segment.set_indexes_unsynced(true);
            }
        }
        if let Some(work) = self.flush_everything()? {
            work.run()?;
        }
        self.flushing.set_flushed(end);
        Ok(())
    }

    fn active(&self) -> &Segment {
        // Not empty: made so by recovery, kept so by roll, truncation and retention.
        &self.segments[self.segments.len() - 1]
    }

    fn active_mut(&mut self) -> &mut Segment {
        let last = self.segments.len() - 1;
        &mut self.segments[last]
    }

    /// The index of the segment that holds `offset`, or would.
    fn segment_index(&self, offset: Offset) -> usize {
        self.segments.partition_point(|s| s.base_offset <= offset).saturating_sub(1)
    }

    /// Where the segment ends: the next one's base, or the log's end.
    fn segment_end(&self, index: usize) -> Offset {
        self.segments.get(index + 1).map_or(self.log_end_offset, |s| s.base_offset)
    }

    /// Begins a new active segment at the log's end.
    pub fn roll(&mut self, now_ms: i64) -> Result<(), StorageError> {
        self.check_online()?;
        self.roll_at(self.log_end_offset, now_ms)
    }

    fn roll_at(&mut self, base_offset: Offset, now_ms: i64) -> Result<(), StorageError> {
        if self.active().size == 0 && self.active().base_offset == base_offset {
            return Ok(());
        }
        let disk = self.disk.clone();
        self.active_mut().finish_indexes(&*disk)?;
        if !self.active().has_used_reserved() {
            self.active_mut().release(&*disk)?;
        }
        // In a compacted log gaps between segments are legal, so recovery could not see that the end of a rolled
        // segment was lost while the next one stayed. It is therefore synced before there is a next one.
        if self.config.cleanup_policy.compact {
            let active = self.active();
            active.file(&*disk)?.sync().map_err(StorageError::of("sync", active.path()))?;
        }
        let file = producer_snapshot::write_unsynced(&*disk, &self.dir, base_offset, &self.producers)?;
        self.flushing.also_sync(file);
        let segment = Segment::create(&*disk, &self.dir, base_offset, now_ms)?;
        self.flushing.names_changed();
        self.segments.push(segment);
        self.tail.clear();
        Ok(())
    }
}
