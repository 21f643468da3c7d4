//! Makes batches of magic 2 (`MemoryRecordsBuilder.java`).

use crate::batch::{
    BatchHeader, HEADER_LEN, LOG_OVERHEAD, Magic, NO_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE,
    NO_TIMESTAMP, TimestampType,
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

    /// What the header of a batch of magic 2 says, to make another one like it.
    pub fn of(header: &BatchHeader) -> BatchFields {
        let append_time = header.timestamp_type() == TimestampType::LogAppendTime;
        BatchFields {
            base_offset: header.base_offset,
            leader_epoch: header.leader_epoch,
            codec: header.codec().unwrap_or(Codec::None),
            log_append_time_ms: append_time.then_some(header.max_timestamp),
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            is_transactional: header.is_transactional(),
            is_control: header.is_control(),
            delete_horizon_ms: header.delete_horizon_ms(),
        }
    }

    fn attributes(&self) -> i16 {
        self.codec as i16
            | i16::from(self.log_append_time_ms.is_some()) << 3
            | i16::from(self.is_transactional) << 4
            | i16::from(self.is_control) << 5
            | i16::from(self.delete_horizon_ms.is_some()) << 6
    }

    fn write_header(
        &self,
        batch: &mut [u8],
        last_offset_delta: i32,
        (base_timestamp, max_timestamp): (i64, i64),
        count: i32,
    ) {
        let (head, body) = batch.split_at_mut(HEADER_LEN);
        let mut header = BatchHeader {
            base_offset: self.base_offset,
            batch_length: (HEADER_LEN + body.len() - LOG_OVERHEAD) as i32,
            leader_epoch: self.leader_epoch,
            magic: Magic::V2,
            crc: 0,
            attributes: self.attributes(),
            last_offset_delta,
            base_timestamp,
            max_timestamp,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            count,
        };
        header.renew_crc(body);
        head.copy_from_slice(&header.encode());
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
        BatchBuilder::with_capacity(fields, 0)
    }

    /// An empty batch with room for records of `capacity` bytes, encoded and not compressed.
    pub fn with_capacity(fields: BatchFields, capacity: usize) -> BatchBuilder {
        let mut bytes = Vec::with_capacity(HEADER_LEN + capacity);
        bytes.resize(HEADER_LEN, 0);
        BatchBuilder {
            fields,
            bytes,
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
        let timestamps = (self.base_timestamp.unwrap_or(NO_TIMESTAMP), max_timestamp);
        fields.write_header(&mut batch, last_offset_delta, timestamps, self.count);
        Ok(batch)
    }
}

/// What the cleaner leaves of a batch of magic 2 of which no record is left but whose producer is still known by it: its
/// header, with offsets, producer and largest timestamp (`DefaultRecordBatch.writeEmptyHeader`).
pub fn empty_batch(header: &BatchHeader) -> [u8; HEADER_LEN] {
    let fields = BatchFields { codec: Codec::None, delete_horizon_ms: None, ..BatchFields::of(header) };
    let mut batch = [0; HEADER_LEN];
    fields.write_header(&mut batch, header.last_offset_delta, (NO_TIMESTAMP, header.max_timestamp), 0);
    batch
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchView;
    use crate::open::OpenBatch;
    use crate::record::Headers;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    fn random_bytes(rng: &mut StdRng) -> Option<Vec<u8>> {
        let length = [0, 1, 63, 64, 127, 8191, 8192][rng.random_range(0..7)];
        rng.random_bool(0.8).then(|| (0..length).map(|_| rng.random()).collect())
    }

    /// Lengths and deltas on both sides of where a varint grows, timestamps that wrap around 64 bits.
    #[test]
    fn what_is_built_reads_back() {
        for seed in 0..200 {
            let mut rng = StdRng::seed_from_u64(seed);
            let base_offset = rng.random_range(0..1 << 40);
            let mut builder = BatchBuilder::new(BatchFields::new(base_offset, Codec::None));
            let mut expected = Vec::new();
            let mut offset = base_offset;
            for _ in 0..rng.random_range(1..5) {
                offset += [0, 1, 63, 64, 1 << 20][rng.random_range(0..5)];
                let timestamp = [0, -1, 1 << 41, i64::MAX, i64::MIN][rng.random_range(0..5)];
                let (key, value) = (random_bytes(&mut rng), random_bytes(&mut rng));
                let headers: Vec<_> = (0..rng.random_range(0..3))
                    .map(|_| (random_bytes(&mut rng).unwrap_or_default(), random_bytes(&mut rng)))
                    .collect();
                let borrowed: Vec<Header<'_>> = headers.iter().map(|(k, v)| (k.as_slice(), v.as_deref())).collect();
                let fields = (key.as_deref(), value.as_deref());
                builder.append_with(offset, timestamp, fields, borrowed.iter().copied());
                expected.push((offset, timestamp, key, value, headers));
                offset += 1;
            }
            let (len, count) = (builder.len(), builder.count());
            let bytes = builder.finish().unwrap();
            assert_eq!(bytes.len(), len);
            let batch = BatchView::parse(&bytes).unwrap();
            assert_eq!((batch.count, batch.next_offset()), (count, offset));
            assert_eq!(batch.max_timestamp, expected.iter().map(|record| record.1).max().unwrap().max(-1));
            let open = OpenBatch::open(&batch, 0).unwrap();
            let found: Vec<_> = open
                .records()
                .map(Result::unwrap)
                .map(|record| {
                    let headers: Vec<_> =
                        record.headers.iter().map(|(k, v)| (k.to_vec(), v.map(<[u8]>::to_vec))).collect();
                    let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
                    (record.offset, record.timestamp, key, value, headers)
                })
                .collect();
            assert_eq!(found, expected, "seed {seed}");
        }
    }

    #[test]
    fn a_record_keeps_its_headers_when_it_is_copied() {
        let mut builder = BatchBuilder::new(BatchFields::new(5, Codec::None));
        builder.append(1, None, None, &[(b"h", None), (b"", Some(b""))]);
        let original = builder.finish().unwrap();
        let open = OpenBatch::open(&BatchView::parse(&original).unwrap(), 0).unwrap();
        let record = open.records().next().unwrap().unwrap();
        assert_eq!(record.headers.len(), 2);
        assert_ne!(record.headers, Headers::default());
        let mut copy = BatchBuilder::new(BatchFields::new(5, Codec::None));
        copy.append_record(&record);
        assert_eq!(copy.finish().unwrap(), original);
    }
}
