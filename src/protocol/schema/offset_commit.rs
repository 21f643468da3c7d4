//! OffsetCommit (key 8): remember how far a group has read.
//!
//! - v0: kept in ZooKeeper
//! - v1: kept by the group coordinator; generation, member, commit timestamp
//! - v2: retention time in place of the timestamp
//! - v3: throttle time
//! - v4: the throttled answer comes before the pause (KIP-219)
//! - v5: no retention time (KIP-211)
//! - v6: leader epoch (KIP-320)
//! - v7: static members (KIP-345)
//! - v8: flexible (KIP-482)
//! - v9: members of the new group protocol (KIP-848)

use crate::Str;
use crate::description::{api, wire};

api!(
    OffsetCommit, versions 0-9, flexible 8+,
    OffsetCommitRequest => OffsetCommitResponse
);

wire! {
    /// Offsets to remember.
    pub struct OffsetCommitRequest {
        /// The unique group identifier.
        0+   group_id: Str,
        /// The generation of the group if using the classic group protocol or the member epoch if using the consumer
        /// protocol.
        1+   generation_id_or_member_epoch: i32 = -1,
        /// The member ID assigned by the group coordinator.
        1+   member_id: Str,
        /// The unique identifier of the consumer instance provided by end user.
        7+   group_instance_id: Option<Str>,
        /// The time period in ms to retain the offset.
        2-4  retention_time_ms: i64 = -1,
        /// The topics to commit offsets for.
        0+   topics: Vec<OffsetCommitRequestTopic>,
    }

    /// Offsets of a topic.
    pub struct OffsetCommitRequestTopic {
        /// The topic name.
        0+  name: Str,
        /// Each partition to commit offsets for.
        0+  partitions: Vec<OffsetCommitRequestPartition>,
    }

    /// Offset of a partition.
    pub struct OffsetCommitRequestPartition {
        /// The partition index.
        0+   partition_index: i32,
        /// The message offset to be committed.
        0+   committed_offset: i64,
        /// The leader epoch of this partition.
        6+   committed_leader_epoch: i32 = -1,
        /// The timestamp of the commit.
        1-1  commit_timestamp: i64 = -1,
        /// Any associated metadata the client wants to keep.
        0+   committed_metadata: Option<Str>,
    }
}

wire! {
    /// What became of the offsets.
    pub struct OffsetCommitResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation, or zero if the
        /// request did not violate any quota.
        3+  throttle_time_ms: i32,
        /// The responses for each topic.
        0+  topics: Vec<OffsetCommitResponseTopic>,
    }

    /// What became of the offsets of a topic.
    pub struct OffsetCommitResponseTopic {
        /// The topic name.
        0+  name: Str,
        /// The responses for each partition in the topic.
        0+  partitions: Vec<OffsetCommitResponsePartition>,
    }

    /// What became of the offset of a partition.
    pub struct OffsetCommitResponsePartition {
        /// The partition index.
        0+  partition_index: i32,
        /// The error code, or 0 if there was no error.
        0+  error_code: i16,
    }
}
