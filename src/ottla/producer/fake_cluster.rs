//! Brokers for tests: logs in memory, with what a broker knows of producers; one request of a connection at a time.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_protocol::schema::api_versions::ApiVersion;
use ottla_protocol::schema::metadata::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use ottla_protocol::schema::produce::{PartitionProduceResponse, TopicProduceResponse};
use ottla_protocol::schema::{
    ApiVersionsResponse, InitProducerIdResponse, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
};
use ottla_protocol::{ApiKey, ErrorCode, Frame, Message, RequestHeader, Str};
use ottla_records::batches;
use ottla_records::open::OpenBatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

type Partition = (String, i32);

/// A cluster of such brokers.
#[derive(Clone, Default)]
pub(super) struct FakeCluster {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    brokers: BTreeMap<i32, Running>,
    leaders: BTreeMap<Partition, i32>,
    logs: BTreeMap<Partition, Log>,
    asked: Vec<(ApiKey, i16)>,
    /// The newest version of Produce; none: 11.
    produce_versions: Option<RangeInclusive<i16>>,
    next_producer_id: i64,
    /// What becomes of the next Produce requests.
    fates: VecDeque<Fate>,
    /// How long each Produce request takes.
    delay: Duration,
    /// Larger batches are refused; none: all are taken.
    max_message_bytes: Option<usize>,
    /// What the broker says of a topic that is to be made; none: it makes it, with so many partitions.
    refuses_topics: Option<ErrorCode>,
    /// Topics that a broker was asked to make.
    to_make: Vec<String>,
}

struct Running {
    port: u16,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Log {
    records: Vec<Appended>,
    /// By producer id and epoch: the next sequence, and the batches that were written last.
    producers: BTreeMap<(i64, i16), Known>,
}

#[derive(Default)]
struct Known {
    next: i32,
    /// First sequence, first offset.
    batches: Vec<(i32, i64)>,
}

/// A record in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Appended {
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
    pub(super) headers: usize,
    /// The magic of its batch.
    pub(super) magic: u8,
    /// How many batches came before its own.
    pub(super) batch: usize,
}

/// What becomes of a Produce request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// As usual.
    Served,
    /// Written, and the connection ends before the answer.
    WrittenUnseen,
    /// The connection ends, nothing is written.
    Lost,
    /// Refused.
    Refused(ErrorCode),
    /// Never answered.
    Silent,
}

impl FakeCluster {
    /// Starts a broker, or starts it again elsewhere; the port.
    pub(super) async fn broker(&self, id: i32) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cluster = self.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let cluster = cluster.clone();
                connections.spawn(cluster.serve(id, socket));
            }
        });
        self.lock().brokers.insert(id, Running { port, _tasks: tasks });
        port
    }

    /// Stops a broker: its connections end, nobody listens.
    pub(super) fn stop(&self, id: i32) {
        self.lock().brokers.remove(&id);
    }

    pub(super) fn lead(&self, topic: &str, partition: i32, leader: i32) {
        let mut state = self.lock();
        state.leaders.insert((topic.into(), partition), leader);
        state.logs.entry((topic.into(), partition)).or_default();
    }

    /// What becomes of the next Produce requests, whichever broker they come to.
    pub(super) fn plan(&self, fates: &[Fate]) {
        self.lock().fates.extend(fates);
    }

    pub(super) fn delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// Topics take no larger batches.
    pub(super) fn limit_batches(&self, max_message_bytes: usize) {
        self.lock().max_message_bytes = Some(max_message_bytes);
    }

    pub(super) fn know_produce(&self, versions: RangeInclusive<i16>) {
        self.lock().produce_versions = Some(versions);
    }

    pub(super) fn refuse_topics(&self, code: ErrorCode) {
        self.lock().refuses_topics = Some(code);
    }

    /// Topics that brokers were asked to make since the last call.
    pub(super) fn take_to_make(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().to_make)
    }

    /// How often an API was asked.
    pub(super) fn asked(&self, key: ApiKey) -> usize {
        self.lock().asked.iter().filter(|asked| asked.0 == key).count()
    }

    /// The records of a partition.
    pub(super) fn log(&self, topic: &str, partition: i32) -> Vec<Appended> {
        self.lock().logs.get(&(topic.to_owned(), partition)).map(|log| log.records.clone()).unwrap_or_default()
    }

    /// The values of a partition.
    pub(super) fn values(&self, topic: &str, partition: i32) -> Vec<String> {
        self.log(topic, partition).into_iter().map(|record| record.value.unwrap_or_default()).collect()
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
            self.lock().asked.push((api_key, version));
            let answer = match api_key {
                ApiKey::ApiVersions => frame(&self.versions(), version, correlation_id),
                ApiKey::Metadata => {
                    let request = MetadataRequest::decode(&mut body, version).unwrap();
                    frame(&self.metadata(&request), version, correlation_id)
                }
                ApiKey::InitProducerId => {
                    let producer_id = {
                        let mut state = self.lock();
                        state.next_producer_id += 1;
                        state.next_producer_id
                    };
                    frame(
                        &InitProducerIdResponse { producer_id, producer_epoch: 0, ..Default::default() },
                        version,
                        correlation_id,
                    )
                }
                ApiKey::Produce => {
                    let request = ProduceRequest::decode(&mut body, version).unwrap();
                    let (fate, delay) = {
                        let mut state = self.lock();
                        (state.fates.pop_front().unwrap_or(Fate::Served), state.delay)
                    };
                    sleep(delay).await;
                    let refused = match fate {
                        Fate::Lost => return None,
                        Fate::Silent => std::future::pending().await,
                        Fate::Refused(code) => Some(code),
                        Fate::Served | Fate::WrittenUnseen => None,
                    };
                    let response = self.produce(id, &request, refused);
                    if fate == Fate::WrittenUnseen {
                        return None;
                    }
                    if request.acks == 0 {
                        continue;
                    }
                    frame(&response, version, correlation_id)
                }
                other => panic!("{other:?} is not served here"),
            };
            socket.write_all(&answer).await.ok()?;
        }
    }

    fn versions(&self) -> ApiVersionsResponse {
        let produce = self.lock().produce_versions.clone().unwrap_or(0..=11);
        let mut keys =
            vec![(ApiKey::Metadata, 0..=9), (ApiKey::ApiVersions, 0..=4), (ApiKey::Produce, produce.clone())];
        if *produce.end() >= 3 {
            keys.push((ApiKey::InitProducerId, 0..=4));
        }
        let version = |(key, versions): (ApiKey, RangeInclusive<i16>)| ApiVersion {
            api_key: key.code(),
            min_version: *versions.start(),
            max_version: *versions.end(),
        };
        ApiVersionsResponse { api_keys: keys.into_iter().map(version).collect(), ..ApiVersionsResponse::default() }
    }

    fn metadata(&self, request: &MetadataRequest) -> MetadataResponse {
        let mut state = self.lock();
        let broker = |(id, running): (&i32, &Running)| MetadataResponseBroker {
            node_id: *id,
            host: Str::from_static("127.0.0.1"),
            port: running.port.into(),
            ..Default::default()
        };
        let brokers = state.brokers.iter().map(broker).collect();
        let mut topics = Vec::new();
        let all: Vec<Str> = match &request.topics {
            Some(topics) => topics.iter().filter_map(|topic| topic.name.clone()).collect(),
            None => state.leaders.keys().map(|(topic, _)| Str::from(topic.as_str())).collect(),
        };
        for name in all {
            let partition = |((_, partition), leader): (&Partition, &i32)| MetadataResponsePartition {
                partition_index: *partition,
                leader_id: *leader,
                ..Default::default()
            };
            let partitions: Vec<_> =
                state.leaders.iter().filter(|((topic, _), _)| *topic == *name).map(partition).collect();
            let error_code = match (partitions.is_empty(), request.allow_auto_topic_creation) {
                (false, _) => 0,
                (true, false) => ErrorCode::UnknownTopicOrPartition.code(),
                (true, true) => {
                    let refusal = state.refuses_topics;
                    if refusal.is_none() {
                        state.to_make.push(name.to_string());
                    }
                    refusal.unwrap_or(ErrorCode::LeaderNotAvailable).code()
                }
            };
            topics.push(MetadataResponseTopic { error_code, name: Some(name), partitions, ..Default::default() });
        }
        MetadataResponse { brokers, topics, ..Default::default() }
    }

    fn produce(&self, id: i32, request: &ProduceRequest, refused: Option<ErrorCode>) -> ProduceResponse {
        let mut state = self.lock();
        let mut responses = Vec::new();
        for topic in &request.topic_data {
            let mut partition_responses = Vec::new();
            for data in &topic.partition_data {
                let key = (topic.name.to_string(), data.index);
                let records = data.records.as_ref().unwrap();
                let is_too_large = state.max_message_bytes.is_some_and(|limit| records.len() > limit);
                let outcome = match (refused, state.leaders.get(&key)) {
                    (Some(code), _) => Err(code),
                    _ if is_too_large => Err(ErrorCode::MessageTooLarge),
                    (None, Some(leader)) if *leader == id => state.logs.entry(key).or_default().append(records),
                    (None, Some(_)) => Err(ErrorCode::NotLeaderOrFollower),
                    (None, None) => Err(ErrorCode::UnknownTopicOrPartition),
                };
                partition_responses.push(PartitionProduceResponse {
                    index: data.index,
                    error_code: outcome.map_or_else(ErrorCode::code, |_| 0),
                    base_offset: outcome.unwrap_or(-1),
                    ..Default::default()
                });
            }
            responses.push(TopicProduceResponse { name: topic.name.clone(), partition_responses });
        }
        ProduceResponse { responses, ..ProduceResponse::default() }
    }
}

impl Log {
    /// Appends what came, and checks it as a broker does; the first offset.
    fn append(&mut self, bytes: &Bytes) -> Result<i64, ErrorCode> {
        let first = self.records.len() as i64;
        for batch in batches(bytes) {
            let batch = batch.unwrap();
            batch.check_crc().unwrap();
            if batch.has_producer_id() {
                let known = self.producers.entry((batch.producer_id, batch.producer_epoch)).or_default();
                if let Some((_, offset)) = known.batches.iter().find(|(sequence, _)| *sequence == batch.base_sequence) {
                    return Ok(*offset);
                }
                if batch.base_sequence != known.next {
                    return Err(ErrorCode::OutOfOrderSequenceNumber);
                }
                known.next = batch.base_sequence + batch.count;
                known.batches.push((batch.base_sequence, first));
            }
            let before = self.records.last().map_or(0, |record| record.batch + 1);
            let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            for record in OpenBatch::open(&batch, 1 << 20).unwrap().records().map(Result::unwrap) {
                self.records.push(Appended {
                    key: text(record.key),
                    value: text(record.value),
                    headers: record.headers.len(),
                    magic: batch.magic as u8,
                    batch: before,
                });
            }
        }
        Ok(first)
    }
}

fn frame<M: Message<Payload = Bytes>>(message: &M, version: i16, correlation_id: i32) -> Vec<u8> {
    let frame = Frame::response(message, version, correlation_id).unwrap();
    frame.parts.iter().flat_map(|part| part.as_ref().iter().copied()).collect()
}
