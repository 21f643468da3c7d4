//! The seam without a network, for tests: ZooKeeper's tree as a value ([`ottla_tree`]), shared by any number of sessions.
//!
//! Nothing waits and nothing is random: each call is one step of the tree, in the order of the calls, at a time that only
//! [`FakeEnsemble::advance`] moves. What a network does is asked for: answers that get lost with the request done or not
//! done ([`FakeZnodes::plan`]), a connection away for a while ([`FakeZnodes::disconnect`]), an expiry
//! ([`FakeZnodes::expire`]).

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use ottla_jute as jute;
use ottla_tree::{Caller, Outcome, Tree};
use tokio::sync::{broadcast, oneshot};

use super::znodes::{
    CreateMode, MultiError, Op, OpResult, Pending, SessionEvent, Stat, WatchEvent, Watcher, ZkError, Znodes,
};

const SESSION_TIMEOUT_MS: i32 = 18_000;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Done and answered.
    Answered,
    /// Done, but the answer is lost with the connection: [`ZkError::Unknown`].
    DoneUnseen,
    /// The request is lost with the connection: [`ZkError::Unknown`].
    NeverArrived,
}

/// The tree and everybody's watches.
#[derive(Clone, Default)]
pub struct FakeEnsemble {
    state: Arc<Mutex<State>>,
}

struct State {
    tree: Tree,
    now_ms: i64,
    next_session: i64,
    /// By session, path and whether the list of children is watched.
    watchers: BTreeMap<(i64, String, bool), Vec<oneshot::Sender<WatchEvent>>>,
}

impl Default for State {
    fn default() -> State {
        State { tree: Tree::new(), now_ms: 1_700_000_000_000, next_session: 0x100, watchers: BTreeMap::new() }
    }
}

impl FakeEnsemble {
    /// Moves the time.
    pub fn advance(&self, ms: i64) {
        self.lock().now_ms += ms;
    }

    /// A new session.
    pub fn connect(&self) -> FakeZnodes {
        let session_id = self.lock().begin();
        let client = Client { session_id, connected: true, closed: false, fates: VecDeque::new() };
        FakeZnodes { ensemble: self.clone(), client: client.into(), events: broadcast::channel(64).0 }
    }

    /// The tree as it is.
    pub fn tree(&self) -> Tree {
        self.lock().tree.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics inside the fake")
    }
}

impl State {
    fn begin(&mut self) -> i64 {
        self.next_session += 1;
        self.tree.create_session(self.now_ms, self.next_session, SESSION_TIMEOUT_MS);
        self.tree.connect(self.next_session, "127.0.0.1");
        self.next_session
    }

    /// Ends a session; its watchers are told.
    fn end(&mut self, session_id: i64) {
        let outcome = self.tree.expire_session(self.now_ms, session_id);
        self.announce(&outcome);
        self.watchers.retain(|(session, _, _), _| *session != session_id);
    }

    fn announce(&mut self, outcome: &Outcome) {
        for (session, event) in &outcome.events {
            let kind = jute::EventType::from_code(event.event_type).expect("the tree sends events that exist");
            let (seen, data, children) = match kind {
                jute::EventType::NodeCreated => (WatchEvent::Created, true, false),
                jute::EventType::NodeDeleted => (WatchEvent::Deleted, true, true),
                jute::EventType::NodeDataChanged => (WatchEvent::DataChanged, true, false),
                jute::EventType::NodeChildrenChanged => (WatchEvent::ChildrenChanged, false, true),
            };
            for of_children in [false, true] {
                if (of_children && children) || (!of_children && data) {
                    let watchers = self.watchers.remove(&(*session, event.path.clone(), of_children));
                    for watcher in watchers.into_iter().flatten() {
                        // Who asked may have lost interest.
                        let _ = watcher.send(seen);
                    }
                }
            }
        }
    }
}

/// One session with a [`FakeEnsemble`] and, after an expiry, the next one.
pub struct FakeZnodes {
    ensemble: FakeEnsemble,
    client: Mutex<Client>,
    events: broadcast::Sender<SessionEvent>,
}

struct Client {
    session_id: i64,
    connected: bool,
    closed: bool,
    fates: VecDeque<Fate>,
}

impl FakeZnodes {
    /// What becomes of the next calls; those after them are answered. A lost call is followed by `Lost` and `Restored`.
    pub fn plan(&self, fates: &[Fate]) {
        self.client().fates.extend(fates);
    }

    /// The connection goes; calls have unknown outcomes (and are not done).
    pub fn disconnect(&self) {
        self.client().connected = false;
        self.tell(SessionEvent::Lost);
    }

    /// The connection is back in the same session; its watches are there.
    pub fn reconnect(&self) {
        self.client().connected = true;
        self.tell(SessionEvent::Restored);
    }

    /// The session expires and the next one starts.
    pub fn expire(&self) {
        self.tell(SessionEvent::Lost);
        let session_id = {
            let mut client = self.client();
            let mut state = self.ensemble.lock();
            state.end(client.session_id);
            client.session_id = state.begin();
            client.connected = true;
            client.session_id
        };
        self.tell(SessionEvent::Expired);
        self.tell(SessionEvent::Started { session_id });
    }

    fn client(&self) -> MutexGuard<'_, Client> {
        self.client.lock().expect("no test panics inside the fake")
    }

    fn tell(&self, event: SessionEvent) {
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    /// One request, at once.
    fn step(&self, request: jute::Request) -> Result<jute::Response, ZkError> {
        let (session_id, fate) = {
            let mut client = self.client();
            if client.closed {
                return Err(ZkError::Expired);
            }
            if !client.connected {
                return Err(ZkError::Unknown);
            }
            (client.session_id, client.fates.pop_front().unwrap_or(Fate::Answered))
        };
        if fate == Fate::NeverArrived {
            self.flap();
            return Err(ZkError::Unknown);
        }
        let reply = {
            let mut state = self.ensemble.lock();
            let now_ms = state.now_ms;
            let outcome = state.tree.step(now_ms, Caller { session_id, xid: 1 }, &request);
            state.announce(&outcome);
            outcome.reply
        };
        if fate == Fate::DoneUnseen {
            self.flap();
            return Err(ZkError::Unknown);
        }
        match reply {
            None => Err(ZkError::Expired),
            Some(reply) => error(reply.header.err).map_or(Ok(reply.response), Err),
        }
    }

    fn flap(&self) {
        self.tell(SessionEvent::Lost);
        self.tell(SessionEvent::Restored);
    }

    /// A watcher for a read that has set its watch in the tree.
    fn watcher(&self, path: &str, of_children: bool) -> Watcher {
        let (tell, seen) = oneshot::channel();
        let session_id = self.client().session_id;
        let key = (session_id, path.to_owned(), of_children);
        self.ensemble.lock().watchers.entry(key).or_default().push(tell);
        Box::pin(async move { seen.await.unwrap_or(WatchEvent::Lost) })
    }

    fn read_data(&self, path: &str, watch: bool) -> Result<(Vec<u8>, Stat), ZkError> {
        match self.step(jute::Request::GetData(jute::PathWatchRequest { path: path.into(), watch }))? {
            jute::Response::GetData(found) => Ok((found.data.unwrap_or_default().to_vec(), found.stat)),
            other => unexpected(&other),
        }
    }

    fn read_stat(&self, path: &str, watch: bool) -> Result<Option<Stat>, ZkError> {
        match self.step(jute::Request::Exists(jute::PathWatchRequest { path: path.into(), watch })) {
            Ok(jute::Response::Stat(stat)) => Ok(Some(stat)),
            Err(ZkError::NoNode) => Ok(None),
            Err(error) => Err(error),
            Ok(other) => unexpected(&other),
        }
    }

    fn read_children(&self, path: &str, watch: bool) -> Result<Vec<String>, ZkError> {
        match self.step(jute::Request::GetChildren2(jute::PathWatchRequest { path: path.into(), watch }))? {
            jute::Response::GetChildren2(found) => Ok(found.children),
            other => unexpected(&other),
        }
    }

    fn done(&self, request: jute::Request) -> Result<(), ZkError> {
        self.step(request).map(drop)
    }
}

fn unexpected<T>(response: &jute::Response) -> T {
    panic!("the tree answers each request with its own kind of response, not {response:?}")
}

/// What an error code means; none for 0.
fn error(code: i32) -> Option<ZkError> {
    use jute::ErrorCode::*;
    if code == 0 {
        return None;
    }
    Some(match jute::ErrorCode::from_code(code) {
        Some(NoNode) => ZkError::NoNode,
        Some(NodeExists) => ZkError::NodeExists,
        Some(BadVersion) => ZkError::BadVersion,
        Some(NotEmpty) => ZkError::NotEmpty,
        Some(NoAuth) => ZkError::NoAuth,
        _ => ZkError::Refused(code),
    })
}

fn create_request(path: &str, data: &[u8], mode: CreateMode) -> jute::CreateRequest {
    let flags = match mode {
        CreateMode::Persistent => 0,
        CreateMode::Ephemeral => 1,
        CreateMode::PersistentSequential => 2,
    };
    let data = Some(Bytes::copy_from_slice(data));
    jute::CreateRequest { path: path.into(), data, acl: vec![jute::Acl::open()], flags }
}

fn operation(op: &Op) -> jute::Op {
    let versioned = |path: &str, version: Option<i32>| jute::PathVersionRequest {
        path: path.into(),
        version: version.unwrap_or(-1),
    };
    match op {
        Op::Check { path, version } => jute::Op::Check(versioned(path, Some(*version))),
        Op::Create { path, data, mode } => jute::Op::Create2(create_request(path, data, *mode)),
        Op::Set { path, data, version } => jute::Op::SetData(set_request(path, data, *version)),
        Op::Delete { path, version } => jute::Op::Delete(versioned(path, *version)),
    }
}

fn set_request(path: &str, data: &[u8], version: Option<i32>) -> jute::SetDataRequest {
    let data = Some(Bytes::copy_from_slice(data));
    jute::SetDataRequest { path: path.into(), data, version: version.unwrap_or(-1) }
}

impl Znodes for FakeZnodes {
    fn session_id(&self) -> i64 {
        self.client().session_id
    }

    fn session_timeout(&self) -> std::time::Duration {
        std::time::Duration::from_millis(SESSION_TIMEOUT_MS as u64)
    }

    fn session_events(&self) -> broadcast::Receiver<SessionEvent> {
        self.events.subscribe()
    }

    fn create<'a>(&'a self, path: &'a str, data: &'a [u8], mode: CreateMode) -> Pending<'a, (String, Stat)> {
        let created =
            self.step(jute::Request::Create2(create_request(path, data, mode))).map(|response| match response {
                jute::Response::Create2(created) => (created.path, created.stat),
                other => unexpected(&other),
            });
        Box::pin(ready(created))
    }

    fn get<'a>(&'a self, path: &'a str) -> Pending<'a, (Vec<u8>, Stat)> {
        Box::pin(ready(self.read_data(path, false)))
    }

    fn get_and_watch<'a>(&'a self, path: &'a str) -> Pending<'a, (Vec<u8>, Stat, Watcher)> {
        let read = self.read_data(path, true);
        Box::pin(ready(read.map(|(data, stat)| (data, stat, self.watcher(path, false)))))
    }

    fn exists<'a>(&'a self, path: &'a str) -> Pending<'a, Option<Stat>> {
        Box::pin(ready(self.read_stat(path, false)))
    }

    fn exists_and_watch<'a>(&'a self, path: &'a str) -> Pending<'a, (Option<Stat>, Watcher)> {
        let read = self.read_stat(path, true);
        Box::pin(ready(read.map(|stat| (stat, self.watcher(path, false)))))
    }

    fn children<'a>(&'a self, path: &'a str) -> Pending<'a, Vec<String>> {
        Box::pin(ready(self.read_children(path, false)))
    }

    fn children_and_watch<'a>(&'a self, path: &'a str) -> Pending<'a, (Vec<String>, Watcher)> {
        let read = self.read_children(path, true);
        Box::pin(ready(read.map(|children| (children, self.watcher(path, true)))))
    }

    fn set<'a>(&'a self, path: &'a str, data: &'a [u8], version: Option<i32>) -> Pending<'a, Stat> {
        let set = self.step(jute::Request::SetData(set_request(path, data, version))).map(|response| match response {
            jute::Response::Stat(stat) => stat,
            other => unexpected(&other),
        });
        Box::pin(ready(set))
    }

    fn delete<'a>(&'a self, path: &'a str, version: Option<i32>) -> Pending<'a, ()> {
        let request = jute::PathVersionRequest { path: path.into(), version: version.unwrap_or(-1) };
        Box::pin(ready(self.done(jute::Request::Delete(request))))
    }

    fn multi<'a>(
        &'a self,
        ops: Vec<Op>,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<OpResult>, MultiError>> + Send + 'a>> {
        let results = match self.step(jute::Request::Multi(ops.iter().map(operation).collect())) {
            Ok(jute::Response::Multi(results)) => results,
            Ok(other) => unexpected(&other),
            Err(error) => return Box::pin(ready(Err(error.into()))),
        };
        let result = |(index, result)| {
            Ok(match result {
                jute::OpResult::Create2(created) => OpResult::Created(created.path),
                jute::OpResult::Delete => OpResult::Deleted,
                jute::OpResult::SetData(stat) => OpResult::Set(stat),
                jute::OpResult::Check => OpResult::Checked,
                jute::OpResult::Error(0) => OpResult::Checked,
                jute::OpResult::Error(code) => {
                    return Err(MultiError::At { index, source: error(code).unwrap_or(ZkError::Unknown) });
                }
                other => panic!("no such operation was asked for: {other:?}"),
            })
        };
        Box::pin(ready(results.into_iter().enumerate().map(result).collect()))
    }

    fn sync<'a>(&'a self, path: &'a str) -> Pending<'a, ()> {
        Box::pin(ready(self.done(jute::Request::Sync(jute::PathRequest { path: path.into() }))))
    }

    fn close<'a>(&'a self) -> Pending<'a, ()> {
        let mut client = self.client();
        client.closed = true;
        self.ensemble.lock().end(client.session_id);
        Box::pin(ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sessions_share_a_tree_and_watches_fire_once() {
        let ensemble = FakeEnsemble::default();
        let (a, b) = (ensemble.connect(), ensemble.connect());
        let (_, created) = a.exists_and_watch("/n").await.unwrap();
        let (_, listed) = a.children_and_watch("/").await.unwrap();
        let (_, stat) = b.create("/n", b"1", CreateMode::Ephemeral).await.unwrap();
        assert_eq!(stat.ephemeral_owner, b.session_id());
        assert_eq!((created.await, listed.await), (WatchEvent::Created, WatchEvent::ChildrenChanged));
        let (_, _, gone) = a.get_and_watch("/n").await.unwrap();
        b.close().await.unwrap();
        assert_eq!(gone.await, WatchEvent::Deleted);
        assert_eq!(a.get("/n").await, Err(ZkError::NoNode));
        assert_eq!(b.get("/n").await, Err(ZkError::Expired));
    }

    #[tokio::test]
    async fn a_failed_multi_names_the_operation_and_does_nothing() {
        let zk = FakeEnsemble::default().connect();
        let create = |path: &str| Op::Create { path: path.into(), data: vec![], mode: CreateMode::Persistent };
        zk.multi(vec![create("/a")]).await.unwrap();
        let failed = zk.multi(vec![create("/b"), create("/a")]).await;
        assert_eq!(failed, Err(MultiError::At { index: 1, source: ZkError::NodeExists }));
        assert_eq!(zk.exists("/b").await, Ok(None));
    }

    #[tokio::test]
    async fn a_lost_call_may_have_been_done() {
        let zk = FakeEnsemble::default().connect();
        zk.plan(&[Fate::NeverArrived, Fate::DoneUnseen]);
        assert_eq!(zk.create("/a", b"", CreateMode::Persistent).await, Err(ZkError::Unknown));
        assert_eq!(zk.create("/a", b"", CreateMode::Persistent).await, Err(ZkError::Unknown));
        assert_eq!(zk.create("/a", b"", CreateMode::Persistent).await, Err(ZkError::NodeExists));
    }

    #[tokio::test]
    async fn an_expiry_takes_ephemeral_nodes_and_watches() {
        let zk = FakeEnsemble::default().connect();
        let mut events = zk.session_events();
        zk.create("/e", b"", CreateMode::Ephemeral).await.unwrap();
        let (_, _, watcher) = zk.get_and_watch("/e").await.unwrap();
        let before = zk.session_id();
        zk.expire();
        assert_eq!(watcher.await, WatchEvent::Lost);
        assert_eq!(zk.exists("/e").await, Ok(None));
        assert_ne!(zk.session_id(), before);
        assert_eq!(events.recv().await, Ok(SessionEvent::Lost));
        assert_eq!(events.recv().await, Ok(SessionEvent::Expired));
        assert_eq!(events.recv().await, Ok(SessionEvent::Started { session_id: zk.session_id() }));
    }
}
