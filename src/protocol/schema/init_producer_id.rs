//! InitProducerId (key 22): a producer id for idempotent and transactional producers (KIP-98).
//!
//! - v1: the throttled answer comes before the pause (KIP-219)
//! - v2: flexible (KIP-482)
//! - v3: a producer may go on with its id at a higher epoch (KIP-360)
//! - v4: PRODUCER_FENCED may be answered (KIP-588)
//! - v5: TRANSACTION_ABORTABLE may be answered (KIP-890)

use crate::Str;
use crate::description::{api, wire};

api!(
    InitProducerId, versions 0-5, flexible 2+,
    InitProducerIdRequest => InitProducerIdResponse
);

wire! {
    /// Asks for a producer id.
    pub struct InitProducerIdRequest {
        /// The transactional id, or null if the producer is not transactional.
        0+  transactional_id: Option<Str>,
        /// The time in ms to wait before aborting idle transactions sent by this producer. This is only relevant if a
        /// TransactionalId has been defined.
        0+  transaction_timeout_ms: i32,
        /// The producer id. This is used to disambiguate requests if a transactional id is reused following its
        /// expiration.
        3+  producer_id: i64 = -1,
        /// The producer's current epoch. This will be checked against the producer epoch on the broker, and the request
        /// will return an error if they do not match.
        3+  producer_epoch: i16 = -1,
    }
}

wire! {
    /// A producer id and epoch.
    pub struct InitProducerIdResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation, or zero if the
        /// request did not violate any quota.
        0+  throttle_time_ms: i32,
        /// The error code, or 0 if there was no error.
        0+  error_code: i16,
        /// The current producer id.
        0+  producer_id: i64 = -1,
        /// The current epoch associated with the producer id.
        0+  producer_epoch: i16,
    }
}
