//! IncrementalAlterConfigs (KIP-339): single configs of a topic or broker are changed, the others stay.
//! `ConfigAdminManager.scala` (preprocess), `ZkAdminManager.scala` (incrementalAlterConfigs).

use std::sync::Arc;

use futures_util::future::join_all;
use ottla_protocol::ErrorCode;
use ottla_protocol::schema::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use crate::broker::api_error::{ApiError, outcome};
use crate::broker::config_alteration::{Changes, ConfigAlteration, Operation, named_twice};
use crate::broker::request::Reply;

/// What the handler needs.
pub struct IncrementalAlterConfigs {
    /// Checks and writes configs.
    pub alteration: Arc<ConfigAlteration>,
}

impl IncrementalAlterConfigs {
    /// Answers when the changes are written.
    pub fn handle(self: &Arc<Self>, request: IncrementalAlterConfigsRequest) -> Reply<IncrementalAlterConfigsResponse> {
        let handler = self.clone();
        Reply::later(async move { handler.answer(&request).await })
    }

    pub(super) async fn answer(&self, request: &IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
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
        let responses = join_all(responses).await;
        IncrementalAlterConfigsResponse { responses, ..IncrementalAlterConfigsResponse::default() }
    }

    async fn alter(&self, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), ApiError> {
        let without_value = |config: &&AlterableConfig| config.config_operation != DELETE && config.value.is_none();
        let without_value: Vec<&str> =
            resource.configs.iter().filter(without_value).map(|config| &*config.name).collect();
        if !without_value.is_empty() {
            let message = format!("Null value not supported for : {}", without_value.join(", "));
            return Err(ApiError::new(ErrorCode::InvalidRequest, message));
        }
        let changes = resource.configs.iter().map(change).collect::<Result<_, _>>()?;
        let changes = Changes::Each(changes);
        self.alteration.alter(resource.resource_type, &resource.resource_name, &changes, validate_only).await
    }
}

/// The wire's number of the operation that needs no value (`AlterConfigOp.java`).
const DELETE: i8 = 1;

fn change(config: &AlterableConfig) -> Result<(String, Operation), ApiError> {
    let value = || config.value.as_ref().map(ToString::to_string).unwrap_or_default();
    let operation = match config.config_operation {
        0 => Operation::Set(value()),
        DELETE => Operation::Delete,
        2 => Operation::Append(value()),
        3 => Operation::Subtract(value()),
        other => {
            return Err(ApiError::new(ErrorCode::InvalidRequest, format!("Unknown operations type {other}")));
        }
    };
    Ok((config.name.to_string(), operation))
}
