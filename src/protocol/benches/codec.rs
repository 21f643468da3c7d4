//! Reading and writing the messages that come often. Record bytes are not touched, so time is for each message.

use std::hint::black_box;
use std::time::Duration;

use bytes::{Buf, Bytes};
use criterion::{Criterion, criterion_group, criterion_main};
use ottla_protocol::schema::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, FetchableTopicResponse, PartitionData,
};
use ottla_protocol::schema::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::schema::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
    TopicProduceResponse,
};
use ottla_protocol::{Frame, LENGTH_LEN, Message, Read, Request, RequestHeader, decode_response_header};

/// Stands for a batch of records.
static RECORDS: [u8; 64 << 10] = [0; 64 << 10];

const PARTITIONS: i32 = 1000;

fn produce() -> (ProduceRequest, ProduceResponse) {
    let data = PartitionProduceData { index: 0, records: Some(Bytes::from_static(&RECORDS)) };
    let topic = TopicProduceData { name: "orders".into(), partition_data: vec![data] };
    let request = ProduceRequest { acks: 1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() };
    let partition = PartitionProduceResponse { base_offset: 1_234_567, ..Default::default() };
    let topic = TopicProduceResponse { name: "orders".into(), partition_responses: vec![partition] };
    (request, ProduceResponse { responses: vec![topic], ..Default::default() })
}

fn fetch() -> (FetchRequest, FetchResponse<Bytes>) {
    let partition = FetchPartition { fetch_offset: 1_234_567, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: "orders".into(), partitions: vec![partition], ..Default::default() };
    let request = FetchRequest { max_wait_ms: 500, min_bytes: 1, topics: vec![topic], ..Default::default() };
    let partition =
        PartitionData { high_watermark: 2_345_678, records: Some(Bytes::from_static(&RECORDS)), ..Default::default() };
    let topic = FetchableTopicResponse { topic: "orders".into(), partitions: vec![partition], ..Default::default() };
    (request, FetchResponse { responses: vec![topic], ..Default::default() })
}

/// One topic of [`PARTITIONS`] partitions.
fn metadata() -> MetadataResponse {
    let broker = |node_id| MetadataResponseBroker {
        node_id,
        host: "broker.example.com".into(),
        port: 9092,
        ..Default::default()
    };
    let partition = |partition_index| MetadataResponsePartition {
        partition_index,
        replica_nodes: vec![0, 1, 2],
        isr_nodes: vec![0, 1, 2],
        ..Default::default()
    };
    let topic = MetadataResponseTopic {
        name: Some("orders".into()),
        partitions: (0..PARTITIONS).map(partition).collect(),
        ..Default::default()
    };
    MetadataResponse { brokers: (0..3).map(broker).collect(), topics: vec![topic], ..Default::default() }
}

fn flat(frame: Frame) -> Bytes {
    frame.parts.iter().flat_map(|part| part.as_ref().to_vec()).collect::<Vec<u8>>().into()
}

fn request<M: Request<Payload = Bytes> + Read>(c: &mut Criterion, version: i16, message: &M) {
    let write = || Frame::request(message, version, 42, Some("producer-1".into())).unwrap();
    let frame = flat(write()).slice(LENGTH_LEN..);
    c.bench_function(&format!("{}-v{version}/write", M::NAME), |b| b.iter(write));
    c.bench_function(&format!("{}-v{version}/read", M::NAME), |b| {
        b.iter(|| {
            let mut body = black_box(&frame).clone();
            (RequestHeader::decode(&mut body).unwrap(), M::decode(&mut body, version).unwrap())
        })
    });
}

fn response<M: Message<Payload = Bytes> + Read>(c: &mut Criterion, version: i16, message: &M) {
    let write = || Frame::response(message, version, 42).unwrap();
    let frame = flat(write()).slice(LENGTH_LEN..);
    c.bench_function(&format!("{}-v{version}/write", M::NAME), |b| b.iter(write));
    c.bench_function(&format!("{}-v{version}/read", M::NAME), |b| {
        b.iter(|| {
            let mut body = black_box(&frame).clone();
            decode_response_header(&mut body, M::KEY, version).unwrap();
            let message = M::decode(&mut body, version).unwrap();
            assert!(!body.has_remaining());
            message
        })
    });
}

fn codec(c: &mut Criterion) {
    let (ask, answer) = produce();
    for version in [3, 9] {
        request(c, version, &ask);
        response(c, version, &answer);
    }
    let (ask, answer) = fetch();
    for version in [4, 12] {
        request(c, version, &ask);
        response(c, version, &answer);
    }
    response(c, 12, &metadata());
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = codec
}
criterion_main!(benches);
