//! A broker that is put together: what it serves, and how it stops.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_log::LogDir;
use ottla_types::Endpoint;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info, warn};
use zk_schema::BrokerRegistration;

use super::clock::now_ms;
use super::control::Control;
use super::controller_driver::ControllerDriver;
use super::current_config::CurrentConfig;
use super::dispatch::Dispatch;
use super::fence::Fence;
use super::flusher::Flusher;
use super::handlers::{Handlers, Ingredients};
use super::partitions::Partitions;
use super::registration::Registration;
use super::start::{Identity, StartError};
use super::topic_configs::TopicConfigs;
use super::waiting::Ticket;
use super::{MetadataCache, advertised, config_changes, housekeeping, partition};
use crate::config::BrokerConfig;
use crate::metrics::{self, Metrics};
use crate::net::{Listener, ListenerLimits};
use crate::zk::znodes::Znodes;

/// How long a start waits for the controller's first word before it says that it still waits.
const CONTROLLER_PATIENCE: Duration = Duration::from_secs(10);

/// How long a stop waits for requests that are under way.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// The parts of a broker that serves, or is about to.
pub struct Broker {
    identity: Identity,
    config: Arc<CurrentConfig>,
    znodes: Arc<dyn Znodes>,
    cache: Arc<MetadataCache>,
    partitions: Arc<Partitions>,
    registration: Arc<Registration>,
    fence: Arc<Fence>,
    configs: Arc<TopicConfigs>,
    metrics: Arc<Metrics>,
    log_dirs: Vec<PathBuf>,
    bound: Vec<(Endpoint, SocketAddr)>,
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
        let bound: Vec<(Endpoint, SocketAddr)> = listeners
            .iter()
            .map(|listener| Ok((listener.endpoint().clone(), listener.local_addr()?)))
            .collect::<io::Result<_>>()?;
        let node = BrokerRegistration {
            endpoints: advertised::resolve(&config.advertised_listeners, &bound),
            rack: config.rack.clone(),
            jmx_port: -1,
            timestamp_ms: Some(now_ms()),
            features: Default::default(),
        };
        let fence = Arc::new(Fence::default());
        let log_dirs: Vec<PathBuf> = dirs.iter().map(|dir| dir.path().to_path_buf()).collect();
        let registration = Registration::new(znodes.clone(), identity.broker_id, node, fence.clone(), &log_dirs[0]);

        let config = Arc::new(CurrentConfig::new(config));
        config_changes::read_broker_configs(&*znodes, identity.broker_id, &config).await?;
        let configs = Arc::new(TopicConfigs::new(znodes.clone(), config.clone()));
        let cache = Arc::new(MetadataCache::default());
        let current = config.get();
        let settings = partition::Settings {
            broker_id: identity.broker_id,
            lag_time_max_ms: current.replica_lag_time_max.as_millis() as i64,
            flush_before_ack: current.flush_before_ack,
            full_record_check: current.full_record_check,
        };
        let partitions = Arc::new(Partitions::new(dirs, cache.clone(), settings, Flusher::start()?));
        load(&partitions, &configs, current.recovery_threads_per_data_dir).await?;
        Ok(Broker {
            identity,
            config,
            znodes,
            cache,
            partitions,
            registration: Arc::new(registration),
            fence,
            configs,
            metrics: Arc::new(Metrics::new()),
            log_dirs,
            bound,
        })
    }

    /// Registers, serves until `stop` is done, then closes everything in order.
    ///
    /// # Errors
    /// The registration is refused, or the logs cannot be closed.
    pub async fn serve(
        self,
        listeners: Vec<Listener>,
        zookeeper: &str,
        begun: Instant,
        stop: impl Future<Output = ()>,
    ) -> Result<(), StartError> {
        let current = self.config.get();
        let mut jobs = JoinSet::new();
        if let Some(endpoint) = &current.metrics {
            let endpoint = metrics::Endpoint::bind(endpoint).await?;
            info!("metrics at http://{}/metrics", endpoint.local_addr());
            jobs.spawn(endpoint.serve(self.metrics.clone()));
        }
        // Before the registration: what the controller says first must find its handlers.
        let epoch = self.registration.register().await?;
        jobs.spawn(self.registration.clone().keep());
        let changes = self.config_changes();
        jobs.spawn(changes);
        let controller = self.start_controller();
        let housekeeping = housekeeping::start(&self.partitions, &self.config);

        let (stopping, stopped) = watch::channel(false);
        let dispatch = Arc::new(Dispatch::new(Handlers::new(self.ingredients())));
        let limits = ListenerLimits {
            max_request_bytes: current.socket_request_max_bytes,
            max_idle: current.connections_max_idle.unwrap_or(Duration::MAX),
            max_connections: current.max_connections,
        };
        let mut serving = JoinSet::new();
        for listener in listeners {
            serving.spawn(listener.serve(dispatch.clone(), limits.clone(), stopped.clone()));
        }
        self.wait_for_the_controller().await;
        self.say_what_is_there(zookeeper, begun);
        stop.await;

        info!("stopping");
        drop(housekeeping);
        controller.stop().await;
        stopping.send_replace(true);
        let drained = async { while serving.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_LIMIT, drained).await.is_err() {
            warn!("requests are still under way after {} s: their connections are cut", DRAIN_LIMIT.as_secs());
            serving.shutdown().await;
        }
        drop(jobs);
        let partitions = self.partitions;
        tokio::task::spawn_blocking(move || partitions.close(epoch.0)).await.map_err(io::Error::other)??;
        info!("stopped");
        Ok(())
    }

    fn ingredients(&self) -> Ingredients {
        Ingredients {
            broker_id: self.identity.broker_id,
            cluster_id: self.identity.cluster_id.clone(),
            znodes: self.znodes.clone(),
            config: self.config.clone(),
            cache: self.cache.clone(),
            partitions: self.partitions.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// A broker is useful once the controller has announced it: until then clients are told of no broker at all.
    async fn wait_for_the_controller(&self) {
        let mut ticket = Ticket::new(tokio::time::Instant::now() + CONTROLLER_PATIENCE);
        ticket.enter(self.cache.clone());
        while !self.cache.snapshot().brokers.contains_key(&self.identity.broker_id) {
            if !ticket.woken().await {
                warn!("no controller has spoken in {} s; clients wait until one does", CONTROLLER_PATIENCE.as_secs());
                return;
            }
        }
    }

    fn say_what_is_there(&self, zookeeper: &str, begun: Instant) {
        let Identity { broker_id, cluster_id } = &self.identity;
        println!("Ottla {}, broker {broker_id} of cluster {cluster_id}", env!("CARGO_PKG_VERSION"));
        for (listener, address) in &self.bound {
            println!("  Kafka protocol      {address} ({})", listener.listener);
        }
        let kind = if self.config.get().has_own_keeper() { " (the keeper inside)" } else { "" };
        println!("  ZooKeeper protocol  {zookeeper}{kind}");
        for dir in &self.log_dirs {
            println!("  data                {}", dir.display());
        }
        println!("  started in          {} ms", begun.elapsed().as_millis());
        if let Some((_, address)) = self.bound.first() {
            println!("Try: echo hello | kcat -b {address} -P -t first && kcat -b {address} -C -t first -e");
        }
    }
}

/// Opens every log that is there, with what its topic asks for.
async fn load(partitions: &Arc<Partitions>, configs: &TopicConfigs, threads: usize) -> Result<(), StartError> {
    let mut of_topics = BTreeMap::new();
    for topic in partitions.topics_on_disk()? {
        let config = configs.of_topic(&topic).await;
        of_topics.insert(topic, config);
    }
    let (partitions, none) = (partitions.clone(), configs.merge(&Default::default()));
    let loading = tokio::task::spawn_blocking(move || {
        partitions.load(threads, &|topic| of_topics.get(topic).unwrap_or(&none).clone())
    });
    Ok(loading.await.map_err(io::Error::other)??)
}
