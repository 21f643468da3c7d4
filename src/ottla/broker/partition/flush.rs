use std::sync::Arc;

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

/// Where a partition stands with the flusher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// No flush is wanted.
    None,
    /// It waits for a thread.
    Queued,
    /// A thread flushes it; whether something was appended meanwhile that wants the next flush.
    Running { again: bool },
}

impl Partition {
    /// Asks for a flush of everything that is appended now.
    pub(super) fn ask_for_flush(self: &Arc<Self>, state: &mut State) {
        match &mut state.turn {
            Turn::None => {
                state.turn = Turn::Queued;
                self.flusher.queue(self.clone());
            }
            Turn::Queued => {}
            Turn::Running { again } => *again = true,
        }
    }

    /// Asks for a flush if what is not flushed is older than `flush.ms`.
    pub fn flush_if_older(self: &Arc<Self>, now_ms: i64) {
        let mut state = self.lock();
        let Some(limit) = state.log.config().flush_ms else { return };
        self.flusher.hint_flush_ms();
        if now_ms - state.flushed_at_ms >= limit && state.log.unflushed_records() > 0 {
            self.ask_for_flush(&mut state);
        }
    }

    /// Begins a flush, if there is anything to flush. Only for the thread that took the partition from the queue.
    pub(in crate::broker) fn flush_begin(&self) -> Option<FlushWork> {
        let mut state = self.lock();
        let work = state.log.flush_begin().unwrap_or_else(|e| {
            self.failed(&e);
            None
        });
        state.turn = if work.is_some() { Turn::Running { again: false } } else { Turn::None };
        work
    }

    /// The flush that was begun has ended; whether the partition is to be queued again.
    #[must_use]
    pub(in crate::broker) fn flush_ended(&self, outcome: Result<(), ottla_log::StorageError>) -> bool {
        let mut state = self.lock();
        match outcome {
            Ok(()) => {
                let flushed = state.log.flush_done();
                state.flushed(flushed);
                state.flushed_at_ms = now_ms();
                self.advance(&mut state, now_ms());
            }
            Err(e) => {
                state.log.flush_failed();
                self.failed(&e);
            }
        }
        let again = matches!(state.turn, Turn::Running { again: true });
        state.turn = if again { Turn::Queued } else { Turn::None };
        drop(state);
        self.wake_all();
        again
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
