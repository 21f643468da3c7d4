use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ottla_keeper::{KeeperSettings, SettingsError};
use ottla_types::{BrokerId, Endpoint, ListenerName};

use super::listeners::Listeners;
use super::{ConfigErrors, Problem, Settings, TopicConfig, split_list, table};

/// Everything a broker reads from its configuration, typed and checked. A value: dynamic configs make a new one.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerConfig {
    /// `broker.id`; `None`: take one from the data folder, else from ZooKeeper, above `reserved_broker_max_id`.
    pub broker_id: Option<BrokerId>,
    /// `reserved.broker.max.id`.
    pub reserved_broker_max_id: i32,
    /// `broker.rack`.
    pub rack: Option<String>,

    /// `listeners`, in their order; an empty host means all interfaces, port 0 any free one.
    pub listeners: Vec<Endpoint>,
    /// `advertised.listeners`; where the file says nothing, `listeners`: an empty host is then this machine's
    /// name, port 0 the bound one, both filled in by whoever has bound the listener.
    pub advertised_listeners: Vec<Endpoint>,
    /// The listener that brokers use among themselves.
    pub inter_broker_listener: ListenerName,

    /// `log.dirs` or `log.dir`: one or more, none twice.
    pub log_dirs: Vec<PathBuf>,
    /// Where ZooKeeper is.
    pub coordination: Coordination,
    /// `zookeeper.session.timeout.ms`.
    pub zookeeper_session_timeout: Duration,
    /// `zookeeper.connection.timeout.ms`.
    pub zookeeper_connection_timeout: Duration,

    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i32,
    /// `auto.create.topics.enable`.
    pub auto_create_topics_enable: bool,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,

    /// `socket.request.max.bytes`.
    pub socket_request_max_bytes: usize,
    /// `socket.send.buffer.bytes`; `None`: the system decides.
    pub socket_send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`; `None`: the system decides.
    pub socket_receive_buffer_bytes: Option<usize>,
    /// `socket.listen.backlog.size`.
    pub socket_listen_backlog: i32,
    /// `num.io.threads`.
    pub io_threads: usize,
    /// `connections.max.idle.ms`; `None`: for ever.
    pub connections_max_idle: Option<Duration>,
    /// `max.connections`.
    pub max_connections: usize,
    /// `max.connections.per.ip`.
    pub max_connections_per_ip: usize,
    /// `max.connections.per.ip.overrides`, by address.
    pub max_connections_per_ip_overrides: BTreeMap<IpAddr, usize>,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: i32,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: usize,

    /// What a topic gets that says nothing else.
    pub topic_defaults: TopicConfig,
    /// `flush.before.ack`.
    pub flush_before_ack: bool,
    /// `full.record.check`.
    pub full_record_check: bool,
    /// `log.retention.check.interval.ms`.
    pub log_retention_check_interval: Duration,
    /// `log.flush.offset.checkpoint.interval.ms`.
    pub recovery_point_checkpoint_interval: Duration,
    /// `log.flush.start.offset.checkpoint.interval.ms`.
    pub log_start_offset_checkpoint_interval: Duration,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub high_watermark_checkpoint_interval: Duration,
    /// `replica.lag.time.max.ms`.
    pub replica_lag_time_max: Duration,
    /// `num.recovery.threads.per.data.dir`.
    pub recovery_threads_per_data_dir: usize,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
    /// `producer.id.expiration.check.interval.ms`.
    pub producer_id_expiration_check_interval: Duration,

    /// `auto.leader.rebalance.enable` and `leader.imbalance.*`; `None`: switched off.
    pub leader_balance: Option<LeaderBalance>,
    /// `metrics.port`, `metrics.host`; `None`: no endpoint.
    pub metrics: Option<MetricsEndpoint>,

    /// What all this was read from; DescribeConfigs answers from it.
    pub settings: Arc<Settings>,
}

/// Where ZooKeeper is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coordination {
    /// No `zookeeper.connect`: the broker runs its own keeper with these settings of `zoo.cfg` (`keeper.*` without the
    /// prefix; `clientPort`, `clientPortAddress`, `dataDir` and `tickTime` are always there).
    Embedded(BTreeMap<String, String>),
    /// `zookeeper.connect`.
    Ensemble {
        /// The servers, `host:port,host:port`.
        servers: String,
        /// The path below which everything lies: empty, or `/` and a path.
        chroot: String,
    },
}

/// When the controller gives leadership back to preferred replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderBalance {
    /// `leader.imbalance.check.interval.seconds`.
    pub check_interval: Duration,
    /// `leader.imbalance.per.broker.percentage`.
    pub per_broker_percentage: i32,
}

/// Where the Prometheus endpoint listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsEndpoint {
    /// `metrics.host`.
    pub host: String,
    /// `metrics.port`.
    pub port: u16,
}

impl BrokerConfig {
    /// Types and checks settings; all problems at once.
    pub fn new(settings: Settings) -> Result<BrokerConfig, ConfigErrors> {
        let mut problems = Vec::new();
        settings.check(&mut problems);
        if !problems.is_empty() {
            return Err(ConfigErrors(problems));
        }
        let listeners = Listeners::new(&settings, &mut problems);
        let read = Reader { settings: &settings };
        read.cross_checks(&mut problems);
        let log_dirs = read.log_dirs(&mut problems);
        let coordination = read.coordination(&mut problems);
        let max_connections_per_ip_overrides = read.address_limits(&mut problems);
        let Some(listeners) = listeners.filter(|_| problems.is_empty()) else {
            return Err(ConfigErrors(problems));
        };
        let session_timeout = read.millis("zookeeper.session.timeout.ms");
        // The default would switch off what the system does better: sizes that adapt to the connection.
        let buffer = |key| read.settings.get(key).is_some().then(|| usize::try_from(read.int(key)).ok()).flatten();
        Ok(BrokerConfig {
            broker_id: (read.int("broker.id") >= 0).then(|| BrokerId(read.int("broker.id"))),
            reserved_broker_max_id: read.int("reserved.broker.max.id"),
            rack: read.text("broker.rack"),
            listeners: listeners.bind,
            advertised_listeners: listeners.advertised,
            inter_broker_listener: listeners.inter_broker,
            log_dirs,
            coordination,
            zookeeper_session_timeout: session_timeout,
            zookeeper_connection_timeout: match read.text("zookeeper.connection.timeout.ms") {
                Some(_) => read.millis("zookeeper.connection.timeout.ms"),
                None => session_timeout,
            },
            num_partitions: read.int("num.partitions"),
            default_replication_factor: read.int("default.replication.factor"),
            auto_create_topics_enable: read.flag("auto.create.topics.enable"),
            delete_topic_enable: read.flag("delete.topic.enable"),
            socket_request_max_bytes: read.size("socket.request.max.bytes"),
            socket_send_buffer_bytes: buffer("socket.send.buffer.bytes"),
            socket_receive_buffer_bytes: buffer("socket.receive.buffer.bytes"),
            socket_listen_backlog: read.int("socket.listen.backlog.size"),
            io_threads: read.size("num.io.threads"),
            connections_max_idle: (read.long("connections.max.idle.ms") >= 0)
                .then(|| read.millis("connections.max.idle.ms")),
            max_connections: read.size("max.connections"),
            max_connections_per_ip: read.size("max.connections.per.ip"),
            max_connections_per_ip_overrides,
            fetch_max_bytes: read.int("fetch.max.bytes"),
            offset_metadata_max_bytes: read.size("offset.metadata.max.bytes"),
            topic_defaults: TopicConfig::defaults(&settings),
            flush_before_ack: read.flag("flush.before.ack"),
            full_record_check: read.flag("full.record.check"),
            log_retention_check_interval: read.millis("log.retention.check.interval.ms"),
            recovery_point_checkpoint_interval: read.millis("log.flush.offset.checkpoint.interval.ms"),
            log_start_offset_checkpoint_interval: read.millis("log.flush.start.offset.checkpoint.interval.ms"),
            high_watermark_checkpoint_interval: read.millis("replica.high.watermark.checkpoint.interval.ms"),
            replica_lag_time_max: read.millis("replica.lag.time.max.ms"),
            recovery_threads_per_data_dir: read.size("num.recovery.threads.per.data.dir"),
            producer_id_expiration_ms: read.long("producer.id.expiration.ms"),
            producer_id_expiration_check_interval: read.millis("producer.id.expiration.check.interval.ms"),
            leader_balance: read.flag("auto.leader.rebalance.enable").then(|| LeaderBalance {
                check_interval: Duration::from_secs(read.long("leader.imbalance.check.interval.seconds").max(1) as u64),
                per_broker_percentage: read.int("leader.imbalance.per.broker.percentage"),
            }),
            metrics: read.text("metrics.port").map(|_| MetricsEndpoint {
                host: read.text("metrics.host").unwrap_or_default(),
                port: read.int("metrics.port") as u16,
            }),
            settings: Arc::new(settings),
        })
    }

    /// A configuration for tests and for brokers inside other programs: without a file, with these keys set.
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Result<BrokerConfig, ConfigErrors> {
        let overrides: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        BrokerConfig::new(Settings::load(None, None, &overrides, &[])?.settings)
    }
}

/// Typed reads of settings whose form was checked.
pub(super) struct Reader<'a> {
    pub(super) settings: &'a Settings,
}

impl Reader<'_> {
    /// The text; an empty one is none.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.settings.text(key).map(str::to_owned).filter(|text| !text.is_empty())
    }

    pub(super) fn long(&self, key: &str) -> i64 {
        self.settings.text(key).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    pub(super) fn int(&self, key: &str) -> i32 {
        self.long(key) as i32
    }

    pub(super) fn double(&self, key: &str) -> f64 {
        self.settings.text(key).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.settings.text(key).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    fn size(&self, key: &str) -> usize {
        self.long(key).max(0) as usize
    }

    fn millis(&self, key: &str) -> Duration {
        Duration::from_millis(self.long(key).max(0) as u64)
    }

    fn cross_checks(&self, problems: &mut Vec<Problem>) {
        let id = self.long("broker.id");
        let most = self.long("reserved.broker.max.id");
        let generated = self.flag("broker.id.generation.enable");
        if id < -1 || generated && id > most {
            problems.push(self.settings.wrong(
                "broker.id",
                &format!("a number from 0 to {most} (reserved.broker.max.id), or -1 for a made one,"),
            ));
        } else if !generated && id < 0 {
            problems.push(self.settings.wrong("broker.id", "with broker.id.generation.enable=false a number from 0"));
        }
        for key in ["log.retention.ms", "log.retention.minutes", "log.retention.hours"] {
            let set = self.text(key).map(|_| self.long(key));
            if set.is_some_and(|n| n == 0 || n < -1) {
                problems.push(self.settings.wrong(key, "-1 (for ever) or a number from 1"));
            }
        }
    }

    fn log_dirs(&self, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
        let key = if self.text("log.dirs").is_some() { "log.dirs" } else { "log.dir" };
        let value = self.text(key).unwrap_or_default();
        let dirs: Vec<PathBuf> = split_list(&value).filter(|dir| !dir.is_empty()).map(PathBuf::from).collect();
        let twice = dirs.iter().enumerate().any(|(at, dir)| dirs[..at].contains(dir));
        if dirs.is_empty() || twice {
            problems.push(self.settings.wrong(key, "folders between commas, at least one, none twice,"));
        }
        dirs
    }

    fn coordination(&self, problems: &mut Vec<Problem>) -> Coordination {
        let key = "zookeeper.connect";
        let Some(text) = self.text(key) else {
            let mut pairs: BTreeMap<String, String> = table::keys()
                .filter_map(|row| Some((row.name.strip_prefix("keeper.")?.into(), row.default?.into())))
                .collect();
            for (key, setting) in self.settings.iter() {
                if let Some(name) = key.strip_prefix("keeper.") {
                    pairs.insert(name.into(), setting.value.clone());
                }
            }
            if let Err(error) = KeeperSettings::from_pairs(&pairs) {
                problems.push(self.keeper_problem(&error));
            }
            return Coordination::Embedded(pairs);
        };
        let (servers, chroot) = match text.find('/') {
            Some(at) => (&text[..at], text[at..].trim_end_matches('/')),
            None => (text.as_str(), ""),
        };
        let server_is_good = |server: &str| match server.rsplit_once(':') {
            Some((host, port)) => !host.is_empty() && port.parse::<SocketPort>().is_ok(),
            None => !server.is_empty(),
        };
        if !servers.split(',').all(|server| server_is_good(server.trim())) || chroot.contains("//") {
            problems.push(self.settings.wrong(key, "host:port,host:port/chroot"));
        }
        let servers: Vec<String> = servers
            .split(',')
            .map(str::trim)
            .map(|server| if server.contains(':') { server.into() } else { format!("{server}:2181") })
            .collect();
        Coordination::Ensemble { servers: servers.join(","), chroot: chroot.into() }
    }

    /// What the keeper says of its settings, with the place where they were made.
    fn keeper_problem(&self, error: &SettingsError) -> Problem {
        let named = |key: &str, why: &str| self.settings.refused(&format!("keeper.{key}"), why);
        match error {
            SettingsError::Value { key, expected, .. } => named(key, expected),
            SettingsError::Ensemble { key } => named(key, &error.to_string()),
            SettingsError::NoDataDir => named("dataDir", &error.to_string()),
        }
    }

    fn address_limits(&self, problems: &mut Vec<Problem>) -> BTreeMap<IpAddr, usize> {
        let key = "max.connections.per.ip.overrides";
        let mut limits = BTreeMap::new();
        for part in split_list(&self.text(key).unwrap_or_default()) {
            let parsed = part.rsplit_once(':').and_then(|(host, limit)| {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let address = host.parse().ok().or_else(|| resolve(host))?;
                Some((address, limit.trim().parse().ok()?))
            });
            match parsed {
                Some((address, limit)) => {
                    limits.insert(address, limit);
                }
                None => problems.push(self.settings.wrong(key, "host:number,host:number with hosts that exist")),
            }
        }
        limits
    }
}

type SocketPort = u16;

/// The address of a host name, as Kafka looks it up when it reads the key.
fn resolve(host: &str) -> Option<IpAddr> {
    std::net::ToSocketAddrs::to_socket_addrs(&(host, 0)).ok()?.next().as_ref().map(SocketAddr::ip)
}
