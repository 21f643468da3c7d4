//! A whole producer over ZooKeeper's tree in memory and brokers in memory.

mod cluster;
mod records;
mod topics;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_protocol::ApiKey;
use ottla_types::{ControllerEpoch, Endpoint, LeaderEpoch, ListenerName, SecurityProtocol};
use tokio::time::{sleep, timeout};
use zk_schema::{BrokerRegistration, PartitionState, TopicAssignment, broker_ids, broker_topics, partition_state};

use super::fake_cluster::FakeCluster;
use super::*;
use crate::zk::fake::{FakeEnsemble, FakeZnodes};
use crate::zk::znodes::{CreateMode, Znodes};

const LONG: Duration = Duration::from_secs(20);

/// A cluster, and whoever changes it.
struct World {
    ensemble: FakeEnsemble,
    zk: FakeZnodes,
    brokers: FakeCluster,
}

impl World {
    /// Broker 1, and topic `t` if it has partitions.
    async fn new(partitions: i32) -> World {
        let ensemble = FakeEnsemble::default();
        let world = World { zk: ensemble.connect(), ensemble, brokers: FakeCluster::default() };
        for path in ["/brokers", "/brokers/ids", "/brokers/topics"] {
            world.create(path, b"").await;
        }
        world.broker(1).await;
        if partitions > 0 {
            world.topic("t", partitions, 1).await;
        }
        world
    }

    async fn create(&self, path: &str, data: &[u8]) {
        self.zk.create(path, data, CreateMode::Persistent).await.unwrap();
    }

    /// Starts a broker and registers it.
    async fn broker(&self, id: i32) {
        let port = self.brokers.broker(id).await;
        self.register(id, port).await;
    }

    async fn register(&self, id: i32, port: u16) {
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
        self.zk.create(&broker_ids::path(BrokerId(id)), &registration.encode(), CreateMode::Ephemeral).await.unwrap();
    }

    /// Creates a topic, as a tool and a controller do it.
    async fn topic(&self, name: &str, partitions: i32, leader: i32) {
        let topic = TopicName::new(name).unwrap();
        let assignment = TopicAssignment {
            partitions: (0..partitions).map(|partition| (partition, vec![BrokerId(leader)])).collect(),
            topic_id: None,
            adding_replicas: Default::default(),
            removing_replicas: Default::default(),
        };
        self.create(&broker_topics::path(&topic), &assignment.encode()).await;
        self.create(&partition_state::partitions_path(&topic), b"").await;
        for partition in 0..partitions {
            self.brokers.lead(name, partition, leader);
            let partition = TopicPartition::new(topic.clone(), partition);
            self.create(&partition_state::partition_path(&partition), b"").await;
            self.create(&partition_state::path(&partition), &state(leader, 0)).await;
        }
    }

    /// Writes who leads a partition, and nothing else.
    async fn write_leader(&self, topic: &str, partition: i32, leader: i32, epoch: i32) {
        let partition = TopicPartition::new(TopicName::new(topic).unwrap(), partition);
        self.zk.set(&partition_state::path(&partition), &state(leader, epoch), None).await.unwrap();
    }

    async fn start(&self, config: ProducerConfig) -> Producer {
        Producer::builder(config).start_on(Arc::new(self.ensemble.connect())).await.unwrap()
    }

    /// No broker was asked what it must not be asked.
    fn assert_no_metadata(&self) {
        assert_eq!(self.brokers.asked(ApiKey::Metadata), 0, "Metadata was asked for");
    }
}

fn state(leader: i32, epoch: i32) -> Vec<u8> {
    let state = PartitionState {
        leader: Some(BrokerId(leader)),
        leader_epoch: LeaderEpoch(epoch),
        isr: vec![BrokerId(leader)],
        controller_epoch: ControllerEpoch(1),
        leader_recovery_state: 0,
    };
    state.encode()
}

fn config() -> ProducerConfig {
    ProducerConfig { max_block: LONG, ..ProducerConfig::zookeeper("nobody:1") }
}

/// Waits for something that is expected soon.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(LONG, what).await.expect("it takes too long")
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < LONG, "{what} does not come");
        sleep(Duration::from_millis(1)).await;
    }
}

async fn send(producer: &Producer, record: Record<'_>) -> Result<Delivered, ProducerError> {
    soon(soon(producer.send(record)).await?).await
}

/// Sends numbers and waits for all of them.
async fn send_all(producer: &Producer, topic: &str, numbers: std::ops::Range<usize>) {
    for delivery in start_all(producer, topic, numbers).await {
        soon(delivery).await.unwrap();
    }
}

async fn start_all(producer: &Producer, topic: &str, numbers: std::ops::Range<usize>) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for number in numbers {
        deliveries.push(producer.send(Record::new(topic, number.to_string().as_bytes())).await.unwrap());
    }
    deliveries
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}
