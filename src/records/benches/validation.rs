//! What a batch of 64 KiB costs a leader: checks, conversion, checksum. Bytes are those that came in.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ottla_records::batch::{BatchView, Magic, TimestampType};
use ottla_records::builder::{BatchBuilder, BatchFields};
use ottla_records::convert::down_convert;
use ottla_records::message_set::encode_set;
use ottla_records::record::{Headers, Record};
use ottla_records::validate::{CompressionType, Origin, Rules, validate};
use ottla_records::{Codec, HEADER_LEN};

const BATCH_BYTES: usize = 64 << 10;
const NOW_MS: i64 = 1_700_000_000_000;
const LIMIT: usize = 1 << 20;

fn rules(check_records: bool) -> Rules {
    Rules {
        compression_type: CompressionType::Producer,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        max_message_bytes: LIMIT,
        is_compacted: false,
        check_records,
    }
}

/// Words and numbers, of which each codec makes something.
fn text() -> Vec<u8> {
    let word = |number: usize| {
        format!("order={:05} article={:04} ", number.wrapping_mul(2_654_435_761) % 100_000, number % 977)
    };
    (0..BATCH_BYTES / 8).flat_map(|number| word(number).into_bytes()).collect()
}

/// Records of `value_bytes` bytes each, as many as fill a batch.
fn records(text: &[u8], value_bytes: usize) -> Vec<Record<'_>> {
    let record = |(offset, value)| Record {
        offset,
        timestamp: NOW_MS,
        key: None,
        value: Some(value),
        headers: Headers::default(),
    };
    let count = (BATCH_BYTES - HEADER_LEN) / (value_bytes + 9);
    (0..).zip(text.chunks_exact(value_bytes).take(count)).map(record).collect()
}

fn batch(value_bytes: usize, codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchFields::new(0, codec));
    records(&text(), value_bytes).iter().for_each(|record| builder.append_record(record));
    builder.finish().expect("memory is there")
}

fn set(value_bytes: usize, magic: Magic) -> Vec<u8> {
    let mut set = Vec::new();
    let text = text();
    let records = records(&text, value_bytes);
    encode_set(&mut set, magic, Codec::None, TimestampType::CreateTime, &records).expect("no codec can fail");
    set
}

const SIZES: [(&str, usize); 2] = [("100", 100), ("1k", 1024)];

fn validation(c: &mut Criterion) {
    let mut inputs = Vec::new();
    for (size, bytes) in SIZES {
        inputs.push((format!("none-{size}"), 7, batch(bytes, Codec::None)));
    }
    for (name, codec) in [("lz4", Codec::Lz4), ("zstd", Codec::Zstd), ("gzip", Codec::Gzip)] {
        inputs.push((format!("{name}-1k"), 7, batch(1024, codec)));
    }
    for (name, check_records) in [("validate", false), ("validate-records", true)] {
        let rules = rules(check_records);
        let mut group = c.benchmark_group(name);
        for (input, produce_version, bytes) in &inputs {
            let origin = Origin::Client { produce_version: *produce_version };
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            group.bench_function(input, |b| b.iter(|| validate(black_box(bytes), origin, &rules, NOW_MS).unwrap()));
        }
    }
}

fn conversion(c: &mut Criterion) {
    let rules = rules(false);
    let mut group = c.benchmark_group("convert");
    for (size, bytes) in SIZES {
        for (name, magic, produce_version) in [("v0", Magic::V0, 1), ("v1", Magic::V1, 2)] {
            let old = set(bytes, magic);
            let origin = Origin::Client { produce_version };
            group.throughput(Throughput::Bytes(old.len() as u64));
            group.bench_function(format!("up-from-{name}-{size}"), |b| {
                b.iter(|| validate(black_box(&old), origin, &rules, NOW_MS).unwrap())
            });
            let new = batch(bytes, Codec::None);
            group.throughput(Throughput::Bytes(new.len() as u64));
            group.bench_function(format!("down-to-{name}-{size}"), |b| {
                b.iter(|| down_convert(black_box(&new), magic, 0, LIMIT, LIMIT).unwrap())
            });
        }
    }
}

fn checksum(c: &mut Criterion) {
    let mut group = c.benchmark_group("crc");
    for (name, bytes) in [("v2", batch(1024, Codec::None)), ("v1", set(BATCH_BYTES - 100, Magic::V1))] {
        let view = BatchView::parse(&bytes).expect("a batch was made");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |b| b.iter(|| black_box(&view).check_crc().unwrap()));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = validation, conversion, checksum
}
criterion_main!(benches);
