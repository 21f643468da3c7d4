//! Classic consumer groups as a tool sees them: one reading of everything below `/consumers/G`.
//!
//! A node that nobody can read is named in [`Group::unreadable`]; all others are there.

use std::collections::BTreeMap;

use ottla_types::{Offset, PartitionIndex, TopicName, TopicPartition};
use zk_schema::consumers::{self, Registration};
use zk_schema::{ConsumerPlan, DecodeError, TopicAssignment, broker_topics, consumer_plan};

use super::store::{StoreError, list, read, read_all, readable};
use super::store_offsets::is_node_name;
use super::znodes::{Stat, Znodes};

/// A group at one moment, or nearly: ZooKeeper has no reading of a whole tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The members that live, by consumer id.
    pub members: BTreeMap<String, Member>,
    /// Who writes the plans; the text is a consumer id.
    pub planner: Option<Owner>,
    /// The last plan.
    pub plan: Option<Plan>,
    /// Who consumes what.
    pub owners: BTreeMap<TopicPartition, Owner>,
    /// The next offset to consume.
    pub offsets: BTreeMap<TopicPartition, GroupOffset>,
    /// What cannot be read, and nodes of a shape that no member of today knows.
    pub unreadable: Vec<DecodeError>,
}

/// A member's registration node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it wants; `None`: the node is in [`Group::unreadable`].
    pub registration: Option<Registration>,
    /// The session that made the node; 0: the node is persistent and no member stands behind it.
    pub session: i64,
    /// When the node was made, ms since 1970 by ZooKeeper's clock.
    pub since_ms: i64,
}

/// The plan node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What it says.
    pub content: ConsumerPlan,
    /// When it was written, ms since 1970 by ZooKeeper's clock.
    pub written_ms: i64,
}

/// A node that says who has something: a partition, or the planning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// What it says: `<consumer id>-<stream>`, from some clients the bare consumer id.
    pub text: String,
    /// The session that made the node; 0: it is persistent.
    pub session: i64,
    /// When the node was made, ms since 1970 by ZooKeeper's clock.
    pub since_ms: i64,
}

/// An offset node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupOffset {
    /// The next offset to consume.
    pub offset: Offset,
    /// The zxid of the last commit: below its topic's [`created`](GroupTopic::created) it belongs to another topic of that name.
    pub written: i64,
}

/// A topic, as far as a group's offsets depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupTopic {
    /// Its partitions, in order.
    pub partitions: Vec<PartitionIndex>,
    /// The zxid of its creation.
    pub created: i64,
}

impl Group {
    /// The member behind an owner node: the one of its session, whatever the text says.
    pub fn owner_member(&self, owner: &Owner) -> Option<(&str, &Member)> {
        let of_session = |member: &Member| owner.session != 0 && member.session == owner.session;
        let named = || self.members.iter().filter(|(_, member)| of_session(member));
        // One session may hold several members, of one process with one ZooKeeper client.
        let exact = named().find(|(id, _)| *id == &owner.text || *id == owner.consumer_id());
        exact.or_else(|| named().next()).map(|(id, member)| (id.as_str(), member))
    }

    /// Partitions that somebody consumes, has an offset of or is given by the plan.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        let planned = self.plan.iter().flat_map(|plan| plan.content.streams.keys());
        self.owners.keys().chain(self.offsets.keys()).chain(planned)
    }

    /// Whether the owners are those that the plan names; none without a plan.
    pub fn follows_plan(&self) -> Option<bool> {
        let plan = &self.plan.as_ref()?.content.streams;
        let same = |(partition, owner): (&TopicPartition, &Owner)| {
            plan.get(partition).is_some_and(|stream| owner.is(stream)) && self.owner_member(owner).is_some()
        };
        Some(plan.len() == self.owners.len() && self.owners.iter().all(same))
    }

    /// How long it took from the last plan until its last partition had been claimed, in ms by ZooKeeper's clock; none
    /// while that lasts.
    pub fn rebalance_ms(&self) -> Option<i64> {
        let written = self.plan.as_ref().filter(|_| self.follows_plan() == Some(true))?.written_ms;
        Some(self.owners.values().map(|owner| owner.since_ms - written).max().unwrap_or(0).max(0))
    }
}

impl Owner {
    /// The consumer id in the text: what is before the last `-`, as all old tools cut it.
    pub fn consumer_id(&self) -> &str {
        self.text.rsplit_once('-').map_or(&self.text, |(id, _)| id)
    }

    /// Whether the text means this thread. kafka-node writes the consumer id alone.
    pub fn is(&self, thread: &str) -> bool {
        self.text == thread || thread.rsplit_once('-').is_some_and(|(id, _)| id == self.text)
    }
}

/// Names of all groups.
pub async fn groups(zk: &dyn Znodes) -> Result<Vec<String>, StoreError> {
    list(zk, consumers::PARENT).await
}

/// Everything below a group's folder; none if it does not exist.
pub async fn group(zk: &dyn Znodes, name: &str) -> Result<Option<Group>, StoreError> {
    let folder = consumers::group_path(name);
    if !is_node_name(name) || read(zk, &folder).await?.is_none() {
        return Ok(None);
    }
    let mut group = Group { name: name.into(), ..Group::default() };
    // Owners before registrations: a member that joins and claims in between is no orphan.
    let owners = partition_nodes(zk, &mut group, &format!("{folder}/owners")).await?;
    for (partition, path, data, stat) in owners {
        match consumers::decode_owner(&path, &data) {
            Ok(text) => {
                let owner = Owner { text, session: stat.ephemeral_owner, since_ms: stat.ctime };
                group.owners.insert(partition, owner);
            }
            Err(error) => group.unreadable.push(error),
        }
    }
    let offsets = partition_nodes(zk, &mut group, &format!("{folder}/offsets")).await?;
    for (partition, path, data, stat) in offsets {
        match consumers::decode_offset(&path, &data) {
            Ok(offset) => drop(group.offsets.insert(partition, GroupOffset { offset, written: stat.mzxid })),
            Err(error) => group.unreadable.push(error),
        }
    }
    let ids = list(zk, &format!("{folder}/ids")).await?;
    let nodes = ids.into_iter().map(|id| (id.clone(), consumers::member_path(name, &id))).collect();
    for (id, path, data, stat) in read_all(zk, nodes).await? {
        let registration = Registration::decode(&path, &data).map_err(|error| foreign_registration(error, &data));
        let registration = registration.map_err(|error| group.unreadable.push(error)).ok();
        group.members.insert(id, Member { registration, session: stat.ephemeral_owner, since_ms: stat.ctime });
    }
    if let Some((data, stat)) = read(zk, &consumer_plan::path(name)).await? {
        match ConsumerPlan::decode(&consumer_plan::path(name), &data) {
            Ok(content) => group.plan = Some(Plan { content, written_ms: stat.mtime }),
            Err(error) => group.unreadable.push(error),
        }
    }
    if let Some((data, stat)) = read(zk, &consumer_plan::planner_path(name)).await? {
        let text = String::from_utf8_lossy(&data).into_owned();
        group.planner = Some(Owner { text, session: stat.ephemeral_owner, since_ms: stat.ctime });
    }
    Ok(Some(group))
}

/// The nodes `<folder>/<topic>/<partition>`; names of another shape go to the unreadable ones.
async fn partition_nodes(
    zk: &dyn Znodes,
    group: &mut Group,
    folder: &str,
) -> Result<Vec<(TopicPartition, String, Vec<u8>, Stat)>, StoreError> {
    let mut nodes = Vec::new();
    for topic in list(zk, folder).await? {
        let parent = format!("{folder}/{topic}");
        let Ok(topic) = TopicName::new(&topic) else {
            let problem = "the name is no topic's".into();
            group.unreadable.push(DecodeError { path: parent, problem, remedy: "delete the node" });
            continue;
        };
        for name in list(zk, &parent).await? {
            let path = format!("{parent}/{name}");
            match name.parse::<PartitionIndex>() {
                Ok(number) if number >= 0 => nodes.push((TopicPartition::new(topic.clone(), number), path)),
                _ => group.unreadable.push(foreign_name(path, &name)),
            }
        }
    }
    read_all(zk, nodes).await
}

/// A name that is no partition's number.
fn foreign_name(path: String, name: &str) -> DecodeError {
    let numbers = name.split_once('-').map(|(broker, partition)| [broker, partition].map(str::parse::<u32>));
    match numbers {
        Some([Ok(broker), Ok(partition)]) => DecodeError {
            path,
            problem: format!(
                "the name is broker {broker}'s partition {partition}, as Kafka 0.7 and pykafka count them; no other member sees it"
            ),
            remedy: "give those consumers a group of their own; of Kafka 0.7: delete the node",
        },
        _ => DecodeError { path, problem: "the name is no partition's number".into(), remedy: "delete the node" },
    }
}

/// What a registration that is no JSON is, if that is known.
fn foreign_registration(error: DecodeError, data: &[u8]) -> DecodeError {
    let text = std::str::from_utf8(data).unwrap_or_default();
    match TopicName::new(text) {
        _ if data.is_empty() => DecodeError {
            problem: "the registration is empty: kafka-node makes it so and writes it a moment later".into(),
            remedy: "if it stays so, restart that consumer",
            ..error
        },
        Ok(topic) => DecodeError {
            problem: format!(
                "the registration is the bare text '{topic}', as pykafka writes it: Kafka's old members of this group fail on it, Ottla's leave it out"
            ),
            remedy: "give pykafka's consumers a group of their own",
            ..error
        },
        Err(_) => error,
    }
}

/// The topics of these names that exist.
pub async fn group_topics(
    zk: &dyn Znodes,
    names: impl IntoIterator<Item = TopicName>,
) -> Result<BTreeMap<TopicName, GroupTopic>, StoreError> {
    let nodes = names.into_iter().map(|topic| (topic.clone(), broker_topics::path(&topic))).collect();
    let found = readable(read_all(zk, nodes).await?, TopicAssignment::decode);
    let topic = |assignment: TopicAssignment, created| GroupTopic {
        partitions: assignment.partitions.into_keys().collect(),
        created,
    };
    Ok(found.map(|(name, assignment, stat)| (name, topic(assignment, stat.czxid))).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::fake::{FakeEnsemble, FakeZnodes};
    use super::super::store::create_with_parents;
    use super::super::znodes::CreateMode;
    use super::*;

    pub(crate) fn partition(topic: &str, index: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new(topic).unwrap(), index)
    }

    /// Writes a node with its parents.
    pub(crate) async fn put(zk: &FakeZnodes, path: &str, data: &str) {
        create_with_parents(zk, path, data.as_bytes()).await.unwrap();
    }

    /// Writes an ephemeral node, its parents persistent.
    pub(crate) async fn hold(zk: &FakeZnodes, path: &str, data: &str) {
        let (parent, _) = path.rsplit_once('/').unwrap();
        if zk.exists(parent).await.unwrap().is_none() {
            put(zk, parent, "").await;
        }
        zk.create(path, data.as_bytes(), CreateMode::Ephemeral).await.unwrap();
    }

    /// A registration for one topic.
    pub(crate) fn wants(topic: &str, streams: i32, assignor: Option<&str>) -> String {
        let registration = Registration {
            subscription: vec![(topic.into(), streams)],
            pattern: "static".into(),
            timestamp: Some(1),
            assignor: assignor.map(str::to_owned),
        };
        String::from_utf8(registration.encode()).unwrap()
    }

    /// A topic's node with so many partitions.
    pub(crate) async fn put_topic(zk: &FakeZnodes, name: &str, partitions: i32) {
        let replicas = (0..partitions).map(|index| (index, vec![ottla_types::BrokerId(1)])).collect();
        let assignment = TopicAssignment { partitions: replicas, ..Default::default() };
        let text = String::from_utf8(assignment.encode()).unwrap();
        put(zk, &broker_topics::path(&TopicName::new(name).unwrap()), &text).await;
    }

    #[tokio::test]
    async fn a_group_is_read_though_some_of_its_nodes_cannot_be() {
        let ensemble = FakeEnsemble::default();
        let (zk, other) = (ensemble.connect(), ensemble.connect());
        hold(&zk, "/consumers/g/ids/h:1", &wants("t", 1, Some("sticky"))).await;
        hold(&other, "/consumers/g/ids/py:1", "t").await;
        hold(&other, "/consumers/g/ids/node", "").await;
        hold(&zk, "/consumers/g/owners/t/0", "h:1-0").await;
        hold(&other, "/consumers/g/owners/t/1-3", "py:1").await;
        put(&zk, "/consumers/g/offsets/t/0", "7").await;
        put(&zk, "/consumers/g/offsets/t/1", "seven").await;
        put(&zk, "/consumers/g/plan", "{}").await;
        let group = group(&zk, "g").await.unwrap().unwrap();
        assert_eq!(group.members.len(), 3);
        assert_eq!(group.offsets[&partition("t", 0)].offset, 7);
        let owner = &group.owners[&partition("t", 0)];
        assert_eq!(group.owner_member(owner).unwrap().0, "h:1");
        let problems: Vec<_> = group.unreadable.iter().map(|e| (e.path.as_str(), e.problem.as_str())).collect();
        let paths: Vec<&str> = problems.iter().map(|problem| problem.0).collect();
        let folder = "/consumers/g";
        let expected = ["owners/t/1-3", "offsets/t/1", "ids/node", "ids/py:1", "plan"];
        assert_eq!(paths, expected.map(|name| format!("{folder}/{name}")));
        assert!(problems[0].1.contains("broker 1's partition 3"), "{}", problems[0].1);
        assert!(problems[3].1.contains("as pykafka writes it"), "{}", problems[3].1);
    }

    #[tokio::test]
    async fn an_owner_is_a_session_whatever_the_text_says() {
        let ensemble = FakeEnsemble::default();
        let (zk, gone) = (ensemble.connect(), ensemble.connect());
        hold(&zk, "/consumers/g/ids/h-1", &wants("t", 1, None)).await;
        hold(&zk, "/consumers/g/owners/t/0", "another-0").await;
        hold(&gone, "/consumers/g/owners/t/1", "h-1-0").await;
        put(&zk, "/consumers/g/owners/t/2", "h-1-0").await;
        let group = group(&zk, "g").await.unwrap().unwrap();
        let member = |index| group.owner_member(&group.owners[&partition("t", index)]).map(|(id, _)| id);
        assert_eq!([member(0), member(1), member(2)], [Some("h-1"), None, None]);
    }

    #[tokio::test]
    async fn what_is_no_group_is_not_found() {
        let zk = FakeEnsemble::default().connect();
        put(&zk, "/consumers/g/ids", "").await;
        assert_eq!(groups(&zk).await.unwrap(), ["g"]);
        assert!(group(&zk, "g").await.unwrap().is_some());
        for name in ["h", "g/ids", "", ".."] {
            assert_eq!(group(&zk, name).await, Ok(None), "{name}");
        }
    }

    #[tokio::test]
    async fn a_rebalance_lasts_from_the_plan_to_the_last_claim() {
        let ensemble = FakeEnsemble::default();
        let zk = ensemble.connect();
        hold(&zk, "/consumers/g/ids/h:1", &wants("t", 1, Some("sticky"))).await;
        hold(&zk, "/consumers/g/owners/t/0", "h:1-0").await;
        ensemble.advance(1000);
        let plan = ConsumerPlan {
            generation: 2,
            assignor: "sticky".into(),
            planner: "h:1".into(),
            timestamp_ms: 0,
            moved: 1,
            streams: [0, 1].map(|index| (partition("t", index), "h:1-0".to_owned())).into(),
        };
        put(&zk, "/consumers/g/plan", &String::from_utf8(plan.encode()).unwrap()).await;
        let now = group(&zk, "g").await.unwrap().unwrap();
        assert_eq!((now.follows_plan(), now.rebalance_ms()), (Some(false), None));
        ensemble.advance(250);
        hold(&zk, "/consumers/g/owners/t/1", "h:1-0").await;
        let now = group(&zk, "g").await.unwrap().unwrap();
        assert_eq!((now.follows_plan(), now.rebalance_ms()), (Some(true), Some(250)));
    }
}
