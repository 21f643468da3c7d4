use std::collections::VecDeque;

use super::failures::Failures;
use crate::producer::{Delivered, Delivery, Failure, ProducerError};

/// Deliveries that are kept at a time: about 20 MB of them.
const MOST: usize = 500_000;

/// Lines whose outcome is not known yet, and what became of the others.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// By line.
    deliveries: VecDeque<(u64, Delivery)>,
    failures: Failures,
    failed: u64,
}

impl Pending {
    /// A line was sent.
    pub(super) fn push(&mut self, line: u64, delivery: Delivery) {
        self.deliveries.push_back((line, delivery));
    }

    /// A line was not even sent.
    pub(super) fn refuse(&mut self, line: u64, why: &str) {
        self.failed += 1;
        self.failures.add(line, why);
    }

    /// There are as many as are kept: one has to have its outcome before the next is pushed.
    pub(super) fn is_full(&self) -> bool {
        self.deliveries.len() >= MOST
    }

    /// Lines that are not delivered, so far.
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// Takes in the outcomes that are there; those behind one that is not there wait.
    pub(super) fn settle(&mut self) {
        while let Some((line, delivery)) = self.deliveries.front() {
            let Some(outcome) = delivery.outcome() else { return };
            let line = *line;
            self.deliveries.pop_front();
            self.note(line, outcome);
        }
    }

    /// Waits for the outcome of the oldest line, for ever if there is none. Can be dropped and called again.
    pub(super) async fn oldest(&mut self) {
        let Some((line, delivery)) = self.deliveries.front_mut() else { return std::future::pending().await };
        let (line, outcome) = (*line, delivery.await);
        self.deliveries.pop_front();
        self.note(line, outcome);
        self.settle();
    }

    /// The producer is closed: everything has its outcome.
    pub(super) fn settle_all(&mut self) {
        for (line, delivery) in std::mem::take(&mut self.deliveries) {
            self.note(line, delivery.outcome().unwrap_or(Err(ProducerError::Closed)));
        }
    }

    /// What is to be told of failures, a line of text for each reason.
    pub(super) fn tell(&mut self) -> Vec<String> {
        self.failures.tell()
    }

    fn note(&mut self, line: u64, outcome: Result<Delivered, ProducerError>) {
        if let Err(error) = outcome {
            self.refuse(line, &why(&error));
        }
    }
}

/// Why a line is not delivered, and whether it may be all the same.
pub(super) fn why(error: &ProducerError) -> String {
    let may_be_written = match error {
        ProducerError::Failed(Failure::Timeout { may_be_written, .. } | Failure::Retries { may_be_written, .. }) => {
            *may_be_written
        }
        _ => false,
    };
    format!("not delivered: {error}{}", if may_be_written { " (it may have been written all the same)" } else { "" })
}
