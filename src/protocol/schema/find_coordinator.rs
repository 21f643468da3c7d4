//! FindCoordinator (key 10): which broker coordinates a group or a transactional id.
//!
//! - v1: transactional ids (KIP-98), throttle time, error messages
//! - v2: the throttled answer comes before the pause (KIP-219)
//! - v3: flexible (KIP-482)
//! - v4: several keys at once (KIP-699)
//! - v5: TRANSACTION_ABORTABLE may be answered (KIP-890)
//! - v6: share groups (KIP-932)

use crate::Str;
use crate::description::{api, wire};

api!(
    FindCoordinator, versions 0-6, flexible 3+,
    FindCoordinatorRequest => FindCoordinatorResponse
);

wire! {
    /// Asks who coordinates.
    pub struct FindCoordinatorRequest {
        /// The coordinator key.
        0-3  key: Str,
        /// The coordinator key type. (Group, transaction, etc.).
        1+   key_type: i8,
        /// The coordinator keys.
        4+   coordinator_keys: Vec<Str>,
    }
}

wire! {
    /// Who coordinates.
    pub struct FindCoordinatorResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation, or zero if the
        /// request did not violate any quota.
        1+   throttle_time_ms: i32,
        /// The error code, or 0 if there was no error.
        0-3  error_code: i16,
        /// The error message, or null if there was no error.
        1-3  error_message: Option<Str>,
        /// The node id.
        0-3  node_id: i32,
        /// The host name.
        0-3  host: Str,
        /// The port.
        0-3  port: i32,
        /// Each coordinator result in the response.
        4+   coordinators: Vec<Coordinator>,
    }

    /// Who coordinates one key.
    pub struct Coordinator {
        /// The coordinator key.
        4+  key: Str,
        /// The node id.
        4+  node_id: i32,
        /// The host name.
        4+  host: Str,
        /// The port.
        4+  port: i32,
        /// The error code, or 0 if there was no error.
        4+  error_code: i16,
        /// The error message, or null if there was no error.
        4+  error_message: Option<Str>,
    }
}
