//! A running keeper, as its owner sees it.

use std::{net::SocketAddr, sync::Arc, thread};

use tokio::sync::{mpsc, oneshot};

use crate::{
    error::KeeperError,
    server::{
        commit_loop::CommitLoop,
        listener::{self, Network},
    },
    settings::KeeperSettings,
};

/// A running server. Dropping it stops it too, but without waiting until it has stopped.
#[derive(Debug)]
pub struct Keeper {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    /// None once it was taken.
    outcome: Option<oneshot::Receiver<Result<(), KeeperError>>>,
}

impl Keeper {
    /// Opens the port, takes the folder, restores what it holds and serves. Returns when clients are served; blocks until
    /// then (reading files).
    ///
    /// # Errors
    /// The port is taken; the folder is in use, is something else's, cannot be written, or does not hold what was written.
    pub fn start(mut settings: KeeperSettings) -> Result<Self, KeeperError> {
        // The port first: where it is taken, it is likely by the owner of the folder, and that is the clearer message.
        let listener = listener::bind(settings.listen)?;
        let listen = |source| KeeperError::Listen { address: settings.listen, source };
        let address = listener.local_addr().map_err(listen)?;
        settings.listen = address;
        let settings = Arc::new(settings);
        let commit_loop = CommitLoop::open(settings.clone())?;
        let deadline = commit_loop.deadline();

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(KeeperError::io("start the network thread of", &settings.data_dir))?;
        let (events, queue) = mpsc::channel(settings.outstanding_limit);
        let (stop, stopped) = oneshot::channel();
        let (committed, loop_outcome) = oneshot::channel();
        let (finished, outcome) = oneshot::channel();
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
            spawned.map_err(KeeperError::io("start a thread for", &settings.data_dir))
        };
        spawn(
            "keeper-commit",
            Box::new(move || {
                // The receiver is gone only if the network thread is.
                let _ = committed.send(commit_loop.run(queue));
            }),
        )?;
        let network = Network { listener, events, deadline, outcome: loop_outcome, stop: stopped };
        let network_settings = settings.clone();
        spawn(
            "keeper-net",
            Box::new(move || {
                let outcome = runtime.block_on(network.run(&network_settings));
                if let Err(error) = &outcome {
                    tracing::error!("keeper: {error}");
                }
                drop(runtime);
                // The owner need not wait.
                let _ = finished.send(outcome);
            }),
        )?;
        Ok(Self { address, stop: Some(stop), outcome: Some(outcome) })
    }

    /// Where clients connect.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Until the keeper stops by itself: only a disk that cannot be written to makes it.
    pub async fn stopped(&mut self) -> KeeperError {
        self.outcome().await.err().unwrap_or(KeeperError::Stopped)
    }

    /// Answers what was asked, closes all connections and files, and gives back port and folder. Sessions stay: their
    /// owners may come back to the next keeper on this folder.
    ///
    /// # Errors
    /// The last group could not be written; nobody was told that it was.
    pub async fn shutdown(mut self) -> Result<(), KeeperError> {
        if let Some(stop) = self.stop.take() {
            // It may have stopped by itself.
            let _ = stop.send(());
        }
        self.outcome().await
    }

    async fn outcome(&mut self) -> Result<(), KeeperError> {
        let Some(outcome) = &mut self.outcome else { return Err(KeeperError::Stopped) };
        let outcome = outcome.await.unwrap_or(Err(KeeperError::Stopped));
        self.outcome = None;
        outcome
    }
}
