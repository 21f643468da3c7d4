//! Rounds of commits: when positions are collected, and who is told when they are written.

use std::collections::{BTreeSet, VecDeque};

use ottla_types::TopicPartition;

use crate::effect::{CommitError, Effect};

/// The rounds under way.
#[derive(Debug)]
pub(crate) struct Commits {
    interval_ms: Option<u64>,
    due_ms: Option<u64>,
    /// Collections that are not answered yet, each with the commits that wait for it.
    collections: VecDeque<Vec<u64>>,
    rounds: Vec<Round>,
    serial: u64,
}

/// Commits that the application asked for, of the same positions.
#[derive(Debug)]
struct Round {
    serial: u64,
    tokens: Vec<u64>,
    waiting: BTreeSet<TopicPartition>,
    error: Option<CommitError>,
}

impl Commits {
    pub(crate) fn new(interval_ms: Option<u64>) -> Commits {
        Commits { interval_ms, due_ms: None, collections: VecDeque::new(), rounds: Vec::new(), serial: 0 }
    }

    /// When positions are collected next.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.due_ms
    }

    /// Begins or ends the counting of the interval: it runs while anything is delivered.
    pub(crate) fn settle(&mut self, now_ms: u64, delivering: bool, out: &mut Vec<Effect>) {
        match self.interval_ms.filter(|_| delivering) {
            None => self.due_ms = None,
            Some(interval_ms) => {
                let due_ms = *self.due_ms.get_or_insert(now_ms.saturating_add(interval_ms));
                if now_ms >= due_ms {
                    self.due_ms = Some(now_ms.saturating_add(interval_ms));
                    self.collect(vec![], out);
                }
            }
        }
        for round in self.rounds.extract_if(.., |round| round.waiting.is_empty()) {
            let outcome = round.error.map_or(Ok(()), Err);
            out.extend(round.tokens.iter().map(|token| Effect::Committed { token: *token, outcome: outcome.clone() }));
        }
    }

    /// The application asks for a commit.
    pub(crate) fn ask(&mut self, token: u64, out: &mut Vec<Effect>) {
        self.collect(vec![token], out);
    }

    fn collect(&mut self, tokens: Vec<u64>, out: &mut Vec<Effect>) {
        self.collections.push_back(tokens);
        out.push(Effect::CollectPositions);
    }

    /// Positions were collected: a round begins. Returns its number.
    pub(crate) fn begin(&mut self) -> u64 {
        self.serial += 1;
        let tokens = self.collections.pop_front().unwrap_or_default();
        if !tokens.is_empty() {
            self.rounds.push(Round { serial: self.serial, tokens, waiting: BTreeSet::new(), error: None });
        }
        self.serial
    }

    /// The round waits for this partition.
    pub(crate) fn await_partition(&mut self, serial: u64, partition: &TopicPartition) {
        if let Some(round) = self.rounds.last_mut().filter(|round| round.serial == serial) {
            round.waiting.insert(partition.clone());
        }
    }

    /// The position that this round collected will not be written.
    pub(crate) fn fail(&mut self, serial: u64, error: CommitError) {
        if let Some(round) = self.rounds.last_mut().filter(|round| round.serial == serial) {
            round.error.get_or_insert(error);
        }
    }

    /// The partition's positions of this round and all before are dealt with.
    pub(crate) fn finish(&mut self, partition: &TopicPartition, serial: u64, outcome: Result<(), CommitError>) {
        for round in self.rounds.iter_mut().filter(|round| round.serial <= serial) {
            if round.waiting.remove(partition)
                && let Err(error) = &outcome
            {
                round.error.get_or_insert(error.clone());
            }
        }
    }

    /// The partition was lost or given up: whatever waits for it waits in vain.
    pub(crate) fn lost(&mut self, partition: &TopicPartition) {
        self.finish(partition, u64::MAX, Err(CommitError::NotOwner(partition.clone())));
    }
}
