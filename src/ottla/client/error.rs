use std::time::Duration;

use ottla_protocol::{ApiKey, DecodeError, EncodeError, ErrorCode};

/// Why a request has no good answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No connection came about.
    #[error("{address}: cannot connect: {why}")]
    Connect {
        /// `host:port`.
        address: String,
        /// What the system said.
        why: String,
    },
    /// The connection ended before the answer came; the request may have been carried out.
    #[error("{address}: the connection ended: {why}")]
    Closed {
        /// `host:port`.
        address: String,
        /// What happened.
        why: String,
    },
    /// The answer did not come in time; the request may have been carried out.
    #[error("{address}: no answer to {} within {} ms", .api.name(), .after.as_millis())]
    Timeout {
        /// `host:port`.
        address: String,
        /// What was asked.
        api: ApiKey,
        /// The time that was given.
        after: Duration,
    },
    /// The broker knows no version of this API that this client knows.
    #[error("{address}: the broker does not know {} in a version that this client knows", .api.name())]
    UnsupportedApi {
        /// `host:port`.
        address: String,
        /// What was to be asked.
        api: ApiKey,
    },
    /// The answer is not what the protocol says.
    #[error("{address}: an answer that cannot be read: {source}")]
    Malformed {
        /// `host:port`.
        address: String,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The request holds something that the wire cannot carry.
    #[error("a request that cannot be sent: {0}")]
    Encode(#[from] EncodeError),
    /// The broker answered with an error.
    #[error("{message}")]
    Broker {
        /// Its code.
        code: ErrorCode,
        /// Its words, else those that belong to the code.
        message: String,
    },
}

impl ClientError {
    /// What an answer's error code and message mean; code 0 is no error.
    pub fn check(code: i16, message: Option<&str>) -> Result<(), ClientError> {
        if code == 0 {
            return Ok(());
        }
        let code = ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
        let message = message.filter(|text| !text.is_empty()).unwrap_or(code.message()).to_owned();
        Err(ClientError::Broker { code, message })
    }

    /// The broker's error code, if it was the broker that refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Broker { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the partition's leader is elsewhere or not known yet: nothing was done, and asking again after new metadata
    /// may help.
    pub fn wants_new_metadata(&self) -> bool {
        matches!(
            self.code(),
            Some(
                ErrorCode::NotLeaderOrFollower
                    | ErrorCode::LeaderNotAvailable
                    | ErrorCode::UnknownTopicOrPartition
                    | ErrorCode::FencedLeaderEpoch
                    | ErrorCode::UnknownLeaderEpoch
                    | ErrorCode::ReplicaNotAvailable
            )
        )
    }
}
