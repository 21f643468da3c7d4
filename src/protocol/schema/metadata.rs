//! Metadata (key 3): brokers, controller, topics and who leads their partitions.
//!
//! - v0: an empty list of topics asks for all
//! - v1: null asks for all, an empty list for none; rack, controller, internal topics
//! - v2: cluster id (KIP-78)
//! - v3: throttle time
//! - v4: topic creation can be declined (KIP-204)
//! - v5: offline replicas (KIP-112)
//! - v6: the throttled answer comes before the pause (KIP-219)
//! - v7: leader epoch (KIP-320)
//! - v8: authorized operations on request (KIP-430)
//! - v9: flexible (KIP-482)
//! - v10: topic id and nullable name, usable in the answer alone (KIP-516)
//! - v11: authorized operations of the cluster move to DescribeCluster (KIP-700)
//! - v12: topics can be asked for by id (KIP-516)

use crate::description::{api, wire};
use crate::{Str, Uuid};

api!(
    Metadata, versions 0-12, flexible 9+,
    MetadataRequest => MetadataResponse
);

wire! {
    /// Asks for brokers and topics. Versions 10 and 11 cannot use topic ids.
    pub struct MetadataRequest {
        /// The topics to describe. In version 0 an empty list asks for all, later null does.
        0+ (null 1+)  topics: Option<Vec<MetadataRequestTopic>>,
        /// If this is true, the broker may auto-create topics that we requested which do not already exist, if it is
        /// configured to do so.
        4+            allow_auto_topic_creation: bool = true,
        /// Whether to include cluster authorized operations.
        8-10          include_cluster_authorized_operations: bool,
        /// Whether to include topic authorized operations.
        8+            include_topic_authorized_operations: bool,
    }

    /// A topic to describe, by name or (from version 12) by id.
    pub struct MetadataRequestTopic {
        /// The topic id.
        10+            topic_id: Uuid,
        /// The topic name.
        0+ (null 10+)  name: Option<Str>,
    }
}

wire! {
    /// Brokers, controller and topics.
    pub struct MetadataResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation, or zero if the
        /// request did not violate any quota.
        3+    throttle_time_ms: i32,
        /// A list of brokers present in the cluster.
        0+    brokers: Vec<MetadataResponseBroker>,
        /// The cluster ID that responding broker belongs to.
        2+    cluster_id: Option<Str>,
        /// The ID of the controller broker.
        1+    controller_id: i32 = -1,
        /// Each topic in the response.
        0+    topics: Vec<MetadataResponseTopic>,
        /// 32-bit bitfield to represent authorized operations for this cluster.
        8-10  cluster_authorized_operations: i32 = i32::MIN,
    }

    /// A broker, at the listener that was asked.
    pub struct MetadataResponseBroker {
        /// The broker ID.
        0+  node_id: i32,
        /// The broker hostname.
        0+  host: Str,
        /// The broker port.
        0+  port: i32,
        /// The rack of the broker, or null if it has not been assigned to a rack.
        1+  rack: Option<Str>,
    }

    /// A topic and its partitions.
    pub struct MetadataResponseTopic {
        /// The topic error, or 0 if there was no error.
        0+             error_code: i16,
        /// The topic name. Null for non-existing topics queried by ID. This is never null when ErrorCode is zero. One
        /// of Name and TopicId is always populated.
        0+ (null 12+)  name: Option<Str>,
        /// The topic id. Zero for non-existing topics queried by name. This is never zero when ErrorCode is zero. One
        /// of Name and TopicId is always populated.
        10+            topic_id: Uuid,
        /// True if the topic is internal.
        1+             is_internal: bool,
        /// Each partition in the topic.
        0+             partitions: Vec<MetadataResponsePartition>,
        /// 32-bit bitfield to represent authorized operations for this topic.
        8+             topic_authorized_operations: i32 = i32::MIN,
    }

    /// Who leads and keeps a partition.
    pub struct MetadataResponsePartition {
        /// The partition error, or 0 if there was no error.
        0+  error_code: i16,
        /// The partition index.
        0+  partition_index: i32,
        /// The ID of the leader broker.
        0+  leader_id: i32,
        /// The leader epoch of this partition.
        7+  leader_epoch: i32 = -1,
        /// The set of all nodes that host this partition.
        0+  replica_nodes: Vec<i32>,
        /// The set of nodes that are in sync with the leader for this partition.
        0+  isr_nodes: Vec<i32>,
        /// The set of offline replicas of this partition.
        5+  offline_replicas: Vec<i32>,
    }
}
