//! How often a producer asks for memory: never for a record, and so often for a batch.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla::producer::{Producer, ProducerConfig, Record};
use ottla::zk::fake::{FakeEnsemble, FakeZnodes};
use ottla::zk::znodes::{CreateMode, Znodes};
use ottla_protocol::schema::api_versions::ApiVersion;
use ottla_protocol::schema::produce::{PartitionProduceResponse, TopicProduceResponse};
use ottla_protocol::schema::{ApiVersionsResponse, InitProducerIdResponse, ProduceRequest, ProduceResponse};
use ottla_protocol::{ApiKey, Frame, Message, RequestHeader};

const VALUE: &[u8] = &[b'x'; 100];
/// The most calls of the allocator for a batch that is sent: its request, its answer, its ticket. May only go down.
const FOR_A_BATCH: u64 = 40;

#[test]
fn no_record_asks_for_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            std::thread::spawn(move || serve(socket.unwrap()));
        }
    });
    // All that the producer does is done on this thread, and counted.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ensemble = FakeEnsemble::default();
    let producer = runtime.block_on(async {
        cluster(&ensemble.connect(), port).await;
        let config = ProducerConfig {
            batch_size: 64 << 10,
            linger: Duration::from_secs(60),
            ..ProducerConfig::zookeeper("in memory")
        };
        Producer::builder(config).start_on(Arc::new(ensemble.connect())).await.unwrap()
    });
    let send = |records: usize| {
        runtime.block_on(async {
            for _ in 0..records {
                producer.send(Record::new("t", VALUE)).await.unwrap();
            }
        });
    };
    let flush = || runtime.block_on(producer.flush());

    // Buffers and lists grow to their size.
    send(200_000);
    flush();
    send(1);
    let into_an_open_batch = allocation_counter::measure(|| send(300)).count_total;
    assert_eq!(into_an_open_batch, 0, "for 300 records");
    flush();

    let before = producer.metrics().delivered_batches;
    let used = allocation_counter::measure(|| {
        send(100_000);
        flush();
    });
    let batches = producer.metrics().delivered_batches - before;
    println!("{} allocations of {} bytes for {batches} batches", used.count_total, used.bytes_total);
    assert!((100..1000).contains(&batches), "{batches} batches");
    assert!(used.count_total / batches <= FOR_A_BATCH, "{} for a batch", used.count_total / batches);
    let record_bytes = 100_000 * VALUE.len() as u64;
    assert!(used.bytes_total < record_bytes / 2, "buffers are used again: {} bytes", used.bytes_total);
    runtime.block_on(producer.close());
}

/// Broker 1, which leads the one partition of `t`.
async fn cluster(zk: &FakeZnodes, port: u16) {
    let registration = format!(
        r#"{{"listener_security_protocol_map":{{"PLAINTEXT":"PLAINTEXT"}},"endpoints":["PLAINTEXT://127.0.0.1:{port}"],"jmx_port":-1,"port":{port},"host":"127.0.0.1","version":5,"timestamp":"0"}}"#
    );
    let topic = r#"{"version":2,"partitions":{"0":[1]},"adding_replicas":{},"removing_replicas":{}}"#;
    let state = r#"{"controller_epoch":1,"leader":1,"version":1,"leader_epoch":0,"isr":[1]}"#;
    for (path, data) in [
        ("/brokers", ""),
        ("/brokers/ids", ""),
        ("/brokers/ids/1", &registration),
        ("/brokers/topics", ""),
        ("/brokers/topics/t", topic),
        ("/brokers/topics/t/partitions", ""),
        ("/brokers/topics/t/partitions/0", ""),
        ("/brokers/topics/t/partitions/0/state", state),
    ] {
        zk.create(path, data.as_bytes(), CreateMode::Persistent).await.unwrap();
    }
}

/// A broker that takes everything.
fn serve(mut socket: TcpStream) -> Option<()> {
    loop {
        let mut length = [0; 4];
        socket.read_exact(&mut length).ok()?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        socket.read_exact(&mut body).ok()?;
        let mut body = Bytes::from(body);
        let header = RequestHeader::decode(&mut body).unwrap();
        let (version, id) = (header.api_version, header.correlation_id);
        let answer = match header.api_key {
            ApiKey::ApiVersions => frame(&versions(), version, id),
            ApiKey::InitProducerId => {
                frame(&InitProducerIdResponse { producer_id: 1, ..Default::default() }, version, id)
            }
            _ => {
                let request = ProduceRequest::decode(&mut body, version).unwrap();
                let topic = TopicProduceResponse {
                    name: request.topic_data[0].name.clone(),
                    partition_responses: vec![PartitionProduceResponse::default()],
                };
                frame(&ProduceResponse { responses: vec![topic], ..Default::default() }, version, id)
            }
        };
        socket.write_all(&answer).ok()?;
    }
}

fn versions() -> ApiVersionsResponse {
    let keys = [(ApiKey::Produce, 11), (ApiKey::InitProducerId, 4), (ApiKey::ApiVersions, 4)];
    let known = keys.map(|(key, newest)| ApiVersion { api_key: key.code(), min_version: 0, max_version: newest });
    ApiVersionsResponse { api_keys: known.into(), ..ApiVersionsResponse::default() }
}

fn frame<M: Message<Payload = Bytes>>(message: &M, version: i16, correlation_id: i32) -> Vec<u8> {
    let frame = Frame::response(message, version, correlation_id).unwrap();
    frame.parts.iter().flat_map(|part| part.as_ref().iter().copied()).collect()
}
