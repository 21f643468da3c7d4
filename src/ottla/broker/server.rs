//! A broker that is put together: what it serves, and how it stops (Kafka's `KafkaServer`).

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_controller::UncleanElection;
use ottla_log::LogDir;
use ottla_types::Endpoint;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};
use zk_schema::BrokerRegistration;

use super::clock::now_ms;
use super::config_application::{ConfigApplication, connection_limits};
use super::config_changes::ConfigChanges;
use super::control::Control;
use super::controller_driver::{ControllerDriver, ControllerHandle, ControllerSettings, ControllerStatus};
use super::current_config::CurrentConfig;
use super::dispatch::Dispatch;
use super::fence::Fence;
use super::flusher::Flusher;
use super::handlers::leader_and_isr::LeaderAndIsr;
use super::handlers::stop_replica::StopReplica;
use super::handlers::update_metadata::UpdateMetadata;
use super::handlers::{Handlers, Ingredients};
use super::metadata_wait::wait_until_announced;
use super::partitions::Partitions;
use super::registration::Registration;
use super::start::{Identity, StartError};
use super::topic_configs::TopicConfigs;
use super::{MetadataCache, advertised, config_application, housekeeping, partition};
use crate::config::{BrokerConfig, Coordination};
use crate::metrics::{self, Metrics};
use crate::net::{ConnectionQuota, Listener, ListenerLimits};
use crate::zk::znodes::Znodes;

/// How long a start waits for the controller's first word before it says that it still waits.
const CONTROLLER_PATIENCE: Duration = Duration::from_secs(10);

/// How often states are counted for the metrics.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// The most logs of one log dir that are opened at once without being asked for more.
const MOST_OPENING_THREADS: usize = 8;

/// How long a stop waits for requests that are under way.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// The parts of a broker that serves, or is about to.
pub(super) struct Server {
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

impl Server {
    /// Puts a broker together: logs are loaded, nothing is served yet.
    ///
    /// # Errors
    /// A log cannot be opened.
    pub(super) async fn build(
        config: BrokerConfig,
        identity: Identity,
        dirs: Vec<LogDir>,
        znodes: Arc<dyn Znodes>,
        listeners: &[Listener],
    ) -> Result<Server, StartError> {
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
        config_application::read_broker_configs(&*znodes, identity.broker_id, &config).await?;
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
        load(&partitions, &configs, opening_threads(&current)).await?;
        Ok(Server {
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
    pub(super) async fn serve(
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
        let epoch = self.registration.begin().await?;
        jobs.spawn(self.registration.clone().keep());
        let (unclean, unclean_changes) = watch::channel(UncleanElection {
            default: current.topic_defaults.unclean_leader_election_enable,
            ..UncleanElection::default()
        });
        let quota = Arc::new(ConnectionQuota::new(connection_limits(&current)));
        let application = ConfigApplication {
            partitions: self.partitions.clone(),
            topics: self.configs.clone(),
            broker: self.config.clone(),
            quota: quota.clone(),
            unclean,
        };
        let changes = ConfigChanges::new(self.znodes.clone(), self.identity.broker_id, Arc::new(application));
        jobs.spawn(changes.run());
        let controller = self.start_controller(unclean_changes);
        if current.metrics.is_some() {
            jobs.spawn(count(self.metrics.clone(), self.partitions.clone(), controller.status()));
        }
        let housekeeping = housekeeping::start(&self.partitions, &self.config);

        let (stopping, stopped) = watch::channel(false);
        let dispatch = Arc::new(Dispatch::new(Handlers::new(self.ingredients())));
        let limits = ListenerLimits {
            max_request_bytes: current.socket_request_max_bytes,
            max_idle: current.connections_max_idle.unwrap_or(Duration::MAX),
            quota,
            send_buffer_bytes: current.socket_send_buffer_bytes,
            receive_buffer_bytes: current.socket_receive_buffer_bytes,
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

    fn start_controller(&self, unclean: watch::Receiver<UncleanElection>) -> ControllerHandle {
        let config = self.config.get();
        let local = Control {
            leader_and_isr: LeaderAndIsr {
                broker_id: self.identity.broker_id,
                fence: self.fence.clone(),
                partitions: self.partitions.clone(),
                configs: self.configs.clone(),
            },
            stop_replica: StopReplica {
                fence: self.fence.clone(),
                partitions: self.partitions.clone(),
                metrics: self.metrics.clone(),
            },
            update_metadata: UpdateMetadata { fence: self.fence.clone(), cache: self.cache.clone() },
        };
        let balance = config.leader_balance;
        let settings = ControllerSettings {
            core: ottla_controller::Settings {
                delete_topic_enable: config.delete_topic_enable,
                auto_leader_rebalance_enable: balance.is_some(),
                ..balance.map_or_else(Default::default, |balance| ottla_controller::Settings {
                    leader_imbalance_check_interval_ms: balance.check_interval.as_millis() as i64,
                    leader_imbalance_per_broker_percentage: balance.per_broker_percentage.into(),
                    ..Default::default()
                })
            },
            inter_broker_listener: config.inter_broker_listener.clone(),
        };
        let (znodes, broker_id) = (self.znodes.clone(), self.identity.broker_id);
        ControllerDriver::spawn(znodes, broker_id, settings, unclean, Arc::new(local))
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

    /// A broker is useful once the controller has announced it: until then clients are told of no broker, or of no topic.
    async fn wait_for_the_controller(&self) {
        let deadline = tokio::time::Instant::now() + CONTROLLER_PATIENCE;
        let held = self.partitions.topics();
        if !wait_until_announced(&self.cache, self.identity.broker_id, &held, deadline).await {
            warn!("no controller has spoken in {} s; clients wait until one does", CONTROLLER_PATIENCE.as_secs());
        }
    }

    fn say_what_is_there(&self, zookeeper: &str, begun: Instant) {
        let Identity { broker_id, cluster_id } = &self.identity;
        println!("Ottla {}, broker {broker_id} of cluster {cluster_id}", env!("CARGO_PKG_VERSION"));
        for (listener, address) in &self.bound {
            println!("  Kafka protocol      {address} ({})", listener.listener);
        }
        let own = matches!(self.config.get().coordination, Coordination::Embedded(_));
        let kind = if own { " (the keeper inside)" } else { "" };
        println!("  ZooKeeper protocol  {zookeeper}{kind}");
        for dir in &self.log_dirs {
            println!("  data                {}", dir.display());
        }
        println!("  started in          {} ms", begun.elapsed().as_millis());
        if let Some((_, mut address)) = self.bound.first().cloned() {
            // Every interface: this machine's own is one of them.
            if address.ip().is_unspecified() {
                address.set_ip(Ipv4Addr::LOCALHOST.into());
            }
            println!("Try: echo hello | kcat -b {address} -P -t first && kcat -b {address} -C -t first -e");
        }
    }
}

/// Keeps the figures that are states and not events.
async fn count(metrics: Arc<Metrics>, partitions: Arc<Partitions>, controller: watch::Receiver<ControllerStatus>) {
    loop {
        let status = *controller.borrow();
        metrics.active_controller_count.set(status.epoch.is_some().into());
        metrics.offline_partitions_count.set(status.offline_partitions as i64);
        let (mut leaders, mut under_replicated, mut under_min_isr) = (0, 0, 0);
        let all = partitions.all();
        for partition in &all {
            let min_isr = partition.with_log(|log| log.config().min_insync_replicas as usize);
            partition.with_replica(|replica| {
                let Ok(leader) = replica.leader() else { return };
                leaders += 1;
                under_replicated += i64::from(leader.isr().len() < replica.replicas().len());
                under_min_isr += i64::from(leader.isr().len() < min_isr);
            });
        }
        metrics.keep_topics(&partitions.topics());
        metrics.partition_count.set(all.len() as i64);
        metrics.leader_count.set(leaders);
        metrics.under_replicated_partitions.set(under_replicated);
        metrics.under_min_isr_partition_count.set(under_min_isr);
        tokio::time::sleep(COUNT_INTERVAL).await;
    }
}

/// Logs of one log dir that are opened at once. Kafka's default for the key is one, so that a start can take long: unless
/// someone asked for that, it is as many as the machine can use.
fn opening_threads(config: &BrokerConfig) -> usize {
    match config.settings.get("num.recovery.threads.per.data.dir") {
        Some(_) => config.recovery_threads_per_data_dir,
        None => std::thread::available_parallelism().map_or(1, |cores| (2 * cores.get()).min(MOST_OPENING_THREADS)),
    }
}

/// Opens every log that is there, with what its topic asks for.
async fn load(partitions: &Arc<Partitions>, configs: &TopicConfigs, threads: usize) -> Result<(), StartError> {
    let mut of_topics = BTreeMap::new();
    for topic in partitions.topics_on_disk()? {
        let config = configs.of_topic(&topic).await;
        of_topics.insert(topic, config);
    }
    let partitions = partitions.clone();
    let loading = tokio::task::spawn_blocking(move || {
        partitions.load(threads, &|topic| of_topics.get(topic).cloned().unwrap_or_default())
    });
    Ok(loading.await.map_err(io::Error::other)??)
}
