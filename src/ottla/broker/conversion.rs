//! Stored batches for the client that asked: as they are, or in the format of its day.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use ottla_log::FileRange;
use ottla_log::config::CompressionType;
use ottla_protocol::ErrorCode;
use ottla_records::convert::{ConvertError, down_convert_into};
use ottla_records::{Codec, Magic, batches};
use ottla_types::Offset;
use tracing::error;

use super::partition::Partition;
use crate::net::Records;

/// The largest buffer that is kept for the next conversion. New memory costs a page fault for each of its pages: as much as
/// the conversion.
const KEPT: usize = 2 << 20;

/// As many answers' buffers are kept.
const SPARES: usize = 8;

thread_local! {
    /// Where a range lies while it is converted.
    static STORED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Buffers of answers that have left.
static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A converted answer; its buffer is spare when it has left.
struct Answer(Vec<u8>);

impl Answer {
    fn new() -> Answer {
        Answer(SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default())
    }
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.capacity() <= KEPT && spare.len() < SPARES {
            spare.push(buffer);
        }
    }
}

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
    STORED.with_borrow_mut(|buffer| {
        let records = match range.read_into(buffer) {
            Ok(stored) if batches(stored).all(|batch| batch.is_ok_and(|batch| batch.magic <= target)) => {
                Ok(Records::Stored(range))
            }
            Ok(stored) => converted(partition, stored, target, offset, room),
            Err(_) => Err(ErrorCode::KafkaStorageError),
        };
        if buffer.len() > KEPT {
            *buffer = Vec::new();
        }
        records
    })
}

fn converted(
    partition: &Partition,
    stored: &[u8],
    target: Magic,
    offset: Offset,
    room: usize,
) -> Result<Records, ErrorCode> {
    let mut answer = Answer::new();
    match down_convert_into(&mut answer.0, stored, target, offset, room, partition.decompression_limit()) {
        Ok(()) => Ok(Records::Converted(Bytes::from_owner(answer))),
        Err(ConvertError::UnsupportedCompression { .. }) => Err(ErrorCode::UnsupportedCompressionType),
        Err(e) => {
            error!("{}: batches at offset {offset} cannot be converted: {e}", partition.id());
            Err(ErrorCode::CorruptMessage)
        }
    }
}
