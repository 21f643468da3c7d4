use std::time::Duration;

use ottla_classic::{CommitError, Fatal};
use ottla_types::{Offset, TopicPartition};

use crate::config::ConfigErrors;
use crate::zk::live::ConnectError;

/// Why a consumer did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// The configuration cannot be.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// What is subscribed to cannot be.
    #[error("the subscription {subscription}: {why}")]
    Subscription {
        /// What was asked for.
        subscription: String,
        /// What is wrong with it.
        why: String,
    },
    /// ZooKeeper cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No record came within `consumer.timeout.ms`. The stream may be asked again.
    #[error("no record within {} ms (consumer.timeout.ms)", .waited.as_millis())]
    Timeout {
        /// How long it waited.
        waited: Duration,
    },
    /// The consumer was closed; its streams end.
    #[error("the consumer is closed")]
    Closed,
    /// The member cannot take part in its group; its streams end.
    #[error(transparent)]
    Fatal(Fatal),
    /// A commit was not done.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// This member does not read the partition now.
    #[error("{0} is not owned by this consumer now")]
    NotOwned(TopicPartition),
    /// Fetched bytes are not what a broker may send. They are fetched again; if they are damaged on the broker's disk,
    /// [`Consumer::seek`](super::Consumer::seek) past them.
    #[error("{partition}: damaged records at offset {offset}: {why}")]
    Damaged {
        /// The partition.
        partition: TopicPartition,
        /// Where reading stopped.
        offset: Offset,
        /// What is wrong.
        why: String,
    },
}
