//! Brokers and leaders that come, go and move.

use super::*;

#[tokio::test]
async fn a_leader_moved_in_its_node_gets_the_next_batch_and_nobody_is_asked_for_metadata() {
    let world = World::new(1).await;
    world.broker(2).await;
    let producer = world.start(config()).await;
    send_all(&producer, "t", 0..10).await;
    let mut slowest = Duration::ZERO;
    for epoch in 1..20 {
        let leader = 1 + epoch % 2;
        world.brokers.lead("t", 0, leader);
        let written = Instant::now();
        world.write_leader("t", 0, leader, epoch).await;
        send(&producer, Record::new("t", b"x")).await.unwrap();
        slowest = slowest.max(written.elapsed());
    }
    println!("first success after the write of the node: {slowest:?} at most");
    assert!(slowest < Duration::from_millis(200), "{slowest:?}");
    assert_eq!(world.brokers.log("t", 0).len(), 29);
    world.assert_no_metadata();
}

/// The node is written first, the broker hears of it later, as with a controller.
#[tokio::test]
async fn a_new_leader_that_has_not_heard_of_it_yet_is_asked_again_soon() {
    let world = World::new(1).await;
    world.broker(2).await;
    let producer = world.start(config()).await;
    send_all(&producer, "t", 0..10).await;
    world.write_leader("t", 0, 2, 1).await;
    let heard = tokio::spawn({
        let brokers = world.brokers.clone();
        async move {
            sleep(Duration::from_millis(5)).await;
            brokers.lead("t", 0, 2);
        }
    });
    let started = Instant::now();
    send_all(&producer, "t", 10..20).await;
    heard.await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    assert_eq!(world.brokers.values("t", 0), numbers(0..20));
    world.assert_no_metadata();
}

#[tokio::test]
async fn a_broker_that_comes_back_elsewhere_is_followed() {
    let world = World::new(1).await;
    let producer = world.start(config()).await;
    send_all(&producer, "t", 0..5).await;
    world.brokers.stop(1);
    world.zk.delete(&broker_ids::path(BrokerId(1)), None).await.unwrap();
    let waiting = start_all(&producer, "t", 5..10).await;
    sleep(Duration::from_millis(50)).await;
    assert!(waiting[0].outcome().is_none());
    world.broker(1).await;
    for delivery in waiting {
        soon(delivery).await.unwrap();
    }
    assert_eq!(world.brokers.values("t", 0), numbers(0..10));
    world.assert_no_metadata();
}

/// The registration is replaced between two looks: another port under the same id, and the old one still listens.
#[tokio::test]
async fn a_registration_that_is_replaced_unseen_is_seen_all_the_same() {
    let world = World::new(1).await;
    let zk = Arc::new(world.ensemble.connect());
    let producer = Producer::builder(config()).start_on(zk.clone()).await.unwrap();
    send_all(&producer, "t", 0..5).await;
    zk.disconnect();
    world.brokers.stop(1);
    world.zk.delete(&broker_ids::path(BrokerId(1)), None).await.unwrap();
    world.broker(1).await;
    let waiting = start_all(&producer, "t", 5..10).await;
    sleep(Duration::from_millis(30)).await;
    zk.reconnect();
    for delivery in waiting {
        soon(delivery).await.unwrap();
    }
    assert_eq!(world.brokers.values("t", 0), numbers(0..10));
}

#[tokio::test]
async fn an_expired_session_costs_no_record_and_watches_are_set_again() {
    let world = World::new(1).await;
    world.broker(2).await;
    let zk = Arc::new(world.ensemble.connect());
    let producer = Producer::builder(config()).start_on(zk.clone()).await.unwrap();
    send_all(&producer, "t", 0..5).await;
    zk.expire();
    until("the expiry", || producer.metrics().expired_sessions == 1).await;
    send_all(&producer, "t", 5..10).await;
    world.brokers.lead("t", 0, 2);
    world.write_leader("t", 0, 2, 1).await;
    send_all(&producer, "t", 10..15).await;
    assert_eq!(world.brokers.values("t", 0), numbers(0..15));
    world.assert_no_metadata();
}

#[tokio::test]
async fn a_dead_leaders_successor_gets_its_records_in_order() {
    let world = World::new(1).await;
    world.broker(2).await;
    let config = ProducerConfig { batch_size: 100, ..config() };
    let producer = world.start(config).await;
    send_all(&producer, "t", 0..10).await;
    world.brokers.delay(Duration::from_millis(20));
    let waiting = start_all(&producer, "t", 10..200).await;
    sleep(Duration::from_millis(30)).await;
    world.brokers.stop(1);
    world.brokers.lead("t", 0, 2);
    world.zk.delete(&broker_ids::path(BrokerId(1)), None).await.unwrap();
    world.write_leader("t", 0, 2, 1).await;
    world.brokers.delay(Duration::ZERO);
    for delivery in waiting {
        soon(delivery).await.unwrap();
    }
    assert_eq!(world.brokers.values("t", 0), numbers(0..200));
}

#[tokio::test]
async fn who_has_no_zookeeper_asks_until_a_dead_leader_has_a_successor() {
    let world = World::new(1).await;
    let port = world.brokers.broker(2).await;
    let bootstrap = ProducerConfig { max_block: LONG, ..ProducerConfig::bootstrap(&format!("127.0.0.1:{port}")) };
    let producer = Producer::start(bootstrap).await.unwrap();
    send_all(&producer, "t", 0..1).await;
    world.brokers.stop(1);
    let waiting = start_all(&producer, "t", 1..3).await;
    // The other broker does not know of the successor at once: the first answers are old.
    sleep(Duration::from_millis(400)).await;
    world.brokers.lead("t", 0, 2);
    let moved = Instant::now();
    for delivery in waiting {
        soon(delivery).await.unwrap();
    }
    assert!(moved.elapsed() < Duration::from_secs(3), "{:?}", moved.elapsed());
    assert_eq!(world.brokers.values("t", 0), numbers(0..3));
}

#[tokio::test]
async fn who_has_no_zookeeper_asks_brokers() {
    let world = World::new(2).await;
    world.broker(2).await;
    let port = world.brokers.broker(3).await;
    let bootstrap = ProducerConfig { max_block: LONG, ..ProducerConfig::bootstrap(&format!("127.0.0.1:{port}")) };
    let producer = Producer::start(bootstrap.clone()).await.unwrap();
    send_all(&producer, "t", 0..5).await;
    world.brokers.lead("t", 0, 2);
    world.brokers.lead("t", 1, 2);
    send_all(&producer, "t", 5..10).await;
    let mut values = [world.brokers.values("t", 0), world.brokers.values("t", 1)].concat();
    values.sort_by_key(|value| value.parse::<u32>().unwrap());
    assert_eq!(values, numbers(0..10));
    assert_eq!(soon(producer.topic_names()).await.unwrap().len(), 1);

    let sending = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(Record::new("new", b"x")).await?.await }
    });
    until("the request", || !world.brokers.take_to_make().is_empty()).await;
    world.brokers.lead("new", 0, 2);
    soon(sending).await.unwrap().unwrap();
    soon(producer.close()).await;

    let nobody = ProducerConfig::bootstrap("127.0.0.1:1");
    let error = soon(Producer::start(nobody)).await.unwrap_err();
    assert!(error.to_string().contains("bootstrap.servers=127.0.0.1:1"), "{error}");
}
