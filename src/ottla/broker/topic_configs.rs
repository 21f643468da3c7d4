//! What a topic asks of its logs: its own configs in `/config/topics/T` over the broker's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ottla_log::config::CompressionType;
use ottla_log::{CleanupPolicy, LogConfig};
use ottla_types::TopicName;
use tracing::{error, warn};
use zk_schema::ConfigEntity;

use super::config_alteration::to_map;
use super::current_config::CurrentConfig;
use crate::config::{BrokerConfig, TopicConfig};
use crate::zk::znodes::Znodes;
use crate::zk::{StoreError, store_configs};

/// How long to wait before ZooKeeper is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Topics' own configs as they were last read.
pub struct TopicConfigs {
    znodes: Arc<dyn Znodes>,
    broker: Arc<CurrentConfig>,
    own: Mutex<BTreeMap<TopicName, BTreeMap<String, String>>>,
}

impl TopicConfigs {
    /// Over ZooKeeper and the broker's own configuration.
    pub fn new(znodes: Arc<dyn Znodes>, broker: Arc<CurrentConfig>) -> TopicConfigs {
        TopicConfigs { znodes, broker, own: Mutex::default() }
    }

    /// What a topic's logs are made with. Asks ZooKeeper until it answers: a log that ignored its topic's retention
    /// would delete what it should keep.
    pub async fn of_topic(&self, topic: &TopicName) -> Arc<LogConfig> {
        let own = loop {
            match store_configs::configs(&*self.znodes, &ConfigEntity::Topic(topic.clone())).await {
                Ok(own) => break to_map(&own),
                Err(StoreError::Decode(e)) => {
                    error!("{e}; the broker's own configs hold until it is mended");
                    break BTreeMap::new();
                }
                Err(e) => {
                    warn!("{e}; asked again in {} ms", RETRY_PAUSE.as_millis());
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        };
        self.learn(topic, &own);
        self.known(topic)
    }

    /// A topic's own configs are now these.
    pub fn learn(&self, topic: &TopicName, own: &BTreeMap<String, String>) {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.clone(), own.clone());
    }

    /// What a topic's logs are to do, as far as its own configs have been read.
    pub fn known(&self, topic: &TopicName) -> Arc<LogConfig> {
        let broker = self.broker.get();
        let all = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let none = BTreeMap::new();
        let own = all.get(topic).unwrap_or(&none);
        Arc::new(log_config(&TopicConfig::new(&broker.settings, own), &broker))
    }
}

fn log_config(topic: &TopicConfig, broker: &BrokerConfig) -> LogConfig {
    let limit = |value: i64| (value < i64::MAX).then_some(value);
    let not_negative = |value: i64| (value >= 0).then_some(value);
    LogConfig {
        segment_bytes: topic.segment_bytes as u32,
        segment_ms: topic.segment_ms,
        segment_jitter_ms: match topic.segment_jitter_ms.min(topic.segment_ms) {
            0 => 0,
            most => rand::random_range(0..most),
        },
        segment_index_bytes: topic.segment_index_bytes as u32,
        index_interval_bytes: topic.index_interval_bytes as u32,
        retention_ms: not_negative(topic.retention_ms),
        retention_bytes: not_negative(topic.retention_bytes).map(|bytes| bytes as u64),
        cleanup_policy: CleanupPolicy { delete: topic.cleanup_policy.delete, compact: topic.cleanup_policy.compact },
        file_delete_delay_ms: topic.file_delete_delay_ms,
        delete_retention_ms: topic.delete_retention_ms,
        min_compaction_lag_ms: topic.min_compaction_lag_ms,
        max_compaction_lag_ms: topic.max_compaction_lag_ms,
        min_cleanable_dirty_ratio: topic.min_cleanable_dirty_ratio,
        flush_messages: limit(topic.flush_messages).map(|records| records as u64),
        flush_ms: limit(topic.flush_ms),
        max_message_bytes: topic.max_message_bytes as u32,
        message_timestamp_type: topic.message_timestamp_type,
        message_timestamp_before_max_ms: limit(topic.message_timestamp_before_max_ms),
        message_timestamp_after_max_ms: limit(topic.message_timestamp_after_max_ms),
        compression_type: topic.compression_type.map_or(CompressionType::Producer, CompressionType::Codec),
        min_insync_replicas: topic.min_insync_replicas as u32,
        message_downconversion_enable: topic.message_downconversion_enable,
        preallocate: topic.preallocate,
        unclean_leader_election_enable: topic.unclean_leader_election_enable,
        producer_id_expiration_ms: broker.producer_id_expiration_ms,
    }
}
