//! What is to be done: everything that a member asks for, in the imperative.

use ottla_types::{Offset, TopicPartition};

use ottla_znodes::{Request, RequestId};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a request to ZooKeeper, in the session that is current. Requests may be sent side by side: the core waits for an
    /// answer where order matters.
    Send {
        /// Its number.
        id: RequestId,
        /// What is asked.
        request: Request,
    },
    /// Records may be handed out until the local clock shows this; `None`: stop now. Replaces the previous lease.
    Lease {
        /// ms, as `now` of `step`; the end is exclusive.
        until_ms: Option<u64>,
    },
    /// Ask the partition's leader for its first or its end offset, as `auto.offset.reset` says. An answer that nobody waits
    /// for any more is ignored.
    FindStart {
        /// The partition.
        partition: TopicPartition,
    },
    /// The partition is owned and its offset fenced: hand out its records from here on, to this stream.
    Start {
        /// The partition.
        partition: TopicPartition,
        /// The stream, from 0.
        stream: usize,
        /// The first record to hand out.
        offset: Offset,
    },
    /// Hand out no more of the partition, tell the listener, then answer [`Event::Stopped`](crate::Event::Stopped). It is still owned, so that
    /// what was handed out can be committed.
    Stop {
        /// The partition.
        partition: TopicPartition,
    },
    /// The partition is lost already: hand out no more of it and tell the listener. No answer; nor to a [`Stop`](Effect::Stop)
    /// that came before.
    Abandon {
        /// The partition.
        partition: TopicPartition,
    },
    /// Answer [`Event::Positions`](crate::Event::Positions) at once.
    CollectPositions,
    /// A commit that the application asked for is done.
    Committed {
        /// Its number.
        token: u64,
        /// How it went: all that is still owned is committed, or why not.
        outcome: Result<(), CommitError>,
    },
    /// Everything is released and the registration gone; the session may be closed.
    Closed,
    /// The member cannot take part and says why; it holds nothing. The application is told.
    Failed(Fatal),
    /// For logs and metrics.
    Report(Report),
}

/// Why a commit was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The partitions went to others, or the session ended, before the commit.
    #[error("no longer the owner of {0}; its new owner goes on from the last commit")]
    NotOwner(TopicPartition),
    /// Somebody else wrote the offset while this member owned the partition, and it is ahead.
    #[error("{path} was set to {found} by somebody else, ahead of {ours}; it was left alone")]
    Overtaken {
        /// The node.
        path: String,
        /// What it holds.
        found: Offset,
        /// What was to be committed.
        ours: Offset,
    },
    /// ZooKeeper refused.
    #[error("{path}: ZooKeeper refused with error {code}")]
    Refused {
        /// The node.
        path: String,
        /// ZooKeeper's code.
        code: i32,
    },
}

/// Why a member cannot take part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fatal {
    /// `consumer.id` is taken by a member that lives.
    #[error(
        "consumer.id {consumer_id} is in use: session 0x{owner:x} registered {data}; give each member an id of its own"
    )]
    DuplicateId {
        /// The id.
        consumer_id: String,
        /// Whose.
        owner: i64,
        /// The other's registration.
        data: String,
    },
    /// ZooKeeper refuses what every member must do.
    #[error("{path}: ZooKeeper refused with error {code}")]
    Refused {
        /// The node.
        path: String,
        /// ZooKeeper's code, -102: the ACL.
        code: i32,
    },
}

/// What operators want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what the variants name")]
pub enum Report {
    /// This member is registered.
    Registered { consumer_id: String },
    /// This member writes the group's plans from now on.
    BecamePlanner,
    /// It wrote one.
    Planned { generation: i32, assignor: String, threads: usize, partitions: usize, moved: usize },
    /// A plan was followed: all that it gives to this member is owned and delivered.
    Settled { generation: i32, owned: usize, since_plan_ms: u64 },
    /// A node that nobody can read is left out: a registration, an offset, the plan.
    Unreadable { path: String, problem: String },
    /// A partition cannot be had yet: its owner node belongs to this session.
    WaitingForOwner { partition: TopicPartition, owner: i64, data: String },
    /// An owner node of ours was taken away by somebody else.
    OwnerRemoved { partition: TopicPartition },
    /// The offset is older than its topic and was not used.
    StaleOffset { path: String },
    /// Members speak different assignors; range holds.
    MixedAssignors,
}
