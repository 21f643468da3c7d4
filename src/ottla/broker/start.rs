//! Composition: what a broker is made of, in the order in which it starts and stops.
//!
//! The order of the start is Kafka's, with the sockets first, so that a taken port ends it before anything was touched:
//! bind, log dirs locked, keeper, ZooKeeper, identity, logs loaded, registration, controller, requests. The stop: no
//! more controller, no more requests, logs closed and marked clean, session closed, keeper last.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ottla_keeper::{Keeper, KeeperError, KeeperSettings, SettingsError};
use ottla_log::{FileDisk, LogDir, LogDirError, StorageError};
use ottla_types::BrokerId;
use tracing::{error, warn};

use super::ClusterId;
use super::server::Server;
use crate::config::{BrokerConfig, Coordination};
use crate::metrics;
use crate::net::{BindError, Listener};
use crate::zk::live::{ConnectError, LiveOptions, LiveZnodes};
use crate::zk::store::StoreError;
use crate::zk::store_registration::{self, RegistrationError};
use crate::zk::znodes::Znodes;

/// Why a broker did not start, or did not stop cleanly; each is one line for the user.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The metrics endpoint.
    #[error(transparent)]
    Metrics(#[from] metrics::EndpointError),
    /// A setting of the embedded keeper.
    #[error("keeper.{0}")]
    KeeperSettings(#[from] SettingsError),
    /// The embedded keeper.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// A log dir.
    #[error(transparent)]
    LogDir(#[from] LogDirError),
    /// A log.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// ZooKeeper cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// ZooKeeper refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registration is refused.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// The log dirs know different broker ids.
    #[error(
        "broker.id is not set, and the log dirs disagree about it: {first} in one, {second} in {}; set broker.id",
        path.display()
    )]
    BrokerIds {
        /// One.
        first: BrokerId,
        /// Another.
        second: BrokerId,
        /// Where the other is.
        path: PathBuf,
    },
    /// The system gives no thread or socket.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs a broker until `stop` is done, then stops it.
///
/// # Errors
/// One line for the user; nothing is left running.
pub async fn run(config: BrokerConfig, stop: impl Future<Output = ()>) -> Result<(), StartError> {
    let begun = Instant::now();
    let backlog = config.socket_listen_backlog;
    let bound = config.listeners.iter().map(|endpoint| Listener::bind(endpoint, backlog));
    let listeners = bound.collect::<Result<Vec<_>, _>>()?;
    let dirs = open_log_dirs(&config)?;
    let mut keeper = start_keeper(&config).await?;
    let address = keeper.as_ref().map(Keeper::local_addr);
    let stop = async {
        tokio::select! {
            () = stop => {}
            error = died(&mut keeper) => error!("{error}; the broker stops with its keeper"),
        }
    };
    let outcome = with_keeper(config, listeners, dirs, address, begun, stop).await;
    if let Some(keeper) = keeper {
        keeper.shutdown().await?;
    }
    outcome
}

/// Until the keeper stops by itself, which a disk that cannot be written to makes it do.
async fn died(keeper: &mut Option<Keeper>) -> KeeperError {
    match keeper {
        Some(keeper) => keeper.stopped().await,
        None => std::future::pending().await,
    }
}

async fn start_keeper(config: &BrokerConfig) -> Result<Option<Keeper>, StartError> {
    let Coordination::Embedded(pairs) = &config.coordination else { return Ok(None) };
    let (settings, unknown) = KeeperSettings::from_pairs(pairs)?;
    for key in unknown {
        warn!("keeper.{key}: the keeper knows no such key; it is ignored");
    }
    // Reading its files takes a while.
    let keeper = tokio::task::spawn_blocking(move || Keeper::start(settings)).await.map_err(io::Error::other)??;
    Ok(Some(keeper))
}

async fn with_keeper(
    config: BrokerConfig,
    listeners: Vec<Listener>,
    mut dirs: Vec<LogDir>,
    keeper: Option<SocketAddr>,
    begun: Instant,
    stop: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let connect = match (&config.coordination, keeper) {
        (Coordination::Ensemble { servers, chroot }, _) => format!("{servers}{chroot}"),
        (Coordination::Embedded(_), Some(address)) => address.to_string(),
        (Coordination::Embedded(_), None) => unreachable!("an embedded keeper was started"),
    };
    let znodes = LiveZnodes::connect(LiveOptions {
        session_timeout: config.zookeeper_session_timeout,
        connection_timeout: config.zookeeper_connection_timeout,
        ..LiveOptions::new(&connect)
    });
    let znodes: Arc<dyn Znodes> = Arc::new(znodes.await?);
    let identity = identify(&config, &mut dirs, &*znodes).await?;
    let outcome = async {
        let server = Server::build(config, identity, dirs, znodes.clone(), &listeners).await?;
        server.serve(listeners, &connect, begun, stop).await
    };
    let outcome = outcome.await;
    // Without an answer the nodes go when the session times out.
    if let Err(e) = znodes.close().await {
        warn!("the ZooKeeper session was not closed: {e}");
    }
    outcome
}

fn open_log_dirs(config: &BrokerConfig) -> Result<Vec<LogDir>, StartError> {
    let disk = Arc::new(FileDisk);
    let dirs = config.log_dirs.iter().map(|path| LogDir::open(disk.clone(), path));
    Ok(dirs.collect::<Result<Vec<_>, _>>()?)
}

/// Which broker of which cluster this is.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// The broker.
    pub(super) broker_id: BrokerId,
    /// The cluster.
    pub(super) cluster_id: ClusterId,
}

/// Which broker of which cluster this is: the configuration, the log dirs and ZooKeeper must agree.
async fn identify(config: &BrokerConfig, dirs: &mut [LogDir], znodes: &dyn Znodes) -> Result<Identity, StartError> {
    store_registration::create_parents(znodes).await?;
    let fresh = URL_SAFE_NO_PAD.encode(rand::random::<u128>().to_be_bytes());
    let cluster_id = store_registration::cluster_id_or_create(znodes, &fresh).await?;
    let broker_id = match config.broker_id.map_or_else(|| stored_broker_id(dirs), |id| Ok(Some(id)))? {
        Some(id) => id,
        None => store_registration::generate_broker_id(znodes, config.reserved_broker_max_id).await?,
    };
    for dir in dirs.iter() {
        dir.check_identity(Some(broker_id), Some(&cluster_id))?;
    }
    for dir in dirs {
        dir.write_identity(broker_id, &cluster_id)?;
    }
    Ok(Identity { broker_id, cluster_id: cluster_id.into() })
}

fn stored_broker_id(dirs: &[LogDir]) -> Result<Option<BrokerId>, StartError> {
    let mut found = None;
    for dir in dirs {
        let Some(second) = dir.meta().and_then(|meta| meta.broker_id) else { continue };
        match found {
            Some(first) if first != second => {
                return Err(StartError::BrokerIds { first, second, path: dir.path().to_path_buf() });
            }
            _ => found = Some(second),
        }
    }
    Ok(found)
}
