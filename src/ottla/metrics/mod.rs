//! What operators look at first, for Prometheus: `metrics.port` switches the endpoint on, `GET /metrics` answers.
//!
//! Names are those that jmx_exporter makes of Kafka's MBeans by the rules of its example `kafka-2_0_0.yml` (in lower case,
//! `kafka_<domain>_<type>_<name>`), so that a dashboard made for Kafka shows Ottla:
//!
//! | Figure | MBean in Kafka | Rule |
//! |---|---|---|
//! | `kafka_server_brokertopicmetrics_{messagesin,bytesin,bytesout,failedproducerequests}_total` | `kafka.server:type=BrokerTopicMetrics,name=…PerSec[,topic=T]` | per-second counters with 0 and 1 pairs |
//! | `kafka_network_requestmetrics_requests_total{request}` | `kafka.network:type=RequestMetrics,name=RequestsPerSec,request=R,version=V` | the same; there is no label `version` here |
//! | `kafka_network_requestmetrics_totaltimems{request,quantile}`, `…_count` | `kafka.network:type=RequestMetrics,name=TotalTimeMs,request=R` | histograms as summaries |
//! | `kafka_server_replicamanager_{partitioncount,leadercount,underreplicatedpartitions,underminisrpartitioncount}` | `kafka.server:type=ReplicaManager,name=…` | gauges |
//! | `kafka_server_replicamanager_{isrshrinks,isrexpands}_total` | `kafka.server:type=ReplicaManager,name=Isr…PerSec` | per-second counters |
//! | `kafka_controller_kafkacontroller_{activecontrollercount,offlinepartitionscount}` | `kafka.controller:type=KafkaController,name=…` | gauges |
//!
//! As in Kafka a figure that is kept for topics also has one series without a label, for all topics together.

mod endpoint;
mod quantiles;
mod registry;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ottla_protocol::ApiKey;
use ottla_types::TopicName;

pub use endpoint::{Endpoint, EndpointError};
use quantiles::Quantiles;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, n: i64) {
        self.0.store(n, Ordering::Relaxed);
    }

    fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters that each topic has, and all of them together.
#[derive(Debug, Default)]
pub struct TopicCounters {
    messages_in: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
    failed_produce_requests: Counter,
}

/// What is kept for each kind of request.
#[derive(Debug)]
struct RequestCounters {
    requests: Counter,
    total_time: Quantiles,
}

/// The broker's figures. Everybody who does something counts it here; nothing waits.
#[derive(Debug)]
pub struct Metrics {
    all_topics: TopicCounters,
    topics: RwLock<BTreeMap<Arc<str>, Arc<TopicCounters>>>,
    /// By the request's name.
    requests: BTreeMap<&'static str, RequestCounters>,
    /// Partitions that this broker hosts.
    pub partition_count: Gauge,
    /// Partitions that this broker leads.
    pub leader_count: Gauge,
    /// Partitions led here with fewer in-sync replicas than replicas.
    pub under_replicated_partitions: Gauge,
    /// Partitions led here with fewer in-sync replicas than `min.insync.replicas`.
    pub under_min_isr_partition_count: Gauge,
    /// ISRs that this broker, as leader, made smaller.
    pub isr_shrinks: Counter,
    /// ISRs that this broker, as leader, made larger.
    pub isr_expands: Counter,
    /// 1 while this broker is the controller.
    pub active_controller_count: Gauge,
    /// Partitions without a leader, as the controller sees it.
    pub offline_partitions_count: Gauge,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// All at 0.
    pub fn new() -> Metrics {
        let now = Instant::now();
        let counters = || RequestCounters { requests: Counter::default(), total_time: Quantiles::new(now) };
        let served = ApiKey::ALL.iter().filter(|key| ottla_protocol::versions(**key).is_some());
        Metrics {
            all_topics: TopicCounters::default(),
            topics: RwLock::default(),
            requests: served.map(|key| (key.name(), counters())).collect(),
            partition_count: Gauge::default(),
            leader_count: Gauge::default(),
            under_replicated_partitions: Gauge::default(),
            under_min_isr_partition_count: Gauge::default(),
            isr_shrinks: Counter::default(),
            isr_expands: Counter::default(),
            active_controller_count: Gauge::default(),
            offline_partitions_count: Gauge::default(),
        }
    }

    /// Where a topic is counted. While somebody has it the topic's series go on.
    pub fn topic(&self, topic: &TopicName) -> Arc<TopicCounters> {
        let known = self.topics.read().unwrap_or_else(PoisonError::into_inner).get(topic.as_str()).cloned();
        known.unwrap_or_else(|| {
            let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(topics.entry(topic.as_str().into()).or_default())
        })
    }

    /// Records and bytes were appended to a topic for a client.
    pub fn produced(&self, topic: &TopicCounters, records: u64, bytes: usize) {
        for counters in [&self.all_topics, topic] {
            counters.messages_in.add(records);
            counters.bytes_in.add(bytes as u64);
        }
    }

    /// A partition's records in a Produce request were refused.
    pub fn produce_failed(&self, topic: &TopicCounters) {
        for counters in [&self.all_topics, topic] {
            counters.failed_produce_requests.add(1);
        }
    }

    /// Bytes of records were sent to a client.
    pub fn fetched(&self, topic: &TopicCounters, bytes: usize) {
        for counters in [&self.all_topics, topic] {
            counters.bytes_out.add(bytes as u64);
        }
    }

    /// A request came.
    pub fn request(&self, key: ApiKey) {
        if let Some(counters) = self.requests.get(key.name()) {
            counters.requests.add(1);
        }
    }

    /// A request was answered, so long after it came.
    pub fn answered(&self, key: ApiKey, total_time: Duration) {
        if let Some(counters) = self.requests.get(key.name()) {
            counters.total_time.record(total_time, Instant::now());
        }
    }

    /// The topics that this broker still has: the series of all others end.
    pub fn keep_topics(&self, topics: &BTreeSet<TopicName>) {
        let mut known = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        // One that came since `topics` was made is held by its partition.
        known.retain(|name, counters| topics.contains(&**name) || Arc::strong_count(counters) > 1);
    }

    /// A topic was deleted: its series end, and one of the same name counts anew.
    pub fn forget_topic(&self, topic: &TopicName) {
        self.topics.write().unwrap_or_else(PoisonError::into_inner).remove(topic.as_str());
    }
}
