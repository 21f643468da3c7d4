//! Opening a partition's folder (`LogLoader.scala`, `LogSegment.recover`).
//!
//! After a clean stop the files are believed and only the end of the last segment is looked at. After any other stop
//! every segment from the one that holds the last flushed record on is read once, in large reads, and everything derived is
//! made anew: a batch counts if it is whole, its checksum fits and its offsets go on where the last one ended. At the
//! first that does not, the log ends, and what follows is removed, later segments too: after a power cut a later write
//! may have survived an earlier one, but nothing behind a hole was ever acknowledged.

mod leftovers;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_records::BatchHeader;
use ottla_types::{LeaderEpoch, Offset};

use crate::config::LogConfig;
use crate::control::end_transaction_marker;
use crate::disk::{Disk, DiskRef, FileRef, StorageError};
use crate::epoch_cache::{EPOCH_CHECKPOINT_FILE, EpochCache};
use crate::log::{Durability, Log, LogParts};
use crate::producer_snapshot;
use crate::producer_state::ProducerStates;
use crate::scan::{BatchScan, ScanError};
use crate::segment::{LOG_SUFFIX, Segment, parse_file_name, segment_path};

/// What [`Log::open`] needs to know beside the files.
#[derive(Debug, Clone)]
pub struct LogOpening {
    /// The partition's folder; made if it is not there. If it is, its name is durable.
    pub dir: PathBuf,
    /// The topic's configuration.
    pub config: Arc<LogConfig>,
    /// From the folder's checkpoint, 0 if it has none: below it the data was flushed.
    pub recovery_point: Offset,
    /// From the folder's checkpoint, 0 if it has none.
    pub log_start_offset: Offset,
    /// Whether the folder was closed cleanly.
    pub clean: bool,
    /// Wall clock.
    pub now_ms: i64,
}

/// What was removed because it could not be believed: worth a WARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The file that was cut.
    pub path: PathBuf,
    /// Where.
    pub position: u64,
    /// Bytes removed, those of later segments included.
    pub bytes: u64,
    /// Later segments removed.
    pub segments: usize,
    /// Where the log ends now.
    pub log_end_offset: Offset,
    /// What was wrong.
    pub reason: String,
    /// The damage is in what had been flushed: not a torn write but a damaged disk, worth an ERROR.
    pub below_recovery_point: bool,
}

/// What opening a log took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segments that were read through.
    pub recovered_segments: usize,
    /// Bytes that were read through.
    pub recovered_bytes: u64,
    /// Segments whose index files were missing or damaged.
    pub rebuilt_indexes: usize,
    /// What was removed.
    pub cut: Option<Cut>,
    /// The log ended below its start and was emptied.
    pub emptied: bool,
    /// The log ends below the recovery point, though all up to there had been flushed: the disk lost it. Worth an ERROR.
    pub ends_below_recovery_point: bool,
}

impl Log {
    /// Loads a partition's folder, or begins a new one.
    ///
    /// # Errors
    /// The disk failed, or a file of flushed batches is damaged where no recovery was due: the message names it.
    pub fn open(disk: DiskRef, opening: LogOpening) -> Result<(Log, RecoveryReport), StorageError> {
        let mut loader = Loader::new(disk, opening)?;
        loader.load_segments()?;
        loader.finish()
    }
}

/// The largest offset distance that an index can express.
const MAX_SPAN: i64 = i32::MAX as i64;

struct Loader {
    disk: DiskRef,
    opening: LogOpening,
    epochs: EpochCache,
    segments: Vec<Segment>,
    /// Known once a segment was recovered; otherwise loaded at the end.
    producers: Option<ProducerStates>,
    log_end_offset: Offset,
    /// Producer snapshots that the next flush makes durable.
    snapshots: Vec<FileRef>,
    epochs_changed: bool,
    folder_was_made: bool,
    report: RecoveryReport,
}

impl Loader {
    fn new(disk: DiskRef, opening: LogOpening) -> Result<Loader, StorageError> {
        // The name of a new folder becomes durable with the first flush; that of others has its log dir seen to.
        let folder_was_made = !disk.exists(&opening.dir);
        match folder_was_made {
            true => disk.create_dir(&opening.dir)?,
            false => leftovers::clear(&*disk, &opening.dir)?,
        }
        let epochs = EpochCache::open(disk.clone(), opening.dir.join(EPOCH_CHECKPOINT_FILE))?;
        let report = RecoveryReport::default();
        Ok(Loader {
            disk,
            opening,
            epochs,
            segments: Vec::new(),
            producers: None,
            log_end_offset: 0,
            snapshots: Vec::new(),
            epochs_changed: false,
            folder_was_made,
            report,
        })
    }

    fn load_segments(&mut self) -> Result<(), StorageError> {
        let names = self.disk.list(&self.opening.dir)?;
        let parsed = names.iter().filter_map(|e| parse_file_name(&e.name));
        let bases: Vec<Offset> = parsed.filter(|(_, suffix)| *suffix == LOG_SUFFIX).map(|(base, _)| base).collect();
        // The segment that holds the last flushed record, and all behind it. If the recovery point is where a segment
        // begins, the one before may have been rolled after its last flush, which left its indexes out.
        let first_unclean = match self.opening.clean {
            true => bases.len(),
            false => bases.partition_point(|base| *base < self.opening.recovery_point).saturating_sub(1),
        };
        for (index, base) in bases.iter().enumerate() {
            let last = index + 1 == bases.len();
            let sound = match index >= first_unclean {
                true => self.recover(*base)?,
                false => self.load(*base, last)?,
            };
            if !sound {
                self.remove_behind(&bases[index + 1..])?;
                break;
            }
        }
        Ok(())
    }

    /// Loads a segment that is believed; false if it is the last one and had to be cut.
    fn load(&mut self, base: Offset, last: bool) -> Result<bool, StorageError> {
        let (dir, now_ms) = (&self.opening.dir, self.opening.now_ms);
        let interval = self.opening.config.index_interval_bytes;
        let mut segment = match Segment::open(&*self.disk, dir, base, now_ms)? {
            Some(segment) => segment,
            None => match self.rebuild_indexes(base)? {
                Ok(segment) => segment,
                Err(_) if last => return self.recover(base),
                // Flushed batches are damaged: to cut here would throw away the good ones behind.
                Err(e) => return Err(e.into_storage(&segment_path(&self.opening.dir, base, LOG_SUFFIX))),
            },
        };
        if last {
            match segment.read_end(&*self.disk, interval)? {
                Ok(end) => self.log_end_offset = end,
                Err(_) => return self.recover(base),
            }
        }
        self.segments.push(segment);
        Ok(true)
    }

    fn rebuild_indexes(&mut self, base: Offset) -> Result<Result<Segment, ScanError>, StorageError> {
        let (disk, opening) = (&*self.disk, &self.opening);
        let mut segment = Segment::with_empty_indexes(disk, &opening.dir, base, opening.now_ms)?;
        let file = segment.file(disk)?.clone();
        // Aborted transactions are found only with the producers as they were at the segment's start.
        let mut producers = load_producers(disk, &opening.dir, &self.segments, base, opening.clean)?;
        let mut scan = BatchScan::new(&*file, 0, segment.size);
        loop {
            match scan.next() {
                Ok(None) => break,
                Ok(Some((position, batch))) => {
                    let marker = end_transaction_marker(&batch);
                    let header = *batch.header();
                    segment.index_batch(disk, position, &header, opening.config.index_interval_bytes)?;
                    if let Some(completed) = producers.record(&header, marker).filter(|c| c.aborted) {
                        segment.index_aborted(disk, &(&completed).into())?;
                    }
                }
                Err(e) => return Ok(Err(e)),
            }
        }
        segment.finish_indexes(disk)?;
        segment.sync_indexes(disk)?;
        self.report.rebuilt_indexes += 1;
        Ok(Ok(segment))
    }

    /// Reads a segment through and makes its indexes anew; false if it had to be cut.
    fn recover(&mut self, base: Offset) -> Result<bool, StorageError> {
        let disk = self.disk.clone();
        let producers = match self.producers.take() {
            Some(producers) => producers,
            None => {
                let dir = &self.opening.dir;
                self.log_end_offset = base;
                load_producers(&*disk, dir, &self.segments, base, self.opening.clean)?
            }
        };
        let producers = self.producers.insert(producers);
        // A hole before this segment: the end of the one before did not survive. Compaction leaves holes too; there the
        // end of a segment is synced before the next one begins.
        let path = segment_path(&self.opening.dir, base, LOG_SUFFIX);
        let hole = base > self.log_end_offset && !self.opening.config.cleanup_policy.compact;
        if base < self.log_end_offset || hole && !self.segments.is_empty() {
            let bytes = disk.open(&path)?.len().map_err(StorageError::of("measure", &path))?;
            let reason = format!("the segment begins at {base}, the log before it ends at {}", self.log_end_offset);
            self.report.cut = Some(Cut {
                path,
                position: 0,
                bytes,
                segments: 1,
                log_end_offset: self.log_end_offset,
                reason,
                below_recovery_point: self.log_end_offset < self.opening.recovery_point,
            });
            remove_segment(&*disk, &self.opening.dir, base)?;
            return Ok(false);
        }
        // The snapshot that rolling wrote may be lost. Retention and truncation rely on one at each segment's base: what
        // it was made of goes with the segments before.
        if base > 0 {
            self.snapshots.push(producer_snapshot::write_unsynced(&*disk, &self.opening.dir, base, producers)?);
        }
        let mut segment = Segment::with_empty_indexes(&*disk, &self.opening.dir, base, self.opening.now_ms)?;
        segment.unsynced = true;
        let file = segment.file(&*disk)?.clone();
        let mut scan = BatchScan::new(&*file, 0, segment.size);
        let (mut next_offset, mut end) = (base, 0);
        let fault = loop {
            let (position, batch) = match scan.next() {
                Ok(None) => break None,
                Ok(Some(found)) => found,
                Err(ScanError::Damaged(reason)) => break Some(reason),
                Err(e) => return Err(e.into_storage(&path)),
            };
            if let Err(e) = batch.check_crc() {
                break Some(e.moved(position as usize).to_string());
            }
            if let Err(reason) = follows(&batch, base, next_offset) {
                break Some(format!("position {position}: {reason}"));
            }
            let header = *batch.header();
            next_offset = header.next_offset();
            segment.index_batch(&*disk, position, &header, self.opening.config.index_interval_bytes)?;
            if header.magic == ottla_records::Magic::V2 {
                let newer = self.epochs.latest().is_none_or(|l| header.leader_epoch > l.epoch.0);
                if newer {
                    let epoch = LeaderEpoch(header.leader_epoch);
                    self.epochs_changed |= self.epochs.insert(epoch, header.base_offset);
                }
                if let Some(completed) = producers.record(&header, end_transaction_marker(&batch)).filter(|c| c.aborted)
                {
                    segment.index_aborted(&*disk, &(&completed).into())?;
                }
            }
            end = position + header.size() as u64;
        };
        self.report.recovered_segments += 1;
        self.report.recovered_bytes += end;
        self.log_end_offset = next_offset;
        if let Some(reason) = fault.clone() {
            self.report.cut = Some(Cut {
                path,
                position: end,
                bytes: segment.size - end,
                segments: 0,
                log_end_offset: next_offset,
                reason,
                below_recovery_point: next_offset < self.opening.recovery_point,
            });
            file.set_len(end).map_err(StorageError::of("truncate", segment.path()))?;
            file.sync().map_err(StorageError::of("sync", segment.path()))?;
            segment.size = end;
        }
        segment.finish_indexes(&*disk)?;
        if fault.is_none() && next_offset < self.opening.recovery_point {
            // The checkpoint is above the end: it will go on saying of this segment that it need not be read again, once
            // there is a next one. That must be so of the files as they are now.
            file.sync().map_err(StorageError::of("sync", segment.path()))?;
            segment.sync_indexes(&*disk)?;
        }
        self.segments.push(segment);
        Ok(fault.is_none())
    }

    /// Removes the segments behind a cut, the newest first.
    fn remove_behind(&mut self, bases: &[Offset]) -> Result<(), StorageError> {
        for base in bases.iter().rev() {
            let path = segment_path(&self.opening.dir, *base, LOG_SUFFIX);
            let bytes = self.disk.open(&path)?.len().map_err(StorageError::of("measure", &path))?;
            if let Some(cut) = &mut self.report.cut {
                cut.bytes += bytes;
                cut.segments += 1;
            }
            remove_segment(&*self.disk, &self.opening.dir, *base)?;
        }
        self.disk.sync_dir(&self.opening.dir)
    }

    fn finish(mut self) -> Result<(Log, RecoveryReport), StorageError> {
        let disk = self.disk.clone();
        let LogOpening { dir, config, log_start_offset, clean, now_ms, .. } = self.opening.clone();
        let start = log_start_offset.max(self.segments.first().map_or(0, |s| s.base_offset));
        self.report.ends_below_recovery_point = self.log_end_offset < self.opening.recovery_point;
        if !self.segments.is_empty() && self.log_end_offset < start {
            for segment in self.segments.drain(..).rev() {
                segment.remove(&*disk)?;
            }
            disk.sync_dir(&dir)?;
            self.report.emptied = true;
            self.producers = None;
        }
        let began_empty = self.segments.is_empty();
        if began_empty {
            self.segments.push(Segment::create(&*disk, &dir, start, now_ms)?);
            self.log_end_offset = start;
        }
        let end = self.log_end_offset;
        // One between segments may be of a history that a crash undid, come back because its removal was undone too.
        let recovered = self.report.recovered_segments > 0;
        let is_base = |at| self.segments.binary_search_by_key(&at, |s| s.base_offset).is_ok();
        producer_snapshot::retain(&*disk, &dir, |at| at <= end && (!recovered || is_base(at)))?;
        let mut producers = match self.producers.take() {
            Some(producers) => producers,
            None => load_producers(&*disk, &dir, &self.segments, end, clean)?,
        };
        producers.expire(now_ms, config.producer_id_expiration_ms);
        if self.epochs_changed {
            self.epochs.write()?;
        }
        self.epochs.truncate_from_end(end)?;
        self.epochs.truncate_from_start(start)?;
        let believed = clean && !recovered && !began_empty && self.report.rebuilt_indexes == 0;
        let flushed = match clean && !recovered {
            true => end,
            false => self.opening.recovery_point.clamp(start.min(end), end),
        };
        let durability = Durability {
            flushed,
            snapshots: self.snapshots,
            names_changed: !believed,
            // A recovery point above 0 is that of a flush, which made them durable.
            small_files: self.folder_was_made || !clean && self.opening.recovery_point == 0,
            folder_is_new: self.folder_was_made,
        };
        let snapshot = dir.join(producer_snapshot::file_name(end));
        let is_empty = self.segments.iter().all(|s| s.size == 0) && producers.is_empty();
        let closed = believed && (is_empty || disk.exists(&snapshot));
        let log = Log::assemble(LogParts {
            disk,
            dir,
            config,
            segments: self.segments,
            log_start_offset: start,
            log_end_offset: end,
            durability,
            closed,
            epochs: self.epochs,
            producers,
        });
        Ok((log, self.report))
    }
}

/// Whether a batch may stand behind what ends at `next_offset` in the segment of `base`.
fn follows(header: &BatchHeader, base: Offset, next_offset: Offset) -> Result<(), String> {
    let (first, last) = (header.base_offset, header.last_offset());
    if first < next_offset || last < first {
        return Err(format!("offsets {first} to {last} do not follow {next_offset}"));
    }
    if last - base > MAX_SPAN {
        return Err(format!("offset {last} is too far from the segment's base {base}"));
    }
    Ok(())
}

fn remove_segment(disk: &dyn Disk, dir: &Path, base: Offset) -> Result<(), StorageError> {
    for suffix in crate::segment::SUFFIXES {
        disk.remove(&segment_path(dir, base, suffix))?;
    }
    Ok(())
}

/// The producers as they are at `end`: the newest snapshot at or below it, and the batches from there on. A clean log
/// without any snapshot is one of before 0.11, which knew no producers.
pub(crate) fn load_producers(
    disk: &dyn Disk,
    dir: &Path,
    segments: &[Segment],
    end: Offset,
    clean: bool,
) -> Result<ProducerStates, StorageError> {
    let first = segments.first().map_or(end, |s| s.base_offset);
    let (from, mut producers) = match producer_snapshot::newest(disk, dir, end)? {
        // Between an older one and the first segment something is missing: rather nothing than sequences long passed,
        // which would refuse what their producers send next.
        Some(found) if found.0 >= first => found,
        Some(_) => (first, ProducerStates::default()),
        None if clean => return Ok(ProducerStates::default()),
        None => (first, ProducerStates::default()),
    };
    let begin = segments.partition_point(|s| s.base_offset <= from).saturating_sub(1);
    for segment in segments.iter().skip(begin).take_while(|s| s.base_offset < end && from < end) {
        let start = match segment.base_offset < from {
            true => segment.find(disk, from)?.map_or(segment.size, |(position, _)| position),
            false => 0,
        };
        let mut scan = BatchScan::new(&**segment.file(disk)?, start, segment.size);
        while let Some((_, batch)) = scan.next().map_err(|e| e.into_storage(segment.path()))? {
            if batch.base_offset >= end {
                break;
            }
            producers.record(batch.header(), end_transaction_marker(&batch));
        }
    }
    Ok(producers)
}
