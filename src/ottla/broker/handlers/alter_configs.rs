//! AlterConfigs (KIP-133): all configs of a topic or broker are replaced. `ZkAdminManager.scala` (alterConfigs).
//!
//! Two who use it at once undo each other's changes; IncrementalAlterConfigs does not.

use std::sync::Arc;

use futures_util::future::join_all;
use ottla_protocol::ErrorCode;
use ottla_protocol::schema::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
};

use crate::broker::api_error::{ApiError, outcome};
use crate::broker::config_alteration::{Changes, ConfigAlteration, named_twice};
use crate::broker::request::Reply;

/// What the handler needs.
pub struct AlterConfigs {
    /// Checks and writes configs.
    pub alteration: Arc<ConfigAlteration>,
}

impl AlterConfigs {
    /// Answers when the changes are written.
    pub fn handle(self: &Arc<Self>, request: AlterConfigsRequest) -> Reply<AlterConfigsResponse> {
        let handler = self.clone();
        Reply::later(async move { handler.answer(&request).await })
    }

    pub(super) async fn answer(&self, request: &AlterConfigsRequest) -> AlterConfigsResponse {
        let key = |resource: &AlterConfigsResource| (resource.resource_type, resource.resource_name.to_string());
        let twice = &named_twice(request.resources.iter().map(key));
        let responses = request.resources.iter().map(|resource| async move {
            let altered = if twice.contains(&key(resource)) {
                Err(ApiError::new(ErrorCode::InvalidRequest, "Each resource must appear at most once."))
            } else {
                self.alter(resource, request.validate_only).await
            };
            let (error_code, error_message) = outcome(&altered);
            AlterConfigsResourceResponse {
                error_code,
                error_message,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
            }
        });
        AlterConfigsResponse { responses: join_all(responses).await, ..AlterConfigsResponse::default() }
    }

    async fn alter(&self, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), ApiError> {
        let without_value: Vec<&str> =
            resource.configs.iter().filter(|config| config.value.is_none()).map(|config| &*config.name).collect();
        if !without_value.is_empty() {
            let message = format!("Null value not supported for : {}", without_value.join(", "));
            return Err(ApiError::new(ErrorCode::InvalidRequest, message));
        }
        let configs = resource.configs.iter().filter_map(|config| {
            let value = config.value.as_ref()?;
            Some((config.name.to_string(), value.to_string()))
        });
        let changes = Changes::Replace(configs.collect());
        self.alteration.alter(resource.resource_type, &resource.resource_name, &changes, validate_only).await
    }
}
