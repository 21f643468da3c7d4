//! What happened: everything that a producer is told, in the past tense.

use ottla_types::{BrokerId, Offset, PartitionIndex, TopicName};
use ottla_view::Change;

use crate::request::RequestId;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The cluster is different from what was known.
    View(Change),
    /// A connection to a broker can be used; [`Producer::next_request`](crate::Producer::next_request) is asked from here on.
    Connected {
        /// The broker.
        broker: BrokerId,
    },
    /// No connection came about, or it ended. Each request without an answer is told as [`Event::Answered`] before this.
    Disconnected {
        /// The broker.
        broker: BrokerId,
        /// In the system's words.
        why: String,
    },
    /// A request was answered, given up, or (acks=0) written.
    Answered {
        /// The broker.
        broker: BrokerId,
        /// Which request.
        request: RequestId,
        /// What the broker says of each partition; or why it says nothing.
        outcome: Result<Vec<PartitionAnswer>, Lost>,
    },
    /// [`Effect::GetProducerId`](crate::Effect::GetProducerId) was answered. One that nobody could be asked for is tried on by the driver.
    ProducerId {
        /// Producer id and epoch, or the broker's error code and words.
        outcome: Result<(i64, i16), (i16, String)>,
    },
    /// The application waits until all that it has sent is delivered or has failed; [`Effect::Flushed`](crate::Effect::Flushed) answers.
    FlushAsked {
        /// Its number.
        token: u64,
    },
    /// The application sends no more. What was sent is delivered; [`Effect::Closed`](crate::Effect::Closed) answers.
    CloseAsked,
    /// The application does not wait any longer: what is left fails at once.
    Abandoned,
    /// [`Producer::next_deadline`](crate::Producer::next_deadline) is reached. Early or late does no harm.
    TimePassed,
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// It was not sent: nothing was written.
    NotSent(String),
    /// The connection ended, or the time was over: it may have been written, and may yet be.
    Unknown(String),
}

/// What a broker says of one partition's batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionAnswer {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionIndex,
    /// 0, or the error code.
    pub error_code: i16,
    /// The broker's words, if it has any.
    pub message: Option<String>,
    /// The offset of the first record; -1 if not known.
    pub base_offset: Offset,
    /// The time that the broker gave the records, ms since 1970; -1: their own hold.
    pub log_append_time: i64,
}
