//! What was fetched for a stream and waits to be read.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::ConsumerConfig;
use super::chunk::Chunk;
use super::delivery::Delivery;

/// The queue of one stream, in the order of arrival. Bounded by those who fill it: a partition is not fetched while
/// `queued.max.message.chunks` of its chunks wait, nor a stream's partitions while `fetch.max.bytes` wait.
#[derive(Debug)]
pub(super) struct StreamQueue {
    /// `queued.max.message.chunks`
    max_chunks: usize,
    /// `fetch.max.bytes`
    max_bytes: usize,
    waiting: Mutex<Waiting>,
    /// A chunk arrived, or there will be none.
    pub(super) changed: Notify,
    /// Room was made: who fetches may look again.
    room: Arc<Notify>,
    /// Nobody reads the stream any more.
    dropped: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    chunks: VecDeque<Chunk>,
    bytes: usize,
}

impl StreamQueue {
    pub(super) fn new(config: &ConsumerConfig, room: Arc<Notify>) -> StreamQueue {
        StreamQueue {
            max_chunks: config.queued_max_message_chunks,
            max_bytes: usize::try_from(config.fetch_max_bytes).unwrap_or(0),
            waiting: Mutex::default(),
            changed: Notify::new(),
            room,
            dropped: false.into(),
        }
    }

    pub(super) fn push(&self, chunk: Chunk) {
        {
            let mut waiting = self.lock();
            // Looked at under the lock that `purge` takes after the end.
            if chunk.delivery.has_ended() || self.is_dropped() {
                return;
            }
            chunk.delivery.queued.fetch_add(1, Ordering::AcqRel);
            waiting.bytes += chunk.len();
            waiting.chunks.push_back(chunk);
        }
        self.changed.notify_one();
    }

    pub(super) fn pop(&self) -> Option<Chunk> {
        let (chunk, was_full) = {
            let mut waiting = self.lock();
            let chunk = waiting.chunks.pop_front()?;
            let full_before = waiting.bytes >= self.max_bytes;
            waiting.bytes -= chunk.len();
            let queued = chunk.delivery.queued.fetch_sub(1, Ordering::AcqRel);
            (chunk, full_before || queued >= self.max_chunks)
        };
        if was_full {
            self.room.notify_waiters();
        }
        Some(chunk)
    }

    /// Whether more may be fetched for the stream.
    pub(super) fn has_room(&self) -> bool {
        !self.is_dropped() && self.lock().bytes < self.max_bytes
    }

    /// Drops what waits of a delivery that has ended.
    pub(super) fn purge(&self, ended: &Delivery) {
        let mut waiting = self.lock();
        let Waiting { chunks, bytes } = &mut *waiting;
        chunks.retain(|chunk| {
            let stays = !std::ptr::eq(Arc::as_ptr(&chunk.delivery), ended);
            if !stays {
                *bytes -= chunk.len();
            }
            stays
        });
        drop(waiting);
        self.room.notify_waiters();
    }

    /// The stream is gone: nothing is kept for it.
    pub(super) fn abandon(&self) {
        self.dropped.store(true, Ordering::Release);
        let mut waiting = self.lock();
        waiting.chunks.clear();
        waiting.bytes = 0;
    }

    fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
