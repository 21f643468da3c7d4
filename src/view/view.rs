//! The view.

use crate::{Cluster, Effect, Event};

/// How a view behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Pause before a node that ZooKeeper refused is read again, ms.
    pub refused_retry_ms: u64,
    /// Pause between two readings of one partition that brokers deny again and again, ms.
    pub doubt_interval_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { refused_retry_ms: 5_000, doubt_interval_ms: 1_000 }
    }
}

/// What is known of a cluster, and what is being asked.
#[derive(Debug)]
pub struct View {
    cluster: Cluster,
}

impl View {
    /// Knows nothing.
    pub fn new(_settings: Settings) -> View {
        unimplemented!()
    }

    /// What is known.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Whether everything that is watched has been read and no watch has fired since: what is known is what was true at the
    /// last answer.
    pub fn is_current(&self) -> bool {
        unimplemented!()
    }

    /// Takes in an event at a time (ms, from any fixed point, never backwards).
    pub fn step(&mut self, _now_ms: u64, _event: Event, _out: &mut Vec<Effect>) {
        unimplemented!()
    }

    /// When [`Event::TimePassed`] is wanted, ms; none: not by the clock.
    pub fn next_deadline(&self) -> Option<u64> {
        unimplemented!()
    }
}
