//! One description per API: what its messages look like in each version, and what each version brought.
//!
//! `description.rs` explains the language.

pub mod alter_configs;
pub mod api_versions;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod fetch;
pub mod find_coordinator;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod leader_and_isr;
pub mod list_offsets;
pub mod metadata;
pub mod offset_commit;
pub mod offset_fetch;
pub mod produce;
pub mod stop_replica;
pub mod update_metadata;

use std::ops::RangeInclusive;

use crate::ApiKey;
use crate::message::Message;

pub use alter_configs::{AlterConfigsRequest, AlterConfigsResponse};
pub use api_versions::{ApiVersionsRequest, ApiVersionsResponse};
pub use create_partitions::{CreatePartitionsRequest, CreatePartitionsResponse};
pub use create_topics::{CreateTopicsRequest, CreateTopicsResponse};
pub use delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
pub use describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
pub use describe_configs::{DescribeConfigsRequest, DescribeConfigsResponse};
pub use fetch::{FetchRequest, FetchResponse};
pub use find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
pub use incremental_alter_configs::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
pub use init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
pub use leader_and_isr::{LeaderAndIsrRequest, LeaderAndIsrResponse};
pub use list_offsets::{ListOffsetsRequest, ListOffsetsResponse};
pub use metadata::{MetadataRequest, MetadataResponse};
pub use offset_commit::{OffsetCommitRequest, OffsetCommitResponse};
pub use offset_fetch::{OffsetFetchRequest, OffsetFetchResponse};
pub use produce::{ProduceRequest, ProduceResponse};
pub use stop_replica::{StopReplicaRequest, StopReplicaResponse};
pub use update_metadata::{UpdateMetadataRequest, UpdateMetadataResponse};

/// The versions of an API that the codec knows, if any.
pub fn versions(key: ApiKey) -> Option<RangeInclusive<i16>> {
    match key {
        ApiKey::ApiVersions => Some(ApiVersionsRequest::VERSIONS),
        ApiKey::Metadata => Some(MetadataRequest::VERSIONS),
        ApiKey::Produce => Some(ProduceRequest::VERSIONS),
        ApiKey::Fetch => Some(FetchRequest::VERSIONS),
        ApiKey::ListOffsets => Some(ListOffsetsRequest::VERSIONS),
        ApiKey::CreateTopics => Some(CreateTopicsRequest::VERSIONS),
        ApiKey::DeleteTopics => Some(DeleteTopicsRequest::VERSIONS),
        ApiKey::CreatePartitions => Some(CreatePartitionsRequest::VERSIONS),
        ApiKey::DescribeConfigs => Some(DescribeConfigsRequest::VERSIONS),
        ApiKey::IncrementalAlterConfigs => Some(IncrementalAlterConfigsRequest::VERSIONS),
        ApiKey::AlterConfigs => Some(AlterConfigsRequest::VERSIONS),
        ApiKey::DescribeCluster => Some(DescribeClusterRequest::VERSIONS),
        ApiKey::InitProducerId => Some(InitProducerIdRequest::VERSIONS),
        ApiKey::FindCoordinator => Some(FindCoordinatorRequest::VERSIONS),
        ApiKey::OffsetCommit => Some(OffsetCommitRequest::VERSIONS),
        ApiKey::OffsetFetch => Some(OffsetFetchRequest::VERSIONS),
        ApiKey::LeaderAndIsr => Some(LeaderAndIsrRequest::VERSIONS),
        ApiKey::StopReplica => Some(StopReplicaRequest::VERSIONS),
        ApiKey::UpdateMetadata => Some(UpdateMetadataRequest::VERSIONS),
        _ => None,
    }
}
