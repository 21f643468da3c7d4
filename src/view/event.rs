//! What happened: everything that a view is told, in the past tense.

use ottla_types::{TopicName, TopicPartition};
use ottla_znodes::{Failure, Reply, RequestId};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A session began, the first or one after an expiry: there are no watches, everything is read again. What was known is
    /// believed until then.
    SessionStarted,
    /// The session is gone with its watches. `SessionStarted` follows.
    SessionExpired,
    /// Connected again in the same session. Watches may have fired unseen: everything is read again.
    Reconnected,
    /// A request was answered, or given up.
    Answered {
        /// Which.
        request: RequestId,
        /// How it went.
        outcome: Result<Reply, Failure>,
    },
    /// A one-shot watch fired, or can no longer be trusted.
    Changed {
        /// The node.
        path: String,
        /// Whether its list of children was watched.
        children: bool,
    },
    /// Somebody sends to a topic: it is read and watched from here on.
    TopicUsed(TopicName),
    /// Nobody has sent to it for long: it is forgotten, and its watches are not set again.
    TopicUnused(TopicName),
    /// Somebody wants to know all topics from here on.
    TopicNamesWanted,
    /// A broker denies what is known of a partition: it is read again behind a sync, in case a watch was missed.
    Doubted(TopicPartition),
    /// [`View::next_deadline`](crate::View::next_deadline) is reached. Early or late does no harm.
    TimePassed,
}
