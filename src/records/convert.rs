//! Conversion between record formats: up, when an old producer writes into a log of magic 2; down, when an old consumer
//! reads from one (`RecordsUtil.java`, `LazyDownConversionRecords.java`; KIP-31, KIP-32, KIP-98).
//!
//! Conversion makes new checksums, so it checks the old ones first: damage must not come out with a seal on it.

use crate::batch::{BatchError, BatchView, HEADER_LEN, Magic, batches};
use crate::builder::{BatchBuilder, BatchFields};
use crate::compression::{Codec, CompressionError};
use crate::message_set::encode_each;
use crate::open::OpenBatch;
use crate::record::RecordError;

/// Why batches cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The first batch is compressed with zstd, which the old formats do not have.
    #[error("position {position}: zstd has no equivalent in record formats 0 and 1")]
    UnsupportedCompression {
        /// Where the batch begins.
        position: usize,
    },
    /// The bytes are damaged.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The records of a batch cannot be read.
    #[error("position {position}: {error}")]
    Records {
        /// Where the batch begins.
        position: usize,
        /// What is wrong with its records.
        error: RecordError,
    },
}

/// Converts batches, whatever their magic, for a consumer that knows nothing above `to` (magic 0 or magic 1) and asked for
/// `first_offset`. Offsets, timestamps and codecs are kept. Headers, producers' fields and control batches are left out;
/// so are the records below `first_offset` of an uncompressed batch of magic 2, as the old formats have no batch around
/// them that would tell a consumer to skip.
///
/// The batches may come piece by piece. At least one is converted, and as many more as fit into `room` bytes; of one that
/// was not compressed, as many records as fit.
#[derive(Debug, Clone, Copy)]
pub struct DownConversion {
    /// The newest format that the consumer reads.
    pub to: Magic,
    /// Where it reads from.
    pub first_offset: i64,
    /// The most that it should get, in bytes.
    pub room: usize,
    /// The most that a batch may have after decompression, in bytes.
    pub limit: usize,
}

/// What [`DownConversion::append`] made of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Converted {
    /// Bytes of the batches that need not come again.
    pub done: usize,
    /// Whether all is there that the consumer gets.
    pub is_full: bool,
}

impl DownConversion {
    /// Appends what the whole batches of `bytes` bring to `output`, which holds what came of the pieces before.
    ///
    /// # Errors
    /// Any of [`ConvertError`] in the first batch that matters; `output` is of no use then. A fault behind batches that
    /// were converted ends the conversion there, and the consumer's next fetch meets it.
    pub fn append(&self, output: &mut Vec<u8>, bytes: &[u8]) -> Result<Converted, ConvertError> {
        debug_assert!(self.to != Magic::V2);
        let mut walk = batches(bytes);
        loop {
            let done = walk.position();
            let Some(batch) = walk.next() else {
                return Ok(Converted { done, is_full: false });
            };
            let start = output.len();
            let room = if start == 0 { usize::MAX } else { self.room };
            let converted = match batch {
                Ok(batch) => self.append_one(&batch, room, output).map_err(|error| error.at(done)),
                Err(BatchError::CutOff { .. }) => return Ok(Converted { done, is_full: false }),
                Err(error) => Err(error.into()),
            };
            match converted {
                Ok(true) if output.len() <= room => {}
                Ok(false) => return Ok(Converted { done, is_full: true }),
                Err(error) if start == 0 => return Err(error),
                Ok(true) | Err(_) => {
                    output.truncate(start);
                    return Ok(Converted { done, is_full: true });
                }
            }
        }
    }

    /// Ends the conversion of batches of which nothing came, or which ended inside the first, with the start of a message
    /// that claims to be longer than the room (`LazyDownConversionRecordsSend.buildOverflowBatch`): the consumer then
    /// raises its fetch size.
    pub fn finish(&self, output: &mut Vec<u8>) {
        if output.is_empty() {
            let length = i32::try_from(self.room.saturating_add(1).max(HEADER_LEN)).unwrap_or(i32::MAX);
            output.extend_from_slice(&(-1i64).to_be_bytes());
            output.extend_from_slice(&length.to_be_bytes());
        }
    }

    /// Appends what a batch brings; of an error, too, something may have been appended. Whether it was all of it.
    fn append_one(&self, batch: &BatchView<'_>, room: usize, output: &mut Vec<u8>) -> Result<bool, ConvertError> {
        if batch.is_control() {
            return Ok(true);
        }
        if batch.codec() == Some(Codec::Zstd) {
            return Err(ConvertError::UnsupportedCompression { position: 0 });
        }
        if batch.magic <= self.to {
            output.extend_from_slice(batch.bytes());
            return Ok(true);
        }
        batch.check_crc()?;
        let failed = |error| ConvertError::Records { position: 0, error };
        let open = OpenBatch::open(batch, self.limit).map_err(failed)?;
        let least = if batch.is_compressed() { i64::MIN } else { self.first_offset };
        let records = open.records().filter(|record| record.as_ref().map_or(true, |record| record.offset >= least));
        let expected = open.body().len() + open.body().len() / 4;
        encode_each(output, (self.to, open.codec()), batch.timestamp_type(), records, (expected, room)).map_err(failed)
    }
}

/// A [`DownConversion`] of batches that are all there; nothing, if there are none.
///
/// # Errors
/// As [`DownConversion::append`].
pub fn down_convert(
    bytes: &[u8],
    to: Magic,
    first_offset: i64,
    room: usize,
    limit: usize,
) -> Result<Vec<u8>, ConvertError> {
    let mut output = Vec::with_capacity((bytes.len() + bytes.len() / 4).min(room));
    let conversion = DownConversion { to, first_offset, room, limit };
    conversion.append(&mut output, bytes)?;
    if !bytes.is_empty() {
        conversion.finish(&mut output);
    }
    Ok(output)
}

impl ConvertError {
    fn at(self, by: usize) -> ConvertError {
        match self {
            ConvertError::UnsupportedCompression { position } => {
                ConvertError::UnsupportedCompression { position: position + by }
            }
            ConvertError::Batch(error) => ConvertError::Batch(error.moved(by)),
            ConvertError::Records { position, error } => ConvertError::Records { position: position + by, error },
        }
    }
}

/// Makes one batch of magic 2 of all records of `batch`, of any magic, numbering them anew from the base offset in
/// `fields`. Records keep key, value, headers and timestamp (-1 in magic 0).
///
/// # Errors
/// `Malformed` records; a codec that fails.
pub fn up_convert(fields: BatchFields, batch: &OpenBatch<'_>) -> Result<Vec<u8>, RecordError> {
    let mut builder = BatchBuilder::with_capacity(fields, batch.body().len());
    for record in batch.records() {
        let offset = fields.base_offset.wrapping_add(i64::from(builder.count()));
        builder.append_at(offset, &record?);
    }
    builder.finish().map_err(CompressionError::into)
}
