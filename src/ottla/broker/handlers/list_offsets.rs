//! ListOffsets: ends of a log, and the offset that belongs to a time. `KafkaApis.scala` (handleListOffsetRequest).

use std::sync::Arc;

use ottla_log::OffsetQuery;
use ottla_protocol::ErrorCode;
use ottla_protocol::schema::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use ottla_types::TopicName;

use crate::broker::error_map;
use crate::broker::partition::Isolation;
use crate::broker::partitions::Partitions;
use crate::broker::request::{Reply, RequestContext};

/// What the handler needs.
pub struct ListOffsets {
    /// Where the logs are.
    pub partitions: Arc<Partitions>,
}

/// A tool that looks past the high watermark.
const DEBUGGING_CONSUMER: i32 = -2;

impl ListOffsets {
    /// Answers at once, unless something slow holds a partition.
    pub fn handle(&self, context: &RequestContext, request: &ListOffsetsRequest) -> Reply<ListOffsetsResponse> {
        let mut asked = request.topics.iter().flat_map(|topic| topic.partitions.iter().map(|p| (&*topic.name, p)));
        let held = |(topic, asked): (&str, &ListOffsetsPartition)| {
            self.partitions.for_client(topic, asked.partition_index).ok()?.until_free()
        };
        if let Some(free) = asked.find_map(held) {
            return Reply::NotYet(Box::pin(free));
        }
        let isolation = match (request.replica_id, request.isolation_level) {
            (DEBUGGING_CONSUMER, _) => Isolation::LogEnd,
            (_, 1) => Isolation::ReadCommitted,
            _ => Isolation::ReadUncommitted,
        };
        let topics = request.topics.iter().map(|topic| {
            let name = TopicName::new(&topic.name).map_err(|_| ErrorCode::UnknownTopicOrPartition);
            let partition = |asked: &ListOffsetsPartition| {
                let found = match &name {
                    Ok(name) => self.list(context.version(), isolation, name, asked),
                    Err(code) => Err(*code),
                };
                found.unwrap_or_else(|code| ListOffsetsPartitionResponse {
                    error_code: code.code(),
                    ..answer_for(asked)
                })
            };
            ListOffsetsTopicResponse {
                name: topic.name.clone(),
                partitions: topic.partitions.iter().map(partition).collect(),
            }
        });
        Reply::Now(ListOffsetsResponse { topics: topics.collect(), ..ListOffsetsResponse::default() })
    }

    fn list(
        &self,
        version: i16,
        isolation: Isolation,
        topic: &TopicName,
        asked: &ListOffsetsPartition,
    ) -> Result<ListOffsetsPartitionResponse, ErrorCode> {
        let partition = self.partitions.for_client(topic.as_str(), asked.partition_index)?;
        let code = |error| error_map::read(&error);
        if version == 0 {
            let most = asked.max_num_offsets.max(0) as usize;
            let old_style_offsets = partition.list_segment_offsets(asked.timestamp, most).map_err(code)?;
            return Ok(ListOffsetsPartitionResponse { old_style_offsets, ..answer_for(asked) });
        }
        // -5, the end of what tiered storage has: there is none, and Kafka says so with an unknown offset.
        let Some(query) = OffsetQuery::from_wire(asked.timestamp) else { return Ok(answer_for(asked)) };
        let found = partition.list_offset(query, isolation, asked.current_leader_epoch).map_err(code)?;
        Ok(found.map_or(answer_for(asked), |found| ListOffsetsPartitionResponse {
            timestamp: found.timestamp,
            offset: found.offset,
            leader_epoch: found.leader_epoch.map_or(-1, |epoch| epoch.0),
            ..answer_for(asked)
        }))
    }
}

/// "No such offset".
fn answer_for(asked: &ListOffsetsPartition) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse { partition_index: asked.partition_index, ..ListOffsetsPartitionResponse::default() }
}
