//! The harness of the stories: real processes of the broker, of ZooKeeper, of Kafka's tools and of kcat, each on free
//! ports and in a folder that vanishes.
//!
//! A story fails on a warning or error in the broker's log that it did not name ([`Broker::stop`]). Kafka's jars come
//! from `integration-tests/peers`, the broker from `OTTLA_BIN`; `integration-tests/run` provides both.

pub mod broker;
pub mod client;
pub mod group;
pub mod kafka;
pub mod process;
pub mod wire;
pub mod zookeeper;

pub use broker::{Broker, Coordination};
pub use kafka::Kafka;
pub use process::{Output, free_port};
