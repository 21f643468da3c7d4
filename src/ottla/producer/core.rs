//! What is behind the one lock of a producer.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_types::TopicName;

use super::delivery::Ticket;
use super::shared::NotPlaced;

/// The core, and what is remembered for each record beside it.
pub(super) struct Core {
    pub(super) producer: ottla_producer::Producer<Arc<Ticket>>,
    /// The topics that were sent to, and when last, in ms.
    pub(super) topics: BTreeMap<TopicName, u64>,
    /// The topic of the last record, and when that was.
    pub(super) last: Option<(TopicName, u64)>,
    /// When the core will be told that time has passed, in ms.
    pub(super) alarm: Option<u64>,
}

impl Core {
    /// Makes a topic the last one that was sent to.
    pub(super) fn turn_to(&mut self, topic: &str, now_ms: u64) -> Result<(), Box<NotPlaced>> {
        if self.last.as_ref().is_some_and(|(last, _)| last.as_str() == topic) {
            return Ok(());
        }
        self.remember_last();
        let name = match self.topics.get_key_value(topic) {
            Some((name, _)) => name.clone(),
            None => TopicName::new(topic).map_err(|error| Box::new(NotPlaced::Never(error.into())))?,
        };
        self.last = Some((name, now_ms));
        Ok(())
    }

    /// Whether a topic counts as sent to.
    pub(super) fn uses(&self, topic: &TopicName) -> bool {
        self.topics.contains_key(topic) || self.last.as_ref().is_some_and(|(last, _)| last == topic)
    }

    pub(super) fn remember_last(&mut self) {
        if let Some((topic, at_ms)) = self.last.take() {
            self.topics.insert(topic, at_ms);
        }
    }

    /// Sets the alarm to the core's next deadline; whether it is earlier than it was.
    pub(super) fn set_alarm(&mut self) -> bool {
        let deadline = self.producer.next_deadline();
        let sooner = deadline.is_some_and(|at| self.alarm.is_none_or(|alarm| at < alarm));
        self.alarm = deadline;
        sooner
    }
}
