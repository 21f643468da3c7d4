//! The requests, by the names that `integration-tests/instructions.txt` has.

use bytes::Bytes;
use ottla_protocol::schema::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use ottla_protocol::schema::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use ottla_protocol::{ApiKey, Frame, Message, Part, Request, decode_response_header};
use ottla_records::{Codec, Magic, batches as stored_batches};

use super::TOPIC;
use super::batches::{BATCH_BYTES, batch, full, full_count, old};

/// A way through the broker.
pub(crate) struct Path {
    /// Its name.
    pub(crate) name: &'static str,
    /// What goes this way.
    kind: Kind,
}

enum Kind {
    /// One batch for one partition, with acks=1, in this version.
    Produce(i16, fn() -> Bytes),
    /// Batches of one partition, in this version and of at most so many bytes. The log holds [`LOG_BATCHES`].
    Fetch { version: i16, max_bytes: usize, from: From, expected: Expected },
}

/// Where a fetch begins.
enum From {
    /// Inside the log, where only an index knows the place.
    Middle,
    /// Behind the last record.
    End,
}

/// What a fetch finds.
struct Expected {
    bytes: std::ops::RangeInclusive<usize>,
    magic: Magic,
}

/// Batches of 100 byte records in the log that is read.
const LOG_BATCHES: usize = 64;

/// All of them.
pub(crate) const PATHS: &[Path] = &[
    Path { name: "produce-100", kind: Kind::Produce(9, || full(100, Codec::None)) },
    Path { name: "produce-1k", kind: Kind::Produce(9, || full(1024, Codec::None)) },
    Path { name: "produce-lz4", kind: Kind::Produce(9, || full(1024, Codec::Lz4)) },
    Path { name: "produce-single", kind: Kind::Produce(9, || batch(1, 1024, Codec::None)) },
    Path { name: "produce-old", kind: Kind::Produce(2, || old(100)) },
    Path {
        name: "fetch-batch",
        kind: Kind::Fetch {
            version: 12,
            max_bytes: 1 << 20,
            from: From::Middle,
            expected: Expected { bytes: (1 << 20) - BATCH_BYTES..=1 << 20, magic: Magic::V2 },
        },
    },
    Path {
        name: "fetch-empty",
        kind: Kind::Fetch {
            version: 12,
            max_bytes: 1 << 20,
            from: From::End,
            expected: Expected { bytes: 0..=0, magic: Magic::V2 },
        },
    },
    Path {
        name: "fetch-down",
        kind: Kind::Fetch {
            version: 3,
            max_bytes: BATCH_BYTES,
            from: From::Middle,
            expected: Expected { bytes: BATCH_BYTES..=2 * BATCH_BYTES, magic: Magic::V1 },
        },
    },
];

impl Path {
    /// What is served first, so that the path finds what it is about.
    pub(super) fn preparation(&self) -> Vec<Vec<Part>> {
        match self.kind {
            Kind::Produce(..) => Vec::new(),
            Kind::Fetch { .. } => (0..LOG_BATCHES).map(|_| produce(9, full(100, Codec::None))).collect(),
        }
    }

    /// A request, its length first.
    pub(super) fn request(&self) -> Vec<Part> {
        match &self.kind {
            Kind::Produce(version, records) => produce(*version, records()),
            Kind::Fetch { version, max_bytes, from, .. } => {
                let batches = match from {
                    From::Middle => LOG_BATCHES / 3,
                    From::End => LOG_BATCHES,
                };
                fetch(*version, *max_bytes, (batches * full_count(100)) as i64)
            }
        }
    }

    /// Looks whether an answer, without its length, is the one that this path should get.
    pub(super) fn check(&self, mut answer: Bytes) {
        match &self.kind {
            Kind::Produce(version, _) => {
                decode_response_header(&mut answer, ApiKey::Produce, *version).expect("the header can be read");
                let response = ProduceResponse::decode(&mut answer, *version).expect("the answer can be read");
                let partition = &response.responses[0].partition_responses[0];
                assert!(partition.error_code == 0 && partition.base_offset >= 0, "{}: {partition:?}", self.name);
            }
            Kind::Fetch { version, expected, .. } => {
                decode_response_header(&mut answer, ApiKey::Fetch, *version).expect("the header can be read");
                let response = FetchResponse::<Bytes>::decode(&mut answer, *version).expect("the answer can be read");
                let partition = &response.responses[0].partitions[0];
                let records = partition.records.clone().unwrap_or_default();
                assert!(expected.bytes.contains(&records.len()), "{}: {} bytes", self.name, records.len());
                let first = stored_batches(&records).next();
                assert!(first.is_none_or(|batch| batch.is_ok_and(|batch| batch.magic == expected.magic)));
            }
        }
    }
}

fn produce(version: i16, records: Bytes) -> Vec<Part> {
    let data = PartitionProduceData { index: 0, records: Some(records) };
    let topic = TopicProduceData { name: TOPIC.into(), partition_data: vec![data] };
    let request = ProduceRequest { acks: 1, timeout_ms: 30_000, topic_data: vec![topic], ..ProduceRequest::default() };
    parts(&request, version)
}

fn fetch(version: i16, max_bytes: usize, offset: i64) -> Vec<Part> {
    let partition = FetchPartition {
        partition: 0,
        current_leader_epoch: 0,
        fetch_offset: offset,
        partition_max_bytes: max_bytes as i32,
        ..FetchPartition::default()
    };
    let topic = FetchTopic { topic: TOPIC.into(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest { min_bytes: 1, max_bytes: 50 << 20, topics: vec![topic], ..FetchRequest::default() };
    parts(&request, version)
}

fn parts<M: Request<Payload = Bytes>>(request: &M, version: i16) -> Vec<Part> {
    Frame::request(request, version, 42, Some("producer-1".into())).expect("it can be written").parts
}
