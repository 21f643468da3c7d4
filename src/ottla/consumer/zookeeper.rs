//! The core's requests in the words of the seam.

use ottla_classic::{self as classic, Failure, Refusal, Reply, Request};
use rand::RngExt;

use crate::host;
use crate::zk::znodes::{CreateMode, MultiError, Op, OpResult, Watcher, ZkError, Znodes};

/// How a request went, and what watches from here on.
pub(super) struct Answer {
    pub(super) outcome: Result<Reply, Failure>,
    /// Path, whether the children are watched, the watch.
    pub(super) watcher: Option<(String, bool, Watcher)>,
}

/// Whether a request sets a watch.
pub(super) fn sets_watch(request: &Request) -> bool {
    match request {
        Request::Get { watch, .. } | Request::Exists { watch, .. } | Request::Children { watch, .. } => *watch,
        Request::Write(_) | Request::Sync { .. } => false,
    }
}

/// Sends a request and waits for its answer.
pub(super) async fn carry_out(zk: &dyn Znodes, request: Request) -> Answer {
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

async fn write(zk: &dyn Znodes, ops: Vec<classic::Op>) -> Result<Reply, Failure> {
    let results = zk.multi(ops.into_iter().map(operation).collect()).await.map_err(|error| match error {
        MultiError::At { index, source } => failure(index, source),
        MultiError::Whole(source) => failure(0, source),
    })?;
    let stat = |result| match result {
        OpResult::Set(stat) => Some(stat),
        OpResult::Checked | OpResult::Created(_) | OpResult::Deleted => None,
    };
    Ok(Reply::Written(results.into_iter().map(stat).collect()))
}

fn operation(op: classic::Op) -> Op {
    match op {
        classic::Op::Check { path, version } => Op::Check { path, version },
        classic::Op::Create { path, data, ephemeral } => {
            let mode = if ephemeral { CreateMode::Ephemeral } else { CreateMode::Persistent };
            Op::Create { path, data, mode }
        }
        classic::Op::Set { path, data, version } => Op::Set { path, data, version },
        classic::Op::Delete { path, version } => Op::Delete { path, version },
    }
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

/// `Hostname:UUID`, the UUID random (version 4).
pub(super) fn new_consumer_id() -> String {
    // The id is part of a path.
    let host = host::name().replace('/', "-");
    let mut id: u128 = rand::rng().random();
    id = id & !(0xf << 76) | 0x4 << 76;
    id = id & !(0x3 << 62) | 0x2 << 62;
    let part = |shift: u32, bits: u32| (id >> shift) & ((1 << bits) - 1);
    let (a, b, c, d, e) = (part(96, 32), part(80, 16), part(64, 16), part(48, 16), part(0, 48));
    format!("{host}:{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_id_is_the_host_and_a_random_uuid() {
        let id = new_consumer_id();
        let (host, uuid) = id.rsplit_once(':').unwrap();
        assert!(!host.is_empty());
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&uuid[14..15], "4");
        assert!("89ab".contains(&uuid[19..20]));
        assert_ne!(new_consumer_id(), id);
    }
}
