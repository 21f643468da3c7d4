//! What may enter a log, and what refuses it.

mod golden;

use golden::{LIMIT, log, open, read, records_of};
use ottla_records::batch::{BatchView, Magic, TimestampType, batches};
use ottla_records::builder::{BatchBuilder, BatchFields, end_transaction_batch};
use ottla_records::compression::Codec;
use ottla_records::message_set::encode_set;
use ottla_records::record::{EndTransactionMarker, Headers, Record};
use ottla_records::validate::ValidationErrorKind::*;
use ottla_records::validate::{
    CompressionType, MOST_RECORD_FAULTS, Origin, Rules, Validated, ValidationError, ValidationErrorKind,
    check_replicated, validate,
};

const NOW: i64 = 1_700_000_000_000;
const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const CLIENT: Origin = Origin::Client { produce_version: 9 };
const RULES: Rules = Rules {
    compression_type: CompressionType::Producer,
    timestamp_type: TimestampType::CreateTime,
    timestamp_before_max_ms: i64::MAX,
    timestamp_after_max_ms: i64::MAX,
    max_message_bytes: LIMIT,
    is_compacted: false,
    check_records: false,
};

fn batch_of(fields: BatchFields, records: &[(i64, Option<&str>)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(fields);
    for (timestamp, key) in records {
        builder.append(*timestamp, key.map(str::as_bytes), Some(b"value"), &[(b"h", Some(b"v"))]);
    }
    builder.finish().unwrap()
}

fn three(codec: Codec) -> Vec<u8> {
    batch_of(BatchFields::new(0, codec), &[(NOW - 5, Some("a")), (NOW, Some("b")), (NOW - 3, Some("c"))])
}

/// Overwrites a field and makes the checksum fit again.
fn with(mut batch: Vec<u8>, at: usize, field: &[u8]) -> Vec<u8> {
    batch[at..at + field.len()].copy_from_slice(field);
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

fn stamp(validated: &mut Validated, produced: &[u8], first_offset: i64, leader_epoch: i32) -> Vec<u8> {
    validated.stamp(first_offset, leader_epoch);
    let stamped = golden::whole(&validated.batch(produced));
    assert_eq!(*BatchView::parse(&stamped).unwrap().header(), validated.header);
    assert_eq!((validated.header.base_offset, validated.header.leader_epoch), (first_offset, leader_epoch));
    stamped
}

fn accept(bytes: &[u8], origin: Origin, rules: &Rules) -> Validated {
    validate(bytes, origin, rules, NOW).unwrap().unwrap()
}

fn refuse(bytes: Vec<u8>, origin: Origin, rules: &Rules) -> ValidationError {
    validate(&bytes, origin, rules, NOW).unwrap_err()
}

fn kind(bytes: Vec<u8>) -> ValidationErrorKind {
    refuse(bytes, CLIENT, &RULES).kind
}

#[test]
fn a_batch_is_stamped_in_place() {
    for codec in CODECS {
        for check_records in [false, true] {
            let bytes = three(codec);
            let mut expected = bytes.clone();
            let mut validated = accept(&bytes, CLIENT, &Rules { check_records, ..RULES });
            assert_eq!(validated.rebuilt, None);
            let stamped = stamp(&mut validated, &bytes, 40, 6);
            expected[..8].copy_from_slice(&40i64.to_be_bytes());
            expected[12..16].copy_from_slice(&6i32.to_be_bytes());
            assert_eq!(stamped, expected);
            let batch = BatchView::parse(&stamped).unwrap();
            batch.check_crc().unwrap();
            assert_eq!(validated.header, *batch.header());
            assert_eq!((batch.base_offset, batch.last_offset(), batch.leader_epoch), (40, 42, 6));
            assert_eq!(batch.max_timestamp, NOW);
        }
    }
}

#[test]
fn batches_of_real_producers_are_accepted_as_they_are() {
    for topic in ["none", "gzip", "snappy", "lz4", "zstd", "headers", "idempotent", "not-idempotent"] {
        let log = log("v2", topic);
        for batch in batches(&log) {
            let mut bytes = batch.unwrap().bytes().to_vec();
            let base_offset = BatchView::parse(&bytes).unwrap().base_offset;
            let original = bytes.clone();
            let epoch = BatchView::parse(&bytes).unwrap().leader_epoch;
            bytes[..8].fill(0);
            let rules = Rules { check_records: true, ..RULES };
            let mut validated = accept(&bytes, CLIENT, &rules);
            assert_eq!(stamp(&mut validated, &bytes, base_offset, epoch), original, "{topic}");
        }
    }
}

#[test]
fn append_time_is_written_over_the_producers_timestamps() {
    for codec in CODECS {
        let bytes = three(codec);
        let rules = Rules { timestamp_type: TimestampType::LogAppendTime, ..RULES };
        let mut validated = validate(&bytes, CLIENT, &rules, 77).unwrap().unwrap();
        assert_eq!((validated.rebuilt.as_ref(), validated.log_append_time_ms), (None, Some(77)));
        let stamped = stamp(&mut validated, &bytes, 0, 0);
        let batch = BatchView::parse(&stamped).unwrap();
        batch.check_crc().unwrap();
        assert_eq!((batch.max_timestamp, batch.timestamp_type()), (77, TimestampType::LogAppendTime));
        assert!(read(&stamped).iter().all(|record| record.timestamp == 77));
    }
}

/// A producer's wrong largest timestamp is mended where the records are looked at anyway or it is incredible: retention
/// would take the records for those of 1970.
#[test]
fn a_wrong_largest_timestamp_is_mended_or_believed() {
    for codec in CODECS {
        for (claimed, check_records, stored) in [
            (NOW + 9, false, NOW + 9),
            (NOW + 9, true, NOW),
            (NOW - 6, false, NOW),
            (0, false, NOW),
            (-1, false, NOW),
            (i64::MIN, false, NOW),
        ] {
            let bytes = with(three(codec), 35, &claimed.to_be_bytes());
            let mut validated = accept(&bytes, CLIENT, &Rules { check_records, ..RULES });
            assert_eq!(validated.header.max_timestamp, stored, "{codec:?} {claimed}");
            let mended = with(bytes.clone(), 35, &stored.to_be_bytes());
            assert_eq!(stamp(&mut validated, &bytes, 0, -1), mended, "{codec:?} {claimed}");
        }
    }
}

#[test]
fn the_topics_codec_is_used_whatever_the_producers() {
    let fields = BatchFields {
        producer_id: 9,
        producer_epoch: 2,
        base_sequence: i32::MAX,
        is_transactional: true,
        ..BatchFields::new(0, Codec::None)
    };
    for source in CODECS {
        let original = batch_of(BatchFields { codec: source, ..fields }, &[(NOW, None), (NOW + 1, Some("k"))]);
        let expected = records_of(&BatchView::parse(&original).unwrap());
        for target in CODECS {
            let bytes = original.clone();
            let rules = Rules { compression_type: CompressionType::Codec(target), ..RULES };
            let mut validated = accept(&bytes, CLIENT, &rules);
            assert_eq!(validated.rebuilt.is_some(), source != target);
            let stamped = stamp(&mut validated, &bytes, 0, 0);
            let batch = BatchView::parse(&stamped).unwrap();
            batch.check_crc().unwrap();
            assert_eq!(batch.codec(), Some(target));
            assert_eq!((batch.producer_id, batch.producer_epoch, batch.base_sequence), (9, 2, i32::MAX));
            assert_eq!((batch.is_transactional(), batch.last_sequence()), (true, 0));
            assert_eq!(records_of(&batch), expected);
        }
    }
}

#[test]
fn a_marker_is_not_compressed() {
    let marker = EndTransactionMarker { committed: true, coordinator_epoch: 4 };
    let bytes = end_transaction_batch(1, 0, NOW, marker).unwrap();
    let rules = Rules { compression_type: CompressionType::Codec(Codec::Zstd), is_compacted: true, ..RULES };
    assert_eq!(accept(&bytes, Origin::Coordinator, &rules).rebuilt, None);
    assert_eq!(refuse(bytes, CLIENT, &rules).kind, InvalidRecord);
}

#[test]
fn damage_is_corrupt() {
    let whole = three(Codec::None);
    for length in [1, 11, 16, 17, 60, 61, whole.len() - 1] {
        assert_eq!(kind(whole[..length].to_vec()), CorruptMessage, "{length} bytes");
    }
    let mut flipped = whole.clone();
    flipped[65] ^= 4;
    assert_eq!(kind(flipped), CorruptMessage);
    let mut magic = whole.clone();
    magic[16] = 3;
    assert_eq!(kind(magic), CorruptMessage);
    for length in [-1i32, 0, 13, 48, i32::MIN, i32::MAX] {
        assert_eq!(kind(with(whole.clone(), 8, &length.to_be_bytes())), CorruptMessage, "{length}");
    }
    // Compressed data is damaged, though the checksum fits: noticed where it is opened.
    let rules = Rules { check_records: true, ..RULES };
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let bytes = with(three(codec), 61, &[0xff; 8]);
        assert_eq!(refuse(bytes, CLIENT, &rules).kind, CorruptMessage, "{codec:?}");
    }
}

#[test]
fn fields_against_the_rules_are_invalid() {
    let whole = three(Codec::None);
    for (what, at, field) in [
        ("base offset", 0, &5i64.to_be_bytes()[..]),
        ("last offset delta", 23, &3i32.to_be_bytes()),
        ("negative last offset delta", 23, &(-1i32).to_be_bytes()),
        ("count 0", 57, &0i32.to_be_bytes()),
        ("negative count", 57, &(-1i32).to_be_bytes()),
        ("too few", 57, &2i32.to_be_bytes()),
        ("control", 21, &0x20i16.to_be_bytes()),
        ("producer id without sequence", 43, &1i64.to_be_bytes()),
        ("transactional without producer id", 21, &0x10i16.to_be_bytes()),
    ] {
        assert_eq!(kind(with(whole.clone(), at, field)), InvalidRecord, "{what}");
    }
    let mut no_epoch = with(whole.clone(), 43, &1i64.to_be_bytes());
    no_epoch = with(no_epoch, 53, &0i32.to_be_bytes());
    assert_eq!(kind(no_epoch.clone()), InvalidRecord);
    accept(&with(no_epoch, 51, &0i16.to_be_bytes()), CLIENT, &RULES);
    // Counts that agree with each other but not with the records.
    for count in [2i32, 4] {
        let bytes = with(with(whole.clone(), 57, &count.to_be_bytes()), 23, &(count - 1).to_be_bytes());
        assert_eq!(kind(bytes), InvalidRecord, "{count}");
    }
}

#[test]
fn malformed_records_are_invalid() {
    let whole = three(Codec::None);
    for length in [-1i8, 0, 127] {
        assert_eq!(kind(with(whole.clone(), 61, &[(length as u8) << 1 ^ (length >> 7) as u8])), InvalidRecord);
    }
    assert_eq!(kind(with(whole.clone(), 61, &[0xff; 6])), InvalidRecord);
    // Inside: the number of headers, the length of a header's key.
    let recompress = Rules { compression_type: CompressionType::Codec(Codec::Gzip), ..RULES };
    let check_records = Rules { check_records: true, ..RULES };
    let header_count_at = whole.len() - 5;
    assert_eq!(whole[header_count_at..], [2, 2, b'h', 2, b'v']);
    for (at, byte) in [(0, 1), (0, 3), (0, 0), (0, 4), (1, 1), (1, 100), (3, 100)] {
        let bytes = with(whole.clone(), header_count_at + at, &[byte]);
        for rules in [recompress, check_records] {
            assert_eq!(refuse(bytes.clone(), CLIENT, &rules).kind, InvalidRecord, "{byte} at {at}");
        }
    }
}

#[test]
fn codecs_are_known_and_zstd_only_to_new_clients() {
    for id in 5..8i16 {
        assert_eq!(kind(with(three(Codec::None), 21, &id.to_be_bytes())), UnsupportedCompressionType);
    }
    for (produce_version, accepted) in [(3, false), (6, false), (7, true)] {
        let bytes = three(Codec::Zstd);
        let result = validate(&bytes, Origin::Client { produce_version }, &RULES, NOW);
        assert_eq!(
            result.map_err(|error| error.kind).map(drop),
            accepted.then_some(()).ok_or(UnsupportedCompressionType)
        );
    }
}

#[test]
fn batches_must_fit_as_they_come_and_as_they_are_stored() {
    let whole = three(Codec::None);
    let exact = Rules { max_message_bytes: whole.len(), ..RULES };
    accept(&whole, CLIENT, &exact);
    assert_eq!(
        refuse(whole.clone(), CLIENT, &Rules { max_message_bytes: whole.len() - 1, ..RULES }).kind,
        MessageTooLarge
    );
    // Compressed it fits, stored as the topic wants it no longer.
    let repeated = batch_of(BatchFields::new(0, Codec::Zstd), &[(NOW, Some("k")); 50]);
    let rules = Rules {
        max_message_bytes: repeated.len() + 100,
        compression_type: CompressionType::Codec(Codec::None),
        ..RULES
    };
    assert_eq!(refuse(repeated, CLIENT, &rules).kind, MessageTooLarge);
}

#[test]
fn one_batch_at_a_time() {
    let twice = [three(Codec::None), three(Codec::None)].concat();
    assert_eq!(kind(twice.clone()), InvalidRecord);
    assert_eq!(refuse(twice.clone(), Origin::Client { produce_version: 2 }, &RULES).kind, InvalidRecord);
    assert_eq!(kind(twice[..twice.len() - 1].to_vec()), CorruptMessage);
    assert_eq!(kind(Vec::new()), InvalidRecord);
    assert_eq!(validate(&[], Origin::Client { produce_version: 2 }, &RULES, NOW), Ok(None));
}

#[test]
fn compacted_topics_ask_for_keys() {
    let rules = Rules { is_compacted: true, ..RULES };
    for codec in CODECS {
        let keyed = three(codec);
        assert_eq!(accept(&keyed, CLIENT, &rules).rebuilt, None);
        let keyless =
            batch_of(BatchFields::new(0, codec), &[(NOW, Some("a")), (NOW, None), (NOW, Some("")), (NOW, None)]);
        let error = refuse(keyless.clone(), CLIENT, &rules);
        assert_eq!(error.kind, InvalidRecord);
        assert_eq!(error.record_faults.iter().map(|fault| fault.batch_index).collect::<Vec<_>>(), [1, 3], "{codec:?}");
        accept(&keyless, CLIENT, &RULES);
    }
    let many = batch_of(BatchFields::new(0, Codec::Gzip), &[(NOW, None); 1000]);
    assert_eq!(refuse(many, CLIENT, &rules).record_faults.len(), MOST_RECORD_FAULTS);
}

#[test]
fn timestamps_are_held_against_the_clock() {
    let rules = Rules { timestamp_before_max_ms: 10, timestamp_after_max_ms: 20, ..RULES };
    for codec in CODECS {
        let timestamps = [NOW - 10, NOW - 11, -1, NOW + 20, NOW + 21, i64::MAX, i64::MIN];
        let bytes = batch_of(BatchFields::new(0, codec), &timestamps.map(|timestamp| (timestamp, Some("k"))));
        let error = refuse(bytes.clone(), CLIENT, &rules);
        assert_eq!(error.kind, InvalidTimestamp);
        let blamed: Vec<_> = error.record_faults.iter().map(|fault| fault.batch_index).collect();
        assert_eq!(blamed, [1, 4, 5, 6], "{codec:?}");
        accept(&bytes, CLIENT, &RULES);
        // Where the leader writes its own time, the producer's is not looked at.
        accept(&bytes, CLIENT, &Rules { timestamp_type: TimestampType::LogAppendTime, ..rules });
    }
}

/// As in Kafka: refused unless the topic's rule for create time looks at the timestamp instead, and clears the type.
#[test]
fn a_producers_append_time_is_refused() {
    let fields = BatchFields { log_append_time_ms: Some(NOW), ..BatchFields::new(0, Codec::None) };
    for codec in CODECS {
        let bytes = batch_of(BatchFields { codec, ..fields }, &[(NOW, None)]);
        let error = refuse(bytes.clone(), CLIENT, &Rules { timestamp_type: TimestampType::LogAppendTime, ..RULES });
        assert_eq!(error.kind, InvalidTimestamp);
        assert_eq!(accept(&bytes, CLIENT, &RULES).header.timestamp_type(), TimestampType::CreateTime);
    }
}

/// Producers that left out offsets inside: mended where compressed, tolerated where not (KAFKA-9080).
#[test]
fn offsets_with_gaps_inside_a_compressed_batch_are_mended() {
    let gaps = |codec| {
        let mut builder = BatchBuilder::new(BatchFields::new(0, codec));
        for offset in [0, 2, 3] {
            let record = Record { offset, timestamp: NOW, key: None, value: Some(b"v"), headers: Headers::default() };
            builder.append_record(&record);
        }
        with(with(builder.finish().unwrap(), 23, &2i32.to_be_bytes()), 57, &3i32.to_be_bytes())
    };
    let offsets = |bytes: &[u8]| read(bytes).iter().map(|record| record.offset).collect::<Vec<_>>();
    let rules = Rules { check_records: true, ..RULES };
    let compressed = gaps(Codec::Lz4);
    let mut validated = accept(&compressed, CLIENT, &rules);
    assert_eq!(offsets(&stamp(&mut validated, &compressed, 10, 0)), [10, 11, 12]);
    let plain = gaps(Codec::None);
    assert_eq!(accept(&plain, CLIENT, &rules).rebuilt, None);
}

fn message_set(magic: Magic, codec: Codec, offsets: &[i64]) -> Vec<u8> {
    let records: Vec<_> = offsets
        .iter()
        .map(|offset| Record {
            offset: *offset,
            timestamp: NOW,
            key: Some(b"k"),
            value: Some(b"v"),
            headers: Headers::default(),
        })
        .collect();
    let mut bytes = Vec::new();
    encode_set(&mut bytes, magic, codec, TimestampType::CreateTime, &records).unwrap();
    bytes
}

const OLD_CLIENT: Origin = Origin::Client { produce_version: 2 };

#[test]
fn message_sets_against_the_rules_are_refused() {
    let refused = |bytes| refuse(bytes, OLD_CLIENT, &RULES).kind;
    for magic in [Magic::V0, Magic::V1] {
        let plain = message_set(magic, Codec::None, &[0, 1]);
        let wrapper = message_set(magic, Codec::Gzip, &[0, 1]);
        assert_eq!(refuse(plain.clone(), CLIENT, &RULES).kind, InvalidRecord, "version 9 carries magic 2 alone");
        assert_eq!(refused([plain.clone(), wrapper.clone()].concat()), InvalidRecord, "a wrapper is alone");
        assert_eq!(refused([wrapper.clone(), wrapper.clone()].concat()), InvalidRecord, "a wrapper is alone");
        assert_eq!(refused(plain[..plain.len() - 1].to_vec()), CorruptMessage);
        let mut flipped = plain.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert_eq!(refused(flipped), CorruptMessage);
        let rules = Rules { max_message_bytes: 20, ..RULES };
        assert_eq!(refuse(plain.clone(), OLD_CLIENT, &rules).kind, MessageTooLarge);
    }
    let mixed = [message_set(Magic::V0, Codec::None, &[0]), message_set(Magic::V1, Codec::None, &[0])].concat();
    assert_eq!(refused(mixed), InvalidRecord);
}

/// A wrapper of magic 1 around `set`, compressed with `codec`.
fn wrap(codec: Codec, offset: i64, set: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    ottla_records::compression::compress(codec, Magic::V1, set, &mut value).unwrap();
    let record = Record { offset, timestamp: NOW, key: None, value: Some(&value), headers: Headers::default() };
    let mut bytes = Vec::new();
    encode_set(&mut bytes, Magic::V1, Codec::None, TimestampType::CreateTime, &[record]).unwrap();
    bytes[17] |= codec as u8;
    let crc = crc32fast::hash(&bytes[16..]);
    bytes[12..16].copy_from_slice(&crc.to_be_bytes());
    bytes
}

#[test]
fn what_stands_inside_a_wrapper_is_checked() {
    let refused = |set: &[u8]| refuse(wrap(Codec::Gzip, 0, set), OLD_CLIENT, &RULES).kind;
    assert_eq!(refused(&[]), InvalidRecord);
    assert_eq!(refused(&message_set(Magic::V0, Codec::None, &[0])), InvalidRecord);
    assert_eq!(refused(&message_set(Magic::V1, Codec::Gzip, &[0])), InvalidRecord);
    let set = message_set(Magic::V1, Codec::None, &[0, 1]);
    assert_eq!(refused(&set[..set.len() - 1]), InvalidRecord);
    let mut flipped = set.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert_eq!(refused(&flipped), CorruptMessage);
    let beyond = refuse(wrap(Codec::Gzip, 3, &message_set(Magic::V1, Codec::None, &[4])), OLD_CLIENT, &RULES);
    assert_eq!(beyond.kind, InvalidRecord);
    // zstd came with magic 2.
    let mut zstd = wrap(Codec::Gzip, 0, &set);
    zstd[17] = Codec::Zstd as u8;
    let crc = crc32fast::hash(&zstd[16..]);
    zstd[12..16].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(refuse(zstd, OLD_CLIENT, &RULES).kind, InvalidRecord);
}

/// Old librdkafka left the wrapper's offset 0 and numbered the inside as it liked.
#[test]
fn a_wrapper_offset_of_zero_is_tolerated() {
    let set = message_set(Magic::V1, Codec::None, &[7, 7, 9]);
    let bytes = wrap(Codec::Snappy, 0, &set);
    let mut validated = accept(&bytes, OLD_CLIENT, &RULES);
    let stamped = stamp(&mut validated, &bytes, 100, 1);
    assert_eq!(read(&stamped).iter().map(|record| record.offset).collect::<Vec<_>>(), [100, 101, 102]);
    assert_eq!(open(&BatchView::parse(&stamped).unwrap()).codec(), Codec::Snappy);
}

#[test]
fn followers_take_whole_batches_with_rising_offsets() {
    for version in ["v0", "v1", "v2"] {
        for (topic, log) in golden::logs(version) {
            let replicated = check_replicated(&log).unwrap().unwrap();
            assert_eq!(replicated.valid_bytes, log.len(), "{topic}");
            let newest = batches(&log).map(|batch| batch.unwrap().max_timestamp).max().unwrap();
            assert_eq!(replicated.max_timestamp, newest);
            let first_len = batches(&log).next().unwrap().unwrap().size();
            if log.len() > first_len {
                let cut_off = check_replicated(&log[..log.len() - 1]).unwrap().unwrap();
                assert!(cut_off.valid_bytes >= first_len && cut_off.valid_bytes < log.len());
                assert!(cut_off.last.last_offset() < replicated.last.last_offset());
            }
            assert_eq!(check_replicated(&log[..first_len - 1]).unwrap(), None);
            let twice = [&log[..first_len], &log[..first_len]].concat();
            assert_eq!(check_replicated(&twice).unwrap_err().kind, InvalidRecord);
            let mut flipped = log.clone();
            *flipped.last_mut().unwrap() ^= 1;
            assert_eq!(check_replicated(&flipped).unwrap_err().kind, CorruptMessage);
        }
    }
}
