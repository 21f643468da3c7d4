//! Carries out what a pure core asks of ZooKeeper.

use ottla_znodes::{Failure, Op, Refusal, Reply, Request};

use super::znodes::{MultiError, OpResult, Watcher, ZkError, Znodes};

/// How a request went, and what watches from here on.
pub(crate) struct Answer {
    pub(crate) outcome: Result<Reply, Failure>,
    /// Path, whether the children are watched, the watch.
    pub(crate) watcher: Option<(String, bool, Watcher)>,
}

/// Sends a request and waits for its answer.
pub(crate) async fn carry_out(zk: &dyn Znodes, request: Request) -> Answer {
    let mut watches = None;
    let outcome = match request {
        Request::Get { path, watch: false } => zk.get(&path).await.map(|(data, stat)| Reply::Data(data, stat)),
        Request::Get { path, watch: true } => zk.get_and_watch(&path).await.map(|(data, stat, watcher)| {
            watches = Some((path.clone(), false, watcher));
            Reply::Data(data, stat)
        }),
        Request::Exists { path, watch: false } => zk.exists(&path).await.map(Reply::Stat),
        Request::Exists { path, watch: true } => zk.exists_and_watch(&path).await.map(|(stat, watcher)| {
            watches = Some((path.clone(), false, watcher));
            Reply::Stat(stat)
        }),
        Request::Children { path, watch: false } => zk.children(&path).await.map(Reply::Children),
        Request::Children { path, watch: true } => zk.children_and_watch(&path).await.map(|(names, watcher)| {
            watches = Some((path.clone(), true, watcher));
            Reply::Children(names)
        }),
        Request::Sync { path } => zk.sync(&path).await.map(|()| Reply::Synced),
        Request::Write(ops) => return Answer { outcome: write(zk, ops).await, watcher: None },
    };
    Answer { outcome: outcome.map_err(|error| failure(0, error)), watcher: watches }
}

async fn write(zk: &dyn Znodes, ops: Vec<Op>) -> Result<Reply, Failure> {
    let results = zk.multi(ops).await.map_err(|error| match error {
        MultiError::At { index, source } => failure(index, source),
        MultiError::Whole(source) => failure(0, source),
    })?;
    let stat = |result| match result {
        OpResult::Set(stat) => Some(stat),
        OpResult::Checked | OpResult::Created(_) | OpResult::Deleted => None,
    };
    Ok(Reply::Written(results.into_iter().map(stat).collect()))
}

/// ZooKeeper's codes for what has no name in the core.
const NO_AUTH: i32 = -102;
const BAD_ARGUMENTS: i32 = -8;

fn failure(at: usize, error: ZkError) -> Failure {
    let why = match error {
        ZkError::Unknown => return Failure::Unknown,
        ZkError::Expired => return Failure::Expired,
        ZkError::NoNode => Refusal::NoNode,
        ZkError::NodeExists => Refusal::NodeExists,
        ZkError::BadVersion => Refusal::BadVersion,
        ZkError::NotEmpty => Refusal::NotEmpty,
        ZkError::NoAuth => Refusal::Other(NO_AUTH),
        ZkError::TooLarge(_) => Refusal::Other(BAD_ARGUMENTS),
        ZkError::Refused(code) => Refusal::Other(code),
    };
    Failure::Refused { at, why }
}
