//! The view of who has no ZooKeeper: brokers are asked for Metadata of the topics in use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::schema::MetadataResponse;
use ottla_protocol::schema::metadata::MetadataResponseTopic;
use ottla_protocol::{ErrorCode, Uuid};
use ottla_types::{BrokerId, Endpoint, LeaderEpoch, ListenerName, SecurityProtocol, TopicName};
use ottla_view::{Broker, Change, Cluster, Leadership, Topic};
use tokio::time::{Instant, sleep, sleep_until};

use super::ProducerError;
use super::metrics::add;
use super::shared::Shared;
use super::watching::{idle_after, idle_interval};
use crate::client::{self, ClientError};

/// Between two requests at least, whoever wants to know.
const LEAST_PAUSE: Duration = Duration::from_millis(20);

/// How long a topic that exists must be denied before that is believed: a broker that has just started knows of none yet.
const DENIED: Duration = Duration::from_secs(3);

/// Asks brokers.
pub(super) struct Metadata {
    shared: Arc<Shared>,
    brokers: client::Cluster,
    topics: BTreeSet<TopicName>,
    /// Topics that exist by what is known, and do not by the last answers; since when.
    denied: BTreeMap<TopicName, Instant>,
    /// The ids of topics, from brokers that tell them (2.8 and later).
    ids: BTreeMap<TopicName, Uuid>,
    names: bool,
}

impl Metadata {
    /// Asks for the brokers.
    ///
    /// # Errors
    /// `Bootstrap`: none of the servers answers.
    pub(super) async fn start(shared: Arc<Shared>, servers: &str) -> Result<Metadata, ProducerError> {
        let brokers = client::Cluster::new(servers, shared.config.connection_options());
        let (topics, denied, ids) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        let mut metadata = Metadata { shared, brokers, topics, denied, ids, names: false };
        let asked = metadata.ask().await;
        asked.map_err(|why| ProducerError::Bootstrap { servers: servers.into(), why })?;
        Ok(metadata)
    }

    /// Asks until it is dropped: when something new is wanted, when a broker denies what is known, while something is missing or goes
    /// otherwise than by what is known, and when that is old.
    pub(super) async fn run(mut self) {
        let (least, most) = (self.shared.config.retry_backoff, self.shared.config.retry_backoff_max);
        let mut pause = least;
        let mut asked = Instant::now();
        let mut due = asked + self.shared.config.metadata_max_age;
        let mut idle_check = Instant::now() + idle_interval(&self.shared);
        loop {
            tokio::select! {
                () = self.shared.wants.changed.notified() => {
                    let wanted = self.shared.wants.take();
                    if wanted.surprised {
                        due = due.min(asked + least);
                    }
                    let is_new = wanted.topics.iter().any(|topic| !self.topics.contains(topic));
                    if !is_new && wanted.doubted.is_empty() && !wanted.names {
                        continue;
                    }
                    self.topics.extend(wanted.topics);
                    self.names |= wanted.names;
                    pause = least;
                }
                () = sleep_until(due.min(idle_check)) => {
                    if idle_check <= Instant::now() {
                        idle_check = Instant::now() + idle_interval(&self.shared);
                        for topic in self.shared.take_idle(idle_after(&self.shared)) {
                            self.topics.remove(&topic);
                            self.denied.remove(&topic);
                            self.ids.remove(&topic);
                        }
                    }
                }
            }
            let answered = self.ask().await;
            match &answered {
                Ok(()) => self.shared.trouble.clear(),
                Err(error) => self.shared.trouble.set(format!("no broker answers: {error}")),
            }
            let after = match answered.is_ok() && self.is_complete() {
                true => {
                    pause = least;
                    self.shared.config.metadata_max_age
                }
                false => {
                    let after = pause;
                    pause = (2 * pause).min(most);
                    after
                }
            };
            asked = Instant::now();
            due = asked + after;
            sleep(LEAST_PAUSE).await;
        }
    }

    async fn ask(&mut self) -> Result<(), ClientError> {
        let names: Vec<&str> = self.topics.iter().map(TopicName::as_str).collect();
        add(&self.shared.figures.metadata_requests, 1);
        let response = self.brokers.metadata((!self.names).then_some(&names[..]), false).await?;
        if response.brokers.is_empty() {
            // It has just started, and knows of nobody yet.
            return Ok(());
        }
        self.tell_replaced(&response);
        let known = self.shared.cluster();
        for change in known.changes_to(&self.cluster(&known, response)) {
            self.shared.view_changed(change);
        }
        Ok(())
    }

    /// A topic with another id was deleted and made again: nothing that is known of the old one holds, its leaders' epochs least.
    fn tell_replaced(&mut self, response: &MetadataResponse) {
        for topic in response.topics.iter().filter(|topic| topic.topic_id != Uuid::default()) {
            let Some(name) = self.topics.get(topic.name.as_deref().unwrap_or_default()).cloned() else { continue };
            let before = self.ids.insert(name.clone(), topic.topic_id);
            if before.is_some_and(|before| before != topic.topic_id) {
                self.shared.view_changed(Change::Topic { name, topic: Topic::Missing });
            }
        }
    }

    /// Whether every topic in use exists and every partition has a leader that lives.
    fn is_complete(&self) -> bool {
        let cluster = self.shared.cluster();
        self.denied.is_empty()
            && self.topics.iter().all(|topic| match cluster.topics.get(topic) {
                Some(Topic::Partitions(partitions)) => {
                    let lives = |leader| cluster.brokers.contains_key(&leader);
                    partitions.values().all(|leadership| leadership.leader.is_some_and(lives))
                }
                Some(Topic::Missing) | None => false,
            })
    }

    /// The cluster that an answer describes.
    fn cluster(&mut self, known: &Cluster, response: MetadataResponse) -> Cluster {
        let mut cluster = Cluster::default();
        for broker in response.brokers {
            let endpoint = Endpoint {
                listener: ListenerName::new("PLAINTEXT"),
                security_protocol: SecurityProtocol::Plaintext,
                host: broker.host.to_string(),
                port: u16::try_from(broker.port).unwrap_or(0),
            };
            let rack = broker.rack.map(|rack| rack.to_string());
            cluster.brokers.insert(BrokerId(broker.node_id), Broker { endpoints: vec![endpoint], rack, epoch: 0 });
        }
        if self.names {
            let exists = |topic: &&MetadataResponseTopic| topic.error_code != ErrorCode::UnknownTopicOrPartition.code();
            let name = |topic: &MetadataResponseTopic| TopicName::new(topic.name.as_deref().unwrap_or_default()).ok();
            cluster.topic_names = Some(response.topics.iter().filter(exists).filter_map(name).collect());
        }
        let mut missing: BTreeSet<TopicName> = BTreeSet::new();
        if self.names {
            // All topics were asked for; those that are not among them are not there.
            missing.extend(self.topics.iter().cloned());
        }
        for topic in response.topics {
            let Some(name) = self.topics.get(topic.name.as_deref().unwrap_or_default()).cloned() else { continue };
            missing.remove(&name);
            match ErrorCode::from_code(topic.error_code) {
                Some(ErrorCode::None) => {
                    self.denied.remove(&name);
                    let topic = partitions(known.topics.get(&name), topic);
                    cluster.topics.insert(name, topic);
                }
                // It is being made, or there is none.
                Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::LeaderNotAvailable) => {
                    missing.insert(name);
                }
                code => {
                    let message = code.unwrap_or(ErrorCode::UnknownServerError).message();
                    self.shared.trouble.set(format!("{name}: {message}"));
                }
            }
        }
        for name in missing {
            let topic = match known.topics.get(&name) {
                Some(present @ Topic::Partitions(_)) if self.is_doubtful(&name) => present.clone(),
                _ => Topic::Missing,
            };
            cluster.topics.insert(name, topic);
        }
        cluster
    }

    /// Whether a topic that exists has been denied for too short a time for it to be believed.
    fn is_doubtful(&mut self, topic: &TopicName) -> bool {
        let now = Instant::now();
        let since = *self.denied.entry(topic.clone()).or_insert(now);
        let is_doubtful = now.duration_since(since) < DENIED;
        if !is_doubtful {
            self.denied.remove(topic);
        }
        is_doubtful
    }
}

/// The partitions of a topic. What is older than what is known comes from a broker that is behind.
fn partitions(known: Option<&Topic>, topic: MetadataResponseTopic) -> Topic {
    let known = match known {
        Some(Topic::Partitions(partitions)) => Some(partitions),
        Some(Topic::Missing) | None => None,
    };
    let leadership = |index: i32, leader: i32, epoch: i32| {
        let said = Leadership { leader: (leader >= 0).then_some(BrokerId(leader)), epoch: LeaderEpoch(epoch) };
        match known.and_then(|known| known.get(&index)) {
            Some(known) if epoch >= 0 && epoch < known.epoch.0 => *known,
            _ => said,
        }
    };
    let said = topic.partitions.iter();
    let said = said.map(|p| (p.partition_index, leadership(p.partition_index, p.leader_id, p.leader_epoch)));
    // Partitions are never taken away.
    let kept = known.into_iter().flatten().map(|(index, leadership)| (*index, *leadership));
    Topic::Partitions(kept.chain(said).collect())
}
