use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::PartitionIndex;

/// A valid topic name: 1 to 249 of `[a-zA-Z0-9._-]`, neither `.` nor `..` (Kafka's `Topic.java`). Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

/// Why a text is not a topic name; the messages are Kafka's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// No character at all.
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    /// `.` or `..`, which would be a folder of another meaning.
    #[error("Topic name is invalid: '{0}' is not allowed")]
    Dots(String),
    /// Over 249 characters: partition folders would pass the file system's 255.
    #[error("Topic name is invalid: the length of '{0}' is longer than the max allowed length 249")]
    TooLong(String),
    /// A character outside the set.
    #[error(
        "Topic name is invalid: '{0}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )]
    Character(String),
}

impl TopicName {
    /// Checks and takes a name.
    pub fn new(name: &str) -> Result<TopicName, TopicNameError> {
        if name.is_empty() {
            return Err(TopicNameError::Empty);
        }
        if name == "." || name == ".." {
            return Err(TopicNameError::Dots(name.into()));
        }
        if name.len() > 249 {
            return Err(TopicNameError::TooLong(name.into()));
        }
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            return Err(TopicNameError::Character(name.into()));
        }
        Ok(TopicName(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `__consumer_offsets` and `__transaction_state`: clients do not write them, the broker makes them when needed.
    pub fn is_internal(&self) -> bool {
        matches!(self.as_str(), "__consumer_offsets" | "__transaction_state")
    }

    /// Whether two names would share a metric name: `.` and `_` count as equal (Kafka's `Topic.hasCollision`).
    pub fn collides_with(&self, other: &TopicName) -> bool {
        self != other && self.as_str().replace('.', "_") == other.as_str().replace('.', "_")
    }
}

/// So that a map by name is asked with any text: what is no name is not found.
impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A partition of a topic. Prints as Kafka does: `orders-3`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition's number.
    pub partition: PartitionIndex,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: TopicName, partition: PartitionIndex) -> TopicPartition {
        TopicPartition { topic, partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A topic's unique id (KIP-516): 16 bytes; as text 22 characters of URL-safe base64 without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub [u8; 16]);

/// A text that is no topic id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a topic id: 22 characters of URL-safe base64 are expected")]
pub struct TopicIdError(pub String);

impl TopicId {
    /// What the wire says for "no id": all zeros.
    pub const ZERO: TopicId = TopicId([0; 16]);

    /// An id from 16 random bytes, with the bits of a version 4 UUID set, and as Kafka does never one whose text would
    /// begin with a dash: a command line would take it for a flag. `None` asks for other bytes.
    pub fn from_random(mut bytes: [u8; 16]) -> Option<TopicId> {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let id = TopicId(bytes);
        (!id.to_string().starts_with('-')).then_some(id)
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Result<TopicId, TopicIdError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TopicIdError(text.into()))?;
        bytes.try_into().map(TopicId).map_err(|_| TopicIdError(text.into()))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_as_kafka_does() {
        assert!(TopicName::new("a.B_9-").is_ok());
        assert!(TopicName::new(&"x".repeat(249)).is_ok());
        assert_eq!(TopicName::new(""), Err(TopicNameError::Empty));
        assert!(matches!(TopicName::new(".."), Err(TopicNameError::Dots(_))));
        assert!(matches!(TopicName::new(&"x".repeat(250)), Err(TopicNameError::TooLong(_))));
        assert!(matches!(TopicName::new("a/b"), Err(TopicNameError::Character(_))));
    }

    #[test]
    fn dots_and_underscores_collide() {
        let name = |n| TopicName::new(n).unwrap();
        assert!(name("a.b").collides_with(&name("a_b")));
        assert!(!name("a.b").collides_with(&name("a.b")));
        assert!(!name("a.b").collides_with(&name("ab")));
    }

    #[test]
    fn topic_ids_read_back() {
        let id = TopicId::parse("Y8JvQkf_STimD9AZDgXkbA").unwrap();
        assert_eq!(id.to_string(), "Y8JvQkf_STimD9AZDgXkbA");
        assert!(TopicId::parse("Y8JvQkf").is_err());
        assert_eq!(TopicId::from_random([0xfb; 16]), None);
    }
}
