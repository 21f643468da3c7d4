//! The typed configuration.

use std::time::Duration;

use ottla_producer::{Acks, KeyHash};
use ottla_records::Codec;

use crate::config::{ConfigErrors, Problem, split_list};

/// Where a producer learns what the cluster is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From ZooKeeper's watches: `host:port,host:port/chroot` (`zookeeper.connect`).
    ZooKeeper(String),
    /// From brokers' Metadata: `host:port,host:port` (`bootstrap.servers`).
    Bootstrap(String),
}

/// Everything that a producer is told, with the keys and defaults of Kafka 3.9's producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerConfig {
    /// `zookeeper.connect`, or `bootstrap.servers` (`metadata.broker.list`).
    pub source: Source,
    /// `zookeeper.session.timeout.ms`, 6 s.
    pub zookeeper_session_timeout: Duration,
    /// `zookeeper.connection.timeout.ms`, by default the session timeout.
    pub zookeeper_connection_timeout: Duration,
    /// `client.id`, `ottla-producer`.
    pub client_id: String,
    /// `acks` (`request.required.acks`), all.
    pub acks: Acks,
    /// `enable.idempotence`, true; by default false if `acks` is not all.
    pub enable_idempotence: bool,
    /// `compression.type` (`compression.codec`), none.
    pub compression: Codec,
    /// `batch.size`, 16 KiB. A batch that the topic's `max.message.bytes` does not allow is sent in parts, and the topic's next ones are
    /// no larger than half of it.
    pub batch_size: usize,
    /// `linger.ms` (`queue.buffering.max.ms`), 0. While a request is under way, full batches wait as long, at most, for others to go
    /// with them.
    pub linger: Duration,
    /// `buffer.memory`, 32 MiB.
    pub buffer_memory: usize,
    /// `max.block.ms` (`queue.enqueue.timeout.ms`), 60 s: how long `send` waits for room, and for a topic to be known.
    pub max_block: Duration,
    /// `max.request.size`, 1 MiB.
    pub max_request_size: usize,
    /// `max.in.flight.requests.per.connection`, 5.
    pub max_in_flight: usize,
    /// `delivery.timeout.ms`, 120 s.
    pub delivery_timeout: Duration,
    /// `request.timeout.ms`, 30 s.
    pub request_timeout: Duration,
    /// `retries` (`message.send.max.retries`), 2^31-1.
    pub retries: u32,
    /// `retry.backoff.ms`, 100 ms.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`, 1 s.
    pub retry_backoff_max: Duration,
    /// `partitioner.class` and `partitioner.ignore.keys`.
    pub key_hash: KeyHash,
    /// `partitioner.ignore.keys`, false.
    pub ignore_keys: bool,
    /// `allow.auto.create.topics`, true: a topic that does not exist is made by the broker's rule; `false`: `send` refuses at once.
    pub allow_auto_create_topics: bool,
    /// `metadata.max.age.ms` (`topic.metadata.refresh.interval.ms`), 5 min, at least 100 ms: how often Metadata is read again;
    /// only with [`Source::Bootstrap`].
    pub metadata_max_age: Duration,
    /// `metadata.max.idle.ms`, 5 min: a topic that nothing is sent to for so long is no longer watched.
    pub metadata_max_idle: Duration,
    /// `send.buffer.bytes`, 128 KiB; `None`: the system decides.
    pub send_buffer_bytes: Option<usize>,
}

impl ProducerConfig {
    /// The defaults, for a cluster whose ZooKeeper is at `host:port,host:port/chroot`.
    pub fn zookeeper(connect: &str) -> ProducerConfig {
        ProducerConfig::new(Source::ZooKeeper(connect.into()))
    }

    /// The defaults, for a cluster some of whose brokers are at `host:port,host:port`.
    pub fn bootstrap(servers: &str) -> ProducerConfig {
        ProducerConfig::new(Source::Bootstrap(servers.into()))
    }

    pub(super) fn new(source: Source) -> ProducerConfig {
        let defaults = ottla_producer::Settings::default();
        let ms = Duration::from_millis;
        ProducerConfig {
            source,
            zookeeper_session_timeout: ms(6_000),
            zookeeper_connection_timeout: ms(6_000),
            client_id: "ottla-producer".into(),
            acks: defaults.acks,
            enable_idempotence: defaults.idempotent,
            compression: defaults.codec,
            batch_size: defaults.batch_size,
            linger: ms(defaults.linger_ms),
            buffer_memory: defaults.buffer_memory,
            max_block: ms(60_000),
            max_request_size: defaults.max_request_size,
            max_in_flight: defaults.max_in_flight,
            delivery_timeout: ms(defaults.delivery_timeout_ms),
            request_timeout: ms(defaults.request_timeout_ms),
            retries: defaults.retries,
            retry_backoff: ms(defaults.retry_backoff_ms),
            retry_backoff_max: ms(defaults.retry_backoff_max_ms),
            key_hash: defaults.key_hash,
            ignore_keys: defaults.ignore_keys,
            allow_auto_create_topics: true,
            metadata_max_age: ms(300_000),
            metadata_max_idle: ms(300_000),
            send_buffer_bytes: Some(128 << 10),
        }
    }

    pub(super) fn obstacles_to_idempotence(&self) -> Vec<Obstacle> {
        let mut obstacles = Vec::new();
        if self.acks != Acks::All {
            obstacles.push(Obstacle::Acks);
        }
        if self.retries == 0 {
            obstacles.push(Obstacle::Retries);
        }
        if self.max_in_flight > MOST_IN_FLIGHT {
            obstacles.push(Obstacle::InFlight);
        }
        obstacles
    }

    /// What the types do not say.
    pub(crate) fn check(&self) -> Result<(), ConfigErrors> {
        let mut problems = Vec::new();
        if let Source::Bootstrap(servers) = &self.source {
            let is_address = |server: &str| {
                server.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
            };
            if split_list(servers).next().is_none() || !split_list(servers).all(is_address) {
                problems.push(Problem(format!("bootstrap.servers={servers}: host:port,host:port is expected")));
            }
        }
        if self.enable_idempotence {
            for obstacle in self.obstacles_to_idempotence() {
                let text = match obstacle {
                    Obstacle::Acks => format!("acks=all, not acks={}", self.acks as i16),
                    Obstacle::Retries => "retries, not retries=0".into(),
                    Obstacle::InFlight => {
                        format!("max.in.flight.requests.per.connection of 5 at most, not {}", self.max_in_flight)
                    }
                };
                problems.push(Problem(format!(
                    "enable.idempotence=true needs {text}; set it to false, or change the other"
                )));
            }
        }
        if self.delivery_timeout < self.linger.saturating_add(self.request_timeout) {
            problems.push(Problem(format!(
                "delivery.timeout.ms={} is less than linger.ms={} and request.timeout.ms={} together: it can be no less",
                self.delivery_timeout.as_millis(),
                self.linger.as_millis(),
                self.request_timeout.as_millis()
            )));
        }
        if self.buffer_memory < self.batch_size {
            problems.push(Problem(format!(
                "buffer.memory={} is less than batch.size={}: there must be room for one batch at least",
                self.buffer_memory, self.batch_size
            )));
        }
        for (key, value) in [
            ("batch.size", self.batch_size),
            ("max.request.size", self.max_request_size),
            ("max.in.flight.requests.per.connection", self.max_in_flight),
        ] {
            if value == 0 {
                problems.push(Problem(format!("{key}=0: a whole number from 1 is expected")));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(ConfigErrors(problems)) }
    }
}

/// Requests under way whose batches a broker can tell apart.
const MOST_IN_FLIGHT: usize = 5;

/// Why batches cannot be numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    Acks,
    Retries,
    InFlight,
}
