//! Config changes as they happen: what tools and other brokers write below `/config` is heard of through the notifications
//! in `/config/changes` (`ZkConfigManager.scala`, `ZkNodeChangeNotificationListener.scala`).
//!
//! A notification is only a hint to read an entity's configs again. Kafka skips a change whose reading failed; here it
//! stays due until it was read. After a new session, during whose coming notifications may have been purged, the configs
//! of all topics are read again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_types::{BrokerId, TopicName};
use tokio::sync::broadcast::error::RecvError;
use tracing::{debug, warn};
use zk_schema::ConfigEntity;

use super::config_alteration::to_map;
use crate::zk::store_configs;
use crate::zk::znodes::{SessionEvent, Watcher, ZkError, Znodes};
use crate::zk::{StoreError, store_admin};

/// Pause before what failed is tried again, unless the session says something earlier.
const RETRY: Duration = Duration::from_secs(1);

/// Who wants to know of changed configs. What is told may be what is known already.
pub trait ConfigListener: Send + Sync {
    /// A topic's own configs are now these.
    fn topic_config(&self, topic: &TopicName, own: &BTreeMap<String, String>);
    /// The dynamic configs of all brokers and of this one are now these.
    fn broker_config(&self, all_brokers: &BTreeMap<String, String>, this_broker: &BTreeMap<String, String>);
}

/// The driver. Begin it before topics' configs are read: a change after the reading is then heard of.
pub struct ConfigChanges {
    znodes: Arc<dyn Znodes>,
    broker_id: BrokerId,
    listener: Arc<dyn ConfigListener>,
    seen: store_configs::ConfigChanges,
    /// Changed, and not yet read.
    due: Vec<ConfigEntity>,
    brokers_are_due: bool,
    all_topics_are_due: bool,
}

impl ConfigChanges {
    /// Tells `listener` of changes.
    pub fn new(znodes: Arc<dyn Znodes>, broker_id: BrokerId, listener: Arc<dyn ConfigListener>) -> ConfigChanges {
        ConfigChanges {
            znodes,
            broker_id,
            listener,
            seen: store_configs::ConfigChanges::default(),
            due: Vec::new(),
            brokers_are_due: true,
            all_topics_are_due: false,
        }
    }

    /// Tells of the brokers' configs once and then of every change, until the session is closed.
    pub async fn run(mut self) {
        let mut events = self.znodes.session_events();
        loop {
            let mut again: Watcher = match self.tell_what_is_due().await {
                Ok(watcher) => watcher,
                Err(error) => {
                    match error.zk() {
                        // Told where it happens; what is due is told after it.
                        Some(ZkError::Unknown | ZkError::Expired) => debug!("changed configs: {error}"),
                        _ => warn!("changed configs cannot be read now: {error}"),
                    }
                    Box::pin(async {
                        tokio::time::sleep(RETRY).await;
                        crate::zk::znodes::WatchEvent::Lost
                    })
                }
            };
            loop {
                let event = tokio::select! {
                    // The session first: a watch that is lost with it says less.
                    biased;
                    event = events.recv() => event,
                    _ = &mut again => break,
                };
                match event {
                    Ok(SessionEvent::Lost | SessionEvent::Expired) => {}
                    Ok(SessionEvent::Restored) => {
                        self.brokers_are_due = true;
                        break;
                    }
                    Ok(SessionEvent::Started { .. }) | Err(RecvError::Lagged(_)) => {
                        self.brokers_are_due = true;
                        self.all_topics_are_due = true;
                        break;
                    }
                    Err(RecvError::Closed) => return,
                }
            }
        }
    }

    /// Sets the watch, then reads what changed: a change in between fires the watch.
    async fn tell_what_is_due(&mut self) -> Result<Watcher, StoreError> {
        let (changed, watcher) = self.seen.next(&*self.znodes).await?;
        let purge = !changed.is_empty();
        for entity in changed {
            if !self.due.contains(&entity) {
                self.due.push(entity);
            }
        }
        if self.all_topics_are_due {
            self.tell_all_topics().await?;
        }
        while let Some(entity) = self.due.first().cloned() {
            match &entity {
                ConfigEntity::Topic(topic) => self.tell_topic(topic).await?,
                ConfigEntity::BrokerDefault => self.brokers_are_due = true,
                ConfigEntity::Broker(id) if *id == self.broker_id => self.brokers_are_due = true,
                ConfigEntity::Broker(_) => {}
                // Quotas and credentials are not built yet.
                ConfigEntity::Client(_)
                | ConfigEntity::User(_)
                | ConfigEntity::UserClient(..)
                | ConfigEntity::Ip(_) => debug!("configs of {entity} changed; they have no effect yet"),
            }
            self.due.remove(0);
        }
        if self.brokers_are_due {
            let all_brokers = self.read(&ConfigEntity::BrokerDefault).await?;
            let this_broker = self.read(&ConfigEntity::Broker(self.broker_id)).await?;
            if let (Some(all_brokers), Some(this_broker)) = (all_brokers, this_broker) {
                self.listener.broker_config(&all_brokers, &this_broker);
            }
            self.brokers_are_due = false;
        }
        if purge && let Err(error) = store_configs::purge_changes(&*self.znodes).await {
            debug!("old notifications of changed configs are not deleted: {error}");
        }
        Ok(watcher)
    }

    async fn tell_topic(&self, topic: &TopicName) -> Result<(), StoreError> {
        if let Some(own) = self.read(&ConfigEntity::Topic(topic.clone())).await? {
            self.listener.topic_config(topic, &own);
        }
        Ok(())
    }

    async fn tell_all_topics(&mut self) -> Result<(), StoreError> {
        let topics = store_admin::configured_topics(&*self.znodes).await?;
        for (entity, own) in store_configs::configs_of(&*self.znodes, topics).await? {
            if let ConfigEntity::Topic(topic) = &entity {
                self.listener.topic_config(topic, &to_map(&own));
            }
            self.due.retain(|due| *due != entity);
        }
        self.all_topics_are_due = false;
        Ok(())
    }

    /// `None`: what is there cannot be read, so what held before goes on holding.
    async fn read(&self, entity: &ConfigEntity) -> Result<Option<BTreeMap<String, String>>, StoreError> {
        match store_configs::configs(&*self.znodes, entity).await {
            Ok(own) => Ok(Some(to_map(&own))),
            Err(StoreError::Decode(error)) => {
                tracing::error!("left as it was: {error}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::zk::fake::{FakeEnsemble, FakeZnodes, Fate};
    use crate::zk::store_registration::create_parents;
    use crate::zk::znodes::CreateMode;

    struct Told(mpsc::UnboundedSender<String>);

    fn text(configs: &BTreeMap<String, String>) -> String {
        configs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    }

    impl ConfigListener for Told {
        fn topic_config(&self, topic: &TopicName, own: &BTreeMap<String, String>) {
            self.0.send(format!("{topic}: {}", text(own))).unwrap();
        }

        fn broker_config(&self, all_brokers: &BTreeMap<String, String>, this_broker: &BTreeMap<String, String>) {
            self.0.send(format!("brokers: {} / {}", text(all_brokers), text(this_broker))).unwrap();
        }
    }

    struct Given {
        ensemble: FakeEnsemble,
        zk: Arc<FakeZnodes>,
        told: mpsc::UnboundedReceiver<String>,
        _driver: JoinHandle<()>,
    }

    async fn given() -> Given {
        let ensemble = FakeEnsemble::default();
        let zk = Arc::new(ensemble.connect());
        create_parents(&*zk).await.unwrap();
        let (tell, told) = mpsc::unbounded_channel();
        let driver = ConfigChanges::new(zk.clone(), BrokerId(0), Arc::new(Told(tell)));
        let mut given = Given { ensemble, zk, told, _driver: tokio::spawn(driver.run()) };
        assert_eq!(given.told.recv().await.unwrap(), "brokers:  / ");
        given
    }

    impl Given {
        /// As kafka-configs of another version does it: the node, then the notification.
        async fn foreign_tool(&self, entity: &str, config: &str) {
            let zk = self.ensemble.connect();
            let path = format!("/config/{entity}");
            let data = format!("{{\"version\":1,\"config\":{{{config}}}}}");
            if zk.set(&path, data.as_bytes(), None).await.is_err() {
                zk.create(&path, data.as_bytes(), CreateMode::Persistent).await.unwrap();
            }
            let hint = format!("{{\"version\":2,\"entity_path\":\"{entity}\"}}");
            let prefix = "/config/changes/config_change_";
            zk.create(prefix, hint.as_bytes(), CreateMode::PersistentSequential).await.unwrap();
        }

        /// What was told until a last change is.
        async fn told(&mut self) -> Vec<String> {
            self.foreign_tool("topics/last", "").await;
            let mut lines = Vec::new();
            loop {
                match self.told.recv().await.unwrap() {
                    line if line == "last: " => return lines,
                    line => lines.push(line),
                }
            }
        }
    }

    #[tokio::test]
    async fn a_foreign_tools_change_is_told_once() {
        let mut given = given().await;
        given.foreign_tool("topics/t", "\"retention.ms\":\"5\"").await;
        given.foreign_tool("clients/c", "\"producer_byte_rate\":\"5\"").await;
        assert_eq!(given.told().await, ["t: retention.ms=5"]);
        assert_eq!(given.told().await, [""; 0]);
    }

    #[tokio::test]
    async fn brokers_hear_of_their_own_configs_and_of_everybodys() {
        let mut given = given().await;
        given.foreign_tool("brokers/1", "\"log.segment.bytes\":\"7\"").await;
        assert_eq!(given.told().await, [""; 0]);
        given.foreign_tool("brokers/0", "\"log.segment.bytes\":\"8\"").await;
        assert_eq!(given.told.recv().await.unwrap(), "brokers:  / log.segment.bytes=8");
        given.foreign_tool("brokers/<default>", "\"log.segment.bytes\":\"9\"").await;
        assert_eq!(given.told.recv().await.unwrap(), "brokers: log.segment.bytes=9 / log.segment.bytes=8");
    }

    #[tokio::test]
    async fn what_changed_while_there_was_no_session_is_told_once() {
        let mut given = given().await;
        given.foreign_tool("topics/quiet", "").await;
        assert_eq!(given.told.recv().await.unwrap(), "quiet: ");
        given.zk.disconnect();
        given.foreign_tool("topics/t", "\"retention.ms\":\"5\"").await;
        given.zk.expire();
        let mut lines = vec![given.told.recv().await.unwrap(), given.told.recv().await.unwrap()];
        lines.push(given.told.recv().await.unwrap());
        assert_eq!(lines, ["quiet: ", "t: retention.ms=5", "brokers:  / "]);
        assert_eq!(given.told().await, [""; 0]);
    }

    #[tokio::test]
    async fn a_change_whose_reading_failed_is_read_later() {
        let mut given = given().await;
        // The list and the notification are read, the configs are not.
        given.zk.plan(&[Fate::Answered, Fate::Answered, Fate::NeverArrived]);
        given.foreign_tool("topics/t", "\"retention.ms\":\"5\"").await;
        assert_eq!(given.told.recv().await.unwrap(), "t: retention.ms=5");
    }

    #[tokio::test]
    async fn a_broken_node_changes_nothing() {
        let mut given = given().await;
        given.foreign_tool("topics/t", "\"retention.ms\":[]").await;
        given.foreign_tool("brokers/0", "\"log.segment.bytes\":[]").await;
        assert_eq!(given.told().await, [""; 0]);
    }
}
