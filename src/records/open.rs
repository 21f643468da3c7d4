//! Reads the records of a batch of any magic, decompressing it if it must.

use std::borrow::Cow;

use crate::batch::{BatchView, Batches, Magic, TimestampType, batches};
use crate::compression::{Codec, decompress};
use crate::message_set::{inner_base_offset, key_value};
use crate::record::{Headers, Outline, Reader, Record, RecordError, known_codec};

/// A batch whose records lie open: borrowed from the batch, or decompressed from it.
pub struct OpenBatch<'a> {
    batch: BatchView<'a>,
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
        let codec = known_codec((batch.attributes & 0x07) as u8, batch.magic)?;
        let mut open = OpenBatch { batch: *batch, codec, body: Cow::Borrowed(&[]), inner_base_offset: 0 };
        open.body = match (batch.magic, codec) {
            (Magic::V2, Codec::None) => Cow::Borrowed(batch.body()),
            (Magic::V2, codec) => Cow::Owned(decompress(codec, batch.magic, batch.body(), limit)?),
            (_, Codec::None) => Cow::Borrowed(batch.bytes()),
            (_, codec) => {
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
        let left = match self.batch.magic {
            Magic::V2 => Left::Stored { reader: Reader { rest: &self.body }, count: self.batch.count },
            Magic::V0 | Magic::V1 => Left::Messages(batches(&self.body)),
        };
        Records { open: self, left, index: 0, failed: false }
    }

    /// Compares the checksum of each message inside a compressed one of magic 0 or 1; other batches have none inside.
    ///
    /// # Errors
    /// `BadCrc`.
    pub fn check_inner_crc(&self) -> Result<(), RecordError> {
        if self.batch.magic == Magic::V2 || self.codec == Codec::None {
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
        for index in 0..usize::try_from(self.batch.count).unwrap_or(0) {
            let outline = reader.outline().map_err(|why| RecordError::Malformed { index, why })?;
            each(index, outline);
        }
        check_end(reader.rest, self.batch.count)
    }
}

/// Steps over `count` records of a batch of magic 2 that is not compressed, by their lengths alone.
///
/// # Errors
/// `Malformed` if just so many records do not fill `body`.
pub(crate) fn check_lengths(body: &[u8], count: i32) -> Result<(), RecordError> {
    let mut reader = Reader { rest: body };
    for index in 0..usize::try_from(count).unwrap_or(0) {
        reader.skip().map_err(|why| RecordError::Malformed { index, why })?;
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
    fn read(&mut self) -> Result<Option<Record<'a>>, RecordError> {
        let index = self.index;
        let malformed = |why| RecordError::Malformed { index, why };
        let batch = self.open.batch.header();
        let append_time = (batch.timestamp_type() == TimestampType::LogAppendTime).then_some(batch.max_timestamp);
        match &mut self.left {
            Left::Stored { reader, count } if usize::try_from(*count).unwrap_or(0) <= index => {
                check_end(reader.rest, *count).map(|()| None)
            }
            Left::Stored { reader, .. } => {
                let stored = reader.record().map_err(malformed)?;
                Ok(Some(Record {
                    offset: batch.base_offset.wrapping_add(i64::from(stored.offset_delta)),
                    timestamp: append_time.unwrap_or(batch.base_timestamp.wrapping_add(stored.timestamp_delta)),
                    key: stored.key,
                    value: stored.value,
                    headers: stored.headers,
                }))
            }
            Left::Messages(messages) => {
                let Some(message) = messages.next() else {
                    return Ok(None);
                };
                let message = message.map_err(|_| malformed("no whole message is there"))?;
                let (key, value) = key_value(&message).map_err(malformed)?;
                Ok(Some(Record {
                    offset: message.base_offset.wrapping_add(self.open.inner_base_offset),
                    timestamp: append_time.unwrap_or(message.max_timestamp),
                    key,
                    value,
                    headers: Headers::default(),
                }))
            }
        }
    }
}
