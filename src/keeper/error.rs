//! Why a keeper does not start, or stopped.

use std::{io, net::SocketAddr, path::Path, path::PathBuf};

/// Why a keeper does not start, or stopped. Each message is one line for the operator and names what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The listener could not be opened.
    #[error(
        "cannot listen on {address} for ZooKeeper clients: {source}; is another ZooKeeper running there? (clientPort)"
    )]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// Another process has the folder.
    #[error("{} is in use by another keeper: stop it, or choose another dataDir", path.display())]
    Locked {
        /// The locked folder.
        path: PathBuf,
    },
    /// The folder holds something else.
    #[error("{} is not empty and has no version-2: not a ZooKeeper data folder; choose another dataDir", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// The system refused an operation on a file.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// A verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file that was written whole is not what was written.
    #[error("{} at byte {position}: {what}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where it stops making sense.
        position: u64,
        /// What is wrong, and what can be done.
        what: String,
    },
    /// The folder as a whole cannot be restored from.
    #[error("{}: {what}", path.display())]
    Unrestorable {
        /// The folder.
        path: PathBuf,
        /// What is wrong, and what can be done.
        what: String,
    },
    /// A thread of the keeper is gone; its message is in the log.
    #[error("the keeper stopped unexpectedly")]
    Stopped,
}

impl KeeperError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
