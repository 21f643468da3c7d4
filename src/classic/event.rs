//! What happened: everything that a member is told, in the past tense.

use ottla_types::{Offset, TopicPartition};

use ottla_znodes::{Failure, Reply, RequestId};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A session began, the first or one after an expiry.
    SessionStarted {
        /// ZooKeeper's id of it.
        session_id: i64,
        /// The session timeout that the server granted, ms.
        timeout_ms: u64,
        /// Who the member is in this session: `Hostname:UUID`, the UUID new for each session, or `consumer.id`.
        consumer_id: String,
        /// Wall clock, ms since the epoch; written into the registration.
        wall_ms: i64,
    },
    /// The session is gone, with all that it owned and watched. `SessionStarted` follows.
    SessionExpired,
    /// Connected again in the same session. Watches may have fired unseen: everything that is watched is read again.
    Reconnected,
    /// A request was answered, or given up.
    Answered {
        /// Which.
        request: RequestId,
        /// The local clock (ms, the `now` of `step`) when it was sent, or earlier.
        sent_ms: u64,
        /// How it went.
        outcome: Result<Reply, Failure>,
    },
    /// A one-shot watch fired, or can no longer be trusted: what is at this path is to be read again.
    Changed {
        /// The node.
        path: String,
        /// Whether its list of children was watched.
        children: bool,
    },
    /// [`Member::next_deadline`](crate::Member::next_deadline) is reached. Early or late does no harm.
    TimePassed,
    /// [`Effect::FindStart`](crate::Effect::FindStart) was answered by the partition's leader. One that fails is tried on by the driver.
    StartFound {
        /// The partition.
        partition: TopicPartition,
        /// Its first or its end offset, as `auto.offset.reset` says.
        offset: Offset,
    },
    /// Delivery of a partition has stopped, as [`Effect::Stop`](crate::Effect::Stop) asked: no record is handed out any more.
    Stopped {
        /// The partition.
        partition: TopicPartition,
        /// How far it was consumed.
        position: Position,
    },
    /// How far the partitions that are being delivered were consumed, as [`Effect::CollectPositions`](crate::Effect::CollectPositions) asked.
    Positions(Vec<(TopicPartition, Position)>),
    /// The application wants its position committed now; [`Effect::Committed`](crate::Effect::Committed) answers.
    CommitAsked {
        /// The application's number for it.
        token: u64,
    },
    /// The application is done: stop, commit, release, leave; [`Effect::Closed`](crate::Effect::Closed) answers.
    CloseAsked {
        /// Whether the last positions are committed.
        commit: bool,
    },
}

/// How far a partition was consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The offset of the next record to consume.
    pub offset: Offset,
    /// Whether the application has sought since a position of this partition was reported last: only then an offset may go
    /// backwards. The core remembers it until the commit is done.
    pub sought: bool,
}
