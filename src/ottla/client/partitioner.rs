//! Which partition a key belongs to, as Kafka's clients decide.

use ottla_producer::KeyHash;

/// The partition of a key, of `count` partitions.
pub fn partition_for_key(key: &[u8], count: i32) -> i32 {
    ottla_producer::partition_for_key(KeyHash::Murmur2, key, count)
}
