//! The producer that lives on ZooKeeper's watches, beside real brokers: Ottla's and a cluster of Kafka 3.9.1, whose leaders
//! move and die under it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ottla::producer::{BrokerId, Change, Delivery, Producer, ProducerConfig, Record, Topic, TopicName, TopicPartition};
use ottla::zk::live::{LiveOptions, LiveZnodes};
use ottla::zk::znodes::{CreateMode, Znodes};
use ottla_integration_tests::client::{file, kcat, ottla, topics, topics_by_zookeeper};
use ottla_integration_tests::process::Running;
use ottla_integration_tests::zookeeper::ZooKeeper;
use ottla_integration_tests::{Broker, Kafka};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use zk_schema::admin_preferred_replica_election;
use zk_schema::partition_state::{self, PartitionState};

const LIMIT: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 3;

async fn producer(zookeeper: &str) -> Producer {
    let mut config = ProducerConfig::zookeeper(zookeeper);
    config.retry_backoff = Duration::from_millis(20);
    Producer::start(config).await.unwrap()
}

async fn session(zookeeper: &str) -> LiveZnodes {
    LiveZnodes::connect(LiveOptions::new(zookeeper)).await.unwrap()
}

/// Sends the numbers from 0 to each partition, one after another, until it is told to stop. Gives back how many were sent to each;
/// every one must have been delivered at the offset that is its number.
async fn send_numbers(producer: Producer, topic: &'static str, stop: Arc<AtomicBool>, sent: Arc<AtomicU64>) -> u64 {
    let mut deliveries: Vec<(i32, u64, Delivery)> = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        for partition in 0..PARTITIONS {
            let value = number.to_string();
            let record = Record::new(topic, value.as_bytes()).partition(partition);
            deliveries.push((partition, number, producer.send(record).await.unwrap()));
        }
        number += 1;
        sent.store(number, Ordering::Release);
        sleep(Duration::from_millis(1)).await;
    }
    for (partition, number, delivery) in deliveries {
        let delivered = delivery.await.unwrap_or_else(|why| panic!("{topic}-{partition}, record {number}: {why}"));
        // An answer that got lost tells no offset.
        assert!(delivered.offset.is_none_or(|offset| offset == number as i64), "record {number}: {delivered:?}");
    }
    producer.close().await;
    number
}

/// Fails unless each partition holds the numbers from 0 to `count`, each once and in order.
#[track_caller]
fn each_once_and_in_order(bootstrap: &str, topic: &str, count: u64) {
    for partition in 0..PARTITIONS {
        let partition_text = partition.to_string();
        let read =
            kcat(bootstrap, &["-C", "-t", topic, "-p", &partition_text, "-o", "beginning", "-e", "-q"], "").success();
        let read: Vec<u64> = read.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(read.len() as u64, count, "partition {partition}");
        assert!(read.into_iter().eq(0..count), "partition {partition}: not each once and in order");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_topics_and_leaders_are_learned_from_watches() {
    let mut broker = Broker::with(true, &[]);
    let zookeeper = broker.zookeeper.clone();
    let zk = session(&zookeeper).await;
    let producer = producer(&zookeeper).await;
    let mut changes = producer.changes();
    let mut told = async |what: &str, wanted: &dyn Fn(&Change) -> bool| {
        let search = async {
            loop {
                let change = changes.recv().await.unwrap();
                if wanted(&change) {
                    return change;
                }
            }
        };
        timeout(LIMIT, search).await.unwrap_or_else(|_| panic!("not told: {what}"))
    };

    // A topic that is made after somebody has asked for it.
    let absent = producer.partitions("later").await.unwrap_err();
    assert!(absent.to_string().contains("does not exist"), "{absent}");
    topics_by_zookeeper(
        &zookeeper,
        &["--create", "--topic", "later", "--partitions", "2", "--replication-factor", "1"],
    )
    .success();
    let made = |change: &Change| matches!(change, Change::Topic { topic: Topic::Partitions(partitions), .. } if partitions.len() == 2);
    told("the topic", &made).await;
    producer.send(Record::new("later", b"a").partition(1)).await.unwrap().await.unwrap();

    // More partitions.
    topics_by_zookeeper(&zookeeper, &["--alter", "--topic", "later", "--partitions", "3"]).success();
    let grown = |change: &Change| matches!(change, Change::Leader { partition, leadership } if partition.partition == 2 && leadership.leader.is_some());
    told("a third partition with a leader", &grown).await;
    producer.send(Record::new("later", b"b").partition(2)).await.unwrap().await.unwrap();

    // A leader that a hand moves to a broker that does not exist, and back.
    let state = "/brokers/topics/later/partitions/1/state";
    let (before, _) = zk.get(state).await.unwrap();
    let moved = String::from_utf8(before.clone()).unwrap().replace(r#""leader":0"#, r#""leader":7"#);
    zk.set(state, moved.as_bytes(), None).await.unwrap();
    let leads = |id: i32| move |change: &Change| matches!(change, Change::Leader { partition, leadership } if partition.partition == 1 && leadership.leader.is_some_and(|leader| leader.0 == id));
    told("the leader's move", &leads(7)).await;
    let waits = producer.send(Record::new("later", b"c").partition(1)).await.unwrap();
    zk.set(state, &before, None).await.unwrap();
    told("the leader's return", &leads(0)).await;
    assert_eq!(waits.await.unwrap().offset, Some(1));

    // A broker that comes and goes.
    let other = TempDir::new().unwrap();
    let mut command = std::process::Command::new(ottla_integration_tests::broker::binary());
    command.args(["start", "--data"]).arg(other.path());
    for setting in ["listeners=PLAINTEXT://127.0.0.1:0", "broker.id=9"].map(str::to_owned) {
        let setting = setting.replace(":0", &format!(":{}", ottla_integration_tests::free_port()));
        command.args(["--override", &setting]);
    }
    command.args(["--override", &format!("zookeeper.connect={zookeeper}")]);
    let mut second = Running::start(&mut command);
    told("broker 9", &|change| matches!(change, Change::BrokerCame { id, .. } if id.0 == 9)).await;
    second.signal("TERM");
    second.ended(LIMIT);
    told("broker 9 gone", &|change| matches!(change, Change::BrokerWent { id } if id.0 == 9)).await;

    // A topic that is deleted.
    topics_by_zookeeper(&zookeeper, &["--delete", "--topic", "later"]).success();
    let gone = |change: &Change| matches!(change, Change::Topic { name, topic } if name.as_str() == "later" && *topic == Topic::Missing);
    told("the topic's end", &gone).await;
    producer.close().await;
    zk.close().await.unwrap();
    broker.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn zookeeper_away_and_back_is_read_again() {
    let mut broker = Broker::with(true, &[]);
    topics(&broker.bootstrap, &["--create", "--topic", "t", "--partitions", &PARTITIONS.to_string()]).success();
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicU64::new(0));
    let producer = producer(&broker.zookeeper).await;
    let sending = tokio::spawn(send_numbers(producer.clone(), "t", stop.clone(), sent.clone()));
    while sent.load(Ordering::Acquire) < 100 {
        sleep(Duration::from_millis(10)).await;
    }
    broker.zookeeper_process().kill();
    let before = sent.load(Ordering::Acquire);
    sleep(Duration::from_secs(1)).await;
    assert!(sent.load(Ordering::Acquire) > before + 50, "sending goes on without ZooKeeper");
    broker.zookeeper_process().restart();
    topics_by_zookeeper(
        &broker.zookeeper,
        &["--create", "--topic", "new", "--partitions", "1", "--replication-factor", "1"],
    )
    .success();
    producer.send(Record::new("new", b"after")).await.unwrap().await.unwrap();
    stop.store(true, Ordering::Release);
    let count = sending.await.unwrap();
    each_once_and_in_order(&broker.bootstrap, "t", count);
    broker.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_is_lost_doubled_or_reordered_while_the_broker_is_killed() {
    let mut broker = Broker::with(false, &["log.segment.bytes=100000"]);
    topics(&broker.bootstrap, &["--create", "--topic", "t", "--partitions", &PARTITIONS.to_string()]).success();
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicU64::new(0));
    let producer = producer(&broker.zookeeper).await;
    let sending = tokio::spawn(send_numbers(producer, "t", stop.clone(), sent.clone()));
    for round in 0..10 {
        let before = sent.load(Ordering::Acquire);
        while sent.load(Ordering::Acquire) < before + 100 + 3 * round {
            sleep(Duration::from_millis(1)).await;
        }
        // The keeper inside dies with it.
        broker.kill();
        broker.restart();
    }
    stop.store(true, Ordering::Release);
    let count = timeout(LIMIT, sending).await.unwrap().unwrap();
    each_once_and_in_order(&broker.bootstrap, "t", count);
    broker.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_is_lost_doubled_or_reordered_while_leaders_of_kafka_move_and_die() {
    let folder = TempDir::new().unwrap();
    let server = ZooKeeper::start(&folder.path().join("zookeeper"));
    let settings =
        ["default.replication.factor=2", "auto.leader.rebalance.enable=false", "zookeeper.session.timeout.ms=4000"];
    let mut brokers: Vec<Kafka> = (0..2)
        .map(|id| Kafka::start("3.9.1", id, &folder.path().join(id.to_string()), &server.address, &settings))
        .collect();
    let partitions = PARTITIONS.to_string();
    topics(
        &brokers[0].bootstrap,
        &["--create", "--topic", "t", "--partitions", &partitions, "--replication-factor", "2"],
    )
    .success();
    let zk = session(&server.address).await;
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicU64::new(0));
    let producer = producer(&server.address).await;
    let sending = tokio::spawn(send_numbers(producer.clone(), "t", stop.clone(), sent.clone()));

    for victim in [0, 1] {
        in_sync(&zk, 2).await;
        brokers[victim].kill();
        // All partitions are led by the other one when the session has ended.
        while states(&zk).await.iter().any(|state| state.leader == Some(BrokerId(victim as i32))) {
            sleep(Duration::from_millis(20)).await;
        }
        let led = sent.load(Ordering::Acquire);
        while sent.load(Ordering::Acquire) < led + 200 {
            sleep(Duration::from_millis(10)).await;
        }
        brokers[victim].restart();
        in_sync(&zk, 2).await;
        let election = admin_preferred_replica_election::encode(&partitions_of_t());
        zk.create(admin_preferred_replica_election::PATH, &election, CreateMode::Persistent).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    stop.store(true, Ordering::Release);
    let count = timeout(LIMIT, sending).await.unwrap().unwrap();
    assert!(count > 1000, "{count}");
    each_once_and_in_order(&brokers[1].bootstrap, "t", count);
}

fn partitions_of_t() -> Vec<TopicPartition> {
    (0..PARTITIONS).map(|index| TopicPartition::new(TopicName::new("t").unwrap(), index)).collect()
}

async fn states(zk: &LiveZnodes) -> Vec<PartitionState> {
    let mut states = Vec::new();
    for partition in partitions_of_t() {
        let path = partition_state::path(&partition);
        let (data, _) = zk.get(&path).await.unwrap();
        states.push(PartitionState::decode(&path, &data).unwrap());
    }
    states
}

async fn in_sync(zk: &LiveZnodes, replicas: usize) {
    let waiting = async {
        while states(zk).await.iter().any(|state| state.isr.len() < replicas) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LIMIT, waiting).await.expect("all replicas in sync");
}

#[test]
fn the_console_producer_sends_lines_with_keys_and_headers() {
    let mut broker = Broker::start();
    let lines = "h:1,i:2\tk1\tv1\nh:3\tk2\tv2\n";
    let arguments = [
        "console-producer",
        "--zookeeper",
        &broker.zookeeper,
        "--topic",
        "orders",
        "--property",
        "parse.key=true",
        "--property",
        "parse.headers=true",
    ];
    ottla(&arguments, lines).success();
    let format = "%h|%k|%s\n";
    let read = kcat(&broker.bootstrap, &["-C", "-t", "orders", "-e", "-q", "-f", format], "").success();
    let mut read: Vec<&str> = read.lines().collect();
    read.sort_unstable();
    assert_eq!(read, ["h=1,i=2|k1|v1", "h=3|k2|v2"]);

    let refused =
        ottla(&["console-producer", "--zookeeper", &broker.zookeeper, "--topic", "absent", "--no-create"], "lost?\n");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("absent") && refused.stderr.contains("does not exist"), "{}", refused.stderr);

    // A property file of 0.8, with more than a batch of lines.
    let properties = "request.required.acks=1\nclient.id=old\nserializer.class=kafka.serializer.StringEncoder\n";
    let path = file(broker.folder(), "producer.properties", properties);
    let text: String = (0..50_000).map(|number| format!("{number}\n")).collect();
    let arguments =
        ["console-producer", "--bootstrap-server", &broker.bootstrap, "--topic", "numbers", "--producer.config", &path];
    ottla(&arguments, &text).success();
    let read = kcat(&broker.bootstrap, &["-C", "-t", "numbers", "-e", "-q"], "").success();
    assert_eq!(read.lines().count(), 50_000);
    broker.stop(&[]);
}

#[test]
fn a_broker_of_2015_gets_message_sets() {
    let folder = TempDir::new().unwrap();
    let server = ZooKeeper::start(&folder.path().join("zookeeper"));
    let kafka = Kafka::start("0.8.2.2", 0, &folder.path().join("kafka"), &server.address, &[]);
    let text: String = (0..1000).map(|number| format!("k{number}:{number}\n")).collect();
    let arguments = [
        "console-producer",
        "--zookeeper",
        &server.address,
        "--topic",
        "t",
        "--acks",
        "1",
        "--property",
        "parse.key=true",
        "--property",
        "key.separator=:",
        "--compression-codec",
        "snappy",
    ];
    ottla(&arguments, &text).success();
    let old = ["-X", "api.version.request=false", "-X", "broker.version.fallback=0.8.2.2"];
    let mut arguments = vec!["-C", "-t", "t", "-o", "beginning", "-e", "-q", "-f", "%k %s\n"];
    arguments.extend(old);
    let read = kcat(&kafka.bootstrap, &arguments, "").success();
    assert!(read.lines().eq((0..1000).map(|number| format!("k{number} {number}"))), "{read}");
}
