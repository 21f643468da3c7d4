//! Producer ids, unique in the cluster: blocks of a thousand are claimed in `/latest_producer_id_block`, at the first use
//! (`ZkProducerIdManager.scala`).

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use ottla_types::BrokerId;
use tracing::warn;

use crate::zk::store_producer_ids::{self, AllocationError};
use crate::zk::znodes::Znodes;

/// The ids of the current block.
pub struct ProducerIds {
    znodes: Arc<dyn Znodes>,
    broker: BrokerId,
    left: Mutex<Range<i64>>,
    /// Held while a block is claimed, so that many who wait claim one.
    claiming: tokio::sync::Mutex<()>,
}

impl ProducerIds {
    /// Without a block yet.
    pub fn new(znodes: Arc<dyn Znodes>, broker: BrokerId) -> ProducerIds {
        ProducerIds { znodes, broker, left: Mutex::new(0..0), claiming: tokio::sync::Mutex::new(()) }
    }

    /// An id of the current block, if it has one left.
    pub fn take(&self) -> Option<i64> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    /// An id, of a new block if need be.
    pub async fn next(&self) -> Result<i64, AllocationError> {
        let _claiming = self.claiming.lock().await;
        loop {
            if let Some(id) = self.take() {
                return Ok(id);
            }
            let block = store_producer_ids::allocate(&*self.znodes, self.broker)
                .await
                .inspect_err(|e| warn!("no block of producer ids from ZooKeeper: {e}; producers will ask again"))?;
            *self.left.lock().unwrap_or_else(PoisonError::into_inner) =
                block.block_start..block.block_end + 1;
        }
    }
}
