//! ApiVersions (KIP-35, KIP-511): what this broker serves. The list is the dispatch table itself.

use ottla_protocol::schema::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::schema::versions;
use ottla_protocol::{ApiKey, ErrorCode, Message};

use crate::broker::dispatch::SERVED;

/// Answers at once.
pub fn handle(request: &ApiVersionsRequest, version: i16) -> ApiVersionsResponse {
    if version >= 3 && !(is_valid(&request.client_software_name) && is_valid(&request.client_software_version)) {
        return ApiVersionsResponse { error_code: ErrorCode::InvalidRequest.code(), ..ApiVersionsResponse::default() };
    }
    ApiVersionsResponse { api_keys: SERVED.iter().copied().filter_map(range).collect(), ..ApiVersionsResponse::default() }
}

/// The answer, in version 0, to a version that this broker does not know: the client tries again within the range.
pub fn unknown_version() -> ApiVersionsResponse {
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: range(ApiVersionsRequest::KEY).into_iter().collect(),
        ..ApiVersionsResponse::default()
    }
}

/// The versions that are served: those of the codec, but of OffsetCommit and OffsetFetch only the first, which go to
/// ZooKeeper.
pub fn served_versions(key: ApiKey) -> Option<std::ops::RangeInclusive<i16>> {
    match key {
        ApiKey::OffsetCommit | ApiKey::OffsetFetch => Some(0..=0),
        key if SERVED.contains(&key) => versions(key),
        _ => None,
    }
}

fn range(key: ApiKey) -> Option<ApiVersion> {
    let versions = served_versions(key)?;
    Some(ApiVersion { api_key: key.code(), min_version: *versions.start(), max_version: *versions.end() })
}

/// `ApiVersionsRequest.java`: `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`.
fn is_valid(software: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    let bytes = software.as_bytes();
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| inner(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_are_checked_from_version_3_on() {
        let request = |name: &'static str| ApiVersionsRequest {
            client_software_name: name.into(),
            client_software_version: "1.0".into(),
        };
        assert_eq!(handle(&request("librdkafka"), 3).error_code, 0);
        for bad in ["", "-a", "a.", "a b"] {
            assert_eq!(handle(&request(bad), 3).error_code, ErrorCode::InvalidRequest.code(), "{bad}");
            assert_eq!(handle(&request(bad), 2).error_code, 0);
        }
    }

    #[test]
    fn only_what_is_served_is_listed() {
        let listed = handle(&ApiVersionsRequest::default(), 0);
        let of = |key: ApiKey| listed.api_keys.iter().find(|api| api.api_key == key.code());
        assert_eq!(of(ApiKey::OffsetCommit).unwrap().max_version, 0);
        assert_eq!(of(ApiKey::Fetch).unwrap().max_version, 17);
        assert!(of(ApiKey::JoinGroup).is_none());
    }
}
