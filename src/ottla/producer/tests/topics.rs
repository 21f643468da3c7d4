//! Topics that are not there, come, grow and go.

use ottla_protocol::ErrorCode;

use super::*;

#[tokio::test]
async fn a_topic_that_is_created_later_is_heard_of() {
    let world = World::new(0).await;
    let producer = world.start(config()).await;
    world.brokers.refuse_topics(ErrorCode::UnknownTopicOrPartition);
    let sending = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(Record::new("t", b"x")).await?.await }
    });
    until("the question", || world.brokers.asked(ApiKey::Metadata) == 1).await;
    world.topic("t", 1, 1).await;
    let delivered = soon(sending).await.unwrap().unwrap();
    assert_eq!(delivered.offset, Some(0));
    assert_eq!(world.brokers.asked(ApiKey::Metadata), 1);
}

#[tokio::test]
async fn a_missing_topic_is_refused_at_once_if_none_is_to_be_made() {
    let world = World::new(0).await;
    let producer = world.start(ProducerConfig { allow_auto_create_topics: false, ..config() }).await;
    let error = soon(producer.send(Record::new("nix", b"x"))).await.unwrap_err();
    assert!(error.to_string().contains("topics --create --topic nix"), "{error}");
    world.assert_no_metadata();
}

#[tokio::test]
async fn many_who_send_to_a_missing_topic_have_it_made_with_one_request() {
    let world = World::new(0).await;
    let producer = world.start(config()).await;
    let mut sending = tokio::task::JoinSet::new();
    for number in 0..20 {
        let producer = producer.clone();
        sending.spawn(async move {
            let value = number.to_string();
            producer.send(Record::new("new", value.as_bytes())).await?.await
        });
    }
    let mut made = Vec::new();
    until("the request", || {
        made.extend(world.brokers.take_to_make());
        !made.is_empty()
    })
    .await;
    world.topic("new", 1, 1).await;
    while let Some(sent) = soon(sending.join_next()).await {
        sent.unwrap().unwrap();
    }
    assert_eq!(made, ["new"]);
    assert_eq!(world.brokers.asked(ApiKey::Metadata), 1);
    assert_eq!(producer.metrics().metadata_requests, 1);
    assert_eq!(world.brokers.log("new", 0).len(), 20);
}

#[tokio::test]
async fn a_broker_that_will_not_make_a_topic_is_believed_at_once() {
    let world = World::new(0).await;
    let producer = world.start(config()).await;
    world.brokers.refuse_topics(ErrorCode::TopicAuthorizationFailed);
    let started = Instant::now();
    let error = soon(producer.send(Record::new("nix", b"x"))).await.unwrap_err();
    assert!(matches!(error, ProducerError::TopicRefused { code: 29, .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_topic_that_nobody_makes_names_the_keys_and_the_command() {
    let world = World::new(0).await;
    let producer = world.start(ProducerConfig { max_block: Duration::from_millis(100), ..config() }).await;
    world.brokers.refuse_topics(ErrorCode::UnknownTopicOrPartition);
    let error = producer.send(Record::new("nix", b"x")).await.unwrap_err();
    let text = error.to_string();
    for part in ["max.block.ms", "auto.create.topics.enable", "ottla topics --create --topic nix", "the broker said"] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn more_partitions_are_used_and_a_deleted_topic_fails_what_waits() {
    let world = World::new(1).await;
    let producer = world.start(config()).await;
    send(&producer, Record::new("t", b"x")).await.unwrap();
    let error = producer.send(Record::new("t", b"x").partition(1)).await.unwrap_err();
    assert!(matches!(error, ProducerError::Refused(Refusal::NoSuchPartition { count: 1, .. })), "{error}");
    let topic = TopicName::new("t").unwrap();
    let assignment = TopicAssignment {
        partitions: (0..2).map(|partition| (partition, vec![BrokerId(1)])).collect(),
        topic_id: None,
        adding_replicas: Default::default(),
        removing_replicas: Default::default(),
    };
    let mut changes = producer.changes();
    world.zk.set(&broker_topics::path(&topic), &assignment.encode(), None).await.unwrap();
    let change = soon(changes.recv()).await.unwrap();
    assert!(matches!(&change, Change::Topic { topic: Topic::Partitions(found), .. } if found.len() == 2), "{change:?}");
    let waiting = soon(producer.send(Record::new("t", b"x").partition(1))).await.unwrap();
    assert!(waiting.outcome().is_none(), "it has no leader yet");
    world.zk.delete(&broker_topics::path(&topic), None).await.unwrap_err();
    for path in
        ["/brokers/topics/t/partitions/0/state", "/brokers/topics/t/partitions/0", "/brokers/topics/t/partitions"]
    {
        world.zk.delete(path, None).await.unwrap();
    }
    world.zk.delete(&broker_topics::path(&topic), None).await.unwrap();
    let error = soon(waiting).await.unwrap_err();
    assert!(matches!(error, ProducerError::Failed(Failure::TopicDeleted(_))), "{error}");
    world.assert_no_metadata();
}

#[tokio::test]
async fn partitions_and_names_are_told_and_nothing_is_written_to_zookeeper() {
    let world = World::new(3).await;
    world.topic("other", 1, 1).await;
    let before = world.ensemble.tree().zxid();
    let producer = world.start(config()).await;
    assert_eq!(soon(producer.partitions("t")).await.unwrap().len(), 3);
    let error = soon(producer.partitions("nix")).await.unwrap_err();
    assert!(matches!(error, ProducerError::Refused(Refusal::MissingTopic(_))), "{error}");
    let names = |names: std::collections::BTreeSet<TopicName>| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(names(soon(producer.topic_names()).await.unwrap()), ["other", "t"]);
    send(&producer, Record::new("t", b"x")).await.unwrap();
    world.assert_no_metadata();
    // One session was opened; nothing else has a zxid.
    assert_eq!(world.ensemble.tree().zxid() - before, 1);
}

#[tokio::test]
async fn a_topic_that_nobody_sends_to_is_forgotten_and_known_again_when_it_is_sent_to() {
    let world = World::new(1).await;
    let idle = ProducerConfig {
        metadata_max_idle: Duration::from_millis(50),
        request_timeout: Duration::from_millis(50),
        delivery_timeout: Duration::from_millis(100),
        ..config()
    };
    let producer = world.start(idle).await;
    send(&producer, Record::new("t", b"0")).await.unwrap();
    assert_eq!(producer.cluster().topics.len(), 1);
    until("that it is forgotten", || producer.cluster().topics.is_empty()).await;
    send(&producer, Record::new("t", b"1")).await.unwrap();
    assert_eq!(world.brokers.values("t", 0), ["0", "1"]);
}
