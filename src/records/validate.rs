//! What produced bytes must be before they may enter a log (`LogValidator.java`, `ProduceRequest.validateRecords`,
//! `UnifiedLog.analyzeAndValidateRecords`), for logs of magic 2.
//!
//! Two steps, so that a partition's lock is held for the second alone: [`validate`] checks, and converts or compresses
//! anew if it must; [`Validated::stamp`] sets offset and leader epoch, which no checksum covers. Both leave the produced
//! bytes alone: what the leader changes is the header, which [`Validated`] has as a value; the records are written from
//! where they lie.
//!
//! Unlike Kafka, we do not look at each record unless the topic asks for what only that can tell: keys (compaction),
//! another codec, limits on timestamps, or `check_records`. Then header, checksum and the count of records are checked,
//! and the largest timestamp is the one the producer wrote, if it is credible. The records of an uncompressed batch are
//! stepped over by their lengths, so that no batch gets in over whose structure every consumer would stumble: that costs
//! less than the checksum for records from about 100 bytes on; looking at each record would cost three times that.

use crate::batch::{
    BatchError, BatchHeader, BatchParts, BatchView, HEADER_LEN, Magic, NO_TIMESTAMP, TimestampType, batches,
};
use crate::builder::{BatchBuilder, BatchFields};
use crate::compression::{Codec, CompressionError};
use crate::convert::up_convert;
use crate::message_set::lone_record;
use crate::open::{OpenBatch, check_lengths};
use crate::record::{Record, RecordError};

/// Who wants to append. Followers take batches as they are: [`check_replicated`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client, by a produce request of this version.
    Client {
        /// The version of the request.
        produce_version: i16,
    },
    /// The broker itself: a coordinator's records, a transaction's marker.
    Coordinator,
}

/// A topic's `compression.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionType {
    /// Each batch stays as its producer compressed it.
    Producer,
    /// All batches are compressed so (`None` for `uncompressed`).
    Codec(Codec),
}

/// What a topic asks of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// `compression.type`.
    pub compression_type: CompressionType,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far behind the clock a timestamp may be; `i64::MAX` for no limit.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far ahead of the clock a timestamp may be; `i64::MAX` for no limit.
    pub timestamp_after_max_ms: i64,
    /// `max.message.bytes`: the largest batch, as it is stored.
    pub max_message_bytes: usize,
    /// `cleanup.policy` has `compact`: each record needs a key.
    pub is_compacted: bool,
    /// Look at each record though nothing else asks for it.
    pub check_records: bool,
}

impl Rules {
    /// How many bytes a batch may become when it is decompressed: 32 times the largest batch, at most 64 MiB, and never
    /// less than the largest batch itself.
    pub fn decompression_limit(&self) -> usize {
        self.max_message_bytes.saturating_mul(32).min(64 << 20).max(self.max_message_bytes)
    }

    fn limits_timestamps(&self) -> bool {
        self.timestamp_type == TimestampType::CreateTime
            && (self.timestamp_before_max_ms < i64::MAX || self.timestamp_after_max_ms < i64::MAX)
    }

    fn target_codec(&self, source: Codec) -> Codec {
        match self.compression_type {
            CompressionType::Producer => source,
            CompressionType::Codec(codec) => codec,
        }
    }
}

/// The kinds of refusal, each with a Kafka error code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValidationErrorKind {
    /// CORRUPT_MESSAGE: checksum, length or compressed data are damaged.
    CorruptMessage,
    /// INVALID_RECORD: well preserved, but against the rules.
    InvalidRecord,
    /// INVALID_TIMESTAMP: too far from the clock, or of a type that producers may not set.
    InvalidTimestamp,
    /// MESSAGE_TOO_LARGE: as stored, or when decompressed.
    MessageTooLarge,
    /// UNSUPPORTED_COMPRESSION_TYPE: an unknown codec, or zstd from a client too old for it.
    UnsupportedCompressionType,
}

/// One record's part in a refusal (KIP-467).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFault {
    /// Which record of the batch, from 0.
    pub batch_index: i32,
    /// What is wrong with it.
    pub message: String,
}

/// Why nothing of the bytes may be appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ValidationError {
    /// What the client is told as a code.
    pub kind: ValidationErrorKind,
    /// What the client is told in words.
    pub message: String,
    /// The records to blame, the first [`MOST_RECORD_FAULTS`] of them.
    pub record_faults: Vec<RecordFault>,
}

/// As many records are blamed by name: a small compressed batch may hold millions.
pub const MOST_RECORD_FAULTS: usize = 100;

impl ValidationError {
    fn new(kind: ValidationErrorKind, message: impl Into<String>) -> ValidationError {
        ValidationError { kind, message: message.into(), record_faults: Vec::new() }
    }

    fn invalid(message: impl Into<String>) -> ValidationError {
        ValidationError::new(ValidationErrorKind::InvalidRecord, message)
    }
}

impl From<BatchError> for ValidationError {
    fn from(error: BatchError) -> ValidationError {
        ValidationError::new(ValidationErrorKind::CorruptMessage, error.to_string())
    }
}

impl From<RecordError> for ValidationError {
    fn from(error: RecordError) -> ValidationError {
        let kind = match &error {
            RecordError::BadCrc { .. } | RecordError::Compression(CompressionError::Damaged { .. }) => {
                ValidationErrorKind::CorruptMessage
            }
            RecordError::Compression(CompressionError::OverLimit { .. }) => ValidationErrorKind::MessageTooLarge,
            RecordError::Malformed { .. } | RecordError::Compression(CompressionError::NotAllowed { .. }) => {
                ValidationErrorKind::InvalidRecord
            }
            RecordError::UnknownCodec { .. } => ValidationErrorKind::UnsupportedCompressionType,
        };
        ValidationError::new(kind, error.to_string())
    }
}

/// Bytes that may be appended: one batch of magic 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validated {
    /// The header that the batch gets: the largest timestamp is the true one, the base offset 0 until stamped.
    pub header: BatchHeader,
    /// The batch, if it had to be converted or compressed anew; else the records are those of the slice that was validated.
    pub rebuilt: Option<Vec<u8>>,
    /// The time of the append, in ms since 1970, where the topic stores it.
    pub log_append_time_ms: Option<i64>,
}

impl Validated {
    /// Sets the first offset and the leader epoch.
    pub fn stamp(&mut self, first_offset: i64, leader_epoch: i32) {
        self.header.base_offset = first_offset;
        self.header.leader_epoch = leader_epoch;
    }

    /// The batch to append; `produced` is the slice that was validated.
    pub fn batch<'b>(&'b self, produced: &'b [u8]) -> BatchParts<'b> {
        let bytes = self.rebuilt.as_deref().unwrap_or(produced);
        BatchParts::new(self.header, &bytes[HEADER_LEN..])
    }
}

/// Checks what a client or the broker itself wants to append, and makes one batch of magic 2 of it: of its own records if
/// possible, else anew. `None`: there are no records, which old produce requests may have.
///
/// # Errors
/// [`ValidationError`]; nothing of `produced` may be appended then.
pub fn validate(
    produced: &[u8],
    origin: Origin,
    rules: &Rules,
    now_ms: i64,
) -> Result<Option<Validated>, ValidationError> {
    let input = Input { origin, rules, now_ms };
    let mut walk = batches(produced);
    let Some(first) = walk.next() else {
        return match origin {
            Origin::Client { produce_version: 3.. } => Err(ValidationError::invalid("there is no record batch")),
            _ => Ok(None),
        };
    };
    let first = first?;
    input.check_version(&first)?;
    if first.magic != Magic::V2 {
        return input.convert(produced).map(Some);
    }
    if let Some(second) = walk.next() {
        second?;
        return Err(ValidationError::invalid("only one record batch of magic 2 may be appended at a time"));
    }
    input.check_entry(&first)?;
    input.check_header(&first)?;
    match input.open(&first)? {
        Found::AsItIs { max_timestamp } => {
            let mut header = *first.header();
            header.set_max_timestamp(first.body(), rules.timestamp_type, max_timestamp);
            Ok(Some(Validated { header, rebuilt: None, log_append_time_ms: input.log_append_time_ms() }))
        }
        Found::Rebuilt(batch) => input.rebuilt(batch).map(Some),
    }
}

/// Whether the largest timestamp in the header can be believed without a look at the records. Kafka always looks, so a
/// producer may leave the field empty and never notice; believed, that would make the records as old as 1970, and
/// retention delete them.
fn has_credible_timestamps(batch: &BatchHeader) -> bool {
    batch.max_timestamp > 0 && batch.max_timestamp >= batch.base_timestamp
}

/// What a batch of magic 2 has become.
enum Found {
    AsItIs { max_timestamp: i64 },
    Rebuilt(Vec<u8>),
}

struct Input<'r> {
    origin: Origin,
    rules: &'r Rules,
    now_ms: i64,
}

impl Input<'_> {
    fn log_append_time_ms(&self) -> Option<i64> {
        (self.rules.timestamp_type == TimestampType::LogAppendTime).then_some(self.now_ms)
    }

    /// Old clients sent the wrong magic in the wrong request, so only versions from 3 on are held to it.
    fn check_version(&self, first: &BatchHeader) -> Result<(), ValidationError> {
        let Origin::Client { produce_version: version @ 3.. } = self.origin else {
            return Ok(());
        };
        if first.magic != Magic::V2 {
            let message = format!("produce requests of version {version} carry record batches of magic 2 alone");
            return Err(ValidationError::invalid(message));
        }
        if version < 7 && first.codec() == Some(Codec::Zstd) {
            let message = format!("produce requests of version {version} may not use zstd");
            return Err(ValidationError::new(ValidationErrorKind::UnsupportedCompressionType, message));
        }
        Ok(())
    }

    /// Size and checksum of a batch or message as it came.
    fn check_entry(&self, batch: &BatchView<'_>) -> Result<(), ValidationError> {
        self.check_size(batch.size())?;
        Ok(batch.check_crc()?)
    }

    fn check_size(&self, size: usize) -> Result<(), ValidationError> {
        let most = self.rules.max_message_bytes;
        if size <= most {
            return Ok(());
        }
        let message = format!("the record batch has {size} bytes, max.message.bytes allows {most}");
        Err(ValidationError::new(ValidationErrorKind::MessageTooLarge, message))
    }

    /// `LogValidator.validateBatch`, for magic 2.
    fn check_header(&self, batch: &BatchHeader) -> Result<(), ValidationError> {
        if batch.codec().is_none() {
            return Err(RecordError::UnknownCodec { id: (batch.attributes & 0x07) as u8 }.into());
        }
        if batch.count <= 0 {
            return Err(ValidationError::invalid(format!("the batch says it has {} records", batch.count)));
        }
        if !matches!(self.origin, Origin::Client { .. }) {
            return Ok(());
        }
        let refusal = if batch.base_offset != 0 {
            format!("the batch's base offset is {}, a producer's is 0", batch.base_offset)
        } else if i64::from(batch.last_offset_delta) + 1 != i64::from(batch.count) {
            format!("the batch's last offset is {}, but it has {} records", batch.last_offset_delta, batch.count)
        } else if batch.is_control() {
            "clients may not write control records".into()
        } else if batch.has_producer_id() && batch.base_sequence < 0 {
            format!("producer {} sent the sequence {}", batch.producer_id, batch.base_sequence)
        } else if batch.has_producer_id() && batch.producer_epoch < 0 {
            format!("producer {} sent the epoch {}", batch.producer_id, batch.producer_epoch)
        } else if batch.is_transactional() && !batch.has_producer_id() {
            "the batch is transactional but has no producer id".into()
        } else {
            return Ok(());
        };
        Err(ValidationError::invalid(refusal))
    }

    /// Looks into a batch of magic 2 as far as the rules ask for.
    fn open(&self, batch: &BatchView<'_>) -> Result<Found, ValidationError> {
        let rules = self.rules;
        let source = batch.codec().unwrap_or(Codec::None);
        // Markers stay as they are written.
        let keeps_codec = source == rules.target_codec(source) || (source == Codec::None && batch.is_control());
        let append_time = self.log_append_time_ms();
        let must_open = rules.is_compacted
            || rules.limits_timestamps()
            || rules.check_records
            || batch.timestamp_type() == TimestampType::LogAppendTime
            || (append_time.is_none() && !has_credible_timestamps(batch));
        if keeps_codec && !must_open {
            if source == Codec::None {
                check_lengths(batch.body(), batch.count)?;
            }
            return Ok(Found::AsItIs { max_timestamp: append_time.unwrap_or(batch.max_timestamp) });
        }
        let open = OpenBatch::open(batch, rules.decompression_limit())?;
        let mut records = RecordChecks::new(self, batch.timestamp_type());
        let mut offsets_follow = true;
        let append_time_of_batch =
            (batch.timestamp_type() == TimestampType::LogAppendTime).then_some(batch.max_timestamp);
        if source == Codec::None && keeps_codec && !rules.check_records {
            open.outlines(|index, outline| {
                let timestamp = batch.base_timestamp.wrapping_add(outline.timestamp_delta);
                records.check(index, append_time_of_batch.unwrap_or(timestamp), outline.has_key);
            })?;
        } else {
            for (index, record) in open.records().enumerate() {
                let record = record?;
                offsets_follow &= record.offset.wrapping_sub(batch.base_offset) == index as i64;
                records.check(index, record.timestamp, record.key.is_some());
            }
        }
        let max_timestamp = records.finish()?;
        // Wrong offsets inside an uncompressed batch are tolerated (KAFKA-9080), inside a compressed one mended.
        if keeps_codec && (offsets_follow || source == Codec::None) {
            return Ok(Found::AsItIs { max_timestamp: append_time.unwrap_or(max_timestamp) });
        }
        let fields = BatchFields {
            base_offset: 0,
            codec: rules.target_codec(source),
            log_append_time_ms: append_time,
            delete_horizon_ms: None,
            ..BatchFields::of(batch)
        };
        Ok(Found::Rebuilt(up_convert(fields, &open)?))
    }

    /// Makes one batch of magic 2 of messages of magic 0 or 1.
    fn convert(&self, produced: &[u8]) -> Result<Validated, ValidationError> {
        let mut builder: Option<BatchBuilder> = None;
        let mut has_wrapper = false;
        let mut magic = None;
        // Damage to a later message is told first.
        let mut refusal = None;
        for message in batches(produced) {
            let message = message?;
            self.check_entry(&message)?;
            if *magic.get_or_insert(message.magic) != message.magic {
                return Err(ValidationError::invalid("messages of several magics in one set"));
            }
            let wrapper = match message.is_compressed() {
                true => Some(OpenBatch::open(&message, self.rules.decompression_limit())?),
                false => None,
            };
            wrapper.as_ref().map_or(Ok(()), OpenBatch::check_inner_crc)?;
            has_wrapper |= wrapper.is_some();
            if has_wrapper && builder.is_some() {
                return Err(ValidationError::invalid("a compressed message is not alone in its set"));
            }
            let builder = builder.get_or_insert_with(|| {
                let codec = self.rules.target_codec(wrapper.as_ref().map_or(Codec::None, OpenBatch::codec));
                let fields =
                    BatchFields { log_append_time_ms: self.log_append_time_ms(), ..BatchFields::new(0, codec) };
                let records = wrapper.as_ref().map_or(produced, OpenBatch::body);
                BatchBuilder::with_capacity(fields, records.len())
            });
            if refusal.is_none() {
                let checks = RecordChecks::new(self, message.timestamp_type());
                let appended = match &wrapper {
                    Some(open) => checks.append(builder, open.records()),
                    None => checks.append(builder, std::iter::once(lone_record(&message))),
                };
                refusal = appended.err();
            }
        }
        match (refusal, builder) {
            (None, Some(builder)) => self.rebuilt(builder.finish().map_err(RecordError::from)?),
            (refusal, _) => Err(refusal.unwrap_or_else(|| ValidationError::invalid("there is no message"))),
        }
    }

    fn rebuilt(&self, batch: Vec<u8>) -> Result<Validated, ValidationError> {
        self.check_size(batch.len())?;
        let header = BatchHeader::parse(&batch)?;
        Ok(Validated { header, rebuilt: Some(batch), log_append_time_ms: self.log_append_time_ms() })
    }
}

/// `LogValidator.validateRecord` over the records of one batch.
struct RecordChecks<'i> {
    input: &'i Input<'i>,
    batch_timestamp_type: TimestampType,
    max_timestamp: i64,
    faults: Vec<RecordFault>,
    has_timestamp_fault: bool,
}

impl<'i> RecordChecks<'i> {
    fn new(input: &'i Input<'i>, batch_timestamp_type: TimestampType) -> RecordChecks<'i> {
        let faults = Vec::new();
        RecordChecks { input, batch_timestamp_type, max_timestamp: NO_TIMESTAMP, faults, has_timestamp_fault: false }
    }

    #[inline]
    fn check(&mut self, index: usize, timestamp: i64, has_key: bool) {
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let Input { rules, now_ms, .. } = *self.input;
        if rules.is_compacted && !has_key {
            self.blame(index, "a compacted topic accepts no record without a key".into());
        } else if rules.timestamp_type == TimestampType::CreateTime && timestamp != NO_TIMESTAMP {
            let behind = now_ms.saturating_sub(timestamp);
            let ahead = timestamp.saturating_sub(now_ms);
            if behind > rules.timestamp_before_max_ms || ahead > rules.timestamp_after_max_ms {
                self.has_timestamp_fault = true;
                let least = now_ms.saturating_sub(rules.timestamp_before_max_ms);
                let most = now_ms.saturating_add(rules.timestamp_after_max_ms);
                self.blame(index, format!("its timestamp {timestamp} is not within {least}..={most}"));
            }
        } else if self.batch_timestamp_type == TimestampType::LogAppendTime {
            self.has_timestamp_fault = true;
            self.blame(index, "a producer may not set the timestamp type to log append time".into());
        }
    }

    #[cold]
    fn blame(&mut self, index: usize, message: String) {
        if self.faults.len() < MOST_RECORD_FAULTS {
            self.faults.push(RecordFault { batch_index: index as i32, message });
        }
    }

    /// Checks records and appends them to a batch that begins at offset 0.
    fn append<'r>(
        mut self,
        builder: &mut BatchBuilder,
        records: impl Iterator<Item = Result<Record<'r>, RecordError>>,
    ) -> Result<(), ValidationError> {
        for record in records {
            let record = record?;
            let offset = builder.count();
            self.check(offset as usize, record.timestamp, record.key.is_some());
            builder.append_at(i64::from(offset), &record);
        }
        self.finish().map(drop)
    }

    /// The largest timestamp, or the refusal.
    fn finish(self) -> Result<i64, ValidationError> {
        let Some(first) = self.faults.first() else {
            return Ok(self.max_timestamp);
        };
        let (kind, message) = match self.has_timestamp_fault {
            true => (
                ValidationErrorKind::InvalidTimestamp,
                "One or more records have been rejected due to invalid timestamp".into(),
            ),
            false => (
                ValidationErrorKind::InvalidRecord,
                format!("One or more records have been rejected; record {}: {}", first.batch_index, first.message),
            ),
        };
        Err(ValidationError { kind, message, record_faults: self.faults })
    }
}

/// What a follower is about to append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicated {
    /// Bytes of the whole batches; what is cut off behind them is fetched again.
    pub valid_bytes: usize,
    /// The first batch.
    pub first: BatchHeader,
    /// The last batch.
    pub last: BatchHeader,
    /// The largest timestamp of all batches, -1 if none.
    pub max_timestamp: i64,
    /// The last offset of the batch with the largest timestamp, -1 if none.
    pub offset_of_max_timestamp: i64,
}

/// Checks batches of any magic as a leader sent them: sizes, checksums, offsets that rise. They keep their offsets and
/// epochs. `None`: no whole batch is there.
///
/// # Errors
/// `CorruptMessage`; `InvalidRecord` if offsets do not rise.
pub fn check_replicated(fetched: &[u8]) -> Result<Option<Replicated>, ValidationError> {
    let mut found: Option<Replicated> = None;
    let mut walk = batches(fetched);
    loop {
        let position = walk.position();
        let batch = match walk.next() {
            None | Some(Err(BatchError::CutOff { .. })) => return Ok(found),
            Some(batch) => batch?,
        };
        batch.check_crc().map_err(|error| error.moved(position))?;
        let header = *batch.header();
        let previous = found.map_or(-1, |found| found.last.last_offset());
        if header.last_offset() <= previous || header.last_offset() < header.base_offset {
            let message = format!(
                "position {position}: offsets {}..={} follow offset {previous}",
                header.base_offset,
                header.last_offset()
            );
            return Err(ValidationError::invalid(message));
        }
        let found = found.get_or_insert(Replicated {
            valid_bytes: 0,
            first: header,
            last: header,
            max_timestamp: NO_TIMESTAMP,
            offset_of_max_timestamp: -1,
        });
        found.valid_bytes = walk.position();
        found.last = header;
        if header.max_timestamp > found.max_timestamp {
            found.max_timestamp = header.max_timestamp;
            found.offset_of_max_timestamp = header.last_offset();
        }
    }
}
