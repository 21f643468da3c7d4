use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ottla_protocol::schema::metadata::{MetadataRequestTopic, MetadataResponsePartition};
use ottla_protocol::schema::{MetadataRequest, MetadataResponse};
use ottla_protocol::{ErrorCode, Str};

use super::{ClientError, Connection, ConnectionOptions};

/// A cluster as a client sees it: bootstrap addresses, the brokers that metadata named, a connection to each that was
/// needed.
#[derive(Debug)]
pub struct Cluster {
    bootstrap: Vec<String>,
    options: ConnectionOptions,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// `host:port` of each broker, from the last metadata.
    addresses: BTreeMap<i32, String>,
    controller: Option<i32>,
    /// The leaders of partitions, from the last metadata of each topic.
    leaders: BTreeMap<(String, i32), i32>,
    /// Open connections by address.
    connections: BTreeMap<String, Connection>,
}

impl Cluster {
    /// Knows a cluster by `host:port,host:port`; nothing is connected yet. A host without a port gets 9092.
    pub fn new(bootstrap: &str, options: ConnectionOptions) -> Cluster {
        let with_port = |address: &str| match address.rsplit_once(':') {
            Some((host, _)) if !host.contains(':') || host.ends_with(']') => address.to_owned(),
            _ => format!("{address}:9092"),
        };
        let bootstrap = bootstrap.split(',').map(str::trim).filter(|a| !a.is_empty()).map(with_port).collect();
        Cluster { bootstrap, options, state: Mutex::default() }
    }

    /// A connection to any broker: an open one, else the first bootstrap address that answers, else a known broker.
    pub async fn any(&self) -> Result<Connection, ClientError> {
        let candidates: Vec<String> = {
            let state = self.lock();
            let bootstrap = self.bootstrap.iter().filter_map(|address| state.connections.get(address));
            if let Some(open) = bootstrap.chain(state.connections.values()).find(|connection| connection.is_open()) {
                return Ok(open.clone());
            }
            self.bootstrap.iter().chain(state.addresses.values()).cloned().collect()
        };
        let mut failure = ClientError::Connect { address: "bootstrap servers".into(), why: "none is named".into() };
        for address in candidates {
            match self.connection(&address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// A connection to a broker by its number.
    pub async fn broker(&self, id: i32) -> Result<Connection, ClientError> {
        let known = self.lock().addresses.get(&id).cloned();
        let address = match known {
            Some(address) => address,
            None => {
                self.metadata(Some(&[]), false).await?;
                self.lock().addresses.get(&id).cloned().ok_or_else(|| ClientError::Broker {
                    code: ErrorCode::BrokerNotAvailable,
                    message: format!("the cluster has no broker {id} now"),
                })?
            }
        };
        self.connection(&address).await
    }

    /// A connection to the controller; if none is known, to any broker.
    pub async fn controller(&self) -> Result<Connection, ClientError> {
        self.metadata(Some(&[]), false).await?;
        let controller = self.lock().controller;
        match controller {
            Some(id) => self.broker(id).await,
            None => self.any().await,
        }
    }

    /// Asks about topics, `None`: all. Remembers brokers and controller.
    pub async fn metadata(&self, topics: Option<&[&str]>, create: bool) -> Result<MetadataResponse, ClientError> {
        let topic =
            |name: &&str| MetadataRequestTopic { name: Some(Str::from(*name)), ..MetadataRequestTopic::default() };
        let request = MetadataRequest {
            topics: topics.map(|topics| topics.iter().map(topic).collect()),
            allow_auto_topic_creation: create,
            ..MetadataRequest::default()
        };
        let response = self.any().await?.send(&request).await?;
        let mut state = self.lock();
        state.addresses = response
            .brokers
            .iter()
            .map(|broker| match broker.host.contains(':') {
                true => (broker.node_id, format!("[{}]:{}", broker.host, broker.port)),
                false => (broker.node_id, format!("{}:{}", broker.host, broker.port)),
            })
            .collect();
        state.controller = (response.controller_id >= 0).then_some(response.controller_id);
        for topic in &response.topics {
            let name = topic.name.as_deref().unwrap_or_default();
            for partition in topic.partitions.iter().filter(|partition| partition.leader_id >= 0) {
                state.leaders.insert((name.to_owned(), partition.partition_index), partition.leader_id);
            }
        }
        drop(state);
        Ok(response)
    }

    /// The partitions of a topic, by number.
    pub async fn partitions(&self, topic: &str, create: bool) -> Result<Vec<MetadataResponsePartition>, ClientError> {
        let mut response = self.metadata(Some(&[topic]), create).await?;
        let Some(mut found) = response.topics.pop() else {
            return Err(ClientError::Broker {
                code: ErrorCode::UnknownTopicOrPartition,
                message: ErrorCode::UnknownTopicOrPartition.message().into(),
            });
        };
        ClientError::check(found.error_code, None)?;
        found.partitions.sort_by_key(|partition| partition.partition_index);
        Ok(found.partitions)
    }

    /// A connection to the leader of a partition, as the last metadata named it.
    pub async fn leader(&self, topic: &str, partition: i32) -> Result<Connection, ClientError> {
        let known = self.lock().leaders.get(&(topic.to_owned(), partition)).copied();
        if let Some(id) = known {
            return self.broker(id).await;
        }
        let partitions = self.partitions(topic, false).await?;
        let refused =
            |code: ErrorCode| ClientError::Broker { code, message: format!("{topic}-{partition}: {}", code.message()) };
        let found = partitions
            .iter()
            .find(|found| found.partition_index == partition)
            .ok_or_else(|| refused(ErrorCode::UnknownTopicOrPartition))?;
        if found.leader_id < 0 {
            return Err(refused(ErrorCode::LeaderNotAvailable));
        }
        self.broker(found.leader_id).await
    }

    /// Forgets who leads a partition: the next one who wants to know asks anew.
    pub fn forget_leader(&self, topic: &str, partition: i32) {
        self.lock().leaders.remove(&(topic.to_owned(), partition));
    }

    async fn connection(&self, address: &str) -> Result<Connection, ClientError> {
        let open = self.lock().connections.get(address).filter(|connection| connection.is_open()).cloned();
        if let Some(open) = open {
            return Ok(open);
        }
        let connection = Connection::connect(address, &self.options).await?;
        self.lock().connections.insert(address.into(), connection.clone());
        Ok(connection)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use ottla_protocol::ApiKey;
    use ottla_protocol::schema::metadata::{MetadataResponseBroker, MetadataResponseTopic};

    use super::*;
    use crate::client::scripted::{Scripted, Step};

    fn metadata(address: &str, leader_id: i32) -> Step {
        let address: SocketAddr = address.parse().unwrap();
        let partition =
            |index, leader_id| MetadataResponsePartition { partition_index: index, leader_id, ..Default::default() };
        Step::Answer(Box::new(MetadataResponse {
            brokers: vec![MetadataResponseBroker {
                node_id: 5,
                host: Str::from(address.ip().to_string()),
                port: address.port().into(),
                ..Default::default()
            }],
            controller_id: 5,
            topics: vec![MetadataResponseTopic {
                name: Some(Str::from_static("t")),
                partitions: vec![partition(1, leader_id), partition(0, -1)],
                ..Default::default()
            }],
            ..Default::default()
        }))
    }

    #[tokio::test]
    async fn a_leader_is_reached_at_the_address_that_metadata_names() {
        let leader = Scripted::start(&[(ApiKey::Metadata, 0..=9)], vec![]).await;
        let first = Scripted::start(
            &[(ApiKey::Metadata, 0..=9)],
            vec![metadata(&leader.address, 5), metadata(&leader.address, 5), metadata(&leader.address, 5)],
        )
        .await;
        let cluster = Cluster::new(&first.address, ConnectionOptions::default());
        for _ in 0..2 {
            assert_eq!(cluster.leader("t", 1).await.unwrap().address(), leader.address);
        }
        assert_eq!(first.versions_asked(ApiKey::Metadata).len(), 1, "a known leader is not asked for");
        assert_eq!(cluster.leader("t", 0).await.unwrap_err().code(), Some(ErrorCode::LeaderNotAvailable));
        assert_eq!(cluster.leader("t", 2).await.unwrap_err().code(), Some(ErrorCode::UnknownTopicOrPartition));
    }

    #[tokio::test]
    async fn the_next_bootstrap_address_is_tried() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let there = Scripted::start(&[], vec![]).await;
        let cluster = Cluster::new(&format!("{gone}, {}", there.address), ConnectionOptions::default());
        assert_eq!(cluster.any().await.unwrap().address(), there.address);
    }

    #[test]
    fn a_missing_port_is_9092() {
        let addresses = |text| Cluster::new(text, ConnectionOptions::default()).bootstrap;
        assert_eq!(addresses("a,b:1,[::1]:2,[::1]"), ["a:9092", "b:1", "[::1]:2", "[::1]:9092"]);
    }
}
