//! A broker without sockets, and the requests that are counted and timed on it.
//!
//! [`Served`] is what a listener's connections see of a broker: the service, over one partition in a folder of its own. A
//! request goes in as the bytes of a frame and comes out as the parts of a response: all of our code between the sockets.
//! What one request costs does not depend on how many came before.

mod batches;
mod paths;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ottla::broker::MetadataCache;
use ottla::broker::clock::now_ms;
use ottla::broker::current_config::CurrentConfig;
use ottla::broker::dispatch::Dispatch;
use ottla::broker::flusher::Flusher;
use ottla::broker::handlers::{Handlers, Ingredients};
use ottla::broker::partition::{Partition, Settings};
use ottla::broker::partitions::Partitions;
use ottla::broker::topic_configs::TopicConfigs;
use ottla::config::BrokerConfig;
use ottla::metrics::Metrics;
use ottla::net::{Answer, Peer, Records, Response, Service};
use ottla::zk::fake::FakeEnsemble;
use ottla::zk::znodes::Znodes;
use ottla_log::{FileDisk, LogDir};
use ottla_protocol::{LENGTH_LEN, Part};
use ottla_replication::PartitionChange;
use ottla_types::{
    BrokerId, ControllerEpoch, LeaderEpoch, ListenerName, PartitionEpoch, SecurityProtocol, TopicId, TopicName,
    TopicPartition,
};
use tempfile::TempDir;

pub(crate) use paths::PATHS;
use paths::Path;

const BROKER: BrokerId = BrokerId(0);
const TOPIC: &str = "orders";

/// A broker that leads one partition, and the path through it that is looked at.
pub(crate) struct Served {
    path: &'static Path,
    service: Dispatch,
    peer: Peer,
    /// Gone last.
    _folder: TempDir,
}

impl Served {
    /// A broker for one path, with what the path finds in the log. The first requests have been served, so that what is
    /// made once is there, and the first answer was looked at.
    pub(crate) fn new(path: &'static Path) -> Served {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let service = broker(folder.path());
        let listener = ListenerName::new("PLAINTEXT");
        let address = ([127, 0, 0, 1], 50_000).into();
        let peer = Peer { listener, security_protocol: SecurityProtocol::Plaintext, address };
        let served = Served { path, service, peer, _folder: folder };
        for request in path.preparation() {
            served.serve(frame(&request));
        }
        for frame in served.frames(WARM_UP) {
            let answer: Vec<u8> = served.serve(frame).parts.into_iter().flat_map(bytes_of).collect();
            path.check(Bytes::from(answer).slice(LENGTH_LEN..));
        }
        served
    }

    /// As many requests, each in memory of its own, as a connection cuts them out of what it has read.
    pub(crate) fn frames(&self, count: usize) -> Vec<Bytes> {
        (0..count).map(|_| frame(&self.path.request())).collect()
    }

    /// Serves one request.
    pub(crate) fn serve(&self, frame: Bytes) -> Response {
        match self.service.begin(&self.peer, frame) {
            Answer::Now(response) => response,
            _ => panic!("{} was not answered at once", self.path.name),
        }
    }

    /// Serves requests one after the other and forgets the answers. What is counted is what happens in here.
    #[inline(never)]
    pub(crate) fn serve_all(&self, frames: Vec<Bytes>) {
        for frame in frames {
            black_box(self.serve(frame));
        }
    }
}

/// Requests before the first that is looked at.
const WARM_UP: usize = 10;

/// A broker as `Server::build` puts it together, without ZooKeeper and with the controller's word on one partition.
fn broker(folder: &std::path::Path) -> Dispatch {
    let config = Arc::new(CurrentConfig::new(BrokerConfig::from_pairs(&[]).expect("the defaults are a configuration")));
    let znodes: Arc<dyn Znodes> = Arc::new(FakeEnsemble::default().connect());
    let cache = Arc::new(MetadataCache::default());
    let current = config.get();
    let settings = Settings {
        broker_id: BROKER,
        lag_time_max_ms: current.replica_lag_time_max.as_millis() as i64,
        flush_before_ack: current.flush_before_ack,
        full_record_check: current.full_record_check,
    };
    let dir = LogDir::open(Arc::new(FileDisk), folder).expect("a new folder can be a log dir");
    let flusher = Flusher::start().expect("threads can be started");
    let partitions = Arc::new(Partitions::new(vec![dir], cache.clone(), settings, flusher));
    let topic = TopicName::new(TOPIC).expect("a topic may have this name");
    let configs = TopicConfigs::new(znodes.clone(), config.clone());
    configs.learn(&topic, &BTreeMap::new());
    let id = TopicPartition::new(topic.clone(), 0);
    let partition = partitions.create(&id, Some(TopicId([7; 16])), configs.known(&topic)).expect("a log can be made");
    lead(&partition);
    let metrics = Arc::new(Metrics::new());
    let cluster_id = "benchmarkbenchmarkbench".into();
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

/// The controller's word that this broker leads.
fn lead(partition: &Arc<Partition>) {
    let change = PartitionChange {
        topic_id: Some(TopicId([7; 16])),
        controller_epoch: ControllerEpoch(1),
        leader: Some(BROKER),
        leader_epoch: LeaderEpoch(0),
        isr: vec![BROKER],
        partition_epoch: PartitionEpoch(0),
        replicas: vec![BROKER],
    };
    partition.take_role(change, now_ms()).expect("the first role is taken");
}

/// A request's bytes without the length, in memory of their own.
fn frame(request: &[Part]) -> Bytes {
    let mut input = BytesMut::new();
    request.iter().for_each(|part| input.extend_from_slice(part.as_ref()));
    let _length = input.split_to(LENGTH_LEN);
    input.freeze()
}

/// What a part of a response is on the wire.
fn bytes_of(part: Part<Records>) -> Vec<u8> {
    match part {
        Part::Bytes(bytes) | Part::Payload(Records::Converted(bytes)) => bytes.into(),
        Part::Payload(Records::Stored(range)) => range.read().expect("the log can be read"),
    }
}
