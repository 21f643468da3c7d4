use std::time::Duration;

use super::ToolError;
use crate::zk::live::{LiveOptions, LiveZnodes};

/// How long the first connection may take.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// A session for a tool. A chroot that does not exist is an error: a session for a broker would create it.
pub(super) async fn connect(zookeeper: &str) -> Result<LiveZnodes, ToolError> {
    let mut options = LiveOptions::new(zookeeper);
    options.connection_timeout = CONNECTION_TIMEOUT;
    options.create_chroot = false;
    LiveZnodes::connect(options).await.map_err(|error| ToolError::Failed(error.to_string()))
}
