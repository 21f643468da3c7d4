//! InitProducerId: an id for an idempotent producer (KIP-98). `TransactionCoordinator.scala` (handleInitProducerId).

use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::schema::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use crate::broker::producer_ids::ProducerIds;
use crate::broker::request::Reply;

/// What the handler needs.
pub struct InitProducerId {
    /// Where ids come from.
    pub ids: Arc<ProducerIds>,
}

impl InitProducerId {
    /// Answers when there is an id: at once, unless a new block of them is fetched from ZooKeeper. There are no
    /// transactions yet: a transactional id is refused for good, so that its producer stops at once and says why.
    pub fn handle(&self, request: &InitProducerIdRequest) -> Reply<InitProducerIdResponse> {
        let refused = |code: ErrorCode| InitProducerIdResponse {
            error_code: code.code(),
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        };
        if request.transactional_id.is_some() {
            return Reply::Now(refused(ErrorCode::UnsupportedVersion));
        }
        let given = |id| InitProducerIdResponse { producer_id: id, ..InitProducerIdResponse::default() };
        if let Some(id) = self.ids.take() {
            return Reply::Now(given(id));
        }
        let ids = self.ids.clone();
        Reply::later(async move {
            match ids.next().await {
                Ok(id) => given(id),
                // Clients ask again upon this one.
                Err(_) => refused(ErrorCode::CoordinatorLoadInProgress),
            }
        })
    }
}
