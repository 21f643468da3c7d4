//! Makes batches of magic 2 (`MemoryRecordsBuilder.java`).

use crate::batch::{
    HEADER_LEN, LOG_OVERHEAD, Magic, NO_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP,
    renew_crc,
};
use crate::compression::{Codec, CompressionError, compress};
use crate::record::{EndTransactionMarker, Header, Record, encode};

/// What the header of a new batch says, apart from what follows from its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchFields {
    /// The first offset; records may leave it out, as in a compacted log.
    pub base_offset: i64,
    /// Epoch of the leader that appends, -1 if it is stamped later.
    pub leader_epoch: i32,
    /// How to compress.
    pub codec: Codec,
    /// `Some(now)`: log append time, in ms since 1970. `None`: the records' own timestamps.
    pub log_append_time_ms: Option<i64>,
    /// Producer id, -1 if none.
    pub producer_id: i64,
    /// Producer epoch, -1 if none.
    pub producer_epoch: i16,
    /// Sequence of the first record, -1 if none.
    pub base_sequence: i32,
    /// Part of a transaction.
    pub is_transactional: bool,
    /// A control batch.
    pub is_control: bool,
    /// When the cleaner may drop the tombstones inside (KIP-534), in ms since 1970.
    pub delete_horizon_ms: Option<i64>,
}

impl BatchFields {
    /// A plain batch: no producer, own timestamps, to be stamped by the leader.
    pub fn new(base_offset: i64, codec: Codec) -> BatchFields {
        BatchFields {
            base_offset,
            leader_epoch: NO_LEADER_EPOCH,
            codec,
            log_append_time_ms: None,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            is_transactional: false,
            is_control: false,
            delete_horizon_ms: None,
        }
    }

    fn attributes(&self) -> i16 {
        self.codec as i16
            | i16::from(self.log_append_time_ms.is_some()) << 3
            | i16::from(self.is_transactional) << 4
            | i16::from(self.is_control) << 5
            | i16::from(self.delete_horizon_ms.is_some()) << 6
    }
}

/// Collects records and makes one batch of them.
pub struct BatchBuilder {
    fields: BatchFields,
    /// Room for the header, then the encoded records, not compressed.
    bytes: Vec<u8>,
    base_timestamp: Option<i64>,
    max_timestamp: i64,
    /// The largest offset so far; before the first record, the one before the base offset.
    last_offset: i64,
    count: i32,
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new(fields: BatchFields) -> BatchBuilder {
        BatchBuilder {
            fields,
            bytes: vec![0; HEADER_LEN],
            base_timestamp: fields.delete_horizon_ms,
            max_timestamp: NO_TIMESTAMP,
            last_offset: fields.base_offset.wrapping_sub(1),
            count: 0,
        }
    }

    /// Appends a record at the next offset.
    pub fn append(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) {
        let offset = self.last_offset.wrapping_add(1);
        self.append_with(offset, timestamp, (key, value), headers.iter().copied());
    }

    /// Appends a record at its own offset, which must not be below those before, nor 2^31 beyond the base offset.
    pub fn append_record(&mut self, record: &Record<'_>) {
        self.append_at(record.offset, record);
    }

    /// Appends a record at another offset than its own, with the same limits.
    pub fn append_at(&mut self, offset: i64, record: &Record<'_>) {
        self.append_with(offset, record.timestamp, (record.key, record.value), record.headers.iter());
    }

    fn append_with<'h>(
        &mut self,
        offset: i64,
        timestamp: i64,
        (key, value): (Option<&[u8]>, Option<&[u8]>),
        headers: impl ExactSizeIterator<Item = Header<'h>> + Clone,
    ) {
        let base_timestamp = *self.base_timestamp.get_or_insert(timestamp);
        let offset_delta = offset.wrapping_sub(self.fields.base_offset);
        debug_assert!(offset > self.last_offset && i32::try_from(offset_delta).is_ok());
        let deltas = (offset_delta as i32, timestamp.wrapping_sub(base_timestamp));
        encode(&mut self.bytes, deltas, key, value, headers);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.last_offset = offset;
        self.count += 1;
    }

    /// Records so far.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Bytes of the batch if it is not compressed.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Makes the batch end at a later offset than that of its last record: the cleaner keeps the range a batch covers,
    /// and even keeps batches without records.
    pub fn set_last_offset(&mut self, last_offset: i64) {
        debug_assert!(last_offset >= self.last_offset);
        self.last_offset = last_offset;
    }

    /// The batch's bytes.
    ///
    /// # Errors
    /// Only of the codec, for want of memory.
    pub fn finish(mut self) -> Result<Vec<u8>, CompressionError> {
        let fields = self.fields;
        let mut batch = match fields.codec {
            Codec::None => std::mem::take(&mut self.bytes),
            codec => {
                let mut batch = Vec::with_capacity(HEADER_LEN + self.bytes.len() / 2);
                batch.extend_from_slice(&self.bytes[..HEADER_LEN]);
                compress(codec, Magic::V2, &self.bytes[HEADER_LEN..], &mut batch)?;
                batch
            }
        };
        let max_timestamp = fields.log_append_time_ms.unwrap_or(self.max_timestamp);
        let last_offset_delta = self.last_offset.wrapping_sub(fields.base_offset) as i32;
        let batch_length = (batch.len() - LOG_OVERHEAD) as i32;
        let mut put = |at: usize, field: &[u8]| batch[at..at + field.len()].copy_from_slice(field);
        put(0, &fields.base_offset.to_be_bytes());
        put(8, &batch_length.to_be_bytes());
        put(12, &fields.leader_epoch.to_be_bytes());
        put(16, &[Magic::V2 as u8]);
        put(21, &fields.attributes().to_be_bytes());
        put(23, &last_offset_delta.to_be_bytes());
        put(27, &self.base_timestamp.unwrap_or(NO_TIMESTAMP).to_be_bytes());
        put(35, &max_timestamp.to_be_bytes());
        put(43, &fields.producer_id.to_be_bytes());
        put(51, &fields.producer_epoch.to_be_bytes());
        put(53, &fields.base_sequence.to_be_bytes());
        put(57, &self.count.to_be_bytes());
        renew_crc(&mut batch);
        Ok(batch)
    }
}

/// The control batch that ends a transaction in a partition (`MemoryRecords.withEndTransactionMarker`). The leader
/// stamps offset and epoch.
///
/// # Errors
/// None that can happen: nothing is compressed.
pub fn end_transaction_batch(
    producer_id: i64,
    producer_epoch: i16,
    timestamp_ms: i64,
    marker: EndTransactionMarker,
) -> Result<Vec<u8>, CompressionError> {
    let mut builder = BatchBuilder::new(BatchFields {
        producer_id,
        producer_epoch,
        is_transactional: true,
        is_control: true,
        ..BatchFields::new(0, Codec::None)
    });
    builder.append(timestamp_ms, Some(&marker.key()), Some(&marker.value()), &[]);
    builder.finish()
}
