//! AlterConfigs (key 33): replace all settings of a topic or broker (KIP-133).
//!
//! - v1: the throttled answer comes before the pause (KIP-219)
//! - v2: flexible (KIP-482)

use crate::Str;
use crate::description::{api, wire};

api!(
    AlterConfigs, versions 0-2, flexible 2+,
    AlterConfigsRequest => AlterConfigsResponse
);

wire! {
    /// Settings that replace the ones before.
    pub struct AlterConfigsRequest {
        /// The updates for each resource.
        0+  resources: Vec<AlterConfigsResource>,
        /// True if we should validate the request, but not change the configurations.
        0+  validate_only: bool,
    }

    /// All settings of a topic or broker.
    pub struct AlterConfigsResource {
        /// The resource type.
        0+  resource_type: i8,
        /// The resource name.
        0+  resource_name: Str,
        /// The configurations.
        0+  configs: Vec<AlterableConfig>,
    }

    /// A setting.
    pub struct AlterableConfig {
        /// The configuration key name.
        0+  name: Str,
        /// The value to set for the configuration key.
        0+  value: Option<Str>,
    }
}

wire! {
    /// What became of the settings.
    pub struct AlterConfigsResponse {
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
