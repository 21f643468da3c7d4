//! DeleteTopics (key 20), at the controller (KIP-4).
//!
//! - v1: throttle time
//! - v2: the throttled answer comes before the pause (KIP-219)
//! - v3: TOPIC_DELETION_DISABLED may be answered (KIP-322)
//! - v4: flexible (KIP-482)
//! - v5: error messages; THROTTLING_QUOTA_EXCEEDED may be answered (KIP-599)
//! - v6: topics by name or id (KIP-516)

use crate::description::{api, wire};
use crate::{Str, Uuid};

api!(
    DeleteTopics, versions 0-6, flexible 4+,
    DeleteTopicsRequest => DeleteTopicsResponse
);

wire! {
    /// Topics to delete.
    pub struct DeleteTopicsRequest {
        /// The name or topic ID of the topic.
        6+   topics: Vec<DeleteTopicState>,
        /// The names of the topics to delete.
        0-5  topic_names: Vec<Str>,
        /// The length of time in milliseconds to wait for the deletions to complete.
        0+   timeout_ms: i32,
    }

    /// A topic by name or id.
    pub struct DeleteTopicState {
        /// The topic name.
        6+  name: Option<Str>,
        /// The unique topic ID.
        6+  topic_id: Uuid,
    }
}

wire! {
    /// What became of the topics.
    pub struct DeleteTopicsResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation, or zero if the
        /// request did not violate any quota.
        1+  throttle_time_ms: i32,
        /// The results for each topic we tried to delete.
        0+  responses: Vec<DeletableTopicResult>,
    }

    /// What became of a topic.
    pub struct DeletableTopicResult {
        /// The topic name.
        0+ (null 6+)  name: Option<Str>,
        /// the unique topic ID.
        6+            topic_id: Uuid,
        /// The deletion error, or 0 if the deletion succeeded.
        0+            error_code: i16,
        /// The error message, or null if there was no error.
        5+            error_message: Option<Str>,
    }
}
