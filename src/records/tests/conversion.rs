//! What old producers wrote, taken into batches of magic 2, and what old consumers are given of those.

mod golden;

use golden::{COMPRESSED_OR_NOT, LIMIT, Owned, consumed, log, read, records_of};
use ottla_records::batch::{BatchView, Magic, TimestampType, batches};
use ottla_records::builder::{BatchBuilder, BatchFields};
use ottla_records::compression::Codec;
use ottla_records::convert::{ConvertError, down_convert};
use ottla_records::validate::{CompressionType, Origin, Rules, validate};

const OLD_PRODUCER: Origin = Origin::Client { produce_version: 2 };

fn rules(compression_type: CompressionType, timestamp_type: TimestampType) -> Rules {
    Rules {
        compression_type,
        timestamp_type,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        max_message_bytes: LIMIT,
        is_compacted: false,
        check_records: false,
    }
}

/// Produces a log of magic 0 or 1 anew, each piece of it as one request.
fn up_converted(pieces: impl Iterator<Item = Vec<u8>>, rules: &Rules) -> Vec<u8> {
    let mut converted = Vec::new();
    let mut next_offset = 0;
    for piece in pieces {
        let mut validated = validate(&piece, OLD_PRODUCER, rules, 7).unwrap().unwrap();
        assert!(validated.rebuilt.is_some());
        validated.stamp(next_offset, 3);
        converted.extend(golden::whole(&validated.batch(&piece)));
        next_offset = validated.header.next_offset();
    }
    converted
}

fn without_headers(mut records: Vec<Owned>) -> Vec<Owned> {
    records.iter_mut().for_each(|record| record.headers.clear());
    records
}

fn without_timestamps(mut records: Vec<Owned>) -> Vec<Owned> {
    records.iter_mut().for_each(|record| record.timestamp = -1);
    records
}

#[test]
fn old_producers_are_converted_up_and_old_consumers_down_again() {
    for (version, magic) in [("v0", Magic::V0), ("v1", Magic::V1)] {
        for topic in COMPRESSED_OR_NOT {
            let log = log(version, topic);
            let expected = consumed(version, topic);
            let pieces: Vec<Vec<u8>> = match topic {
                "none" => vec![log.clone()],
                _ => batches(&log).map(|batch| batch.unwrap().bytes().to_vec()).collect(),
            };
            let rules = rules(CompressionType::Producer, TimestampType::CreateTime);
            let up = up_converted(pieces.iter().cloned(), &rules);
            assert_eq!(batches(&up).count(), pieces.len());
            for batch in batches(&up) {
                let batch = batch.unwrap();
                assert_eq!((batch.magic, batch.leader_epoch, batch.producer_id), (Magic::V2, 3, -1));
                assert_eq!(batch.codec(), batches(&log).next().unwrap().unwrap().codec());
                assert_eq!(i64::from(batch.count), batch.last_offset() - batch.base_offset + 1);
                let newest = records_of(&batch).iter().map(|record| record.timestamp).max();
                assert_eq!(Some(batch.max_timestamp), newest);
            }
            assert_eq!(read(&up), expected, "{version} {topic}");

            let down = down_convert(&up, magic, 0, usize::MAX, LIMIT).unwrap();
            assert!(batches(&down).all(|batch| batch.unwrap().magic == magic));
            assert_eq!(read(&down), expected, "{version} {topic}");
            if topic == "none" {
                assert_eq!(down, log, "{version}");
            }
        }
    }
}

#[test]
fn the_topic_chooses_the_codec_and_the_time_of_what_is_converted() {
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        for (version, topic) in [("v0", "none"), ("v1", "none")] {
            let log = log(version, topic);
            let rules = rules(CompressionType::Codec(codec), TimestampType::LogAppendTime);
            let up = up_converted([log.clone()].into_iter(), &rules);
            let batch = BatchView::parse(&up).unwrap();
            assert_eq!((batch.codec(), batch.timestamp_type()), (Some(codec), TimestampType::LogAppendTime));
            let records = read(&up);
            assert!(records.iter().all(|record| record.timestamp == 7));
            assert_eq!(without_timestamps(records), without_timestamps(consumed(version, topic)));
        }
    }
}

#[test]
fn old_consumers_read_batches_of_magic_2() {
    for (topic, log) in golden::logs("v2") {
        let mut expected = without_headers(read(&log));
        if topic == "transactions" {
            // The batch at offset 9 is compressed with zstd: the consumer gets what comes before it.
            expected.retain(|record| record.offset < 9);
        }
        for magic in [Magic::V0, Magic::V1] {
            let down = down_convert(&log, magic, 0, usize::MAX, LIMIT);
            if topic == "zstd" {
                assert!(matches!(down, Err(ConvertError::UnsupportedCompression { position: 0 })));
                continue;
            }
            let down = down.unwrap();
            assert!(batches(&down).all(|batch| batch.unwrap().magic == magic));
            match magic {
                Magic::V0 => assert_eq!(read(&down), without_timestamps(expected.clone()), "{topic}"),
                _ => assert_eq!(read(&down), expected, "{topic}"),
            }
        }
    }
}

#[test]
fn messages_of_magic_1_become_magic_0() {
    for topic in ["none", "gzip", "snappy", "lz4", "append-time"] {
        let down = down_convert(&log("v1", topic), Magic::V0, 0, usize::MAX, LIMIT).unwrap();
        assert_eq!(read(&down), without_timestamps(consumed("v1", topic)), "{topic}");
        // And those of magic 0 are left as they are.
        assert_eq!(down_convert(&down, Magic::V0, 0, usize::MAX, LIMIT).unwrap(), down);
        assert_eq!(down_convert(&down, Magic::V1, 0, usize::MAX, LIMIT).unwrap(), down);
    }
}

#[test]
fn append_time_is_said_in_every_message() {
    let down = down_convert(&log("v2", "append-time"), Magic::V1, 0, usize::MAX, LIMIT).unwrap();
    assert!(batches(&down).all(|message| message.unwrap().timestamp_type() == TimestampType::LogAppendTime));
    assert_eq!(read(&down), consumed("v2", "append-time"));
}

fn batch(base_offset: i64, codec: Codec, values: &[&str]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchFields::new(base_offset, codec));
    for value in values {
        builder.append(base_offset, None, Some(value.as_bytes()), &[(b"header", None)]);
    }
    builder.finish().unwrap()
}

fn offsets(log: &[u8]) -> Vec<i64> {
    read(log).iter().map(|record| record.offset).collect()
}

/// Old formats have no batch that would tell the consumer to skip (librdkafka relies on it); compressed ones have.
#[test]
fn records_before_the_first_offset_are_left_out_of_uncompressed_batches_alone() {
    let plain = batch(10, Codec::None, &["a", "b", "c"]);
    assert_eq!(offsets(&down_convert(&plain, Magic::V1, 11, 1000, LIMIT).unwrap()), [11, 12]);
    let compressed = batch(10, Codec::Gzip, &["a", "b", "c"]);
    assert_eq!(offsets(&down_convert(&compressed, Magic::V1, 11, 1000, LIMIT).unwrap()), [10, 11, 12]);
}

#[test]
fn one_batch_is_converted_whatever_the_room_and_of_more_what_fits() {
    let mut log = batch(0, Codec::None, &["a", "b"]);
    log.extend(batch(2, Codec::None, &["c"]));
    assert_eq!(offsets(&down_convert(&log, Magic::V1, 0, 1, LIMIT).unwrap()), [0, 1]);
    let message_len = 34 + 1;
    assert_eq!(offsets(&down_convert(&log, Magic::V1, 0, 3 * message_len - 1, LIMIT).unwrap()), [0, 1]);
    assert_eq!(offsets(&down_convert(&log, Magic::V1, 0, 3 * message_len, LIMIT).unwrap()), [0, 1, 2]);
    // Of a batch behind the first as many records as fit, if it is not compressed.
    let more = |codec| [&log[..], &batch(3, codec, &["d", "e"])].concat();
    let cut = |codec, messages: usize| {
        offsets(&down_convert(&more(codec), Magic::V1, 0, messages * message_len, LIMIT).unwrap())
    };
    assert_eq!(cut(Codec::None, 4), [0, 1, 2, 3]);
    assert_eq!(cut(Codec::None, 5), [0, 1, 2, 3, 4]);
    assert_eq!(cut(Codec::Gzip, 4), [0, 1, 2]);
    // A batch that is cut off at the end is fetched again.
    assert_eq!(offsets(&down_convert(&log[..log.len() - 1], Magic::V1, 0, 1000, LIMIT).unwrap()), [0, 1]);
}

#[test]
fn what_yields_nothing_becomes_a_message_too_long_for_the_room() {
    let whole = batch(0, Codec::None, &["a"]);
    let overlong = [&[0xff; 8][..], &1001i32.to_be_bytes()].concat();
    assert_eq!(down_convert(&whole[..40], Magic::V1, 0, 1000, LIMIT).unwrap(), overlong);
    let all_below = down_convert(&whole, Magic::V1, 1, 1000, LIMIT).unwrap();
    assert_eq!(all_below, overlong);
    assert!(down_convert(&[], Magic::V1, 0, 1000, LIMIT).unwrap().is_empty());
}

/// The consumer gets what comes before, and meets the fault with its next fetch.
#[test]
fn a_fault_behind_the_first_batch_ends_the_conversion() {
    let first = batch(0, Codec::None, &["a"]);
    let zstd = [first.clone(), batch(1, Codec::Zstd, &["b"])].concat();
    assert_eq!(offsets(&down_convert(&zstd, Magic::V1, 0, 1000, LIMIT).unwrap()), [0]);

    let mut damaged = [first.clone(), batch(1, Codec::None, &["b"])].concat();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(offsets(&down_convert(&damaged, Magic::V1, 0, 1000, LIMIT).unwrap()), [0]);
    let error = down_convert(&damaged[first.len()..], Magic::V1, 0, 1000, LIMIT).unwrap_err();
    assert!(matches!(error, ConvertError::Batch(_)), "{error}");
}
