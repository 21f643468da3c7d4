//! The field's words, as types: what every room of the house means by a broker, a topic, a partition, an epoch.
//!
//! Wire and znode shapes hold plain integers and strings; domain code holds these. The conversion happens once, at the
//! edge where bytes become decisions. Nothing here does I/O.

mod epoch;
mod listener;
mod topic;

pub use epoch::{BrokerEpoch, ControllerEpoch, LeaderEpoch, PartitionEpoch, ProducerEpoch, ProducerId};
pub use listener::{Endpoint, EndpointError, ListenerName, SecurityProtocol};
pub use topic::{TopicId, TopicIdError, TopicName, TopicNameError, TopicPartition};

/// A broker's id: `broker.id`, the name of its node below `/brokers/ids`. Zero or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BrokerId(pub i32);

impl std::fmt::Display for BrokerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A position in a partition's log. Ends are exclusive (`log_end_offset`), `last_*` inclusive, ranges half open.
pub type Offset = i64;

/// A partition's number within its topic, from 0.
pub type PartitionIndex = i32;
