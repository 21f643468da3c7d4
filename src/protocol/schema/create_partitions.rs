//! CreatePartitions (key 37), at the controller (KIP-195).
//!
//! - v1: the throttled answer comes before the pause (KIP-219)
//! - v2: flexible (KIP-482)
//! - v3: THROTTLING_QUOTA_EXCEEDED may be answered (KIP-599)

use crate::Str;
use crate::description::{api, wire};

api!(
    CreatePartitions, versions 0-3, flexible 2+,
    CreatePartitionsRequest => CreatePartitionsResponse
);

wire! {
    /// Topics that are to have more partitions.
    pub struct CreatePartitionsRequest {
        /// Each topic that we want to create new partitions inside.
        0+  topics: Vec<CreatePartitionsTopic>,
        /// The time in ms to wait for the partitions to be created.
        0+  timeout_ms: i32,
        /// If true, then validate the request, but don't actually increase the number of partitions.
        0+  validate_only: bool,
    }

    /// A topic that is to have more partitions.
    pub struct CreatePartitionsTopic {
        /// The topic name.
        0+  name: Str,
        /// The new partition count.
        0+  count: i32,
        /// The new partition assignments.
        0+  assignments: Option<Vec<CreatePartitionsAssignment>>,
    }

    /// Where the replicas of a new partition go.
    pub struct CreatePartitionsAssignment {
        /// The assigned broker IDs.
        0+  broker_ids: Vec<i32>,
    }
}

wire! {
    /// What became of the topics.
    pub struct CreatePartitionsResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation, or zero if the
        /// request did not violate any quota.
        0+  throttle_time_ms: i32,
        /// The partition creation results for each topic.
        0+  results: Vec<CreatePartitionsTopicResult>,
    }

    /// What became of a topic.
    pub struct CreatePartitionsTopicResult {
        /// The topic name.
        0+  name: Str,
        /// The result error, or zero if there was no error.
        0+  error_code: i16,
        /// The result message, or null if there was no error.
        0+  error_message: Option<Str>,
    }
}
