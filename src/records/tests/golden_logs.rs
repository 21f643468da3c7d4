//! Logs of real brokers read as their consumers read them, and written again byte for byte.

mod golden;

use golden::{LIMIT, consumed, log, logs, open, read};
use ottla_records::batch::{BatchHeader, BatchView, Magic, TimestampType, batches};
use ottla_records::builder::{BatchBuilder, BatchFields, empty_batch, end_transaction_batch};
use ottla_records::compression::{Codec, compress};
use ottla_records::message_set::encode_set;
use ottla_records::open::OpenBatch;
use ottla_records::record::{EndTransactionMarker, Record};

#[test]
fn every_log_reads_as_its_consumer_read_it() {
    for version in ["v0", "v1", "v2"] {
        for (topic, log) in logs(version) {
            let expected = consumed(version, &topic);
            let first = expected[0].offset;
            // DeleteRecords moved the start of topic segments into a batch; consumers skip what is before.
            let found: Vec<_> = read(&log).into_iter().filter(|record| record.offset >= first).collect();
            assert_eq!(found, expected, "{version} {topic}");
        }
    }
}

#[test]
fn codecs_and_counts_of_the_headers() {
    for (version, magic) in [("v0", Magic::V0), ("v1", Magic::V1), ("v2", Magic::V2)] {
        let topics = [("gzip", Codec::Gzip), ("snappy", Codec::Snappy), ("lz4", Codec::Lz4), ("zstd", Codec::Zstd)];
        for (topic, codec) in topics.into_iter().filter(|(_, codec)| codec.allowed_in(magic)) {
            let log = log(version, topic);
            let headers: Vec<_> = batches(&log).map(|batch| *batch.unwrap().header()).collect();
            assert!(headers.iter().all(|header| header.codec() == Some(codec) && header.magic == magic));
            let ends: Vec<_> = headers.iter().map(|header| (header.last_offset(), header.count)).collect();
            match (magic, codec) {
                // Magic 0 and 1 do not say how many messages are inside.
                (Magic::V0 | Magic::V1, _) => assert_eq!(ends, [(0, -1), (4, -1), (7, -1), (19, -1)]),
                _ => assert_eq!(ends.iter().map(|(_, count)| count).sum::<i32>(), 20),
            }
        }
    }
    let append_time = log("v2", "append-time");
    assert!(batches(&append_time).all(|batch| batch.unwrap().timestamp_type() == TimestampType::LogAppendTime));
}

#[test]
fn batches_are_written_again_byte_for_byte() {
    let mut rewritten = 0;
    for (topic, log) in logs("v2") {
        for batch in batches(&log) {
            let batch = batch.unwrap();
            let open = open(&batch);
            let mut builder = BatchBuilder::new(BatchFields { codec: Codec::None, ..BatchFields::of(&batch) });
            for record in open.records() {
                builder.append_record(&record.unwrap());
            }
            builder.set_last_offset(batch.last_offset());
            let bytes = builder.finish().unwrap();
            match open.codec() {
                // The record timestamps of these were replaced by the append time, those stored were the producer's.
                _ if batch.timestamp_type() == TimestampType::LogAppendTime => {}
                Codec::None => {
                    assert_eq!(bytes, batch.bytes(), "{topic} at offset {}", batch.base_offset);
                    rewritten += 1;
                }
                _ => {
                    assert_eq!(&bytes[61..], open.body(), "{topic} at offset {}", batch.base_offset);
                    rewritten += 1;
                }
            }
        }
    }
    assert!(rewritten > 80, "{rewritten}");
}

#[test]
fn message_sets_are_written_again_byte_for_byte() {
    for (version, magic) in [("v0", Magic::V0), ("v1", Magic::V1)] {
        for topic in golden::COMPRESSED_OR_NOT {
            for batch in batches(&log(version, topic)) {
                let batch = batch.unwrap();
                let opened = open(&batch);
                let records: Vec<Record<'_>> = opened.records().map(Result::unwrap).collect();
                let mut bytes = Vec::new();
                encode_set(&mut bytes, magic, opened.codec(), TimestampType::CreateTime, &records).unwrap();
                if topic == "none" {
                    assert_eq!(bytes, batch.bytes());
                    continue;
                }
                let ours = BatchView::parse(&bytes).unwrap();
                ours.check_crc().unwrap();
                assert_eq!((ours.base_offset, ours.max_timestamp), (batch.base_offset, batch.max_timestamp));
                assert_eq!(open(&ours).body(), opened.body(), "{version} {topic}");
                opened.check_inner_crc().unwrap();
            }
        }
    }
}

/// Kafka's frame headers, as they stand in the logs: the checksum of magic 0 is the broken one (KAFKA-3160).
#[test]
fn lz4_frames_begin_as_kafka_begins_them() {
    // The blocks depend on the compressor's taste; the shortest leave it none.
    let mut identical = 0;
    for (version, magic, body_at) in [("v0", Magic::V0, 26), ("v1", Magic::V1, 34), ("v2", Magic::V2, 61)] {
        let log = log(version, "lz4");
        for batch in batches(&log) {
            let batch = batch.unwrap();
            let theirs = &batch.bytes()[body_at..];
            let mut ours = Vec::new();
            compress(Codec::Lz4, magic, open(&batch).body(), &mut ours).unwrap();
            assert_eq!(ours[..7], theirs[..7], "{version}");
            identical += usize::from(ours == theirs);
        }
    }
    assert!(identical >= 1, "{identical}");
}

#[test]
fn transaction_markers_are_read_and_written() {
    let log = log("v2", "transactions");
    let mut markers = Vec::new();
    for batch in batches(&log).map(Result::unwrap).filter(|batch| batch.is_control()) {
        assert!(batch.is_transactional() && batch.last_sequence() == -1);
        let opened = OpenBatch::open(&batch, LIMIT).unwrap();
        let record = opened.records().next().unwrap().unwrap();
        let marker = EndTransactionMarker::parse(&record).unwrap();
        let mut bytes =
            end_transaction_batch(batch.producer_id, batch.producer_epoch, record.timestamp, marker).unwrap();
        bytes[..8].copy_from_slice(&batch.base_offset.to_be_bytes());
        bytes[12..16].copy_from_slice(&batch.leader_epoch.to_be_bytes());
        assert_eq!(bytes, batch.bytes());
        markers.push(marker.committed);
    }
    assert!(markers.contains(&true) && markers.contains(&false), "{markers:?}");
}

/// Any changed byte is noticed, except in what no checksum covers: the offset, and in magic 2 the leader epoch.
#[test]
fn every_changed_byte_is_noticed() {
    for (version, topic) in [("v0", "gzip"), ("v1", "lz4"), ("v2", "headers"), ("v2", "zstd"), ("v1", "append-time")] {
        let log = log(version, topic);
        for batch in batches(&log) {
            let batch = batch.unwrap();
            for at in 8..batch.size() {
                if batch.magic == Magic::V2 && (12..16).contains(&at) {
                    continue;
                }
                for bit in [0, 3, 7] {
                    let mut bytes = batch.bytes().to_vec();
                    bytes[at] ^= 1 << bit;
                    let noticed = BatchView::parse(&bytes).and_then(|batch| batch.check_crc()).is_err();
                    assert!(noticed, "{version} {topic}: bit {bit} of byte {at}");
                }
            }
        }
    }
}

/// The cleaner keeps the header of a batch without records while its producer may still send.
#[test]
fn a_batch_without_records_keeps_what_its_header_says() {
    let log = log("v2", "idempotent");
    for batch in batches(&log).map(Result::unwrap) {
        let bytes = empty_batch(&batch);
        let empty = BatchView::parse(&bytes).unwrap();
        empty.check_crc().unwrap();
        assert_eq!(open(&empty).records().count(), 0);
        let kept = BatchHeader {
            batch_length: 49,
            crc: empty.crc,
            attributes: batch.attributes & !7,
            base_timestamp: -1,
            count: 0,
            ..*batch.header()
        };
        assert_eq!(*empty.header(), kept);
        assert!(kept.last_sequence() >= 0);
    }
}
