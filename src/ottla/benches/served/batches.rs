//! Record batches as producers write them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use ottla_records::batch::{Magic, TimestampType};
use ottla_records::builder::{BatchBuilder, BatchFields};
use ottla_records::message_set::encode_set;
use ottla_records::record::{Headers, Record};
use ottla_records::{Codec, HEADER_LEN};

/// `batch.size` of these producers, in bytes before compression.
pub(super) const BATCH_BYTES: usize = 64 << 10;

/// A record's timestamp in ms since 1970: each is later than those before, as a clock's are, and the same in each run.
fn timestamp() -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(1_700_000_000_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What the values of a batch are cut from: words and numbers, which lz4 makes a third of.
fn text() -> &'static [u8] {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    TEXT.get_or_init(|| {
        let words = ["customer", "article", "price", "quantity", "street", "city"].iter().cycle();
        let mut text = String::new();
        for (number, word) in words.enumerate().take(BATCH_BYTES / 8) {
            // A multiplicative hash: digits that look like anything, the same in each run.
            let digits = number.wrapping_mul(2_654_435_761) % 100_000;
            text.push_str(&format!("{word}={digits:05} "));
        }
        text.into_bytes()
    })
}

/// The value of a batch's record.
fn value(bytes: usize, number: usize) -> &'static [u8] {
    &text()[number * bytes..][..bytes]
}

/// How many records of this size a producer puts into a batch, where each costs `overhead` bytes more than its value.
fn fill(value_bytes: usize, overhead: usize) -> usize {
    (BATCH_BYTES - HEADER_LEN) / (value_bytes + overhead)
}

/// How many records [`full`] puts into a batch.
pub(super) fn full_count(value_bytes: usize) -> usize {
    // Length, attributes, two deltas and the lengths of key, value and headers.
    fill(value_bytes, 9)
}

/// A full batch of magic 2 of records with values of `value_bytes` bytes and no keys.
pub(super) fn full(value_bytes: usize, codec: Codec) -> Bytes {
    batch(full_count(value_bytes), value_bytes, codec)
}

/// A batch of magic 2 of `count` records.
pub(super) fn batch(count: usize, value_bytes: usize, codec: Codec) -> Bytes {
    let mut builder = BatchBuilder::new(BatchFields::new(0, codec));
    let timestamp = timestamp();
    for number in 0..count {
        builder.append(timestamp, None, Some(value(value_bytes, number)), &[]);
    }
    builder.finish().expect("memory is there").into()
}

/// A set of messages of magic 1, not compressed, as large as a batch.
pub(super) fn old(value_bytes: usize) -> Bytes {
    let timestamp = timestamp();
    let record = |number| Record {
        offset: number as i64,
        timestamp,
        key: None,
        value: Some(value(value_bytes, number)),
        headers: Headers::default(),
    };
    let records: Vec<Record<'_>> = (0..fill(value_bytes, 34)).map(record).collect();
    let mut set = Vec::new();
    encode_set(&mut set, Magic::V1, Codec::None, TimestampType::CreateTime, &records).expect("no codec can fail");
    set.into()
}
