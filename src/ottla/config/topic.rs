use std::collections::BTreeMap;

use ottla_records::{Codec, TimestampType};

use super::broker::Reader;
use super::key::{FRACTION, Kind, LONG, int, long};
use super::{Settings, Support, split_list};

/// One row of the table of topic configs.
#[derive(Debug, Clone, Copy)]
pub struct TopicKey {
    /// Kafka's spelling.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// The value when nobody sets one.
    pub default: &'static str,
    /// The broker's keys that give the value for all topics, the first one that is set wins, with what to multiply
    /// the number by.
    pub synonyms: &'static [(&'static str, i64)],
    /// Whether it has an effect.
    pub support: Support,
    /// What it is for, in one sentence.
    pub sentence: &'static str,
}

const TIMESTAMP_TYPES: &[&str] = &["CreateTime", "LogAppendTime"];
const CLEANUP_POLICIES: &[&str] = &["compact", "delete"];
const COMPRESSION_TYPES: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
const MAX: &str = "9223372036854775807";
const HOUR_MS: i64 = 3_600_000;

macro_rules! topic_keys {
    ($($name:literal: $kind:expr_2021 => $default:expr_2021, [$($synonym:literal $(* $times:expr_2021)?),*], $support:ident, $sentence:literal;)*) => {
        /// Topic configs of Kafka 3.9 (`LogConfig.java`, `ServerTopicConfigSynonyms.java`), by name.
        const KEYS: &[TopicKey] = &[$(TopicKey {
            name: $name,
            kind: $kind,
            default: $default,
            synonyms: &[$(($synonym, 1 $(* $times)?)),*],
            support: Support::$support,
            sentence: $sentence,
        }),*];
    };
}

topic_keys! {
    "cleanup.policy": Kind::ListOf(CLEANUP_POLICIES) => "delete", ["log.cleanup.policy"], Dynamic,
        "delete: by age and size; compact: the last record of each key stays (kept whole until compaction is built).";
    "compression.gzip.level": Kind::Int(-1, 9) => "-1", ["compression.gzip.level"], IgnoredHarmless,
        "Level of gzip, 1 to 9, if compression.type is gzip; -1: its default.";
    "compression.lz4.level": Kind::Int(1, 17) => "9", ["compression.lz4.level"], IgnoredHarmless,
        "Level of lz4, if compression.type is lz4.";
    "compression.type": Kind::OneOf(COMPRESSION_TYPES) => "producer", ["compression.type"], Dynamic,
        "How records lie on disk; producer: as they came.";
    "compression.zstd.level": Kind::Int(-131072, 22) => "3", ["compression.zstd.level"], IgnoredHarmless,
        "Level of zstd, if compression.type is zstd.";
    "delete.retention.ms": long(0) => "86400000", ["log.cleaner.delete.retention.ms"], Dynamic,
        "How long a compacted topic keeps the mark of a deleted key.";
    "file.delete.delay.ms": long(0) => "60000", ["log.segment.delete.delay.ms"], Dynamic,
        "How long a deleted file stays, renamed, before it is removed.";
    "flush.messages": long(1) => MAX, ["log.flush.interval.messages"], Dynamic,
        "Records after which a partition is forced to disk, whatever acks says.";
    "flush.ms": long(0) => MAX, ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"], Dynamic,
        "Time after which a partition is forced to disk, whatever acks says.";
    "follower.replication.throttled.replicas": Kind::List => "", [], IgnoredHarmless,
        "Replicas whose copying is slowed down on the follower's side.";
    "index.interval.bytes": int(0) => "4096", ["log.index.interval.bytes"], Dynamic,
        "Bytes of records between two entries of an index.";
    "leader.replication.throttled.replicas": Kind::List => "", [], IgnoredHarmless,
        "Replicas whose copying is slowed down on the leader's side.";
    "local.retention.bytes": long(-2) => "-2", ["log.local.retention.bytes"], IgnoredHarmless,
        "Local size of a topic with tiered storage.";
    "local.retention.ms": long(-2) => "-2", ["log.local.retention.ms"], IgnoredHarmless,
        "Local retention of a topic with tiered storage.";
    "max.compaction.lag.ms": long(1) => MAX, ["log.cleaner.max.compaction.lag.ms"], Dynamic,
        "Age above which a record must be compacted.";
    "max.message.bytes": int(0) => "1048588", ["message.max.bytes"], Dynamic,
        "The largest batch of records, compressed as it comes.";
    "message.downconversion.enable": Kind::Boolean => "true", ["log.message.downconversion.enable"], Dynamic,
        "Whether clients before 0.11 get records in their own format instead of an error.";
    "message.format.version": Kind::Text => "3.0-IV1", ["log.message.format.version"], IgnoredHarmless,
        "Format of new records; without meaning since 3.0, they are stored as version 2.";
    "message.timestamp.after.max.ms": long(0) => MAX, ["log.message.timestamp.after.max.ms"], Dynamic,
        "How far a record's own time may lie in the future.";
    "message.timestamp.before.max.ms": long(0) => MAX, ["log.message.timestamp.before.max.ms"], Dynamic,
        "How far a record's own time may lie in the past.";
    "message.timestamp.difference.max.ms": long(0) => MAX, ["log.message.timestamp.difference.max.ms"], Dynamic,
        "The old key for both; it counts for one of them that is not set.";
    "message.timestamp.type": Kind::OneOf(TIMESTAMP_TYPES) => "CreateTime", ["log.message.timestamp.type"], Dynamic,
        "Whose clock stamps a record: the producer's or the broker's.";
    "min.cleanable.dirty.ratio": FRACTION => "0.5", ["log.cleaner.min.cleanable.ratio"], Dynamic,
        "Share of not yet compacted bytes at which a partition is compacted.";
    "min.compaction.lag.ms": long(0) => "0", ["log.cleaner.min.compaction.lag.ms"], Dynamic,
        "Age below which a record is not compacted away.";
    "min.insync.replicas": int(1) => "1", ["min.insync.replicas"], Dynamic,
        "In-sync replicas below which acks=all is refused.";
    "preallocate": Kind::Boolean => "false", ["log.preallocate"], Dynamic,
        "Whether a new file gets its full size at once.";
    "remote.log.copy.disable": Kind::Boolean => "false", [], IgnoredHarmless,
        "Whether a topic with tiered storage stops copying to it.";
    "remote.log.delete.on.disable": Kind::Boolean => "false", [], IgnoredHarmless,
        "Whether switching tiered storage off deletes what lies there.";
    "remote.storage.enable": Kind::Boolean => "false", [], WeakensSafety,
        "Whether old segments move to tiered storage.";
    "retention.bytes": LONG => "-1", ["log.retention.bytes"], Dynamic,
        "Size of a partition above which its oldest files are deleted; -1: no limit.";
    "retention.ms": long(-1) => "604800000", ["log.retention.ms", "log.retention.minutes" * 60_000, "log.retention.hours" * HOUR_MS], Dynamic,
        "Age at which a closed file is deleted; -1: never.";
    "segment.bytes": int(14) => "1073741824", ["log.segment.bytes"], Dynamic,
        "Size at which a partition begins a new file.";
    "segment.index.bytes": int(4) => "10485760", ["log.index.size.max.bytes"], Dynamic,
        "The largest index file; a full one begins a new segment.";
    "segment.jitter.ms": long(0) => "0", ["log.roll.jitter.ms", "log.roll.jitter.hours" * HOUR_MS], Dynamic,
        "The most that is taken off segment.ms by chance, so that not all partitions roll at once.";
    "segment.ms": long(1) => "604800000", ["log.roll.ms", "log.roll.hours" * HOUR_MS], Dynamic,
        "Age at which a partition begins a new file.";
    "unclean.leader.election.enable": Kind::Boolean => "false", ["unclean.leader.election.enable"], Dynamic,
        "Whether a replica that is not in sync may become leader when no other is left; records are lost then.";
}

impl TopicKey {
    /// All rows, by name.
    pub fn all() -> &'static [TopicKey] {
        KEYS
    }

    /// The row of a topic config.
    pub fn find(name: &str) -> Option<&'static TopicKey> {
        KEYS.binary_search_by(|key| key.name.cmp(name)).ok().map(|at| &KEYS[at])
    }

    /// The text that a broker's settings give for it: the first synonym that is set, else the default of the last
    /// one, in the topic's unit.
    pub fn broker_value(&self, settings: &Settings) -> String {
        let set = self.synonyms.iter().find(|(key, _)| settings.get(key).is_some_and(|set| !set.value.is_empty()));
        match set.and_then(|&(key, times)| Some((settings.text(key)?, times))) {
            Some((text, 1)) => text.into(),
            // -1 means "for ever" in every unit.
            Some((text, times)) => match text.parse::<i64>() {
                Ok(n) if n >= 0 => n.saturating_mul(times).to_string(),
                _ => text.into(),
            },
            None => self.default.into(),
        }
    }
}

/// What becomes of old records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old files are deleted.
    pub delete: bool,
    /// The last record of each key stays.
    pub compact: bool,
}

/// The configs of one topic: its own over the broker's.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "each field is the topic config of its name; the table says what it is for")]
pub struct TopicConfig {
    pub cleanup_policy: CleanupPolicy,
    /// `None`: as the producer sent them.
    pub compression_type: Option<Codec>,
    pub delete_retention_ms: i64,
    pub file_delete_delay_ms: i64,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub index_interval_bytes: i32,
    pub max_compaction_lag_ms: i64,
    pub max_message_bytes: i32,
    pub message_downconversion_enable: bool,
    pub message_timestamp_after_max_ms: i64,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_type: TimestampType,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub min_insync_replicas: i32,
    pub preallocate: bool,
    pub retention_bytes: i64,
    pub retention_ms: i64,
    pub segment_bytes: i32,
    pub segment_index_bytes: i32,
    pub segment_jitter_ms: i64,
    pub segment_ms: i64,
    pub unclean_leader_election_enable: bool,
}

/// Why topic configs cannot be (INVALID_CONFIG); the messages are Kafka's (`LogConfig.validate`, `ConfigDef`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicConfigError {
    /// No topic config has this name.
    #[error("Unknown topic config name: {0}")]
    Unknown(String),
    /// The value is not one of its kind.
    #[error("Invalid value {value} for configuration {name}: {why}")]
    Invalid {
        /// The config.
        name: String,
        /// The value.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// Two values contradict each other.
    #[error("{0}")]
    Conflict(String),
}

impl TopicConfig {
    /// What a topic gets that says nothing else.
    pub fn defaults(settings: &Settings) -> TopicConfig {
        TopicConfig::new(settings, &BTreeMap::new())
    }

    /// The configs of a topic whose own ones are these. A wrong or unknown own config counts as not set: a topic
    /// that an old tool wrote into ZooKeeper must still open. [`TopicConfig::validate`] keeps new ones out.
    pub fn new(settings: &Settings, own: &BTreeMap<String, String>) -> TopicConfig {
        let mut values = Settings::default();
        for key in KEYS {
            let own = own.get(key.name).filter(|value| key.kind.check(value).is_ok());
            let value = own.cloned().unwrap_or_else(|| key.broker_value(settings));
            values.set(key.name, &value, super::Source::DynamicBroker);
        }
        let read = Reader { settings: &values };
        let text = |name| read.text(name).unwrap_or_default();
        let policy = text("cleanup.policy");
        // The old limit counts where the new one says nothing.
        let timestamp_limit = |name| match read.long(name) {
            i64::MAX => read.long("message.timestamp.difference.max.ms"),
            limit => limit,
        };
        TopicConfig {
            cleanup_policy: CleanupPolicy {
                compact: split_list(&policy).any(|word| word == "compact"),
                delete: split_list(&policy).any(|word| word == "delete"),
            },
            compression_type: match text("compression.type").as_str() {
                "uncompressed" => Some(Codec::None),
                "gzip" => Some(Codec::Gzip),
                "snappy" => Some(Codec::Snappy),
                "lz4" => Some(Codec::Lz4),
                "zstd" => Some(Codec::Zstd),
                _ => None,
            },
            delete_retention_ms: read.long("delete.retention.ms"),
            file_delete_delay_ms: read.long("file.delete.delay.ms"),
            flush_messages: read.long("flush.messages"),
            flush_ms: read.long("flush.ms"),
            index_interval_bytes: read.int("index.interval.bytes"),
            max_compaction_lag_ms: read.long("max.compaction.lag.ms"),
            max_message_bytes: read.int("max.message.bytes"),
            message_downconversion_enable: read.flag("message.downconversion.enable"),
            message_timestamp_after_max_ms: timestamp_limit("message.timestamp.after.max.ms"),
            message_timestamp_before_max_ms: timestamp_limit("message.timestamp.before.max.ms"),
            message_timestamp_type: match text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            min_cleanable_dirty_ratio: read.double("min.cleanable.dirty.ratio"),
            min_compaction_lag_ms: read.long("min.compaction.lag.ms"),
            min_insync_replicas: read.int("min.insync.replicas"),
            preallocate: read.flag("preallocate"),
            retention_bytes: read.long("retention.bytes"),
            retention_ms: read.long("retention.ms"),
            segment_bytes: read.int("segment.bytes"),
            segment_index_bytes: read.int("segment.index.bytes"),
            segment_jitter_ms: read.long("segment.jitter.ms"),
            segment_ms: read.long("segment.ms"),
            unclean_leader_election_enable: read.flag("unclean.leader.election.enable"),
        }
    }

    /// Whether a topic may have these configs of its own; said in Kafka's words.
    pub fn validate(settings: &Settings, own: &BTreeMap<String, String>) -> Result<(), TopicConfigError> {
        for (name, value) in own {
            let invalid = |why: String| TopicConfigError::Invalid { name: name.clone(), value: value.clone(), why };
            let key = TopicKey::find(name).ok_or_else(|| TopicConfigError::Unknown(name.clone()))?;
            key.kind.check(value).map_err(invalid)?;
            if name == "compression.gzip.level" && value.trim() == "0" {
                return Err(invalid("Value must be between 1 and 9 or equal to -1".into()));
            }
            if key.support == Support::WeakensSafety && value.trim() != key.default {
                return Err(TopicConfigError::Conflict(format!(
                    "{name}={value} is not supported by this broker: tiered storage is not built"
                )));
            }
        }
        let config = TopicConfig::new(settings, own);
        if config.min_compaction_lag_ms > config.max_compaction_lag_ms {
            return Err(TopicConfigError::Conflict(format!(
                "conflict topic config setting min.compaction.lag.ms ({}) > max.compaction.lag.ms ({})",
                config.min_compaction_lag_ms, config.max_compaction_lag_ms
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerConfig;

    fn own(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(name, value)| (name.into(), value.into())).collect()
    }

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        (*BrokerConfig::from_pairs(pairs).unwrap().settings).clone()
    }

    /// `testdata/kafka-3.9.1-topic-keys.tsv`: name, type, default as `LogConfig.configDef` of 3.9.1 prints them.
    #[test]
    fn names_types_and_defaults_are_kafkas() {
        let lines: Vec<&str> = include_str!("testdata/kafka-3.9.1-topic-keys.tsv").lines().collect();
        assert_eq!(lines.len(), KEYS.len());
        for (line, key) in lines.into_iter().zip(KEYS) {
            assert_eq!(format!("{}\t{}\t{}", key.name, key.kind.type_name(), key.default), line);
        }
    }

    #[test]
    fn synonyms_are_keys_of_the_broker_with_the_same_default() {
        for key in KEYS {
            for (at, (name, times)) in key.synonyms.iter().enumerate() {
                let row = super::super::table::find(name).unwrap_or_else(|| panic!("{name}"));
                let Some(default) = row.default else { continue };
                let last = at + 1 == key.synonyms.len();
                let scaled = default
                    .parse::<i64>()
                    .map_or(default.to_owned(), |n| if n < 0 { n } else { n * times }.to_string());
                assert!(!last || scaled == key.default, "{} is {} and {name} {default}", key.name, key.default);
            }
        }
    }

    #[test]
    fn the_finer_unit_wins() {
        let retention = |pairs| TopicConfig::defaults(&settings(pairs)).retention_ms;
        assert_eq!(retention(&[]), 604_800_000);
        assert_eq!(retention(&[("log.retention.hours", "2")]), 7_200_000);
        assert_eq!(retention(&[("log.retention.hours", "2"), ("log.retention.minutes", "3")]), 180_000);
        assert_eq!(retention(&[("log.retention.ms", "4"), ("log.retention.minutes", "3")]), 4);
        assert_eq!(retention(&[("log.retention.hours", "-1")]), -1);
        assert_eq!(retention(&[("log.retention.hours", "2147483647")]), 2_147_483_647 * HOUR_MS);
        assert_eq!(TopicConfig::defaults(&settings(&[("log.roll.hours", "1")])).segment_ms, HOUR_MS);
        assert_eq!(TopicConfig::defaults(&settings(&[("log.flush.scheduler.interval.ms", "5")])).flush_ms, 5);
    }

    #[test]
    fn own_values_go_before_the_brokers_and_wrong_ones_do_not_count() {
        let settings = settings(&[("log.segment.bytes", "1000"), ("compression.type", "lz4")]);
        let config = TopicConfig::new(&settings, &own(&[("segment.bytes", "2000"), ("retention.ms", "x"), ("y", "z")]));
        assert_eq!(config.segment_bytes, 2000);
        assert_eq!(config.retention_ms, 604_800_000);
        assert_eq!(config.compression_type, Some(Codec::Lz4));
        let config = TopicConfig::new(&settings, &own(&[("cleanup.policy", "compact, delete")]));
        assert!(config.cleanup_policy.compact && config.cleanup_policy.delete);
    }

    #[test]
    fn the_old_timestamp_limit_counts_where_the_new_one_is_not_set() {
        let settings = settings(&[]);
        let pairs = [("message.timestamp.difference.max.ms", "5"), ("message.timestamp.after.max.ms", "7")];
        let config = TopicConfig::new(&settings, &own(&pairs));
        assert_eq!((config.message_timestamp_before_max_ms, config.message_timestamp_after_max_ms), (5, 7));
    }

    #[test]
    fn refusals_are_in_kafkas_words() {
        let settings = settings(&[]);
        let says = |pairs: &[(&str, &str)]| match TopicConfig::validate(&settings, &own(pairs)) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        assert_eq!(says(&[("retention.ms", "-1"), ("cleanup.policy", "compact,delete")]), "");
        assert_eq!(says(&[("foo", "1")]), "Unknown topic config name: foo");
        assert_eq!(
            says(&[("retention.ms", "soon")]),
            "Invalid value soon for configuration retention.ms: Not a number of type LONG"
        );
        assert_eq!(
            says(&[("segment.bytes", "1")]),
            "Invalid value 1 for configuration segment.bytes: Value must be at least 14"
        );
        assert_eq!(
            says(&[("min.compaction.lag.ms", "9"), ("max.compaction.lag.ms", "8")]),
            "conflict topic config setting min.compaction.lag.ms (9) > max.compaction.lag.ms (8)"
        );
        assert!(says(&[("remote.storage.enable", "true")]).contains("not supported"));
        assert_eq!(says(&[("remote.storage.enable", "false")]), "");
    }
}
