//! CreateTopics (key 19), at the controller (KIP-4).
//!
//! - v1: validate only; error messages
//! - v2: throttle time
//! - v3: the throttled answer comes before the pause (KIP-219)
//! - v4: the broker's defaults for partitions and replicas, by -1 (KIP-464)
//! - v5: flexible (KIP-482); the answer has the topic's configuration (KIP-525)
//! - v6: THROTTLING_QUOTA_EXCEEDED may be answered (KIP-599)
//! - v7: topic id (KIP-516)

use crate::description::{api, wire};
use crate::{Str, Uuid};

api!(
    CreateTopics, versions 0-7, flexible 5+,
    CreateTopicsRequest => CreateTopicsResponse
);

wire! {
    /// Topics to create.
    pub struct CreateTopicsRequest {
        /// The topics to create.
        0+  topics: Vec<CreatableTopic>,
        /// How long to wait in milliseconds before timing out the request.
        0+  timeout_ms: i32 = 60000,
        /// If true, check that the topics can be created as specified, but don't create anything.
        1+  validate_only: bool,
    }

    /// A topic to create.
    pub struct CreatableTopic {
        /// The topic name.
        0+  name: Str,
        /// The number of partitions to create in the topic, or -1 if we are either specifying a manual partition
        /// assignment or using the default partitions.
        0+  num_partitions: i32,
        /// The number of replicas to create for each partition in the topic, or -1 if we are either specifying a manual
        /// partition assignment or using the default replication factor.
        0+  replication_factor: i16,
        /// The manual partition assignment, or the empty array if we are using automatic assignment.
        0+  assignments: Vec<CreatableReplicaAssignment>,
        /// The custom topic configurations to set.
        0+  configs: Vec<CreatableTopicConfig>,
    }

    /// Where the replicas of a partition go.
    pub struct CreatableReplicaAssignment {
        /// The partition index.
        0+  partition_index: i32,
        /// The brokers to place the partition on.
        0+  broker_ids: Vec<i32>,
    }

    /// A setting of a topic.
    pub struct CreatableTopicConfig {
        /// The configuration name.
        0+  name: Str,
        /// The configuration value.
        0+  value: Option<Str>,
    }
}

wire! {
    /// What became of the topics.
    pub struct CreateTopicsResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation, or zero if the
        /// request did not violate any quota.
        2+  throttle_time_ms: i32,
        /// Results for each topic we tried to create.
        0+  topics: Vec<CreatableTopicResult>,
    }

    /// What became of a topic.
    pub struct CreatableTopicResult {
        /// The topic name.
        0+          name: Str,
        /// The unique topic ID.
        7+          topic_id: Uuid,
        /// The error code, or 0 if there was no error.
        0+          error_code: i16,
        /// The error message, or null if there was no error.
        1+          error_message: Option<Str>,
        /// Optional topic config error returned if configs are not returned in the response.
        5+ (tag 0)  topic_config_error_code: i16,
        /// Number of partitions of the topic.
        5+          num_partitions: i32 = -1,
        /// Replication factor of the topic.
        5+          replication_factor: i16 = -1,
        /// Configuration of the topic.
        5+          configs: Option<Vec<CreatableTopicConfigs>>,
    }

    /// A setting that the topic has.
    pub struct CreatableTopicConfigs {
        /// The configuration name.
        5+  name: Str,
        /// The configuration value.
        5+  value: Option<Str>,
        /// True if the configuration is read-only.
        5+  read_only: bool,
        /// The configuration source.
        5+  config_source: i8 = -1,
        /// True if this configuration is sensitive.
        5+  is_sensitive: bool,
    }
}
