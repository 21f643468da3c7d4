//! What is to be done: everything that a producer asks for, in the imperative.

use std::ops::Range;

use ottla_types::{BrokerId, Offset, TopicPartition};

/// One thing to do. `T` is the application's ticket for the records of one batch; if that was split, there is an outcome for each
/// part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect<T> {
    /// A broker has something to be sent: its connection, which is made if there is none, asks
    /// [`Producer::next_request`](crate::Producer::next_request).
    Wake(BrokerId),
    /// Nothing goes to this broker any more, or it is elsewhere: its connection is closed.
    Disconnect(BrokerId),
    /// Ask any broker for a producer id (InitProducerId), then answer [`Event::ProducerId`](crate::Event::ProducerId).
    GetProducerId,
    /// A broker denies to lead what it leads by the view: the view is to read it again.
    Doubt(TopicPartition),
    /// A batch is delivered.
    Delivered {
        /// Whose.
        ticket: T,
        /// Which of the ticket's records; all, unless the batch was split.
        records: Range<u32>,
        /// The offset of its first record; none with acks=0, and when the broker knows only that it has it.
        base_offset: Option<Offset>,
        /// The time that the broker gave the records, ms since 1970, if it did.
        log_append_time: Option<i64>,
    },
    /// A batch is not delivered.
    Failed {
        /// Whose.
        ticket: T,
        /// Which of the ticket's records; all, unless the batch was split.
        records: Range<u32>,
        /// Why.
        why: Failure,
    },
    /// There is room again for records that were refused with [`Refusal::Full`](crate::Refusal::Full).
    Room,
    /// All that was sent before the flush was asked for has its outcome.
    Flushed {
        /// The application's number.
        token: u64,
    },
    /// All that was sent has its outcome, after [`Event::CloseAsked`](crate::Event::CloseAsked) or [`Event::Abandoned`](crate::Event::Abandoned).
    Closed,
    /// For logs and metrics.
    Report(Report),
}

/// Why the records of a batch are not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// `delivery.timeout.ms` is over.
    #[error("{partition}: not delivered within delivery.timeout.ms ({timeout_ms} ms): {why}")]
    Timeout {
        /// The partition.
        partition: TopicPartition,
        /// `delivery.timeout.ms`.
        timeout_ms: u64,
        /// What stood in the way last: no leader, no connection, no answer, or what the broker said.
        why: String,
        /// Whether it may have been written all the same.
        may_be_written: bool,
    },
    /// The broker refused for good.
    #[error("{partition}: the broker refused: {message}")]
    Refused {
        /// The partition.
        partition: TopicPartition,
        /// Its error code.
        code: i16,
        /// Its words, or those that belong to the code, and what helps.
        message: String,
    },
    /// It was sent as often as `retries` allows.
    #[error("{partition}: given up after try {tries} (retries): {why}")]
    Retries {
        /// The partition.
        partition: TopicPartition,
        /// How often.
        tries: u32,
        /// What stood in the way last.
        why: String,
        /// Whether it may have been written all the same.
        may_be_written: bool,
    },
    /// The topic was deleted while the records waited.
    #[error("topic {0} was deleted")]
    TopicDeleted(String),
    /// The bytes could not be made.
    #[error("{partition}: {why}")]
    Encoding {
        /// The partition.
        partition: TopicPartition,
        /// Why.
        why: String,
    },
    /// The producer was closed before they were delivered.
    #[error("the producer was closed before the records were delivered")]
    Closed,
    /// The producer cannot go on.
    #[error("the producer cannot go on: {0}")]
    Fatal(String),
}

/// What an operator may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A batch is sent again.
    Retried {
        /// The partition.
        partition: TopicPartition,
        /// Why.
        why: String,
    },
    /// Sequence numbers begin anew under a higher epoch, since it is not known what the broker has (KIP-360).
    EpochBumped {
        /// The partition.
        partition: TopicPartition,
        /// The new one.
        producer_epoch: i16,
        /// Why.
        why: String,
    },
    /// A batch is too large for the broker and is sent in two parts. From now on the topic's batches grow to half of its size.
    Split {
        /// The partition.
        partition: TopicPartition,
        /// Its bytes as they were sent.
        size: usize,
        /// The broker's words, or those that belong to its code, and what helps.
        why: String,
        /// It is the first of its topic.
        is_first: bool,
    },
    /// A broker cannot be reached; told once, not at each try.
    Unreachable {
        /// The broker.
        broker: BrokerId,
        /// In the system's words.
        why: String,
    },
}
