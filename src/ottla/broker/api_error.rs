//! Why an administrative request was refused: a code for the client's program and a sentence for its user
//! (`ApiError.java`).

use ottla_protocol::{ErrorCode, Str};

use super::error_map;
use crate::zk::StoreError;
use crate::zk::store_topics::TopicError;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// What clients act on.
    pub code: ErrorCode,
    /// What people read; `None`: the code says it all.
    pub message: Option<String>,
}

impl ApiError {
    /// A refusal with a sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError { code, message: Some(message.into()) }
    }

    /// The sentence as responses carry it.
    pub fn wire_message(&self) -> Option<Str> {
        self.message.as_deref().map(Str::from)
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> ApiError {
        ApiError { code, message: None }
    }
}

/// A node that cannot be read is nothing that a client can mend: the message names the node and the remedy.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        let code = error.zk().map_or(ErrorCode::UnknownServerError, error_map::zookeeper);
        ApiError::new(code, error.to_string())
    }
}

impl From<TopicError> for ApiError {
    fn from(error: TopicError) -> ApiError {
        let code = match &error {
            TopicError::Store(error) => return error.clone().into(),
            TopicError::Exists(_) | TopicError::BeingDeleted(_) => ErrorCode::TopicAlreadyExists,
            TopicError::Unknown(_) => ErrorCode::UnknownTopicOrPartition,
            TopicError::Collides { topic, other } => {
                let message = format!("Topic '{topic}' collides with existing topics: {other}");
                return ApiError::new(ErrorCode::InvalidTopicException, message);
            }
            TopicError::PartitionExists { .. } => ErrorCode::InvalidPartitions,
        };
        ApiError::new(code, error.to_string())
    }
}

/// The code and the sentence of an outcome, as responses carry them.
pub(super) fn outcome(result: &Result<(), ApiError>) -> (i16, Option<Str>) {
    match result {
        Ok(()) => (ErrorCode::None.code(), None),
        Err(error) => (error.code.code(), error.wire_message()),
    }
}
