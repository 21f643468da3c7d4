//! What the stores share: their error, nodes with their parents, many reads at once.

use futures_util::StreamExt;
use futures_util::stream;
use zk_schema::DecodeError;

use super::znodes::{CreateMode, MultiError, Stat, ZkError, Znodes};

/// Reads on their way at once.
const READS_IN_FLIGHT: usize = 500;

/// Attempts of an operation whose outcome could be found out by reading: losses one after the other are rare, and the caller
/// knows better than a store whether to go on.
pub(super) const ATTEMPTS: usize = 10;

/// Why a store could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// ZooKeeper said no, or nothing.
    #[error("{path}: {source}")]
    Znode {
        /// The node.
        path: String,
        /// Why.
        source: ZkError,
    },
    /// A node holds what nobody can read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl StoreError {
    /// ZooKeeper's part in it, if it had one.
    pub fn zk(&self) -> Option<&ZkError> {
        match self {
            StoreError::Znode { source, .. } => Some(source),
            StoreError::Decode(_) => None,
        }
    }
}

/// Names the node in an error.
pub(super) fn at(path: &str) -> impl FnOnce(ZkError) -> StoreError {
    move |source| StoreError::Znode { path: path.into(), source }
}

/// The error of a multi by itself; the operation that failed is known to the caller or does not matter.
pub(super) fn of_multi(error: MultiError) -> ZkError {
    match error {
        MultiError::At { source, .. } | MultiError::Whole(source) => source,
    }
}

/// A node's data, if it exists.
pub(super) async fn read(zk: &dyn Znodes, path: &str) -> Result<Option<(Vec<u8>, Stat)>, StoreError> {
    match zk.get(path).await {
        Ok(found) => Ok(Some(found)),
        Err(ZkError::NoNode) => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

/// Many nodes, pipelined, in the order of the paths; those that do not exist are left out.
pub(super) async fn read_all<K>(
    zk: &dyn Znodes,
    nodes: Vec<(K, String)>,
) -> Result<Vec<(K, String, Vec<u8>, Stat)>, StoreError> {
    let reads = nodes.into_iter().map(|(key, path)| async move {
        let found = read(zk, &path).await?;
        Ok(found.map(|(data, stat)| (key, path, data, stat)))
    });
    let found: Vec<_> = stream::iter(reads).buffered(READS_IN_FLIGHT).collect().await;
    found.into_iter().filter_map(Result::transpose).collect()
}

/// Names of a node's children, sorted; none if it does not exist.
pub(super) async fn list(zk: &dyn Znodes, path: &str) -> Result<Vec<String>, StoreError> {
    let mut names = match zk.children(path).await {
        Ok(names) => names,
        Err(ZkError::NoNode) => Vec::new(),
        Err(error) => return Err(at(path)(error)),
    };
    names.sort_unstable();
    Ok(names)
}

/// Creates a persistent node and the parents that are missing.
pub(super) async fn create_with_parents(zk: &dyn Znodes, path: &str, data: &[u8]) -> Result<(), ZkError> {
    match zk.create(path, data, CreateMode::Persistent).await {
        Err(ZkError::NoNode) => {}
        done => return done.map(drop),
    }
    for (end, _) in path.match_indices('/').skip(1) {
        match zk.create(&path[..end], b"", CreateMode::Persistent).await {
            Ok(_) | Err(ZkError::NodeExists) => {}
            Err(error) => return Err(error),
        }
    }
    zk.create(path, data, CreateMode::Persistent).await.map(drop)
}

/// What can be read of the nodes that were found; what cannot is logged and left out, so that one broken node does not
/// stand in the way of all others.
pub(super) fn readable<K, T>(
    found: Vec<(K, String, Vec<u8>, Stat)>,
    decode: impl Fn(&str, &[u8]) -> Result<T, DecodeError>,
) -> impl Iterator<Item = (K, T, Stat)> {
    found.into_iter().filter_map(move |(key, path, data, stat)| match decode(&path, &data) {
        Ok(value) => Some((key, value, stat)),
        Err(error) => {
            tracing::error!("left out: {error}");
            None
        }
    })
}
