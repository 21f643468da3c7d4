//! ApiVersions (key 18): which APIs and versions a broker serves (KIP-35); the first request of most clients.
//!
//! Its response header never has tagged fields, so that a client can read it before it knows the broker. An unknown
//! version is answered in version 0 with UNSUPPORTED_VERSION and this API's own range (KIP-511).
//!
//! - v1: throttle time
//! - v2: the throttled answer comes before the pause (KIP-219)
//! - v3: flexible; the client's software name and version (KIP-511); features (KIP-584)
//! - v4: a supported feature may have 0 as its lowest version (KAFKA-17011)

use crate::Str;
use crate::description::{api, wire};

api!(
    ApiVersions, versions 0-4, flexible 3+,
    ApiVersionsRequest => ApiVersionsResponse
);

wire! {
    /// Asks what the broker serves.
    pub struct ApiVersionsRequest {
        /// The name of the client.
        3+  client_software_name: Str,
        /// The version of the client.
        3+  client_software_version: Str,
    }
}

wire! {
    /// What the broker serves.
    pub struct ApiVersionsResponse {
        /// The top-level error code.
        0+          error_code: i16,
        /// The APIs supported by the broker.
        0+          api_keys: Vec<ApiVersion>,
        /// The duration in milliseconds for which the request was throttled due to a quota violation, or zero if the
        /// request did not violate any quota.
        1+          throttle_time_ms: i32,
        /// Features supported by the broker. Note: in v0-v3, features with MinSupportedVersion = 0 are omitted.
        3+ (tag 0)  supported_features: Vec<SupportedFeatureKey>,
        /// The monotonically increasing epoch for the finalized features information. Valid values are >= 0. A value of
        /// -1 is special and represents unknown epoch.
        3+ (tag 1)  finalized_features_epoch: i64 = -1,
        /// List of cluster-wide finalized features. The information is valid only if FinalizedFeaturesEpoch >= 0.
        3+ (tag 2)  finalized_features: Vec<FinalizedFeatureKey>,
        /// Set by a KRaft controller if the required configurations for ZK migration are present.
        3+ (tag 3)  zk_migration_ready: bool,
    }

    /// The versions of one API.
    pub struct ApiVersion {
        /// The API index.
        0+  api_key: i16,
        /// The minimum supported version, inclusive.
        0+  min_version: i16,
        /// The maximum supported version, inclusive.
        0+  max_version: i16,
    }

    /// The versions of a feature that the broker could use.
    pub struct SupportedFeatureKey {
        /// The name of the feature.
        3+  name: Str,
        /// The minimum supported version for the feature.
        3+  min_version: i16,
        /// The maximum supported version for the feature.
        3+  max_version: i16,
    }

    /// The versions of a feature that the cluster uses.
    pub struct FinalizedFeatureKey {
        /// The name of the feature.
        3+  name: Str,
        /// The cluster-wide finalized max version level for the feature.
        3+  max_version_level: i16,
        /// The cluster-wide finalized min version level for the feature.
        3+  min_version_level: i16,
    }
}
