//! What waits to be written to one connection, and how much of it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

/// Requests of one connection that may wait for their answers; beyond, it is not read from.
const OUTSTANDING: usize = 64;
/// Unwritten bytes beyond which a connection is not read from: its client has to take its answers first.
const UNWRITTEN: usize = 1 << 20;
/// Unwritten bytes beyond which a connection is closed: more than the answers that may be outstanding, so the client has
/// asked for events and does not take them.
const UNWRITTEN_AT_MOST: usize = 128 << 20;

/// A frame for the writing half of a connection.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// The answer to a request.
    Reply(Bytes),
    /// A notification.
    Event(Bytes),
}

/// The queue to one connection. It is bounded: by what the connection's reader lets in, and by ending the connection.
/// When this is dropped, what is queued is written, and the connection ends.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// None: too much was queued, the connection ends.
    queue: Option<mpsc::UnboundedSender<Outgoing>>,
    load: Arc<Load>,
}

/// How much is on its way to a connection.
#[derive(Debug, Default)]
pub(crate) struct Load {
    outstanding: AtomicUsize,
    unwritten: AtomicUsize,
    eased: Notify,
    ended: Notify,
}

impl Outbox {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Outgoing>, Arc<Load>) {
        let (queue, outgoing) = mpsc::unbounded_channel();
        let load = Arc::new(Load::default());
        (Self { queue: Some(queue), load: load.clone() }, outgoing, load)
    }

    /// Queues; to a connection that is gone it goes nowhere.
    pub(crate) fn send(&mut self, outgoing: Outgoing) {
        let Some(queue) = &self.queue else { return };
        let (Outgoing::Reply(frame) | Outgoing::Event(frame)) = &outgoing;
        if self.load.unwritten.fetch_add(frame.len(), Relaxed) > UNWRITTEN_AT_MOST {
            self.queue = None;
            self.load.ended.notify_one();
            return;
        }
        // The receiver is gone only when the connection is.
        let _ = queue.send(outgoing);
    }

    /// Requests that were read and not answered yet.
    pub(crate) fn outstanding(&self) -> usize {
        self.load.outstanding.load(Relaxed)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.load.ended.notify_one();
    }
}

impl Load {
    /// Until nothing more will be queued.
    pub(crate) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// A request was read.
    pub(crate) fn asked(&self) {
        self.outstanding.fetch_add(1, Relaxed);
    }

    /// That many answers, and that many bytes in all, were written.
    pub(crate) fn wrote(&self, replies: usize, bytes: usize) {
        self.outstanding.fetch_sub(replies, Relaxed);
        self.unwritten.fetch_sub(bytes, Relaxed);
        self.eased.notify_one();
    }

    /// Until another request may be read.
    pub(crate) async fn eased(&self) {
        while self.outstanding.load(Relaxed) >= OUTSTANDING || self.unwritten.load(Relaxed) > UNWRITTEN {
            self.eased.notified().await;
        }
    }
}
