//! UpdateMetadata (key 6): the controller tells a broker what it may tell clients.
//!
//! The list of brokers replaces the one before, so it is always whole; partitions are those that changed.
//!
//! - v1: several endpoints for each broker (KIP-2)
//! - v2: rack (KIP-36)
//! - v3: listener names (KIP-103)
//! - v4: offline replicas (KIP-112)
//! - v5: broker epoch, partitions by topic (KIP-380)
//! - v6: flexible (KIP-482)
//! - v7: topic ids (KIP-516)
//! - v8: whether the controller is a KRaft one, and how complete the request is (KIP-866)

use crate::description::{api, wire};
use crate::{Str, Uuid};

api!(
    UpdateMetadata, versions 0-8, flexible 6+,
    UpdateMetadataRequest => UpdateMetadataResponse
);

wire! {
    /// All live brokers, and the partitions that changed.
    pub struct UpdateMetadataRequest {
        /// The controller id.
        0+          controller_id: i32,
        /// If KRaft controller id is used during migration. See KIP-866.
        8+          is_kraft_controller: bool,
        /// Indicates if this request is a Full metadata snapshot (2), Incremental (1), or Unknown (0). Using during ZK
        /// migration, see KIP-866.
        8+ (tag 0)  request_type: i8,
        /// The controller epoch.
        0+          controller_epoch: i32,
        /// The broker epoch.
        5+          broker_epoch: i64 = -1,
        /// In older versions of this RPC, each partition that we would like to update.
        0-4         ungrouped_partition_states: Vec<UpdateMetadataPartitionState>,
        /// In newer versions of this RPC, each topic that we would like to update.
        5+          topic_states: Vec<UpdateMetadataTopicState>,
        /// All live brokers; they replace the ones known before.
        0+          live_brokers: Vec<UpdateMetadataBroker>,
    }

    /// Partitions of a topic.
    pub struct UpdateMetadataTopicState {
        /// The topic name.
        5+  topic_name: Str,
        /// The topic id.
        7+  topic_id: Uuid,
        /// The partition that we would like to update.
        5+  partition_states: Vec<UpdateMetadataPartitionState>,
    }

    /// A live broker.
    pub struct UpdateMetadataBroker {
        /// The broker id.
        0+   id: i32,
        /// The broker hostname.
        0-0  v0_host: Str,
        /// The broker port.
        0-0  v0_port: i32,
        /// The broker endpoints.
        1+   endpoints: Vec<UpdateMetadataEndpoint>,
        /// The rack which this broker belongs to.
        2+   rack: Option<Str>,
    }

    /// A listener of a broker.
    pub struct UpdateMetadataEndpoint {
        /// The port of this endpoint.
        1+  port: i32,
        /// The hostname of this endpoint.
        1+  host: Str,
        /// The listener name.
        3+  listener: Str,
        /// The security protocol type.
        1+  security_protocol: i16,
    }

    /// The state of a partition.
    pub struct UpdateMetadataPartitionState {
        /// In older versions of this RPC, the topic name.
        0-4  topic_name: Str,
        /// The partition index.
        0+   partition_index: i32,
        /// The controller epoch.
        0+   controller_epoch: i32,
        /// The ID of the broker which is the current partition leader.
        0+   leader: i32,
        /// The leader epoch of this partition.
        0+   leader_epoch: i32,
        /// The brokers which are in the ISR for this partition.
        0+   isr: Vec<i32>,
        /// The Zookeeper version.
        0+   zk_version: i32,
        /// All the replicas of this partition.
        0+   replicas: Vec<i32>,
        /// The replicas of this partition which are offline.
        4+   offline_replicas: Vec<i32>,
    }
}

wire! {
    /// Whether it was taken.
    pub struct UpdateMetadataResponse {
        /// The error code, or 0 if there was no error.
        0+  error_code: i16,
    }
}
