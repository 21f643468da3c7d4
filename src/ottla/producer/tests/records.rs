//! What becomes of records.

use ottla_protocol::ErrorCode;

use super::*;
use crate::producer::fake_cluster::{Appended, Fate};

#[tokio::test]
async fn a_record_arrives_whole_and_its_future_tells_where() {
    let world = World::new(3).await;
    let producer = world.start(config()).await;
    let record = Record::new("t", b"v").key(b"k").headers(&[(b"h", Some(b"1"))]).partition(2).timestamp(77);
    let delivered = send(&producer, record).await.unwrap();
    assert_eq!(delivered, Delivered { partition: 2, offset: Some(0), timestamp: 77 });
    let expected = Appended { key: Some("k".into()), value: Some("v".into()), headers: 1, magic: 2, batch: 0 };
    assert_eq!(world.brokers.log("t", 2), [expected]);
    let delivered = send(&producer, Record::tombstone("t", b"k").partition(2)).await.unwrap();
    assert_eq!(delivered.offset, Some(1));
    assert_eq!(world.brokers.log("t", 2)[1].value, None);
    world.assert_no_metadata();
    soon(producer.close()).await;
}

#[tokio::test]
async fn records_that_wait_share_a_batch_and_each_has_its_own_offset() {
    let world = World::new(1).await;
    let producer = world.start(ProducerConfig { linger: Duration::from_millis(30), ..config() }).await;
    send(&producer, Record::new("t", b"first")).await.unwrap();
    let deliveries = start_all(&producer, "t", 0..100).await;
    let mut offsets = Vec::new();
    for delivery in deliveries {
        offsets.push(soon(delivery).await.unwrap().offset.unwrap());
    }
    assert_eq!(offsets, (1..=100).collect::<Vec<_>>());
    assert!(world.brokers.log("t", 0).last().unwrap().batch <= 2);
    let metrics = producer.metrics();
    assert_eq!((metrics.delivered_records, metrics.failed_records, metrics.buffered_bytes), (101, 0, 0));
}

/// Five requests are under way; one is lost, one is written and its answer lost.
#[tokio::test]
async fn order_holds_with_five_in_flight_through_lost_connections() {
    let world = World::new(1).await;
    let config = ProducerConfig { batch_size: 200, ..config() };
    let producer = world.start(config).await;
    send(&producer, Record::new("t", b"0")).await.unwrap();
    world.brokers.plan(&[Fate::Served, Fate::Lost, Fate::Served, Fate::WrittenUnseen, Fate::Served, Fate::Lost]);
    world.brokers.delay(Duration::from_millis(2));
    let deliveries = start_all(&producer, "t", 1..500).await;
    let mut offsets = Vec::new();
    for delivery in deliveries {
        offsets.push(soon(delivery).await.unwrap().offset);
    }
    assert_eq!(world.brokers.values("t", 0), numbers(0..500));
    // Those of the batch whose answer was lost may be known to be there, and no more.
    for (number, offset) in (1i64..).zip(offsets) {
        assert!(offset.is_none_or(|offset| offset == number), "{number} at {offset:?}");
    }
    let metrics = producer.metrics();
    assert!(metrics.connections >= 4 && metrics.retries > 0, "{metrics:?}");
    assert_eq!(metrics.epoch_bumps, 0, "{metrics:?}");
}

#[tokio::test]
async fn without_idempotence_order_holds_too() {
    let world = World::new(1).await;
    let config = ProducerConfig { batch_size: 200, enable_idempotence: false, acks: Acks::Leader, ..config() };
    let producer = world.start(config).await;
    world.brokers.plan(&[Fate::Served, Fate::Lost, Fate::Refused(ErrorCode::NotEnoughReplicas)]);
    send_all(&producer, "t", 0..300).await;
    assert_eq!(world.brokers.values("t", 0), numbers(0..300));
}

#[tokio::test]
async fn acks_0_is_delivered_when_it_is_written() {
    let world = World::new(1).await;
    let config = ProducerConfig { acks: Acks::None, enable_idempotence: false, ..config() };
    let producer = world.start(config).await;
    let delivered = send(&producer, Record::new("t", b"x")).await.unwrap();
    assert_eq!(delivered.offset, None);
    soon(producer.close()).await;
    until("the record", || world.brokers.values("t", 0) == ["x"]).await;
}

#[tokio::test]
async fn a_full_memory_makes_send_wait_and_try_send_refuse_until_there_is_room() {
    let world = World::new(1).await;
    let config =
        ProducerConfig { batch_size: 1000, buffer_memory: 2000, max_block: Duration::from_millis(200), ..config() };
    let producer = world.start(config).await;
    send(&producer, Record::new("t", b"0")).await.unwrap();
    world.brokers.delay(Duration::from_millis(700));
    let value = [b'x'; 800];
    let mut taken = Vec::new();
    let refusal = loop {
        match producer.try_send(Record::new("t", &value)) {
            Ok(delivery) => taken.push(delivery),
            Err(error) => break error,
        }
    };
    assert_eq!(taken.len(), 2);
    assert!(matches!(refusal, ProducerError::Refused(Refusal::Full { limit: 2000 })), "{refusal}");
    let waited = producer.send(Record::new("t", &value)).await.unwrap_err();
    assert!(matches!(waited, ProducerError::NoRoom { .. }), "{waited}");
    world.brokers.delay(Duration::ZERO);
    for delivery in taken {
        soon(delivery).await.unwrap();
    }
    send(&producer, Record::new("t", &value)).await.unwrap();
}

#[tokio::test]
async fn room_wakes_who_waits_for_it() {
    let world = World::new(1).await;
    let producer = world.start(ProducerConfig { batch_size: 1000, buffer_memory: 2000, ..config() }).await;
    for _ in 0..50 {
        soon(producer.send(Record::new("t", &[b'x'; 800]))).await.unwrap();
    }
    soon(producer.flush()).await;
    assert_eq!(world.brokers.log("t", 0).len(), 50);
}

#[tokio::test]
async fn a_delivery_timeout_says_what_stood_in_the_way() {
    let world = World::new(1).await;
    let timeouts = ProducerConfig {
        request_timeout: Duration::from_millis(100),
        delivery_timeout: Duration::from_millis(300),
        ..config()
    };
    let producer = world.start(timeouts).await;
    send(&producer, Record::new("t", b"0")).await.unwrap();
    world.brokers.plan(&[Fate::Silent; 50]);
    let error = send(&producer, Record::new("t", b"1")).await.unwrap_err();
    let ProducerError::Failed(Failure::Timeout { may_be_written, .. }) = &error else { panic!("{error}") };
    assert!(may_be_written);
    let text = error.to_string();
    assert!(text.contains("delivery.timeout.ms (300 ms)") && text.contains("has not answered"), "{text}");
}

#[tokio::test]
async fn what_the_broker_refuses_for_good_fails_at_once_with_a_remedy() {
    let world = World::new(1).await;
    let producer = world.start(config()).await;
    world.brokers.plan(&[Fate::Refused(ErrorCode::TopicAuthorizationFailed)]);
    let error = send(&producer, Record::new("t", b"x")).await.unwrap_err();
    assert!(matches!(error, ProducerError::Failed(Failure::Refused { code: 29, .. })), "{error}");
    let error = producer.send(Record::new("t", b"x").partition(7)).await.unwrap_err();
    assert!(error.to_string().contains("no partition 7"), "{error}");
    let large = vec![0; 2 << 20];
    let error = producer.send(Record::new("t", &large)).await.unwrap_err();
    assert!(error.to_string().contains("max.request.size"), "{error}");
    let error = producer.send(Record::new("a/b", b"x")).await.unwrap_err();
    assert!(matches!(error, ProducerError::TopicName(_)), "{error}");
}

/// They are awaited in the order in which they are not delivered.
#[tokio::test]
async fn a_batch_too_large_for_the_broker_arrives_in_parts_and_each_record_knows_its_offset() {
    for (compression, limit) in [(Codec::None, 600), (Codec::Gzip, 200)] {
        let world = World::new(1).await;
        world.brokers.limit_batches(limit);
        let linger = Duration::from_millis(30);
        let producer = world.start(ProducerConfig { linger, compression, ..config() }).await;
        send(&producer, Record::new("t", b"0")).await.unwrap();
        let mut waiting = tokio::task::JoinSet::new();
        for (number, delivery) in (1..200_i32).zip(start_all(&producer, "t", 1..200).await).rev() {
            waiting.spawn(async move { (number, soon(delivery).await.unwrap().offset) });
        }
        soon(producer.flush()).await;
        for (number, offset) in soon(waiting.join_all()).await {
            assert_eq!(offset, Some(number.into()));
        }
        assert_eq!(world.brokers.values("t", 0), numbers(0..200));
        let metrics = producer.metrics();
        assert!(metrics.split_batches >= 2, "{metrics:?}");
        let counted = (metrics.delivered_records, metrics.failed_records, metrics.buffered_bytes, metrics.retries);
        assert_eq!(counted, (200, 0, 0, 0));
        assert_eq!(metrics.delivered_batches, 1 + world.brokers.log("t", 0).last().unwrap().batch as u64);
        // What comes after is small enough from the beginning.
        send_all(&producer, "t", 200..400).await;
        assert_eq!(producer.metrics().split_batches, metrics.split_batches);
        assert_eq!(world.brokers.values("t", 0), numbers(0..400));
    }
}

#[tokio::test]
async fn a_record_too_large_for_the_broker_fails_alone() {
    let world = World::new(1).await;
    world.brokers.limit_batches(300);
    let producer = world.start(ProducerConfig { linger: Duration::from_secs(60), ..config() }).await;
    let mut deliveries = start_all(&producer, "t", 0..3).await;
    let large = "x".repeat(400);
    deliveries.push(producer.send(Record::new("t", large.as_bytes())).await.unwrap());
    deliveries.extend(start_all(&producer, "t", 3..6).await);
    soon(producer.flush()).await;
    let mut offsets = Vec::new();
    for delivery in deliveries {
        offsets.push(soon(delivery).await.map(|delivered| delivered.offset.unwrap()));
    }
    let error = offsets.remove(3).unwrap_err();
    assert!(matches!(error, ProducerError::Failed(Failure::Refused { code: 10, .. })), "{error}");
    assert!(error.to_string().ends_with("Raise the topic's max.message.bytes."), "{error}");
    assert_eq!(offsets.into_iter().map(Result::unwrap).collect::<Vec<_>>(), (0..6).collect::<Vec<_>>());
    assert_eq!(world.brokers.values("t", 0), numbers(0..6));
    let metrics = producer.metrics();
    assert_eq!((metrics.delivered_records, metrics.failed_records, metrics.buffered_bytes), (6, 1, 0));
}

#[tokio::test]
async fn flush_and_close_wait_for_what_was_sent_and_nothing_is_taken_after() {
    let world = World::new(2).await;
    let producer = world.start(ProducerConfig { linger: Duration::from_secs(60), ..config() }).await;
    send_none(&producer).await;
    let first = start_all(&producer, "t", 0..10).await;
    soon(producer.flush()).await;
    assert!(first.iter().all(|delivery| matches!(delivery.outcome(), Some(Ok(_)))), "{first:?}");
    let second = start_all(&producer, "t", 10..20).await;
    assert!(second[0].outcome().is_none());
    soon(producer.close()).await;
    assert!(second.iter().all(|delivery| matches!(delivery.outcome(), Some(Ok(_)))), "{second:?}");
    assert!(matches!(producer.send(Record::new("t", b"x")).await, Err(ProducerError::Closed)));
    assert!(matches!(producer.try_send(Record::new("t", b"x")), Err(ProducerError::Closed)));
    assert!(matches!(producer.partitions("other").await, Err(ProducerError::Closed)));
    soon(producer.close()).await;
    soon(producer.flush()).await;
}

/// Makes the topic known without a record.
async fn send_none(producer: &Producer) {
    soon(producer.partitions("t")).await.unwrap();
}

#[tokio::test]
async fn close_within_abandons_what_is_not_delivered_in_time() {
    let world = World::new(1).await;
    let producer = world.start(config()).await;
    world.brokers.plan(&[Fate::Silent]);
    let delivery = soon(producer.send(Record::new("t", b"x"))).await.unwrap();
    assert!(!soon(producer.close_within(Duration::from_millis(50))).await);
    assert!(matches!(soon(delivery).await, Err(ProducerError::Failed(Failure::Closed))));
}

#[tokio::test]
async fn a_producer_that_is_dropped_fails_what_waits_and_ends_its_session() {
    let world = World::new(1).await;
    let zk = Arc::new(world.ensemble.connect());
    let sessions = Arc::downgrade(&zk);
    let producer = Producer::builder(config()).start_on(zk).await.unwrap();
    world.brokers.plan(&[Fate::Silent]);
    let delivery = soon(producer.send(Record::new("t", b"x"))).await.unwrap();
    let clone = producer.clone();
    drop(producer);
    assert!(delivery.outcome().is_none(), "a clone lives");
    drop(clone);
    assert!(matches!(soon(delivery).await, Err(ProducerError::Failed(Failure::Closed))));
    until("the end of the session", || sessions.upgrade().is_none()).await;
}

#[tokio::test]
async fn a_lost_answer_and_no_more_connections_is_a_failure_that_says_it_may_be_written() {
    let world = World::new(1).await;
    let config = ProducerConfig {
        retries: 0,
        enable_idempotence: false,
        request_timeout: Duration::from_millis(200),
        ..config()
    };
    let producer = world.start(config).await;
    world.brokers.plan(&[Fate::WrittenUnseen]);
    let error = send(&producer, Record::new("t", b"x")).await.unwrap_err();
    assert!(matches!(&error, ProducerError::Failed(Failure::Retries { may_be_written: true, .. })), "{error}");
    assert_eq!(world.brokers.values("t", 0), ["x"]);
}

/// Sends to partition 1 what begins with `b`.
struct ByFirst;

impl Partitioner for ByFirst {
    fn partition(&self, record: &Record<'_>, topic: &TopicView<'_>) -> Option<i32> {
        assert_eq!((topic.name(), topic.count()), ("t", 3));
        assert!(topic.is_available(1));
        (record.value?.first() == Some(&b'b')).then_some(1)
    }
}

#[tokio::test]
async fn the_applications_partitioner_chooses_and_may_leave_it_to_the_built_in_rule() {
    let world = World::new(3).await;
    let zk = Arc::new(world.ensemble.connect());
    let producer = Producer::builder(config()).partitioner(ByFirst).start_on(zk).await.unwrap();
    soon(producer.partitions("t")).await.unwrap();
    until("a leader", || {
        let cluster = producer.cluster();
        matches!(cluster.topics.values().next(), Some(Topic::Partitions(found)) if found[&1].leader.is_some())
    })
    .await;
    assert_eq!(send(&producer, Record::new("t", b"bee").key(b"k")).await.unwrap().partition, 1);
    let rule = ottla_producer::partition_for_key(ottla_producer::KeyHash::Murmur2, b"k", 3);
    assert_eq!(send(&producer, Record::new("t", b"ant").key(b"k")).await.unwrap().partition, rule);
    assert_eq!(send(&producer, Record::new("t", b"bee").partition(0)).await.unwrap().partition, 0);
}

#[tokio::test]
async fn old_brokers_get_old_messages_without_idempotence_and_a_remedy_with_it() {
    for (newest, magic) in [(2, 1), (1, 0)] {
        let world = World::new(1).await;
        world.brokers.know_produce(0..=newest);
        let plain = ProducerConfig { enable_idempotence: false, compression: Codec::Gzip, ..config() };
        let producer = world.start(plain).await;
        send_all(&producer, "t", 0..3).await;
        let log = world.brokers.log("t", 0);
        assert!(log.iter().all(|record| record.magic == magic), "{log:?}");
        assert_eq!(world.brokers.values("t", 0), numbers(0..3));

        let producer = world.start(config()).await;
        let error = send(&producer, Record::new("t", b"x")).await.unwrap_err();
        assert!(error.to_string().contains("enable.idempotence=false"), "{error}");

        let zstd = ProducerConfig { enable_idempotence: false, compression: Codec::Zstd, ..config() };
        let producer = world.start(zstd).await;
        let error = send(&producer, Record::new("t", b"x")).await.unwrap_err();
        assert!(error.to_string().contains("compression.type"), "{error}");
        assert_eq!(world.brokers.values("t", 0), numbers(0..3));
    }
}

#[tokio::test]
async fn every_codec_arrives() {
    let world = World::new(1).await;
    for (codec, range) in
        [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd].into_iter().zip([0..9, 9..20, 20..30, 30..35])
    {
        let config = ProducerConfig { compression: codec, linger: Duration::from_millis(5), ..config() };
        send_all(&world.start(config).await, "t", range).await;
    }
    assert_eq!(world.brokers.values("t", 0), numbers(0..35));
}

/// What this thread has used of the processor.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_connection_whose_requests_are_answered_rests() {
    let world = World::new(1).await;
    let producer = world.start(ProducerConfig { request_timeout: Duration::from_millis(50), ..config() }).await;
    send_all(&producer, "t", 0..1).await;
    // The time of a request that was answered is over, and nothing is due.
    sleep(Duration::from_millis(200)).await;
    let before = processor_time();
    sleep(Duration::from_millis(400)).await;
    let used = processor_time() - before;
    assert!(used < Duration::from_millis(100), "{used:?} of 400 ms");
    producer.close().await;
}
