//! Making topics: by request, and at their first use (`ZkAdminManager.scala`, `AdminZkClient.scala`,
//! `AutoTopicCreationManager.scala`).
//!
//! A topic is planned (is the name free, where do the replicas go, are the configs good), then written into ZooKeeper,
//! whose watch tells the controller; it is there for clients once the controller has announced its leaders. Nothing is
//! locked: two who make the same topic at once are sorted out by the node that only one of them can create.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ottla_controller::placement::{self, PlacementError, Start};
use ottla_protocol::ErrorCode;
use ottla_types::{BrokerId, PartitionIndex, TopicId, TopicName};
use tokio::time::Instant;
use tracing::{debug, info, warn};
use zk_schema::{EntityConfig, ReplicaMap, TopicAssignment};

use super::api_error::ApiError;
use super::current_config::CurrentConfig;
use super::metadata_cache::{MetadataCache, Snapshot};
use super::metadata_wait::{has_leaders, wait_until};
use crate::config::TopicConfig;
use crate::zk::znodes::Znodes;
use crate::zk::store_topics::TopicError;
use crate::zk::{store_admin, store_cluster, store_topics};

/// How long a first use waits for leaders: they are usually there in a few milliseconds, and a client that is told
/// LEADER_NOT_AVAILABLE pauses 100 ms and more.
const FIRST_USE_WAIT: Duration = Duration::from_millis(500);

/// What a topic's node may hold: ZooKeeper takes a little over a million bytes (jute.maxbuffer).
const MAX_NODE_BYTES: i64 = 1_000_000;

/// What the broker needs to make topics.
pub struct TopicCreation {
    /// Where topics are.
    pub znodes: Arc<dyn Znodes>,
    /// Live brokers, and topics as they come to life.
    pub cache: Arc<MetadataCache>,
    /// Defaults.
    pub config: Arc<CurrentConfig>,
}

/// A topic as somebody wants it.
#[derive(Debug, Clone)]
pub struct WantedTopic {
    /// The name, not yet checked.
    pub name: String,
    /// Where its partitions go.
    pub replicas: WantedReplicas,
    /// Its own configs.
    pub configs: BTreeMap<String, String>,
}

/// Where a topic's partitions go.
#[derive(Debug, Clone)]
pub enum WantedReplicas {
    /// The broker chooses.
    Placed {
        /// How many; `None`: `num.partitions`.
        partitions: Option<i32>,
        /// On how many brokers each; `None`: `default.replication.factor`.
        replication_factor: Option<i32>,
    },
    /// As listed, by partition.
    Listed(Vec<(PartitionIndex, Vec<BrokerId>)>),
}

/// A topic that can be made.
#[derive(Debug, Clone)]
pub struct PlannedTopic {
    /// Its name.
    pub name: TopicName,
    /// The replicas of its partitions.
    pub replicas: ReplicaMap,
    /// Its own configs.
    pub configs: BTreeMap<String, String>,
}

impl TopicCreation {
    /// Whether a first use makes a topic: `auto.create.topics.enable`.
    pub fn automatic(&self) -> bool {
        self.config.get().auto_create_topics_enable
    }

    /// Makes topics that a client named and that do not exist, with the broker's defaults, and waits a moment for their
    /// leaders. What cannot be made is logged; the client is told that there is no leader and asks again.
    pub async fn create_at_first_use(&self, topics: Vec<TopicName>) {
        let deadline = Instant::now() + FIRST_USE_WAIT;
        let create = |name: &TopicName| {
            let name = name.clone();
            async move { self.create_with_defaults(name.clone()).await.map(|partitions| (name, partitions)) }
        };
        // At most once each, and not the broker's own topics: who makes those knows what they must be like.
        let names: BTreeSet<&TopicName> = topics.iter().filter(|name| !name.is_internal()).collect();
        let made: Vec<_> = join_all(names.into_iter().map(create)).await.into_iter().flatten().collect();
        wait_until(&self.cache, deadline, |snapshot| {
            made.iter().all(|(name, partitions)| has_leaders(snapshot, name, *partitions))
        })
        .await;
    }

    /// The number of partitions, also of a topic that somebody else has just made.
    async fn create_with_defaults(&self, name: TopicName) -> Option<usize> {
        let wanted = WantedTopic {
            name: name.to_string(),
            replicas: WantedReplicas::Placed { partitions: None, replication_factor: None },
            configs: BTreeMap::new(),
        };
        let created = match self.plan(&wanted) {
            Ok(planned) => self.create(&planned).await.map(|_| planned.replicas.len()),
            Err(error) => Err(error),
        };
        match created {
            Ok(partitions) => {
                info!("topic {name} is made at its first use, with {partitions} partitions");
                Some(partitions)
            }
            // It is on its way: wait for what can be said of it.
            Err(error) if error.code == ErrorCode::TopicAlreadyExists => Some(1),
            Err(error) if error.code == ErrorCode::RequestTimedOut => {
                warn!("topic {name} was not made at its first use: {}", error.message.unwrap_or_default());
                None
            }
            Err(error) => {
                debug!("topic {name} cannot be made at its first use: {}", error.message.unwrap_or_default());
                None
            }
        }
    }

    /// Checks a wish and decides what it leaves open. Whether the name is free in ZooKeeper too is seen when the topic is
    /// made, or by [`TopicCreation::check_free`].
    pub fn plan(&self, wanted: &WantedTopic) -> Result<PlannedTopic, ApiError> {
        let name = TopicName::new(&wanted.name)
            .map_err(|error| ApiError::new(ErrorCode::InvalidTopicException, error.to_string()))?;
        let snapshot = self.cache.snapshot();
        if snapshot.topics.contains_key(&name) {
            return Err(TopicError::Exists(name).into());
        }
        let config = self.config.get();
        let replicas = match &wanted.replicas {
            WantedReplicas::Placed { partitions, replication_factor } => place_new(
                &snapshot,
                partitions.unwrap_or(config.num_partitions),
                replication_factor.unwrap_or(config.default_replication_factor),
            )?,
            WantedReplicas::Listed(list) => check_listed(&snapshot, list)?,
        };
        TopicConfig::validate(&config.settings, &wanted.configs)
            .map_err(|error| ApiError::new(ErrorCode::InvalidConfig, error.to_string()))?;
        Ok(PlannedTopic { name, replicas, configs: wanted.configs.clone() })
    }

    /// Whether ZooKeeper would take the name: nobody has it, or one that metrics could not tell from it.
    pub async fn check_free(&self, name: &TopicName) -> Result<(), ApiError> {
        if store_admin::is_marked_for_deletion(&*self.znodes, name).await? {
            return Err(TopicError::BeingDeleted(name.clone()).into());
        }
        let names = store_cluster::topic_names(&*self.znodes).await?;
        if names.contains(name) {
            return Err(TopicError::Exists(name.clone()).into());
        }
        match names.into_iter().find(|other| name.collides_with(other)) {
            Some(other) => Err(TopicError::Collides { topic: name.clone(), other }.into()),
            None => Ok(()),
        }
    }

    /// Writes a planned topic. Its leaders are not there yet when this returns.
    pub async fn create(&self, planned: &PlannedTopic) -> Result<TopicId, ApiError> {
        let id = random_id();
        let assignment =
            TopicAssignment { partitions: planned.replicas.clone(), topic_id: Some(id), ..TopicAssignment::default() };
        let configs: EntityConfig = planned.configs.iter().collect();
        store_topics::create_topic(&*self.znodes, &planned.name, &assignment, &configs).await?;
        Ok(id)
    }
}

/// An id that no other topic has.
fn random_id() -> TopicId {
    loop {
        if let Some(id) = TopicId::from_random(rand::random()) {
            return id;
        }
    }
}

/// Live brokers with their racks.
pub fn brokers_and_racks(snapshot: &Snapshot) -> BTreeMap<BrokerId, Option<String>> {
    snapshot.brokers.iter().map(|(id, broker)| (*id, broker.rack.clone())).collect()
}

/// The refusal that belongs to a placement that is impossible.
pub fn placement_refused(error: &PlacementError) -> ApiError {
    ApiError::new(ErrorCode::InvalidReplicationFactor, error.to_string())
}

/// Refuses what would not fit into the topic's node, before any of it is computed: each partition takes its number and
/// its list of brokers.
pub fn check_node_size(partitions: i64, replication_factor: i64) -> Result<(), ApiError> {
    let least = partitions.saturating_mul(6 + 2 * replication_factor);
    if least <= MAX_NODE_BYTES {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::InvalidPartitions,
        format!("{partitions} partitions do not fit into a node of ZooKeeper, which takes a million bytes."),
    ))
}

fn place_new(snapshot: &Snapshot, partitions: i32, replication_factor: i32) -> Result<ReplicaMap, ApiError> {
    if partitions <= 0 {
        let message = "Number of partitions must be larger than 0.";
        return Err(ApiError::new(ErrorCode::InvalidPartitions, message));
    }
    let factor = usize::try_from(replication_factor).unwrap_or(0);
    let brokers = brokers_and_racks(snapshot);
    if (1..=brokers.len()).contains(&factor) {
        check_node_size(partitions.into(), replication_factor.into())?;
    }
    let start = || rand::random::<u16>().into();
    placement::place(&brokers, 0, partitions, factor, Start { index: start(), shift: start() })
        .map_err(|error| placement_refused(&error))
}

/// A list by hand must number its partitions from 0 and name live brokers, none twice, as many for each partition.
fn check_listed(
    snapshot: &Snapshot,
    list: &[(PartitionIndex, Vec<BrokerId>)],
) -> Result<ReplicaMap, ApiError> {
    let refused = |message: String| Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
    let replicas: ReplicaMap = list.iter().cloned().collect();
    let consecutive = replicas.keys().copied().eq(0..list.len() as PartitionIndex);
    if !consecutive {
        return refused("partitions should be a consecutive 0-based integer sequence".into());
    }
    let sizes: BTreeSet<usize> = replicas.values().map(Vec::len).collect();
    if sizes.len() != 1 {
        return refused("All partitions should have the same number of replicas".into());
    }
    check_brokers(snapshot, &replicas)?;
    Ok(replicas)
}

/// Replicas by hand: at least one for each partition, none twice, on live brokers.
pub fn check_brokers(snapshot: &Snapshot, replicas: &ReplicaMap) -> Result<(), ApiError> {
    let refused = |message: String| Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
    let words = |ids: &mut dyn Iterator<Item = &BrokerId>| ids.map(BrokerId::to_string).collect::<Vec<_>>().join(", ");
    for (partition, brokers) in replicas {
        let distinct: BTreeSet<&BrokerId> = brokers.iter().collect();
        if brokers.is_empty() {
            return refused(format!("Cannot have replication factor of 0 for partition id {partition}."));
        }
        if distinct.len() < brokers.len() {
            let brokers = words(&mut brokers.iter());
            return refused(format!(
                "Duplicate brokers not allowed in replica assignment: {brokers} for partition id {partition}."
            ));
        }
    }
    let unknown: BTreeSet<&BrokerId> =
        replicas.values().flatten().filter(|id| !snapshot.brokers.contains_key(id)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    refused(format!("Unknown broker(s) in replica assignment: {}.", words(&mut unknown.into_iter())))
}
