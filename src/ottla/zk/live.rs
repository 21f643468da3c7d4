//! The seam over the network: crate `zookeeper-client`, on a thread and a runtime of its own, so that neither a slow disk
//! nor a busy broker costs the session.
//!
//! What is added to the crate, whose queues have no end, whose calls have no deadline and whose errors do not say whether a
//! request was done:
//!
//! - **Calls** wait for one of [`MAX_IN_FLIGHT`] places and, while the connection is lost, for its return in the same session; all
//!   within the call's deadline (the session timeout). A call begun before an expiry is never sent after it: [`ZkError::Expired`].
//! - **Outcomes**: only errors that a server answers are named. Everything else (loss, deadline, a panic of the crate on bad
//!   bytes) is [`ZkError::Unknown`]: read, then decide. A write that ran into its deadline may still be done later. Reads that
//!   were lost are asked again.
//! - **Order**: calls that wait for each other's results are ordered; calls made side by side are not.
//! - **Size**: what the server would answer by closing the connection (over 1 MiB) is refused before it is sent.
//! - **Watches**: the crate cannot set more than 128 KiB of watched paths again after a reconnect and then loses the session. So each
//!   session carries 120 KiB of them; further watches go to further sessions, each read there behind a `sync`. A watcher that
//!   is dropped before it fired is taken back (an operation of 3.5 servers and later).
//!
//! What cannot be prevented from here: a hostile server can make the crate allocate without limit or abort the process (an
//! answer that claims 2^31-1 children). With ZooKeeper itself this does not happen.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, oneshot};
use tokio::time::{Instant, timeout_at};
use zookeeper_client::{
    self as crate_api, Acls, Client, Error, EventType, MultiWriteError, MultiWriteResult, OneshotWatcher,
};

pub use super::connect::{ConnectError, LiveOptions};
use super::connect::{make_sure_of, parse};
use super::session::{Session, Target, WatchedBytes};
use super::znodes::{
    CreateMode, MultiError, Op, OpResult, Pending, SessionEvent, Stat, WatchEvent, Watcher, ZkError, Znodes,
};

/// Calls on their way at once; more wait.
const MAX_IN_FLIGHT: usize = 1000;
/// ZooKeeper's jute.maxbuffer, and what of it a request needs beside path and data (headers, ACL).
const MAX_REQUEST: usize = 0xf_ffff;
const REQUEST_OVERHEAD: usize = 128;
/// Of each operation in a multi.
const OPERATION_OVERHEAD: usize = 64;
/// How often a read whose answer was lost is asked, within its deadline.
const READ_ATTEMPTS: usize = 3;
/// The log target of the crate. What matters of its lines is told by the seam; an operator wants them at `error`.
pub const CLIENT_LOG_TARGET: &str = "zookeeper_client";
/// Session events that a slow receiver may be behind.
const EVENTS: usize = 256;

/// [`Znodes`] over the network. Dropping it ends the session in the background; [`Znodes::close`] waits for it.
pub struct LiveZnodes {
    inner: Arc<Inner>,
    runtime: Handle,
    /// Dropped to stop the runtime.
    _stop: oneshot::Sender<()>,
}

struct Inner {
    target: Target,
    watched_bytes: usize,
    permits: Arc<Semaphore>,
    events: broadcast::Sender<SessionEvent>,
    primary: Session,
    /// Sessions for the watches that the primary has no room for.
    further: tokio::sync::Mutex<Vec<Arc<Session>>>,
}

impl LiveZnodes {
    /// Connects and makes sure of the chroot, or that it is there.
    pub async fn connect(options: LiveOptions) -> Result<LiveZnodes, ConnectError> {
        let target = parse(&options)?;
        let (stop, stopped) = oneshot::channel();
        let (opened, outcome) = oneshot::channel();
        let body = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(opened.send(Err(error.into()))),
            };
            runtime.block_on(async move {
                let handle = Handle::current();
                let inner = match Inner::open(options, target).await {
                    Ok(inner) => Arc::new(inner),
                    Err(error) => return drop(opened.send(Err(error))),
                };
                if opened.send(Ok((inner.clone(), handle))).is_ok() {
                    let _ = stopped.await;
                }
                inner.close().await;
            });
        };
        std::thread::Builder::new().name("zookeeper".into()).spawn(body)?;
        let (inner, runtime) = outcome.await.expect("the thread answers before it ends")?;
        Ok(LiveZnodes { inner, runtime, _stop: stop })
    }

    /// Runs a write on the session's runtime with a client of the session that is current now.
    fn write<T, F>(&self, size: usize, call: impl FnOnce(Client) -> F + Send + 'static) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ZkError>> + Send + 'static,
    {
        if size > MAX_REQUEST {
            return Box::pin(std::future::ready(Err(ZkError::TooLarge(size))));
        }
        let inner = self.inner.clone();
        let generation = inner.primary.generation();
        let deadline = Instant::now() + inner.target.session_timeout;
        self.within(deadline, async move {
            let permit = inner.permit().await?;
            let client = inner.primary.client(generation).await?;
            run(permit, call(client)).await
        })
    }

    /// The same for a read: one whose answer was lost is asked again.
    fn read<T, F>(&self, path: &str, call: impl Fn(Client, String) -> F + Send + 'static) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ZkError>> + Send + 'static,
    {
        let inner = self.inner.clone();
        let path = path.to_owned();
        let generation = inner.primary.generation();
        let deadline = Instant::now() + inner.target.session_timeout;
        self.within(deadline, async move {
            let mut outcome = Err(ZkError::Unknown);
            for _ in 0..READ_ATTEMPTS {
                let permit = inner.permit().await?;
                let client = inner.primary.client(generation).await?;
                outcome = run(permit, call(client, path.clone())).await;
                if !matches!(outcome, Err(ZkError::Unknown)) {
                    break;
                }
            }
            outcome
        })
    }

    /// The same for a read that sets a watch, in a session that has room for it.
    fn watch<T, F>(&self, path: &str, call: impl Fn(Client, String) -> F + Send + 'static) -> Pending<'_, (T, Watcher)>
    where
        T: Send + 'static,
        F: Future<Output = Result<(T, OneshotWatcher), ZkError>> + Send + 'static,
    {
        let inner = self.inner.clone();
        let path = path.to_owned();
        let bytes = path.len() + inner.target.chroot.len();
        let generation = inner.primary.generation();
        let deadline = Instant::now() + inner.target.session_timeout;
        self.within(deadline, async move {
            let mut outcome = Err(ZkError::Unknown);
            for _ in 0..READ_ATTEMPTS {
                let permit = inner.permit().await?;
                let (client, room) = match inner.primary.reserve_watch(bytes, inner.watched_bytes) {
                    Some(room) => (inner.primary.client(generation).await?, room),
                    None => inner.further_session(bytes, deadline).await?,
                };
                let read = run(permit, call(client, path.clone())).await;
                outcome = read.map(|(value, watcher)| (value, forward(watcher, room)));
                if !matches!(outcome, Err(ZkError::Unknown)) {
                    break;
                }
            }
            outcome
        })
    }

    fn within<T: Send + 'static>(
        &self,
        deadline: Instant,
        call: impl Future<Output = Result<T, ZkError>> + Send + 'static,
    ) -> Pending<'_, T> {
        let call = self.runtime.spawn(async move { timeout_at(deadline, call).await.unwrap_or(Err(ZkError::Unknown)) });
        // The task only fails when the runtime is gone.
        Box::pin(async move { call.await.unwrap_or(Err(ZkError::Expired)) })
    }
}

/// Awaits a call in a task of its own: it keeps its place until the crate has answered, even if nobody waits any more, and
/// a panic of the crate is no more than an unknown outcome.
async fn run<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    call: impl Future<Output = Result<T, ZkError>> + Send + 'static,
) -> Result<T, ZkError> {
    let call = async move {
        let _permit = permit;
        call.await
    };
    tokio::spawn(call).await.unwrap_or(Err(ZkError::Unknown))
}

impl Inner {
    async fn open(options: LiveOptions, target: Target) -> Result<Inner, ConnectError> {
        let unreachable = |error: Error| ConnectError::Unreachable {
            hosts: target.hosts.clone(),
            waited: options.connection_timeout,
            reason: error.to_string(),
        };
        let deadline = Instant::now() + options.connection_timeout;
        let (events, _) = broadcast::channel(EVENTS);
        let rootless = Target { chroot: String::new(), ..target.clone() };
        if !target.chroot.is_empty() {
            let session = Session::open(rootless, deadline, events.clone()).await.map_err(unreachable)?;
            let reason =
                |error: ZkError| ConnectError::Chroot { chroot: target.chroot.clone(), reason: error.to_string() };
            let client = session.client(session.generation()).await.map_err(reason)?;
            let there = match options.create_chroot {
                true => make_sure_of(&client, &target.chroot).await.map(|()| true),
                false => client.check_stat(&target.chroot).await.map(|stat| stat.is_some()).map_err(outcome),
            };
            drop(client);
            session.close().await;
            if !there.map_err(reason)? {
                return Err(ConnectError::NoChroot { connect: options.connect, chroot: target.chroot });
            }
        }
        let primary = Session::open(target.clone(), deadline, events.clone()).await.map_err(unreachable)?;
        Ok(Inner {
            target,
            watched_bytes: options.watched_bytes,
            permits: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
            events,
            primary,
            further: Default::default(),
        })
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, ZkError> {
        self.permits.clone().acquire_owned().await.map_err(|_| ZkError::Expired)
    }

    /// A connected session, other than the primary, with room for a watch. Its server may be behind the primary's, hence the
    /// `sync`.
    async fn further_session(&self, bytes: usize, deadline: Instant) -> Result<(Client, WatchedBytes), ZkError> {
        let (session, room) = {
            let mut further = self.further.lock().await;
            let found = further
                .iter()
                .find_map(|session| Some((session.clone(), session.reserve_watch(bytes, self.watched_bytes)?)));
            match found {
                Some(found) => found,
                None => {
                    let (unheard, _) = broadcast::channel(1);
                    let session = Session::open(self.target.clone(), deadline, unheard).await.map_err(outcome)?;
                    let session = Arc::new(session);
                    further.push(session.clone());
                    // A single path beyond the limit still gets a session of its own.
                    let room = session.reserve_watch(bytes, usize::MAX).ok_or(ZkError::TooLarge(bytes))?;
                    (session, room)
                }
            }
        };
        let client = session.client(session.generation()).await?;
        client.sync("/").await.map_err(outcome)?;
        Ok((client, room))
    }

    async fn close(&self) {
        self.permits.close();
        self.primary.close().await;
        for session in self.further.lock().await.drain(..) {
            session.close().await;
        }
    }
}

/// Hands on what the watcher sees. The crate's watcher must be awaited on the session's runtime; dropping the receiver
/// takes the watch back.
fn forward(watcher: OneshotWatcher, room: WatchedBytes) -> Watcher {
    let (mut tell, seen) = oneshot::channel();
    tokio::spawn(async move {
        let _room = room;
        let event = tokio::select! {
            event = watcher.changed() => event,
            () = tell.closed() => return,
        };
        let _ = tell.send(match event.event_type {
            EventType::NodeCreated => WatchEvent::Created,
            EventType::NodeDeleted => WatchEvent::Deleted,
            EventType::NodeDataChanged => WatchEvent::DataChanged,
            EventType::NodeChildrenChanged => WatchEvent::ChildrenChanged,
            _ => WatchEvent::Lost,
        });
    });
    Box::pin(async move { seen.await.unwrap_or(WatchEvent::Lost) })
}

/// What an error of the crate says about the outcome. Only errors that a server answers for the request itself are certain;
/// the crate gives every request in flight a copy of whatever error ended the connection.
pub(super) fn outcome(error: Error) -> ZkError {
    match error {
        Error::NoNode => ZkError::NoNode,
        Error::NodeExists => ZkError::NodeExists,
        Error::BadVersion => ZkError::BadVersion,
        Error::NotEmpty => ZkError::NotEmpty,
        Error::NoAuth => ZkError::NoAuth,
        Error::MarshallingError => ZkError::Refused(-5),
        Error::Unimplemented => ZkError::Refused(-6),
        Error::BadArguments(_) => ZkError::Refused(-8),
        Error::NoChildrenForEphemerals => ZkError::Refused(-108),
        Error::InvalidAcl => ZkError::Refused(-114),
        Error::NotReadOnly => ZkError::Refused(-119),
        Error::QuotaExceeded => ZkError::Refused(-125),
        Error::Throttled => ZkError::Refused(-127),
        Error::UnexpectedErrorCode(code) => ZkError::Refused(code),
        _ => ZkError::Unknown,
    }
}

fn stat(stat: crate_api::Stat) -> Stat {
    Stat {
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        ctime: stat.ctime,
        mtime: stat.mtime,
        version: stat.version,
        cversion: stat.cversion,
        aversion: stat.aversion,
        ephemeral_owner: stat.ephemeral_owner,
        data_length: stat.data_length,
        num_children: stat.num_children,
        pzxid: stat.pzxid,
    }
}

fn create_options(mode: CreateMode) -> crate_api::CreateOptions<'static> {
    let mode = match mode {
        CreateMode::Persistent => crate_api::CreateMode::Persistent,
        CreateMode::PersistentSequential => crate_api::CreateMode::PersistentSequential,
        CreateMode::Ephemeral => crate_api::CreateMode::Ephemeral,
    };
    mode.with_acls(Acls::anyone_all())
}

async fn commit(client: Client, ops: Vec<Op>) -> Result<Vec<OpResult>, MultiError> {
    let mut writer = client.new_multi_writer();
    for (index, op) in ops.iter().enumerate() {
        let added = match op {
            Op::Check { path, version } => writer.add_check_version(path, *version),
            Op::Create { path, data, mode } => writer.add_create(path, data, &create_options(*mode)),
            Op::Set { path, data, version } => writer.add_set_data(path, data, *version),
            Op::Delete { path, version } => writer.add_delete(path, *version),
        };
        added.map_err(|error| MultiError::At { index, source: outcome(error) })?;
    }
    let result = |result| match result {
        MultiWriteResult::Check => OpResult::Checked,
        MultiWriteResult::Create { path, .. } => OpResult::Created(path),
        MultiWriteResult::SetData { stat: s } => OpResult::Set(stat(s)),
        MultiWriteResult::Delete => OpResult::Deleted,
        _ => OpResult::Checked,
    };
    match writer.commit().await {
        Ok(results) => Ok(results.into_iter().map(result).collect()),
        Err(MultiWriteError::OperationFailed { index, source }) => {
            Err(MultiError::At { index, source: outcome(source) })
        }
        Err(MultiWriteError::RequestFailed { source }) => Err(MultiError::Whole(outcome(source))),
    }
}

impl Znodes for LiveZnodes {
    fn session_id(&self) -> i64 {
        self.inner.primary.id()
    }

    fn session_timeout(&self) -> std::time::Duration {
        self.inner.primary.timeout()
    }

    fn session_events(&self) -> broadcast::Receiver<SessionEvent> {
        self.inner.events.subscribe()
    }

    fn create<'a>(&'a self, path: &'a str, data: &'a [u8], mode: CreateMode) -> Pending<'a, (String, Stat)> {
        let (size, path, data) = (self.size(path, data.len()), path.to_owned(), data.to_owned());
        self.write(size, move |client| async move {
            let (s, sequence) = client.create(&path, &data, &create_options(mode)).await.map_err(outcome)?;
            let path = match mode {
                CreateMode::PersistentSequential => format!("{path}{:010}", sequence.into_i64()),
                CreateMode::Persistent | CreateMode::Ephemeral => path,
            };
            Ok((path, stat(s)))
        })
    }

    fn get<'a>(&'a self, path: &'a str) -> Pending<'a, (Vec<u8>, Stat)> {
        self.read(path, |client, path| async move {
            let (data, s) = client.get_data(&path).await.map_err(outcome)?;
            Ok((data, stat(s)))
        })
    }

    fn get_and_watch<'a>(&'a self, path: &'a str) -> Pending<'a, (Vec<u8>, Stat, Watcher)> {
        let read = self.watch(path, |client, path| async move {
            let (data, s, watcher) = client.get_and_watch_data(&path).await.map_err(outcome)?;
            Ok(((data, stat(s)), watcher))
        });
        Box::pin(async move { read.await.map(|((data, stat), watcher)| (data, stat, watcher)) })
    }

    fn exists<'a>(&'a self, path: &'a str) -> Pending<'a, Option<Stat>> {
        self.read(path, |client, path| async move { Ok(client.check_stat(&path).await.map_err(outcome)?.map(stat)) })
    }

    fn exists_and_watch<'a>(&'a self, path: &'a str) -> Pending<'a, (Option<Stat>, Watcher)> {
        self.watch(path, |client, path| async move {
            let (s, watcher) = client.check_and_watch_stat(&path).await.map_err(outcome)?;
            Ok((s.map(stat), watcher))
        })
    }

    fn children<'a>(&'a self, path: &'a str) -> Pending<'a, Vec<String>> {
        self.read(path, |client, path| async move { client.list_children(&path).await.map_err(outcome) })
    }

    fn children_and_watch<'a>(&'a self, path: &'a str) -> Pending<'a, (Vec<String>, Watcher)> {
        self.watch(path, |client, path| async move { client.list_and_watch_children(&path).await.map_err(outcome) })
    }

    fn set<'a>(&'a self, path: &'a str, data: &'a [u8], version: Option<i32>) -> Pending<'a, Stat> {
        let (size, path, data) = (self.size(path, data.len()), path.to_owned(), data.to_owned());
        self.write(size, move |client| async move {
            client.set_data(&path, &data, version).await.map(stat).map_err(outcome)
        })
    }

    fn delete<'a>(&'a self, path: &'a str, version: Option<i32>) -> Pending<'a, ()> {
        let (size, path) = (self.size(path, 0), path.to_owned());
        self.write(size, move |client| async move { client.delete(&path, version).await.map_err(outcome) })
    }

    fn multi<'a>(
        &'a self,
        ops: Vec<Op>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Vec<OpResult>, MultiError>> + Send + 'a>> {
        let bytes = |op: &Op| match op {
            Op::Check { path, .. } | Op::Delete { path, .. } => path.len(),
            Op::Create { path, data, .. } | Op::Set { path, data, .. } => path.len() + data.len(),
        };
        let each = OPERATION_OVERHEAD + self.inner.target.chroot.len();
        let size = ops.iter().map(|op| bytes(op) + each).sum::<usize>();
        let call = self.write(size + REQUEST_OVERHEAD, move |client| async move { Ok(commit(client, ops).await) });
        Box::pin(async move { call.await? })
    }

    fn sync<'a>(&'a self, path: &'a str) -> Pending<'a, ()> {
        self.read(path, |client, path| async move { client.sync(&path).await.map_err(outcome) })
    }

    fn close<'a>(&'a self) -> Pending<'a, ()> {
        let inner = self.inner.clone();
        let close = self.runtime.spawn(async move { inner.close().await });
        Box::pin(async move { close.await.map_err(|_| ZkError::Unknown) })
    }
}

impl LiveZnodes {
    /// Bytes of a request with this path and data.
    fn size(&self, path: &str, data: usize) -> usize {
        self.inner.target.chroot.len() + path.len() + data + REQUEST_OVERHEAD
    }
}
