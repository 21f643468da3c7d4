//! The header of a batch, the walk over whole batches, checksums, and what a leader writes into a header.
//!
//! Layout: `DefaultRecordBatch.java` (magic 2), `LegacyRecord.java` (magic 0 and 1). All numbers are big endian.

mod parts;

use std::fmt;

use crate::compression::Codec;
pub use parts::BatchParts;

/// Bytes before the body that `batch_length` counts: the offset and the length itself.
pub const LOG_OVERHEAD: usize = 12;
/// Bytes of the header of a batch of magic 2. Reading that many at any batch's start is enough for
/// [`BatchHeader::parse`] (a batch of magic 0 or 1 may be shorter).
pub const HEADER_LEN: usize = 61;
/// Bytes every entry of every magic has in common: up to and including the magic.
pub const PREFIX_LEN: usize = 17;
/// A message of magic 0 without key and value, with offset and size.
pub const MIN_LEN_V0: usize = LOG_OVERHEAD + 14;
/// A message of magic 1 without key and value, with offset and size.
pub const MIN_LEN_V1: usize = LOG_OVERHEAD + 22;

/// "No timestamp": all of magic 0, and producers of magic 1 that set none.
pub const NO_TIMESTAMP: i64 = -1;
/// "No producer id".
pub const NO_PRODUCER_ID: i64 = -1;
/// "No producer epoch".
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// "No sequence": not idempotent, or a control batch.
pub const NO_SEQUENCE: i32 = -1;
/// "No leader epoch": not yet stamped, or magic 0 or 1.
pub const NO_LEADER_EPOCH: i32 = -1;

const CODEC_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const DELETE_HORIZON: i16 = 0x40;

const CRC_OFFSET_V2: usize = 17;
const ATTRIBUTES_OFFSET_V2: usize = 21;
const CRC_OFFSET_LEGACY: usize = 12;
const ATTRIBUTES_OFFSET_LEGACY: usize = 17;
const TIMESTAMP_OFFSET_V1: usize = 18;

/// A record format version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Magic {
    /// Message format 0: no timestamps. Kafka 0.8, 0.9.
    V0 = 0,
    /// Message format 1: a timestamp. Kafka 0.10.
    V1 = 1,
    /// Record batches. Kafka 0.11 and later.
    V2 = 2,
}

impl Magic {
    /// From the byte at position 16 of an entry.
    pub fn from_byte(byte: u8) -> Option<Magic> {
        match byte {
            0 => Some(Magic::V0),
            1 => Some(Magic::V1),
            2 => Some(Magic::V2),
            _ => None,
        }
    }

    /// The shortest entry of this magic, in bytes, with offset and size.
    pub fn min_len(self) -> usize {
        match self {
            Magic::V0 => MIN_LEN_V0,
            Magic::V1 => MIN_LEN_V1,
            Magic::V2 => HEADER_LEN,
        }
    }
}

impl fmt::Display for Magic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (*self as u8).fmt(f)
    }
}

/// Who gave a record its timestamp (`message.timestamp.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer.
    CreateTime,
    /// The leader, when it appended.
    LogAppendTime,
}

/// Why bytes are no batch. Positions count from the start of the slice that was walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end inside a batch: the ordinary end of a fetched range, or a torn write at the end of a log.
    #[error("position {position}: the batch needs {needed} bytes, {available} are left")]
    CutOff {
        /// Where the batch begins.
        position: usize,
        /// Bytes it needs, as far as is known.
        needed: usize,
        /// Bytes there are.
        available: usize,
    },
    /// The length field holds what no batch of this magic can be long.
    #[error("position {position}: batch length {length} is below the least, {least}")]
    BadLength {
        /// Where the batch begins.
        position: usize,
        /// The length field (without the 12 bytes of offset and length).
        length: i32,
        /// What it must be at least.
        least: usize,
    },
    /// A magic that is not 0, 1 or 2.
    #[error("position {position}: magic {magic} is not 0, 1 or 2")]
    BadMagic {
        /// Where the batch begins.
        position: usize,
        /// The byte found.
        magic: u8,
    },
    /// The bytes are not those the checksum was made of.
    #[error("position {position}: checksum {stored} is stored, the bytes give {computed}")]
    BadCrc {
        /// Where the batch begins.
        position: usize,
        /// The batch's own checksum.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
}

impl BatchError {
    /// Where the batch begins that could not be read.
    pub fn position(&self) -> usize {
        match *self {
            BatchError::CutOff { position, .. }
            | BatchError::BadLength { position, .. }
            | BatchError::BadMagic { position, .. }
            | BatchError::BadCrc { position, .. } => position,
        }
    }

    /// The same fault, `by` bytes further on: to tell the place in a file of which a part was walked.
    #[must_use]
    pub fn moved(mut self, by: usize) -> BatchError {
        match &mut self {
            BatchError::CutOff { position, .. }
            | BatchError::BadLength { position, .. }
            | BatchError::BadMagic { position, .. }
            | BatchError::BadCrc { position, .. } => *position = position.saturating_add(by),
        }
        self
    }
}

/// The header of a batch of any magic. What magic 0 and 1 do not have holds its "none" value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// First offset. In magic 0 and 1 the one offset there is: of a compressed message that is its LAST inner offset,
    /// the first is known only to who opens it ([`crate::message_set`]).
    pub base_offset: i64,
    /// Bytes after the length field; [`BatchHeader::size`] counts all.
    pub batch_length: i32,
    /// Epoch of the leader that appended it, -1 if none.
    pub leader_epoch: i32,
    /// Record format.
    pub magic: Magic,
    /// CRC-32C from the attributes on (magic 2), CRC-32 from the magic on (0, 1).
    pub crc: u32,
    /// The raw attributes; bits are read by the methods.
    pub attributes: i16,
    /// Last offset minus base offset, 0 in magic 0 and 1.
    pub last_offset_delta: i32,
    /// What the records' timestamps count from, in ms since 1970; the delete horizon if the batch has one.
    pub base_timestamp: i64,
    /// Largest timestamp inside, in ms since 1970; -1 if none.
    pub max_timestamp: i64,
    /// Producer id, -1 if none.
    pub producer_id: i64,
    /// Producer epoch, -1 if none.
    pub producer_epoch: i16,
    /// Sequence of the first record, -1 if none.
    pub base_sequence: i32,
    /// Records inside; of a compressed message of magic 0 or 1: -1, unknown.
    pub count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`, which need not hold the whole batch: [`HEADER_LEN`] bytes are always
    /// enough, and a shorter batch may end before. Does not look at the checksum.
    ///
    /// # Errors
    /// `CutOff` if the header is not whole, `BadLength`, `BadMagic`; the position is 0.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let available = bytes.len();
        let cut_off = |needed| BatchError::CutOff { position: 0, needed, available };
        if available < LOG_OVERHEAD {
            return Err(cut_off(PREFIX_LEN));
        }
        let batch_length = i32_at(bytes, 8);
        let too_short = |least: usize| BatchError::BadLength { position: 0, length: batch_length, least };
        let least = MIN_LEN_V0 - LOG_OVERHEAD;
        if batch_length < least as i32 {
            return Err(too_short(least));
        }
        if available < PREFIX_LEN {
            return Err(cut_off(batch_length as usize + LOG_OVERHEAD));
        }
        let magic = Magic::from_byte(bytes[16]).ok_or(BatchError::BadMagic { position: 0, magic: bytes[16] })?;
        let least = magic.min_len() - LOG_OVERHEAD;
        if (batch_length as usize) < least {
            return Err(too_short(least));
        }
        if available < magic.min_len() {
            return Err(cut_off(batch_length as usize + LOG_OVERHEAD));
        }
        Ok(match magic {
            Magic::V2 => BatchHeader {
                base_offset: i64_at(bytes, 0),
                batch_length,
                leader_epoch: i32_at(bytes, 12),
                magic,
                crc: i32_at(bytes, CRC_OFFSET_V2) as u32,
                attributes: i16_at(bytes, ATTRIBUTES_OFFSET_V2),
                last_offset_delta: i32_at(bytes, 23),
                base_timestamp: i64_at(bytes, 27),
                max_timestamp: i64_at(bytes, 35),
                producer_id: i64_at(bytes, 43),
                producer_epoch: i16_at(bytes, 51),
                base_sequence: i32_at(bytes, 53),
                count: i32_at(bytes, 57),
            },
            Magic::V0 | Magic::V1 => {
                let attributes = i16::from(bytes[ATTRIBUTES_OFFSET_LEGACY]);
                let timestamp = if magic == Magic::V1 { i64_at(bytes, TIMESTAMP_OFFSET_V1) } else { NO_TIMESTAMP };
                BatchHeader {
                    base_offset: i64_at(bytes, 0),
                    batch_length,
                    leader_epoch: NO_LEADER_EPOCH,
                    magic,
                    crc: i32_at(bytes, CRC_OFFSET_LEGACY) as u32,
                    attributes,
                    last_offset_delta: 0,
                    base_timestamp: timestamp,
                    max_timestamp: timestamp,
                    producer_id: NO_PRODUCER_ID,
                    producer_epoch: NO_PRODUCER_EPOCH,
                    base_sequence: NO_SEQUENCE,
                    count: if attributes & CODEC_MASK == 0 { 1 } else { -1 },
                }
            }
        })
    }

    /// The header's bytes, the same that [`BatchHeader::parse`] made it of. For magic 2 alone.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        debug_assert_eq!(self.magic, Magic::V2);
        let mut bytes = [0; HEADER_LEN];
        bytes[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.leader_epoch.to_be_bytes());
        bytes[16] = self.magic as u8;
        bytes[CRC_OFFSET_V2..21].copy_from_slice(&self.crc.to_be_bytes());
        bytes[ATTRIBUTES_OFFSET_V2..23].copy_from_slice(&self.attributes.to_be_bytes());
        bytes[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        bytes[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        bytes[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        bytes[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        bytes[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        bytes[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        bytes[57..61].copy_from_slice(&self.count.to_be_bytes());
        bytes
    }

    /// Makes the checksum of a batch of magic 2 fit its header and `body`.
    pub(crate) fn renew_crc(&mut self, body: &[u8]) {
        let head = self.encode();
        self.crc = crc32c::crc32c_append(crc32c::crc32c(&head[ATTRIBUTES_OFFSET_V2..]), body);
    }

    /// Sets timestamp type and largest timestamp of a batch of magic 2 and renews its checksum; leaves all alone if they
    /// are there already. With `LogAppendTime` the time holds for every record inside.
    pub(crate) fn set_max_timestamp(&mut self, body: &[u8], timestamp_type: TimestampType, max_timestamp: i64) {
        if (self.timestamp_type(), self.max_timestamp) == (timestamp_type, max_timestamp) {
            return;
        }
        self.attributes = match timestamp_type {
            TimestampType::CreateTime => self.attributes & !LOG_APPEND_TIME,
            TimestampType::LogAppendTime => self.attributes | LOG_APPEND_TIME,
        };
        self.max_timestamp = max_timestamp;
        self.renew_crc(body);
    }

    /// Bytes of the whole batch, offset and length fields included.
    pub fn size(&self) -> usize {
        self.batch_length as usize + LOG_OVERHEAD
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.wrapping_add(i64::from(self.last_offset_delta))
    }

    /// The offset after the last record: where the next batch begins.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().wrapping_add(1)
    }

    /// Sequence of the last record, which wraps from 2^31-1 to 0; -1 if there is none.
    pub fn last_sequence(&self) -> i32 {
        match self.base_sequence {
            NO_SEQUENCE => NO_SEQUENCE,
            base => increment_sequence(base, self.last_offset_delta),
        }
    }

    /// The codec; `None` for the ids 5 to 7, which are no codec.
    pub fn codec(&self) -> Option<Codec> {
        Codec::from_id((self.attributes & CODEC_MASK) as u8)
    }

    /// Whether a codec is set.
    pub fn is_compressed(&self) -> bool {
        self.attributes & CODEC_MASK != 0
    }

    /// Who set the timestamps; for magic 0, which has none, `CreateTime`.
    pub fn timestamp_type(&self) -> TimestampType {
        match self.magic != Magic::V0 && self.attributes & LOG_APPEND_TIME != 0 {
            true => TimestampType::LogAppendTime,
            false => TimestampType::CreateTime,
        }
    }

    /// Whether it is part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.magic == Magic::V2 && self.attributes & TRANSACTIONAL != 0
    }

    /// Whether it holds a marker and no user data.
    pub fn is_control(&self) -> bool {
        self.magic == Magic::V2 && self.attributes & CONTROL != 0
    }

    /// When the cleaner may drop the tombstones and markers inside (KIP-534), in ms since 1970.
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.magic == Magic::V2 && self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Whether an idempotent or transactional producer sent it.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }
}

/// One whole batch (magic 2) or message (magic 0, 1): its bytes and their header.
#[derive(Clone, Copy)]
pub struct BatchView<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The batch at the start of `bytes`; what comes behind it is left alone.
    ///
    /// # Errors
    /// All of [`BatchError`] but `BadCrc`.
    pub fn parse(bytes: &'a [u8]) -> Result<BatchView<'a>, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        match bytes.get(..header.size()) {
            Some(bytes) => Ok(BatchView { header, bytes }),
            None => Err(BatchError::CutOff { position: 0, needed: header.size(), available: bytes.len() }),
        }
    }

    /// The header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The bytes of the whole batch.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What follows the header of magic 2: the records, compressed as the header says. Of magic 0 and 1: the message
    /// behind offset and size.
    pub fn body(&self) -> &'a [u8] {
        match self.header.magic {
            Magic::V2 => &self.bytes[HEADER_LEN..],
            Magic::V0 | Magic::V1 => &self.bytes[LOG_OVERHEAD..],
        }
    }

    /// The same batch in two pieces; `None` for magic 0 and 1, whose header lies within the message.
    pub fn parts(&self) -> Option<BatchParts<'a>> {
        (self.header.magic == Magic::V2).then(|| BatchParts::new(self.header, self.body()))
    }

    /// Compares the checksum with the bytes.
    ///
    /// # Errors
    /// `BadCrc`, at position 0.
    pub fn check_crc(&self) -> Result<(), BatchError> {
        let stored = self.header.crc;
        match compute_crc(self.header.magic, self.bytes) {
            computed if computed == stored => Ok(()),
            computed => Err(BatchError::BadCrc { position: 0, stored, computed }),
        }
    }
}

impl std::ops::Deref for BatchView<'_> {
    type Target = BatchHeader;

    fn deref(&self) -> &BatchHeader {
        &self.header
    }
}

impl fmt::Debug for BatchView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.header.fmt(f)
    }
}

/// Walks the whole batches of `bytes`, of any magic, without opening or checksumming them. A cut-off or impossible batch
/// is the last thing yielded, as an error that tells where it begins.
pub fn batches(bytes: &[u8]) -> Batches<'_> {
    Batches { bytes, position: 0, failed: false }
}

/// The walk of [`batches`].
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    position: usize,
    failed: bool,
}

impl Batches<'_> {
    /// Bytes of the whole batches yielded so far: where the next one begins, or the faulty one.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<BatchView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.bytes[self.position..];
        if self.failed || rest.is_empty() {
            return None;
        }
        match BatchView::parse(rest) {
            Ok(batch) => {
                self.position += batch.size();
                Some(Ok(batch))
            }
            Err(error) => {
                self.failed = true;
                Some(Err(error.moved(self.position)))
            }
        }
    }
}

impl std::iter::FusedIterator for Batches<'_> {}

/// Makes the checksums of whole messages of magic 0 or 1 fit their bytes. `crc32fast` takes 15 ns for a hundred bytes, if
/// it has nothing to do between one message and the next but to begin with the next before the first is done.
pub(crate) fn renew_crcs_legacy(mut messages: &mut [u8]) {
    // Finding out what the processor can do takes a tenth of the time.
    let fresh = crc32fast::Hasher::new();
    while messages.len() >= MIN_LEN_V0 {
        let size = LOG_OVERHEAD + i32_at(messages, 8) as usize;
        let (message, rest) = messages.split_at_mut(size);
        let mut hasher = fresh.clone();
        hasher.update(&message[CRC_OFFSET_LEGACY + 4..]);
        message[CRC_OFFSET_LEGACY..CRC_OFFSET_LEGACY + 4].copy_from_slice(&hasher.finalize().to_be_bytes());
        messages = rest;
    }
}

fn compute_crc(magic: Magic, batch: &[u8]) -> u32 {
    match magic {
        Magic::V2 => crc32c::crc32c(&batch[ATTRIBUTES_OFFSET_V2..]),
        Magic::V0 | Magic::V1 => crc32fast::hash(&batch[16..]),
    }
}

/// `sequence` after `increment` more records, wrapping from 2^31-1 to 0 (`DefaultRecordBatch.incrementSequence`).
pub fn increment_sequence(sequence: i32, increment: i32) -> i32 {
    if sequence > i32::MAX.wrapping_sub(increment) {
        increment.wrapping_sub(i32::MAX.wrapping_sub(sequence)).wrapping_sub(1)
    } else {
        sequence.wrapping_add(increment)
    }
}

/// `sequence` before `decrement` records, wrapping from 0 to 2^31-1 (`DefaultRecordBatch.decrementSequence`).
pub fn decrement_sequence(sequence: i32, decrement: i32) -> i32 {
    if sequence < decrement {
        i32::MAX.wrapping_sub(decrement.wrapping_sub(sequence)).wrapping_add(1)
    } else {
        sequence.wrapping_sub(decrement)
    }
}

pub(crate) fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn i32_at(bytes: &[u8], at: usize) -> i32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    i32::from_be_bytes(field)
}

pub(crate) fn i64_at(bytes: &[u8], at: usize) -> i64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    i64::from_be_bytes(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KAFKA-7692.
    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(increment_sequence(5, 3), 8);
        assert_eq!(increment_sequence(i32::MAX, 1), 0);
        assert_eq!(increment_sequence(i32::MAX - 1, 3), 1);
        assert_eq!(decrement_sequence(0, 1), i32::MAX);
        assert_eq!(decrement_sequence(1, 3), i32::MAX - 1);
        for (sequence, steps) in [(0, 0), (7, i32::MAX), (i32::MAX, i32::MAX)] {
            assert_eq!(decrement_sequence(increment_sequence(sequence, steps), steps), sequence);
        }
    }

    /// Every field of magic 2 has its place in the value: each bit of the 61 bytes comes back.
    #[test]
    fn a_header_is_written_as_it_was_read() {
        for bit in 0..HEADER_LEN * 8 {
            let mut bytes = [0; HEADER_LEN];
            bytes[8..12].copy_from_slice(&1_000_000i32.to_be_bytes());
            bytes[16] = Magic::V2 as u8;
            bytes[bit / 8] ^= 1 << (bit % 8);
            // Another magic, or a length that cannot be.
            let Some(header) = BatchHeader::parse(&bytes).ok().filter(|header| header.magic == Magic::V2) else {
                assert!(matches!(bit / 8, 8 | 16), "{bit}");
                continue;
            };
            assert_eq!(header.encode(), bytes, "{bit}");
        }
    }

    /// A log is read by its headers: the shortest message of each magic is enough, one byte less is not.
    #[test]
    fn a_header_is_read_from_its_bytes_alone() {
        for magic in [Magic::V0, Magic::V1, Magic::V2] {
            let mut bytes = vec![0; magic.min_len()];
            bytes[8..12].copy_from_slice(&1_000_000i32.to_be_bytes());
            bytes[16] = magic as u8;
            assert_eq!(BatchHeader::parse(&bytes).unwrap().size(), 1_000_012);
            let error = BatchHeader::parse(&bytes[..bytes.len() - 1]).unwrap_err();
            assert!(matches!(error, BatchError::CutOff { needed: 1_000_012, .. }), "{error}");
        }
    }
}
