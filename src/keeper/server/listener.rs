//! Accepting connections, ticking the clock, and stopping: the keeper's network thread.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    error::KeeperError,
    server::{
        connection::{self, Limits},
        deadline::Deadline,
        event::{ConnectionId, Event},
    },
    settings::KeeperSettings,
};

const BACKLOG: i32 = 1024;
/// How long the last answers may take when the keeper stops.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// What is in the sockets when a session's time is over has this part of a tick to be read.
const GRACE_OF_TICK: u32 = 20;

/// Opens the port, at once after another process left it.
pub(crate) fn bind(address: SocketAddr) -> Result<std::net::TcpListener, KeeperError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    bind().map_err(|source| KeeperError::Listen { address, source })
}

/// What the network thread is made of.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) listener: std::net::TcpListener,
    pub(crate) events: mpsc::Sender<Event>,
    /// When the commit loop wants to be told the time.
    pub(crate) deadline: Arc<Deadline>,
    /// The commit loop's last word.
    pub(crate) outcome: oneshot::Receiver<Result<(), KeeperError>>,
    /// The owner's wish to stop; also when the owner is gone.
    pub(crate) stop: oneshot::Receiver<()>,
}

impl Network {
    /// Serves until told to stop or until the commit loop has ended.
    pub(crate) async fn run(self, settings: &KeeperSettings) -> Result<(), KeeperError> {
        let Self { listener, events, deadline, mut outcome, stop } = self;
        let address = settings.listen;
        let listener = TcpListener::from_std(listener).map_err(|source| KeeperError::Listen { address, source })?;
        let limits = Arc::new(Limits { max_buffer: settings.max_buffer, words: settings.four_letter_words.clone() });
        let mut connections = JoinSet::new();
        let ended = tokio::select! {
            outcome = &mut outcome => Some(outcome),
            _ = stop => None,
            () = accept(&listener, settings, &limits, &events, &mut connections) => None,
            () = tick(&events, &deadline, settings.tick_time_ms) => None,
            () = purge(&events, settings.purge_interval_hours) => None,
        };
        drop(listener);
        let outcome = match ended {
            Some(outcome) => outcome,
            None => {
                // The loop may have ended just now; its outcome says so.
                let _ = events.send(Event::Stop).await;
                outcome.await
            }
        };
        drop(events);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        // Who does not read their last answers loses them.
        let _ = timeout(LAST_ANSWERS, all_ended).await;
        outcome.unwrap_or(Err(KeeperError::Stopped))
    }
}

/// Connections by address, to hold each to maxClientCnxns.
#[derive(Debug, Default)]
struct Census(Mutex<BTreeMap<IpAddr, usize>>);

impl Census {
    fn enter(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<Seat> {
        let mut census = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = census.entry(address).or_default();
        if most > 0 && *count >= most {
            return None;
        }
        *count += 1;
        Some(Seat { census: self.clone(), address })
    }
}

/// A connection's place in the census, given back when it ends.
#[derive(Debug)]
struct Seat {
    census: Arc<Census>,
    address: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut census = self.census.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = census.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                census.remove(&self.address);
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    settings: &KeeperSettings,
    limits: &Arc<Limits>,
    events: &mpsc::Sender<Event>,
    connections: &mut JoinSet<()>,
) {
    let census = Arc::new(Census::default());
    for number in 1.. {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // The client was gone already, or the process has no more files: neither ends the keeper.
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    tracing::warn!("keeper: cannot accept a connection: {error}");
                    sleep(Duration::from_millis(100)).await;
                }
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let Some(seat) = census.enter(peer.ip(), settings.max_client_connections) else {
            let most = settings.max_client_connections;
            tracing::warn!("keeper: too many connections from {}: {most} is the most (maxClientCnxns)", peer.ip());
            continue;
        };
        let (limits, events) = (limits.clone(), events.clone());
        connections.spawn(async move {
            connection::serve(stream, ConnectionId(number), &limits, events).await;
            drop(seat);
        });
    }
}

async fn tick(events: &mpsc::Sender<Event>, deadline: &Deadline, tick_time_ms: i32) {
    let grace = Duration::from_millis(tick_time_ms.unsigned_abs().into()) / GRACE_OF_TICK;
    loop {
        // A session ends at the first multiple of the tick after its timeout, or a moment later.
        let at = deadline.passed(grace).await;
        if events.send(Event::Tick { at }).await.is_err() {
            return std::future::pending().await;
        }
    }
}

async fn purge(events: &mpsc::Sender<Event>, hours: u64) {
    while hours > 0 && events.send(Event::Purge).await.is_ok() {
        sleep(Duration::from_secs(hours * 3600)).await;
    }
    std::future::pending().await
}
