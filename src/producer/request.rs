//! What a broker is sent.

use bytes::Bytes;
use ottla_records::builder::BatchBuilder;
use ottla_types::{PartitionIndex, TopicName};

/// The number of a request; the answer carries it.
pub type RequestId = u64;
/// The number of a batch, for as long as it is not delivered.
pub type BatchId = u64;

/// Batches for one broker, one of each partition at most.
pub struct Request {
    /// Its number.
    pub id: RequestId,
    /// The batches.
    pub batches: Vec<Outgoing>,
}

/// A batch on its way.
pub struct Outgoing {
    /// Its number.
    pub batch: BatchId,
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionIndex,
    /// What its header must say.
    pub stamp: Stamp,
    /// Its records.
    pub content: Content,
}

/// The producer's part of a batch's header; -1 in all three without idempotence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Producer id.
    pub producer_id: i64,
    /// Producer epoch.
    pub producer_epoch: i16,
    /// Sequence of the first record.
    pub base_sequence: i32,
}

/// The records of a batch.
pub enum Content {
    /// Sent for the first time, or a part of one that was too large: the driver makes the bytes (compression and checksum, outside
    /// of any lock), with the stamp, and gives them back with [`Producer::sealed`](crate::Producer::sealed), before it does anything else.
    Open(BatchBuilder),
    /// Sent again. The stamp may be another than that in the bytes, which are then stamped anew.
    Sealed(Bytes),
}
