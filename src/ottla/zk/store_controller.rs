//! What a controller writes. Every write is one transaction with a check of the controller's epoch; many writes go out side by
//! side, each with an outcome of its own.

use futures_util::StreamExt;
use futures_util::stream;
use ottla_types::{PartitionEpoch, TopicName, TopicPartition};
use zk_schema::{
    ConfigEntity, FinalizedFeatures, PartitionState, TopicAssignment, admin_delete_topics,
    admin_preferred_replica_election, admin_reassign_partitions, broker_topics, config, feature,
    isr_change_notification, log_dir_event_notification, partition_state,
};

use super::store::{ATTEMPTS, StoreError, at, list, read};
use super::store_cluster::Reassignment;
use super::store_election::{FencedError, Leadership, fenced};
use super::znodes::{CreateMode, Op, OpResult, ZkError, Znodes};

/// Writes on their way at once.
const WRITES_IN_FLIGHT: usize = 100;

/// The outcome of a partition's write: its new epoch.
pub type PartitionOutcome = (TopicPartition, Result<PartitionEpoch, FencedError>);

/// Writes as the controller that won one election.
#[derive(Clone, Copy)]
pub struct ControllerStore<'a> {
    zk: &'a dyn Znodes,
    leadership: Leadership,
}

impl<'a> ControllerStore<'a> {
    /// For the term that began with this election.
    pub fn new(zk: &'a dyn Znodes, leadership: Leadership) -> ControllerStore<'a> {
        ControllerStore { zk, leadership }
    }

    /// Creates state nodes of new partitions, with the folders above them, in three rounds as Kafka does.
    /// [`ZkError::NodeExists`]: the partition has a state already.
    pub async fn create_partition_states(
        &self,
        states: Vec<(TopicPartition, PartitionState)>,
    ) -> Vec<PartitionOutcome> {
        let mut topics: Vec<String> = states.iter().map(|(p, _)| partition_state::partitions_path(&p.topic)).collect();
        topics.dedup();
        let folders = states.iter().map(|(p, _)| partition_state::partition_path(p)).collect();
        for round in [topics, folders] {
            let creates = round.into_iter().map(|path| async move { self.create(&path, vec![]).await });
            let outcomes: Vec<_> = stream::iter(creates).buffered(WRITES_IN_FLIGHT).collect().await;
            if outcomes.contains(&Err(FencedError::ControllerMoved)) {
                return states.into_iter().map(|(p, _)| (p, Err(FencedError::ControllerMoved))).collect();
            }
            // Other failures show in the round below, for the partitions that they concern.
        }
        let creates = states.into_iter().map(|(partition, state)| async move {
            let path = partition_state::path(&partition);
            let data = state.encode();
            let created = match self.create(&path, data.clone()).await {
                Err(error) if error.zk() == Some(&ZkError::Unknown) => self.written(&path, &data, 0, error).await,
                created => created.map(|()| PartitionEpoch(0)),
            };
            (partition, created)
        });
        stream::iter(creates).buffered(WRITES_IN_FLIGHT).collect().await
    }

    /// Writes states whose epoch is the expected one. [`ZkError::BadVersion`]: somebody else wrote; read again.
    pub async fn set_partition_states(
        &self,
        states: Vec<(TopicPartition, PartitionState, PartitionEpoch)>,
    ) -> Vec<PartitionOutcome> {
        let writes = states.into_iter().map(|(partition, state, expected)| async move {
            let outcome = self.set_partition_state(&partition, &state, expected).await;
            (partition, outcome)
        });
        stream::iter(writes).buffered(WRITES_IN_FLIGHT).collect().await
    }

    async fn set_partition_state(
        &self,
        partition: &TopicPartition,
        state: &PartitionState,
        expected: PartitionEpoch,
    ) -> Result<PartitionEpoch, FencedError> {
        let path = partition_state::path(partition);
        let data = state.encode();
        let mut unseen = false;
        let mut outcome = at(&path)(ZkError::Unknown).into();
        for _ in 0..ATTEMPTS {
            let op = Op::Set { path: path.clone(), data: data.clone(), version: Some(expected.0) };
            match fenced(self.zk, self.leadership, op).await {
                Ok(OpResult::Set(stat)) => return Ok(PartitionEpoch(stat.version)),
                Ok(_) => break,
                // Nothing is lost by asking once more: done once, it cannot be done twice.
                Err(error) if error.zk() == Some(&ZkError::Unknown) => unseen = true,
                Err(error) if unseen && error.zk() == Some(&ZkError::BadVersion) => {
                    return self.written(&path, &data, expected.0.wrapping_add(1), error).await;
                }
                Err(error) => {
                    outcome = error;
                    break;
                }
            }
        }
        Err(outcome)
    }

    /// Whether a write that was not answered is what the node holds: then it was done (KAFKA-1382).
    async fn written(
        &self,
        path: &str,
        data: &[u8],
        version: i32,
        error: FencedError,
    ) -> Result<PartitionEpoch, FencedError> {
        match read(self.zk, path).await? {
            Some((found, stat)) if found == data && stat.version == version => Ok(PartitionEpoch(version)),
            _ => Err(error),
        }
    }

    /// Writes a topic's node: its id, or its replicas during a reassignment. Returns the node's new version.
    pub async fn set_topic(
        &self,
        topic: &TopicName,
        assignment: &TopicAssignment,
        expected_version: i32,
    ) -> Result<i32, FencedError> {
        let path = broker_topics::path(topic);
        let op = Op::Set { path: path.clone(), data: assignment.encode(), version: Some(expected_version) };
        match fenced(self.zk, self.leadership, op).await? {
            OpResult::Set(stat) => Ok(stat.version),
            _ => Err(at(&path)(ZkError::Unknown).into()),
        }
    }

    /// Forgets a topic: its node with all below it, its configs, and last the request to delete it, so that a crash in
    /// between is mended by the next controller. May be repeated.
    pub async fn delete_topic(&self, topic: &TopicName) -> Result<(), FencedError> {
        self.delete_below(&broker_topics::path(topic)).await?;
        self.delete_below(&config::path(&ConfigEntity::Topic(topic.clone()))).await?;
        self.delete_request(topic).await
    }

    /// Drops the request to delete a topic.
    pub async fn delete_request(&self, topic: &TopicName) -> Result<(), FencedError> {
        self.delete(&admin_delete_topics::path(topic)).await
    }

    /// Drops notifications that were dealt with, or at failover all of them.
    pub async fn delete_isr_changes(&self, names: &[String]) -> Result<(), FencedError> {
        self.delete_all(isr_change_notification::PARENT, names).await
    }

    /// Drops notifications that were dealt with, or at failover all of them.
    pub async fn delete_log_dir_events(&self, names: &[String]) -> Result<(), FencedError> {
        self.delete_all(log_dir_event_notification::PARENT, names).await
    }

    /// Writes what is left of the reassignment that a tool asked for; nothing left deletes the node.
    pub async fn set_reassignment(&self, left: &Reassignment) -> Result<(), FencedError> {
        let path = admin_reassign_partitions::PATH;
        if left.is_empty() {
            return self.delete(path).await;
        }
        let op = Op::Set { path: path.into(), data: admin_reassign_partitions::encode(left), version: None };
        fenced(self.zk, self.leadership, op).await.map(drop)
    }

    /// Deletes the node of a preferred leader election: it was attempted.
    pub async fn delete_preferred_election(&self) -> Result<(), FencedError> {
        self.delete(admin_preferred_replica_election::PATH).await
    }

    /// Makes sure that `/feature` says enabled, with what is finalized already; absent or broken, it is written anew.
    pub async fn set_up_feature(&self) -> Result<(), FencedError> {
        let path = feature::PATH;
        let found = read(self.zk, path).await?;
        let features = match &found {
            Some((data, _)) => FinalizedFeatures::decode(path, data),
            None => Ok(FinalizedFeatures { enabled: false, features: Default::default() }),
        };
        let mut wanted = match features {
            Ok(features) if features.enabled => features,
            _ => FinalizedFeatures { enabled: true, features: Default::default() },
        };
        wanted.enabled = true;
        let data = wanted.encode();
        match found {
            None => self.create(path, data).await,
            Some((old, _)) if old == data => Ok(()),
            Some((_, stat)) => {
                let op = Op::Set { path: path.into(), data, version: Some(stat.version) };
                fenced(self.zk, self.leadership, op).await.map(drop)
            }
        }
    }

    async fn create(&self, path: &str, data: Vec<u8>) -> Result<(), FencedError> {
        let op = Op::Create { path: path.into(), data, mode: CreateMode::Persistent };
        fenced(self.zk, self.leadership, op).await.map(drop)
    }

    /// Deletes a node that may be gone already.
    async fn delete(&self, path: &str) -> Result<(), FencedError> {
        match fenced(self.zk, self.leadership, Op::Delete { path: path.into(), version: None }).await {
            Err(error) if error.zk() == Some(&ZkError::NoNode) => Ok(()),
            deleted => deleted.map(drop),
        }
    }

    async fn delete_all(&self, parent: &str, names: &[String]) -> Result<(), FencedError> {
        // Owned, because the compiler does not see that futures over borrowed names can go to another thread.
        let paths: Vec<String> = names.iter().map(|name| format!("{parent}/{name}")).collect();
        let deletes = paths.into_iter().map(|path| async move { self.delete(&path).await });
        let outcomes: Vec<_> = stream::iter(deletes).buffered(WRITES_IN_FLIGHT).collect().await;
        outcomes.into_iter().collect()
    }

    /// Deletes a node and all below it, the deepest first.
    async fn delete_below(&self, path: &str) -> Result<(), FencedError> {
        let mut levels = vec![vec![path.to_owned()]];
        while let Some(level) = levels.last().filter(|level| !level.is_empty()) {
            let lists = level.clone().into_iter().map(|path| async move {
                let names = list(self.zk, &path).await?;
                Ok::<_, StoreError>(names.into_iter().map(|name| format!("{path}/{name}")).collect::<Vec<_>>())
            });
            let below: Vec<_> = stream::iter(lists).buffered(WRITES_IN_FLIGHT).collect().await;
            levels.push(below.into_iter().collect::<Result<Vec<_>, _>>()?.concat());
        }
        for level in levels.into_iter().rev() {
            let deletes = level.into_iter().map(|path| async move { self.delete(&path).await });
            let outcomes: Vec<_> = stream::iter(deletes).buffered(WRITES_IN_FLIGHT).collect().await;
            outcomes.into_iter().collect::<Result<(), _>>()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
