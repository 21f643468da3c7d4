//! Reads the records of a batch of any magic, decompressing it if it must.

use std::borrow::Cow;

use crate::batch::{BatchHeader, BatchParts, BatchView, Batches, Magic, TimestampType, batches};
use crate::compression::{Codec, decompress};
use crate::message_set::{inner_base_offset, key_value, record_of};
use crate::record::{Outline, Reader, Record, RecordError, Stored, known_codec};

/// A batch whose records lie open: borrowed from the batch, or decompressed from it.
pub struct OpenBatch<'a> {
    header: BatchHeader,
    codec: Codec,
    body: Cow<'a, [u8]>,
    /// What is added to the offsets inside a compressed message of magic 1.
    inner_base_offset: i64,
}

impl<'a> OpenBatch<'a> {
    /// Opens `batch`, decompressing at most `limit` bytes. Does not look at its checksum.
    ///
    /// # Errors
    /// `UnknownCodec`, `Compression`; `Malformed` for what a compressed message of magic 0 or 1 may not hold.
    pub fn open(batch: &BatchView<'a>, limit: usize) -> Result<OpenBatch<'a>, RecordError> {
        if let Some(parts) = batch.parts() {
            return OpenBatch::open_parts(&parts, limit);
        }
        let mut open = OpenBatch::closed(batch.header())?;
        open.body = match open.codec {
            Codec::None => Cow::Borrowed(batch.bytes()),
            codec => {
                let malformed = |why| RecordError::Malformed { index: 0, why };
                let (_, value) = key_value(batch).map_err(malformed)?;
                let value = value.ok_or_else(|| malformed("the compressed message has no value"))?;
                let set = decompress(codec, batch.magic, value, limit)?;
                open.inner_base_offset = inner_base_offset(batch, &set)?;
                Cow::Owned(set)
            }
        };
        Ok(open)
    }

    /// The same for a batch of magic 2 in two pieces.
    ///
    /// # Errors
    /// `UnknownCodec`, `Compression`.
    pub fn open_parts(batch: &BatchParts<'a>, limit: usize) -> Result<OpenBatch<'a>, RecordError> {
        let mut open = OpenBatch::closed(batch.header())?;
        open.body = match open.codec {
            Codec::None => Cow::Borrowed(batch.body()),
            codec => Cow::Owned(decompress(codec, batch.magic, batch.body(), limit)?),
        };
        Ok(open)
    }

    fn closed(header: &BatchHeader) -> Result<OpenBatch<'a>, RecordError> {
        let codec = known_codec((header.attributes & 0x07) as u8, header.magic)?;
        Ok(OpenBatch { header: *header, codec, body: Cow::Borrowed(&[]), inner_base_offset: 0 })
    }

    /// The codec of the batch.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The records, encoded and no longer compressed.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Each record in order. An error is the last thing yielded. If all are read without one, the batch held just as
    /// many records as its header says and nothing behind them.
    pub fn records(&self) -> Records<'_> {
        let left = match self.header.magic {
            Magic::V2 => Left::Stored { reader: Reader { rest: &self.body }, count: self.header.count },
            Magic::V0 | Magic::V1 => Left::Messages(batches(&self.body)),
        };
        Records { open: self, left, index: 0, failed: false }
    }

    /// The records' bytes, and a place among them to read on from: for who keeps both and comes back.
    pub fn into_cursor(self) -> (RecordCursor, Cow<'a, [u8]>) {
        let cursor =
            RecordCursor { header: self.header, inner_base_offset: self.inner_base_offset, index: 0, position: 0 };
        (cursor, self.body)
    }

    /// Compares the checksum of each message inside a compressed one of magic 0 or 1; other batches have none inside.
    ///
    /// # Errors
    /// `BadCrc`.
    pub fn check_inner_crc(&self) -> Result<(), RecordError> {
        if self.header.magic == Magic::V2 || self.codec == Codec::None {
            return Ok(());
        }
        for (index, message) in batches(&self.body).enumerate() {
            message.and_then(|message| message.check_crc()).map_err(|_| RecordError::BadCrc { index })?;
        }
        Ok(())
    }

    /// Calls `each` with a quick look at every record of a batch of magic 2: its length, its timestamp, whether it has a key.
    ///
    /// # Errors
    /// `Malformed`, also if the batch does not hold just as many records as its header says.
    pub(crate) fn outlines(&self, mut each: impl FnMut(usize, Outline)) -> Result<(), RecordError> {
        let mut reader = Reader { rest: &self.body };
        for index in 0..usize::try_from(self.header.count).unwrap_or(0) {
            let outline = reader.outline().map_err(|why| RecordError::Malformed { index, why })?;
            each(index, outline);
        }
        check_end(reader.rest, self.header.count)
    }
}

/// Steps over `count` records of a batch of magic 2 that is not compressed, by their lengths alone.
///
/// # Errors
/// `Malformed` if just so many records do not fill `body`.
pub(crate) fn check_lengths(body: &[u8], count: i32) -> Result<(), RecordError> {
    let mut reader = Reader { rest: body };
    let all = usize::try_from(count).unwrap_or(0);
    let mut left = all;
    while left > 0 {
        left -= reader.skip_equals(left).map_err(|why| RecordError::Malformed { index: all - left, why })?;
    }
    check_end(reader.rest, count)
}

fn check_end(rest: &[u8], count: i32) -> Result<(), RecordError> {
    let index = usize::try_from(count).unwrap_or(0);
    match (count, rest) {
        (..0, _) => Err(RecordError::Malformed { index, why: "the batch's count of records is negative" }),
        (_, []) => Ok(()),
        _ => Err(RecordError::Malformed { index, why: "bytes are left behind the last record" }),
    }
}

/// A place among the records of an opened batch, apart from their bytes.
#[derive(Debug, Clone)]
pub struct RecordCursor {
    header: BatchHeader,
    inner_base_offset: i64,
    index: usize,
    position: usize,
}

impl RecordCursor {
    /// The next record of `body`, which must be the one that [`OpenBatch::into_cursor`] gave.
    ///
    /// # Errors
    /// `Malformed`, and the same again whenever it is asked for more.
    #[inline]
    pub fn next<'b>(&mut self, body: &'b [u8]) -> Result<Option<Record<'b>>, RecordError> {
        let index = self.index;
        let malformed = |why| RecordError::Malformed { index, why };
        let rest = body.get(self.position..).unwrap_or_default();
        let record = match self.header.magic {
            Magic::V2 if usize::try_from(self.header.count).unwrap_or(0) <= index => {
                return check_end(rest, self.header.count).map(|()| None);
            }
            Magic::V2 => {
                let mut reader = Reader { rest };
                let stored = reader.record().map_err(malformed)?;
                self.position = body.len() - reader.rest.len();
                absolute(&self.header, stored)
            }
            Magic::V0 | Magic::V1 => {
                let mut messages = batches(rest);
                let Some(message) = messages.next() else {
                    return Ok(None);
                };
                let message = message.map_err(|_| malformed("no whole message is there"))?;
                let record = inner(&self.header, self.inner_base_offset, record_of(&message).map_err(malformed)?);
                self.position += messages.position();
                record
            }
        };
        self.index += 1;
        Ok(Some(record))
    }
}

/// When the batch says that all its records were appended.
#[inline]
fn append_time(batch: &BatchHeader) -> Option<i64> {
    (batch.timestamp_type() == TimestampType::LogAppendTime).then_some(batch.max_timestamp)
}

/// A record of magic 2 with its own offset and timestamp.
#[inline]
fn absolute<'a>(batch: &BatchHeader, stored: Stored<'a>) -> Record<'a> {
    Record {
        offset: batch.base_offset.wrapping_add(i64::from(stored.offset_delta)),
        timestamp: append_time(batch).unwrap_or(batch.base_timestamp.wrapping_add(stored.timestamp_delta)),
        key: stored.key,
        value: stored.value,
        headers: stored.headers,
    }
}

/// A record of magic 0 or 1 out of a compressed message.
#[inline]
fn inner<'a>(batch: &BatchHeader, base_offset: i64, record: Record<'a>) -> Record<'a> {
    Record {
        offset: record.offset.wrapping_add(base_offset),
        timestamp: append_time(batch).unwrap_or(record.timestamp),
        ..record
    }
}

/// The records of an [`OpenBatch`].
pub struct Records<'a> {
    open: &'a OpenBatch<'a>,
    left: Left<'a>,
    index: usize,
    failed: bool,
}

enum Left<'a> {
    Stored { reader: Reader<'a>, count: i32 },
    Messages(Batches<'a>),
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let result = self.read().transpose()?;
        self.index += 1;
        self.failed = result.is_err();
        Some(result)
    }
}

impl<'a> Records<'a> {
    #[inline(always)]
    fn read(&mut self) -> Result<Option<Record<'a>>, RecordError> {
        let index = self.index;
        let malformed = |why| RecordError::Malformed { index, why };
        let batch = &self.open.header;
        match &mut self.left {
            Left::Stored { reader, count } if usize::try_from(*count).unwrap_or(0) <= index => {
                check_end(reader.rest, *count).map(|()| None)
            }
            Left::Stored { reader, .. } => {
                let stored = reader.record().map_err(malformed)?;
                Ok(Some(absolute(batch, stored)))
            }
            Left::Messages(messages) => {
                let Some(message) = messages.next() else {
                    return Ok(None);
                };
                let message = message.map_err(|_| malformed("no whole message is there"))?;
                let record = record_of(&message).map_err(malformed)?;
                Ok(Some(inner(batch, self.open.inner_base_offset, record)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// What the walk may shorten it must not see otherwise: all lengths of varints, runs of equal records, cut-off ends,
    /// lengths that are negative or too large, counts that do not fit.
    #[test]
    fn the_walk_by_lengths_agrees_with_a_look_at_one_record_after_the_other() {
        let slowly = |body: &[u8], count: i32| {
            let mut reader = Reader { rest: body };
            for index in 0..count.max(0) as usize {
                reader.skip().map_err(|why| format!("{:?}", RecordError::Malformed { index, why }))?;
            }
            check_end(reader.rest, count).map_err(|error| format!("{error:?}"))
        };
        let mut refused = 0;
        for seed in 0..3000 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut body = Vec::new();
            let mut count = 0;
            for _ in 0..random.random_range(0..6) {
                let length = [0usize, 1, 63, 64, 100, 8191, 8192, 16384][random.random_range(0..8)];
                for _ in 0..random.random_range(1..5) {
                    let mut zigzag = length << 1;
                    while zigzag >= 0x80 {
                        body.push(zigzag as u8 | 0x80);
                        zigzag >>= 7;
                    }
                    body.push(zigzag as u8);
                    body.resize(body.len() + length, seed as u8);
                    count += 1;
                }
            }
            match random.random_range(0..4) {
                0 => body.truncate(random.random_range(0..=body.len())),
                1 if !body.is_empty() => {
                    let at = random.random_range(0..body.len().min(300));
                    body[at] = random.random();
                }
                2 => count += random.random_range(-2..3),
                _ => {}
            }
            let found = check_lengths(&body, count).map_err(|error| format!("{error:?}"));
            assert_eq!(found, slowly(&body, count), "seed {seed}");
            refused += u32::from(found.is_err());
        }
        assert!((500..2500).contains(&refused), "{refused}");
    }
}
