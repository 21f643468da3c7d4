//! One partition on a real disk: appends, and finding and reading what was appended. What is measured is the page cache
//! and what we do before and behind it; nothing is flushed.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ottla_log::{AppendOrigin, FileDisk, Log, LogConfig, LogOpening};
use ottla_records::batch::BatchView;
use ottla_records::builder::{BatchBuilder, BatchFields};
use ottla_records::{Codec, HEADER_LEN};
use tempfile::TempDir;

const NOW_MS: i64 = 1_700_000_000_000;

/// Bytes that a log may hold before a new one is begun: what is measured is no disk that is full.
const LOG_BYTES: u64 = 64 << 20;

/// A log, and the batch that is appended to it.
struct Appending {
    log: Log,
    batch: Vec<u8>,
    _folder: TempDir,
}

impl Appending {
    /// With batches of about `batch_bytes` bytes, in records of at most 1 KiB.
    fn new(batch_bytes: usize) -> Appending {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let opening = LogOpening {
            dir: folder.path().join("orders-0"),
            config: Arc::new(LogConfig::default()),
            recovery_point: 0,
            log_start_offset: 0,
            clean: true,
            now_ms: NOW_MS,
        };
        let (log, _) = Log::open(Arc::new(FileDisk), opening).expect("a log can be made");
        let mut builder = BatchBuilder::new(BatchFields::new(0, Codec::None));
        let value = vec![b'x'; RECORD_BYTES.min(batch_bytes - HEADER_LEN) - 9];
        while builder.is_empty() || builder.len() + RECORD_BYTES <= batch_bytes {
            builder.append(NOW_MS, None, Some(&value), &[]);
        }
        Appending { log, batch: builder.finish().expect("memory is there"), _folder: folder }
    }

    /// The offset is written first: the checksum does not cover it.
    fn append(&mut self) {
        self.batch[..8].copy_from_slice(&self.log.log_end_offset().to_be_bytes());
        let parts = BatchView::parse(&self.batch).ok().and_then(|batch| batch.parts()).expect("a batch was made");
        self.log.append(&parts, AppendOrigin::Client, NOW_MS).expect("the disk takes it");
    }
}

const RECORD_BYTES: usize = 1 << 10;

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    for (name, bytes) in [("64k", 64 << 10), ("1k", 1 << 10)] {
        let mut appending = Appending::new(bytes);
        group.throughput(Throughput::Bytes(appending.batch.len() as u64));
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    if appending.log.size() > LOG_BYTES {
                        appending = Appending::new(bytes);
                    }
                    let begun = Instant::now();
                    appending.append();
                    spent += begun.elapsed();
                }
                spent
            })
        });
    }
}

/// Bytes that a fetch asks for of a partition, as consumers do by default.
const FETCH_BYTES: u32 = 1 << 20;

fn read(c: &mut Criterion) {
    let mut appending = Appending::new(64 << 10);
    while appending.log.size() < LOG_BYTES {
        appending.append();
    }
    let mut log = appending.log;
    let end = log.log_end_offset();
    let mut find = |offset| log.read(offset, FETCH_BYTES, end, true).expect("the offset is there");
    let mut group = c.benchmark_group("read");

    // One consumer on its way through the log.
    let mut next = 0;
    group.bench_function("find-next", |b| {
        b.iter(|| {
            next = match find(black_box(next)) {
                found if found.next_offset < end => found.next_offset,
                _ => 0,
            }
        })
    });
    // Consumers that come from somewhere: an offset that only the index knows.
    let mut any: i64 = 0;
    group.bench_function("find-any", |b| {
        b.iter(|| {
            any = (any + 7919) % end;
            find(black_box(any))
        })
    });
    group.throughput(Throughput::Bytes(FETCH_BYTES.into()));
    group.bench_function("1m", |b| {
        b.iter(|| {
            any = (any + 7919) % (end / 2);
            let range = find(black_box(any)).range.expect("there is more");
            range.read().expect("the file can be read")
        })
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = append, read
}
criterion_main!(benches);
