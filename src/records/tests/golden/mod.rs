//! What real Kafka brokers wrote (`testdata/vN/TOPIC.log`, the segments of a partition one after another) and what their
//! consumers read from it (`records.jsonl`; of a value longer than 100 bytes, its length and CRC-32).
#![allow(dead_code, reason = "each test uses a part")]

use ottla_records::batch::{BatchParts, BatchView, batches};
use ottla_records::open::OpenBatch;
use ottla_records::record::Record;
use serde_json::Value;

pub(crate) const LIMIT: usize = 1 << 20;

pub(crate) const COMPRESSED_OR_NOT: [&str; 4] = ["none", "gzip", "snappy", "lz4"];

/// A record without borrowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Content>,
    pub(crate) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Short(Vec<u8>),
    Long { length: u64, crc32: u32 },
}

fn path(version: &str, file: &str) -> String {
    format!("{}/testdata/{version}/{file}", env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn log(version: &str, topic: &str) -> Vec<u8> {
    std::fs::read(path(version, &format!("{topic}.log"))).unwrap()
}

/// All logs of a version, with their topics.
pub(crate) fn logs(version: &str) -> Vec<(String, Vec<u8>)> {
    let mut logs: Vec<_> = std::fs::read_dir(path(version, ""))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".log").map(String::from))
        .map(|topic| (topic.clone(), log(version, &topic)))
        .collect();
    logs.sort();
    assert!(logs.len() >= 4);
    logs
}

/// What a consumer read from a topic.
pub(crate) fn consumed(version: &str, topic: &str) -> Vec<Owned> {
    let text = std::fs::read_to_string(path(version, "records.jsonl")).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records
        .filter(|record| record["topic"] == topic)
        .map(|record| Owned {
            offset: record["offset"].as_i64().unwrap(),
            timestamp: record["timestamp"].as_i64().unwrap_or(-1),
            key: hex(&record["key"]),
            value: match &record["value"] {
                Value::Object(long) => Some(Content::Long {
                    length: long["length"].as_u64().unwrap(),
                    crc32: long["crc32"].as_u64().unwrap() as u32,
                }),
                short => hex(short).map(Content::Short),
            },
            headers: record["headers"].as_array().map_or(Vec::new(), |headers| {
                headers.iter().map(|h| (h[0].as_str().unwrap().as_bytes().to_vec(), hex(&h[1]))).collect()
            }),
        })
        .collect()
}

fn hex(value: &Value) -> Option<Vec<u8>> {
    let text = value.as_str()?;
    Some((0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect())
}

pub(crate) fn owned(record: &Record<'_>) -> Owned {
    Owned {
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(|value| match value.len() {
            0..=100 => Content::Short(value.to_vec()),
            length => Content::Long { length: length as u64, crc32: crc32fast::hash(value) },
        }),
        headers: record.headers.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect(),
    }
}

pub(crate) fn open<'a>(batch: &BatchView<'a>) -> OpenBatch<'a> {
    OpenBatch::open(batch, LIMIT).unwrap()
}

pub(crate) fn records_of(batch: &BatchView<'_>) -> Vec<Owned> {
    open(batch).records().map(|record| owned(&record.unwrap())).collect()
}

/// All records of a log but the control records, checksums checked.
pub(crate) fn read(log: &[u8]) -> Vec<Owned> {
    let mut records = Vec::new();
    for batch in batches(log) {
        let batch = batch.unwrap();
        batch.check_crc().unwrap();
        if !batch.is_control() {
            records.extend(records_of(&batch));
        }
    }
    records
}

/// The bytes of a batch in two pieces.
pub(crate) fn whole(batch: &BatchParts<'_>) -> Vec<u8> {
    [&batch.header().encode(), batch.body()].concat()
}
