//! Makes batches of magic 2 (`MemoryRecordsBuilder.java`).

use crate::batch::{
    BatchHeader, HEADER_LEN, LOG_OVERHEAD, Magic, NO_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE,
    NO_TIMESTAMP, TimestampType,
};
use crate::compression::{Codec, CompressionError, compress};
use crate::record::{EndTransactionMarker, Header, Record, SLACK, body_len, encode, whole_len};

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

/// Bytes of a buffer that are fetched into the processor's cache at once.
const FETCHED: usize = 4096;

/// Collects records and makes one batch of them.
pub struct BatchBuilder {
    fields: BatchFields,
    /// Room for the header, then the encoded records, not compressed.
    bytes: Vec<u8>,
    /// Up to where the buffer's memory has been written to, at least.
    fetched: usize,
    base_timestamp: Option<i64>,
    max_timestamp: i64,
    /// The largest offset so far; before the first record, the one before the base offset.
    last_offset: i64,
    count: i32,
}

impl BatchBuilder {
    /// What a buffer should hold more than the batch.
    pub const SLACK: usize = SLACK;

    /// An empty batch.
    pub fn new(fields: BatchFields) -> BatchBuilder {
        BatchBuilder::with_capacity(fields, 0)
    }

    /// An empty batch with room for records of `capacity` bytes, encoded and not compressed.
    pub fn with_capacity(fields: BatchFields, capacity: usize) -> BatchBuilder {
        BatchBuilder::with_buffer(fields, Vec::with_capacity(HEADER_LEN + capacity + SLACK))
    }

    /// An empty batch that is built in `buffer`; what that held is dropped. With room for a whole batch and
    /// [`BatchBuilder::SLACK`] bytes it is never moved.
    pub fn with_buffer(fields: BatchFields, buffer: Vec<u8>) -> BatchBuilder {
        let mut bytes = buffer;
        bytes.clear();
        bytes.resize(HEADER_LEN, 0);
        BatchBuilder {
            fields,
            bytes,
            fetched: 0,
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
        let body = body_len(deltas, key, value, headers.clone());
        encode(&mut self.bytes, body, deltas, key, value, headers);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.last_offset = offset;
        self.count += 1;
    }

    /// Appends a record at the next offset if the batch then has no more than `limit` bytes, not compressed; how many it took,
    /// `None` if it was left out.
    #[inline]
    pub fn append_within(
        &mut self,
        limit: usize,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Option<usize> {
        let base_timestamp = self.base_timestamp.unwrap_or(timestamp);
        let offset = self.last_offset.wrapping_add(1);
        let offset_delta = offset.wrapping_sub(self.fields.base_offset);
        let deltas = (offset_delta as i32, timestamp.wrapping_sub(base_timestamp));
        let body = body_len(deltas, key, value, headers.iter().copied());
        let size = whole_len(body);
        let end = self.bytes.len() + size;
        if end > limit {
            return None;
        }
        if end > self.fetched {
            self.fetch(end);
        }
        encode(&mut self.bytes, body, deltas, key, value, headers.iter().copied());
        self.base_timestamp = Some(base_timestamp);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.last_offset = offset;
        self.count += 1;
        Some(size)
    }

    /// Writes zeros where the next records will be. A buffer that is used again may be in the cache of the processor that sent it
    /// last: line by line, with a lock given up after each record, that is waited for each time; a block comes as a whole.
    fn fetch(&mut self, end: usize) {
        let len = self.bytes.len();
        self.fetched = (end + FETCHED).min(self.bytes.capacity().max(end));
        self.bytes.resize(self.fetched, 0);
        self.bytes.truncate(len);
    }

    /// Whose batch it is: producer id, producer epoch and the sequence of the first record, known only when it is sent.
    pub fn set_producer(&mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) {
        self.fields.producer_id = producer_id;
        self.fields.producer_epoch = producer_epoch;
        self.fields.base_sequence = base_sequence;
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
    pub fn finish(self) -> Result<Vec<u8>, CompressionError> {
        self.finish_and_keep().map(|(batch, _)| batch)
    }

    /// The batch's bytes, and the buffer it was built in if those are not the same: it can be used for another one
    /// ([`with_buffer`](BatchBuilder::with_buffer)).
    ///
    /// # Errors
    /// Only of the codec, for want of memory.
    pub fn finish_and_keep(self) -> Result<(Vec<u8>, Option<Vec<u8>>), CompressionError> {
        let fields = self.fields;
        let (mut batch, buffer) = match fields.codec {
            Codec::None => (self.bytes, None),
            codec => {
                let mut batch = Vec::with_capacity(HEADER_LEN + self.bytes.len() / 2);
                batch.extend_from_slice(&self.bytes[..HEADER_LEN]);
                compress(codec, Magic::V2, &self.bytes[HEADER_LEN..], &mut batch)?;
                (batch, Some(self.bytes))
            }
        };
        let max_timestamp = fields.log_append_time_ms.unwrap_or(self.max_timestamp);
        let last_offset_delta = self.last_offset.wrapping_sub(fields.base_offset) as i32;
        let timestamps = (self.base_timestamp.unwrap_or(NO_TIMESTAMP), max_timestamp);
        fields.write_header(&mut batch, last_offset_delta, timestamps, self.count);
        Ok((batch, buffer))
    }
}

/// Bytes of a batch with this record alone, if it is not compressed.
pub fn single_record_len(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) -> usize {
    HEADER_LEN + whole_len(body_len((0, 0), key, value, headers.iter().copied()))
}

/// A batch of magic 2 with another producer id, producer epoch and base sequence, and the checksum that belongs to them.
///
/// # Panics
/// If the bytes are not a whole batch of magic 2: it is meant for those that a [`BatchBuilder`] made.
pub fn restamp(batch: &[u8], producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Vec<u8> {
    let mut header = BatchHeader::parse(batch).expect("a batch of our own");
    assert!(header.magic == Magic::V2 && header.size() == batch.len(), "not one whole batch of magic 2");
    let body = &batch[HEADER_LEN..];
    header.producer_id = producer_id;
    header.producer_epoch = producer_epoch;
    header.base_sequence = base_sequence;
    header.renew_crc(body);
    let mut restamped = Vec::with_capacity(batch.len());
    restamped.extend_from_slice(&header.encode());
    restamped.extend_from_slice(body);
    restamped
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

    #[test]
    fn a_restamped_batch_is_the_one_built_with_that_stamp() {
        for codec in [Codec::None, Codec::Lz4] {
            let mut builders = [0, 1].map(|_| BatchBuilder::new(BatchFields::new(0, codec)));
            for builder in &mut builders {
                builder.append(7, Some(b"k"), Some(&[9; 300]), &[]);
                builder.append(3, None, Some(b"v"), &[(b"h", None)]);
            }
            let [mut first, mut second] = builders;
            first.set_producer(5, 0, 10);
            second.set_producer(6, 2, 0);
            let restamped = restamp(&first.finish().unwrap(), 6, 2, 0);
            assert_eq!(restamped, second.finish().unwrap());
            BatchView::parse(&restamped).unwrap().check_crc().unwrap();
        }
    }

    /// To the byte: what fits goes in, what does not leaves the batch as it was, and what is told of sizes is true.
    #[test]
    fn a_batch_grows_to_its_limit_and_no_further() {
        let (key, value) = (Some(&b"key"[..]), vec![1; 100]);
        let headers: [Header<'_>; 1] = [(b"h", Some(b"v"))];
        let alone = single_record_len(key, Some(&value), &headers);
        for limit in [alone - 1, alone, 5 * alone] {
            let mut builder = BatchBuilder::with_buffer(BatchFields::new(0, Codec::None), vec![1; 10]);
            let mut plain = BatchBuilder::new(BatchFields::new(0, Codec::None));
            loop {
                let before = builder.len();
                match builder.append_within(limit, 5, key, Some(&value), &headers) {
                    Some(size) => assert_eq!(builder.len(), before + size),
                    None => break assert_eq!(builder.len(), before),
                }
                plain.append(5, key, Some(&value), &headers);
            }
            assert!(builder.len() <= limit || builder.is_empty());
            assert_eq!(builder.is_empty(), limit < alone);
            plain.append(5, key, Some(&value), &headers);
            assert!(plain.len() > limit);
            let mut whole = BatchBuilder::new(BatchFields::new(0, Codec::None));
            (0..builder.count()).for_each(|_| whole.append(5, key, Some(&value), &headers));
            assert_eq!(builder.finish().unwrap(), whole.finish().unwrap());
        }
    }

    #[test]
    fn the_buffer_of_a_compressed_batch_is_given_back() {
        let mut builder = BatchBuilder::with_capacity(BatchFields::new(0, Codec::Lz4), 1000);
        builder.append(5, None, Some(&[0; 500]), &[]);
        let (batch, buffer) = builder.finish_and_keep().unwrap();
        assert!(batch.len() < 200 && buffer.unwrap().capacity() >= 1000);
        let mut builder = BatchBuilder::with_capacity(BatchFields::new(0, Codec::None), 1000);
        builder.append(5, None, Some(&[0; 500]), &[]);
        assert!(builder.finish_and_keep().unwrap().1.is_none());
    }
}
