//! Dynamic configs of topics, brokers, clients, users and addresses, and the notifications that they changed.

use std::collections::BTreeSet;

use zk_schema::{ConfigEntity, EntityConfig, config, config_changes};

use super::store::{ATTEMPTS, StoreError, at, create_with_parents, read, read_all, readable};
use super::store_cluster::children_and_watch;
use super::znodes::{CreateMode, Watcher, ZkError, Znodes};

/// How long a notification is kept, in ms, so that every broker has time to see it.
const NOTIFICATION_LIFE_MS: i64 = 15 * 60 * 1000;

/// The configs of an entity; all defaults if there is no node.
pub async fn configs(zk: &dyn Znodes, entity: &ConfigEntity) -> Result<EntityConfig, StoreError> {
    let path = config::path(entity);
    match read(zk, &path).await? {
        Some((data, _)) => Ok(EntityConfig::decode(&path, &data)?),
        None => Ok(EntityConfig::default()),
    }
}

/// The configs of many entities at once; broken nodes count as all defaults.
pub async fn configs_of(
    zk: &dyn Znodes,
    entities: impl IntoIterator<Item = ConfigEntity>,
) -> Result<Vec<(ConfigEntity, EntityConfig)>, StoreError> {
    let nodes = entities.into_iter().map(|entity| (entity.clone(), config::path(&entity))).collect();
    let found = readable(read_all(zk, nodes).await?, EntityConfig::decode);
    Ok(found.map(|(entity, configs, _)| (entity, configs)).collect())
}

/// Changes the configs of an entity and tells all brokers. `change` may run several times: another editor's change in
/// between is not undone. Returns the configs as written.
pub async fn change_configs(
    zk: &dyn Znodes,
    entity: &ConfigEntity,
    change: impl Fn(&mut EntityConfig) + Send + Sync,
) -> Result<EntityConfig, StoreError> {
    let path = config::path(entity);
    let mut outcome = ZkError::Unknown;
    for _ in 0..ATTEMPTS {
        let found = read(zk, &path).await?;
        let mut configs = match &found {
            Some((data, _)) => EntityConfig::decode(&path, data)?,
            None => EntityConfig::default(),
        };
        change(&mut configs);
        let data = configs.encode();
        let written = match &found {
            Some((old, _)) if *old == data => Ok(()),
            Some((_, stat)) => zk.set(&path, &data, Some(stat.version)).await.map(drop),
            None => create_with_parents(zk, &path, &data).await,
        };
        match written {
            Ok(()) => {
                notify(zk, entity).await?;
                return Ok(configs);
            }
            // Read again: it may have been done.
            Err(ZkError::BadVersion | ZkError::NoNode | ZkError::NodeExists | ZkError::Unknown) => {}
            Err(error) => {
                outcome = error;
                break;
            }
        }
    }
    Err(at(&path)(outcome))
}

/// Tells all brokers to read an entity's configs again. Said twice after a lost answer, it harms nobody.
async fn notify(zk: &dyn Znodes, entity: &ConfigEntity) -> Result<(), StoreError> {
    let data = config_changes::encode(entity);
    for _ in 0..ATTEMPTS {
        match zk.create(config_changes::PREFIX, &data, CreateMode::PersistentSequential).await {
            Ok(_) => return Ok(()),
            Err(ZkError::NoNode) => match create_with_parents(zk, config_changes::PARENT, b"").await {
                Ok(()) | Err(ZkError::NodeExists | ZkError::Unknown) => {}
                Err(error) => return Err(at(config_changes::PARENT)(error)),
            },
            Err(ZkError::Unknown) => {}
            Err(error) => return Err(at(config_changes::PREFIX)(error)),
        }
    }
    Err(at(config_changes::PREFIX)(ZkError::Unknown))
}

/// Which notifications a broker has seen. Numbers are remembered one by one: the server's counter wraps, and lists
/// are unsorted.
#[derive(Debug, Default)]
pub struct ConfigChanges {
    seen: BTreeSet<i32>,
}

impl ConfigChanges {
    /// Entities whose configs changed since the last call, in order, each once, and a watch on the next change. The first
    /// call returns those of the last minutes: what they say has been read already if the configs were read after it.
    pub async fn next(&mut self, zk: &dyn Znodes) -> Result<(Vec<ConfigEntity>, Watcher), StoreError> {
        let (names, watcher) = children_and_watch(zk, config_changes::PARENT).await?;
        let numbered = names.iter().filter_map(|name| Some((config_changes::parse_name(name)?, path(name))));
        let all: Vec<(i32, String)> = numbered.collect();
        let fresh = all.iter().filter(|(number, _)| !self.seen.contains(number)).cloned().collect();
        let mut found: Vec<_> = readable(read_all(zk, fresh).await?, config_changes::decode).collect();
        found.sort_by_key(|(_, _, stat)| stat.czxid);
        let mut entities = Vec::new();
        for (_, entity, _) in found {
            if !entities.contains(&entity) {
                entities.push(entity);
            }
        }
        self.seen = all.into_iter().map(|(number, _)| number).collect();
        Ok((entities, watcher))
    }
}

/// Deletes notifications that are older than 15 minutes, measured by ZooKeeper's own clock (the newest notification's
/// time): a broker with a wrong clock deletes nothing that others have not seen. Best done by one broker only.
pub async fn purge_changes(zk: &dyn Znodes) -> Result<(), StoreError> {
    let names = super::store::list(zk, config_changes::PARENT).await?;
    let nodes = names.iter().map(|name| ((), path(name))).collect();
    let found = read_all(zk, nodes).await?;
    let newest = found.iter().map(|(_, _, _, stat)| stat.ctime).max().unwrap_or(0);
    for (_, path, _, stat) in found {
        if newest - stat.ctime > NOTIFICATION_LIFE_MS {
            match zk.delete(&path, None).await {
                Ok(()) | Err(ZkError::NoNode) => {}
                Err(error) => return Err(at(&path)(error)),
            }
        }
    }
    Ok(())
}

fn path(name: &str) -> String {
    format!("{}/{name}", config_changes::PARENT)
}

#[cfg(test)]
mod tests {
    use ottla_types::TopicName;

    use super::super::fake::{FakeEnsemble, Fate};
    use super::super::store_registration::create_parents;
    use super::super::znodes::WatchEvent;
    use super::*;

    fn topic(name: &str) -> ConfigEntity {
        ConfigEntity::Topic(TopicName::new(name).unwrap())
    }

    #[tokio::test]
    async fn a_change_is_written_then_told() {
        let ensemble = FakeEnsemble::default();
        let (a, b) = (ensemble.connect(), ensemble.connect());
        create_parents(&a).await.unwrap();
        let mut changes = ConfigChanges::default();
        let (none, watcher) = changes.next(&b).await.unwrap();
        assert!(none.is_empty());
        change_configs(&a, &topic("t"), |configs| configs.set("retention.ms", "5")).await.unwrap();
        assert_eq!(watcher.await, WatchEvent::ChildrenChanged);
        assert_eq!(
            a.get("/config/changes/config_change_0000000000").await.unwrap().0,
            br#"{"version":2,"entity_path":"topics/t"}"#
        );
        let (changed, _) = changes.next(&b).await.unwrap();
        assert_eq!(changed, [topic("t")]);
        assert_eq!(configs(&b, &topic("t")).await.unwrap().get("retention.ms"), Some("5"));
        change_configs(&a, &topic("t"), |configs| configs.remove("retention.ms")).await.unwrap();
        change_configs(&a, &topic("u"), |configs| configs.set("a", "b")).await.unwrap();
        change_configs(&a, &topic("t"), |configs| configs.set("a", "b")).await.unwrap();
        assert_eq!(changes.next(&b).await.unwrap().0, [topic("t"), topic("u")], "each once");
        assert!(changes.next(&b).await.unwrap().0.is_empty());
    }

    #[tokio::test]
    async fn old_tools_and_broken_notifications_do_no_harm() {
        let zk = FakeEnsemble::default().connect();
        create_parents(&zk).await.unwrap();
        for data in [&b"garbage"[..], br#"{"version":1,"entity_type":"topics","entity_name":"t"}"#, b"\"u\""] {
            zk.create(config_changes::PREFIX, data, CreateMode::PersistentSequential).await.unwrap();
        }
        assert_eq!(ConfigChanges::default().next(&zk).await.unwrap().0, [topic("t"), topic("u")]);
    }

    #[tokio::test]
    async fn editors_side_by_side_lose_nothing_and_lost_answers_neither() {
        let zk = FakeEnsemble::default().connect();
        create_parents(&zk).await.unwrap();
        change_configs(&zk, &topic("t"), |configs| configs.set("a", "1")).await.unwrap();
        for (key, lost) in [("b", Fate::DoneUnseen), ("c", Fate::NeverArrived)] {
            zk.plan(&[Fate::Answered, lost]);
            change_configs(&zk, &topic("t"), |configs| configs.set(key, "2")).await.unwrap();
        }
        let keys: Vec<String> = configs(&zk, &topic("t")).await.unwrap().iter().map(|(key, _)| key.into()).collect();
        assert_eq!(keys, ["a", "b", "c"]);
        assert_eq!(zk.children(config_changes::PARENT).await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn notifications_live_for_a_quarter_of_an_hour() {
        let ensemble = FakeEnsemble::default();
        let zk = ensemble.connect();
        create_parents(&zk).await.unwrap();
        for minutes in [0, 10, 10] {
            ensemble.advance(minutes * 60_000);
            change_configs(&zk, &topic("t"), |configs| configs.set("at", "x")).await.unwrap();
        }
        purge_changes(&zk).await.unwrap();
        assert_eq!(zk.children(config_changes::PARENT).await.unwrap().len(), 2);
    }
}
