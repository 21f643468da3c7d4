//! One ZooKeeper session: connected, away for a while, given back or gone, and then the next one.
//!
//! The client crate reconnects by itself for 7/5 of the session timeout and then says "expired" without having asked anyone.
//! Here that is only a loss: with the old session's id and password we ask again, at most a second apart, until a server takes
//! the session back ([`SessionEvent::Restored`]) or refuses it ([`SessionEvent::Expired`], then a new session starts).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{broadcast, oneshot, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use zookeeper_client::{Client, Error, SessionInfo, SessionState, StateWatcher};

use super::znodes::{SessionEvent, ZkError};

/// First and longest pause between two attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Where to connect and for how long a session outlives its connection.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// `host:port,host:port`.
    pub(super) hosts: String,
    /// `/chroot`, or empty.
    pub(super) chroot: String,
    pub(super) session_timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connected,
    Lost,
    /// Refused by a server, or closed by us.
    Gone,
}

#[derive(Clone)]
struct Status {
    phase: Phase,
    session_id: i64,
    timeout: Duration,
    /// Counts sessions, so that a call begun in one is not sent in the next.
    generation: u64,
    client: Option<Client>,
}

/// A session and, after its expiry, its successors.
pub(super) struct Session {
    status: watch::Receiver<Status>,
    close: std::sync::Mutex<Option<oneshot::Sender<oneshot::Sender<()>>>>,
    watched_bytes: Arc<AtomicUsize>,
}

/// Bytes of watched path, given back when dropped.
pub(super) struct WatchedBytes {
    total: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for WatchedBytes {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Session {
    /// Connects, trying again until the deadline. Must run on the runtime that is to keep the session.
    pub(super) async fn open(
        target: Target,
        deadline: Instant,
        events: broadcast::Sender<SessionEvent>,
    ) -> Result<Session, Error> {
        let client = connect(&target, deadline).await?;
        let first = Status {
            phase: Phase::Connected,
            session_id: client.session_id().0,
            timeout: client.session_timeout(),
            generation: 0,
            client: Some(rooted(&client, &target)),
        };
        let (publish, status) = watch::channel(first);
        let (close, closing) = oneshot::channel();
        tokio::spawn(Keeper { target, publish, events, client }.keep(closing));
        Ok(Session { status, close: Some(close).into(), watched_bytes: Arc::default() })
    }

    /// The id of the current session, or of the last one.
    pub(super) fn id(&self) -> i64 {
        self.status.borrow().session_id
    }

    /// The session timeout that the server granted.
    pub(super) fn timeout(&self) -> Duration {
        self.status.borrow().timeout
    }

    /// Which session this is; the first is 0.
    pub(super) fn generation(&self) -> u64 {
        self.status.borrow().generation
    }

    /// The client of session `generation`, as soon as it is connected. `Expired` once that session is gone.
    pub(super) async fn client(&self, generation: u64) -> Result<Client, ZkError> {
        let mut status = self.status.clone();
        loop {
            {
                let now = status.borrow_and_update();
                if now.generation != generation || now.phase == Phase::Gone {
                    return Err(ZkError::Expired);
                }
                if let (Phase::Connected, Some(client)) = (now.phase, &now.client) {
                    return Ok(client.clone());
                }
            }
            status.changed().await.map_err(|_| ZkError::Expired)?;
        }
    }

    /// Room for another watch, unless all watched paths together would pass `limit`.
    pub(super) fn reserve_watch(&self, bytes: usize, limit: usize) -> Option<WatchedBytes> {
        let total = self.watched_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let reserved = WatchedBytes { total: self.watched_bytes.clone(), bytes };
        (total <= limit).then_some(reserved)
    }

    /// Ends the session and waits until ZooKeeper has said so, or for the session timeout at most.
    pub(super) async fn close(&self) {
        let close = self.close.lock().expect("not poisoned: nothing panics while holding it").take();
        let (done, finished) = oneshot::channel();
        if close.is_some_and(|close| close.send(done).is_ok()) {
            let _ = finished.await;
        }
    }
}

/// The task that keeps a session.
struct Keeper {
    target: Target,
    publish: watch::Sender<Status>,
    events: broadcast::Sender<SessionEvent>,
    /// Un-chrooted.
    client: Client,
}

impl Keeper {
    async fn keep(mut self, mut closing: oneshot::Receiver<oneshot::Sender<()>>) {
        loop {
            let info = self.client.session().clone();
            let mut states = self.client.state_watcher();
            tokio::select! {
                () = self.until_given_up(&mut states) => {}
                done = &mut closing => return self.close(states, done.ok()).await,
            }
            tokio::select! {
                client = self.attach_again(info) => self.client = client,
                done = &mut closing => return self.close(states, done.ok()).await,
            }
        }
    }

    /// Tells of the connection's losses and returns until the crate gives the session up.
    async fn until_given_up(&self, states: &mut StateWatcher) {
        loop {
            match states.changed().await {
                SessionState::Disconnected => self.lost(),
                SessionState::SyncConnected | SessionState::ConnectedReadOnly => {
                    // The watcher holds the newest state only, so that a short loss may not have been seen.
                    self.lost();
                    self.restored(None);
                }
                SessionState::Expired | SessionState::AuthFailed | SessionState::Closed => return self.lost(),
            }
        }
    }

    /// Asks for the old session until a server answers. If it refuses, a new session is begun.
    async fn attach_again(&self, info: SessionInfo) -> Client {
        self.publish.send_modify(|status| status.client = None);
        let mut backoff = BACKOFF.0;
        loop {
            match attach(&self.target, Some(info.clone())).await {
                Ok(client) if client.session_id() == info.id() => {
                    // The new connection begins without the old one's zxid: without this, reads could go back in time.
                    let _ = timeout(self.target.session_timeout, client.sync("/")).await;
                    self.restored(Some(rooted(&client, &self.target)));
                    return client;
                }
                Ok(client) => return self.begin(client),
                Err(Error::SessionExpired) => break,
                Err(error) => tracing::debug!(%error, "ZooKeeper session {} not yet given back", info.id()),
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF.1);
        }
        self.expired();
        loop {
            let attempt = connect(&self.target, Instant::now() + self.target.session_timeout).await;
            match attempt {
                Ok(client) => return self.begin(client),
                Err(error) => tracing::warn!(%error, "no new ZooKeeper session yet, trying on"),
            }
        }
    }

    fn lost(&self) {
        let changed = self.publish.send_if_modified(|status| {
            let connected = status.phase == Phase::Connected;
            if connected {
                status.phase = Phase::Lost;
            }
            connected
        });
        if changed {
            tracing::warn!("connection to ZooKeeper lost; what is known is served, changes wait");
            self.tell(SessionEvent::Lost);
        }
    }

    fn restored(&self, client: Option<Client>) {
        self.publish.send_modify(|status| {
            status.phase = Phase::Connected;
            status.client = client.or(status.client.take());
        });
        tracing::info!("ZooKeeper is back, session 0x{:x} goes on", self.publish.borrow().session_id);
        self.tell(SessionEvent::Restored);
    }

    fn expired(&self) {
        let gone =
            self.publish.send_if_modified(|status| std::mem::replace(&mut status.phase, Phase::Gone) != Phase::Gone);
        if gone {
            tracing::warn!("ZooKeeper session 0x{:x} has expired", self.publish.borrow().session_id);
            self.tell(SessionEvent::Expired);
        }
    }

    /// A new session takes the place of the expired one.
    fn begin(&self, client: Client) -> Client {
        self.expired();
        let session_id = client.session_id().0;
        self.publish.send_modify(|status| {
            *status = Status {
                phase: Phase::Connected,
                session_id,
                timeout: client.session_timeout(),
                generation: status.generation + 1,
                client: Some(rooted(&client, &self.target)),
            };
        });
        self.tell(SessionEvent::Started { session_id });
        client
    }

    /// The last client to be dropped closes the session; calls in flight hold some.
    async fn close(self, mut states: StateWatcher, done: Option<oneshot::Sender<()>>) {
        self.publish.send_modify(|status| {
            status.phase = Phase::Gone;
            status.client = None;
        });
        drop(self.client);
        let ended = async {
            while !states.peek_state().is_terminated() {
                states.changed().await;
            }
        };
        if timeout(self.target.session_timeout, ended).await.is_err() {
            tracing::warn!("ZooKeeper did not confirm the end of the session; it ends with its timeout");
        }
        done.map(|done| done.send(()));
    }

    fn tell(&self, event: SessionEvent) {
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }
}

/// The same session seen from below the chroot. The client crate only refuses texts that are no path, which
/// `Target` has checked.
fn rooted(client: &Client, target: &Target) -> Client {
    match target.chroot.is_empty() {
        true => client.clone(),
        false => client.clone().chroot(target.chroot.as_str()).unwrap_or_else(|client| client),
    }
}

/// A new session, trying until the deadline.
async fn connect(target: &Target, deadline: Instant) -> Result<Client, Error> {
    let mut backoff = BACKOFF.0;
    loop {
        let error = match timeout_at(deadline, attach(target, None)).await {
            Ok(Ok(client)) => return Ok(client),
            Ok(Err(error @ Error::BadArguments(_))) => return Err(error),
            Ok(Err(error)) => error,
            Err(_) => return Err(Error::Timeout),
        };
        if Instant::now() + backoff >= deadline {
            return Err(error);
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF.1);
    }
}

/// One round over the servers.
async fn attach(target: &Target, session: Option<SessionInfo>) -> Result<Client, Error> {
    let mut connector = Client::connector().with_session_timeout(target.session_timeout).with_fail_eagerly();
    if let Some(session) = session {
        connector = connector.with_session(session);
    }
    // Servers that take a connection and then say nothing must not hold up the others.
    timeout(target.session_timeout, connector.connect(&target.hosts)).await.unwrap_or(Err(Error::Timeout))
}
