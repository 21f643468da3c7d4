//! Bytes that no client should send. Each gets its answer or a closed connection; the broker goes on serving, does not
//! grow and has nothing to say about it in its log.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use ottla_integration_tests::Broker;
use ottla_integration_tests::client::{kcat, ottla};
use ottla_integration_tests::wire::{ask, connect, encode, next_answer};
use ottla_protocol::ErrorCode;
use ottla_protocol::schema::api_versions::ApiVersionsRequest;
use ottla_protocol::schema::create_topics::{CreatableTopic, CreateTopicsRequest};
use ottla_protocol::schema::fetch::{FetchPartition, FetchRequest, FetchTopic};
use ottla_protocol::schema::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::schema::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::schema::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ottla_records::builder::{BatchBuilder, BatchFields};
use ottla_records::{Codec, HEADER_LEN, Magic, compression};

/// How much more memory a broker may hold after any amount of bad input, in KiB.
const GROWTH_KIB: u64 = 48 << 10;

fn start() -> Broker {
    let broker = Broker::with(false, &["auto.create.topics.enable=false"]);
    for (topic, config) in [("t", "compression.type=producer"), ("opened", "compression.type=lz4")] {
        let bootstrap = ["topics", "--bootstrap-server", &broker.bootstrap];
        ottla(&[&bootstrap[..], &["--create", "--topic", topic, "--config", config]].concat(), "").success();
    }
    broker
}

/// A length and what follows it.
fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes(), body].concat()
}

/// A request header of version 1 with client id `c`, then a body.
fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let header = [&key.to_be_bytes()[..], &version.to_be_bytes(), &7i32.to_be_bytes(), b"\0\x01c"].concat();
    framed(&[&header, body].concat())
}

#[track_caller]
fn still_serves(broker: &Broker) {
    kcat(&broker.bootstrap, &["-P", "-t", "t", "-p", "0"], "hello\n").success();
    let read = kcat(&broker.bootstrap, &["-C", "-t", "t", "-p", "0", "-o", "-1", "-e", "-q"], "").success();
    assert_eq!(read, "hello\n");
}

#[test]
fn what_is_no_request_closes_the_connection() {
    let mut broker = start();
    let random: Vec<u8> = (0..10_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut bad = vec![
        ("http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("tls hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("length -1", b"\xff\xff\xff\xff".to_vec()),
        ("length over the limit", (104_857_601u32).to_be_bytes().to_vec()),
        ("length 2^31-1", b"\x7f\xff\xff\xffabc".to_vec()),
        ("length 0", framed(b"")),
        ("half a header", framed(b"\0\x03\0")),
        ("random", framed(&random)),
        ("unknown api", request(999, 0, b"")),
        ("negative api", request(-1, 0, b"")),
        ("unknown version", request(3, 99, b"\0\0\0\0")),
        ("negative version", request(3, -1, b"\0\0\0\0")),
        ("client id ends early", framed(b"\0\x03\0\x01\0\0\0\x07\x7f\xffc")),
        ("client id of length -2", framed(b"\0\x03\0\x01\0\0\0\x07\xff\xfe")),
        ("2^31-1 topics", request(3, 1, b"\x7f\xff\xff\xff")),
        ("1000 topics, none there", request(3, 1, b"\0\0\x03\xe8")),
        ("null topic name", request(3, 1, b"\0\0\0\x01\xff\xff")),
        ("topic name is no UTF-8", request(3, 1, b"\0\0\0\x01\0\x02\xff\xfe")),
        ("varint without end", request(3, 9, b"\0\xff\xff\xff\xff\xff\xff\xff")),
        ("2^28 tagged fields", request(3, 9, b"\0\x01\0\0\0\xff\xff\xff\x7f")),
        ("a tagged field longer than the frame", request(3, 9, b"\0\x01\0\0\0\x01\x05\xff\xff\xff\x7fab")),
        (
            "produce cut short",
            request(0, 3, b"\xff\xff\xff\xff\0\0\x05\xdc\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\0\xff\xff\xff"),
        ),
        ("fetch of 2^31-1 topics", request(1, 4, &[&[0xff; 4][..], &[0; 12], &[0], b"\x7f\xff\xff\xff"].concat())),
    ];
    // Every prefix of a good request, then the end: nothing to answer.
    let good = encode(&MetadataRequest { topics: None, ..Default::default() }, 9);
    bad.extend((1..good.len()).map(|end| ("truncated, then the end", good[..end].to_vec())));
    for (what, bytes) in &bad {
        let mut stream = connect(&broker.bootstrap).unwrap();
        stream.write_all(bytes).unwrap();
        if what.starts_with("truncated") {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        let mut answer = Vec::new();
        // A reset is a close, too; a timeout is not.
        let closed = match stream.read_to_end(&mut answer) {
            Ok(_) => true,
            Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(closed && answer.is_empty(), "{what}: closed: {closed}, answer: {answer:?}");
    }
    still_serves(&broker);
    broker.stop(&[]);
}

#[test]
fn strange_requests_that_are_requests_are_answered() {
    let mut broker = start();
    // The one request that must be answered in any version, so that clients can find a common one.
    let mut stream = connect(&broker.bootstrap).unwrap();
    stream.write_all(&request(18, 99, b"\0")).unwrap();
    let answer = next_answer(&mut stream).unwrap();
    assert_eq!(&answer[..6], b"\0\0\0\x07\0\x23", "correlation id and UNSUPPORTED_VERSION, in version 0");
    ask(&mut stream, &ApiVersionsRequest::default(), 0).expect("the connection goes on");
    // Bytes after the body and unknown tagged fields are passed over; so are null and long client ids.
    stream.write_all(&request(18, 0, b"left over")).unwrap();
    next_answer(&mut stream).expect("bytes after the body");
    stream.write_all(&framed(b"\0\x12\0\0\0\0\0\x07\xff\xff")).unwrap();
    next_answer(&mut stream).expect("null client id");
    let long = [b"\0\x12\0\0\0\0\0\x07\x7f\xff", &[b'c'; 32_767][..]].concat();
    stream.write_all(&framed(&long)).unwrap();
    next_answer(&mut stream).expect("client id of 32,767 bytes");
    stream.write_all(&request(18, 3, b"\x01\x63\x02a\x02b\0")).err();
    drop(stream);

    // Ten thousand requests at once are answered in their order.
    let mut stream = connect(&broker.bootstrap).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let frame = |id: i32| framed(&[b"\0\x12\0\0", &id.to_be_bytes()[..], b"\xff\xff"].concat());
    let all: Vec<u8> = (0..10_000).flat_map(frame).collect();
    let sender = std::thread::spawn(move || writer.write_all(&all).unwrap());
    for id in 0..10_000i32 {
        assert_eq!(next_answer(&mut stream).unwrap()[..4], id.to_be_bytes());
    }
    sender.join().unwrap();
    still_serves(&broker);
    broker.stop(&[]);
}

fn batch(codec: Codec) -> BytesMut {
    let mut builder = BatchBuilder::new(BatchFields::new(0, codec));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    for _ in 0..3 {
        builder.append(now, None, Some(b"some value"), &[]);
    }
    builder.finish().unwrap()[..].into()
}

/// Writes the checksum that the bytes should have.
fn sealed(mut batch: BytesMut) -> BytesMut {
    let checksum = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&checksum.to_be_bytes());
    batch
}

/// A batch whose 200 MB of zeros were compressed to little.
fn bomb() -> BytesMut {
    let mut bomb: BytesMut = batch(Codec::Gzip)[..HEADER_LEN].into();
    let mut body = Vec::new();
    compression::compress(Codec::Gzip, Magic::V2, &vec![0; 200 << 20], &mut body).unwrap();
    bomb.extend_from_slice(&body);
    let length = bomb.len() as u32 - 12;
    bomb[8..12].copy_from_slice(&length.to_be_bytes());
    sealed(bomb)
}

fn produce(topic: &str, partition: i32, records: BytesMut) -> ProduceRequest {
    let data = PartitionProduceData { index: partition, records: Some(records.freeze()) };
    let topic_data = vec![TopicProduceData { name: topic.into(), partition_data: vec![data] }];
    ProduceRequest { acks: -1, timeout_ms: 5000, topic_data, ..Default::default() }
}

#[test]
fn bad_bodies_get_the_code_that_says_so() {
    let mut broker = start();
    let mut stream = connect(&broker.bootstrap).unwrap();
    let before = broker.resident_kib();
    let good = batch(Codec::None);
    let broken = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    use ErrorCode::*;
    for (what, request, expected) in [
        ("acks=5", ProduceRequest { acks: 5, ..produce("t", 0, good.clone()) }, InvalidRequiredAcks),
        ("partition -1", produce("t", -1, good.clone()), UnknownTopicOrPartition),
        ("partition 99", produce("t", 99, good.clone()), UnknownTopicOrPartition),
        ("no such topic", produce("nobody", 0, good.clone()), UnknownTopicOrPartition),
        ("a path", produce("../../etc", 0, good.clone()), InvalidTopicException),
        ("empty name", produce("", 0, good.clone()), InvalidTopicException),
        ("a flipped bit", produce("t", 0, broken(good.len() - 1, 0xff)), CorruptMessage),
        ("magic 9", produce("t", 0, broken(16, 9)), CorruptMessage),
        ("negative length", produce("t", 0, broken(8, 0xff)), CorruptMessage),
        ("length beyond the end", produce("t", 0, broken(9, 1)), CorruptMessage),
        ("half a batch", produce("t", 0, good[..30].into()), CorruptMessage),
        ("more records than there are", produce("t", 0, sealed(broken(60, 200))), InvalidRecord),
        ("control batch", produce("t", 0, sealed(broken(22, 0x20))), InvalidRecord),
        ("unknown codec", produce("t", 0, sealed(broken(22, 6))), UnsupportedCompressionType),
        ("two batches", produce("t", 0, [&good[..], &good].concat()[..].into()), InvalidRecord),
        ("not gzip", produce("opened", 0, sealed(broken(22, 1))), CorruptMessage),
        ("a bomb", produce("opened", 0, bomb()), MessageTooLarge),
    ] {
        let answer = ask(&mut stream, &request, 9).unwrap_or_else(|e| panic!("{what}: {e}"));
        let code = answer.responses[0].partition_responses[0].error_code;
        assert_eq!(ErrorCode::from_code(code), Some(expected), "{what}");
    }
    let answer = ask(&mut stream, &produce("t", 0, good.clone()), 9).unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].base_offset, 0, "nothing of all that was appended");
    // Nobody reads an answer to acks=0: the connection says it.
    let mut silent = connect(&broker.bootstrap).unwrap();
    silent.write_all(&encode(&ProduceRequest { acks: 0, ..produce("nobody", 0, good) }, 9)).unwrap();
    assert_eq!(silent.read(&mut [0; 16]).unwrap(), 0);

    for (what, offset, expected) in
        [("before the start", -5, OffsetOutOfRange), ("beyond the end", 99, OffsetOutOfRange)]
    {
        let partition =
            FetchPartition { partition: 0, fetch_offset: offset, partition_max_bytes: i32::MAX, ..Default::default() };
        let topics = vec![FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() }];
        let request =
            FetchRequest { max_wait_ms: 0, min_bytes: i32::MAX, max_bytes: i32::MAX, topics, ..Default::default() };
        let answer = ask(&mut stream, &request, 11).unwrap();
        let code = answer.responses[0].partitions[0].error_code;
        assert_eq!(ErrorCode::from_code(code), Some(expected), "{what}");
    }
    for name in ["", ".", "..", "a/b", "../../etc", "nul\0", "ünicode", &"x".repeat(250)] {
        let topics = Some(vec![MetadataRequestTopic { name: Some(name.into()), ..Default::default() }]);
        let answer =
            ask(&mut stream, &MetadataRequest { topics, allow_auto_topic_creation: true, ..Default::default() }, 9);
        let code = answer.unwrap().topics[0].error_code;
        assert_eq!(ErrorCode::from_code(code), Some(InvalidTopicException), "metadata of {name:?}");
        let topic =
            CreatableTopic { name: name.into(), num_partitions: 1, replication_factor: 1, ..Default::default() };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() };
        let code = ask(&mut stream, &request, 5).unwrap().topics[0].error_code;
        assert_eq!(ErrorCode::from_code(code), Some(InvalidTopicException), "creation of {name:?}");
    }
    for (partitions, replicas, expected) in [
        (0, 1, InvalidPartitions),
        (-5, 1, InvalidPartitions),
        (i32::MAX, 1, InvalidPartitions),
        (1, 0, InvalidReplicationFactor),
        (1, 3, InvalidReplicationFactor),
    ] {
        let topic = CreatableTopic {
            name: "new".into(),
            num_partitions: partitions,
            replication_factor: replicas,
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() };
        let code = ask(&mut stream, &request, 5).unwrap().topics[0].error_code;
        assert_eq!(ErrorCode::from_code(code), Some(expected), "{partitions} partitions, {replicas} replicas");
    }
    for group in ["", "../topics", "a/b", "..", &"g".repeat(10_000)] {
        let partition = OffsetCommitRequestPartition { partition_index: 0, committed_offset: 1, ..Default::default() };
        let topics = vec![OffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition] }];
        let request = OffsetCommitRequest { group_id: group.into(), topics, ..Default::default() };
        let code = ask(&mut stream, &request, 0).unwrap().topics[0].partitions[0].error_code;
        assert_eq!(ErrorCode::from_code(code), Some(InvalidGroupId), "group of {} bytes", group.len());
    }
    let grown = broker.resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_KIB, "{grown} KiB more");
    still_serves(&broker);
    broker.stop(&[]);
}

#[test]
fn memory_follows_what_came_and_not_what_was_announced() {
    let mut broker = start();
    let before = broker.resident_kib();
    // Each announces 100 MB, sends a little and stays.
    let announced: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = connect(&broker.bootstrap).unwrap();
            stream.write_all(&[&100_000_000u32.to_be_bytes()[..], &[0; 1000]].concat()).unwrap();
            stream
        })
        .collect();
    // Each asks for what is there and never reads an answer.
    let metadata = encode(&MetadataRequest { topics: None, ..Default::default() }, 9);
    let many: Vec<u8> = metadata.iter().copied().cycle().take(metadata.len() * 20_000).collect();
    let deaf: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = connect(&broker.bootstrap).unwrap();
            stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
            let _ = stream.write_all(&many);
            stream
        })
        .collect();
    still_serves(&broker);
    let grown = broker.resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_KIB, "{grown} KiB more for {} connections", announced.len() + deaf.len());
    // They do not hold up the stop for long.
    let start = Instant::now();
    broker.stop(&["requests are still under way"]);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
