//! One partition on disk, and the folders that hold many: Kafka's own layout and files, so that Kafka 3.9 can open what
//! we wrote and we what Kafka 0.8 to 3.9 did.
//!
//! - [`disk`]: the seam to the file system, with a disk in memory that forgets on a crash what was not synced.
//! - [`log`]: [`Log`], one partition: append, read, flush, truncate, retention, offsets by time. `segment`, `index` and
//!   `txn_index` are its files; [`producer_state`] and [`epoch_cache`] what it derives from them.
//! - [`recovery`]: opening a folder after a clean stop or any other.
//! - [`choice`]: when to roll, what to delete, as values.
//! - [`log_dir`]: a folder of partitions: lock, [`meta_properties`], [`checkpoint`]s, the mark of a clean stop.
//!
//! What is acknowledged is durable. An append is one write; a flush is begun under the log's lock, run without it, and
//! noted when done, and only then does [`Log::flushed_offset`] pass what was appended. After a crash every offset below
//! it is there, with the same bytes; above it the log may end anywhere, but has no hole and no offset twice. A failed
//! write or sync takes the log offline: memory may then not be believed, and a second fsync proves nothing.
//!
//! No thread, no lock, no clock in here: the caller has them. Nothing is mapped, and of an idle partition little more is
//! in memory than the names of its segments.

pub mod checkpoint;
pub mod choice;
mod clean_shutdown;
pub mod config;
mod control;
pub mod disk;
pub mod epoch_cache;
#[cfg(test)]
mod golden;
mod index;
pub mod log;
pub mod log_dir;
pub mod meta_properties;
#[cfg(test)]
mod model;
pub mod partition_dir;
pub mod partition_metadata;
mod producer_snapshot;
pub mod producer_state;
pub mod recovery;
mod reservation;
mod scan;
mod segment;
mod txn_index;

pub use config::{CleanupPolicy, LogConfig};
pub use disk::{Disk, DiskFile, DiskRef, FileDisk, FileRef, MemoryDisk, StorageError};
pub use log::{
    AppendError, Appended, FileRange, FlushWork, ListedOffset, Log, LogAppendInfo, OffsetQuery, Read, ReadError,
};
pub use log_dir::{LogDir, LogDirError};
pub use producer_state::{AppendOrigin, DuplicateBatch, ProducerError};
pub use recovery::{LogOpening, RecoveryReport};
pub use txn_index::AbortedTxn;
