//! The broker: composition, dispatch, partitions, and the drivers of the cores.
//!
//! A request's way: `net` cuts the frame, [`dispatch`] finds the handler, the handler asks the handful of things that its
//! struct names and replies now or later. What waits is a [`waiting::Ticket`]. Roles come from the controller through
//! the same handlers in process; what they need of ZooKeeper is in `zk`'s stores.

pub mod advertised;
mod api_error;
mod attendance;
pub mod clock;
pub mod config_alteration;
pub mod config_application;
pub mod config_changes;
pub mod control;
pub mod controller_channel;
pub mod controller_driver;
mod controller_wire;
mod controller_znodes;
pub mod conversion;
pub mod current_config;
pub mod dispatch;
pub mod error_map;
pub mod fence;
pub mod flusher;
pub mod handlers;
pub mod housekeeping;
pub mod metadata_cache;
mod metadata_wait;
pub mod partition;
pub mod partitions;
pub mod producer_ids;
pub mod registration;
pub mod removals;
pub mod request;
mod server;
mod start;
pub mod topic_configs;
pub mod topic_creation;
pub mod waiting;

pub use metadata_cache::MetadataCache;
pub use start::{StartError, run};

/// The cluster's id, as `/cluster/id` has it: 22 characters of base64.
pub type ClusterId = std::sync::Arc<str>;
