//! The same log as a list of batches, and random lives of both: appends, flushes, power cuts, full disks, truncation,
//! retention, reads. What must hold after each step is in [`Life::check`] and [`Life::reopened`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_records::batch::BatchParts;
use ottla_records::builder::{BatchBuilder, BatchFields};
use ottla_records::{BatchView, Codec, batches};
use ottla_types::Offset;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::config::{CleanupPolicy, LogConfig};
use crate::disk::{Disk, DiskRef, MemoryDisk};
use crate::log::{Appended, Log};
use crate::producer_state::AppendOrigin;
use crate::recovery::LogOpening;

const NOW_MS: i64 = 1_000_000;
const DIR: &str = "/logs/t-0";

#[derive(Debug, Clone)]
struct Batch {
    base_offset: Offset,
    last_offset: Offset,
    bytes: Vec<u8>,
    producer: Option<(i64, i32)>,
}

struct Life {
    seed: u64,
    random: StdRng,
    disk: MemoryDisk,
    log: Log,
    /// Every batch ever appended and not truncated; retention takes none away.
    batches: Vec<Batch>,
    /// What [`Log::flushed_offset`] has promised.
    promised: Offset,
    /// What the checkpoints hold.
    recovery_point: Offset,
    log_start: Offset,
    high_watermark: Offset,
    retains: bool,
    steps: Vec<String>,
}

/// Every fifth life is of a compacted topic, whose recovery may not take a gap between segments for a loss.
fn config(seed: u64) -> Arc<LogConfig> {
    let compact = seed.is_multiple_of(5);
    Arc::new(LogConfig {
        cleanup_policy: CleanupPolicy { compact, delete: !compact },
        segment_bytes: 700,
        index_interval_bytes: 100,
        retention_ms: None,
        retention_bytes: Some(1500),
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    })
}

fn opening(seed: u64, recovery_point: Offset, log_start_offset: Offset, clean: bool) -> LogOpening {
    LogOpening {
        dir: PathBuf::from(DIR),
        config: config(seed),
        recovery_point,
        log_start_offset,
        clean,
        now_ms: NOW_MS,
    }
}

fn parts(batch: &[u8]) -> BatchParts<'_> {
    BatchView::parse(batch).unwrap().parts().unwrap()
}

impl Life {
    fn new(seed: u64) -> Life {
        let disk = MemoryDisk::new();
        disk.create_dir(Path::new("/logs")).unwrap();
        let shared: DiskRef = Arc::new(disk.clone());
        let (log, _) = Log::open(shared, opening(seed, 0, 0, false)).unwrap();
        Life {
            seed,
            random: StdRng::seed_from_u64(seed),
            disk,
            log,
            batches: Vec::new(),
            promised: 0,
            recovery_point: 0,
            log_start: 0,
            high_watermark: 0,
            retains: seed.is_multiple_of(2),
            steps: Vec::new(),
        }
    }

    fn end(&self) -> Offset {
        self.batches.last().map_or(0, |b| b.last_offset + 1)
    }

    fn note(&mut self, step: impl Into<String>) {
        self.steps.push(step.into());
    }

    fn below(&mut self, bound: i64) -> i64 {
        if bound <= 0 { 0 } else { self.random.random_range(0..bound) }
    }

    fn next_sequence(&self, producer: i64) -> i32 {
        let mut own = self.batches.iter().rev().filter_map(|b| b.producer).filter(|(id, _)| *id == producer);
        own.next().map_or(0, |(_, last)| last + 1)
    }

    fn new_batch(&mut self) -> Batch {
        let base_offset = self.end();
        let producer = Some(self.below(4)).filter(|p| *p > 0);
        let records = 1 + self.below(3);
        let mut fields = BatchFields { leader_epoch: 0, ..BatchFields::new(base_offset, Codec::None) };
        if let Some(id) = producer {
            let base_sequence = self.next_sequence(id);
            fields = BatchFields { producer_id: id, producer_epoch: 0, base_sequence, ..fields };
        }
        let mut builder = BatchBuilder::new(fields);
        for _ in 0..records {
            let value = vec![b'v'; self.below(90) as usize];
            builder.append(NOW_MS + base_offset, None, Some(&value), &[]);
        }
        let last_offset = base_offset + records - 1;
        let producer = producer.map(|id| (id, fields.base_sequence + records as i32 - 1));
        Batch { base_offset, last_offset, bytes: builder.finish().unwrap(), producer }
    }

    fn append(&mut self) {
        let batch = self.new_batch();
        self.note(format!("append {}..={}", batch.base_offset, batch.last_offset));
        let appended = self.log.append(&parts(&batch.bytes), AppendOrigin::Client, NOW_MS).unwrap();
        let Appended::Written(info) = appended else { panic!("{appended:?}") };
        assert_eq!((info.first_offset, info.last_offset), (batch.base_offset, batch.last_offset));
        self.batches.push(batch);
    }

    fn append_again(&mut self) {
        let Some(last) = self.batches.last().filter(|b| b.producer.is_some()).cloned() else { return };
        self.note("append the last batch again");
        let mut again = last.bytes.clone();
        again[..8].copy_from_slice(&self.end().to_be_bytes());
        match self.log.append(&parts(&again), AppendOrigin::Client, NOW_MS).unwrap() {
            Appended::Duplicate(d) => {
                assert_eq!((d.first_offset, d.last_offset), (last.base_offset, last.last_offset));
            }
            Appended::Written(info) => panic!("appended twice: {info:?}"),
        }
    }

    fn flush(&mut self) {
        let Some(work) = self.log.flush_begin().unwrap() else { return };
        self.note(format!("flush begins up to {}", work.up_to));
        let syncs_before = self.below(2) == 0;
        if syncs_before {
            work.run().unwrap();
        }
        for _ in 0..self.below(4) {
            self.append();
            assert!(self.log.flush_begin().unwrap().is_none(), "two flushes at once");
        }
        let truncated = self.below(5) == 0;
        if truncated {
            self.truncate();
            self.append();
        }
        if !syncs_before {
            work.run().unwrap();
        }
        self.promised = self.log.flush_done();
        self.note(format!("flushed to {}", self.promised));
        assert!(self.promised <= self.end());
        assert!(truncated || self.promised >= work.up_to);
    }

    fn checkpoint(&mut self) {
        self.recovery_point = self.log.recovery_point();
        self.log_start = self.log.log_start_offset();
        self.note(format!("checkpoint {}", self.recovery_point));
    }

    fn truncate(&mut self) {
        let start = self.log.log_start_offset();
        let to = self.end() - self.below((self.end() - start).min(12) + 1);
        self.note(format!("truncate to {to}"));
        // As the broker does: the checkpoint must not stay above the end.
        self.recovery_point = self.recovery_point.min(to);
        self.log.truncate_to(to, NOW_MS).unwrap();
        self.batches.retain(|b| b.last_offset < to);
        assert_eq!(self.log.log_end_offset(), self.end().max(start));
        self.promised = self.promised.min(self.end());
        self.high_watermark = self.high_watermark.min(self.end());
        self.recovery_point = self.recovery_point.min(self.end());
    }

    fn retention(&mut self) {
        self.high_watermark = self.high_watermark.max(self.end() - self.below(6));
        let report = self.log.delete_old_segments(self.high_watermark, NOW_MS).unwrap();
        self.note(format!("retention took {} up to {}", report.segments, self.log.log_start_offset()));
        assert!(self.log.log_start_offset() <= self.high_watermark);
        for deletion in self.log.take_deletions(NOW_MS) {
            deletion.run(&self.disk).unwrap();
        }
    }

    fn crash(&mut self) {
        let seed = self.random.random();
        self.note(format!("crash {seed}"));
        self.disk.crash(seed);
        self.reopened(false);
    }

    fn full_disk(&mut self) {
        let room = self.below(200) as u64;
        self.note(format!("room for {room}"));
        self.disk.set_room(Some(room));
        let batch = self.new_batch();
        match self.log.append(&parts(&batch.bytes), AppendOrigin::Client, NOW_MS) {
            Ok(_) => self.batches.push(batch),
            Err(_) => {
                assert!(self.log.is_offline());
                assert!(self.log.append(&parts(&batch.bytes), AppendOrigin::Client, NOW_MS).is_err());
                assert!(self.log.close().is_err(), "an offline log is not clean");
                self.disk.set_room(None);
                let end = self.end();
                self.reopened(false);
                assert_eq!(self.log.log_end_offset(), end, "a failed append left something");
            }
        }
        self.disk.set_room(None);
    }

    fn stop_and_start(&mut self) {
        self.note("clean stop");
        self.log.close().unwrap();
        self.promised = self.end();
        self.checkpoint();
        let before = (self.log.log_start_offset(), self.log.log_end_offset());
        // What was closed cleanly survives even the power cut that follows.
        self.disk.crash(self.random.random());
        self.reopened(true);
        assert_eq!((self.log.log_start_offset(), self.log.log_end_offset()), before);
    }

    /// Opens what the disk has kept, and holds it against the model.
    fn reopened(&mut self, clean: bool) {
        let shared: DiskRef = Arc::new(self.disk.clone());
        let (log, report) = Log::open(shared, opening(self.seed, self.recovery_point, self.log_start, clean)).unwrap();
        self.log = log;
        self.note(format!("opened {}..{} {report:?}", self.log.log_start_offset(), self.log.log_end_offset()));
        assert!(!report.ends_below_recovery_point);
        assert!(report.cut.is_none_or(|cut| !clean && !cut.below_recovery_point));
        let end = self.log.log_end_offset();
        assert!(end >= self.promised, "promised {}, ends at {end}", self.promised);
        assert!(end <= self.end());
        self.batches.retain(|b| b.last_offset < end);
        if end > self.log.log_start_offset() {
            assert_eq!(self.end(), end, "the log ends inside a batch");
        }
        self.high_watermark = self.high_watermark.min(end);
        if !self.retains {
            let mut expected: BTreeMap<i64, i32> = BTreeMap::new();
            expected.extend(self.batches.iter().filter_map(|b| b.producer));
            for (id, last) in expected {
                assert_eq!(self.log.producers().last_sequence(id), Some((0, last)), "producer {id}");
            }
        }
    }

    fn read(&mut self) {
        let (start, end) = (self.log.log_start_offset(), self.log.log_end_offset());
        let offset = start + self.below(end - start + 1);
        let bound = start + self.below(end - start + 1);
        let (max_bytes, min_one) = (self.below(900) as u32, self.below(2) == 0);
        self.compare_read(offset, bound, max_bytes, min_one);
    }

    fn compare_read(&mut self, offset: Offset, bound: Offset, max_bytes: u32, min_one: bool) -> Option<Offset> {
        let read = self.log.read(offset, max_bytes, bound, min_one).unwrap();
        let visible = |b: &&Batch| b.last_offset >= offset && b.last_offset < bound;
        let expected: Vec<&Batch> = self.batches.iter().filter(visible).collect();
        let wish = format!("{offset}..{bound}, {max_bytes} bytes, at least one: {min_one}");
        let Some(range) = read.range else {
            let fits = |b: &&&Batch| min_one || b.bytes.len() <= max_bytes as usize;
            assert!(offset >= bound || expected.first().filter(fits).is_none(), "nothing found for {wish}");
            return None;
        };
        let bytes = range.read().unwrap();
        let mut position = 0;
        let mut count = 0;
        for batch in batches(&bytes) {
            let batch = batch.unwrap();
            assert_eq!(batch.bytes(), expected[count].bytes, "{wish}");
            position += batch.size();
            count += 1;
        }
        assert_eq!(position, bytes.len());
        assert!(bytes.len() <= max_bytes as usize || count == 1 && min_one, "{} bytes for {wish}", bytes.len());
        let after = expected[count - 1].last_offset + 1;
        assert!(read.next_offset >= after && expected.get(count).is_none_or(|b| read.next_offset <= b.base_offset));
        // It ends early only for lack of room or at the segment's end.
        if let Some(next) = expected.get(count) {
            let full = bytes.len() + next.bytes.len() > max_bytes as usize;
            assert!(full || self.log.segment_count() > 1 && next.base_offset > read.segment_base_offset, "{wish}");
        }
        Some(read.next_offset)
    }

    /// Everything from start to end, in small and in large reads.
    fn check(&mut self) {
        assert_eq!(self.log.log_end_offset(), self.end().max(self.log.log_start_offset()));
        let end = self.log.log_end_offset();
        for max_bytes in [1, 300, 100_000] {
            let mut offset = self.log.log_start_offset();
            while let Some(next) = self.compare_read(offset, end, max_bytes, true) {
                assert!(next > offset);
                offset = next;
            }
            assert_eq!(offset, end, "a hole, or an end too early");
        }
    }

    fn step(&mut self) {
        match self.below(100) {
            0..45 => self.append(),
            45..50 => self.append_again(),
            50..65 => self.flush(),
            65..70 => self.checkpoint(),
            70..74 => self.log.roll(NOW_MS).unwrap(),
            74..78 => self.truncate(),
            78..82 if self.retains => self.retention(),
            82..86 => self.crash(),
            86..88 => self.full_disk(),
            88..90 => self.stop_and_start(),
            90..92 => self.check(),
            _ => self.read(),
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}: {:#?}", self.seed, self.steps);
        }
    }
}

fn live(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut life = Life::new(seed);
        for _ in 0..150 {
            life.step();
        }
        life.check();
        life.crash();
        life.check();
    }
}

#[test]
fn random_lives_keep_their_promises() {
    live(0..400);
}
