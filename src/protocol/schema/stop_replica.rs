//! StopReplica (key 5): the controller tells a broker to stop, or delete, replicas.
//!
//! - v1: broker epoch, partitions by topic (KIP-380)
//! - v2: flexible (KIP-482)
//! - v3: leader epoch and deletion for each partition (KIP-570)
//! - v4: whether the controller is a KRaft one (KIP-866)

use crate::Str;
use crate::description::{api, wire};

api!(
    StopReplica, versions 0-4, flexible 2+,
    StopReplicaRequest => StopReplicaResponse
);

wire! {
    /// Replicas to stop or delete.
    pub struct StopReplicaRequest {
        /// The controller id.
        0+   controller_id: i32,
        /// If KRaft controller id is used during migration. See KIP-866.
        4+   is_kraft_controller: bool,
        /// The controller epoch.
        0+   controller_epoch: i32,
        /// The broker epoch.
        1+   broker_epoch: i64 = -1,
        /// Whether these partitions should be deleted.
        0-2  delete_partitions: bool,
        /// The partitions to stop.
        0-0  ungrouped_partitions: Vec<StopReplicaPartitionV0>,
        /// The topics to stop.
        1-2  topics: Vec<StopReplicaTopicV1>,
        /// Each topic.
        3+   topic_states: Vec<StopReplicaTopicState>,
    }

    /// A partition, in version 0.
    pub struct StopReplicaPartitionV0 {
        /// The topic name.
        0-0  topic_name: Str,
        /// The partition index.
        0-0  partition_index: i32,
    }

    /// Partitions of a topic, in versions 1 and 2.
    pub struct StopReplicaTopicV1 {
        /// The topic name.
        1-2  name: Str,
        /// The partition indexes.
        1-2  partition_indexes: Vec<i32>,
    }

    /// Partitions of a topic.
    pub struct StopReplicaTopicState {
        /// The topic name.
        3+  topic_name: Str,
        /// The state of each partition.
        3+  partition_states: Vec<StopReplicaPartitionState>,
    }

    /// A partition.
    pub struct StopReplicaPartitionState {
        /// The partition index.
        3+  partition_index: i32,
        /// The leader epoch.
        3+  leader_epoch: i32 = -1,
        /// Whether this partition should be deleted.
        3+  delete_partition: bool,
    }
}

wire! {
    /// What became of the replicas.
    pub struct StopReplicaResponse {
        /// The top-level error code, or 0 if there was no top-level error.
        0+  error_code: i16,
        /// The responses for each partition.
        0+  partition_errors: Vec<StopReplicaPartitionError>,
    }

    /// What became of a replica.
    pub struct StopReplicaPartitionError {
        /// The topic name.
        0+  topic_name: Str,
        /// The partition index.
        0+  partition_index: i32,
        /// The partition error code, or 0 if there was no partition error.
        0+  error_code: i16,
    }
}
