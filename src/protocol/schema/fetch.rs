//! Fetch (key 1): read record batches; consumers and followers alike.
//!
//! - v1: throttle time (KIP-13)
//! - v2: message format 1 (KIP-32)
//! - v3: limit of the whole answer, partitions in the order asked (KIP-74)
//! - v4: record batches, format 2; isolation level, aborted transactions (KIP-98)
//! - v5: log start offset (KIP-107)
//! - v6: KAFKA_STORAGE_ERROR may be answered (KIP-112)
//! - v7: fetch sessions (KIP-227)
//! - v8: the throttled answer comes before the pause (KIP-219)
//! - v9: leader epoch (KIP-320)
//! - v10: zstd (KIP-110)
//! - v11: rack, preferred read replica (KIP-392)
//! - v12: flexible (KIP-482); last fetched epoch, diverging epoch, current leader (KIP-595)
//! - v13: topic ids in place of names (KIP-516)
//! - v14: OFFSET_MOVED_TO_TIERED_STORAGE may be answered (KIP-405)
//! - v15: replica state in place of the replica id (KIP-903)
//! - v16: endpoints of the current leaders (KIP-951)
//! - v17: directory id of the replica (KIP-853)

use crate::description::{api, wire};
use crate::frame::Payload;
use crate::{Str, Uuid};

api!(
    Fetch, versions 0-17, flexible 12+,
    FetchRequest => FetchResponse [records: P]
);

wire! {
    /// Asks for batches from offsets on.
    pub struct FetchRequest {
        /// The clusterId if known. This is used to validate metadata fetches prior to broker registration.
        12+ (tag 0)  cluster_id: Option<Str>,
        /// The follower that asks; -1 for a consumer, -2 for a debugging consumer.
        0-14         replica_id: i32 = -1,
        /// Which follower asks; left out by consumers.
        15+ (tag 1)  replica_state: ReplicaState,
        /// The maximum time in milliseconds to wait for the response.
        0+           max_wait_ms: i32,
        /// The minimum bytes to accumulate in the response.
        0+           min_bytes: i32,
        /// The maximum bytes to fetch. See KIP-74 for cases where this limit may not be honored.
        3+           max_bytes: i32 = i32::MAX,
        /// 0 (read_uncommitted) shows all records, 1 (read_committed) those below the last stable offset, and the list
        /// of aborted transactions with them.
        4+           isolation_level: i8,
        /// The fetch session ID.
        7+           session_id: i32,
        /// The fetch session epoch, which is used for ordering requests in a session.
        7+           session_epoch: i32 = -1,
        /// The topics to fetch.
        0+           topics: Vec<FetchTopic>,
        /// In an incremental fetch request, the partitions to remove.
        7+           forgotten_topics_data: Vec<ForgottenTopic>,
        /// Rack ID of the consumer making this request.
        11+          rack_id: Str,
    }

    /// Which follower asks.
    pub struct ReplicaState {
        /// The replica ID of the follower, or -1 if this request is from a consumer.
        15+  replica_id: i32 = -1,
        /// The epoch of this follower, or -1 if not available.
        15+  replica_epoch: i64 = -1,
    }

    /// Partitions of a topic to read.
    pub struct FetchTopic {
        /// The name of the topic to fetch.
        0-12  topic: Str,
        /// The unique topic ID.
        13+   topic_id: Uuid,
        /// The partitions to fetch.
        0+    partitions: Vec<FetchPartition>,
    }

    /// A partition to read.
    pub struct FetchPartition {
        /// The partition index.
        0+           partition: i32,
        /// The current leader epoch of the partition.
        9+           current_leader_epoch: i32 = -1,
        /// The message offset.
        0+           fetch_offset: i64,
        /// The epoch of the last fetched record or -1 if there is none.
        12+          last_fetched_epoch: i32 = -1,
        /// The earliest available offset of the follower replica. The field is only used when the request is sent by
        /// the follower.
        5+           log_start_offset: i64 = -1,
        /// The maximum bytes to fetch from this partition. See KIP-74 for cases where this limit may not be honored.
        0+           partition_max_bytes: i32,
        /// The directory id of the follower fetching.
        17+ (tag 0)  replica_directory_id: Uuid,
    }

    /// Partitions that leave the fetch session.
    pub struct ForgottenTopic {
        /// The topic name.
        7-12  topic: Str,
        /// The unique topic ID.
        13+   topic_id: Uuid,
        /// The partitions indexes to forget.
        7+    partitions: Vec<i32>,
    }
}

wire! {
    /// Batches of several topics.
    pub struct FetchResponse<P> {
        /// The duration in milliseconds for which the request was throttled due to a quota violation, or zero if the
        /// request did not violate any quota.
        1+           throttle_time_ms: i32,
        /// The top level response error code.
        7+           error_code: i16,
        /// The fetch session ID, or 0 if this is not part of a fetch session.
        7+           session_id: i32,
        /// The response topics.
        0+           responses: Vec<FetchableTopicResponse<P>>,
        /// Endpoints for all current-leaders enumerated in PartitionData, with errors NOT_LEADER_OR_FOLLOWER &
        /// FENCED_LEADER_EPOCH.
        16+ (tag 0)  node_endpoints: Vec<NodeEndpoint>,
    }

    /// Batches of a topic.
    pub struct FetchableTopicResponse<P> {
        /// The topic name.
        0-12  topic: Str,
        /// The unique topic ID.
        13+   topic_id: Uuid,
        /// The topic partitions.
        0+    partitions: Vec<PartitionData<P>>,
    }

    /// Batches of a partition, and where its log stands. An empty answer carries empty records, not null.
    pub struct PartitionData<P> {
        /// The partition index.
        0+            partition_index: i32,
        /// The error code, or 0 if there was no fetch error.
        0+            error_code: i16,
        /// The current high water mark.
        0+            high_watermark: i64,
        /// The last stable offset (or LSO) of the partition. This is the last offset such that the state of all
        /// transactional records prior to this offset have been decided (ABORTED or COMMITTED).
        4+            last_stable_offset: i64 = -1,
        /// The current log start offset.
        5+            log_start_offset: i64 = -1,
        /// In case divergence is detected based on the `LastFetchedEpoch` and `FetchOffset` in the request, this field
        /// indicates the largest epoch and its end offset such that subsequent records are known to diverge.
        12+ (tag 0)   diverging_epoch: EpochEndOffset,
        /// The current leader, with NOT_LEADER_OR_FOLLOWER or FENCED_LEADER_EPOCH.
        12+ (tag 1)   current_leader: LeaderIdAndEpoch,
        /// In the case of fetching an offset less than the LogStartOffset, this is the end offset and epoch that should
        /// be used in the FetchSnapshot request.
        12+ (tag 2)   snapshot_id: SnapshotId,
        /// The aborted transactions.
        4+            aborted_transactions: Option<Vec<AbortedTransaction>>,
        /// The preferred read replica for the consumer to use on its next fetch request.
        11+           preferred_read_replica: i32 = -1,
        /// The record data.
        0+ (records)  records: Option<P>,
    }

    /// The largest epoch and its end at which leader and follower may still agree.
    pub struct EpochEndOffset {
        /// The largest epoch, or -1.
        12+  epoch: i32 = -1,
        /// Where it ends, exclusive, or -1.
        12+  end_offset: i64 = -1,
    }

    /// The current leader of a partition.
    pub struct LeaderIdAndEpoch {
        /// The ID of the current leader or -1 if the leader is unknown.
        12+  leader_id: i32 = -1,
        /// The latest known leader epoch.
        12+  leader_epoch: i32 = -1,
    }

    /// The snapshot to fetch instead (KRaft only).
    pub struct SnapshotId {
        /// The end offset of the snapshot, or -1.
        0+  end_offset: i64 = -1,
        /// Its epoch, or -1.
        0+  epoch: i32 = -1,
    }

    /// A transaction whose records a read-committed consumer drops.
    pub struct AbortedTransaction {
        /// The producer id associated with the aborted transaction.
        4+  producer_id: i64,
        /// The first offset in the aborted transaction.
        4+  first_offset: i64,
    }

    /// Where a leader named above can be reached.
    pub struct NodeEndpoint {
        /// The ID of the associated node.
        16+  node_id: i32,
        /// The node's hostname.
        16+  host: Str,
        /// The node's port.
        16+  port: i32,
        /// The rack of the node, or null if it has not been assigned to a rack.
        16+  rack: Option<Str>,
    }
}

impl<P: Payload> FetchResponse<P> {
    /// Record bytes, in the order of writing.
    pub(crate) fn records(&self) -> impl Iterator<Item = &P> {
        self.responses.iter().flat_map(|topic| &topic.partitions).filter_map(|partition| partition.records.as_ref())
    }
}
