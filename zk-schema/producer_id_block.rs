//! `/latest_producer_id_block`: the newest block of producer ids.

use ottla_types::BrokerId;
use serde_json::json;

use crate::document::{self, DecodeError, Document};

/// The node of the newest block.
pub const PATH: &str = "/latest_producer_id_block";

/// How many producer ids a block has.
pub const BLOCK_SIZE: i64 = 1000;

/// `/latest_producer_id_block`, persistent: the newest block of producer ids and who took it. The node exists without data
/// until the first block is taken (`ZkData.scala` ProducerIdBlockZNode).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The broker that took the block.
    pub broker: BrokerId,
    /// Its first id.
    pub block_start: i64,
    /// Its last id, inclusive.
    pub block_end: i64,
}

impl ProducerIdBlock {
    /// Reads the block; none before the first one.
    pub fn decode(path: &str, data: &[u8]) -> Result<Option<ProducerIdBlock>, DecodeError> {
        if data.is_empty() {
            return Ok(None);
        }
        let remedy = "write back a block above every producer id in use; ids given out twice corrupt deduplication";
        let document = Document::parse(path, remedy, data)?;
        let block = ProducerIdBlock {
            broker: BrokerId(document.int("broker")?),
            block_start: document.long("block_start")?,
            block_end: document.long("block_end")?,
        };
        if block.block_start < 0 || block.block_end < block.block_start {
            return Err(document.error("block_end", "is below block_start, or they are negative"));
        }
        Ok(Some(block))
    }

    /// Version 1; the ids are text, since they may pass 32 bits.
    pub fn encode(&self) -> Vec<u8> {
        document::encode(&json!({
            "version": 1,
            "broker": self.broker.0,
            "block_start": self.block_start.to_string(),
            "block_end": self.block_end.to_string(),
        }))
    }

    /// The ids of the block.
    pub fn ids(&self) -> std::ops::Range<i64> {
        self.block_start..self.block_end.saturating_add(1)
    }

    /// The block after `latest`, for `broker`. None: all ids are used up.
    pub fn after(latest: Option<ProducerIdBlock>, broker: BrokerId) -> Option<ProducerIdBlock> {
        let block_start = match latest {
            Some(latest) => latest.block_end.checked_add(1)?,
            None => 0,
        };
        Some(ProducerIdBlock { broker, block_start, block_end: block_start.checked_add(BLOCK_SIZE - 1)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_each_other_until_there_are_none() {
        let first = ProducerIdBlock::after(None, BrokerId(1)).unwrap();
        assert_eq!((first.block_start, first.block_end, first.ids()), (0, 999, 0..1000));
        let second = ProducerIdBlock::after(Some(first), BrokerId(2)).unwrap();
        assert_eq!((second.block_start, second.block_end), (1000, 1999));
        let last = ProducerIdBlock { block_end: i64::MAX - 5, ..second };
        assert_eq!(ProducerIdBlock::after(Some(last), BrokerId(1)), None);
    }

    #[test]
    fn an_empty_node_is_no_block_and_a_backward_one_an_error() {
        assert_eq!(ProducerIdBlock::decode(PATH, b"").unwrap(), None);
        assert!(ProducerIdBlock::decode(PATH, br#"{"broker":1,"block_start":"9","block_end":"8"}"#).is_err());
    }
}
