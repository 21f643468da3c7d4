//! Offsets of classic consumer groups, which OffsetCommit and OffsetFetch version 0 keep in ZooKeeper.

use ottla_types::{Offset, TopicPartition};
use zk_schema::consumers;

use super::store::{ATTEMPTS, StoreError, at, create_with_parents, read};
use super::znodes::{ZkError, Znodes};

/// The longest name of a group. ZooKeeper has no limit of its own, but it keeps every path in memory.
const MAX_NAME_BYTES: usize = 1000;

/// The group's committed offset of a partition, if there is one. A name that cannot be part of a path has none.
pub async fn offset(zk: &dyn Znodes, group: &str, partition: &TopicPartition) -> Result<Option<Offset>, StoreError> {
    let path = consumers::offset_path(group, partition);
    if !is_node_name(group) {
        return Ok(None);
    }
    match read(zk, &path).await? {
        Some((data, _)) => Ok(Some(consumers::decode_offset(&path, &data)?)),
        None => Ok(None),
    }
}

/// Commits an offset, whatever was there. Not fenced, as in Kafka: who commits here vouches for it.
/// [`ZkError::Refused`]`(-8)`: the group's name cannot be part of a path.
pub async fn commit_offset(
    zk: &dyn Znodes,
    group: &str,
    partition: &TopicPartition,
    offset: Offset,
) -> Result<(), StoreError> {
    let path = consumers::offset_path(group, partition);
    if !is_node_name(group) {
        return Err(at(&path)(ZkError::Refused(-8)));
    }
    let data = consumers::encode_offset(offset);
    for _ in 0..ATTEMPTS {
        match zk.set(&path, &data, None).await {
            Ok(_) => return Ok(()),
            Err(ZkError::NoNode) => {}
            Err(error) => return Err(at(&path)(error)),
        }
        match create_with_parents(zk, &path, &data).await {
            Ok(()) => return Ok(()),
            // Somebody else committed for the first time, or a group was deleted, in this moment.
            Err(ZkError::NodeExists | ZkError::NoNode) => {}
            Err(error) => return Err(at(&path)(error)),
        }
    }
    Err(at(&path)(ZkError::Unknown))
}

pub(super) fn is_node_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.chars().any(|c| c == '/' || c.is_control())
}

#[cfg(test)]
mod tests {
    use ottla_types::TopicName;

    use super::super::fake::{FakeEnsemble, Fate};
    use super::*;

    #[tokio::test]
    async fn offsets_lie_where_classic_consumers_look() {
        let zk = FakeEnsemble::default().connect();
        let partition = TopicPartition::new(TopicName::new("t").unwrap(), 3);
        assert_eq!(offset(&zk, "g", &partition).await, Ok(None));
        commit_offset(&zk, "g", &partition, 7).await.unwrap();
        commit_offset(&zk, "g", &partition, 1 << 40).await.unwrap();
        assert_eq!(zk.get("/consumers/g/offsets/t/3").await.unwrap().0, b"1099511627776");
        assert_eq!(offset(&zk, "g", &partition).await, Ok(Some(1 << 40)));
        zk.set("/consumers/g/offsets/t/3", b"x", None).await.unwrap();
        assert!(offset(&zk, "g", &partition).await.is_err());
        assert!(commit_offset(&zk, "a/../b", &partition, 7).await.is_err());
    }

    #[tokio::test]
    async fn a_lost_commit_is_not_said_to_be_done() {
        let zk = FakeEnsemble::default().connect();
        let partition = TopicPartition::new(TopicName::new("t").unwrap(), 3);
        commit_offset(&zk, "g", &partition, 7).await.unwrap();
        zk.plan(&[Fate::NeverArrived]);
        let lost = commit_offset(&zk, "g", &partition, 8).await.unwrap_err();
        assert_eq!(lost.zk(), Some(&ZkError::Unknown));
        assert_eq!(offset(&zk, "g", &partition).await, Ok(Some(7)));
    }
}
