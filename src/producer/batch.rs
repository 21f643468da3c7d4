//! A batch from its first record to its outcome.

use std::ops::Range;

use bytes::Bytes;
use ottla_records::builder::BatchBuilder;

use crate::{BatchId, Record, RequestId};

/// A batch that has no outcome yet. Times in ms.
pub(crate) struct Batch<T> {
    pub(crate) id: BatchId,
    /// The number of the batch that it was opened as; its own unless it is a part of it.
    pub(crate) opened_as: BatchId,
    pub(crate) ticket: T,
    /// The place of its first record among those of the ticket.
    pub(crate) first_record: u32,
    pub(crate) content: Held,
    /// What it takes of `buffer.memory`.
    pub(crate) capacity: usize,
    pub(crate) count: u32,
    /// Somebody waits for it: it does not linger.
    pub(crate) hurried: bool,
    /// When it has lingered enough.
    pub(crate) ready_at: u64,
    /// When `delivery.timeout.ms` is over.
    pub(crate) deadline: u64,
    /// Given when it is sent first; with idempotence alone.
    pub(crate) base_sequence: Option<i32>,
    /// The request that carries it.
    pub(crate) flight: Option<RequestId>,
    /// How often it was sent.
    pub(crate) tries: u32,
    /// How many of these do not count for `retries`: what refused it was the batch before it, or a new leader that had not heard
    /// of that yet.
    pub(crate) excused: u32,
    /// A broker may have it, though none has said so.
    pub(crate) may_be_written: bool,
    /// So may the batch that it is a part of, as a whole: then the broker knows none of the parts by its sequence.
    pub(crate) whole_may_be_written: bool,
    /// What stood in the way last.
    pub(crate) obstacle: Option<String>,
}

/// Where the records are.
pub(crate) enum Held {
    /// Here, and there may be more.
    Open(BatchBuilder),
    /// Here, and complete.
    Complete(BatchBuilder),
    /// With the driver, who makes the bytes.
    Out,
    /// Here, as bytes.
    Sealed(Bytes),
}

impl<T> Batch<T> {
    /// Takes in a record if it is still open and has no more than `limit` bytes then; how many it took.
    #[inline]
    pub(crate) fn append(&mut self, limit: usize, record: &Record<'_>) -> Option<usize> {
        let Held::Open(builder) = &mut self.content else { return None };
        let size = builder.append_within(limit, record.timestamp, record.key, record.value, record.headers)?;
        self.count += 1;
        Some(size)
    }

    /// Whether it does not wait for anything: it has lingered enough, or somebody waits for it, or for all (`hurry`).
    pub(crate) fn is_due(&self, now_ms: u64, hurry: bool) -> bool {
        self.hurried || hurry || self.ready_at <= now_ms
    }

    /// Its records among those of the ticket.
    pub(crate) fn records(&self) -> Range<u32> {
        self.first_record..self.first_record + self.count
    }

    /// Bytes in a request; before compression as long as it was not sent.
    pub(crate) fn len(&self) -> usize {
        match &self.content {
            Held::Open(builder) | Held::Complete(builder) => builder.len(),
            Held::Out => 0,
            Held::Sealed(bytes) => bytes.len(),
        }
    }
}
