//! DescribeConfigs (key 32): settings of topics and brokers (KIP-133).
//!
//! - v1: where a value comes from, and what it hides (KIP-226)
//! - v2: the throttled answer comes before the pause (KIP-219)
//! - v3: types and documentation on request (KIP-569)
//! - v4: flexible (KIP-482)

use crate::Str;
use crate::description::{api, wire};

api!(
    DescribeConfigs, versions 0-4, flexible 4+,
    DescribeConfigsRequest => DescribeConfigsResponse
);

wire! {
    /// Asks for settings.
    pub struct DescribeConfigsRequest {
        /// The resources whose configurations we want to describe.
        0+  resources: Vec<DescribeConfigsResource>,
        /// True if we should include all synonyms.
        1+  include_synonyms: bool,
        /// True if we should include configuration documentation.
        3+  include_documentation: bool,
    }

    /// A topic or broker whose settings are asked for.
    pub struct DescribeConfigsResource {
        /// The resource type.
        0+  resource_type: i8,
        /// The resource name.
        0+  resource_name: Str,
        /// The configuration keys to list, or null to list all configuration keys.
        0+  configuration_keys: Option<Vec<Str>>,
    }
}

wire! {
    /// Settings.
    pub struct DescribeConfigsResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation, or zero if the
        /// request did not violate any quota.
        0+  throttle_time_ms: i32,
        /// The results for each resource.
        0+  results: Vec<DescribeConfigsResult>,
    }

    /// Settings of a topic or broker.
    pub struct DescribeConfigsResult {
        /// The error code, or 0 if we were able to successfully describe the configurations.
        0+  error_code: i16,
        /// The error message, or null if we were able to successfully describe the configurations.
        0+  error_message: Option<Str>,
        /// The resource type.
        0+  resource_type: i8,
        /// The resource name.
        0+  resource_name: Str,
        /// Each listed configuration.
        0+  configs: Vec<DescribeConfigsResourceResult>,
    }

    /// A setting.
    pub struct DescribeConfigsResourceResult {
        /// The configuration name.
        0+   name: Str,
        /// The configuration value.
        0+   value: Option<Str>,
        /// True if the configuration is read-only.
        0+   read_only: bool,
        /// True if the configuration is not set.
        0-0  is_default: bool,
        /// The configuration source.
        1+   config_source: i8 = -1,
        /// True if this configuration is sensitive.
        0+   is_sensitive: bool,
        /// The synonyms for this configuration key.
        1+   synonyms: Vec<DescribeConfigsSynonym>,
        /// The configuration data type. Type can be one of the following values - BOOLEAN, STRING, INT, SHORT, LONG,
        /// DOUBLE, LIST, CLASS, PASSWORD.
        3+   config_type: i8,
        /// The configuration documentation.
        3+   documentation: Option<Str>,
    }

    /// A value that stands behind a setting, by precedence.
    pub struct DescribeConfigsSynonym {
        /// The synonym name.
        1+  name: Str,
        /// The synonym value.
        1+  value: Option<Str>,
        /// The synonym source.
        1+  source: i8,
    }
}
