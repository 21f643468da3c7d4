use std::time::Duration;

use ottla_producer::{Failure, Refusal};
use ottla_types::TopicNameError;

use crate::client::ClientError;
use crate::config::ConfigErrors;
use crate::zk::live::ConnectError;

/// Why a producer did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProducerError {
    /// The configuration cannot be.
    #[error(transparent)]
    Config(std::sync::Arc<ConfigErrors>),
    /// ZooKeeper cannot be reached.
    #[error(transparent)]
    Connect(std::sync::Arc<ConnectError>),
    /// None of the bootstrap servers answers.
    #[error("no broker of bootstrap.servers={servers} answers: {why}")]
    Bootstrap {
        /// Where brokers were looked for.
        servers: String,
        /// What the last one said.
        why: ClientError,
    },
    /// A topic cannot have this name.
    #[error(transparent)]
    TopicName(#[from] TopicNameError),
    /// The record was not taken.
    #[error(transparent)]
    Refused(Refusal),
    /// What is known of the topic did not come within `max.block.ms`.
    #[error("nothing is known of topic {topic} after {} ms (max.block.ms): {why}", .waited.as_millis())]
    TopicUnknown {
        /// The topic.
        topic: String,
        /// `max.block.ms`.
        waited: Duration,
        /// What stood in the way.
        why: String,
    },
    /// The topic does not exist, and no broker has made it within `max.block.ms`.
    #[error(
        "topic {topic} does not exist and was not made within {} ms (max.block.ms): {why}; does the broker have \
         auto.create.topics.enable=true? Or create it with `ottla topics --create --topic {topic}`",
        .waited.as_millis()
    )]
    TopicNotCreated {
        /// The topic.
        topic: String,
        /// `max.block.ms`.
        waited: Duration,
        /// What the broker said, or why none was asked.
        why: String,
    },
    /// The broker that was asked to make the topic refused.
    #[error("topic {topic} does not exist and the broker does not make it: {message}")]
    TopicRefused {
        /// The topic.
        topic: String,
        /// The broker's error code.
        code: i16,
        /// What belongs to the code.
        message: String,
    },
    /// `buffer.memory` had no room within `max.block.ms`.
    #[error(
        "no room within {} ms (max.block.ms): buffer.memory ({limit} bytes) is full of records that wait for their \
         brokers; send more slowly, or raise it", .waited.as_millis()
    )]
    NoRoom {
        /// `max.block.ms`.
        waited: Duration,
        /// `buffer.memory`.
        limit: usize,
    },
    /// The record was taken and not delivered, or nobody can say.
    #[error(transparent)]
    Failed(Failure),
    /// The producer was closed.
    #[error("the producer is closed")]
    Closed,
    /// The producer cannot go on.
    #[error("the producer cannot go on: {0}")]
    Fatal(String),
}

impl From<ConfigErrors> for ProducerError {
    fn from(errors: ConfigErrors) -> ProducerError {
        ProducerError::Config(errors.into())
    }
}

impl From<ConnectError> for ProducerError {
    fn from(error: ConnectError) -> ProducerError {
        ProducerError::Connect(error.into())
    }
}

impl From<Refusal> for ProducerError {
    fn from(refusal: Refusal) -> ProducerError {
        match refusal {
            Refusal::Closed => ProducerError::Closed,
            Refusal::Fatal(why) => ProducerError::Fatal(why),
            refusal => ProducerError::Refused(refusal),
        }
    }
}
