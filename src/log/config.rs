//! What a log needs to know of its topic's configuration, with Kafka's defaults (`LogConfig.java`).

/// Who stamps records (`message.timestamp.type`).
pub use ottla_records::TimestampType;
/// The codec that stored batches have (`compression.type`).
pub use ottla_records::validate::CompressionType;

/// What to do with old segments (`cleanup.policy`): both may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old or surplus segments are deleted.
    pub delete: bool,
    /// Only the last value of each key is kept.
    pub compact: bool,
}

/// The configuration of one topic, as its partitions' logs see it. Names are those of the topic keys with `_`; a limit
/// of `None` is no limit.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// Largest segment file, in bytes.
    pub segment_bytes: u32,
    /// Age, in message time, at which a segment is rolled.
    pub segment_ms: i64,
    /// A random part of this is taken off `segment_ms`, so that partitions do not roll all at once; the caller draws it.
    pub segment_jitter_ms: i64,
    /// Largest index file, in bytes.
    pub segment_index_bytes: u32,
    /// Bytes of log between two index entries.
    pub index_interval_bytes: u32,
    /// Age at which segments are deleted.
    pub retention_ms: Option<i64>,
    /// Size of the whole log at which its oldest segments are deleted.
    pub retention_bytes: Option<u64>,
    /// Delete, compact or both.
    pub cleanup_policy: CleanupPolicy,
    /// How long deleted files stay under their new name, for readers that have begun.
    pub file_delete_delay_ms: i64,
    /// How long tombstones stay in a compacted log.
    pub delete_retention_ms: i64,
    /// How long a record stays safe from compaction.
    pub min_compaction_lag_ms: i64,
    /// After how long a record must be compacted.
    pub max_compaction_lag_ms: i64,
    /// Share of dirty bytes from which a log is compacted.
    pub min_cleanable_dirty_ratio: f64,
    /// Records after which a flush is forced.
    pub flush_messages: Option<u64>,
    /// Time after which a flush is forced.
    pub flush_ms: Option<i64>,
    /// Largest batch, in bytes.
    pub max_message_bytes: u32,
    /// Who stamps records.
    pub message_timestamp_type: TimestampType,
    /// How far before now a producer's timestamp may be.
    pub message_timestamp_before_max_ms: Option<i64>,
    /// How far after now a producer's timestamp may be.
    pub message_timestamp_after_max_ms: Option<i64>,
    /// Codec of stored batches.
    pub compression_type: CompressionType,
    /// In-sync replicas that an acks=all append needs.
    pub min_insync_replicas: u32,
    /// Whether old consumers are served in their own format.
    pub message_downconversion_enable: bool,
    /// Kafka extends new files to their full size; ours grow, so this is only carried.
    pub preallocate: bool,
    /// Whether a replica outside the ISR may lead.
    pub unclean_leader_election_enable: bool,
    /// How long an idle producer's sequence is remembered (`producer.id.expiration.ms`, a broker key).
    pub producer_id_expiration_ms: i64,
}

const DAY_MS: i64 = 86_400_000;

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * DAY_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: Some(7 * DAY_MS),
            retention_bytes: None,
            cleanup_policy: CleanupPolicy { delete: true, compact: false },
            file_delete_delay_ms: 60_000,
            delete_retention_ms: DAY_MS,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_ratio: 0.5,
            flush_messages: None,
            flush_ms: None,
            max_message_bytes: 1_048_588,
            message_timestamp_type: TimestampType::CreateTime,
            message_timestamp_before_max_ms: None,
            message_timestamp_after_max_ms: None,
            compression_type: CompressionType::Producer,
            min_insync_replicas: 1,
            message_downconversion_enable: true,
            preallocate: false,
            unclean_leader_election_enable: false,
            producer_id_expiration_ms: DAY_MS,
        }
    }
}
