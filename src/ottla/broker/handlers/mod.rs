//! One file for each API: what it needs, what it does, by which versions and which source of Kafka.

#[cfg(test)]
mod admin_tests;
pub mod alter_configs;
pub mod api_versions;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod fetch;
pub mod find_coordinator;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod leader_and_isr;
pub mod list_offsets;
pub mod metadata;
pub mod offset_commit;
pub mod offset_fetch;
pub mod produce;
pub mod stop_replica;
pub mod update_metadata;

use std::sync::Arc;

use ottla_types::BrokerId;

use super::config_alteration::ConfigAlteration;
use super::current_config::CurrentConfig;
use super::partitions::Partitions;
use super::producer_ids::ProducerIds;
use super::topic_creation::TopicCreation;
use super::{ClusterId, MetadataCache};
use crate::metrics::Metrics;
use crate::zk::znodes::Znodes;

/// What a broker's handlers are made of; each takes the two or three of these that it needs.
pub struct Ingredients {
    /// This broker.
    pub broker_id: BrokerId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// ZooKeeper.
    pub znodes: Arc<dyn Znodes>,
    /// The configuration.
    pub config: Arc<CurrentConfig>,
    /// The cluster as the controller tells it.
    pub cache: Arc<MetadataCache>,
    /// What is hosted here.
    pub partitions: Arc<Partitions>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The handlers of everything that is served.
pub struct Handlers {
    pub(super) produce: produce::Produce,
    pub(super) fetch: Arc<fetch::Fetch>,
    pub(super) list_offsets: list_offsets::ListOffsets,
    pub(super) metadata: Arc<metadata::Metadata>,
    pub(super) offset_commit: Arc<offset_commit::OffsetCommit>,
    pub(super) offset_fetch: Arc<offset_fetch::OffsetFetch>,
    pub(super) find_coordinator: find_coordinator::FindCoordinator,
    pub(super) create_topics: Arc<create_topics::CreateTopics>,
    pub(super) delete_topics: Arc<delete_topics::DeleteTopics>,
    pub(super) init_producer_id: init_producer_id::InitProducerId,
    pub(super) describe_configs: Arc<describe_configs::DescribeConfigs>,
    pub(super) alter_configs: Arc<alter_configs::AlterConfigs>,
    pub(super) create_partitions: Arc<create_partitions::CreatePartitions>,
    pub(super) incremental_alter_configs: Arc<incremental_alter_configs::IncrementalAlterConfigs>,
    pub(super) describe_cluster: describe_cluster::DescribeCluster,
    pub(super) metrics: Arc<Metrics>,
}

impl Handlers {
    /// All of them.
    pub fn new(of: Ingredients) -> Handlers {
        let Ingredients { broker_id, cluster_id, znodes, config, cache, partitions, metrics } = of;
        let creation = Arc::new(TopicCreation { znodes: znodes.clone(), cache: cache.clone(), config: config.clone() });
        let alteration = Arc::new(ConfigAlteration {
            broker_id,
            znodes: znodes.clone(),
            cache: cache.clone(),
            config: config.clone(),
        });
        Handlers {
            produce: produce::Produce { partitions: partitions.clone(), metrics: metrics.clone() },
            fetch: Arc::new(fetch::Fetch {
                partitions: partitions.clone(),
                cache: cache.clone(),
                metrics: metrics.clone(),
                max_bytes: config.get().fetch_max_bytes.max(0) as usize,
            }),
            list_offsets: list_offsets::ListOffsets { partitions },
            metadata: Arc::new(metadata::Metadata {
                cache: cache.clone(),
                cluster_id: cluster_id.clone(),
                creation: creation.clone(),
            }),
            offset_commit: Arc::new(offset_commit::OffsetCommit {
                znodes: znodes.clone(),
                cache: cache.clone(),
                config: config.clone(),
            }),
            offset_fetch: Arc::new(offset_fetch::OffsetFetch { znodes: znodes.clone(), cache: cache.clone() }),
            find_coordinator: find_coordinator::FindCoordinator { broker_id, cache: cache.clone() },
            create_topics: Arc::new(create_topics::CreateTopics { broker_id, creation }),
            delete_topics: Arc::new(delete_topics::DeleteTopics {
                broker_id,
                znodes: znodes.clone(),
                cache: cache.clone(),
                config: config.clone(),
            }),
            init_producer_id: init_producer_id::InitProducerId {
                ids: Arc::new(ProducerIds::new(znodes.clone(), broker_id)),
            },
            describe_configs: Arc::new(describe_configs::DescribeConfigs {
                broker_id,
                znodes: znodes.clone(),
                cache: cache.clone(),
                config,
            }),
            alter_configs: Arc::new(alter_configs::AlterConfigs { alteration: alteration.clone() }),
            create_partitions: Arc::new(create_partitions::CreatePartitions {
                broker_id,
                znodes,
                cache: cache.clone(),
            }),
            incremental_alter_configs: Arc::new(incremental_alter_configs::IncrementalAlterConfigs { alteration }),
            describe_cluster: describe_cluster::DescribeCluster { cache, cluster_id },
            metrics,
        }
    }
}
