//! Stored batches for the client that asked: as they are, or in the format of its day.

use bytes::Bytes;
use ottla_log::FileRange;
use ottla_log::config::CompressionType;
use ottla_protocol::ErrorCode;
use ottla_records::convert::{ConvertError, down_convert};
use ottla_records::{Codec, Magic, batches};
use ottla_types::Offset;
use tracing::error;

use super::partition::Partition;
use crate::net::Records;

/// What a fetch of this version gets of a range: version 4 and later read batches of magic 2, before they are converted
/// (`KafkaApis.maybeConvertFetchedData`). `room` is the partition's limit, in bytes.
///
/// # Errors
/// UNSUPPORTED_VERSION where `message.downconversion.enable` is false; UNSUPPORTED_COMPRESSION_TYPE for zstd, which
/// clients know from version 10 on; CORRUPT_MESSAGE for batches that cannot be opened.
pub fn for_version(
    partition: &Partition,
    range: Option<FileRange>,
    version: i16,
    offset: Offset,
    room: usize,
) -> Result<Records, ErrorCode> {
    let Some(range) = range else { return Ok(Records::Converted(Bytes::new())) };
    if version >= 10 {
        return Ok(Records::Stored(range));
    }
    let config = partition.with_log(|log| log.config().clone());
    if config.compression_type == CompressionType::Codec(Codec::Zstd) {
        return Err(ErrorCode::UnsupportedCompressionType);
    }
    let target = match version {
        0 | 1 => Magic::V0,
        2 | 3 => Magic::V1,
        _ => return Ok(Records::Stored(range)),
    };
    if !config.message_downconversion_enable {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let stored = range.read().map_err(|_| ErrorCode::KafkaStorageError)?;
    if batches(&stored).all(|batch| batch.is_ok_and(|batch| batch.magic <= target)) {
        return Ok(Records::Stored(range));
    }
    let limit = partition.decompression_limit();
    match down_convert(&stored, target, offset, room, limit) {
        Ok(converted) => Ok(Records::Converted(converted.into())),
        Err(ConvertError::UnsupportedCompression { .. }) => Err(ErrorCode::UnsupportedCompressionType),
        Err(e) => {
            error!("{}: batches at offset {offset} cannot be converted: {e}", partition.id());
            Err(ErrorCode::CorruptMessage)
        }
    }
}
