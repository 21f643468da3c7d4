//! Brokers for tests: logs in memory, served to any number of connections, one request of a connection at a time as real brokers
//! do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_protocol::schema::api_versions::ApiVersion;
use ottla_protocol::schema::fetch::{FetchableTopicResponse, PartitionData};
use ottla_protocol::schema::list_offsets::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use ottla_protocol::schema::metadata::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use ottla_protocol::schema::{
    ApiVersionsResponse, FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest,
    MetadataResponse,
};
use ottla_protocol::{ApiKey, ErrorCode, Frame, Message, RequestHeader, Str};
use ottla_records::Codec;
use ottla_records::builder::{BatchBuilder, BatchFields};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

type Partition = (String, i32);

/// A cluster of such brokers.
#[derive(Clone, Default)]
pub(super) struct FakeCluster {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    addresses: BTreeMap<i32, (String, u16)>,
    leaders: BTreeMap<Partition, i32>,
    logs: BTreeMap<Partition, Log>,
    fetches: usize,
}

#[derive(Default)]
struct Log {
    start: i64,
    end: i64,
    /// First offset, offset after the last, bytes.
    batches: Vec<(i64, i64, Vec<u8>)>,
}

impl FakeCluster {
    /// Starts a broker; where it listens.
    pub(super) async fn broker(&self, id: i32) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        self.lock().addresses.insert(id, (address.ip().to_string(), address.port()));
        let cluster = self.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(cluster.clone().serve(id, socket));
            }
        });
        address.port()
    }

    pub(super) fn lead(&self, topic: &str, partition: i32, leader: i32) {
        let mut state = self.lock();
        state.leaders.insert((topic.into(), partition), leader);
        state.logs.entry((topic.into(), partition)).or_default();
    }

    /// Appends a batch of values.
    pub(super) fn append(&self, topic: &str, partition: i32, values: &[&str]) {
        let mut state = self.lock();
        let log = state.logs.get_mut(&(topic.to_owned(), partition)).unwrap();
        let mut builder = BatchBuilder::new(BatchFields::new(log.end, Codec::Lz4));
        for value in values {
            builder.append(7, Some(b"k"), Some(value.as_bytes()), &[]);
        }
        let end = log.end + values.len() as i64;
        log.batches.push((log.end, end, builder.finish().unwrap()));
        log.end = end;
    }

    /// Appends bytes that hold `count` records.
    pub(super) fn append_bytes(&self, topic: &str, partition: i32, count: i64, bytes: &[u8]) {
        let mut state = self.lock();
        let log = state.logs.get_mut(&(topic.to_owned(), partition)).unwrap();
        log.batches.push((log.end, log.end + count, bytes.into()));
        log.end += count;
    }

    /// Flips the last bit of the last batch, or flips it back.
    pub(super) fn damage(&self, topic: &str, partition: i32) {
        let mut state = self.lock();
        let log = state.logs.get_mut(&(topic.to_owned(), partition)).unwrap();
        *log.batches.last_mut().unwrap().2.last_mut().unwrap() ^= 1;
    }

    /// Deletes records before an offset.
    pub(super) fn delete_before(&self, topic: &str, partition: i32, offset: i64) {
        let mut state = self.lock();
        let log = state.logs.get_mut(&(topic.to_owned(), partition)).unwrap();
        log.batches.retain(|(first, _, _)| *first >= offset);
        log.start = offset;
    }

    /// How many fetches were answered.
    pub(super) fn fetches(&self) -> usize {
        self.lock().fetches
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn serve(self, id: i32, mut socket: TcpStream) -> Option<()> {
        loop {
            let length = socket.read_i32().await.ok()?;
            let mut body = BytesMut::zeroed(length as usize);
            socket.read_exact(&mut body).await.ok()?;
            let mut body = body.freeze();
            let RequestHeader { api_key, api_version: version, correlation_id, .. } =
                RequestHeader::decode(&mut body).unwrap();
            let answer = match api_key {
                ApiKey::ApiVersions => frame(&versions(), version, correlation_id),
                ApiKey::Metadata => {
                    let request = MetadataRequest::decode(&mut body, version).unwrap();
                    frame(&self.metadata(&request), version, correlation_id)
                }
                ApiKey::ListOffsets => {
                    let request = ListOffsetsRequest::decode(&mut body, version).unwrap();
                    frame(&self.list_offsets(&request), version, correlation_id)
                }
                ApiKey::Fetch => {
                    let request = FetchRequest::decode(&mut body, version).unwrap();
                    let until = Instant::now() + Duration::from_millis(request.max_wait_ms as u64);
                    let response = loop {
                        let (response, is_empty) = self.fetch(id, &request);
                        if !is_empty || Instant::now() >= until {
                            break response;
                        }
                        sleep(Duration::from_millis(2)).await;
                    };
                    self.lock().fetches += 1;
                    frame(&response, version, correlation_id)
                }
                other => panic!("{other:?} is not served here"),
            };
            socket.write_all(&answer).await.ok()?;
        }
    }

    fn metadata(&self, request: &MetadataRequest) -> MetadataResponse {
        let state = self.lock();
        let broker = |(id, (host, port)): (&i32, &(String, u16))| MetadataResponseBroker {
            node_id: *id,
            host: Str::from(host.as_str()),
            port: (*port).into(),
            ..Default::default()
        };
        let topic = |name: &Str| MetadataResponseTopic {
            name: Some(name.clone()),
            partitions: state
                .leaders
                .iter()
                .filter(|((topic, _), _)| topic.as_str() == &**name)
                .map(|((_, partition), leader)| MetadataResponsePartition {
                    partition_index: *partition,
                    leader_id: *leader,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        };
        let asked = request.topics.iter().flatten().filter_map(|topic| topic.name.as_ref());
        MetadataResponse {
            brokers: state.addresses.iter().map(broker).collect(),
            topics: asked.map(topic).collect(),
            ..Default::default()
        }
    }

    fn list_offsets(&self, request: &ListOffsetsRequest) -> ListOffsetsResponse {
        let state = self.lock();
        let mut topics = Vec::new();
        for topic in &request.topics {
            let partition = |asked: &ottla_protocol::schema::list_offsets::ListOffsetsPartition| {
                let log = &state.logs[&(topic.name.to_string(), asked.partition_index)];
                let offset = if asked.timestamp == -2 { log.start } else { log.end };
                ListOffsetsPartitionResponse { partition_index: asked.partition_index, offset, ..Default::default() }
            };
            let partitions = topic.partitions.iter().map(partition).collect();
            topics.push(ListOffsetsTopicResponse { name: topic.name.clone(), partitions });
        }
        ListOffsetsResponse { topics, ..Default::default() }
    }

    /// The answer, and whether it says nothing.
    fn fetch(&self, id: i32, request: &FetchRequest) -> (FetchResponse<Bytes>, bool) {
        let state = self.lock();
        let mut is_empty = true;
        let mut responses = Vec::new();
        for topic in &request.topics {
            let mut partitions = Vec::new();
            for asked in &topic.partitions {
                let key = (topic.topic.to_string(), asked.partition);
                let mut answer = PartitionData { partition_index: asked.partition, ..PartitionData::default() };
                let log = &state.logs[&key];
                if state.leaders[&key] != id {
                    answer.error_code = ErrorCode::NotLeaderOrFollower.code();
                } else if asked.fetch_offset < log.start || asked.fetch_offset > log.end {
                    answer.error_code = ErrorCode::OffsetOutOfRange.code();
                }
                is_empty &= answer.error_code == 0;
                let mut records = Vec::new();
                for (_, end, bytes) in &log.batches {
                    if answer.error_code == 0 && *end > asked.fetch_offset {
                        records.extend_from_slice(bytes);
                    }
                }
                // As version 2 and earlier do it: cut off anywhere.
                records.truncate(asked.partition_max_bytes as usize);
                is_empty &= records.is_empty();
                answer.high_watermark = log.end;
                answer.records = Some(records.into());
                partitions.push(answer);
            }
            responses.push(FetchableTopicResponse { topic: topic.topic.clone(), partitions, ..Default::default() });
        }
        (FetchResponse { responses, ..FetchResponse::default() }, is_empty)
    }
}

fn versions() -> ApiVersionsResponse {
    let keys = [(ApiKey::Fetch, 11), (ApiKey::Metadata, 9), (ApiKey::ListOffsets, 5), (ApiKey::ApiVersions, 4)];
    let known = keys.map(|(key, newest)| ApiVersion { api_key: key.code(), min_version: 0, max_version: newest });
    ApiVersionsResponse { api_keys: known.into(), ..ApiVersionsResponse::default() }
}

fn frame<M: Message<Payload = Bytes>>(message: &M, version: i16, correlation_id: i32) -> Vec<u8> {
    let frame = Frame::response(message, version, correlation_id).unwrap();
    frame.parts.iter().flat_map(|part| part.as_ref().iter().copied()).collect()
}
