//! `kill -9` under load, twenty times: every acknowledged record is there, once.
//!
//! The producer is ours, so that it knows what was acknowledged: idempotent, acks=all, one batch in flight for each
//! partition, sent again after each loss of connection with the same sequence, as any idempotent client does.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ottla_integration_tests::Broker;
use ottla_integration_tests::client::{kcat, topics};
use ottla_integration_tests::wire::{ask, connect};
use ottla_protocol::ErrorCode;
use ottla_protocol::schema::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use ottla_protocol::schema::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use ottla_records::Codec;
use ottla_records::builder::{BatchBuilder, BatchFields};

const PARTITIONS: i32 = 3;
const BATCH: u64 = 10;
const KILLS: usize = 20;

fn batch(producer_id: i64, first: u64) -> Bytes {
    let fields =
        BatchFields { producer_id, producer_epoch: 0, base_sequence: first as i32, ..BatchFields::new(0, Codec::None) };
    let mut builder = BatchBuilder::new(fields);
    // A producer whose records are older than a day is forgotten at a restart, here as in Kafka.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    for number in first..first + BATCH {
        builder.append(now, None, Some(format!("{number}").as_bytes()), &[]);
    }
    builder.finish().unwrap().into()
}

/// Produces until told to stop; the number of records that were acknowledged.
fn produce(bootstrap: &str, partition: i32, stop: &AtomicBool, progress: &AtomicU64) -> u64 {
    let mut acknowledged = 0;
    let mut connection: Option<TcpStream> = None;
    let mut producer_id: Option<i64> = None;
    while !stop.load(Ordering::Acquire) {
        let mut one_round = || -> std::io::Result<()> {
            if connection.is_none() {
                connection = Some(connect(bootstrap)?);
            }
            let stream = connection.as_mut().unwrap();
            let id = match producer_id {
                Some(id) => id,
                None => {
                    let answer: InitProducerIdResponse =
                        ask(stream, &InitProducerIdRequest { transaction_timeout_ms: 1000, ..Default::default() }, 4)?;
                    assert_eq!(answer.error_code, 0);
                    *producer_id.insert(answer.producer_id)
                }
            };
            let data = PartitionProduceData { index: partition, records: Some(batch(id, acknowledged)) };
            let request = ProduceRequest {
                acks: -1,
                timeout_ms: 5000,
                topic_data: vec![TopicProduceData { name: "t".into(), partition_data: vec![data] }],
                ..Default::default()
            };
            let answer: ProduceResponse = ask(stream, &request, 9)?;
            let answer = &answer.responses[0].partition_responses[0];
            match ErrorCode::from_code(answer.error_code).unwrap() {
                ErrorCode::None => {
                    assert_eq!(answer.base_offset, acknowledged as i64, "partition {partition}");
                    acknowledged += BATCH;
                    progress.fetch_add(1, Ordering::AcqRel);
                }
                // The partition has no leader yet after the restart.
                ErrorCode::NotLeaderOrFollower | ErrorCode::UnknownTopicOrPartition => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                code => panic!("partition {partition}: {}", code.name()),
            }
            Ok(())
        };
        if one_round().is_err() {
            connection = None;
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    acknowledged
}

fn every_acknowledged_record_is_there_once(real_zookeeper: bool, kills: usize) {
    let mut broker = Broker::with(real_zookeeper, &["log.segment.bytes=100000"]);
    topics(&broker.bootstrap, &["--create", "--topic", "t", "--partitions", &PARTITIONS.to_string()]).success();
    let stop = Arc::new(AtomicBool::new(false));
    let progress = Arc::new(AtomicU64::new(0));
    let producers: Vec<_> = (0..PARTITIONS)
        .map(|partition| {
            let (bootstrap, stop, progress) = (broker.bootstrap.clone(), stop.clone(), progress.clone());
            std::thread::spawn(move || produce(&bootstrap, partition, &stop, &progress))
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for round in 0..kills {
        let before = progress.load(Ordering::Acquire);
        ottla_integration_tests::process::wait_until("load goes on", Duration::from_secs(20), || {
            progress.load(Ordering::Acquire) > before + 20
        });
        // Not always at the same moment of a batch's life.
        std::thread::sleep(Duration::from_millis(7 * round as u64 % 31));
        broker.kill();
        slowest = slowest.max(broker.restart());
        broker.check_log(&["recover", "unclean", "was not stopped cleanly"]);
    }
    ottla_integration_tests::process::wait_until("load goes on", Duration::from_secs(20), || {
        progress.load(Ordering::Acquire) > 0
    });
    stop.store(true, Ordering::Release);
    let acknowledged: Vec<u64> = producers.into_iter().map(|producer| producer.join().unwrap()).collect();
    for (partition, acknowledged) in acknowledged.iter().enumerate() {
        let args = ["-C", "-t", "t", "-p", &partition.to_string(), "-o", "beginning", "-e", "-q"];
        let read = kcat(&broker.bootstrap, &args, "").success();
        let read: Vec<u64> = read.lines().map(|line| line.parse().unwrap()).collect();
        assert!(read.len() as u64 >= *acknowledged, "{} of {acknowledged} are there", read.len());
        assert!(read.iter().copied().eq(0..read.len() as u64), "partition {partition}: not each once and in order");
    }
    assert!(slowest < Duration::from_secs(1), "the slowest restart took {slowest:?}");
    println!("{acknowledged:?} acknowledged, the slowest restart took {slowest:?}");
    broker.stop(&["recover", "unclean", "was not stopped cleanly"]);
}

#[test]
fn every_acknowledged_record_is_there_once_with_the_embedded_keeper() {
    every_acknowledged_record_is_there_once(false, KILLS);
}

#[test]
fn every_acknowledged_record_is_there_once_with_a_real_zookeeper() {
    every_acknowledged_record_is_there_once(true, KILLS);
}
