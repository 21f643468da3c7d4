//! What administrative requests ask of ZooKeeper beyond what [`super::store_topics`] and [`super::store_configs`] do.

use ottla_types::TopicName;
use zk_schema::{ConfigEntity, admin_delete_topics, config};

use super::store::{StoreError, at, list};
use super::znodes::Znodes;

/// Whether a topic is to be deleted.
pub async fn is_marked_for_deletion(zk: &dyn Znodes, topic: &TopicName) -> Result<bool, StoreError> {
    let path = admin_delete_topics::path(topic);
    Ok(zk.exists(&path).await.map_err(at(&path))?.is_some())
}

/// All topics that have a node for configs of their own.
pub async fn configured_topics(zk: &dyn Znodes) -> Result<Vec<ConfigEntity>, StoreError> {
    let folder = format!("{}/topics", config::ROOT);
    let names = list(zk, &folder).await?;
    Ok(names.iter().filter_map(|name| TopicName::new(name).ok().map(ConfigEntity::Topic)).collect())
}
