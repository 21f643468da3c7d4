//! A broker that is put together: what it serves, and how it stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_log::LogDir;
use ottla_types::{BrokerId, Endpoint};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info, warn};
use zk_schema::BrokerRegistration;

use super::advertised;
use super::clock::now_ms;
use super::config_changes::{self, ConfigListener};
use super::controller_driver::ControllerDriver;
use super::current_config::CurrentConfig;
use super::dispatch::Dispatch;
use super::fence::Fence;
use super::flusher::Flusher;
use super::handlers::Handlers;
use super::partition;
use super::partitions::Partitions;
use super::registration::Registration;
use super::start::{Identity, StartError};
use super::topic_configs::TopicConfigs;
use super::waiting::Ticket;
use super::{MetadataCache, housekeeping};
use crate::config::BrokerConfig;
use crate::metrics::Metrics;
use crate::net::{Listener, ListenerLimits};
use crate::zk::znodes::Znodes;

/// How long a start waits for the controller's first word before it says that it still waits.
const CONTROLLER_PATIENCE: Duration = Duration::from_secs(10);

/// How long a stop waits for requests that are under way.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// The parts of a running broker.
pub struct Broker {
    identity: Identity,
    config: Arc<CurrentConfig>,
    partitions: Arc<Partitions>,
    cache: Arc<MetadataCache>,
    registration: Arc<Registration>,
    fence: Arc<Fence>,
    configs: Arc<TopicConfigs>,
    metrics: Arc<Metrics>,
    handlers: Handlers,
    znodes: Arc<dyn Znodes>,
}

impl Broker {
    /// Puts a broker together: logs are loaded, nothing is served yet.
    ///
    /// # Errors
    /// A log cannot be opened.
    pub async fn build(
        config: BrokerConfig,
        identity: Identity,
        dirs: Vec<LogDir>,
        znodes: Arc<dyn Znodes>,
        listeners: &[Listener],
    ) -> Result<Broker, StartError> {
        let Identity { broker_id, cluster_id } = identity.clone();
        let bound: Vec<(Endpoint, SocketAddr)> = listeners
            .iter()
            .map(|listener| Ok((listener.endpoint().clone(), listener.local_addr()?)))
            .collect::<std::io::Result<_>>()?;
        let node = BrokerRegistration {
            endpoints: advertised::resolve(&config.advertised_listeners, &bound),
            rack: config.rack.clone(),
            jmx_port: -1,
            timestamp_ms: Some(now_ms()),
            features: Default::default(),
        };
        let fence = Arc::new(Fence::default());
        let data_folder = dirs[0].path().to_path_buf();
        let registration = Registration::new(znodes.clone(), broker_id, node, fence.clone(), &data_folder);

        let config = Arc::new(CurrentConfig::new(config));
        config_changes::read_broker_configs(&*znodes, broker_id, &config).await?;
        let configs = Arc::new(TopicConfigs::new(znodes.clone(), config.clone()));
        let cache = Arc::new(MetadataCache::default());
        let current = config.get();
        let settings = partition::Settings {
            broker_id,
            lag_time_max_ms: current.replica_lag_time_max.as_millis() as i64,
            flush_before_ack: current.flush_before_ack,
            full_record_check: current.full_record_check,
        };
        let partitions = Arc::new(Partitions::new(dirs, cache.clone(), settings, Flusher::start()?));
        load(&partitions, &configs, current.recovery_threads_per_data_dir).await?;

        let metrics = Arc::new(Metrics::new());
        let handlers = Handlers::new(
            broker_id,
            cluster_id,
            Shared {
                znodes: znodes.clone(),
                config: config.clone(),
                cache: cache.clone(),
                partitions: partitions.clone(),
                metrics: metrics.clone(),
            },
        );
        let registration = Arc::new(registration);
        Ok(Broker { identity, config, partitions, cache, registration, fence, configs, metrics, handlers, znodes })
    }
}

/// Opens every log that is there, with what its topic asks for.
async fn load(partitions: &Arc<Partitions>, configs: &TopicConfigs, threads: usize) -> Result<(), StartError> {
    let mut of_topics = std::collections::BTreeMap::new();
    for topic in partitions.topics_on_disk()? {
        let config = configs.of_topic(&topic).await;
        of_topics.insert(topic, config);
    }
    let (partitions, none) = (partitions.clone(), configs.merge(&Default::default()));
    let loading = tokio::task::spawn_blocking(move || {
        partitions.load(threads, &|topic| of_topics.get(topic).unwrap_or(&none).clone())
    });
    Ok(loading.await.map_err(std::io::Error::other)??)
}
