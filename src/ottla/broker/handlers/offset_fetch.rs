//! OffsetFetch, version 0: from ZooKeeper, where classic consumers keep their offsets. `KafkaApis.scala`
//! (fetchOffsetsFromZookeeper).
//!
//! What was never committed is UNKNOWN_TOPIC_OR_PARTITION with offset -1; metadata is always empty.

use std::sync::Arc;

use futures_util::future::join_all;
use ottla_protocol::schema::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestTopic, OffsetFetchResponse, OffsetFetchResponsePartition,
    OffsetFetchResponseTopic,
};
use ottla_protocol::{ErrorCode, Str};
use ottla_types::{Offset, TopicName, TopicPartition};
use tracing::warn;

use crate::broker::error_map;
use crate::broker::metadata_cache::{MetadataCache, Snapshot};
use crate::broker::request::Reply;
use crate::zk::store_offsets;
use crate::zk::znodes::Znodes;

/// What the handler needs.
pub struct OffsetFetch {
    /// Where classic offsets are.
    pub znodes: Arc<dyn Znodes>,
    /// Which topics there are.
    pub cache: Arc<MetadataCache>,
}

impl OffsetFetch {
    /// Answers when the offsets are read.
    pub fn handle(self: &Arc<Self>, request: OffsetFetchRequest) -> Reply<OffsetFetchResponse> {
        let handler = self.clone();
        Reply::later(async move { handler.answer(&request).await })
    }

    pub(super) async fn answer(&self, request: &OffsetFetchRequest) -> OffsetFetchResponse {
        let snapshot = self.cache.snapshot();
        let topics = request.topics.iter().flatten();
        let topics = topics.map(|topic| self.topic(&snapshot, &request.group_id, topic));
        OffsetFetchResponse { topics: join_all(topics).await, ..OffsetFetchResponse::default() }
    }

    async fn topic(
        &self,
        snapshot: &Snapshot,
        group: &str,
        topic: &OffsetFetchRequestTopic,
    ) -> OffsetFetchResponseTopic {
        let name = TopicName::new(&topic.name).ok().filter(|name| snapshot.topics.contains_key(name));
        let partitions = topic.partition_indexes.iter().map(|index| async {
            let found = match &name {
                Some(name) => self.fetch(group, TopicPartition::new(name.clone(), *index)).await,
                None => Err(ErrorCode::UnknownTopicOrPartition),
            };
            OffsetFetchResponsePartition {
                partition_index: *index,
                committed_offset: found.unwrap_or(-1),
                metadata: Some(Str::new()),
                error_code: found.err().map_or(0, ErrorCode::code),
                ..OffsetFetchResponsePartition::default()
            }
        });
        OffsetFetchResponseTopic { name: topic.name.clone(), partitions: join_all(partitions).await }
    }

    async fn fetch(&self, group: &str, partition: TopicPartition) -> Result<Offset, ErrorCode> {
        match store_offsets::offset(&*self.znodes, group, &partition).await {
            Ok(found) => found.ok_or(ErrorCode::UnknownTopicOrPartition),
            Err(error) => {
                warn!("an offset of group {group} cannot be read: {error}");
                Err(error.zk().map_or(ErrorCode::UnknownServerError, error_map::zookeeper))
            }
        }
    }
}
