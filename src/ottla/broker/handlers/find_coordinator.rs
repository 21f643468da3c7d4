//! FindCoordinator: which broker coordinates a group or a transactional id. With one broker: this one.

use std::sync::Arc;

use ottla_protocol::schema::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use ottla_protocol::{ErrorCode, Str};
use ottla_types::BrokerId;

use crate::broker::MetadataCache;
use crate::broker::request::RequestContext;

/// What the handler needs.
pub struct FindCoordinator {
    /// This broker.
    pub broker_id: BrokerId,
    /// The cluster: the answer is this broker's endpoint at the listener that asked.
    pub cache: Arc<MetadataCache>,
}

impl FindCoordinator {
    /// Answers at once. Until the broker is announced: COORDINATOR_NOT_AVAILABLE, upon which clients ask again.
    pub fn handle(&self, context: &RequestContext, request: &FindCoordinatorRequest) -> FindCoordinatorResponse {
        let snapshot = self.cache.snapshot();
        let endpoint = snapshot.brokers.get(&self.broker_id).and_then(|broker| broker.endpoint(&context.listener));
        let coordinator = |key: Str| match endpoint {
            Some(endpoint) => Coordinator {
                key,
                node_id: self.broker_id.0,
                host: endpoint.host.as_str().into(),
                port: endpoint.port.into(),
                ..Coordinator::default()
            },
            None => Coordinator {
                key,
                node_id: -1,
                port: -1,
                error_code: ErrorCode::CoordinatorNotAvailable.code(),
                error_message: Some(Str::from_static(ErrorCode::CoordinatorNotAvailable.message())),
                ..Coordinator::default()
            },
        };
        let first = coordinator(request.key.clone());
        FindCoordinatorResponse {
            error_code: first.error_code,
            error_message: first.error_message.clone(),
            node_id: first.node_id,
            host: first.host.clone(),
            port: first.port,
            coordinators: request.coordinator_keys.iter().cloned().map(coordinator).collect(),
            ..FindCoordinatorResponse::default()
        }
    }
}
