//! Who a member is in one session.

use ottla_types::TopicPartition;
use zk_schema::consumers;

use ottla_znodes::Op;

/// A member in one session.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) group: String,
    pub(crate) consumer_id: String,
    pub(crate) session_id: i64,
    pub(crate) timeout_ms: u64,
    /// The wall clock at `started_ms` of the local one.
    pub(crate) wall_ms: i64,
    pub(crate) started_ms: u64,
}

impl Identity {
    /// The own registration.
    pub(crate) fn path(&self) -> String {
        consumers::member_path(&self.group, &self.consumer_id)
    }

    /// That the own registration is there, which fences a write against the end of the session.
    pub(crate) fn check(&self, version: i32) -> Op {
        Op::Check { path: self.path(), version }
    }

    pub(crate) fn owner_path(&self, partition: &TopicPartition) -> String {
        consumers::owner_path(&self.group, partition)
    }

    pub(crate) fn offset_path(&self, partition: &TopicPartition) -> String {
        consumers::offset_path(&self.group, partition)
    }

    /// What is written into owner nodes.
    pub(crate) fn thread(&self, stream: usize) -> String {
        format!("{}-{stream}", self.consumer_id)
    }

    /// The stream that a thread id names, if the thread is ours.
    pub(crate) fn stream(&self, thread: &str) -> Option<usize> {
        let stream = thread.strip_prefix(&self.consumer_id)?.strip_prefix('-')?;
        stream.parse().ok().filter(|number: &usize| number.to_string() == stream)
    }

    /// The wall clock, ms since the epoch.
    pub(crate) fn wall_at(&self, now_ms: u64) -> i64 {
        self.wall_ms.saturating_add_unsigned(now_ms.saturating_sub(self.started_ms))
    }
}

/// Whether a text is a UUID, as those who take a new id for each session write it.
pub(crate) fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|digit| digit.is_ascii_hexdigit()))
}
