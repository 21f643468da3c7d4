//! What a broker asks of ZooKeeper when it starts and after an expiry: the folders, the cluster's id, an id of its own, its
//! registration.
//!
//! A broker that died leaves its nodes until its session ends. It does not wait for its own ghost: whoever holds the
//! data folder knows the dead session's id and may replace what that session still owns. Ownership is judged by
//! `ephemeralOwner`, never by a node's text.

use futures_util::future::try_join_all;
use ottla_types::{BrokerEpoch, BrokerId, Endpoint};
use zk_schema::{
    BrokerRegistration, PERSISTENT_PARENTS, broker_ids, broker_seqid, cluster_id, controller, controller_epoch,
};

use super::store::{ATTEMPTS, StoreError, at, create_with_parents, of_multi, read};
use super::store_cluster;
use super::znodes::{CreateMode, MultiError, Op, OpResult, ZkError, Znodes};

/// Why a broker could not register.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// The id is registered by a session that is neither ours nor our dead self's.
    #[error(
        "broker id {id} is taken: {path} belongs to ZooKeeper session 0x{owner:x}, ours is 0x{ours:x}; another broker runs with \
         the same broker.id, or one that was killed had another data folder and its session has not ended yet"
    )]
    Taken {
        /// The id.
        id: BrokerId,
        /// Its node.
        path: String,
        /// The session that owns it.
        owner: i64,
        /// Our session.
        ours: i64,
    },
    /// Another broker advertises the same address (KAFKA-6394).
    #[error(
        "broker {other} advertises {host}:{port} too; each broker needs addresses of its own in advertised.listeners"
    )]
    EndpointTaken {
        /// The other broker.
        other: BrokerId,
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// `reserved.broker.max.id` and the counter are beyond 2^31-1.
    #[error("{path}: no broker id is left above reserved.broker.max.id; set broker.id", path = broker_seqid::PATH)]
    NoIdLeft,
    /// ZooKeeper.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes sure of the folders that every broker expects.
pub async fn create_parents(zk: &dyn Znodes) -> Result<(), StoreError> {
    for _ in 0..ATTEMPTS {
        // Reads are cheap; a create that fails costs the servers a log entry.
        let exists = PERSISTENT_PARENTS.map(|path| async move { zk.exists(path).await.map_err(at(path)) });
        let stats = try_join_all(exists).await?;
        let missing = PERSISTENT_PARENTS.iter().zip(stats).filter(|(_, stat)| stat.is_none());
        let create = |path: &str| Op::Create { path: path.into(), data: vec![], mode: CreateMode::Persistent };
        let creates: Vec<Op> = missing.map(|(path, _)| create(path)).collect();
        if creates.is_empty() {
            return Ok(());
        }
        match zk.multi(creates).await.map_err(of_multi) {
            // Another broker starts at the same time, or the answer was lost: look again.
            Ok(_) | Err(ZkError::NodeExists | ZkError::Unknown) => {}
            Err(error) => return Err(at("/")(error)),
        }
    }
    Err(at("/")(ZkError::Unknown))
}

/// The cluster's id; `fresh` (22 characters of base64) becomes it if there is none.
pub async fn cluster_id_or_create(zk: &dyn Znodes, fresh: &str) -> Result<String, StoreError> {
    let path = cluster_id::PATH;
    for _ in 0..ATTEMPTS {
        if let Some((data, _)) = read(zk, path).await? {
            return Ok(cluster_id::decode(path, &data)?);
        }
        match create_with_parents(zk, path, &cluster_id::encode(fresh)).await {
            // Whoever was first: its id is the one that is read.
            Ok(()) | Err(ZkError::NodeExists | ZkError::Unknown) => {}
            Err(error) => return Err(at(path)(error)),
        }
    }
    Err(at(path)(ZkError::Unknown))
}

/// A broker id above `reserved.broker.max.id` that nobody has had. An answer that is lost costs one number.
pub async fn generate_broker_id(zk: &dyn Znodes, reserved_broker_max_id: i32) -> Result<BrokerId, RegistrationError> {
    let path = broker_seqid::PATH;
    let mut outcome = ZkError::Unknown;
    for _ in 0..ATTEMPTS {
        match zk.set(path, b"", None).await {
            Ok(stat) => {
                let id = broker_seqid::broker_id(reserved_broker_max_id, stat.version);
                return id.ok_or(RegistrationError::NoIdLeft);
            }
            Err(ZkError::NoNode) => create_parents(zk).await?,
            Err(ZkError::Unknown) => {}
            Err(error) => {
                outcome = error;
                break;
            }
        }
    }
    Err(at(path)(outcome).into())
}

/// Refuses addresses that another live broker advertises. Not atomic with the registration, as in Kafka.
pub async fn check_endpoints(zk: &dyn Znodes, id: BrokerId, endpoints: &[Endpoint]) -> Result<(), RegistrationError> {
    for (other, broker) in store_cluster::brokers(zk).await? {
        let same = |a: &&Endpoint| endpoints.iter().any(|b| (&a.host, a.port) == (&b.host, b.port));
        if let Some(taken) = broker.registration.endpoints.iter().find(same).filter(|_| other != id) {
            return Err(RegistrationError::EndpointTaken { other, host: taken.host.clone(), port: taken.port });
        }
    }
    Ok(())
}

/// Registers the broker in the current session and returns its epoch. `previous_sessions`: those of this broker's previous
/// lives, from the data folder, and the one that expired in this life. What they still own is replaced.
///
/// Whoever keeps them must remember the old ones until this has returned: a crash in between would else leave a ghost that
/// nobody knows.
pub async fn register(
    zk: &dyn Znodes,
    id: BrokerId,
    registration: &BrokerRegistration,
    previous_sessions: impl IntoIterator<Item = i64>,
) -> Result<BrokerEpoch, RegistrationError> {
    let path = broker_ids::path(id);
    let data = registration.encode();
    let previous: Vec<i64> = previous_sessions.into_iter().filter(|previous| *previous != zk.session_id()).collect();
    if !previous.is_empty() {
        remove_controller_of(zk, &previous).await?;
    }
    let create = Op::Create { path: path.clone(), data: vec![], mode: CreateMode::Ephemeral };
    // As Kafka does: the answer to the write carries czxid, the data version becomes 1.
    let set = Op::Set { path: path.clone(), data: data.clone(), version: Some(0) };
    let mut replaced = None;
    for _ in 0..ATTEMPTS {
        let replace = replaced.take().map(|version| Op::Delete { path: path.clone(), version: Some(version) });
        let ops = replace.into_iter().chain([create.clone(), set.clone()]).collect();
        let error = match zk.multi(ops).await {
            Ok(results) => {
                let Some(OpResult::Set(stat)) = results.last() else { continue };
                return Ok(BrokerEpoch(stat.czxid));
            }
            Err(MultiError::At { source: ZkError::NoNode | ZkError::BadVersion, .. }) => {
                // A parent, or the ghost's node just went.
                create_parents(zk).await?;
                continue;
            }
            Err(error) => of_multi(error),
        };
        if !matches!(error, ZkError::NodeExists | ZkError::Unknown) {
            return Err(at(&path)(error).into());
        }
        let Some((written, stat)) = read(zk, &path).await? else { continue };
        let ours = zk.session_id();
        match stat.ephemeral_owner {
            owner if owner == ours => {
                if written != data {
                    zk.set(&path, &data, None).await.map_err(at(&path))?;
                }
                return Ok(BrokerEpoch(stat.czxid));
            }
            owner if previous.contains(&owner) => replaced = Some(stat.version),
            owner => return Err(RegistrationError::Taken { id, path, owner, ours }),
        }
    }
    Err(at(&path)(ZkError::Unknown).into())
}

/// Deletes `/controller` if one of these sessions owns it. Two elections within a moment could put somebody else's node in its
/// place with the same data version; each election raises the epoch, so its version guards the deletion.
async fn remove_controller_of(zk: &dyn Znodes, sessions: &[i64]) -> Result<(), StoreError> {
    let (path, epoch_path) = (controller::PATH, controller_epoch::PATH);
    let Some((_, epoch)) = read(zk, epoch_path).await? else { return Ok(()) };
    let Some((_, stat)) = read(zk, path).await?.filter(|(_, stat)| sessions.contains(&stat.ephemeral_owner)) else {
        return Ok(());
    };
    let ops = vec![
        Op::Check { path: epoch_path.into(), version: epoch.version },
        Op::Delete { path: path.into(), version: Some(stat.version) },
    ];
    match zk.multi(ops).await.map_err(of_multi) {
        // If it was not done the session's end does it.
        Ok(_) | Err(ZkError::NoNode | ZkError::BadVersion | ZkError::Unknown) => Ok(()),
        Err(error) => Err(at(path)(error)),
    }
}

#[cfg(test)]
mod tests;
