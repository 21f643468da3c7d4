//! What a broker's error codes mean to a producer, and what helps.

use ottla_protocol::ErrorCode;

/// What is to be done about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It is written.
    Delivered,
    /// It was written before, at an offset that the broker does not remember.
    DeliveredBefore,
    /// The broker does not lead the partition, or does not know it.
    NotLeader,
    /// The broker has other sequences than this one follows.
    Sequence,
    /// It may go well later.
    Later,
    /// With fewer records it may.
    TooLarge,
    /// It never will.
    Never,
}

pub(crate) fn meaning(code: i16) -> Meaning {
    use ErrorCode::*;
    match ErrorCode::from_code(code) {
        Some(None) => Meaning::Delivered,
        Some(DuplicateSequenceNumber) => Meaning::DeliveredBefore,
        Some(
            NotLeaderOrFollower
            | FencedLeaderEpoch
            | UnknownLeaderEpoch
            | ReplicaNotAvailable
            | KafkaStorageError
            | UnknownTopicOrPartition
            | LeaderNotAvailable
            | BrokerNotAvailable,
        ) => Meaning::NotLeader,
        Some(OutOfOrderSequenceNumber | UnknownProducerId | InvalidProducerEpoch) => Meaning::Sequence,
        Some(MessageTooLarge | RecordListTooLarge) => Meaning::TooLarge,
        Some(error) if error.is_retriable() => Meaning::Later,
        Some(_) | Option::None => Meaning::Never,
    }
}

/// Whether the broker that says so has not written the batch: these are found out before it writes. A leader that lost its
/// office may have written it before.
pub(crate) fn is_not_written(code: i16) -> bool {
    use ErrorCode::*;
    matches!(
        ErrorCode::from_code(code),
        Some(
            CorruptMessage
                | UnknownTopicOrPartition
                | LeaderNotAvailable
                | MessageTooLarge
                | InvalidTopicException
                | RecordListTooLarge
                | NotEnoughReplicas
                | InvalidRequiredAcks
                | TopicAuthorizationFailed
                | ClusterAuthorizationFailed
                | InvalidTimestamp
                | UnsupportedVersion
                | InvalidRequest
                | UnsupportedForMessageFormat
                | PolicyViolation
                | OutOfOrderSequenceNumber
                | InvalidProducerEpoch
                | UnknownProducerId
                | FencedLeaderEpoch
                | UnknownLeaderEpoch
                | UnsupportedCompressionType
                | InvalidRecord
                | ThrottlingQuotaExceeded
        )
    )
}

/// The code by name, the broker's words or those that belong to it, and what helps; of a batch of so many records.
pub(crate) fn words(code: i16, message: Option<&str>, records: u32) -> String {
    let Some(error) = ErrorCode::from_code(code) else {
        return format!("error code {code}, which Kafka 3.9 does not know: {}", message.unwrap_or("no words"));
    };
    let text = match message {
        Some(message) if !message.is_empty() => message,
        // It is the rule that leaders move; Kafka's words for it are long.
        _ if meaning(code) == Meaning::NotLeader => return error.name().to_owned(),
        _ => error.message(),
    };
    match remedy(error, records) {
        "" => format!("{}: {text}", error.name()),
        remedy => format!("{}: {}. {remedy}", error.name(), text.trim_end_matches('.')),
    }
}

fn remedy(error: ErrorCode, records: u32) -> &'static str {
    use ErrorCode::*;
    match error {
        MessageTooLarge if records == 1 => "Raise the topic's max.message.bytes.",
        MessageTooLarge => "Raise the topic's max.message.bytes, or lower the producer's batch.size.",
        RecordListTooLarge if records == 1 => "Raise the topic's segment.bytes.",
        RecordListTooLarge => "Raise the topic's segment.bytes, or lower the producer's batch.size.",
        TopicAuthorizationFailed => "Grant the producer's user Write on the topic.",
        ClusterAuthorizationFailed => {
            "Grant the producer's user IdempotentWrite on the cluster, or set enable.idempotence=false."
        }
        InvalidRequiredAcks => "Set acks to 0, 1 or all.",
        InvalidTimestamp => {
            "Send another timestamp, or set the topic's message.timestamp.type or message.timestamp.before.max.ms and \
             message.timestamp.after.max.ms."
        }
        InvalidRecord => "A topic with cleanup.policy=compact takes records with a key only.",
        UnsupportedCompressionType => "Set another compression.type.",
        UnsupportedForMessageFormat => "Raise the topic's message.format.version, or set enable.idempotence=false.",
        InvalidTopicException => "Choose another topic.",
        PolicyViolation => "Ask who set the broker's policies.",
        NotEnoughReplicas | NotEnoughReplicasAfterAppend => {
            "Start more of the topic's replicas, or lower its min.insync.replicas."
        }
        ProducerFenced => "Another producer has taken over its producer id.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch that goes again must be the same for the broker: what is written already must not be given up for certain.
    #[test]
    fn who_has_written_it_does_not_say_not_written() {
        for error in [
            ErrorCode::RequestTimedOut,
            ErrorCode::NotEnoughReplicasAfterAppend,
            ErrorCode::NotLeaderOrFollower,
            ErrorCode::KafkaStorageError,
            ErrorCode::UnknownServerError,
            ErrorCode::NetworkException,
        ] {
            assert!(!is_not_written(error.code()), "{error}");
        }
        assert!(!is_not_written(1_000));
    }

    #[test]
    fn each_code_has_one_meaning() {
        let count = |wanted| ErrorCode::ALL.iter().filter(|error| meaning(error.code()) == wanted).count();
        assert_eq!((count(Meaning::Delivered), count(Meaning::DeliveredBefore), count(Meaning::Sequence)), (1, 1, 3));
        assert_eq!(count(Meaning::TooLarge), 2);
        for error in ErrorCode::ALL {
            let goes_again = matches!(meaning(error.code()), Meaning::NotLeader | Meaning::Later);
            let also = *error == ErrorCode::BrokerNotAvailable;
            assert_eq!(goes_again, error.is_retriable() || also, "{error}: as Kafka's RetriableException");
        }
        assert_eq!(meaning(1_000), Meaning::Never);
    }
}
