//! OffsetFetch (key 9): how far a group has read.
//!
//! - v0: kept in ZooKeeper
//! - v1: kept by the group coordinator
//! - v2: null asks for all topics; an error of the whole group (KIP-88)
//! - v3: throttle time
//! - v4: the throttled answer comes before the pause (KIP-219)
//! - v5: leader epoch (KIP-320)
//! - v6: flexible (KIP-482)
//! - v7: offsets of open transactions can be waited for (KIP-447)
//! - v8: several groups at once (KIP-709)
//! - v9: members of the new group protocol (KIP-848)

use crate::Str;
use crate::description::{api, wire};

api!(
    OffsetFetch, versions 0-9, flexible 6+,
    OffsetFetchRequest => OffsetFetchResponse
);

wire! {
    /// Asks for offsets.
    pub struct OffsetFetchRequest {
        /// The group to fetch offsets for.
        0-7            group_id: Str,
        /// Each topic we would like to fetch offsets for, or null to fetch offsets for all topics.
        0-7 (null 2+)  topics: Option<Vec<OffsetFetchRequestTopic>>,
        /// Each group we would like to fetch offsets for.
        8+             groups: Vec<OffsetFetchRequestGroup>,
        /// Whether broker should hold on returning unstable offsets but set a retriable error code for the partitions.
        7+             require_stable: bool,
    }

    /// Partitions of a topic.
    pub struct OffsetFetchRequestTopic {
        /// The topic name.
        0-7  name: Str,
        /// The partition indexes we would like to fetch offsets for.
        0-7  partition_indexes: Vec<i32>,
    }

    /// A group and its topics.
    pub struct OffsetFetchRequestGroup {
        /// The group ID.
        8+  group_id: Str,
        /// The member ID assigned by the group coordinator if using the new consumer protocol (KIP-848).
        9+  member_id: Option<Str>,
        /// The member epoch if using the new consumer protocol (KIP-848).
        9+  member_epoch: i32 = -1,
        /// Each topic we would like to fetch offsets for, or null to fetch offsets for all topics.
        8+  topics: Option<Vec<OffsetFetchRequestTopics>>,
    }

    /// Partitions of a topic.
    pub struct OffsetFetchRequestTopics {
        /// The topic name.
        8+  name: Str,
        /// The partition indexes we would like to fetch offsets for.
        8+  partition_indexes: Vec<i32>,
    }
}

wire! {
    /// Offsets.
    pub struct OffsetFetchResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation, or zero if the
        /// request did not violate any quota.
        3+   throttle_time_ms: i32,
        /// The responses per topic.
        0-7  topics: Vec<OffsetFetchResponseTopic>,
        /// The top-level error code, or 0 if there was no error.
        2-7  error_code: i16,
        /// The responses per group id.
        8+   groups: Vec<OffsetFetchResponseGroup>,
    }

    /// Offsets of a topic.
    pub struct OffsetFetchResponseTopic {
        /// The topic name.
        0-7  name: Str,
        /// The responses per partition.
        0-7  partitions: Vec<OffsetFetchResponsePartition>,
    }

    /// Offset of a partition.
    pub struct OffsetFetchResponsePartition {
        /// The partition index.
        0-7  partition_index: i32,
        /// The committed message offset.
        0-7  committed_offset: i64,
        /// The leader epoch.
        5-7  committed_leader_epoch: i32 = -1,
        /// The partition metadata.
        0-7  metadata: Option<Str>,
        /// The error code, or 0 if there was no error.
        0-7  error_code: i16,
    }

    /// Offsets of a group.
    pub struct OffsetFetchResponseGroup {
        /// The group ID.
        8+  group_id: Str,
        /// The responses per topic.
        8+  topics: Vec<OffsetFetchResponseTopics>,
        /// The group-level error code, or 0 if there was no error.
        8+  error_code: i16,
    }

    /// Offsets of a topic.
    pub struct OffsetFetchResponseTopics {
        /// The topic name.
        8+  name: Str,
        /// The responses per partition.
        8+  partitions: Vec<OffsetFetchResponsePartitions>,
    }

    /// Offset of a partition.
    pub struct OffsetFetchResponsePartitions {
        /// The partition index.
        8+  partition_index: i32,
        /// The committed message offset.
        8+  committed_offset: i64,
        /// The leader epoch.
        8+  committed_leader_epoch: i32 = -1,
        /// The partition metadata.
        8+  metadata: Option<Str>,
        /// The partition-level error code, or 0 if there was no error.
        8+  error_code: i16,
    }
}
