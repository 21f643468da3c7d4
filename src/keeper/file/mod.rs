//! ZooKeeper's folder: `version-2/log.HEX` and `version-2/snapshot.HEX`, written so that Apache ZooKeeper 3.4 to 3.9 can
//! go on with them, and read as any of these left them.
//!
//! A start reads the newest whole snapshot and then the log's entries behind it. ZooKeeper writes a fresh snapshot at each
//! start; here one is written only if the files alone would not lead to the same tree again, so that a start is quick.

mod adler32;
pub(crate) mod folder;
pub(crate) mod log;
pub(crate) mod restore;
mod snapshot;
