//! Changes that a tool makes to classic consumer groups: offsets set, offsets deleted, a group deleted.
//!
//! What is changed must be in nobody's use, and ZooKeeper itself is asked so in the same multi: an owner node that can be
//! created was not there, an `ids` folder that can be deleted was empty. Both are put back in the same breath.

use std::collections::BTreeMap;

use ottla_types::{Offset, TopicPartition};
use zk_schema::consumers;

use super::store::{ATTEMPTS, StoreError, at, create_with_parents, list, of_multi, read, read_all};
use super::store_offsets::is_node_name;
use super::znodes::{CreateMode, MultiError, Op, ZkError, Znodes};

/// Partitions changed by one multi: far below ZooKeeper's limit for a request.
const PARTITIONS_AT_ONCE: usize = 1000;
/// Nodes deleted by one multi.
const NODES_AT_ONCE: usize = 3000;

/// Why a group was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is no such group.
    #[error("group '{0}' does not exist")]
    UnknownGroup(String),
    /// A member reads the partition.
    #[error("{partition} is consumed by {owner}; stop the group's consumers first")]
    Owned {
        /// The partition.
        partition: TopicPartition,
        /// What its owner node says.
        owner: String,
    },
    /// The group has members.
    #[error("the group has live members: {}; stop them first", .0.join(", "))]
    Members(Vec<String>),
    /// ZooKeeper said no, or nothing.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sets offsets of partitions that nobody consumes; the group need not exist. One that is being claimed in this moment is
/// refused, or claimed after the change.
pub async fn set_offsets(
    zk: &dyn Znodes,
    group: &str,
    offsets: &BTreeMap<TopicPartition, Offset>,
) -> Result<(), ChangeError> {
    let all: Vec<(&TopicPartition, Offset)> = offsets.iter().map(|(partition, offset)| (partition, *offset)).collect();
    refuse_owned(zk, group, offsets.keys()).await?;
    for some in all.chunks(PARTITIONS_AT_ONCE) {
        make_parents(zk, group, some.iter().map(|(partition, _)| *partition)).await?;
        change(zk, group, some, |path, offset, there| match there {
            Some(version) => Some(Op::Set { path, data: consumers::encode_offset(*offset), version: Some(version) }),
            None => Some(Op::Create { path, data: consumers::encode_offset(*offset), mode: CreateMode::Persistent }),
        })
        .await?;
    }
    Ok(())
}

/// Deletes offsets of partitions that nobody consumes.
pub async fn delete_offsets(
    zk: &dyn Znodes,
    group: &str,
    partitions: impl IntoIterator<Item = &TopicPartition> + Clone,
) -> Result<(), ChangeError> {
    refuse_owned(zk, group, partitions.clone()).await?;
    let all: Vec<(&TopicPartition, ())> = partitions.into_iter().map(|partition| (partition, ())).collect();
    for some in all.chunks(PARTITIONS_AT_ONCE) {
        make_parents(zk, group, some.iter().map(|(partition, ())| *partition)).await?;
        change(zk, group, some, |path, (), there| there.map(|version| Op::Delete { path, version: Some(version) }))
            .await?;
    }
    Ok(())
}

/// Before anything is written: a group in use is refused as a whole.
async fn refuse_owned(
    zk: &dyn Znodes,
    group: &str,
    partitions: impl IntoIterator<Item = &TopicPartition>,
) -> Result<(), ChangeError> {
    if !is_node_name(group) {
        return Err(ChangeError::UnknownGroup(group.into()));
    }
    let nodes = partitions.into_iter().map(|p| (p.clone(), consumers::owner_path(group, p))).collect();
    match read_all(zk, nodes).await?.into_iter().next() {
        Some((partition, _, data, _)) => Err(owned(partition, &data)),
        None => Ok(()),
    }
}

fn owned(partition: TopicPartition, data: &[u8]) -> ChangeError {
    ChangeError::Owned { partition, owner: String::from_utf8_lossy(data).into_owned() }
}

/// The folders that a member makes too, before it claims or commits.
async fn make_parents(
    zk: &dyn Znodes,
    group: &str,
    partitions: impl Iterator<Item = &TopicPartition>,
) -> Result<(), StoreError> {
    let mut topics: Vec<_> = partitions.map(|partition| &partition.topic).collect();
    topics.dedup();
    for topic in topics {
        for path in [consumers::owners_path(group, topic), consumers::offsets_path(group, topic)] {
            if read(zk, &path).await?.is_some() {
                continue;
            }
            match create_with_parents(zk, &path, b"").await {
                Ok(()) | Err(ZkError::NodeExists) => {}
                Err(error) => return Err(at(&path)(error)),
            }
        }
    }
    Ok(())
}

/// One multi over the offset nodes of partitions, fenced by their owner nodes; tried again when an offset changed meanwhile,
/// or when the answer was lost: what is written is the same.
async fn change<T>(
    zk: &dyn Znodes,
    group: &str,
    changes: &[(&TopicPartition, T)],
    op: impl Fn(String, &T, Option<i32>) -> Option<Op>,
) -> Result<(), ChangeError> {
    let mut outcome = ZkError::Unknown;
    for attempt in 0..ATTEMPTS {
        catch_up(zk, attempt).await;
        let nodes = changes.iter().map(|(p, _)| ((*p).clone(), consumers::offset_path(group, p))).collect();
        let found = read_all(zk, nodes).await?;
        let versions: BTreeMap<_, _> = found.into_iter().map(|(p, _, _, stat)| (p, stat.version)).collect();
        let mut ops = Vec::new();
        let mut meant = Vec::new();
        for (partition, wanted) in changes {
            let path = consumers::offset_path(group, partition);
            if let Some(op) = op(path, wanted, versions.get(*partition).copied()) {
                let owner = consumers::owner_path(group, partition);
                let held = Op::Create { path: owner.clone(), data: Vec::new(), mode: CreateMode::Persistent };
                ops.extend([held, op, Op::Delete { path: owner, version: None }]);
                meant.push(*partition);
            }
        }
        if ops.is_empty() {
            return Ok(());
        }
        match zk.multi(ops).await {
            Ok(_) => return Ok(()),
            Err(MultiError::At { index, source: ZkError::NodeExists }) if index % 3 == 0 => {
                let partition = meant[index / 3];
                let owner = consumers::owner_path(group, partition);
                match read(zk, &owner).await? {
                    Some((data, _)) => return Err(owned(partition.clone(), &data)),
                    None => outcome = ZkError::NodeExists,
                }
            }
            Err(MultiError::At { source, .. } | MultiError::Whole(source)) => match source {
                ZkError::BadVersion | ZkError::NodeExists | ZkError::NoNode | ZkError::Unknown => outcome = source,
                source => return Err(at(&consumers::group_path(group))(source).into()),
            },
        }
    }
    Err(at(&consumers::group_path(group))(outcome).into())
}

/// Before a second attempt: a server that is behind the leader would say what it said before.
async fn catch_up(zk: &dyn Znodes, attempt: usize) {
    if attempt > 0 {
        // One that fails costs an attempt.
        let _ = zk.sync(consumers::PARENT).await;
    }
}

/// Deletes a group without members and everything below it: bottom up, each step fenced by the emptiness of `ids`, so that a
/// member that joins meanwhile keeps what is left, and finds its parents or makes them.
pub async fn delete_group(zk: &dyn Znodes, group: &str) -> Result<(), ChangeError> {
    let folder = consumers::group_path(group);
    let ids = format!("{folder}/ids");
    let mut outcome = ZkError::Unknown;
    for attempt in 0..ATTEMPTS {
        catch_up(zk, attempt).await;
        if !is_node_name(group) || read(zk, &folder).await?.is_none() {
            return match attempt {
                0 => Err(ChangeError::UnknownGroup(group.into())),
                _ => Ok(()),
            };
        }
        let members = list(zk, &ids).await?;
        if !members.is_empty() {
            return Err(ChangeError::Members(members));
        }
        let (nodes, held) = below(zk, group, &folder).await?;
        if let Some((partition, data)) = held {
            return Err(owned(partition, &data));
        }
        let empty = || Op::Delete { path: ids.clone(), version: None };
        let back = || Op::Create { path: ids.clone(), data: Vec::new(), mode: CreateMode::Persistent };
        let has_ids = nodes.contains(&ids);
        let rest: Vec<&String> = nodes.iter().filter(|path| **path != ids).collect();
        let last = rest.len().saturating_sub(1) / NODES_AT_ONCE;
        let mut done = Ok(());
        for (index, some) in rest.chunks(NODES_AT_ONCE).enumerate() {
            let guard = match has_ids {
                true => [empty(), back()],
                false => [back(), empty()],
            };
            let mut ops = Vec::from(guard);
            if index == last && has_ids {
                ops.pop();
            }
            ops.extend(some.iter().map(|path| Op::Delete { path: (*path).clone(), version: None }));
            done = zk.multi(ops).await.map(drop).map_err(of_multi);
            if done.is_err() {
                break;
            }
        }
        match done {
            Ok(()) => return Ok(()),
            // Somebody came or went; look again.
            Err(error @ (ZkError::NotEmpty | ZkError::NoNode | ZkError::NodeExists | ZkError::Unknown)) => {
                outcome = error;
            }
            Err(error) => return Err(at(&folder)(error).into()),
        }
    }
    Err(at(&folder)(outcome).into())
}

/// The group's folder and all below it, children before parents; and an owner node that a session holds, if there is one.
async fn below(
    zk: &dyn Znodes,
    group: &str,
    folder: &str,
) -> Result<(Vec<String>, Option<(TopicPartition, Vec<u8>)>), StoreError> {
    let mut nodes = vec![folder.to_owned()];
    let mut held = None;
    let mut next = 0;
    while next < nodes.len() {
        let level: Vec<((), String)> = nodes[next..].iter().map(|path| ((), path.clone())).collect();
        next = nodes.len();
        for ((), path, data, stat) in read_all(zk, level).await? {
            if stat.num_children > 0 {
                nodes.extend(list(zk, &path).await?.into_iter().map(|name| format!("{path}/{name}")));
            }
            if stat.ephemeral_owner == 0 {
                continue;
            }
            if let Some((name, consumers::GroupNode::Owner(partition))) = consumers::parse_path(&path)
                && name == group
            {
                held.get_or_insert((partition, data));
            }
        }
    }
    nodes.reverse();
    Ok((nodes, held))
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeEnsemble, Fate};
    use super::super::store_consumers::tests::{hold, partition, put, wants};
    use super::*;

    #[tokio::test]
    async fn offsets_are_set_and_leave_no_owner_behind() {
        let zk = FakeEnsemble::default().connect();
        put(&zk, "/consumers/g/offsets/t/0", "7").await;
        set_offsets(&zk, "g", &[(partition("t", 0), 3), (partition("t", 1), 4)].into()).await.unwrap();
        assert_eq!(zk.get("/consumers/g/offsets/t/0").await.unwrap().0, b"3");
        assert_eq!(zk.get("/consumers/g/offsets/t/1").await.unwrap().0, b"4");
        assert!(zk.children("/consumers/g/owners/t").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_owned_partition_is_left_alone_and_so_are_those_beside_it() {
        let zk = FakeEnsemble::default().connect();
        put(&zk, "/consumers/g/offsets/t/0", "7").await;
        hold(&zk, "/consumers/g/owners/t/1", "h-0").await;
        let two = [(partition("t", 0), 3), (partition("t", 1), 4)].into();
        let owned = ChangeError::Owned { partition: partition("t", 1), owner: "h-0".into() };
        assert_eq!(set_offsets(&zk, "g", &two).await, Err(owned.clone()));
        assert_eq!(delete_offsets(&zk, "g", two.keys()).await, Err(owned));
        assert_eq!(zk.get("/consumers/g/offsets/t/0").await.unwrap().0, b"7");
    }

    #[tokio::test]
    async fn a_claim_between_look_and_change_is_refused_by_zookeeper() {
        let zk = FakeEnsemble::default().connect();
        hold(&zk, "/consumers/g/owners/t/0", "h-0").await;
        put(&zk, "/consumers/g/offsets/t", "").await;
        let partition = partition("t", 0);
        let refused = change(&zk, "g", &[(&partition, ())], |path, (), _| {
            Some(Op::Create { path, data: vec![], mode: CreateMode::Persistent })
        })
        .await;
        assert_eq!(refused, Err(ChangeError::Owned { partition: partition.clone(), owner: "h-0".into() }));
        assert_eq!(zk.exists("/consumers/g/offsets/t/0").await, Ok(None));
    }

    #[tokio::test]
    async fn a_lost_answer_changes_offsets_once() {
        for lost in [Fate::DoneUnseen, Fate::NeverArrived] {
            let zk = FakeEnsemble::default().connect();
            put(&zk, "/consumers/g/offsets/t/0", "7").await;
            put(&zk, "/consumers/g/owners/t", "").await;
            // Owner, two folders, the offset, the multi.
            zk.plan(&[Fate::Answered, Fate::Answered, Fate::Answered, Fate::Answered, lost]);
            set_offsets(&zk, "g", &[(partition("t", 0), 3)].into()).await.unwrap();
            assert_eq!(zk.get("/consumers/g/offsets/t/0").await.unwrap().0, b"3", "{lost:?}");
            zk.plan(&[Fate::Answered, Fate::Answered, Fate::Answered, Fate::Answered, lost]);
            delete_offsets(&zk, "g", [&partition("t", 0)]).await.unwrap();
            assert_eq!(zk.exists("/consumers/g/offsets/t/0").await, Ok(None), "{lost:?}");
            assert!(zk.children("/consumers/g/owners/t").await.unwrap().is_empty(), "{lost:?}");
        }
    }

    #[tokio::test]
    async fn a_group_goes_with_all_that_it_has() {
        for with_ids in [true, false] {
            let zk = FakeEnsemble::default().connect();
            put(&zk, "/consumers/g/offsets/t/0", "7").await;
            put(&zk, "/consumers/g/owners/t/0", "left behind").await;
            put(&zk, "/consumers/g/plan", "").await;
            put(&zk, "/consumers/other/ids", "").await;
            if with_ids {
                put(&zk, "/consumers/g/ids", "").await;
            }
            delete_group(&zk, "g").await.unwrap();
            assert_eq!(zk.children("/consumers").await.unwrap(), ["other"]);
            assert_eq!(delete_group(&zk, "g").await, Err(ChangeError::UnknownGroup("g".into())));
        }
    }

    #[tokio::test]
    async fn a_group_with_members_or_live_owners_stays() {
        let ensemble = FakeEnsemble::default();
        let (zk, member) = (ensemble.connect(), ensemble.connect());
        put(&zk, "/consumers/g/offsets/t/0", "7").await;
        hold(&member, "/consumers/g/ids/h:1", &wants("t", 1, None)).await;
        assert_eq!(delete_group(&zk, "g").await, Err(ChangeError::Members(vec!["h:1".into()])));
        member.delete("/consumers/g/ids/h:1", None).await.unwrap();
        hold(&member, "/consumers/g/owners/t/0", "h:1-0").await;
        let owned = ChangeError::Owned { partition: partition("t", 0), owner: "h:1-0".into() };
        assert_eq!(delete_group(&zk, "g").await, Err(owned));
        assert_eq!(zk.get("/consumers/g/offsets/t/0").await.unwrap().0, b"7");
    }

    #[tokio::test]
    async fn a_deletion_whose_answer_is_lost_is_done() {
        for lost in [Fate::DoneUnseen, Fate::NeverArrived] {
            let zk = FakeEnsemble::default().connect();
            put(&zk, "/consumers/g/ids", "").await;
            // The folder, its members, its two levels with a list, the multi.
            zk.plan(&[Fate::Answered, Fate::Answered, Fate::Answered, Fate::Answered, Fate::Answered, lost]);
            delete_group(&zk, "g").await.unwrap();
            assert!(zk.children("/consumers").await.unwrap().is_empty(), "{lost:?}");
        }
    }
}
