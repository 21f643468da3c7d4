//! Messages of magic 0 and 1, alone or compressed as a set inside a wrapper (`LegacyRecord.java`,
//! `AbstractLegacyRecordBatch.java`).
//!
//! A wrapper's value is a compressed message set; its offset is the last inner one. Inner offsets are absolute in magic
//! 0 and count from 0 in magic 1, where a wrapper offset of 0 means "not assigned yet" whatever stands inside (old
//! librdkafka). A wrapper with log append time lends its timestamp to all inside.

use crate::batch::{BatchView, LOG_OVERHEAD, MIN_LEN_V1, Magic, TimestampType, batches, i32_at, renew_crcs_legacy};
use crate::compression::{Codec, CompressionError, compress};
use crate::record::{Headers, Record, RecordError, Why};

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

/// The record that an uncompressed message is; its offset is the one that stands there.
#[inline]
pub(crate) fn record_of<'a>(message: &BatchView<'a>) -> Result<Record<'a>, Why> {
    let (key, value) = key_value(message)?;
    let headers = Headers::default();
    Ok(Record { offset: message.base_offset, timestamp: message.max_timestamp, key, value, headers })
}

/// The same of a message that is no part of a compressed one.
///
/// # Errors
/// `Malformed`.
#[inline]
pub fn lone_record<'a>(message: &BatchView<'a>) -> Result<Record<'a>, RecordError> {
    record_of(message).map_err(|why| RecordError::Malformed { index: 0, why })
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

/// Bytes of a message of magic 0 or 1.
fn size_of(magic: Magic, (key, value): KeyValue<'_>) -> usize {
    magic.min_len() + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)
}

/// Appends one message of magic 0 or 1 to `output`. With a codec, `value` is a compressed set already.
#[inline(always)]
fn encode(
    output: &mut Vec<u8>,
    (magic, codec): (Magic, Codec),
    offset: i64,
    (timestamp_type, timestamp): (TimestampType, i64),
    (key, value): KeyValue<'_>,
) {
    let size = size_of(magic, (key, value));
    output.reserve(size);
    let append_time = match magic != Magic::V0 && timestamp_type == TimestampType::LogAppendTime {
        true => LOG_APPEND_TIME,
        false => 0,
    };
    let length_of = |field: Option<&[u8]>| field.map_or(-1, |bytes| bytes.len() as i32).to_be_bytes();
    // All up to the key, which is most of what is written for a short record, in one piece.
    let mut head = [0; MIN_LEN_V1 - 4];
    head[..8].copy_from_slice(&offset.to_be_bytes());
    head[8..12].copy_from_slice(&((size - LOG_OVERHEAD) as i32).to_be_bytes());
    head[16] = magic as u8;
    head[17] = codec as u8 | append_time;
    match magic {
        Magic::V0 => {
            head[18..22].copy_from_slice(&length_of(key));
            output.extend_from_slice(&head[..22]);
        }
        _ => {
            head[18..26].copy_from_slice(&timestamp.to_be_bytes());
            head[26..30].copy_from_slice(&length_of(key));
            output.extend_from_slice(&head);
        }
    }
    output.extend_from_slice(key.unwrap_or_default());
    output.extend_from_slice(&length_of(value));
    output.extend_from_slice(value.unwrap_or_default());
}

/// Bytes of messages that are encoded before they get their checksums.
const UNSEALED: usize = 8 << 10;

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
    let each = records.iter().map(|record| Ok(*record));
    encode_each(output, (magic, codec), timestamp_type, each, (0, usize::MAX)).map(drop)
}

/// The same with records that are read meanwhile; whether these were all. Without a codec they are as many as fit until
/// `output` has `room` bytes; with one, `expected` bytes are set aside for them. What an error leaves behind in `output` is
/// no message set.
///
/// # Errors
/// `NotAllowed` for zstd; that of a record.
pub(crate) fn encode_each<'a, E: From<CompressionError>>(
    output: &mut Vec<u8>,
    (magic, codec): (Magic, Codec),
    timestamp_type: TimestampType,
    records: impl Iterator<Item = Result<Record<'a>, E>>,
    (expected, room): (usize, usize),
) -> Result<bool, E> {
    debug_assert!(magic != Magic::V2);
    let is_compressed = codec != Codec::None;
    let mut set = if is_compressed { Vec::with_capacity(expected) } else { Vec::new() };
    let (messages, room) = if is_compressed { (&mut set, usize::MAX) } else { (&mut *output, room) };
    // Inner offsets count from the first only where both are so: magic 1, compressed.
    let is_relative = magic == Magic::V1 && is_compressed;
    let mut base_offset = None;
    let mut last = None;
    let mut max_timestamp = i64::MIN;
    let mut is_whole = true;
    let mut sealed = messages.len();
    for record in records {
        let record = record?;
        if size_of(magic, (record.key, record.value)) > room.saturating_sub(messages.len()) {
            is_whole = false;
            break;
        }
        let base_offset = *base_offset.get_or_insert(if is_relative { record.offset } else { 0 });
        let timestamp = (timestamp_type, record.timestamp);
        let offset = record.offset.wrapping_sub(base_offset);
        encode(messages, (magic, Codec::None), offset, timestamp, (record.key, record.value));
        last = Some(record.offset);
        max_timestamp = max_timestamp.max(record.timestamp);
        if messages.len() - sealed >= UNSEALED {
            renew_crcs_legacy(&mut messages[sealed..]);
            sealed = messages.len();
        }
    }
    renew_crcs_legacy(&mut messages[sealed..]);
    let Some(last) = last.filter(|_| is_compressed) else {
        return Ok(is_whole);
    };
    let mut compressed = Vec::with_capacity(set.len() / 2);
    compress(codec, magic, &set, &mut compressed)?;
    let start = output.len();
    encode(output, (magic, codec), last, (timestamp_type, max_timestamp), (None, Some(&compressed)));
    renew_crcs_legacy(&mut output[start..]);
    Ok(true)
}
