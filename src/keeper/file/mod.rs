//! ZooKeeper's folder: `version-2/log.HEX` and `version-2/snapshot.HEX`, written so that Apache ZooKeeper 3.4 to 3.9 can
//! go on with them, and read as any of these left them.

mod adler32;
pub(crate) mod folder;
pub(crate) mod log;
pub(crate) mod snapshot;
