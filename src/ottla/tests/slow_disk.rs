//! A disk that stands still for one partition: who asks for another one does not notice, however many ask for that one.
//!
//! Real connections, a broker with two threads for requests, and a gate in the place of the slow disk: while it is shut
//! its partition's writes, or fsyncs, do not come back. Nothing here depends on how fast a machine is: a request that
//! waited for the gate would wait for ever.

mod gate;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gate::{Gate, GatedDisk, Shut};
use ottla::broker::MetadataCache;
use ottla::broker::clock::now_ms;
use ottla::broker::current_config::CurrentConfig;
use ottla::broker::dispatch::Dispatch;
use ottla::broker::flusher::Flusher;
use ottla::broker::handlers::{Handlers, Ingredients};
use ottla::broker::partition::Settings;
use ottla::broker::partitions::Partitions;
use ottla::broker::topic_configs::TopicConfigs;
use ottla::client::{Connection, ConnectionOptions};
use ottla::config::BrokerConfig;
use ottla::metrics::Metrics;
use ottla::net::{ConnectionLimits, ConnectionQuota, Listener, ListenerLimits};
use ottla::zk::fake::FakeEnsemble;
use ottla::zk::znodes::Znodes;
use ottla_log::LogDir;
use ottla_protocol::ErrorCode;
use ottla_protocol::schema::fetch::{FetchPartition, FetchRequest, FetchTopic};
use ottla_protocol::schema::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use ottla_protocol::schema::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ottla_records::Codec;
use ottla_records::builder::{BatchBuilder, BatchFields};
use ottla_replication::PartitionChange;
use ottla_types::{
    BrokerId, ControllerEpoch, Endpoint, LeaderEpoch, ListenerName, PartitionEpoch, SecurityProtocol, TopicId,
    TopicName, TopicPartition,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

const BROKER: BrokerId = BrokerId(0);
const TOPIC: &str = "orders";
/// The partition whose disk has the gate, and another.
const SLOW: i32 = 0;
const OTHER: i32 = 1;
/// `num.io.threads`.
const THREADS: usize = 2;
/// Connections that ask for the slow partition: more than there are threads.
const CROWD: usize = 4 * THREADS;
/// How long an answer may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker on a port, with threads of its own, and where it listens.
struct Served {
    address: String,
    /// Taken when the broker ends.
    runtime: Option<tokio::runtime::Runtime>,
    _stop: watch::Sender<bool>,
}

impl Served {
    fn start(folder: &Path, gate: &Arc<Gate>) -> Served {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().unwrap();
        let inside = runtime.enter();
        let service = Arc::new(broker(folder, gate));
        let endpoint = Endpoint {
            listener: ListenerName::new("PLAINTEXT"),
            security_protocol: SecurityProtocol::Plaintext,
            host: "127.0.0.1".into(),
            port: 0,
        };
        let limits = ListenerLimits {
            max_request_bytes: 1 << 20,
            max_idle: Duration::from_secs(600),
            quota: Arc::new(ConnectionQuota::new(ConnectionLimits {
                all: 100,
                per_ip: 100,
                per_ip_overrides: BTreeMap::new(),
            })),
            send_buffer_bytes: None,
            receive_buffer_bytes: None,
        };
        let (stop, stopped) = watch::channel(false);
        let listener = Listener::bind(&endpoint, 50).unwrap();
        drop(inside);
        let address = listener.local_addr().unwrap().to_string();
        runtime.spawn(listener.serve(service, limits, stopped));
        Served { address, runtime: Some(runtime), _stop: stop }
    }

    async fn connect(&self) -> Connection {
        Connection::connect(&self.address, &ConnectionOptions::default()).await.unwrap()
    }

    /// As many connections that each ask for something, by their number.
    async fn crowd<F>(&self, ask: fn(Connection, usize) -> F) -> JoinSet<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut crowd = JoinSet::new();
        for number in 0..CROWD {
            crowd.spawn(ask(self.connect().await, number));
        }
        crowd
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A broker without ZooKeeper, with the controller's word on both partitions.
fn broker(folder: &Path, gate: &Arc<Gate>) -> Dispatch {
    let config = Arc::new(CurrentConfig::new(BrokerConfig::from_pairs(&[]).unwrap()));
    let znodes: Arc<dyn Znodes> = Arc::new(FakeEnsemble::default().connect());
    let cache = Arc::new(MetadataCache::default());
    let settings =
        Settings { broker_id: BROKER, lag_time_max_ms: 30_000, flush_before_ack: true, full_record_check: false };
    let disk = GatedDisk { gate: gate.clone(), behind_it: format!("{TOPIC}-{SLOW}") };
    let dir = LogDir::open(Arc::new(disk), folder).unwrap();
    let partitions = Arc::new(Partitions::new(vec![dir], cache.clone(), settings, Flusher::start().unwrap()));
    let topic = TopicName::new(TOPIC).unwrap();
    let configs = TopicConfigs::new(znodes.clone(), config.clone());
    configs.learn(&topic, &BTreeMap::new());
    for index in [SLOW, OTHER] {
        let id = TopicPartition::new(topic.clone(), index);
        let partition = partitions.create(&id, Some(TopicId([7; 16])), configs.known(&topic)).unwrap();
        let change = PartitionChange {
            topic_id: Some(TopicId([7; 16])),
            controller_epoch: ControllerEpoch(1),
            leader: Some(BROKER),
            leader_epoch: LeaderEpoch(0),
            isr: vec![BROKER],
            partition_epoch: PartitionEpoch(0),
            replicas: vec![BROKER],
        };
        partition.take_role(change, now_ms()).unwrap();
    }
    let metrics = Arc::new(Metrics::new());
    let cluster_id = "slowslowslowslowslowsl".into();
    Dispatch::new(Handlers::new(Ingredients {
        broker_id: BROKER,
        cluster_id,
        znodes,
        config,
        cache,
        partitions,
        metrics,
    }))
}

async fn produce(connection: &Connection, index: i32, acks: i16) {
    assert_eq!(produced(connection, index, acks, 600_000).await, 0);
}

/// The error code of a produce.
async fn produced(connection: &Connection, index: i32, acks: i16, timeout_ms: i32) -> i16 {
    let mut batch = BatchBuilder::new(BatchFields::new(0, Codec::None));
    batch.append(now_ms(), None, Some(b"value"), &[]);
    let data = PartitionProduceData { index, records: Some(Bytes::from(batch.finish().unwrap())) };
    let topic = TopicProduceData { name: TOPIC.into(), partition_data: vec![data] };
    let request = ProduceRequest { acks, timeout_ms, topic_data: vec![topic], ..ProduceRequest::default() };
    let answer = connection.send_at_most(&request, 9, 2 * PATIENCE).await.unwrap();
    answer.responses[0].partition_responses[0].error_code
}

/// Reads from the first record on.
async fn fetch(connection: &Connection, index: i32) {
    let partition =
        FetchPartition { partition: index, current_leader_epoch: -1, partition_max_bytes: 1000, ..Default::default() };
    let topic = FetchTopic { topic: TOPIC.into(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest { max_bytes: 1000, topics: vec![topic], ..FetchRequest::default() };
    let answer = connection.send_at_most(&request, 11, 2 * PATIENCE).await.unwrap();
    assert_eq!(answer.responses[0].partitions[0].error_code, 0);
}

/// Asks for the partition's end.
async fn list_offsets(connection: &Connection, index: i32) {
    let partition = ListOffsetsPartition {
        partition_index: index,
        current_leader_epoch: -1,
        timestamp: -1,
        ..ListOffsetsPartition::default()
    };
    let topic = ListOffsetsTopic { name: TOPIC.into(), partitions: vec![partition] };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
    let answer = connection.send_at_most(&request, 5, 2 * PATIENCE).await.unwrap();
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
}

/// All that may be asked of a partition, on one connection.
async fn everything_is_answered(connection: &Connection, index: i32) {
    for _ in 0..20 {
        produce(connection, index, 1).await;
        produce(connection, index, -1).await;
        fetch(connection, index).await;
        list_offsets(connection, index).await;
    }
}

/// Everything asked of the other partition is answered while the crowd waits, and the crowd when the gate opens.
async fn others_do_not_wait(other: &Connection, gate: &Gate, mut crowd: JoinSet<()>) {
    gate.waits(1, PATIENCE);
    // However long the crowd has had to take all threads: the later the better for what is looked for.
    tokio::time::sleep(Duration::from_millis(50)).await;
    tokio::time::timeout(PATIENCE, everything_is_answered(other, OTHER))
        .await
        .expect("a request to another partition waits");
    assert!(crowd.try_join_next().is_none(), "the gate is shut");
    gate.open();
    while let Some(ended) = crowd.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_write_stands_still_other_partitions_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let served = Served::start(folder.path(), &gate);
    let other = served.connect().await;
    everything_is_answered(&other, SLOW).await;
    gate.shut(Shut::Writes);
    let crowd = served
        .crowd(|connection, number| async move {
            // The first of them writes; the gate is held before the others come.
            if number > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            match number % 4 {
                0 => produce(&connection, SLOW, 1).await,
                1 => produce(&connection, SLOW, -1).await,
                2 => fetch(&connection, SLOW).await,
                _ => list_offsets(&connection, SLOW).await,
            }
        })
        .await;
    others_do_not_wait(&other, &gate, crowd).await;
    everything_is_answered(&other, SLOW).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_an_fsync_stands_still_other_partitions_are_served_and_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let served = Served::start(folder.path(), &gate);
    let other = served.connect().await;
    gate.shut(Shut::Syncs);
    let crowd = served.crowd(|connection, _| async move { produce(&connection, SLOW, -1).await }).await;
    others_do_not_wait(&other, &gate, crowd).await;
}

/// Those who wait for a flush look again at their deadline, while a write holds the partition.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_write_stands_still_those_who_wait_for_a_flush_give_up_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let served = Served::start(folder.path(), &gate);
    let other = served.connect().await;
    gate.shut(Shut::Syncs);
    let late = |connection: Connection, _| async move {
        assert_eq!(produced(&connection, SLOW, -1, 1000).await, ErrorCode::RequestTimedOut.code());
    };
    let mut late = served.crowd(late).await;
    gate.waits(1, PATIENCE);
    // Whoever has not been appended yet is refused no later than the write below ends.
    tokio::time::sleep(Duration::from_millis(100)).await;
    gate.shut(Shut::Both);
    let writer = served.connect().await;
    let mut writing = JoinSet::new();
    writing.spawn(async move { produce(&writer, SLOW, 1).await });
    gate.waits(2, PATIENCE);
    let all_late = async {
        while let Some(ended) = late.join_next().await {
            ended.unwrap()
        }
    };
    tokio::time::timeout(PATIENCE, all_late).await.expect("who gave up waits for a write");
    others_do_not_wait(&other, &gate, writing).await;
}
