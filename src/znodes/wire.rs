//! Requests and replies in ZooKeeper's records.

use bytes::Bytes;
use ottla_jute as jute;

use crate::{CreateMode, Failure, Op, Refusal, Reply, Request};

/// What a server is sent.
pub fn encode(request: &Request) -> jute::Request {
    let watched = |path: &str, watch: bool| jute::PathWatchRequest { path: path.into(), watch };
    match request {
        Request::Get { path, watch } => jute::Request::GetData(watched(path, *watch)),
        Request::Exists { path, watch } => jute::Request::Exists(watched(path, *watch)),
        Request::Children { path, watch } => jute::Request::GetChildren2(watched(path, *watch)),
        Request::Sync { path } => jute::Request::Sync(jute::PathRequest { path: path.clone() }),
        Request::Write(ops) => jute::Request::Multi(ops.iter().map(operation).collect()),
    }
}

fn operation(op: &Op) -> jute::Op {
    let path = op.path().to_owned();
    match op {
        Op::Check { version, .. } => jute::Op::Check(jute::PathVersionRequest { path, version: *version }),
        Op::Create { data, mode, .. } => jute::Op::Create2(jute::CreateRequest {
            path,
            data: Some(Bytes::copy_from_slice(data)),
            acl: vec![jute::Acl::open()],
            flags: match mode {
                CreateMode::Persistent => 0,
                CreateMode::Ephemeral => 1,
                CreateMode::PersistentSequential => 2,
            },
        }),
        Op::Set { data, version, .. } => jute::Op::SetData(jute::SetDataRequest {
            path,
            data: Some(Bytes::copy_from_slice(data)),
            version: version.unwrap_or(-1),
        }),
        Op::Delete { version, .. } => {
            jute::Op::Delete(jute::PathVersionRequest { path, version: version.unwrap_or(-1) })
        }
    }
}

/// What a server's answer means: its error code and response.
///
/// # Panics
/// If the response is not of the request's kind, which the tree never answers.
pub fn decode(request: &Request, code: i32, response: jute::Response) -> Result<Reply, Failure> {
    if code == jute::ErrorCode::NoNode.code() && matches!(request, Request::Exists { .. }) {
        return Ok(Reply::Stat(None));
    }
    match response {
        jute::Response::Multi(results) => written(results),
        _ if code != 0 => Err(Failure::Refused { at: 0, why: Refusal::of(code) }),
        jute::Response::GetData(found) => Ok(Reply::Data(found.data.unwrap_or_default().to_vec(), found.stat)),
        jute::Response::Stat(stat) => Ok(Reply::Stat(Some(stat))),
        jute::Response::GetChildren2(found) => Ok(Reply::Children(found.children)),
        jute::Response::Sync(_) => Ok(Reply::Synced),
        other => panic!("a response of another kind than that of {request:?}: {other:?}"),
    }
}

/// A watch that fired: the session, the path, which of its watches.
pub type Fired = (i64, String, Fires);

/// Which watches of a session on a path an event concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fires {
    /// Those on the node.
    Data,
    /// Those on its list of children.
    Children,
    /// Both: the node is gone.
    Both,
}

impl Fires {
    /// Whether the watch on the list of children, or the one on the node, fires.
    pub fn concerns(self, children: bool) -> bool {
        self == Fires::Both || (self == Fires::Children) == children
    }
}

/// What a server's events to sessions mean.
pub fn fired(events: Vec<(i64, jute::WatcherEvent)>) -> Vec<Fired> {
    let each = |(session, event): (i64, jute::WatcherEvent)| {
        let fires = match jute::EventType::from_code(event.event_type) {
            Some(jute::EventType::NodeChildrenChanged) => Fires::Children,
            Some(jute::EventType::NodeDeleted) => Fires::Both,
            _ => Fires::Data,
        };
        (session, event.path, fires)
    };
    events.into_iter().map(each).collect()
}

fn written(results: Vec<jute::OpResult>) -> Result<Reply, Failure> {
    let mut stats = Vec::with_capacity(results.len());
    for (at, result) in results.into_iter().enumerate() {
        stats.push(match result {
            jute::OpResult::Error(code) if code != 0 => return Err(Failure::Refused { at, why: Refusal::of(code) }),
            jute::OpResult::SetData(stat) => Some(stat),
            _ => None,
        });
    }
    Ok(Reply::Written(stats))
}

impl Refusal {
    /// What ZooKeeper's code means.
    pub fn of(code: i32) -> Refusal {
        match jute::ErrorCode::from_code(code) {
            Some(jute::ErrorCode::NoNode) => Refusal::NoNode,
            Some(jute::ErrorCode::NodeExists) => Refusal::NodeExists,
            Some(jute::ErrorCode::BadVersion) => Refusal::BadVersion,
            Some(jute::ErrorCode::NotEmpty) => Refusal::NotEmpty,
            _ => Refusal::Other(code),
        }
    }
}
