//! Messages of magic 0 and 1, alone or compressed as a set inside a wrapper (`LegacyRecord.java`,
//! `AbstractLegacyRecordBatch.java`).
//!
//! A wrapper's value is a compressed message set; its offset is the last inner one. Inner offsets are absolute in magic
//! 0 and count from 0 in magic 1, where a wrapper offset of 0 means "not assigned yet" whatever stands inside (old
//! librdkafka). A wrapper with log append time lends its timestamp to all inside.

use crate::batch::{BatchView, Magic, NO_TIMESTAMP, TimestampType, batches, i32_at, renew_crc_legacy};
use crate::compression::{Codec, CompressionError, compress};
use crate::record::{Record, RecordError, Why};

const LOG_APPEND_TIME: u8 = 0x08;

/// Key and value of a message.
pub(crate) type KeyValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Key and value of one message of magic 0 or 1. Bytes behind the value are not looked at, as in Kafka.
pub(crate) fn key_value<'a>(message: &BatchView<'a>) -> Result<KeyValue<'a>, Why> {
    debug_assert!(message.magic != Magic::V2);
    let fields = &message.bytes()[message.magic.min_len() - 8..];
    let (key, fields) = nullable(fields)?;
    let (value, _) = nullable(fields)?;
    Ok((key, value))
}

fn nullable(bytes: &[u8]) -> Result<(Option<&[u8]>, &[u8]), Why> {
    let (length, rest) = bytes.split_at_checked(4).ok_or("it ends before the length of key or value")?;
    match i32_at(length, 0) {
        length if length < 0 => Ok((None, rest)),
        length => rest
            .split_at_checked(length as usize)
            .map(|(taken, rest)| (Some(taken), rest))
            .ok_or("its key or value is longer than the message"),
    }
}

/// What must be added to the offsets inside a wrapper to have them absolute, after a look at every inner message.
///
/// # Errors
/// `Malformed`: nothing inside, a message cut off, compressed once more or of another magic, or inner offsets beyond the
/// wrapper's.
pub(crate) fn inner_base_offset(wrapper: &BatchView<'_>, set: &[u8]) -> Result<i64, RecordError> {
    let mut last = None;
    for (index, message) in batches(set).enumerate() {
        let malformed = |why| RecordError::Malformed { index, why };
        let message = message.map_err(|_| malformed("the compressed set holds no whole message there"))?;
        if message.magic != wrapper.magic {
            return Err(malformed("its magic differs from that of the message around it"));
        }
        if message.is_compressed() {
            return Err(malformed("it is compressed inside a compressed message"));
        }
        last = Some((index, message.base_offset));
    }
    let Some((index, last)) = last else {
        return Err(RecordError::Malformed { index: 0, why: "the compressed message holds no message" });
    };
    match (wrapper.magic, wrapper.base_offset) {
        (Magic::V0, _) | (_, 0) => Ok(0),
        (_, offset) if offset < last => {
            Err(RecordError::Malformed { index, why: "its offset is larger than that of the message around it" })
        }
        (_, offset) => Ok(offset.wrapping_sub(last)),
    }
}

/// Appends one message of magic 0 or 1 to `output`. With a codec, `value` is a compressed set already.
fn encode(
    output: &mut Vec<u8>,
    (magic, codec): (Magic, Codec),
    offset: i64,
    (timestamp_type, timestamp): (TimestampType, i64),
    (key, value): KeyValue<'_>,
) {
    let start = output.len();
    let size = magic.min_len() - 12 + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
    output.reserve(size + 12);
    output.extend_from_slice(&offset.to_be_bytes());
    output.extend_from_slice(&(size as i32).to_be_bytes());
    output.extend_from_slice(&[0; 4]);
    let append_time = match magic != Magic::V0 && timestamp_type == TimestampType::LogAppendTime {
        true => LOG_APPEND_TIME,
        false => 0,
    };
    output.extend_from_slice(&[magic as u8, codec as u8 | append_time]);
    if magic != Magic::V0 {
        output.extend_from_slice(&timestamp.to_be_bytes());
    }
    for field in [key, value] {
        let length = field.map_or(-1, |bytes| bytes.len() as i32);
        output.extend_from_slice(&length.to_be_bytes());
        output.extend_from_slice(field.unwrap_or_default());
    }
    renew_crc_legacy(&mut output[start..]);
}

/// Appends `records` to `output` as messages of magic 0 or 1: one each without a codec, else one wrapper around all.
/// Offsets and timestamps are kept; with `LogAppendTime` each message says that its timestamp is of that kind.
///
/// # Errors
/// `NotAllowed` for zstd.
pub fn encode_set(
    output: &mut Vec<u8>,
    magic: Magic,
    codec: Codec,
    timestamp_type: TimestampType,
    records: &[Record<'_>],
) -> Result<(), CompressionError> {
    debug_assert!(magic != Magic::V2);
    let (Some(first), Some(last)) = (records.first(), records.last()) else {
        return Ok(());
    };
    // Inner offsets count from the first only where both are so: magic 1, compressed.
    let base_offset = if magic == Magic::V1 && codec != Codec::None { first.offset } else { 0 };
    let mut set = Vec::new();
    let messages = if codec == Codec::None { &mut *output } else { &mut set };
    for record in records {
        let offset = record.offset.wrapping_sub(base_offset);
        let timestamp = (timestamp_type, record.timestamp);
        encode(messages, (magic, Codec::None), offset, timestamp, (record.key, record.value));
    }
    if codec == Codec::None {
        return Ok(());
    }
    let mut compressed = Vec::new();
    compress(codec, magic, &set, &mut compressed)?;
    let timestamp = records.iter().map(|record| record.timestamp).max().unwrap_or(NO_TIMESTAMP);
    encode(output, (magic, codec), last.offset, (timestamp_type, timestamp), (None, Some(&compressed)));
    Ok(())
}
