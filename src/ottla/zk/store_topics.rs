//! What creates, enlarges and deletes topics asks of ZooKeeper. Here only the wish is written down; the controller sees it
//! by its watches and acts. Tools that write the same nodes are as good as this.

use ottla_types::TopicName;
use zk_schema::{ConfigEntity, EntityConfig, ReplicaMap, TopicAssignment, admin_delete_topics, broker_topics, config};

use super::store::{ATTEMPTS, StoreError, at, read};
use super::store_cluster;
use super::store_registration::create_parents;
use super::znodes::{CreateMode, MultiError, Op, ZkError, Znodes};

/// Why a topic was not created, enlarged or marked for deletion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// There is such a topic.
    #[error("Topic '{0}' already exists.")]
    Exists(TopicName),
    /// There is no such topic.
    #[error("Topic '{0}' does not exist.")]
    Unknown(TopicName),
    /// The topic is to be deleted.
    #[error("Topic '{0}' is marked for deletion.")]
    BeingDeleted(TopicName),
    /// The names differ in `.` and `_` only.
    #[error("Topic '{topic}' collides with existing topic '{other}'.")]
    Collides {
        /// The new name.
        topic: TopicName,
        /// The name that exists.
        other: TopicName,
    },
    /// Partitions can be added, not changed: the topic has these numbers already.
    #[error("Topic '{topic}' has partition {partition} already.")]
    PartitionExists {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: i32,
    },
    /// ZooKeeper.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Creates a topic: its configs, then its node, in one transaction, so that neither is ever seen without the other. Every
/// partition's replicas are in `assignment`; its topic id must be new, since a lost answer is told by it.
pub async fn create_topic(
    zk: &dyn Znodes,
    topic: &TopicName,
    assignment: &TopicAssignment,
    configs: &EntityConfig,
) -> Result<(), TopicError> {
    refuse_if_being_deleted(zk, topic).await?;
    let names = store_cluster::topic_names(zk).await?;
    if let Some(other) = names.into_iter().find(|other| other.collides_with(topic)) {
        return Err(TopicError::Collides { topic: topic.clone(), other });
    }
    let path = broker_topics::path(topic);
    let config_path = config::path(&ConfigEntity::Topic(topic.clone()));
    let data = assignment.encode();
    let mut unseen = false;
    for _ in 0..ATTEMPTS {
        // Configs may be left from an attempt of an old tool, which writes the two nodes one after the other.
        let left = zk.exists(&config_path).await.map_err(at(&config_path))?;
        let (path_of, config_data) = (config_path.clone(), configs.encode());
        let write_configs = match left {
            Some(_) => Op::Set { path: path_of, data: config_data, version: None },
            None => Op::Create { path: path_of, data: config_data, mode: CreateMode::Persistent },
        };
        let create = Op::Create { path: path.clone(), data: data.clone(), mode: CreateMode::Persistent };
        match zk.multi(vec![write_configs, create]).await {
            Ok(_) => return Ok(()),
            Err(MultiError::At { index: 1, source: ZkError::NodeExists }) => {
                let found = read(zk, &path).await?;
                return match unseen && found.is_some_and(|(found, _)| found == data) {
                    true => Ok(()),
                    false => Err(TopicError::Exists(topic.clone())),
                };
            }
            Err(MultiError::At { source: ZkError::NoNode, .. }) => create_parents(zk).await?,
            Err(MultiError::At { index: 0, source: ZkError::NodeExists }) => {}
            Err(MultiError::Whole(ZkError::Unknown)) => unseen = true,
            Err(MultiError::At { source, .. } | MultiError::Whole(source)) => return Err(at(&path)(source).into()),
        }
    }
    Err(at(&path)(ZkError::Unknown).into())
}

/// Adds partitions. The node is written only if nobody else wrote it since it was read.
pub async fn add_partitions(zk: &dyn Znodes, topic: &TopicName, added: &ReplicaMap) -> Result<(), TopicError> {
    refuse_if_being_deleted(zk, topic).await?;
    let path = broker_topics::path(topic);
    let mut unseen = None;
    for _ in 0..ATTEMPTS {
        let Some((data, stat)) = read(zk, &path).await? else { return Err(TopicError::Unknown(topic.clone())) };
        if unseen.as_ref() == Some(&data) {
            return Ok(());
        }
        let mut assignment = TopicAssignment::decode(&path, &data).map_err(StoreError::from)?;
        if let Some(&partition) = added.keys().find(|partition| assignment.partitions.contains_key(partition)) {
            return Err(TopicError::PartitionExists { topic: topic.clone(), partition });
        }
        assignment.partitions.extend(added.clone());
        let data = assignment.encode();
        match zk.set(&path, &data, Some(stat.version)).await {
            Ok(_) => return Ok(()),
            Err(ZkError::BadVersion | ZkError::NoNode) => {}
            Err(ZkError::Unknown) => unseen = Some(data),
            Err(error) => return Err(at(&path)(error).into()),
        }
    }
    Err(at(&path)(ZkError::Unknown).into())
}

/// Asks for a topic's deletion; the controller does it. Asking twice is asking once.
pub async fn request_deletion(zk: &dyn Znodes, topic: &TopicName) -> Result<(), TopicError> {
    let path = broker_topics::path(topic);
    if zk.exists(&path).await.map_err(at(&path))?.is_none() {
        return Err(TopicError::Unknown(topic.clone()));
    }
    let request = admin_delete_topics::path(topic);
    match zk.create(&request, b"", CreateMode::Persistent).await {
        Ok(_) | Err(ZkError::NodeExists) => Ok(()),
        Err(error) => Err(at(&request)(error).into()),
    }
}

async fn refuse_if_being_deleted(zk: &dyn Znodes, topic: &TopicName) -> Result<(), TopicError> {
    let request = admin_delete_topics::path(topic);
    match zk.exists(&request).await.map_err(at(&request))? {
        Some(_) => Err(TopicError::BeingDeleted(topic.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ottla_types::{BrokerId, TopicId};

    use super::super::fake::{FakeEnsemble, FakeZnodes, Fate};
    use super::*;

    async fn zk() -> FakeZnodes {
        let zk = FakeEnsemble::default().connect();
        create_parents(&zk).await.unwrap();
        zk
    }

    fn name(text: &str) -> TopicName {
        TopicName::new(text).unwrap()
    }

    fn assignment(id: u8) -> TopicAssignment {
        let partitions = [(0, vec![BrokerId(1)])].into();
        TopicAssignment { partitions, topic_id: Some(TopicId([id; 16])), ..Default::default() }
    }

    async fn create(zk: &FakeZnodes, topic: &str, id: u8) -> Result<(), TopicError> {
        let configs = [("retention.ms", "5")].into_iter().collect();
        create_topic(zk, &name(topic), &assignment(id), &configs).await
    }

    #[tokio::test]
    async fn a_topic_is_two_nodes_as_kafka_writes_them() {
        let zk = zk().await;
        create(&zk, "t", 0).await.unwrap();
        let configs = zk.get("/config/topics/t").await.unwrap().0;
        assert_eq!(configs, br#"{"version":1,"config":{"retention.ms":"5"}}"#);
        let topic = String::from_utf8(zk.get("/brokers/topics/t").await.unwrap().0).unwrap();
        let text = r#"{"partitions":{"0":[1]},"topic_id":"AAAAAAAAAAAAAAAAAAAAAA","adding_replicas":{},"removing_replicas":{},"version":3}"#;
        assert_eq!(topic, text);
        assert!(zk.children("/config/changes").await.unwrap().is_empty(), "a creation is no change");
    }

    #[tokio::test]
    async fn names_that_are_taken_or_going_are_refused() {
        let zk = zk().await;
        create(&zk, "a.b", 1).await.unwrap();
        assert_eq!(create(&zk, "a.b", 2).await, Err(TopicError::Exists(name("a.b"))));
        let collision = TopicError::Collides { topic: name("a_b"), other: name("a.b") };
        assert_eq!(create(&zk, "a_b", 2).await, Err(collision));
        request_deletion(&zk, &name("a.b")).await.unwrap();
        request_deletion(&zk, &name("a.b")).await.unwrap();
        assert_eq!(create(&zk, "a.b", 2).await, Err(TopicError::BeingDeleted(name("a.b"))));
        assert_eq!(request_deletion(&zk, &name("c")).await, Err(TopicError::Unknown(name("c"))));
    }

    #[tokio::test]
    async fn configs_left_behind_are_overwritten() {
        let zk = zk().await;
        zk.create("/config/topics/t", b"old", CreateMode::Persistent).await.unwrap();
        create(&zk, "t", 1).await.unwrap();
        assert!(zk.get("/config/topics/t").await.unwrap().0.starts_with(b"{"));
    }

    #[tokio::test]
    async fn a_lost_answer_creates_one_topic() {
        for lost in [Fate::DoneUnseen, Fate::NeverArrived] {
            let zk = zk().await;
            // Marker, names, left configs, the multi.
            zk.plan(&[Fate::Answered, Fate::Answered, Fate::Answered, lost]);
            assert_eq!(create(&zk, "t", 1).await, Ok(()), "{lost:?}");
            assert_eq!(create(&zk, "t", 2).await, Err(TopicError::Exists(name("t"))));
        }
    }

    #[tokio::test]
    async fn partitions_are_added_once_and_never_changed() {
        for lost in [Fate::Answered, Fate::DoneUnseen, Fate::NeverArrived] {
            let zk = zk().await;
            create(&zk, "t", 1).await.unwrap();
            zk.plan(&[Fate::Answered, Fate::Answered, lost]);
            let more: ReplicaMap = [(1, vec![BrokerId(2)])].into();
            add_partitions(&zk, &name("t"), &more).await.unwrap();
            let (data, stat) = zk.get("/brokers/topics/t").await.unwrap();
            let topic = TopicAssignment::decode("", &data).unwrap();
            assert_eq!((topic.partitions.len(), topic.topic_id, stat.version), (2, Some(TopicId([1; 16])), 1));
            let again = add_partitions(&zk, &name("t"), &more).await;
            assert_eq!(again, Err(TopicError::PartitionExists { topic: name("t"), partition: 1 }));
        }
    }
}
