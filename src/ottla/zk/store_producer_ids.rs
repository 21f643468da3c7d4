//! Blocks of producer ids: each belongs to one broker, and no id is ever given out twice.

use ottla_types::BrokerId;
use zk_schema::{ProducerIdBlock, producer_id_block};

use super::store::{ATTEMPTS, StoreError, at, create_with_parents, read};
use super::znodes::{ZkError, Znodes};

/// Why there is no block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllocationError {
    /// All 2^63 ids are used.
    #[error("{path}: all producer ids are used up", path = producer_id_block::PATH)]
    UsedUp,
    /// ZooKeeper.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes the next block for a broker (`ProducerIdManager.scala`). The write is conditional on the version that was read; one
/// that was not answered is recognised by its content.
pub async fn allocate(zk: &dyn Znodes, broker: BrokerId) -> Result<ProducerIdBlock, AllocationError> {
    let path = producer_id_block::PATH;
    let mut unseen = None;
    for _ in 0..ATTEMPTS {
        let Some((data, stat)) = read(zk, path).await? else {
            match create_with_parents(zk, path, b"").await {
                Ok(()) | Err(ZkError::NodeExists | ZkError::Unknown) => continue,
                Err(error) => return Err(at(path)(error).into()),
            }
        };
        let latest = ProducerIdBlock::decode(path, &data).map_err(StoreError::from)?;
        if let (Some(latest), Some((wanted, version))) = (latest, unseen)
            && (latest, stat.version) == (wanted, version)
        {
            return Ok(wanted);
        }
        let next = ProducerIdBlock::after(latest, broker).ok_or(AllocationError::UsedUp)?;
        match zk.set(path, &next.encode(), Some(stat.version)).await {
            Ok(_) => return Ok(next),
            Err(ZkError::Unknown) => unseen = Some((next, stat.version.wrapping_add(1))),
            Err(ZkError::BadVersion | ZkError::NoNode) => {}
            Err(error) => return Err(at(path)(error).into()),
        }
    }
    Err(at(path)(ZkError::Unknown).into())
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeEnsemble, Fate};
    use super::*;

    #[tokio::test]
    async fn blocks_follow_each_other_and_the_node_is_as_kafka_leaves_it() {
        let ensemble = FakeEnsemble::default();
        let (a, b) = (ensemble.connect(), ensemble.connect());
        super::super::store_registration::create_parents(&a).await.unwrap();
        assert_eq!(allocate(&a, BrokerId(1)).await.unwrap().block_start, 0);
        let (data, stat) = a.get(producer_id_block::PATH).await.unwrap();
        let text = r#"{"version":1,"broker":1,"block_start":"0","block_end":"999"}"#;
        assert_eq!((String::from_utf8(data).unwrap().as_str(), stat.version), (text, 1));
        assert_eq!(allocate(&b, BrokerId(2)).await.unwrap().block_start, 1000);
        assert_eq!(allocate(&a, BrokerId(1)).await.unwrap().block_start, 2000);
    }

    #[tokio::test]
    async fn a_lost_answer_costs_no_block() {
        for lost in [Fate::DoneUnseen, Fate::NeverArrived] {
            let zk = FakeEnsemble::default().connect();
            zk.create(producer_id_block::PATH, b"", super::super::znodes::CreateMode::Persistent).await.unwrap();
            zk.plan(&[Fate::Answered, lost]);
            assert_eq!(allocate(&zk, BrokerId(1)).await.unwrap().block_start, 0, "{lost:?}");
            assert_eq!(allocate(&zk, BrokerId(1)).await.unwrap().block_start, 1000, "{lost:?}");
        }
    }
}
