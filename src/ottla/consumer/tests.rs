//! A whole consumer over ZooKeeper's tree in memory and brokers in memory.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ottla_types::{BrokerId, Endpoint, ListenerName, SecurityProtocol};
use tokio::time::{sleep, timeout};
use zk_schema::{BrokerRegistration, TopicAssignment, broker_ids, broker_topics, consumers};

use super::fake_broker::FakeCluster;
use super::lease::now_ms;
use super::*;
use crate::zk::fake::{FakeEnsemble, FakeZnodes};
use crate::zk::znodes::{CreateMode, Znodes};

const LONG: Duration = Duration::from_secs(20);

/// A cluster with topic `t`.
struct World {
    ensemble: FakeEnsemble,
    zk: FakeZnodes,
    brokers: FakeCluster,
}

impl World {
    async fn new(partitions: i32) -> World {
        let ensemble = FakeEnsemble::default();
        let world = World { zk: ensemble.connect(), ensemble, brokers: FakeCluster::default() };
        for path in ["/brokers", "/brokers/ids", "/brokers/topics", "/consumers"] {
            world.zk.create(path, b"", CreateMode::Persistent).await.unwrap();
        }
        world.broker(1).await;
        for partition in 0..partitions {
            world.brokers.lead("t", partition, 1);
        }
        let topic = TopicAssignment {
            partitions: (0..partitions).map(|partition| (partition, vec![BrokerId(1)])).collect(),
            topic_id: None,
            adding_replicas: Default::default(),
            removing_replicas: Default::default(),
        };
        let path = broker_topics::path(&TopicName::new("t").unwrap());
        world.zk.create(&path, &topic.encode(), CreateMode::Persistent).await.unwrap();
        world
    }

    async fn broker(&self, id: i32) {
        let port = self.brokers.broker(id).await;
        let endpoint = Endpoint {
            listener: ListenerName::new("PLAINTEXT"),
            security_protocol: SecurityProtocol::Plaintext,
            host: "127.0.0.1".into(),
            port,
        };
        let registration = BrokerRegistration {
            endpoints: vec![endpoint],
            rack: None,
            jmx_port: -1,
            timestamp_ms: None,
            features: Default::default(),
        };
        let path = broker_ids::path(BrokerId(id));
        self.zk.create(&path, &registration.encode(), CreateMode::Ephemeral).await.unwrap();
    }

    async fn join(&self, config: ConsumerConfig) -> (Consumer, Stream) {
        let (consumer, stream, _) = self.join_and_hear(config).await;
        (consumer, stream)
    }

    async fn join_and_hear(&self, config: ConsumerConfig) -> (Consumer, Stream, Heard) {
        let heard = Heard::default();
        let zk = Arc::new(self.ensemble.connect());
        *heard.zk.lock().unwrap() = Some(zk.clone());
        let builder = Consumer::builder(config, Subscription::topics([("t", 1)]).unwrap());
        let consumer = builder.listener(Arc::new(heard.clone())).start_on(zk).await.unwrap();
        let stream = consumer.streams().pop().unwrap();
        (consumer, stream, heard)
    }

    async fn committed(&self, partition: i32) -> Option<Offset> {
        let path = consumers::offset_path("g", &of(partition));
        let (data, _) = self.zk.get(&path).await.ok()?;
        Some(consumers::decode_offset(&path, &data).unwrap())
    }

    async fn children(&self, path: &str) -> Vec<String> {
        self.zk.children(path).await.unwrap_or_default()
    }
}

/// A listener that writes down what it is told.
#[derive(Clone, Default)]
struct Heard {
    lines: Arc<Mutex<Vec<String>>>,
    zk: Arc<Mutex<Option<Arc<FakeZnodes>>>>,
}

impl Heard {
    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn zk(&self) -> Arc<FakeZnodes> {
        self.zk.lock().unwrap().clone().unwrap()
    }
}

impl PartitionListener for Heard {
    fn gained<'a>(&'a self, partitions: &'a [TopicPartition]) -> Reaction<'a> {
        let lines = partitions.iter().map(|partition| format!("gained {partition}"));
        self.lines.lock().unwrap().extend(lines);
        Box::pin(std::future::ready(()))
    }

    fn lost<'a>(&'a self, partitions: &'a [LostPartition], loss: Loss) -> Reaction<'a> {
        let lines = partitions.iter().map(|lost| format!("{loss:?} {} {}", lost.partition, lost.position));
        self.lines.lock().unwrap().extend(lines);
        Box::pin(std::future::ready(()))
    }
}

fn of(partition: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), partition)
}

fn config() -> ConsumerConfig {
    let mut config = ConsumerConfig::new("nobody:1", "g");
    config.auto_offset_reset = OffsetReset::Smallest;
    config.refresh_leader_backoff = Duration::from_millis(20);
    config.zookeeper_connection_timeout = LONG;
    config
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The values of the next records.
async fn read(stream: &mut Stream, count: usize) -> Vec<String> {
    let mut values = Vec::new();
    for _ in 0..count {
        let record = timeout(LONG, stream.next()).await.expect("a record comes").unwrap();
        values.push(text(&record.value.unwrap()));
    }
    values
}

/// Waits for something that is about to be.
async fn until<F: Future<Output = bool>>(what: &str, mut is: impl FnMut() -> F) {
    let started = Instant::now();
    while !is().await {
        assert!(started.elapsed() < LONG, "{what} does not come");
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn records_come_from_what_is_gained_and_close_commits_and_leaves() {
    let world = World::new(2).await;
    world.brokers.append("t", 0, &["a", "b"]);
    let (consumer, mut stream, heard) = world.join_and_hear(config()).await;
    let first = timeout(LONG, stream.next()).await.unwrap().unwrap();
    assert_eq!((first.topic.as_str(), first.partition, first.offset, first.timestamp), ("t", 0, 0, 7));
    assert_eq!((first.key.as_deref(), first.value.as_deref()), (Some(&b"k"[..]), Some(&b"a"[..])));
    assert_eq!(read(&mut stream, 1).await, ["b"]);
    assert_eq!(consumer.positions(), [(of(0), 2), (of(1), 0)].into());
    assert_eq!(consumer.metrics().partitions[&of(0)].lag(), Some(0));
    assert_eq!(consumer.metrics().generation, Some(1));
    let registered = world.children("/consumers/g/ids").await;
    assert_eq!(registered.len(), 1);
    assert!(registered[0].contains(':'), "{registered:?}");
    assert_eq!(world.children("/consumers/g/owners/t").await.len(), 2);

    consumer.close().await.unwrap();
    consumer.close().await.unwrap();
    assert_eq!((world.committed(0).await, world.committed(1).await), (Some(2), Some(0)));
    assert!(world.children("/consumers/g/ids").await.is_empty());
    assert!(world.children("/consumers/g/owners/t").await.is_empty());
    assert!(matches!(stream.next().await, Err(ConsumerError::Closed)));
    assert!(matches!(consumer.commit().await, Err(ConsumerError::Closed)));
    let mut lines = heard.lines();
    lines.sort();
    assert_eq!(lines, ["Revoked t-0 2", "Revoked t-1 0", "gained t-0", "gained t-1"]);
}

#[tokio::test]
async fn without_auto_commit_close_commits_nothing_and_commit_all_that_was_handed_out() {
    let world = World::new(1).await;
    world.brokers.append("t", 0, &["a", "b", "c"]);
    let mut config = config();
    config.auto_commit_interval = None;
    let (consumer, mut stream) = world.join(config).await;
    read(&mut stream, 2).await;
    consumer.commit().await.unwrap();
    assert_eq!(world.committed(0).await, Some(2));
    read(&mut stream, 1).await;
    consumer.close().await.unwrap();
    assert_eq!(world.committed(0).await, Some(2));
}

#[tokio::test]
async fn what_the_application_works_on_is_not_committed_by_the_clock() {
    let world = World::new(1).await;
    world.brokers.append("t", 0, &["a", "b"]);
    let mut config = config();
    config.auto_commit_interval = Some(Duration::from_millis(20));
    let (_consumer, mut stream) = world.join(config).await;
    read(&mut stream, 2).await;
    until("a commit", || async { world.committed(0).await == Some(1) }).await;
    sleep(Duration::from_millis(60)).await;
    assert_eq!(world.committed(0).await, Some(1));
    let _ = timeout(Duration::from_millis(5), stream.next()).await;
    until("the commit of the last one", || async { world.committed(0).await == Some(2) }).await;
}

#[tokio::test]
async fn nothing_is_handed_out_after_the_lease_in_either_form() {
    let world = World::new(1).await;
    world.brokers.append("t", 0, &["a", "b", "c", "d", "e"]);
    let (consumer, mut stream) = world.join(config()).await;
    read(&mut stream, 1).await;
    let lease = &consumer.shared().lease;
    lease.set(Some(now_ms() + 20));
    std::thread::sleep(Duration::from_millis(25));
    assert!(timeout(Duration::from_millis(50), stream.next()).await.is_err());
    lease.set(Some(now_ms() + 60_000));
    assert_eq!(read(&mut stream, 1).await, ["b"]);

    let mut batch = stream.next_batch().await.unwrap();
    assert_eq!(batch.topic_partition(), &of(0));
    assert_eq!(batch.next().unwrap().value, Some(&b"c"[..]));
    lease.set(Some(now_ms() + 20));
    std::thread::sleep(Duration::from_millis(25));
    assert_eq!(batch.next(), None);
    lease.set(Some(now_ms() + 60_000));
    assert_eq!(batch.next().unwrap().value, Some(&b"d"[..]), "a lease that is renewed goes on");
    // What was not taken out comes with the next call.
    assert_eq!(read(&mut stream, 1).await, ["e"]);
}

#[tokio::test]
async fn a_revoked_partition_goes_on_elsewhere_where_it_was_read_to() {
    let world = World::new(2).await;
    world.brokers.append("t", 0, &["a0", "a1", "a2"]);
    world.brokers.append("t", 1, &["b0", "b1", "b2"]);
    let (first, mut reader) = world.join(config()).await;
    let mut values = read(&mut reader, 2).await;
    // Asks for no further record, as if it had done with the second one.
    first.commit().await.unwrap();
    let (_second, mut other) = world.join(config()).await;
    until("the share", || async { first.positions().len() == 1 }).await;
    let kept = first.positions().into_keys().next().unwrap();
    let left = |read: &[String], prefix: &str| 3 - read.iter().filter(|value| value.starts_with(prefix)).count();
    let (mine, others) = if kept == of(0) { ("a", "b") } else { ("b", "a") };
    let (mine, others) = (left(&values, mine), left(&values, others));
    values.extend(read(&mut reader, mine).await);
    values.extend(read(&mut other, others).await);
    assert!(timeout(Duration::from_millis(50), reader.next()).await.is_err(), "the rest of the lost one is dropped");
    values.sort();
    assert_eq!(values, ["a0", "a1", "a2", "b0", "b1", "b2"], "each once");
}

#[tokio::test]
async fn an_application_that_sits_on_a_record_delays_a_move_for_a_bounded_time() {
    let world = World::new(2).await;
    world.brokers.append("t", 0, &["a0", "a1"]);
    world.brokers.append("t", 1, &["b0", "b1"]);
    let mut config = config();
    config.revoke_wait = Duration::from_millis(200);
    let (first, mut reader) = world.join(config.clone()).await;
    // The plan may take either partition: of both a record was handed out, the last one of them is held.
    let all = read(&mut reader, 3).await;
    let started = Instant::now();
    let (second, mut other) = world.join(config).await;
    let held = if all[2].starts_with('a') { of(0) } else { of(1) };
    until("the other's share", || async { second.positions().len() == 1 }).await;
    if second.positions().contains_key(&held) {
        assert!(started.elapsed() >= Duration::from_millis(190), "{:?}", started.elapsed());
        assert_eq!(read(&mut other, 1).await, all[2..], "not done with, so read again");
    }
    drop(first);
}

#[tokio::test]
async fn a_leader_that_moves_is_followed_without_a_rebalance() {
    let world = World::new(2).await;
    world.broker(2).await;
    world.brokers.append("t", 0, &["a"]);
    let (consumer, mut stream, heard) = world.join_and_hear(config()).await;
    assert_eq!(read(&mut stream, 1).await, ["a"]);
    let told = heard.lines();
    world.brokers.lead("t", 0, 2);
    world.brokers.append("t", 0, &["b"]);
    assert_eq!(read(&mut stream, 1).await, ["b"]);
    world.brokers.append("t", 1, &["c"]);
    assert_eq!(read(&mut stream, 1).await, ["c"]);
    assert_eq!(heard.lines(), told);
    assert_eq!(consumer.metrics().rebalances, 1);
}

#[tokio::test]
async fn an_offset_that_is_gone_is_reset() {
    let world = World::new(1).await;
    world.brokers.append("t", 0, &["a", "b"]);
    world.brokers.append("t", 0, &["c"]);
    world.brokers.delete_before("t", 0, 2);
    let path = consumers::offset_path("g", &of(0));
    crate::zk::store_offsets::commit_offset(&world.zk, "g", &of(0), 1).await.unwrap();
    assert!(world.zk.exists(&path).await.unwrap().is_some());
    let (consumer, mut stream) = world.join(config()).await;
    assert_eq!(read(&mut stream, 1).await, ["c"]);
    assert_eq!(consumer.metrics().offset_resets, 1);
}

#[tokio::test]
async fn what_was_fetched_before_an_offset_was_gone_is_still_handed_out() {
    let world = World::new(1).await;
    world.brokers.append("t", 0, &["a", "b"]);
    let (consumer, mut stream) = world.join(config()).await;
    read(&mut stream, 1).await;
    // The log goes on behind a gap: what is fetched next is not there any more.
    world.brokers.append("t", 0, &["c"]);
    world.brokers.delete_before("t", 0, 3);
    let delivery = consumer.shared().deliveries.get(&of(0)).unwrap();
    until("what was fetched", || async { delivery.fetch.load(std::sync::atomic::Ordering::Relaxed) >= 2 }).await;
    world.brokers.append("t", 0, &["d"]);
    let values = read(&mut stream, 2).await;
    assert!(values == ["b", "d"] || values == ["b", "c"], "{values:?}");
}

#[tokio::test]
async fn a_sought_position_is_read_again_and_committed_backwards() {
    let world = World::new(1).await;
    world.brokers.append("t", 0, &["a", "b", "c"]);
    let (consumer, mut stream) = world.join(config()).await;
    read(&mut stream, 3).await;
    consumer.commit().await.unwrap();
    consumer.seek(&of(0), 1).unwrap();
    assert_eq!(read(&mut stream, 1).await, ["b"]);
    consumer.commit().await.unwrap();
    assert_eq!(world.committed(0).await, Some(2));
    assert!(matches!(consumer.seek(&of(7), 1), Err(ConsumerError::NotOwned(_))));
}

#[tokio::test]
async fn damaged_records_are_said_and_fetched_again() {
    let world = World::new(1).await;
    world.brokers.append("t", 0, &["a"]);
    world.brokers.append("t", 0, &["b"]);
    world.brokers.damage("t", 0);
    let (_consumer, mut stream) = world.join(config()).await;
    assert_eq!(read(&mut stream, 1).await, ["a"]);
    let error = timeout(LONG, stream.next()).await.unwrap().unwrap_err();
    assert!(matches!(&error, ConsumerError::Damaged { offset: 1, .. }), "{error}");
    assert!(matches!(timeout(LONG, stream.next_batch()).await.unwrap(), Err(ConsumerError::Damaged { offset: 1, .. })));
    world.brokers.damage("t", 0);
    // One damaged answer may still wait.
    let mut next = timeout(LONG, stream.next()).await.unwrap();
    while let Err(ConsumerError::Damaged { .. }) = next {
        next = timeout(LONG, stream.next()).await.unwrap();
    }
    assert_eq!(next.unwrap().value.as_deref(), Some(&b"b"[..]));
}

#[tokio::test]
async fn a_batch_larger_than_a_fetch_is_fetched_whole() {
    let world = World::new(1).await;
    let long = "x".repeat(5000);
    let mut builder = ottla_records::builder::BatchBuilder::new(ottla_records::builder::BatchFields::new(
        0,
        ottla_records::Codec::None,
    ));
    builder.append(7, None, Some(long.as_bytes()), &[]);
    world.brokers.append_bytes("t", 0, 1, &builder.finish().unwrap());
    let mut config = config();
    config.fetch_message_max_bytes = 1000;
    let (_consumer, mut stream) = world.join(config).await;
    assert_eq!(read(&mut stream, 1).await, [long]);
}

#[tokio::test]
async fn messages_of_old_formats_are_read_one_by_one_and_as_a_set() {
    let world = World::new(1).await;
    world.brokers.append_bytes("t", 0, 3, &legacy_set());
    let (_consumer, mut stream) = world.join(config()).await;
    assert_eq!(read(&mut stream, 1).await, ["m0"]);
    let batch = stream.next_batch().await.unwrap();
    let values: Vec<String> =
        batch.map(|record| format!("{} {}", record.offset, text(record.value.unwrap()))).collect();
    assert_eq!(values, ["1 m1", "2 m2"]);
}

/// Three messages of magic 1, not compressed.
fn legacy_set() -> Vec<u8> {
    let values: Vec<String> = (0..3).map(|n| format!("m{n}")).collect();
    let records: Vec<ottla_records::record::Record<'_>> = (0i64..)
        .zip(&values)
        .map(|(offset, value)| ottla_records::record::Record {
            offset,
            timestamp: 5,
            key: None,
            value: Some(value.as_bytes()),
            headers: Headers::default(),
        })
        .collect();
    let mut set = Vec::new();
    let (magic, codec) = (ottla_records::Magic::V1, ottla_records::Codec::None);
    ottla_records::message_set::encode_set(&mut set, magic, codec, TimestampType::CreateTime, &records).unwrap();
    set
}

#[tokio::test]
async fn a_new_partition_does_not_wait_for_the_long_poll_of_the_others() {
    let world = World::new(2).await;
    let mut config = config();
    config.fetch_wait_max = Duration::from_secs(30);
    let (first, _reader) = world.join(config.clone()).await;
    let (second, mut other) = world.join(config).await;
    until("the share", || async { second.positions().len() == 1 }).await;
    sleep(Duration::from_millis(100)).await;
    // The second one waits for its partition on a long poll, and gets the other's.
    let own = second.positions().into_keys().next().unwrap();
    first.close().await.unwrap();
    world.brokers.append("t", 1 - own.partition, &["x"]);
    let started = Instant::now();
    read(&mut other, 1).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn partitions_without_records_wait_in_one_request() {
    let world = World::new(8).await;
    let (_consumer, _stream) = world.join(config()).await;
    sleep(Duration::from_millis(300)).await;
    let before = world.brokers.fetches();
    sleep(Duration::from_millis(1000)).await;
    let polls = world.brokers.fetches() - before;
    assert!(polls <= 15, "{polls} fetches in a second, with fetch.wait.max.ms=100");
}

#[tokio::test]
async fn a_slow_reader_holds_no_more_than_the_chunks_it_allows() {
    let world = World::new(1).await;
    let mut config = config();
    config.fetch_wait_max = Duration::from_millis(5);
    let (consumer, mut stream) = world.join(config).await;
    for n in 0..10 {
        world.brokers.append("t", 0, &[&format!("{n}")]);
        sleep(Duration::from_millis(20)).await;
    }
    let queued = consumer.shared().deliveries.get(&of(0)).unwrap().queued.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(queued, 2);
    assert_eq!(read(&mut stream, 10).await, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_without_records_says_so_in_time_and_goes_on() {
    let world = World::new(1).await;
    let mut config = config();
    config.consumer_timeout = Some(Duration::from_millis(50));
    let (_consumer, mut stream) = world.join(config).await;
    assert!(matches!(stream.next().await, Err(ConsumerError::Timeout { .. })));
    world.brokers.append("t", 0, &["a"]);
    assert_eq!(read(&mut stream, 1).await, ["a"]);
}

#[tokio::test]
async fn after_an_expiry_the_member_begins_anew_under_another_id() {
    let world = World::new(1).await;
    world.brokers.append("t", 0, &["a", "b"]);
    let (consumer, mut stream, heard) = world.join_and_hear(config()).await;
    read(&mut stream, 1).await;
    consumer.commit().await.unwrap();
    let before = consumer.metrics().consumer_id.unwrap();
    heard.zk().expire();
    until("the expiry", || async { consumer.metrics().expired_sessions == 1 }).await;
    assert_eq!(read(&mut stream, 1).await, ["b"]);
    let metrics = consumer.metrics();
    assert_ne!(metrics.consumer_id, Some(before));
    assert_eq!(heard.lines(), ["gained t-0", "Abandoned t-0 1", "gained t-0"]);
}

#[tokio::test]
async fn a_consumer_that_is_dropped_ends_its_session() {
    let world = World::new(1).await;
    let (consumer, stream) = world.join(config()).await;
    until("the owner", || async { world.children("/consumers/g/owners/t").await.len() == 1 }).await;
    drop((consumer, stream));
    until("the end", || async { world.children("/consumers/g/ids").await.is_empty() }).await;
    assert!(world.children("/consumers/g/owners/t").await.is_empty());
}

#[tokio::test]
async fn an_id_that_is_taken_is_said_at_once() {
    let world = World::new(1).await;
    let mut config = config();
    config.consumer_id = Some("me".into());
    let (_first, _stream) = world.join(config.clone()).await;
    let zk = Arc::new(world.ensemble.connect());
    let second = Consumer::builder(config, Subscription::topics([("t", 1)]).unwrap()).start_on(zk).await;
    assert!(matches!(second.unwrap_err(), ConsumerError::Fatal(Fatal::DuplicateId { .. })));
}
