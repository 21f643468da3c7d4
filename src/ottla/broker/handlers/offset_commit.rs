//! OffsetCommit, version 0: into ZooKeeper, where classic consumers keep their offsets. `KafkaApis.scala`
//! (commitOffsetsToZookeeper).
//!
//! Only topics that exist have offsets. The metadata's length is checked, but ZooKeeper has no place for it.

use std::sync::Arc;

use futures_util::future::join_all;
use ottla_protocol::schema::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_protocol::{ErrorCode, Str};
use ottla_types::{TopicName, TopicPartition};
use tracing::{debug, warn};

use crate::broker::current_config::CurrentConfig;
use crate::broker::error_map;
use crate::broker::metadata_cache::{MetadataCache, Snapshot};
use crate::broker::request::Reply;
use crate::zk::store_offsets;
use crate::zk::znodes::{ZkError, Znodes};

/// What the handler needs.
pub struct OffsetCommit {
    /// Where classic offsets are.
    pub znodes: Arc<dyn Znodes>,
    /// Which topics there are.
    pub cache: Arc<MetadataCache>,
    /// `offset.metadata.max.bytes`.
    pub config: Arc<CurrentConfig>,
}

impl OffsetCommit {
    /// Answers when the offsets are written.
    pub fn handle(self: &Arc<Self>, request: OffsetCommitRequest) -> Reply<OffsetCommitResponse> {
        let handler = self.clone();
        Reply::later(async move { handler.answer(&request).await })
    }

    pub(super) async fn answer(&self, request: &OffsetCommitRequest) -> OffsetCommitResponse {
        let snapshot = self.cache.snapshot();
        let topics = request.topics.iter().map(|topic| self.topic(&snapshot, &request.group_id, topic));
        OffsetCommitResponse { topics: join_all(topics).await, ..OffsetCommitResponse::default() }
    }

    async fn topic(
        &self,
        snapshot: &Snapshot,
        group: &str,
        topic: &OffsetCommitRequestTopic,
    ) -> OffsetCommitResponseTopic {
        let name = TopicName::new(&topic.name).ok().filter(|name| snapshot.topics.contains_key(name));
        let partitions = topic.partitions.iter().map(|partition| async {
            let code = match &name {
                Some(name) => self.commit(group, name, partition).await,
                None => ErrorCode::UnknownTopicOrPartition,
            };
            OffsetCommitResponsePartition { partition_index: partition.partition_index, error_code: code.code() }
        });
        OffsetCommitResponseTopic { name: topic.name.clone(), partitions: join_all(partitions).await }
    }

    async fn commit(&self, group: &str, topic: &TopicName, partition: &OffsetCommitRequestPartition) -> ErrorCode {
        // Kafka counts Java's characters.
        let length = |text: &Str| text.encode_utf16().count();
        let metadata = partition.committed_metadata.as_ref().map_or(0, length);
        if metadata > self.config.get().offset_metadata_max_bytes {
            return ErrorCode::OffsetMetadataTooLarge;
        }
        // A number below 0 would be a node that no reader knows.
        if partition.partition_index < 0 {
            return ErrorCode::UnknownTopicOrPartition;
        }
        let id = TopicPartition::new(topic.clone(), partition.partition_index);
        match store_offsets::commit_offset(&*self.znodes, group, &id, partition.committed_offset).await {
            Ok(()) => ErrorCode::None,
            Err(error) if matches!(error.zk(), Some(ZkError::Refused(_))) => {
                debug!("an offset of group {group} is not committed: {error}");
                ErrorCode::InvalidGroupId
            }
            Err(error) => {
                warn!("an offset of group {group} is not committed: {error}");
                match error.zk() {
                    Some(error) => error_map::zookeeper(error),
                    None => ErrorCode::UnknownServerError,
                }
            }
        }
    }
}
