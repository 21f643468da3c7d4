//! LeaderAndIsr (key 4): the controller tells a broker which partitions it leads or follows.
//!
//! - v1: new partitions are marked; KAFKA_STORAGE_ERROR may be answered (KIP-112)
//! - v2: broker epoch, partitions by topic (KIP-380)
//! - v3: adding and removing replicas (KIP-455)
//! - v4: flexible (KIP-482)
//! - v5: topic ids, type of the request (KIP-516)
//! - v6: leader recovery state (KIP-704)
//! - v7: whether the controller is a KRaft one (KIP-866)

use crate::description::{api, wire};
use crate::{Str, Uuid};

api!(
    LeaderAndIsr, versions 0-7, flexible 4+,
    LeaderAndIsrRequest => LeaderAndIsrResponse
);

wire! {
    /// Partitions that this broker is to lead or follow.
    pub struct LeaderAndIsrRequest {
        /// The current controller ID.
        0+   controller_id: i32,
        /// If KRaft controller id is used during migration. See KIP-866.
        7+   is_kraft_controller: bool,
        /// The current controller epoch.
        0+   controller_epoch: i32,
        /// The current broker epoch.
        2+   broker_epoch: i64 = -1,
        /// The type that indicates whether all topics are included in the request.
        5+   request_type: i8,
        /// The state of each partition, in a v0 or v1 message.
        0-1  ungrouped_partition_states: Vec<LeaderAndIsrPartitionState>,
        /// Each topic.
        2+   topic_states: Vec<LeaderAndIsrTopicState>,
        /// The current live leaders.
        0+   live_leaders: Vec<LeaderAndIsrLiveLeader>,
    }

    /// Partitions of a topic.
    pub struct LeaderAndIsrTopicState {
        /// The topic name.
        2+  topic_name: Str,
        /// The unique topic ID.
        5+  topic_id: Uuid,
        /// The state of each partition.
        2+  partition_states: Vec<LeaderAndIsrPartitionState>,
    }

    /// Where a leader named above can be reached.
    pub struct LeaderAndIsrLiveLeader {
        /// The leader's broker ID.
        0+  broker_id: i32,
        /// The leader's hostname.
        0+  host_name: Str,
        /// The leader's port.
        0+  port: i32,
    }

    /// The state of a partition.
    pub struct LeaderAndIsrPartitionState {
        /// The topic name. This is only present in v0 or v1.
        0-1  topic_name: Str,
        /// The partition index.
        0+   partition_index: i32,
        /// The controller epoch.
        0+   controller_epoch: i32,
        /// The broker ID of the leader.
        0+   leader: i32,
        /// The leader epoch.
        0+   leader_epoch: i32,
        /// The in-sync replica IDs.
        0+   isr: Vec<i32>,
        /// The current epoch for the partition. The epoch is a monotonically increasing value which is incremented
        /// after every partition change. (Since the LeaderAndIsr request is only used by the legacy controller, this
        /// corresponds to the zkVersion).
        0+   partition_epoch: i32,
        /// The replica IDs.
        0+   replicas: Vec<i32>,
        /// The replica IDs that we are adding this partition to, or null if no replicas are being added.
        3+   adding_replicas: Vec<i32>,
        /// The replica IDs that we are removing this partition from, or null if no replicas are being removed.
        3+   removing_replicas: Vec<i32>,
        /// Whether the replica should have existed on the broker or not.
        1+   is_new: bool,
        /// 1 if the partition is recovering from an unclean leader election; 0 otherwise.
        6+   leader_recovery_state: i8,
    }
}

wire! {
    /// What became of the partitions.
    pub struct LeaderAndIsrResponse {
        /// The error code, or 0 if there was no error.
        0+   error_code: i16,
        /// Each partition in v0 to v4 message.
        0-4  partition_errors: Vec<LeaderAndIsrPartitionError>,
        /// Each topic.
        5+   topics: Vec<LeaderAndIsrTopicError>,
    }

    /// What became of the partitions of a topic.
    pub struct LeaderAndIsrTopicError {
        /// The unique topic ID.
        5+  topic_id: Uuid,
        /// Each partition.
        5+  partition_errors: Vec<LeaderAndIsrPartitionError>,
    }

    /// What became of a partition.
    pub struct LeaderAndIsrPartitionError {
        /// The topic name.
        0-4  topic_name: Str,
        /// The partition index.
        0+   partition_index: i32,
        /// The partition error code, or 0 if there was no error.
        0+   error_code: i16,
    }
}
