//! `/isr_change_notification/isr_change_<n>`: hints to the controller that leaders wrote an ISR.

use ottla_types::TopicPartition;

use crate::document::DecodeError;
use crate::partition_list;

/// The folder of the notifications.
pub const PARENT: &str = "/isr_change_notification";

/// What the server adds a ten-digit number to.
pub const PREFIX: &str = "/isr_change_notification/isr_change_";

/// Reads which partitions' ISR a leader has written itself (inter.broker.protocol.version below 2.7-IV2).
pub fn decode(path: &str, data: &[u8]) -> Result<Vec<TopicPartition>, DecodeError> {
    partition_list::decode(path, "delete the node: it is only a hint", data)
}

/// Version 1.
pub fn encode(partitions: &[TopicPartition]) -> Vec<u8> {
    partition_list::encode(partitions)
}
