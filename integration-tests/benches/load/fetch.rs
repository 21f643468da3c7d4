//! A consumer's connection: asks for some partitions from where it stands, steps over the batches that come, and never
//! opens one.

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::schema::fetch::{FetchPartition, FetchRequest, FetchTopic};
use ottla_protocol::schema::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use ottla_records::{BatchError, BatchView, batches};

use super::connection::{Answers, ask, connect, frame, invalid, set_correlation_id};

/// The timestamp that asks ListOffsets for the end of the log.
const LATEST: i64 = -1;

/// How to ask.
#[derive(Debug, Clone)]
pub(crate) struct FetchOptions {
    /// `host:port` of the broker that leads all partitions.
    pub(crate) bootstrap: String,
    /// The topic, which must exist.
    pub(crate) topic: String,
    /// Version of the request, 0 to 11: below 2 the broker answers in magic 0, below 4 in magic 1.
    pub(crate) version: i16,
    /// The most that an answer should hold, in bytes.
    pub(crate) max_bytes: i32,
    /// The most of one partition, in bytes.
    pub(crate) partition_max_bytes: i32,
    /// How long the broker may wait for the first byte.
    pub(crate) max_wait: Duration,
}

impl FetchOptions {
    /// As Kafka's consumer asks: 50 MiB, 1 MiB of a partition, 500 ms, in the newest version without tags.
    pub(crate) fn new(bootstrap: &str, topic: &str) -> FetchOptions {
        FetchOptions {
            bootstrap: bootstrap.into(),
            topic: topic.into(),
            version: 11,
            max_bytes: 50 << 20,
            partition_max_bytes: 1 << 20,
            max_wait: Duration::from_millis(500),
        }
    }
}

/// Where a consumer stands in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// The partition.
    pub(crate) partition: i32,
    /// The offset that comes next.
    pub(crate) next: i64,
}

/// What came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// Bytes of answers.
    pub(crate) wire_bytes: u64,
    /// Bytes of whole batches.
    pub(crate) batch_bytes: u64,
    /// Offsets that were stepped over: records, if the log is not compacted.
    pub(crate) records: u64,
}

impl std::ops::AddAssign for Fetched {
    fn add_assign(&mut self, other: Fetched) {
        self.wire_bytes += other.wire_bytes;
        self.batch_bytes += other.batch_bytes;
        self.records += other.records;
    }
}

/// The offsets behind the last records of a topic's partitions.
///
/// # Errors
/// Of the socket; what the broker says.
pub(crate) fn ends(bootstrap: &str, topic: &str, partitions: &[i32]) -> io::Result<Vec<Position>> {
    let partition =
        |index: &i32| ListOffsetsPartition { partition_index: *index, timestamp: LATEST, ..Default::default() };
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic { name: topic.into(), partitions: partitions.iter().map(partition).collect() }],
        ..Default::default()
    };
    let response = ask(&connect(bootstrap)?, &request, 1)?;
    let found = response.topics.into_iter().flat_map(|topic| topic.partitions);
    let ends = found.map(|partition| match partition.error_code {
        0 => Ok(Position { partition: partition.partition_index, next: partition.offset }),
        code => Err(refused(code)),
    });
    ends.collect()
}

fn refused(code: i16) -> io::Error {
    let why = ErrorCode::from_code(code).map_or("unknown error", ErrorCode::message);
    invalid(format!("the broker refuses a fetch: {why} (error {code})"))
}

/// The connection.
pub(crate) struct Fetcher {
    options: FetchOptions,
    stream: TcpStream,
    answers: Answers,
    positions: Vec<Position>,
    sent: i32,
}

impl Fetcher {
    /// A connection that reads on from these positions.
    pub(crate) fn connect(options: &FetchOptions, positions: Vec<Position>) -> io::Result<Fetcher> {
        let stream = connect(&options.bootstrap)?;
        let answers = Answers::new(stream.try_clone()?);
        Ok(Fetcher { options: options.clone(), stream, answers, positions, sent: 0 })
    }

    /// Where it stands.
    pub(crate) fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// Asks no more for the partitions of which `wanted` does not hold.
    pub(crate) fn retain(&mut self, wanted: impl FnMut(&Position) -> bool) {
        self.positions.retain(wanted);
    }

    /// One request and its answer; `visit` sees each whole batch from the position on.
    ///
    /// # Errors
    /// Of the socket; what the broker says; bytes that are no batches, or a first batch that does not fit an answer.
    pub(crate) fn fetch(&mut self, visit: &mut dyn FnMut(&BatchView<'_>) -> io::Result<()>) -> io::Result<Fetched> {
        let mut request = frame(&self.request(), self.options.version)?;
        set_correlation_id(&mut request, self.sent);
        self.stream.write_all(&request)?;
        // Another partition is the first next time, so that a small answer starves none.
        let by = 1.min(self.positions.len());
        self.positions.rotate_left(by);
        let answer = self.answers.next()?;
        let mut fields = Fields(answer);
        if fields.i32()? != self.sent {
            return Err(invalid("the answer to another request"));
        }
        self.sent = self.sent.wrapping_add(1);
        let mut fetched = Fetched { wire_bytes: answer.len() as u64 + 4, ..Default::default() };
        fields.each_partition(self.options.version, &mut |index, records| {
            let Some(position) = self.positions.iter_mut().find(|position| position.partition == index) else {
                return Err(invalid(format!("partition {index} was not asked for")));
            };
            step_over(records, position, &mut fetched, visit)
        })?;
        Ok(fetched)
    }

    fn request(&self) -> FetchRequest {
        let partition = |position: &Position| FetchPartition {
            partition: position.partition,
            fetch_offset: position.next,
            partition_max_bytes: self.options.partition_max_bytes,
            ..Default::default()
        };
        FetchRequest {
            max_wait_ms: self.options.max_wait.as_millis() as i32,
            min_bytes: 1,
            max_bytes: self.options.max_bytes,
            topics: vec![FetchTopic {
                topic: self.options.topic.as_str().into(),
                partitions: self.positions.iter().map(partition).collect(),
                ..Default::default()
            }],
            ..Default::default()
        }
    }
}

/// Moves a position behind the whole batches of `records`; the last may be cut off and will come again.
fn step_over(
    records: &[u8],
    position: &mut Position,
    fetched: &mut Fetched,
    visit: &mut dyn FnMut(&BatchView<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let before = position.next;
    for batch in batches(records) {
        let batch = match batch {
            Ok(batch) => batch,
            Err(BatchError::CutOff { position: start, .. }) if start > 0 => break,
            Err(BatchError::CutOff { needed, .. }) => {
                return Err(invalid(format!("a batch of {needed} bytes does not fit the bytes of a partition")));
            }
            Err(error) => return Err(invalid(error.to_string())),
        };
        // A message of an old format inside a compressed set may come again, with the whole set.
        if batch.next_offset() > position.next {
            visit(&batch)?;
            position.next = batch.next_offset();
        }
        fetched.batch_bytes += batch.size() as u64;
    }
    fetched.records += (position.next - before) as u64;
    Ok(())
}

/// The fields of an answer that are left to read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Walks an answer behind its correlation id and calls `visit` with each partition and its records.
    fn each_partition(
        &mut self,
        version: i16,
        visit: &mut dyn FnMut(i32, &'a [u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if version >= 1 {
            self.i32()?;
        }
        if version >= 7 {
            check(self.i16()?)?;
            self.i32()?;
        }
        for _ in 0..self.i32()? {
            let name = self.i16()?;
            self.take(name.max(0) as usize)?;
            for _ in 0..self.i32()? {
                let index = self.i32()?;
                check(self.i16()?)?;
                // High watermark; last stable offset; log start offset.
                self.take(8)?;
                if version >= 4 {
                    self.take(8)?;
                }
                if version >= 5 {
                    self.take(8)?;
                }
                if version >= 4 {
                    let aborted = self.i32()?;
                    self.take(aborted.max(0) as usize * 16)?;
                }
                if version >= 11 {
                    self.i32()?;
                }
                let length = self.i32()?;
                visit(index, self.take(length.max(0) as usize)?)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(ErrorKind::UnexpectedEof)?;
        self.0 = rest;
        Ok(taken)
    }

    fn i16(&mut self) -> io::Result<i16> {
        let (field, rest) = self.0.split_first_chunk().ok_or(ErrorKind::UnexpectedEof)?;
        self.0 = rest;
        Ok(i16::from_be_bytes(*field))
    }

    fn i32(&mut self) -> io::Result<i32> {
        let (field, rest) = self.0.split_first_chunk().ok_or(ErrorKind::UnexpectedEof)?;
        self.0 = rest;
        Ok(i32::from_be_bytes(*field))
    }
}

fn check(code: i16) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(refused(code)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ottla_protocol::Frame;
    use ottla_protocol::schema::fetch::{AbortedTransaction, FetchResponse, FetchableTopicResponse, PartitionData};
    use ottla_records::{Codec, Magic};

    use crate::load::batch::Shape;

    fn set_base_offset(batch: &mut [u8], offset: i64) {
        batch[..8].copy_from_slice(&offset.to_be_bytes());
    }

    fn set_at(magic: Magic, offset: i64) -> (Vec<u8>, i64) {
        let shape = Shape { record_bytes: 10, batch_bytes: 200, codec: Codec::None, magic };
        let batch = shape.build().unwrap();
        let mut bytes = batch.bytes.to_vec();
        match magic {
            Magic::V2 => set_base_offset(&mut bytes, offset),
            _ => {
                let size = bytes.len() / batch.records as usize;
                for (offset, message) in (offset..).zip(bytes.chunks_mut(size)) {
                    set_base_offset(message, offset);
                }
            }
        }
        (bytes, offset + batch.records as i64)
    }

    fn stepped(records: &[u8], next: i64) -> io::Result<(Position, Fetched, usize)> {
        let mut position = Position { partition: 0, next };
        let (mut fetched, mut seen) = (Fetched::default(), 0);
        step_over(records, &mut position, &mut fetched, &mut |_| {
            seen += 1;
            Ok(())
        })?;
        Ok((position, fetched, seen))
    }

    /// Wherever an answer is cut off, the next request begins with the batch that was not whole.
    #[test]
    fn a_batch_that_is_cut_off_is_asked_for_again() {
        let (mut records, middle) = set_at(Magic::V2, 100);
        let first = records.len();
        let (second, end) = set_at(Magic::V2, middle);
        records.extend(second);
        for cut in first..records.len() {
            let (position, fetched, seen) = stepped(&records[..cut], 100).unwrap();
            assert_eq!((position.next, seen), (middle, 1), "cut at {cut}");
            assert_eq!((fetched.batch_bytes, fetched.records), (first as u64, (middle - 100) as u64));
        }
        assert_eq!(stepped(&records, 100).unwrap().0.next, end);
        assert!(stepped(&records[..first - 1], 100).is_err(), "without progress it would be asked for for ever");
        assert_eq!(stepped(&[], 100).unwrap().0.next, 100);
    }

    #[test]
    fn records_before_the_position_are_not_counted_again() {
        for magic in [Magic::V0, Magic::V1, Magic::V2] {
            let (records, end) = set_at(magic, 50);
            let (position, fetched, _) = stepped(&records, 51).unwrap();
            assert_eq!((position.next, fetched.records), (end, (end - 51) as u64), "magic {magic}");
        }
    }

    /// The answer is walked by hand; the codec says whether rightly.
    #[test]
    fn answers_of_every_version_are_walked() {
        for version in 0..=11 {
            let partition = |partition_index, records: &'static [u8], aborted| PartitionData {
                partition_index,
                records: Some(Bytes::from_static(records)),
                aborted_transactions: aborted,
                ..Default::default()
            };
            let partitions = vec![
                partition(4, b"first", None),
                partition(5, b"", Some(vec![AbortedTransaction { producer_id: 1, first_offset: 2 }; 3])),
                partition(6, b"third", Some(Vec::new())),
            ];
            let topic = FetchableTopicResponse { topic: "orders".into(), partitions, ..Default::default() };
            let response = FetchResponse { responses: vec![topic], ..Default::default() };
            let frame: Frame = Frame::response(&response, version, 9).unwrap();
            let bytes: Vec<u8> = frame.parts.iter().flat_map(|part| part.as_ref().to_vec()).skip(8).collect();
            let mut found = Vec::new();
            let mut fields = Fields(&bytes);
            fields
                .each_partition(version, &mut |index, records| {
                    found.push((index, records));
                    Ok(())
                })
                .unwrap();
            assert_eq!(found, [(4, &b"first"[..]), (5, b""), (6, b"third")], "version {version}");
            assert!(fields.0.is_empty());
            assert!(Fields(&bytes[..bytes.len() - 1]).each_partition(version, &mut |_, _| Ok(())).is_err());
        }
    }
}
