//! What the broker asks of ZooKeeper. [`znodes`] is the seam; everything else is written against it.
//!
//! [`live`] speaks to an ensemble or to the embedded keeper, [`fake`] to a tree in memory. The stores say in the field's words
//! what one asker needs: [`store_registration`] a broker that starts, [`store_election`], [`store_cluster`] and
//! [`store_controller`] a controller, [`store_topics`], [`store_configs`] and [`store_admin`] requests and tools, [`store_consumers`] and
//! [`store_consumer_changes`] tools for classic groups, [`store_offsets`] and [`store_producer_ids`] the APIs of those names. A store reads before it repeats what may have been done; who sees
//! [`ZkError::Unknown`](znodes::ZkError) from one tries later.

mod connect;
pub mod fake;
pub mod live;
pub(crate) mod requests;
mod session;
pub mod store;
pub mod store_admin;
pub mod store_cluster;
pub mod store_configs;
pub mod store_consumer_changes;
pub mod store_consumers;
pub mod store_controller;
pub mod store_election;
pub mod store_offsets;
pub mod store_producer_ids;
pub mod store_registration;
pub mod store_topics;
pub mod znodes;

pub use store::StoreError;
