use std::sync::atomic::{AtomicU64, Ordering};

/// What a producer can say about itself, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProducerMetrics {
    /// Records that were delivered.
    pub delivered_records: u64,
    /// Batches that were delivered.
    pub delivered_batches: u64,
    /// Records that failed.
    pub failed_records: u64,
    /// Batches that failed.
    pub failed_batches: u64,
    /// Batches that were too large for their brokers, and sent in parts; those count as batches.
    pub split_batches: u64,
    /// Produce requests that were sent.
    pub requests: u64,
    /// Bytes that were written to sockets in Produce requests.
    pub sent_bytes: u64,
    /// Batches that were sent again.
    pub retries: u64,
    /// How often sequence numbers began anew under a higher epoch.
    pub epoch_bumps: u64,
    /// Connections to brokers that came about.
    pub connections: u64,
    /// Metadata requests: with ZooKeeper those that let a broker create a topic, and no other.
    pub metadata_requests: u64,
    /// ZooKeeper sessions that ended before the producer was closed.
    pub expired_sessions: u64,
    /// Bytes of `buffer.memory` that are in use.
    pub buffered_bytes: usize,
}

/// The figures as they grow.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) delivered_records: AtomicU64,
    pub(super) delivered_batches: AtomicU64,
    pub(super) failed_records: AtomicU64,
    pub(super) failed_batches: AtomicU64,
    pub(super) split_batches: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) sent_bytes: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) epoch_bumps: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) metadata_requests: AtomicU64,
    pub(super) expired_sessions: AtomicU64,
}

/// Counts.
pub(super) fn add(figure: &AtomicU64, amount: u64) {
    figure.fetch_add(amount, Ordering::Relaxed);
}

impl Figures {
    pub(super) fn read(&self, buffered_bytes: usize) -> ProducerMetrics {
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        ProducerMetrics {
            delivered_records: read(&self.delivered_records),
            delivered_batches: read(&self.delivered_batches),
            failed_records: read(&self.failed_records),
            failed_batches: read(&self.failed_batches),
            split_batches: read(&self.split_batches),
            requests: read(&self.requests),
            sent_bytes: read(&self.sent_bytes),
            retries: read(&self.retries),
            epoch_bumps: read(&self.epoch_bumps),
            connections: read(&self.connections),
            metadata_requests: read(&self.metadata_requests),
            expired_sessions: read(&self.expired_sessions),
            buffered_bytes,
        }
    }
}
