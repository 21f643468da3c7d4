//! Reading records.

use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::Str;
use ottla_protocol::schema::FetchRequest;
use ottla_protocol::schema::fetch::{FetchPartition, FetchTopic};
use ottla_records::open::OpenBatch;
use ottla_records::{TimestampType, batches};

use super::{ClientError, Connection};

/// Most that the records of one batch take when they are decompressed.
const OPEN_LIMIT: usize = 1 << 30;
/// The last version that names topics by name.
const LAST_BY_NAME: i16 = 12;

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedRecord {
    /// Its place in the partition.
    pub offset: i64,
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

/// What a fetch brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Records from the asked offset on, without control records.
    pub records: Vec<FetchedRecord>,
    /// Where to read on.
    pub next_offset: i64,
    /// The offset after the last record that consumers may see.
    pub high_watermark: i64,
}

/// How long and how much a fetch takes.
#[derive(Debug, Clone, Copy)]
pub struct FetchLimits {
    /// How long the broker waits for records to come.
    pub max_wait: Duration,
    /// Most bytes of the partition; the first batch comes whole even if it is larger.
    pub max_bytes: i32,
    /// Whether records of transactions that are not committed are left out.
    pub read_committed: bool,
}

/// Reads a partition from an offset on, from the broker that leads it.
pub async fn fetch(
    leader: &Connection,
    topic: &str,
    partition: i32,
    offset: i64,
    limits: FetchLimits,
) -> Result<Fetched, ClientError> {
    let request = FetchRequest {
        max_wait_ms: i32::try_from(limits.max_wait.as_millis()).unwrap_or(i32::MAX),
        min_bytes: 1,
        max_bytes: limits.max_bytes,
        isolation_level: limits.read_committed.into(),
        topics: vec![FetchTopic {
            topic: Str::from(topic),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: limits.max_bytes,
                ..FetchPartition::default()
            }],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    };
    let response = leader.send_at_most(&request, LAST_BY_NAME, limits.max_wait).await?;
    ClientError::check(response.error_code, None)?;
    let unreadable = |why: String| ClientError::Closed { address: leader.address().into(), why };
    let answer = response
        .responses
        .into_iter()
        .flat_map(|topic| topic.partitions)
        .find(|answer| answer.partition_index == partition)
        .ok_or_else(|| unreadable(format!("the answer to Fetch lacks {topic}-{partition}")))?;
    ClientError::check(answer.error_code, None)?;
    let mut aborted: Vec<(i64, i64)> = answer
        .aborted_transactions
        .unwrap_or_default()
        .iter()
        .map(|transaction| (transaction.first_offset, transaction.producer_id))
        .collect();
    aborted.sort_unstable();
    let (records, next_offset) = open(&answer.records.unwrap_or_default(), offset, &aborted, limits.read_committed)
        .map_err(|why| unreadable(format!("{topic}-{partition}: {why}")))?;
    Ok(Fetched { records, next_offset, high_watermark: answer.high_watermark })
}

/// The records of the whole batches from `offset` on and where to read on. A last batch that is cut off is left for the
/// next fetch. Records of aborted transactions, `(first offset, producer id)`, are left out when asked.
fn open(
    bytes: &Bytes,
    offset: i64,
    aborted: &[(i64, i64)],
    read_committed: bool,
) -> Result<(Vec<FetchedRecord>, i64), String> {
    let mut records = Vec::new();
    let mut next_offset = offset;
    let mut in_abort: Vec<i64> = Vec::new();
    let mut aborted = aborted.iter().peekable();
    for batch in batches(bytes) {
        let batch = match batch {
            Ok(batch) => batch,
            // The broker sends a range of its file; its end may lie inside a batch.
            Err(ottla_records::BatchError::CutOff { .. }) => break,
            Err(error) => return Err(error.to_string()),
        };
        let header = *batch.header();
        batch.check_crc().map_err(|error| error.to_string())?;
        next_offset = next_offset.max(header.next_offset());
        while let Some((_, producer)) = aborted.next_if(|(first, _)| *first <= header.last_offset()) {
            in_abort.push(*producer);
        }
        if header.is_control() {
            // A marker ends the producer's transaction; the next one stands in the list again if it was aborted.
            in_abort.retain(|producer| *producer != header.producer_id);
            continue;
        }
        if read_committed && header.is_transactional() && in_abort.contains(&header.producer_id) {
            continue;
        }
        let opened = OpenBatch::open(&batch, OPEN_LIMIT).map_err(|error| error.to_string())?;
        for record in opened.records() {
            let record = record.map_err(|error| error.to_string())?;
            if record.offset < offset {
                continue;
            }
            records.push(FetchedRecord {
                offset: record.offset,
                timestamp: record.timestamp,
                timestamp_type: header.timestamp_type(),
                key: record.key.map(Bytes::copy_from_slice),
                value: record.value.map(Bytes::copy_from_slice),
                headers: record
                    .headers
                    .iter()
                    .map(|(name, value)| (Bytes::copy_from_slice(name), value.map(Bytes::copy_from_slice)))
                    .collect(),
            });
        }
    }
    Ok((records, next_offset))
}

#[cfg(test)]
mod tests {
    use ottla_records::Codec;
    use ottla_records::builder::{BatchBuilder, BatchFields};

    use super::*;

    fn batch(base_offset: i64, values: &[&str], transaction: Option<i64>) -> Vec<u8> {
        let mut fields = BatchFields::new(base_offset, Codec::Gzip);
        if let Some(producer) = transaction {
            fields.producer_id = producer;
            fields.producer_epoch = 0;
            fields.base_sequence = 0;
            fields.is_transactional = true;
        }
        let mut builder = BatchBuilder::new(fields);
        for value in values {
            builder.append(5, Some(b"k"), Some(value.as_bytes()), &[(b"h", None)]);
        }
        builder.finish().unwrap()
    }

    fn values(records: &[FetchedRecord]) -> Vec<String> {
        let text = |record: &FetchedRecord| String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap();
        records.iter().map(|record| format!("{} {}", record.offset, text(record))).collect()
    }

    #[test]
    fn records_begin_at_the_offset_asked_and_a_cut_off_batch_waits() {
        let mut bytes = batch(10, &["a", "b", "c"], None);
        let second = batch(13, &["d"], None);
        bytes.extend_from_slice(&second[..second.len() - 1]);
        let (records, next) = open(&bytes.into(), 11, &[], false).unwrap();
        assert_eq!(values(&records), ["11 b", "12 c"]);
        assert_eq!(next, 13);
        assert_eq!(records[0].key.as_deref(), Some(&b"k"[..]));
        assert_eq!(records[0].headers, [(Bytes::from_static(b"h"), None)]);
    }

    #[test]
    fn aborted_records_are_left_out_up_to_their_marker() {
        let marker = |offset| {
            let mut fields = BatchFields::new(offset, Codec::None);
            (fields.producer_id, fields.producer_epoch) = (7, 0);
            (fields.is_transactional, fields.is_control) = (true, true);
            let mut builder = BatchBuilder::new(fields);
            builder.append(5, Some(&[0, 0, 0, 0]), Some(&[0; 6]), &[]);
            builder.finish().unwrap()
        };
        let mut bytes = batch(0, &["aborted"], Some(7));
        bytes.extend(batch(1, &["other"], Some(8)));
        bytes.extend(marker(2));
        bytes.extend(batch(3, &["later"], Some(7)));
        let bytes = Bytes::from(bytes);
        let (records, next) = open(&bytes, 0, &[(0, 7)], true).unwrap();
        assert_eq!(values(&records), ["1 other", "3 later"]);
        assert_eq!(next, 4);
        assert_eq!(values(&open(&bytes, 0, &[], false).unwrap().0), ["0 aborted", "1 other", "3 later"]);
    }

    #[test]
    fn a_damaged_batch_is_an_error() {
        let mut bytes = batch(0, &["a"], None);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert!(open(&bytes.into(), 0, &[], false).is_err());
    }
}
