//! This broker's node below `/brokers/ids`: written at the start, and again after each expiry of the session.
//!
//! The session's id is written into the data folder before the node: a start after a crash finds it there and replaces
//! what its dead self still owns instead of waiting for the old session's end.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ottla_types::{BrokerEpoch, BrokerId};
use tokio::sync::broadcast::error::RecvError;
use tracing::{error, info, warn};
use zk_schema::BrokerRegistration;

use super::fence::Fence;
use crate::zk::store_registration::{self, RegistrationError};
use crate::zk::znodes::{SessionEvent, Znodes};

/// The file in the first log dir that holds the ids of its sessions, in hex, one a line. Kafka ignores it.
const SESSION_FILE: &str = "zookeeper-session";

/// How long to wait before a registration that failed is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Keeps the broker registered.
pub struct Registration {
    znodes: Arc<dyn Znodes>,
    broker_id: BrokerId,
    node: BrokerRegistration,
    fence: Arc<Fence>,
    session_file: PathBuf,
    /// Sessions of this broker that may still own its nodes.
    previous_sessions: Mutex<Vec<i64>>,
}

impl Registration {
    /// Not registered yet; the sessions of previous lives are read from `data_folder`.
    pub fn new(
        znodes: Arc<dyn Znodes>,
        broker_id: BrokerId,
        node: BrokerRegistration,
        fence: Arc<Fence>,
        data_folder: &Path,
    ) -> Registration {
        let session_file = data_folder.join(SESSION_FILE);
        let text = std::fs::read_to_string(&session_file).unwrap_or_default();
        let sessions = text.lines().filter_map(|line| u64::from_str_radix(line.trim(), 16).ok());
        let previous_sessions = Mutex::new(sessions.map(u64::cast_signed).collect());
        Registration { znodes, broker_id, node, fence, session_file, previous_sessions }
    }

    /// Registers for the first time: not with addresses that another broker advertises.
    ///
    /// # Errors
    /// As [`Registration::register`].
    pub async fn begin(&self) -> Result<BrokerEpoch, RegistrationError> {
        store_registration::check_endpoints(&*self.znodes, self.broker_id, &self.node.endpoints).await?;
        self.register().await
    }

    /// Registers in the current session.
    ///
    /// # Errors
    /// Another broker has the id or an address; ZooKeeper refuses.
    pub async fn register(&self) -> Result<BrokerEpoch, RegistrationError> {
        let session = self.znodes.session_id();
        let previous = self.previous_sessions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // The old ones stay until the nodes are known to be ours: a crash on the way must not leave a nameless ghost.
        let mut owners = previous.clone();
        owners.push(session);
        self.remember(&owners);
        let epoch = store_registration::register(&*self.znodes, self.broker_id, &self.node, previous).await?;
        self.remember(&[session]);
        self.fence.set_broker_epoch(epoch);
        *self.previous_sessions.lock().unwrap_or_else(PoisonError::into_inner) = vec![session];
        info!("registered as broker {} with epoch {epoch} in ZooKeeper session 0x{session:x}", self.broker_id);
        Ok(epoch)
    }

    fn remember(&self, sessions: &[i64]) {
        let text: String = sessions.iter().map(|session| format!("{session:x}\n")).collect();
        let new = self.session_file.with_extension("new");
        let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &self.session_file));
        if let Err(e) = written {
            let file = self.session_file.display();
            warn!("{file} cannot be written ({e}): after a crash the next start waits for the end of this session");
        }
    }

    /// Registers again whenever a new session begins, until the task is aborted.
    pub async fn keep(self: Arc<Self>) {
        let mut events = self.znodes.session_events();
        loop {
            match events.recv().await {
                Ok(SessionEvent::Started { .. }) | Err(RecvError::Lagged(_)) => self.register_until_done().await,
                Ok(SessionEvent::Lost | SessionEvent::Restored | SessionEvent::Expired) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn register_until_done(&self) {
        while let Err(e) = self.register().await {
            error!("{e}; tried again in {} ms", RETRY_PAUSE.as_millis());
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}
