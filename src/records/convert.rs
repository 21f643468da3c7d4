//! Conversion between record formats: up, when an old producer writes into a log of magic 2; down, when an old consumer
//! reads from one (`RecordsUtil.java`, `LazyDownConversionRecords.java`; KIP-31, KIP-32, KIP-98).
//!
//! Conversion makes new checksums, so it checks the old ones first: damage must not come out with a seal on it.

use crate::batch::{BatchError, BatchView, HEADER_LEN, LOG_OVERHEAD, Magic, batches};
use crate::builder::{BatchBuilder, BatchFields};
use crate::compression::{Codec, CompressionError};
use crate::message_set::encode_set;
use crate::open::OpenBatch;
use crate::record::{Record, RecordError};

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
    debug_assert!(to != Magic::V2);
    let mut output = Vec::new();
    let mut walk = batches(bytes);
    loop {
        let position = walk.position();
        let Some(batch) = walk.next() else {
            break;
        };
        let converted = match batch {
            Ok(batch) => convert_one(&batch, to, first_offset, limit).map_err(|error| error.at(position)),
            Err(BatchError::CutOff { .. }) => break,
            Err(error) => Err(error.into()),
        };
        match converted {
            Ok(converted) if output.is_empty() => output = converted,
            Ok(converted) if converted.len() <= room.saturating_sub(output.len()) => output.extend(converted),
            Err(error) if output.is_empty() => return Err(error),
            Ok(_) | Err(_) => break,
        }
    }
    if output.is_empty() && !bytes.is_empty() {
        output = overlong_message(room);
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

fn convert_one(batch: &BatchView<'_>, to: Magic, first_offset: i64, limit: usize) -> Result<Vec<u8>, ConvertError> {
    if batch.is_control() {
        return Ok(Vec::new());
    }
    if batch.codec() == Some(Codec::Zstd) {
        return Err(ConvertError::UnsupportedCompression { position: 0 });
    }
    if batch.magic <= to {
        return Ok(batch.bytes().to_vec());
    }
    batch.check_crc()?;
    let failed = |error| ConvertError::Records { position: 0, error };
    let open = OpenBatch::open(batch, limit).map_err(failed)?;
    let mut records = open.records().collect::<Result<Vec<Record<'_>>, _>>().map_err(failed)?;
    if !batch.is_compressed() {
        records.retain(|record| record.offset >= first_offset);
    }
    let mut output = Vec::with_capacity(batch.size());
    encode_set(&mut output, to, open.codec(), batch.timestamp_type(), &records)
        .map_err(|error| failed(error.into()))?;
    Ok(output)
}

/// The start of a message too long for `room` bytes (`LazyDownConversionRecordsSend.buildOverflowBatch`).
fn overlong_message(room: usize) -> Vec<u8> {
    let length = i32::try_from(room.saturating_add(1).max(HEADER_LEN)).unwrap_or(i32::MAX);
    let mut message = Vec::with_capacity(LOG_OVERHEAD);
    message.extend_from_slice(&(-1i64).to_be_bytes());
    message.extend_from_slice(&length.to_be_bytes());
    message
}

/// Makes one batch of magic 2 of all records of `batches`, of any magic, numbering them anew from the base offset in
/// `fields`. Records keep key, value, headers and timestamp (-1 in magic 0).
///
/// # Errors
/// `Malformed` records; a codec that fails.
pub fn up_convert(fields: BatchFields, batches: &[OpenBatch<'_>]) -> Result<Vec<u8>, RecordError> {
    let mut builder = BatchBuilder::new(fields);
    for record in batches.iter().flat_map(OpenBatch::records) {
        let offset = fields.base_offset.wrapping_add(i64::from(builder.count()));
        builder.append_at(offset, &record?);
    }
    builder.finish().map_err(CompressionError::into)
}
