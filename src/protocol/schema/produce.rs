//! Produce (key 0): append record batches to partitions.
//!
//! With acks = 0 there is no answer; an error then closes the connection.
//!
//! - v1: throttle time (KIP-13)
//! - v2: append time; message format 1 (KIP-32)
//! - v3: transactional id; record batches, format 2 (KIP-98); from here on one batch a partition
//! - v4: KAFKA_STORAGE_ERROR may be answered (KIP-112)
//! - v5: log start offset (KIP-107)
//! - v6: the throttled answer comes before the pause (KIP-219)
//! - v7: zstd (KIP-110)
//! - v8: which records were refused, and why (KIP-467)
//! - v9: flexible (KIP-482)
//! - v10: the current leader comes with NOT_LEADER_OR_FOLLOWER (KIP-951)
//! - v11: TRANSACTION_ABORTABLE may be answered (KIP-890)

use bytes::Bytes;

use crate::Str;
use crate::description::{api, wire};

api!(
    Produce, versions 0-11, flexible 9+,
    ProduceRequest [records: Bytes] => ProduceResponse
);

wire! {
    /// Batches to append.
    pub struct ProduceRequest {
        /// The transactional ID, or null if the producer is not transactional.
        3+  transactional_id: Option<Str>,
        /// The number of acknowledgments the producer requires the leader to have received before considering a request
        /// complete. Allowed values: 0 for no acknowledgments, 1 for only the leader and -1 for the full ISR.
        0+  acks: i16,
        /// The timeout to await a response in milliseconds.
        0+  timeout_ms: i32,
        /// Each topic to produce to.
        0+  topic_data: Vec<TopicProduceData>,
    }

    /// Batches for the partitions of a topic.
    pub struct TopicProduceData {
        /// The topic name.
        0+  name: Str,
        /// Each partition to produce to.
        0+  partition_data: Vec<PartitionProduceData>,
    }

    /// Batches for a partition.
    pub struct PartitionProduceData {
        /// The partition index.
        0+            index: i32,
        /// The record data to be produced.
        0+ (records)  records: Option<Bytes>,
    }
}

wire! {
    /// What became of the batches. There is none for acks = 0.
    pub struct ProduceResponse {
        /// Each produce response.
        0+           responses: Vec<TopicProduceResponse>,
        /// The duration in milliseconds for which the request was throttled due to a quota violation, or zero if the
        /// request did not violate any quota.
        1+           throttle_time_ms: i32,
        /// Endpoints for all current-leaders enumerated in PartitionProduceResponses, with errors
        /// NOT_LEADER_OR_FOLLOWER.
        10+ (tag 0)  node_endpoints: Vec<NodeEndpoint>,
    }

    /// Outcomes for a topic.
    pub struct TopicProduceResponse {
        /// The topic name.
        0+  name: Str,
        /// Each partition that we produced to within the topic.
        0+  partition_responses: Vec<PartitionProduceResponse>,
    }

    /// Outcome for a partition.
    pub struct PartitionProduceResponse {
        /// The partition index.
        0+           index: i32,
        /// The error code, or 0 if there was no error.
        0+           error_code: i16,
        /// The base offset.
        0+           base_offset: i64,
        /// The timestamp returned by broker after appending the messages. If CreateTime is used for the topic, the
        /// timestamp will be -1. If LogAppendTime is used for the topic, the timestamp will be the broker local time
        /// when the messages are appended.
        2+           log_append_time_ms: i64 = -1,
        /// The log start offset.
        5+           log_start_offset: i64 = -1,
        /// The batch indices of records that caused the batch to be dropped.
        8+           record_errors: Vec<BatchIndexAndErrorMessage>,
        /// The global error message summarizing the common root cause of the records that caused the batch to be
        /// dropped.
        8+           error_message: Option<Str>,
        /// The current leader, with NOT_LEADER_OR_FOLLOWER.
        10+ (tag 0)  current_leader: LeaderIdAndEpoch,
    }

    /// A record that was refused.
    pub struct BatchIndexAndErrorMessage {
        /// The batch index of the record that cause the batch to be dropped.
        8+  batch_index: i32,
        /// The error message of the record that caused the batch to be dropped.
        8+  batch_index_error_message: Option<Str>,
    }

    /// The current leader of a partition.
    pub struct LeaderIdAndEpoch {
        /// The ID of the current leader or -1 if the leader is unknown.
        10+  leader_id: i32 = -1,
        /// The latest known leader epoch.
        10+  leader_epoch: i32 = -1,
    }

    /// Where a leader named above can be reached.
    pub struct NodeEndpoint {
        /// The ID of the associated node.
        10+  node_id: i32,
        /// The node's hostname.
        10+  host: Str,
        /// The node's port.
        10+  port: i32,
        /// The rack of the node, or null if it has not been assigned to a rack.
        10+  rack: Option<Str>,
    }
}

impl ProduceRequest {
    /// Record bytes, in the order of writing.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Bytes> {
        self.topic_data
            .iter()
            .flat_map(|topic| &topic.partition_data)
            .filter_map(|partition| partition.records.as_ref())
    }
}
