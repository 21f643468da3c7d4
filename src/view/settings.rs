//! Settings.

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
