//! Where to connect: the connect string, the chroot, and what can be wrong with them.

use std::time::Duration;

use zookeeper_client::{self as crate_api, Acls, Client, Error};

use super::live::outcome;
use super::session::Target;
use super::znodes::ZkError;

/// Where and how to connect.
#[derive(Debug, Clone)]
pub struct LiveOptions {
    /// `zookeeper.connect`: `host:port,host:port/chroot`.
    pub connect: String,
    /// `zookeeper.session.timeout.ms`; also each call's deadline.
    pub session_timeout: Duration,
    /// `zookeeper.connection.timeout.ms`: how long the first connection may take.
    pub connection_timeout: Duration,
    /// Bytes of watched paths for each session, 120 KiB.
    pub watched_bytes: usize,
    /// Whether a chroot that does not exist is made, as a broker does it, or is an error.
    pub create_chroot: bool,
}

impl LiveOptions {
    /// Kafka's defaults: 18 s.
    pub fn new(connect: &str) -> LiveOptions {
        LiveOptions {
            connect: connect.into(),
            session_timeout: Duration::from_secs(18),
            connection_timeout: Duration::from_secs(18),
            watched_bytes: 120 << 10,
            create_chroot: true,
        }
    }
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The connect string is not one.
    #[error("zookeeper.connect={0}: host:port,host:port/chroot is expected")]
    BadConnectString(String),
    /// No server could be reached in time.
    #[error("no ZooKeeper server reached at {hosts} within {} ms: {reason}; is it running?", .waited.as_millis())]
    Unreachable {
        /// The servers.
        hosts: String,
        /// `zookeeper.connection.timeout.ms`.
        waited: Duration,
        /// The last attempt's error.
        reason: String,
    },
    /// The system grants no thread for the session.
    #[error("cannot start the thread of the ZooKeeper session: {0}")]
    Thread(#[from] std::io::Error),
    /// The chroot does not exist, and is not to be created.
    #[error("zookeeper.connect={connect}: there is no node {chroot}")]
    NoChroot {
        /// The connect string.
        connect: String,
        /// The chroot.
        chroot: String,
    },
    /// The chroot neither exists nor can be created.
    #[error("cannot create the chroot {chroot} of zookeeper.connect: {reason}; create it by hand")]
    Chroot {
        /// The chroot.
        chroot: String,
        /// The server's error.
        reason: String,
    },
}

/// Splits the connect string: the chroot follows the last host.
pub(super) fn parse(options: &LiveOptions) -> Result<Target, ConnectError> {
    let bad = || ConnectError::BadConnectString(options.connect.clone());
    let (hosts, chroot) = match options.connect.split_once('/') {
        Some((hosts, chroot)) => (hosts, format!("/{chroot}")),
        None => (options.connect.as_str(), String::new()),
    };
    let chroot = chroot.trim_end_matches('/');
    let names = chroot.split('/').skip(1);
    if hosts.is_empty() || names.into_iter().any(|name| matches!(name, "" | "." | "..")) {
        return Err(bad());
    }
    let hosts: Vec<&str> = hosts.split(',').map(str::trim).filter(|host| !host.is_empty()).collect();
    Ok(Target { hosts: hosts.join(","), chroot: chroot.into(), session_timeout: options.session_timeout })
}

/// Creates the chroot unless it exists. Existence is tested first: who has no rights above it can still use it (KAFKA-12866).
pub(super) async fn make_sure_of(client: &Client, chroot: &str) -> Result<(), ZkError> {
    if client.check_stat(chroot).await.map_err(outcome)?.is_some() {
        return Ok(());
    }
    let ends = chroot.match_indices('/').map(|(at, _)| at).skip(1).chain([chroot.len()]);
    for end in ends {
        let options = crate_api::CreateMode::Persistent.with_acls(Acls::anyone_all());
        match client.create(&chroot[..end], &[], &options).await {
            Ok(_) | Err(Error::NodeExists) => {}
            Err(_) if matches!(client.check_stat(&chroot[..end]).await, Ok(Some(_))) => {}
            Err(error) => return Err(outcome(error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chroot_follows_the_last_host() {
        let target = |connect| parse(&LiveOptions::new(connect)).map(|target| (target.hosts, target.chroot));
        let said = |hosts: &str, chroot: &str| (hosts.to_owned(), chroot.to_owned());
        assert_eq!(target("a:1, b:2/x/y/").unwrap(), said("a:1,b:2", "/x/y"));
        assert_eq!(target("[::1]:2181").unwrap(), said("[::1]:2181", ""));
        assert_eq!(target("a/").unwrap(), said("a", ""));
        for bad in ["", "/x", "a:1/x,b:2//y", "a/../b"] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
