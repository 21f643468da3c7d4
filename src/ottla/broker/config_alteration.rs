//! Changing the configs of topics and brokers in ZooKeeper: what AlterConfigs and IncrementalAlterConfigs have in common
//! (`ZkAdminManager.scala`, `ConfigAdminManager.scala`).
//!
//! Any broker changes a topic's configs and those of all brokers; those of one broker only the broker itself, because it
//! alone can check them. A change is computed from what ZooKeeper holds and written only if nobody else wrote meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_types::{BrokerId, TopicName};
use tracing::info;
use zk_schema::{ConfigEntity, EntityConfig};

use super::api_error::ApiError;
use super::current_config::CurrentConfig;
use super::metadata_cache::MetadataCache;
use crate::config::{Kind, TopicConfig, TopicKey, split_list, table};
use crate::zk::store_configs;
use crate::zk::znodes::Znodes;

/// The wire's number of topics (`ConfigResource.java`).
pub const TOPIC: i8 = 2;
/// Of brokers.
pub const BROKER: i8 = 4;
/// Of the log levels of a broker, which this one does not offer.
pub const BROKER_LOGGER: i8 = 8;

/// What the broker needs to change configs.
pub struct ConfigAlteration {
    /// This broker.
    pub broker_id: BrokerId,
    /// Where configs are.
    pub znodes: Arc<dyn Znodes>,
    /// Which topics there are.
    pub cache: Arc<MetadataCache>,
    /// What new values must fit to.
    pub config: Arc<CurrentConfig>,
}

/// What to do with an entity's configs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// These are all it is to have.
    Replace(Vec<(String, String)>),
    /// Each changes one, the others stay.
    Each(Vec<(String, Operation)>),
}

/// A change of one config (KIP-339).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// It has this value.
    Set(String),
    /// It has its default.
    Delete,
    /// These words are added to its list.
    Append(String),
    /// These words are taken from its list.
    Subtract(String),
}

impl Changes {
    fn names(&self) -> Vec<&str> {
        match self {
            Changes::Replace(configs) => configs.iter().map(|(name, _)| name.as_str()).collect(),
            Changes::Each(changes) => changes.iter().map(|(name, _)| name.as_str()).collect(),
        }
    }
}

impl ConfigAlteration {
    /// Checks a change and, unless `validate_only`, writes it and tells all brokers.
    pub async fn alter(
        &self,
        resource_type: i8,
        resource_name: &str,
        changes: &Changes,
        validate_only: bool,
    ) -> Result<(), ApiError> {
        let names = changes.names();
        if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
            return Err(ApiError::new(ErrorCode::InvalidRequest, "Error due to duplicate config keys"));
        }
        let entity = self.entity(resource_type, resource_name)?;
        let current = store_configs::configs(&*self.znodes, &entity).await?;
        let wanted = apply(&entity, changes, &current)?;
        self.validate(&entity, &names, &wanted)?;
        if validate_only {
            return Ok(());
        }
        // Checked above; against what another editor wrote meanwhile the same change is made again.
        let change = |configs: &mut EntityConfig| {
            if let Ok(wanted) = apply(&entity, changes, configs) {
                *configs = wanted;
            }
        };
        store_configs::change_configs(&*self.znodes, &entity, change).await?;
        info!("configs of {entity} are changed: {}", names.join(", "));
        Ok(())
    }

    fn entity(&self, resource_type: i8, name: &str) -> Result<ConfigEntity, ApiError> {
        let refused = |message: String| Err(ApiError::new(ErrorCode::InvalidRequest, message));
        match resource_type {
            TOPIC => {
                let snapshot = self.cache.snapshot();
                match TopicName::new(name).ok().filter(|topic| snapshot.topics.contains_key(topic)) {
                    Some(topic) => Ok(ConfigEntity::Topic(topic)),
                    None => Err(ApiError::new(
                        ErrorCode::UnknownTopicOrPartition,
                        format!("The topic '{name}' does not exist."),
                    )),
                }
            }
            BROKER if name.is_empty() => Ok(ConfigEntity::BrokerDefault),
            BROKER => match parse_broker(name)? {
                id if id == self.broker_id => Ok(ConfigEntity::Broker(id)),
                _ => refused(format!("Unexpected broker id, expected {}, but received {name}", self.broker_id)),
            },
            other => refused(format!("Unknown resource type {other}")),
        }
    }

    /// A topic's configs must be good as a whole. Of a broker's, what a foreign tool left there and nobody touches now
    /// does not stand in the way.
    fn validate(&self, entity: &ConfigEntity, changed: &[&str], wanted: &EntityConfig) -> Result<(), ApiError> {
        let config = self.config.get();
        if let ConfigEntity::Topic(_) = entity {
            return TopicConfig::validate(&config.settings, &to_map(wanted))
                .map_err(|error| ApiError::new(ErrorCode::InvalidConfig, error.to_string()));
        }
        let good =
            |key: &str, value: &str| config.validate_dynamic(&BTreeMap::from([(key.into(), value.into())])).is_ok();
        let checked: BTreeMap<String, String> = to_map(wanted)
            .into_iter()
            .filter(|(key, value)| changed.contains(&key.as_str()) || good(key, value))
            .collect();
        config.validate_dynamic(&checked).map_err(|why| ApiError::new(ErrorCode::InvalidRequest, why))
    }
}

/// The broker that a resource's name means.
pub fn parse_broker(name: &str) -> Result<BrokerId, ApiError> {
    let refused = || {
        let message = format!("Broker id must be an integer, but it is: {name}");
        ApiError::new(ErrorCode::InvalidRequest, message)
    };
    name.parse().map(BrokerId).map_err(|_| refused())
}

/// What is there more than once; a request that names a resource twice is refused for it.
pub fn named_twice<T: Ord + Clone>(named: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut once = BTreeSet::new();
    named.filter(|name| !once.insert(name.clone())).collect()
}

/// Configs as keys and values.
pub fn to_map(configs: &EntityConfig) -> BTreeMap<String, String> {
    configs.iter().map(|(key, value)| (key.into(), value.into())).collect()
}

fn apply(entity: &ConfigEntity, changes: &Changes, current: &EntityConfig) -> Result<EntityConfig, ApiError> {
    let changes = match changes {
        Changes::Replace(configs) => return Ok(configs.iter().map(|(key, value)| (key, value)).collect()),
        Changes::Each(changes) => changes,
    };
    let mut configs = current.clone();
    for (name, operation) in changes {
        match operation {
            Operation::Set(value) => configs.set(name, value),
            Operation::Delete => configs.remove(name),
            Operation::Append(words) => {
                let default = default_list(entity, name, "append")?;
                let mut list: Vec<&str> = split_list(configs.get(name).unwrap_or(default)).collect();
                for word in split_list(words) {
                    if !list.contains(&word) {
                        list.push(word);
                    }
                }
                let list = list.join(",");
                configs.set(name, &list);
            }
            Operation::Subtract(words) => {
                let default = default_list(entity, name, "subtract")?;
                let list = split_list(configs.get(name).unwrap_or(default));
                let list: Vec<&str> = list.filter(|word| !split_list(words).any(|gone| gone == *word)).collect();
                let list = list.join(",");
                configs.set(name, &list);
            }
        }
    }
    Ok(configs)
}

/// The default of a config that must be a list.
fn default_list(entity: &ConfigEntity, name: &str, operation: &str) -> Result<&'static str, ApiError> {
    let found = match entity {
        ConfigEntity::Topic(_) => TopicKey::find(name).map(|key| (key.kind, key.default)),
        _ => table::find(name).map(|row| (row.kind, row.default.unwrap_or_default())),
    };
    match found {
        Some((Kind::List | Kind::ListOf(_), default)) => Ok(default),
        Some(_) => {
            let message = format!("Config value {operation} is not allowed for config key: {name}");
            Err(ApiError::new(ErrorCode::InvalidRequest, message))
        }
        None => Err(ApiError::new(ErrorCode::InvalidConfig, format!("Unknown config name: {name}"))),
    }
}
