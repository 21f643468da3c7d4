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

/// Converts the whole batches of `bytes`, whatever their magic, for a consumer that knows nothing above `to` (magic 0 or
/// magic 1) and asked for `first_offset`. Offsets, timestamps and codecs are kept. Headers, producers' fields and control
/// batches are left out; so are the records below `first_offset` of an uncompressed batch of magic 2, as the old formats
/// have no batch around them that would tell a consumer to skip.
///
/// At least one batch is converted, and as many more as fit into `room` bytes. If `bytes` has batches but nothing comes
/// of them, or ends inside the first, the answer is a message that claims to be longer than `room`: the consumer then
/// raises its fetch size. `limit` bounds the decompressed bytes of each batch.
///
/// # Errors
/// Any of [`ConvertError`] in the first batch that matters; a fault behind batches that were converted ends the
/// conversion there, and the consumer's next fetch meets it.
pub fn down_convert(
    bytes: &[u8],
    to: Magic,
    first_offset: i64,
    room: usize,
    limit: usize,
) -> Result<Vec<u8>, ConvertError> {
    let mut output = Vec::new();
    down_convert_into(&mut output, bytes, to, first_offset, room, limit)?;
    Ok(output)
}

/// The same into a buffer that is empty and may have been used before.
///
/// # Errors
/// As [`down_convert`]; the buffer's content is of no use then.
pub fn down_convert_into(
    output: &mut Vec<u8>,
    bytes: &[u8],
    to: Magic,
    first_offset: i64,
    room: usize,
    limit: usize,
) -> Result<(), ConvertError> {
    debug_assert!(to != Magic::V2 && output.is_empty());
    // What one batch brings is most often a little more than it was; all of them together may not be more than `room`.
    output.reserve((bytes.len() + bytes.len() / 4).min(room));
    let mut walk = batches(bytes);
    loop {
        let position = walk.position();
        let Some(batch) = walk.next() else {
            break;
        };
        let start = output.len();
        let converted = match batch {
            Ok(batch) => convert_one(&batch, to, first_offset, limit, output).map_err(|error| error.at(position)),
            Err(BatchError::CutOff { .. }) => break,
            Err(error) => Err(error.into()),
        };
        match converted {
            Ok(()) if start == 0 || output.len() <= room.max(start) => {}
            Err(error) if start == 0 => return Err(error),
            Ok(()) | Err(_) => {
                output.truncate(start);
                break;
            }
        }
    }
    if output.is_empty() && !bytes.is_empty() {
        overlong_message(room, output);
    }
    Ok(())
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

/// Appends what a batch brings to `output`; of an error, too, something may have been appended.
fn convert_one(
    batch: &BatchView<'_>,
    to: Magic,
    first_offset: i64,
    limit: usize,
    output: &mut Vec<u8>,
) -> Result<(), ConvertError> {
    if batch.is_control() {
        return Ok(());
    }
    if batch.codec() == Some(Codec::Zstd) {
        return Err(ConvertError::UnsupportedCompression { position: 0 });
    }
    if batch.magic <= to {
        output.extend_from_slice(batch.bytes());
        return Ok(());
    }
    batch.check_crc()?;
    let failed = |error| ConvertError::Records { position: 0, error };
    let open = OpenBatch::open(batch, limit).map_err(failed)?;
    let least = if batch.is_compressed() { i64::MIN } else { first_offset };
    let records = open.records().filter(|record| record.as_ref().map_or(true, |record| record.offset >= least));
    let expected = open.body().len() + open.body().len() / 4;
    encode_each(output, (to, open.codec()), batch.timestamp_type(), records, expected).map_err(failed)
}

/// The start of a message too long for `room` bytes (`LazyDownConversionRecordsSend.buildOverflowBatch`).
fn overlong_message(room: usize, output: &mut Vec<u8>) {
    let length = i32::try_from(room.saturating_add(1).max(HEADER_LEN)).unwrap_or(i32::MAX);
    output.extend_from_slice(&(-1i64).to_be_bytes());
    output.extend_from_slice(&length.to_be_bytes());
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
