use std::time::Duration;

use crate::client::{Cluster, ConnectionOptions};

/// Where the cluster is.
#[derive(Debug, clap::Args)]
pub(super) struct Bootstrap {
    /// Brokers to ask first: host:port,host:port
    #[arg(
        long = "bootstrap-server",
        visible_alias = "broker-list",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:9092"
    )]
    servers: String,
    /// How long to wait for an answer, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 30_000, hide_short_help = true)]
    request_timeout_ms: u64,
}

impl Bootstrap {
    /// The cluster; nothing is connected yet.
    pub(super) fn cluster(&self, client_id: &str) -> Cluster {
        let request_timeout = Duration::from_millis(self.request_timeout_ms);
        let options = ConnectionOptions { client_id: client_id.into(), request_timeout, ..Default::default() };
        Cluster::new(&self.servers, options)
    }
}
