use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_log::FlushWork;
use ottla_types::Offset;
use tracing::error;

use super::{Partition, State};
use crate::broker::clock::now_ms;

/// Promised and not yet durable: appends with acks=all since the last flush that covered them all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hold {
    /// Everything below is durable or was never promised.
    pub(super) from: Offset,
    /// End of the last promised append.
    until: Offset,
}

impl Partition {
    /// Notes that a flush is wanted; whether nobody wanted it before.
    pub(in crate::broker) fn wish_flush(&self) -> bool {
        !self.flush_wished.swap(true, Ordering::AcqRel)
    }

    /// The wish is being fulfilled: what is appended from here on wishes anew.
    pub(in crate::broker) fn take_flush_wish(&self) {
        self.flush_wished.store(false, Ordering::Release);
    }

    /// Asks for a flush if what is not flushed is older than `flush.ms`.
    pub fn flush_if_older(self: &Arc<Self>, now_ms: i64) {
        let state = self.lock();
        let Some(limit) = state.log.config().flush_ms else { return };
        self.flusher.hint_flush_ms();
        if now_ms - state.flushed_at_ms >= limit && state.log.unflushed_records() > 0 {
            self.flusher.request(self);
        }
    }

    /// Begins a flush, if there is anything to flush and none is running.
    pub(in crate::broker) fn flush_begin(&self) -> Option<FlushWork> {
        match self.lock().log.flush_begin() {
            Ok(work) => work,
            Err(e) => {
                self.failed(&e);
                None
            }
        }
    }

    /// The flush that was begun has ended.
    pub(in crate::broker) fn flush_ended(self: &Arc<Self>, outcome: Result<(), ottla_log::StorageError>) {
        let mut state = self.lock();
        match outcome {
            Ok(()) => {
                let flushed = state.log.flush_done();
                state.flushed(flushed);
                state.flushed_at_ms = now_ms();
                self.advance(&mut state, now_ms());
                if state.hold.is_some() {
                    self.flusher.request(self);
                }
            }
            Err(e) => {
                state.log.flush_failed();
                self.failed(&e);
            }
        }
        drop(state);
        self.wake_all();
    }

    fn failed(&self, error: &ottla_log::StorageError) {
        error!("{} is offline: {error}; mend the disk and start the broker again", self.id);
    }
}

impl State {
    /// Whether `flush.messages` are reached.
    pub(super) fn wants_flush(&self) -> bool {
        self.log.config().flush_messages.is_some_and(|most| self.log.unflushed_records() >= most)
    }

    pub(super) fn promise(&mut self, from: Offset, until: Offset) {
        match &mut self.hold {
            Some(hold) => hold.until = hold.until.max(until),
            None => self.hold = Some(Hold { from, until }),
        }
    }

    pub(super) fn flushed(&mut self, flushed: Offset) {
        self.hold =
            self.hold.filter(|hold| flushed < hold.until).map(|hold| Hold { from: hold.from.max(flushed), ..hold });
    }
}
