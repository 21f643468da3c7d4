use ottla_records::record::Header;
use ottla_types::PartitionIndex;

/// A record that is to be sent, borrowed from whoever sends it: its bytes are copied once, into the batch.
///
/// ```
/// use ottla::producer::Record;
///
/// let record = Record::new("orders", b"12 apples").key(b"customer 7").timestamp(1_700_000_000_000);
/// assert_eq!(record.partition, None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; `None`: the partitioner decides.
    pub partition: Option<PartitionIndex>,
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is null, a tombstone where the log is compacted.
    pub value: Option<&'a [u8]>,
    /// The headers. Brokers before 0.11 have none and are sent none.
    pub headers: &'a [Header<'a>],
    /// In ms since 1970; `None`: now, as of the system's last tick (4 ms at most) or later.
    pub timestamp: Option<i64>,
}

impl<'a> Record<'a> {
    /// A record without key and headers.
    pub fn new(topic: &'a str, value: &'a [u8]) -> Record<'a> {
        Record { topic, partition: None, key: None, value: Some(value), headers: &[], timestamp: None }
    }

    /// A record whose value is null: in a compacted topic it deletes the key.
    pub fn tombstone(topic: &'a str, key: &'a [u8]) -> Record<'a> {
        Record { topic, partition: None, key: Some(key), value: None, headers: &[], timestamp: None }
    }

    /// With a key: records of one key go to one partition.
    pub fn key(self, key: &'a [u8]) -> Record<'a> {
        Record { key: Some(key), ..self }
    }

    /// With headers.
    pub fn headers(self, headers: &'a [Header<'a>]) -> Record<'a> {
        Record { headers, ..self }
    }

    /// To a partition of the application's choice.
    pub fn partition(self, partition: PartitionIndex) -> Record<'a> {
        Record { partition: Some(partition), ..self }
    }

    /// With a time of its own, in ms since 1970.
    pub fn timestamp(self, timestamp: i64) -> Record<'a> {
        Record { timestamp: Some(timestamp), ..self }
    }
}
