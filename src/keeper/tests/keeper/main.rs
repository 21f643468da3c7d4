//! The keeper over its socket and its folder, through a client that hides nothing.

mod client;
mod folder;
mod requests;
mod sessions;
mod words;

use std::{net::SocketAddr, path::Path};

use ottla_keeper::{Keeper, KeeperSettings};

/// A keeper on a port of its own, with a tick that tests can wait for.
pub(crate) fn settings(dir: &Path) -> KeeperSettings {
    with(dir, &[])
}

pub(crate) fn with(dir: &Path, pairs: &[(&str, &str)]) -> KeeperSettings {
    let dir = dir.to_str().expect("a name in UTF-8");
    let own = [("dataDir", dir), ("clientPort", "0"), ("tickTime", "100"), ("maxSessionTimeout", "60000")];
    let (settings, unknown) = KeeperSettings::from_pairs(own.iter().chain(pairs).copied()).expect("good settings");
    assert_eq!(unknown, Vec::<String>::new());
    settings
}

pub(crate) fn start(dir: &Path) -> (Keeper, SocketAddr) {
    let keeper = Keeper::start(settings(dir)).expect("started");
    let address = keeper.local_addr();
    (keeper, address)
}

pub(crate) fn stop(keeper: Keeper) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(keeper.shutdown()).expect("stopped");
}
