//! What is to be sent, and why it may not be taken.

use ottla_records::record::Header;
use ottla_types::PartitionIndex;

/// A record that is to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The partition, if the application chose one.
    pub partition: Option<PartitionIndex>,
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is null.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: &'a [Header<'a>],
    /// In ms since 1970.
    pub timestamp: i64,
}

/// Why a record was not taken. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing is known of the topic yet: it is to be made known (`Change::Topic`) first.
    #[error("topic {0} has not been looked up yet")]
    UnknownTopic(String),
    /// There is no such topic.
    #[error("topic {0} does not exist; create it with `ottla topics --create --topic {0}`")]
    MissingTopic(String),
    /// The topic has no such partition.
    #[error("topic {topic} has no partition {partition}: it has {count}, from 0")]
    NoSuchPartition {
        /// The topic.
        topic: String,
        /// What was asked for.
        partition: PartitionIndex,
        /// How many there are.
        count: usize,
    },
    /// `buffer.memory` is used up; [`Effect::Room`](crate::Effect::Room) tells when there is some.
    #[error("buffer.memory ({limit} bytes) is full of records that wait for their brokers")]
    Full {
        /// `buffer.memory`.
        limit: usize,
    },
    /// The record is larger than a request, or than all memory.
    #[error("a record of {size} bytes is larger than {key} ({limit}); raise it, and the topic's max.message.bytes")]
    TooLarge {
        /// The record's bytes in a batch of its own.
        size: usize,
        /// The setting that forbids it.
        key: &'static str,
        /// Its value.
        limit: usize,
    },
    /// The producer was closed.
    #[error("the producer is closed")]
    Closed,
    /// The producer cannot go on.
    #[error("the producer cannot go on: {0}")]
    Fatal(String),
}
