//! `/admin/preferred_replica_election`: preferred leaders asked for by a tool.

use ottla_types::TopicPartition;

use crate::document::DecodeError;
use crate::partition_list;

/// The node of a preferred leader election asked for by a tool; absent when there is none. The controller deletes it after
/// one attempt.
pub const PATH: &str = "/admin/preferred_replica_election";

/// Reads the partitions that are to be led by their first replica.
pub fn decode(path: &str, data: &[u8]) -> Result<Vec<TopicPartition>, DecodeError> {
    partition_list::decode(path, "delete the node and ask for the election anew", data)
}

/// Version 1.
pub fn encode(partitions: &[TopicPartition]) -> Vec<u8> {
    partition_list::encode(partitions)
}
