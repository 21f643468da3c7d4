use bytes::Bytes;
use ottla_records::record::Headers;
use ottla_records::{TimestampType, record};
use ottla_types::{Offset, PartitionIndex, TopicName};

/// A record that was handed out. Key, value and headers share the buffer that they came in: who keeps a record for long
/// keeps the whole fetched answer in memory, up to a few `fetch.message.max.bytes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The topic.
    pub topic: TopicName,
    /// The partition's number.
    pub partition: PartitionIndex,
    /// Its place in the partition.
    pub offset: Offset,
    /// In ms since 1970, -1 if none.
    pub timestamp: i64,
    /// Who gave the timestamp.
    pub timestamp_type: TimestampType,
    /// The key, may be null.
    pub key: Option<Bytes>,
    /// The value, may be null.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// A record within a [`Batch`](super::Batch), borrowed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// The topic.
    pub topic: &'a TopicName,
    /// The partition's number.
    pub partition: PartitionIndex,
    /// Its place in the partition.
    pub offset: Offset,
    /// In ms since 1970, -1 if none.
    pub timestamp: i64,
    /// Who gave the timestamp.
    pub timestamp_type: TimestampType,
    /// The key, may be null.
    pub key: Option<&'a [u8]>,
    /// The value, may be null.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Headers<'a>,
}

impl Record {
    /// Slices of `buffer`, in which the record lies.
    #[inline]
    pub(super) fn slice(
        buffer: &Bytes,
        topic: &TopicName,
        partition: PartitionIndex,
        timestamp_type: TimestampType,
        record: &record::Record<'_>,
    ) -> Record {
        let slice = |bytes: &[u8]| buffer.slice_ref(bytes);
        let headers = match record.headers.is_empty() {
            true => Vec::new(),
            false => record.headers.iter().map(|(name, value)| (slice(name), value.map(slice))).collect(),
        };
        Record {
            topic: topic.clone(),
            partition,
            offset: record.offset,
            timestamp: record.timestamp,
            timestamp_type,
            key: record.key.map(slice),
            value: record.value.map(slice),
            headers,
        }
    }
}
