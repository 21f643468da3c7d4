//! Every partition hosted here, and the log dirs that they lie in.
//!
//! Read by every request, changed by the controller's requests alone. All logs found at the start are here from the
//! beginning, without a role until the controller gives one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ottla_log::log_dir::LogDir;
use ottla_log::{Log, LogConfig, StorageError};
use ottla_protocol::ErrorCode;
use ottla_types::{TopicId, TopicPartition};
use tracing::{error, info};

use super::MetadataCache;
use super::clock::now_ms;
use super::flusher::Flusher;
use super::partition::{Partition, Safety};

/// The registry.
pub struct Partitions {
    hosted: RwLock<BTreeMap<TopicPartition, Arc<Partition>>>,
    /// Owner of what a log dir is more than its logs: checkpoints, creation, deletion.
    dirs: Mutex<Vec<LogDir>>,
    cache: Arc<MetadataCache>,
    safety: Safety,
    flusher: Flusher,
}
