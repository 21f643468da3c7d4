//! ListOffsets (key 2): the offset that belongs to a timestamp, or an end of the log.
//!
//! Timestamps below zero: -1 latest, -2 earliest, -3 largest timestamp, -4 earliest local, -5 latest tiered.
//!
//! - v0: several offsets, ends of segments
//! - v1: one offset and its timestamp (KIP-79)
//! - v2: isolation level (KIP-98), throttle time
//! - v3: the throttled answer comes before the pause (KIP-219)
//! - v4: leader epoch (KIP-320)
//! - v5: OFFSET_NOT_AVAILABLE may be answered (KIP-207)
//! - v6: flexible (KIP-482)
//! - v7: largest timestamp (KIP-734)
//! - v8: earliest local offset (KIP-405)
//! - v9: latest tiered offset (KIP-1005)

use crate::Str;
use crate::description::{api, wire};

api!(
    ListOffsets, versions 0-9, flexible 6+,
    ListOffsetsRequest => ListOffsetsResponse
);

wire! {
    /// Asks for offsets.
    pub struct ListOffsetsRequest {
        /// The broker ID of the requester, or -1 if this request is being made by a normal consumer.
        0+  replica_id: i32,
        /// This setting controls the visibility of transactional records. Using READ_UNCOMMITTED (isolation_level = 0)
        /// makes all records visible. With READ_COMMITTED (isolation_level = 1), non-transactional and COMMITTED
        /// transactional records are visible. To be more concrete, READ_COMMITTED returns all data from offsets smaller
        /// than the current LSO (last stable offset), and enables the inclusion of the list of aborted transactions in
        /// the result, which allows consumers to discard ABORTED transactional records.
        2+  isolation_level: i8,
        /// Each topic in the request.
        0+  topics: Vec<ListOffsetsTopic>,
    }

    /// Partitions of a topic.
    pub struct ListOffsetsTopic {
        /// The topic name.
        0+  name: Str,
        /// Each partition in the request.
        0+  partitions: Vec<ListOffsetsPartition>,
    }

    /// What to look for in a partition.
    pub struct ListOffsetsPartition {
        /// The partition index.
        0+   partition_index: i32,
        /// The current leader epoch.
        4+   current_leader_epoch: i32 = -1,
        /// The current timestamp.
        0+   timestamp: i64,
        /// The maximum number of offsets to report.
        0-0  max_num_offsets: i32 = 1,
    }
}

wire! {
    /// Offsets found.
    pub struct ListOffsetsResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation, or zero if the
        /// request did not violate any quota.
        2+  throttle_time_ms: i32,
        /// Each topic in the response.
        0+  topics: Vec<ListOffsetsTopicResponse>,
    }

    /// Offsets of a topic.
    pub struct ListOffsetsTopicResponse {
        /// The topic name.
        0+  name: Str,
        /// Each partition in the response.
        0+  partitions: Vec<ListOffsetsPartitionResponse>,
    }

    /// Offset of a partition.
    pub struct ListOffsetsPartitionResponse {
        /// The partition index.
        0+   partition_index: i32,
        /// The partition error code, or 0 if there was no error.
        0+   error_code: i16,
        /// The result offsets.
        0-0  old_style_offsets: Vec<i64>,
        /// The timestamp associated with the returned offset.
        1+   timestamp: i64 = -1,
        /// The returned offset.
        1+   offset: i64 = -1,
        /// The leader epoch of the record at that offset, or -1.
        4+   leader_epoch: i32 = -1,
    }
}
