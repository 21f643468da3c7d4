//! IncrementalAlterConfigs (key 44): change single settings, the others stay (KIP-339).
//!
//! - v1: flexible (KIP-482)

use crate::Str;
use crate::description::{api, wire};

api!(
    IncrementalAlterConfigs, versions 0-1, flexible 1+,
    IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse
);

wire! {
    /// Changes of settings.
    pub struct IncrementalAlterConfigsRequest {
        /// The incremental updates for each resource.
        0+  resources: Vec<AlterConfigsResource>,
        /// True if we should validate the request, but not change the configurations.
        0+  validate_only: bool,
    }

    /// Changes of the settings of a topic or broker.
    pub struct AlterConfigsResource {
        /// The resource type.
        0+  resource_type: i8,
        /// The resource name.
        0+  resource_name: Str,
        /// The configurations.
        0+  configs: Vec<AlterableConfig>,
    }

    /// A change of a setting.
    pub struct AlterableConfig {
        /// The configuration key name.
        0+  name: Str,
        /// The type (Set, Delete, Append, Subtract) of operation.
        0+  config_operation: i8,
        /// The value to set for the configuration key.
        0+  value: Option<Str>,
    }
}

wire! {
    /// What became of the changes.
    pub struct IncrementalAlterConfigsResponse {
        /// Duration in milliseconds for which the request was throttled due to a quota violation, or zero if the
        /// request did not violate any quota.
        0+  throttle_time_ms: i32,
        /// The responses for each resource.
        0+  responses: Vec<AlterConfigsResourceResponse>,
    }

    /// What became of the changes of a topic or broker.
    pub struct AlterConfigsResourceResponse {
        /// The resource error code.
        0+  error_code: i16,
        /// The resource error message, or null if there was no error.
        0+  error_message: Option<Str>,
        /// The resource type.
        0+  resource_type: i8,
        /// The resource name.
        0+  resource_name: Str,
    }
}
