use std::time::Duration;

use super::ToolError;
use crate::zk::live::{LiveOptions, LiveZnodes};
use crate::zk::znodes::Znodes;

/// How long the first connection may take.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// A session for a tool. A chroot that does not exist is an error: a session for a broker would create it.
pub(super) async fn connect(zookeeper: &str) -> Result<LiveZnodes, ToolError> {
    if let Some((servers, chroot)) = zookeeper.split_once('/').filter(|(_, chroot)| !chroot.is_empty()) {
        let chroot = format!("/{}", chroot.trim_end_matches('/'));
        let root = session(servers).await?;
        let there = root.exists(&chroot).await;
        // Whatever the end of the session says, what was asked has been answered.
        let _ = root.close().await;
        match there {
            Ok(Some(_)) => {}
            Ok(None) => return Err(ToolError::Failed(format!("{zookeeper}: there is no node {chroot}"))),
            Err(error) => return Err(ToolError::Failed(format!("{chroot}: {error}"))),
        }
    }
    session(zookeeper).await
}

async fn session(connect: &str) -> Result<LiveZnodes, ToolError> {
    let mut options = LiveOptions::new(connect);
    options.connection_timeout = CONNECTION_TIMEOUT;
    LiveZnodes::connect(options).await.map_err(|error| ToolError::Failed(error.to_string()))
}
