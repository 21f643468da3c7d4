//! Changed configs take effect: of a topic in its partitions, of the broker in what it starts from then on.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_controller::UncleanElection;
use ottla_types::{BrokerId, TopicName};
use tokio::sync::watch;
use tracing::{info, warn};
use zk_schema::ConfigEntity;

use super::config_alteration::to_map;
use super::config_changes::ConfigListener;
use super::current_config::CurrentConfig;
use super::partitions::Partitions;
use super::topic_configs::TopicConfigs;
use crate::config::BrokerConfig;
use crate::net::{ConnectionLimits, ConnectionQuota};
use crate::zk::store::StoreError;
use crate::zk::store_configs;
use crate::zk::znodes::Znodes;

/// The topic config that the controller needs too.
const UNCLEAN: &str = "unclean.leader.election.enable";

/// Where configs go.
pub struct ConfigApplication {
    /// Whose configs they are.
    pub partitions: Arc<Partitions>,
    /// What topics ask for.
    pub topics: Arc<TopicConfigs>,
    /// What the broker runs with.
    pub broker: Arc<CurrentConfig>,
    /// How many connections may be open.
    pub quota: Arc<ConnectionQuota>,
    /// Where the controller may elect unclean leaders.
    pub unclean: watch::Sender<UncleanElection>,
}

/// Reads what ZooKeeper says of all brokers and of this one, before anything is made of it.
pub async fn read_broker_configs(
    znodes: &dyn Znodes,
    broker_id: BrokerId,
    config: &CurrentConfig,
) -> Result<(), StoreError> {
    let all_brokers = to_map(&store_configs::configs(znodes, &ConfigEntity::BrokerDefault).await?);
    let this_broker = to_map(&store_configs::configs(znodes, &ConfigEntity::Broker(broker_id)).await?);
    tell(config.set_dynamic(&all_brokers, &this_broker));
    Ok(())
}

/// What a configuration says of connections.
pub fn connection_limits(config: &BrokerConfig) -> ConnectionLimits {
    ConnectionLimits {
        all: config.max_connections,
        per_ip: config.max_connections_per_ip,
        per_ip_overrides: config.max_connections_per_ip_overrides.clone(),
    }
}

fn tell(problems: Vec<crate::config::Problem>) {
    for problem in problems {
        warn!("dynamic configuration: {problem}");
    }
}

impl ConfigApplication {
    fn apply(&self, topic: &TopicName) {
        let config = self.topics.known(topic);
        let full_record_check = self.broker.get().full_record_check;
        for partition in self.partitions.of_topic(topic) {
            partition.set_config(config.clone(), full_record_check);
        }
    }
}

impl ConfigListener for ConfigApplication {
    fn topic_config(&self, topic: &TopicName, own: &BTreeMap<String, String>) {
        self.topics.learn(topic, own);
        self.apply(topic);
        self.unclean.send_if_modified(|unclean| {
            let own = own.get(UNCLEAN).and_then(|value| value.parse().ok());
            let before = match own {
                Some(allowed) => unclean.topics.insert(topic.clone(), allowed),
                None => unclean.topics.remove(topic),
            };
            before != own
        });
        info!("topic {topic}: configs {own:?}");
    }

    fn broker_config(&self, all_brokers: &BTreeMap<String, String>, this_broker: &BTreeMap<String, String>) {
        tell(self.broker.set_dynamic(all_brokers, this_broker));
        let config = self.broker.get();
        self.quota.set_limits(connection_limits(&config));
        let default = config.topic_defaults.unclean_leader_election_enable;
        self.unclean.send_if_modified(|unclean| std::mem::replace(&mut unclean.default, default) != default);
        for topic in self.partitions.topics() {
            self.apply(&topic);
        }
    }
}
