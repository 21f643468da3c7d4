//! Every znode that Kafka's ZooKeeper mode uses: its path and its payload, by version. One file for each kind.
//!
//! Readers take any version that Kafka 0.8 to 3.9 or an old tool wrote: unknown keys are ignored, optional ones may be
//! absent, a missing mandatory one is a [`DecodeError`] that names node, key and remedy. Writers write what Kafka 3.9 writes,
//! byte for byte, the order of keys included (it is the order of a Scala hash map, kept because someone may compare text).
//! No number above 2^31-1 is ever written as a JSON number: brokers and clients up to 0.11 fail on the whole document, so
//! times and producer ids are text.
//!
//! Paths are absolute below the chroot. `README.md` is the tree on one page. Nothing here does I/O.

pub mod admin_delete_topics;
pub mod admin_preferred_replica_election;
pub mod admin_reassign_partitions;
pub mod broker_ids;
pub mod broker_seqid;
pub mod broker_topics;
pub mod cluster_id;
pub mod config;
pub mod config_changes;
pub mod consumer_plan;
pub mod consumers;
pub mod controller;
pub mod controller_epoch;
mod document;
mod entity;
pub mod feature;
#[cfg(test)]
mod golden;
pub mod isr_change_notification;
mod kind;
pub mod log_dir_event_notification;
mod parents;
mod partition_list;
pub mod partition_state;
pub mod producer_id_block;

pub use broker_ids::BrokerRegistration;
pub use broker_topics::{ReplicaMap, TopicAssignment};
pub use config::EntityConfig;
pub use consumer_plan::ConsumerPlan;
pub use controller::Controller;
pub use document::DecodeError;
pub use entity::{ConfigEntity, EntityName};
pub use feature::FinalizedFeatures;
pub use kind::Kind;
pub use parents::PERSISTENT_PARENTS;
pub use partition_state::PartitionState;
pub use producer_id_block::ProducerIdBlock;
