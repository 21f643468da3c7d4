//! Stored batches for the client that asked: as they are, or in the format of its day.

use std::io;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use ottla_log::FileRange;
use ottla_log::config::CompressionType;
use ottla_protocol::ErrorCode;
use ottla_records::convert::{ConvertError, DownConversion};
use ottla_records::{BatchHeader, Codec, HEADER_LEN, Magic, batches};
use ottla_types::Offset;
use tracing::error;

use super::partition::Partition;
use crate::net::Records;

/// The largest buffer that is kept for the next conversion. New memory costs a page fault for each of its pages: as much as
/// the conversion.
const KEPT: usize = 2 << 20;

/// As many buffers are kept.
const SPARES: usize = 8;

/// Bytes that are read at once, if no batch is larger: they stay in the processor's cache while they are converted.
const PIECE: usize = 128 << 10;

/// Buffers that nobody needs now.
static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// What is read or what comes of it; the memory is spare when it is dropped, an answer's when it has left.
struct Buffer(Vec<u8>);

impl Buffer {
    /// An empty one.
    fn new() -> Buffer {
        Buffer(SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default())
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.capacity() <= KEPT && spare.len() < SPARES {
            spare.push(buffer);
        }
    }
}

/// Why a range cannot be converted.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error(transparent)]
    Convert(#[from] ConvertError),
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
    let conversion = DownConversion { to: target, first_offset: offset, room, limit: partition.decompression_limit() };
    converted(range, &conversion).map_err(|failed| match failed {
        Failed::Convert(ConvertError::UnsupportedCompression { .. }) => ErrorCode::UnsupportedCompressionType,
        Failed::Convert(e) => {
            error!("{}: batches at offset {offset} cannot be converted: {e}", partition.id());
            ErrorCode::CorruptMessage
        }
        Failed::Read(_) => ErrorCode::KafkaStorageError,
    })
}

/// The range as it is, if the consumer knows all of it; else one piece after the other is read and converted.
fn converted(range: FileRange, conversion: &DownConversion) -> Result<Records, Failed> {
    let mut stored = Buffer::new();
    if is_known(&range, conversion.to, &mut stored.0)? {
        return Ok(Records::Stored(range));
    }
    let mut answer = Buffer::new();
    let len = range.len as usize;
    // What a batch brings is most often a little more than it was; all of them together are not more than the room.
    answer.0.reserve((len + len / 4).min(conversion.room));
    // `left` bytes of what is read, the start of a batch, came with the piece before.
    let (mut read, mut left, mut wanted) = (0, 0, PIECE);
    loop {
        let filled = wanted.min(left + len - read);
        stored.0.resize(filled, 0);
        let count = range.file.read_full_at(&mut stored.0[left..], range.position + read as u64)?;
        read += count;
        let piece = &stored.0[..left + count];
        let converted = conversion.append(&mut answer.0, piece)?;
        let is_cut = piece.len() < filled;
        if converted.is_full || is_cut || read == len {
            break;
        }
        left = filled - converted.done;
        wanted = if converted.done == 0 { 2 * filled } else { PIECE };
        stored.0.copy_within(converted.done.., 0);
    }
    conversion.finish(&mut answer.0);
    Ok(Records::Converted(Bytes::from_owner(answer)))
}

/// Whether no batch of the range need be converted. The first tells it of most: a log's format changes once at most.
fn is_known(range: &FileRange, to: Magic, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let is_old = |header: &BatchHeader| header.magic <= to;
    let first = FileRange { len: range.len.min(HEADER_LEN as u32), ..range.clone() };
    if !BatchHeader::parse(first.read_into(buffer)?).is_ok_and(|header| is_old(&header)) {
        return Ok(false);
    }
    Ok(batches(range.read_into(buffer)?).all(|batch| batch.is_ok_and(|batch| is_old(batch.header()))))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ottla_records::builder::{BatchBuilder, BatchFields};
    use ottla_records::convert::down_convert;

    use super::*;

    /// Batches of one small record, of many, and of more bytes than a piece, so that pieces end at every place of a batch.
    fn log() -> Vec<u8> {
        let mut log = Vec::new();
        let mut offset = 0;
        for (records, value_bytes) in
            [(1, 100), (700, 90), (1, 3 * PIECE), (1, 0), (4, PIECE / 3), (1500, 150)].repeat(3)
        {
            let mut batch = BatchBuilder::new(BatchFields::new(offset, Codec::None));
            for _ in 0..records {
                batch.append(offset, None, Some(&vec![offset as u8; value_bytes]), &[]);
                offset += 1;
            }
            log.extend(batch.finish().unwrap());
        }
        log
    }

    fn in_a_file(bytes: &[u8], len: usize) -> FileRange {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, bytes).unwrap();
        FileRange { file: Arc::new(file), position: 0, len: len as u32 }
    }

    fn bytes_of(records: Records) -> Vec<u8> {
        match records {
            Records::Converted(bytes) => bytes.to_vec(),
            Records::Stored(range) => panic!("{range:?} was not converted"),
        }
    }

    const LIMIT: usize = 1 << 20;

    #[test]
    fn pieces_bring_what_the_whole_range_brings() {
        let log = log();
        let whole = down_convert(&log, Magic::V1, 0, usize::MAX, LIMIT).unwrap();
        assert!(whole.len() > 10 * PIECE);
        for len in [40, 100, PIECE, PIECE + 1, log.len() - 1, log.len()] {
            for room in [50, 5000, PIECE, LIMIT, usize::MAX] {
                for first_offset in [0, 300] {
                    let expected = down_convert(&log[..len], Magic::V1, first_offset, room, LIMIT).unwrap();
                    let conversion = DownConversion { to: Magic::V1, first_offset, room, limit: LIMIT };
                    let answer = converted(in_a_file(&log, len), &conversion).unwrap();
                    assert!(bytes_of(answer) == expected, "{len} bytes, room {room}, from {first_offset} on");
                }
            }
        }
    }

    #[test]
    fn a_file_that_was_cut_brings_what_is_left() {
        let log = log();
        let cut = &log[..2 * PIECE];
        let conversion = DownConversion { to: Magic::V1, first_offset: 0, room: usize::MAX, limit: LIMIT };
        let answer = converted(in_a_file(cut, log.len()), &conversion).unwrap();
        assert!(bytes_of(answer) == down_convert(cut, Magic::V1, 0, usize::MAX, LIMIT).unwrap());
    }

    #[test]
    fn what_the_consumer_knows_is_left_in_its_file() {
        let old = down_convert(&log(), Magic::V1, 0, usize::MAX, LIMIT).unwrap();
        let mixed = [&old[..], &log()].concat();
        let conversion = DownConversion { to: Magic::V1, first_offset: 0, room: usize::MAX, limit: LIMIT };
        let stays = converted(in_a_file(&old, old.len()), &conversion).unwrap();
        assert!(matches!(stays, Records::Stored(range) if range.len as usize == old.len()));
        let answer = converted(in_a_file(&mixed, mixed.len()), &conversion).unwrap();
        assert!(bytes_of(answer) == [&old[..], &old].concat());
    }
}
