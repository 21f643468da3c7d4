//! What the controller says to this broker, in process: the same handlers that a socket would reach.

use ottla_protocol::schema::{
    LeaderAndIsrRequest, LeaderAndIsrResponse, StopReplicaRequest, StopReplicaResponse, UpdateMetadataRequest,
    UpdateMetadataResponse,
};

use super::controller_channel::{Answer, ControlRequests};
use super::handlers::leader_and_isr::LeaderAndIsr;
use super::handlers::stop_replica::StopReplica;
use super::handlers::update_metadata::UpdateMetadata;

/// The three handlers.
pub struct Control {
    /// Roles.
    pub leader_and_isr: LeaderAndIsr,
    /// The end of roles and logs.
    pub stop_replica: StopReplica,
    /// What clients are told.
    pub update_metadata: UpdateMetadata,
}

impl ControlRequests for Control {
    fn leader_and_isr(&self, request: LeaderAndIsrRequest) -> Answer<'_, LeaderAndIsrResponse> {
        Box::pin(self.leader_and_isr.handle(request))
    }

    fn update_metadata(&self, request: UpdateMetadataRequest) -> Answer<'_, UpdateMetadataResponse> {
        Box::pin(async { self.update_metadata.handle(request) })
    }

    fn stop_replica(&self, request: StopReplicaRequest) -> Answer<'_, StopReplicaResponse> {
        Box::pin(self.stop_replica.handle(request))
    }
}
