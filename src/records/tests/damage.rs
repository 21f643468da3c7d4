//! Foreign bytes: nothing panics, and nothing grows beyond its limit.

mod golden;

use golden::{log, logs};
use ottla_records::batch::{BatchError, Magic, TimestampType, batches};
use ottla_records::builder::{BatchBuilder, BatchFields};
use ottla_records::compression::{Codec, CompressionError};
use ottla_records::convert::down_convert;
use ottla_records::open::OpenBatch;
use ottla_records::record::{EndTransactionMarker, RecordError};
use ottla_records::validate::{CompressionType, Origin, Rules, ValidationErrorKind, check_replicated, validate};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const LIMIT: usize = 100_000;

fn rules(codec: CompressionType) -> Rules {
    Rules {
        compression_type: codec,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: 1000,
        timestamp_after_max_ms: 1000,
        max_message_bytes: LIMIT,
        is_compacted: true,
        check_records: true,
    }
}

/// Everything that takes foreign bytes, one after another.
fn feed(bytes: &[u8]) {
    for batch in batches(bytes).map_while(Result::ok) {
        let _ = batch.check_crc();
        let _ = (batch.next_offset(), batch.last_sequence(), batch.delete_horizon_ms());
        if let Ok(open) = OpenBatch::open(&batch, LIMIT) {
            let _ = open.check_inner_crc();
            for record in open.records().map_while(Result::ok) {
                assert!(record.headers.iter().count() == record.headers.len());
                let _ = EndTransactionMarker::parse(&record);
            }
        }
    }
    let _ = check_replicated(bytes);
    for magic in [Magic::V0, Magic::V1] {
        let _ = down_convert(bytes, magic, 3, 1000, LIMIT);
    }
    for origin in [Origin::Coordinator, Origin::Client { produce_version: 1 }, Origin::Client { produce_version: 9 }] {
        for codec in [CompressionType::Producer, CompressionType::Codec(Codec::Lz4)] {
            let _ = validate(bytes, origin, &rules(codec), 0);
        }
    }
}

/// Makes the checksum of the first batch fit, so that the damage behind it is reached.
fn seal(bytes: &mut [u8]) {
    let Some(Ok(batch)) = batches(bytes).next() else {
        return;
    };
    let (size, magic) = (batch.size(), batch.magic);
    match magic {
        Magic::V2 => {
            let crc = crc32c::crc32c(&bytes[21..size]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        _ => {
            let crc = crc32fast::hash(&bytes[16..size]);
            bytes[12..16].copy_from_slice(&crc.to_be_bytes());
        }
    }
}

#[test]
fn nothing_panics_on_what_is_cut_off() {
    for version in ["v0", "v1", "v2"] {
        for (_, log) in logs(version) {
            let first = batches(&log).next().unwrap().unwrap().size();
            for length in 0..=first.min(400) {
                feed(&log[..length]);
            }
        }
    }
}

#[test]
fn nothing_panics_on_what_is_changed_at_random() {
    for seed in 0..40 {
        let mut rng = StdRng::seed_from_u64(seed);
        for version in ["v0", "v1", "v2"] {
            for (_, log) in logs(version) {
                let all: Vec<_> = batches(&log).map(Result::unwrap).filter(|batch| batch.size() < 2000).collect();
                let mut bytes = all[rng.random_range(0..all.len())].bytes().to_vec();
                for _ in 0..rng.random_range(1..6) {
                    let at = rng.random_range(0..bytes.len());
                    bytes[at] = match rng.random_range(0..4) {
                        0 => 0xff,
                        1 => 0,
                        2 => bytes[at] ^ (1 << rng.random_range(0..8)),
                        _ => rng.random(),
                    };
                }
                feed(&bytes);
                seal(&mut bytes);
                feed(&bytes);
            }
        }
    }
}

/// 10 MB of nothing in a few hundred bytes (a few hundred thousand with snappy and lz4, which do not shrink it further).
#[test]
fn bombs_are_stopped_at_the_limit() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut builder = BatchBuilder::new(BatchFields::new(0, codec));
        builder.append(0, None, Some(&vec![0; 10_000_000]), &[]);
        let bomb = builder.finish().unwrap();
        assert!(bomb.len() < 500_000, "{codec:?} {}", bomb.len());
        let batch = batches(&bomb).next().unwrap().unwrap();
        assert!(matches!(
            OpenBatch::open(&batch, 1_000_000),
            Err(RecordError::Compression(CompressionError::OverLimit { limit: 1_000_000, .. }))
        ));
        assert!(OpenBatch::open(&batch, 10_100_000).is_ok());
        let client = Origin::Client { produce_version: 9 };
        let refused = |rules| validate(&bomb, client, &rules, 0).unwrap_err().kind;
        // 16 MB may come out, but 10 MB may not be stored.
        let rules = Rules { max_message_bytes: 500_000, ..rules(CompressionType::Codec(Codec::None)) };
        assert_eq!(refused(Rules { is_compacted: false, ..rules }), ValidationErrorKind::MessageTooLarge);
        assert_eq!(refused(rules), ValidationErrorKind::InvalidRecord, "it was opened, and has no key");
    }
}

/// The walk tells where a torn write begins, and why it ends there.
#[test]
fn the_walk_tells_where_and_why_it_ends() {
    let log = log("v2", "none");
    let first = batches(&log).next().unwrap().unwrap().size();
    let last_error = |bytes: &[u8]| {
        let mut walk = batches(bytes);
        let error = walk.by_ref().last().unwrap().unwrap_err();
        assert_eq!(walk.position(), first);
        assert!(walk.next().is_none());
        error
    };
    for length in [1, 11, 16, 17, 60] {
        let error = last_error(&log[..first + length]);
        assert!(
            matches!(error, BatchError::CutOff { position, available, .. } if (position, available) == (first, length))
        );
    }
    let mut bad = log.clone();
    bad[first + 16] = 3;
    assert_eq!(last_error(&bad), BatchError::BadMagic { position: first, magic: 3 });
    let mut bad = log.clone();
    bad[first + 8..first + 12].copy_from_slice(&48i32.to_be_bytes());
    assert_eq!(last_error(&bad), BatchError::BadLength { position: first, length: 48, least: 49 });
    // Blocks of zeros are what a crash leaves where a file was extended but not written.
    let zeros = [&log[..first], &[0; 4096]].concat();
    assert_eq!(last_error(&zeros), BatchError::BadLength { position: first, length: 0, least: 14 });
}
