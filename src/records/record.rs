//! One record: what every format stores, and the encoding inside a batch of magic 2 (`DefaultRecord.java`).

use crate::batch::Magic;
use crate::compression::{Codec, CompressionError};

/// A record of any format, borrowed from the bytes it stands in. Offset and timestamp are absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the partition.
    pub offset: i64,
    /// In ms since 1970, -1 if none.
    pub timestamp: i64,
    /// The key; `None` is null, not empty.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is null, a tombstone where the log is compacted.
    pub value: Option<&'a [u8]>,
    /// The headers; magic 0 and 1 have none.
    pub headers: Headers<'a>,
}

/// A header of a record: key and value, which may be null.
pub type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// The headers of a record, still encoded; checked when the record was read.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each header in order.
    pub fn iter(&self) -> HeaderIter<'a> {
        HeaderIter { left: self.count, reader: Reader { rest: self.bytes } }
    }
}

/// The headers of a record, one after another.
#[derive(Clone)]
pub struct HeaderIter<'a> {
    left: usize,
    reader: Reader<'a>,
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.reader.header().ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for HeaderIter<'_> {}

impl std::fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Why the records of a batch cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A record's bytes are not in the format, or fewer or more records stand there than the batch says.
    #[error("record {index} of the batch: {why}")]
    Malformed {
        /// Which record of the batch, from 0.
        index: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// An inner message of magic 0 or 1 does not fit its own checksum.
    #[error("message {index} of the compressed set: its checksum does not fit its bytes")]
    BadCrc {
        /// Which message, from 0.
        index: usize,
    },
    /// The codec id is 5, 6 or 7.
    #[error("the compression codec {id} is unknown")]
    UnknownCodec {
        /// The id in the attributes.
        id: u8,
    },
    /// The compressed records cannot be decompressed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

pub(crate) type Why = &'static str;

/// A record as a batch of magic 2 stores it: offset and timestamp relative to the batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) offset_delta: i32,
    pub(crate) timestamp_delta: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Headers<'a>,
}

/// What a leader must know of a record it does not deliver itself.
pub(crate) struct Outline {
    pub(crate) timestamp_delta: i64,
    pub(crate) has_key: bool,
}

/// Reads records of magic 2 one after another.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next record, whole.
    #[inline(always)]
    pub(crate) fn record(&mut self) -> Result<Stored<'a>, Why> {
        let mut body = Reader { rest: self.body()? };
        body.byte()?;
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        let key = body.nullable()?;
        let value = body.nullable()?;
        let count = body.varint()?;
        let count = usize::try_from(count).map_err(|_| "the number of headers is negative")?;
        if count > body.rest.len() {
            return Err("more headers than bytes");
        }
        let headers = Headers { count, bytes: body.rest };
        for _ in 0..count {
            body.header()?;
        }
        match body.rest {
            [] => Ok(Stored { offset_delta, timestamp_delta, key, value, headers }),
            _ => Err("bytes are left behind the headers"),
        }
    }

    /// The next record's timestamp and whether it has a key; key, value and headers are stepped over unread.
    #[inline]
    pub(crate) fn outline(&mut self) -> Result<Outline, Why> {
        let mut body = Reader { rest: self.body()? };
        body.byte()?;
        let timestamp_delta = body.varlong()?;
        body.varint()?;
        let has_key = body.varint()? >= 0;
        Ok(Outline { timestamp_delta, has_key })
    }

    /// Steps over the next record and those behind it, up to `most` in all, that are just as long, reading their lengths
    /// alone; how many they were.
    ///
    /// Where a record begins is known only when the length before it is loaded. Records of a topic often have one length:
    /// taking the next one to be as long as the last, and then comparing, the processor need not wait. That is three
    /// times faster for such records, and costs others next to nothing.
    #[inline]
    pub(crate) fn skip_equals(&mut self, most: usize) -> Result<usize, Why> {
        let first = self.rest;
        self.skip()?;
        let size = first.len() - self.rest.len();
        let mut count = 1;
        // A length of three bytes or more is not told by two.
        if let [a, b, ..] = *first
            && (a < 0x80 || b < 0x80)
        {
            while count < most
                && let [c, d, ..] = *self.rest
                && (c, d) == (a, b)
                && let Some(rest) = self.rest.get(size..)
            {
                self.rest = rest;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Steps over the next record, reading its length alone.
    #[inline]
    pub(crate) fn skip(&mut self) -> Result<(), Why> {
        self.body().map(drop)
    }

    #[inline(always)]
    fn body(&mut self) -> Result<&'a [u8], Why> {
        let length = usize::try_from(self.varint()?).map_err(|_| "its length is negative")?;
        self.take(length)
    }

    fn header(&mut self) -> Result<Header<'a>, Why> {
        let key = self.nullable()?.ok_or("the key of a header is null")?;
        Ok((key, self.nullable()?))
    }

    #[inline(always)]
    fn nullable(&mut self) -> Result<Option<&'a [u8]>, Why> {
        match self.varint()? {
            length if length < 0 => Ok(None),
            length => self.take(length as usize).map(Some),
        }
    }

    #[inline(always)]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Why> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or("it is longer than the bytes left")?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Why> {
        let (byte, rest) = self.rest.split_first().ok_or("it ends early")?;
        self.rest = rest;
        Ok(*byte)
    }

    /// A zig-zag varint of at most 5 bytes.
    #[inline(always)]
    fn varint(&mut self) -> Result<i32, Why> {
        match self.short() {
            Some(value) => Ok(value as i32),
            None => self.long_varint(),
        }
    }

    /// A zig-zag varint of at most 10 bytes.
    #[inline(always)]
    fn varlong(&mut self) -> Result<i64, Why> {
        match self.short() {
            Some(value) => Ok(i64::from(value)),
            None => self.long_varlong(),
        }
    }

    /// A zig-zag varint of one byte or two, as nearly all are; nothing is read of others.
    #[inline(always)]
    fn short(&mut self) -> Option<i16> {
        let (value, rest) = match self.rest {
            [a @ ..0x80, rest @ ..] => (u16::from(*a), rest),
            [a, b @ ..0x80, rest @ ..] => (u16::from(*a & 0x7f) | u16::from(*b) << 7, rest),
            _ => return None,
        };
        self.rest = rest;
        Some((value >> 1) as i16 ^ -((value & 1) as i16))
    }

    #[cold]
    fn long_varint(&mut self) -> Result<i32, Why> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1) as i32 ^ -((value & 1) as i32));
            }
        }
        Err("a varint is longer than 5 bytes")
    }

    #[cold]
    fn long_varlong(&mut self) -> Result<i64, Why> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err("a varlong is longer than 10 bytes")
    }
}

/// Bytes of a record of magic 2 behind its length.
#[inline]
pub(crate) fn body_len<'h>(
    (offset_delta, timestamp_delta): (i32, i64),
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl ExactSizeIterator<Item = Header<'h>>,
) -> usize {
    let count = headers.len();
    let mut body = 1 + varlong_len(timestamp_delta) + varint_len(offset_delta);
    body += nullable_len(key) + nullable_len(value) + varint_len(count as i32);
    body + headers.map(|(key, value)| nullable_len(Some(key)) + nullable_len(value)).sum::<usize>()
}

/// Bytes of a record of magic 2 whose body has so many.
#[inline]
pub(crate) fn whole_len(body: usize) -> usize {
    varint_len(body as i32) + body
}

/// Room that [`encode`] takes for a moment behind a record.
pub(crate) const SLACK: usize = size_of::<u64>();

/// Appends a record of magic 2; `body` is its [`body_len`].
#[inline]
pub(crate) fn encode<'h>(
    output: &mut Vec<u8>,
    body: usize,
    (offset_delta, timestamp_delta): (i32, i64),
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl ExactSizeIterator<Item = Header<'h>>,
) {
    output.reserve(whole_len(body) + SLACK);
    let mut small = Small::default();
    small.put_varint(body as i32, output);
    small.put_unsigned(0, output);
    small.put_varlong(timestamp_delta, output);
    small.put_varint(offset_delta, output);
    small.flush(output);
    small.put_varint(key.map_or(-1, |key| key.len() as i32), output);
    if let Some(key) = key {
        small.flush(output);
        output.extend_from_slice(key);
    }
    small.put_varint(value.map_or(-1, |value| value.len() as i32), output);
    small.flush(output);
    output.extend_from_slice(value.unwrap_or_default());
    put_varint(output, headers.len() as i32);
    for (key, value) in headers {
        put_nullable(output, Some(key));
        put_nullable(output, value);
    }
}

/// Up to four fields of a record that follow each other. They are put together in a register: bytes that were stored one by
/// one hold up the processor when they are then copied as a whole.
#[derive(Default)]
struct Small {
    /// The first byte is the lowest one.
    word: u64,
    bits: u32,
}

impl Small {
    #[inline(always)]
    fn put_varint(&mut self, value: i32, output: &mut Vec<u8>) {
        self.put_unsigned(u64::from((value << 1) as u32 ^ (value >> 31) as u32), output);
    }

    #[inline(always)]
    fn put_varlong(&mut self, value: i64, output: &mut Vec<u8>) {
        self.put_unsigned((value << 1) as u64 ^ (value >> 63) as u64, output);
    }

    /// One byte or two, as nearly all are, without a loop; what is longer goes to the output at once, behind what waits.
    #[inline(always)]
    fn put_unsigned(&mut self, value: u64, output: &mut Vec<u8>) {
        if value < 0x80 {
            self.word |= value << self.bits;
            self.bits += 8;
        } else if value < 0x4000 {
            self.word |= (value & 0x7f | 0x80 | value >> 7 << 8) << self.bits;
            self.bits += 16;
        } else {
            self.put_long(value, output);
        }
    }

    #[cold]
    fn put_long(&mut self, value: u64, output: &mut Vec<u8>) {
        self.flush(output);
        put_unsigned(output, value);
    }

    /// Appends what was put since the last time: the whole word, since a copy of known size needs no call, cut off then.
    #[inline(always)]
    fn flush(&mut self, output: &mut Vec<u8>) {
        let end = output.len() + (self.bits / 8) as usize;
        output.extend_from_slice(&self.word.to_le_bytes());
        output.truncate(end);
        *self = Small::default();
    }
}

fn put_nullable(output: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(output, -1),
        Some(bytes) => {
            put_varint(output, bytes.len() as i32);
            output.extend_from_slice(bytes);
        }
    }
}

fn put_varint(output: &mut Vec<u8>, value: i32) {
    put_unsigned(output, u64::from((value << 1) as u32 ^ (value >> 31) as u32));
}

#[inline]
fn put_unsigned(output: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        output.push(value as u8 | 0x80);
        value >>= 7;
    }
    output.push(value as u8);
}

#[inline(always)]
fn nullable_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint_len(bytes.len() as i32) + bytes.len())
}

#[inline(always)]
fn varint_len(value: i32) -> usize {
    unsigned_len(u64::from((value << 1) as u32 ^ (value >> 31) as u32))
}

#[inline(always)]
fn varlong_len(value: i64) -> usize {
    unsigned_len((value << 1) as u64 ^ (value >> 63) as u64)
}

/// Seven bits a byte: 9/64 is near enough to 1/7 for the 64 numbers of bits that there are.
#[inline(always)]
fn unsigned_len(value: u64) -> usize {
    (((value | 1).ilog2() * 9 + 73) / 64) as usize
}

/// How a transaction ended, as the control record in each of its partitions says (`EndTransactionMarker.java`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTransactionMarker {
    /// Committed, or aborted.
    pub committed: bool,
    /// Epoch of the transaction coordinator that wrote it: the leader epoch of its `__transaction_state` partition.
    pub coordinator_epoch: i32,
}

const CONTROL_TYPE_ABORT: i16 = 0;
const CONTROL_TYPE_COMMIT: i16 = 1;

impl EndTransactionMarker {
    /// The key of the control record: version 0 and the type.
    pub fn key(&self) -> [u8; 4] {
        let control_type = if self.committed { CONTROL_TYPE_COMMIT } else { CONTROL_TYPE_ABORT };
        let [high, low] = control_type.to_be_bytes();
        [0, 0, high, low]
    }

    /// The value of the control record: version 0 and the coordinator's epoch.
    pub fn value(&self) -> [u8; 6] {
        let [a, b, c, d] = self.coordinator_epoch.to_be_bytes();
        [0, 0, a, b, c, d]
    }

    /// Reads a record of a control batch. `None` if it is another kind of control record or cut off. Later versions may
    /// add fields behind, which are not looked at.
    pub fn parse(record: &Record<'_>) -> Option<EndTransactionMarker> {
        let committed = match record.key? {
            [0..=0x7f, _, high, low, ..] => match i16::from_be_bytes([*high, *low]) {
                CONTROL_TYPE_ABORT => false,
                CONTROL_TYPE_COMMIT => true,
                _ => return None,
            },
            _ => return None,
        };
        match record.value? {
            [0..=0x7f, _, a, b, c, d, ..] => {
                Some(EndTransactionMarker { committed, coordinator_epoch: i32::from_be_bytes([*a, *b, *c, *d]) })
            }
            _ => None,
        }
    }
}

/// The codec of an id, or the error that names it.
pub(crate) fn known_codec(id: u8, magic: Magic) -> Result<Codec, RecordError> {
    let codec = Codec::from_id(id).ok_or(RecordError::UnknownCodec { id })?;
    match codec.allowed_in(magic) {
        true => Ok(codec),
        false => Err(CompressionError::NotAllowed { codec, magic }.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varints_length_is_that_of_its_bytes() {
        for bits in 0..64 {
            for value in [1u64 << bits, (1 << bits) - 1, u64::MAX >> bits] {
                let mut bytes = Vec::new();
                put_unsigned(&mut bytes, value);
                assert_eq!(unsigned_len(value), bytes.len(), "{value}");
                let (mut small, mut put) = (Small::default(), Vec::new());
                (0..4).for_each(|_| small.put_unsigned(value, &mut put));
                small.flush(&mut put);
                assert_eq!(put, bytes.repeat(4), "{value}");
            }
        }
    }
}
