//! From a room's error to the wire's code: the only place where the two meet. No match here has a wildcard, so a new error
//! must choose its code; none of these is UNKNOWN_SERVER_ERROR, which tells a client nothing and makes some give up.

use ottla_log::ProducerError;
use ottla_protocol::ErrorCode;
use ottla_records::validate::ValidationErrorKind;
use ottla_replication::{AppendRefusal, EpochRefusal};

use super::partition::{AppendError, ReadError};
use crate::zk::znodes::ZkError;

/// A batch against the rules.
pub fn validation(kind: ValidationErrorKind) -> ErrorCode {
    match kind {
        ValidationErrorKind::CorruptMessage => ErrorCode::CorruptMessage,
        ValidationErrorKind::InvalidRecord => ErrorCode::InvalidRecord,
        ValidationErrorKind::InvalidTimestamp => ErrorCode::InvalidTimestamp,
        ValidationErrorKind::MessageTooLarge => ErrorCode::MessageTooLarge,
        ValidationErrorKind::UnsupportedCompressionType => ErrorCode::UnsupportedCompressionType,
    }
}

/// An append that was refused, or whose safety is not known.
pub fn append(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Refused(AppendRefusal::NotLeader(_)) => ErrorCode::NotLeaderOrFollower,
        AppendError::Refused(AppendRefusal::NotEnoughReplicas { .. }) => ErrorCode::NotEnoughReplicas,
        AppendError::Invalid(error) => validation(error.kind),
        AppendError::Log(error) => log_append(error),
        AppendError::Offline => ErrorCode::KafkaStorageError,
    }
}

fn log_append(error: &ottla_log::AppendError) -> ErrorCode {
    match error {
        ottla_log::AppendError::Producer(error) => match error {
            ProducerError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            ProducerError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            ProducerError::InvalidTxnState { .. } => ErrorCode::InvalidTxnState,
            ProducerError::TransactionCoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
        },
        ottla_log::AppendError::Malformed(_) | ottla_log::AppendError::Offset { .. } => ErrorCode::CorruptMessage,
        ottla_log::AppendError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        ottla_log::AppendError::Storage(_) => ErrorCode::KafkaStorageError,
    }
}

/// A read that found nothing.
pub fn read(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::NotLeader(_) => ErrorCode::NotLeaderOrFollower,
        ReadError::Epoch(EpochRefusal::Fenced { .. }) => ErrorCode::FencedLeaderEpoch,
        ReadError::Epoch(EpochRefusal::Unknown { .. }) => ErrorCode::UnknownLeaderEpoch,
        ReadError::Log(ottla_log::ReadError::OutOfRange(_)) => ErrorCode::OffsetOutOfRange,
        ReadError::Log(ottla_log::ReadError::Storage(_)) => ErrorCode::KafkaStorageError,
    }
}

/// ZooKeeper did not do what a request needed. What is not known to have failed is a time-out: the client looks and
/// decides.
pub fn zookeeper(error: &ZkError) -> ErrorCode {
    match error {
        ZkError::NoNode => ErrorCode::UnknownTopicOrPartition,
        ZkError::NodeExists => ErrorCode::TopicAlreadyExists,
        ZkError::NoAuth => ErrorCode::ClusterAuthorizationFailed,
        ZkError::TooLarge(_) => ErrorCode::InvalidRequest,
        ZkError::BadVersion | ZkError::NotEmpty | ZkError::Unknown | ZkError::Expired | ZkError::Refused(_) => {
            ErrorCode::RequestTimedOut
        }
    }
}
