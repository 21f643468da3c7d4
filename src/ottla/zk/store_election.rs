//! Who is the controller: election, resignation, and the fence that keeps an old controller from writing.
//!
//! Each election raises `/controller_epoch` in the same transaction that creates `/controller`. Every later write of the controller
//! checks that node's data version, so that one who was deposed without noticing cannot change anything (Kafka 2.1,
//! KAFKA-6082).

use ottla_types::{BrokerId, ControllerEpoch};
use zk_schema::{Controller, controller, controller_epoch};

use super::store::{ATTEMPTS, StoreError, at, of_multi, read};
use super::store_cluster::get_and_watch;
use super::znodes::{CreateMode, MultiError, Op, OpResult, Watcher, ZkError, Znodes};

/// What a controller holds from its election to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leadership {
    /// Goes into every request to the brokers.
    pub epoch: ControllerEpoch,
    /// The data version of `/controller_epoch`: checked by every write.
    pub epoch_zk_version: i32,
}

/// How an election ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Election {
    /// This broker is the controller.
    Won(Leadership),
    /// Another one is, or was just a moment ago.
    Lost(Option<BrokerId>),
}

/// Why a fenced write was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FencedError {
    /// Another controller was elected: resign.
    #[error("another controller was elected")]
    ControllerMoved,
    /// ZooKeeper.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FencedError {
    /// ZooKeeper's part in it, if it had one.
    pub fn zk(&self) -> Option<&ZkError> {
        match self {
            FencedError::ControllerMoved => None,
            FencedError::Store(error) => error.zk(),
        }
    }
}

/// The controller, and a watch on its node: election, deletion, change.
pub async fn watch_controller(zk: &dyn Znodes) -> Result<(Option<Controller>, Watcher), StoreError> {
    let (found, watcher) = get_and_watch(zk, controller::PATH, Controller::decode).await?;
    Ok((found.map(|(controller, _)| controller), watcher))
}

/// Tries to become the controller.
pub async fn elect(zk: &dyn Znodes, broker_id: BrokerId, now_ms: i64) -> Result<Election, StoreError> {
    let (path, epoch_path) = (controller::PATH, controller_epoch::PATH);
    let ours = Controller { broker_id, timestamp_ms: Some(now_ms), kraft_controller_epoch: -1 };
    // The epoch that an unanswered attempt would have made ours.
    let mut wanted = None;
    for _ in 0..ATTEMPTS {
        let epoch = read(zk, epoch_path).await?;
        if let Some((data, stat)) = read(zk, path).await? {
            let current = Controller::decode(path, &data)?;
            let (epoch, version) = match &epoch {
                Some((data, stat)) => (controller_epoch::decode(epoch_path, data)?, stat.version),
                None => return Ok(Election::Lost(Some(current.broker_id))),
            };
            let mine = current.broker_id == broker_id && stat.ephemeral_owner == zk.session_id();
            return Ok(match mine && wanted == Some(epoch) {
                true => Election::Won(Leadership { epoch, epoch_zk_version: version }),
                false => Election::Lost(Some(current.broker_id)),
            });
        }
        let Some((data, stat)) = epoch else {
            match zk
                .create(epoch_path, &controller_epoch::encode(controller_epoch::INITIAL), CreateMode::Persistent)
                .await
            {
                Ok(_) | Err(ZkError::NodeExists | ZkError::Unknown) => continue,
                Err(error) => return Err(at(epoch_path)(error)),
            }
        };
        let next = ControllerEpoch(controller_epoch::decode(epoch_path, &data)?.0.saturating_add(1));
        let ops = vec![
            Op::Create { path: path.into(), data: ours.encode(), mode: CreateMode::Ephemeral },
            Op::Set { path: epoch_path.into(), data: controller_epoch::encode(next), version: Some(stat.version) },
        ];
        match zk.multi(ops).await {
            Ok(results) => {
                let Some(OpResult::Set(stat)) = results.last() else { continue };
                return Ok(Election::Won(Leadership { epoch: next, epoch_zk_version: stat.version }));
            }
            Err(error) => match of_multi(error) {
                ZkError::Unknown => wanted = Some(next),
                ZkError::NodeExists | ZkError::BadVersion | ZkError::NoNode => {}
                error => return Err(at(path)(error)),
            },
        }
    }
    Ok(Election::Lost(None))
}

/// Gives the controllership up, so that the others elect at once. Done too if another controller was elected already.
pub async fn resign(zk: &dyn Znodes, leadership: Leadership) -> Result<(), StoreError> {
    let path = controller::PATH;
    match fenced(zk, leadership, Op::Delete { path: path.into(), version: None }).await {
        Ok(_) | Err(FencedError::ControllerMoved) => Ok(()),
        Err(error) if error.zk() == Some(&ZkError::NoNode) => Ok(()),
        Err(FencedError::Store(error)) => Err(error),
    }
}

/// One write of the controller that is done only while it is the controller.
pub(super) async fn fenced(zk: &dyn Znodes, leadership: Leadership, op: Op) -> Result<OpResult, FencedError> {
    let (Op::Check { path, .. } | Op::Create { path, .. } | Op::Set { path, .. } | Op::Delete { path, .. }) = &op;
    let path = path.clone();
    let check = Op::Check { path: controller_epoch::PATH.into(), version: leadership.epoch_zk_version };
    match zk.multi(vec![check, op]).await {
        Ok(mut results) => results.pop().ok_or_else(|| at(&path)(ZkError::Unknown).into()),
        Err(MultiError::At { index: 0, source: ZkError::BadVersion | ZkError::NoNode }) => {
            Err(FencedError::ControllerMoved)
        }
        Err(error) => Err(at(&path)(of_multi(error)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeEnsemble, Fate};
    use super::*;

    fn leadership(epoch: i32) -> Leadership {
        Leadership { epoch: ControllerEpoch(epoch), epoch_zk_version: epoch }
    }

    #[tokio::test]
    async fn the_first_epoch_is_1_and_one_broker_wins() {
        let ensemble = FakeEnsemble::default();
        let (a, b) = (ensemble.connect(), ensemble.connect());
        assert_eq!(elect(&a, BrokerId(1), 5).await, Ok(Election::Won(leadership(1))));
        assert_eq!(elect(&b, BrokerId(2), 5).await, Ok(Election::Lost(Some(BrokerId(1)))));
        assert_eq!(elect(&a, BrokerId(1), 5).await, Ok(Election::Lost(Some(BrokerId(1)))), "no second term by itself");
        let (data, _) = a.get("/controller").await.unwrap();
        let text = r#"{"version":2,"brokerid":1,"timestamp":"5","kraftControllerEpoch":-1}"#;
        assert_eq!(String::from_utf8(data).unwrap(), text);
        let (_, watcher) = watch_controller(&b).await.unwrap();
        resign(&a, leadership(1)).await.unwrap();
        assert_eq!(watcher.await, super::super::znodes::WatchEvent::Deleted);
        assert_eq!(elect(&b, BrokerId(2), 6).await, Ok(Election::Won(leadership(2))));
        resign(&a, leadership(1)).await.unwrap();
        assert_eq!(elect(&a, BrokerId(1), 7).await, Ok(Election::Lost(Some(BrokerId(2)))), "resigned for another");
    }

    #[tokio::test]
    async fn a_lost_answer_does_not_lose_the_election() {
        // Reads of epoch and controller, create of the epoch, reads again, the multi.
        for lost in [Fate::DoneUnseen, Fate::NeverArrived] {
            let zk = FakeEnsemble::default().connect();
            let mut fates = [Fate::Answered; 6];
            (fates[2], fates[5]) = (lost, lost);
            zk.plan(&fates);
            let outcome = elect(&zk, BrokerId(1), 5).await;
            assert_eq!(outcome, Ok(Election::Won(leadership(1))), "{lost:?}");
        }
    }

    #[tokio::test]
    async fn a_deposed_controller_writes_nothing() {
        let ensemble = FakeEnsemble::default();
        let (a, b) = (ensemble.connect(), ensemble.connect());
        let Ok(Election::Won(old)) = elect(&a, BrokerId(1), 5).await else { panic!() };
        a.expire();
        let Ok(Election::Won(_)) = elect(&b, BrokerId(2), 5).await else { panic!() };
        let create = Op::Create { path: "/x".into(), data: vec![], mode: CreateMode::Persistent };
        assert_eq!(fenced(&a, old, create).await, Err(FencedError::ControllerMoved));
        assert_eq!(a.exists("/x").await, Ok(None));
    }
}
