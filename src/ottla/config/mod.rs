//! Configuration: Kafka's file format and Kafka's keys, so that an existing `server.properties` starts a broker.
//!
//! One table ([`table`]) holds every key with type, default, sentence and what this broker does with it. From it come the
//! sample file (`config/server.properties`, a test compares), the answers of DescribeConfigs ([`describe`]) and the
//! typed [`BrokerConfig`]. [`Settings`] is what somebody set, with the place where: a message names file, line, key,
//! value and what is expected.
//!
//! A key that nobody knows is a warning. A key that Kafka knows and this broker does not support is a warning too, unless
//! whoever sets it relies on a protection that would silently be missing (an authorizer, TLS, a policy): then the start
//! is refused, unless `--allow-unsupported KEY` says that this is understood. A key set to its default never matters.
//!
//! What differs from Kafka's defaults: data lies in `./ottla-data`, not in `/tmp`; without a file the broker has id 0 and
//! listens on 127.0.0.1; without `zookeeper.connect` it runs its own keeper.

mod broker;
pub(crate) mod client;
pub mod describe;
mod dynamic;
pub(crate) mod key;
mod listeners;
pub mod properties;

pub(crate) mod sample;
mod settings;
pub mod table;
mod topic;

pub use broker::{BrokerConfig, Coordination, LeaderBalance, MetricsEndpoint};
pub use key::{Key, Kind, Support, split_list};

pub use sample::sample;
pub use settings::{ConfigErrors, Loaded, Problem, Setting, Settings, Source};
pub use topic::{CleanupPolicy, TopicConfig, TopicConfigError, TopicKey};
