//! Who leads the partitions that are to be fetched, and where those begin that have no offset.
//!
//! One task. It asks any broker for metadata, gives each partition to the [`Fetcher`] of its leader, and takes it back when that
//! one cannot go on; then it looks again, no sooner than `refresh.leader.backoff.ms` later. Brokers are known from
//! `/brokers/ids`, which is read again whenever one does not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottla_protocol::schema::ListOffsetsRequest;
use ottla_protocol::schema::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::{ErrorCode, Str};
use ottla_types::{Offset, SecurityProtocol, TopicName, TopicPartition};
use rand::seq::SliceRandom;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep_until};

use super::OffsetReset;
use super::delivery::Delivery;
use super::fetcher::Fetcher;
use super::shared::Shared;
use crate::client::admin::{EARLIEST, LATEST};
use crate::client::{ClientError, Cluster, ConnectionOptions};
use crate::zk::store_cluster;
use crate::zk::znodes::Znodes;

/// How long a broker may take for a connection and for metadata; another is asked then.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first or the end offset of a partition, as `auto.offset.reset` says.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) partition: TopicPartition,
    pub(super) offset: Offset,
}

/// What the finder is to do. A partition has one wish at most.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    wanted: Mutex<BTreeMap<TopicPartition, Wish>>,
    changed: Notify,
}

#[derive(Debug, Clone)]
struct Wish {
    want: Want,
    /// Not before this time, and with a leader newly asked for.
    after: Option<Instant>,
}

#[derive(Debug, Clone)]
enum Want {
    /// To be fetched.
    Fetch(Arc<Delivery>),
    /// To know where to begin, for the member.
    Start,
    /// To know where to go on, since the broker does not have the offset any more.
    Reset(Arc<Delivery>),
}

impl Wishes {
    /// A delivery is to be fetched.
    pub(super) fn fetch(&self, delivery: Arc<Delivery>) {
        self.add(delivery.partition.clone(), Want::Fetch(delivery), None);
    }

    /// The same after a pause.
    pub(super) fn fetch_later(&self, delivery: Arc<Delivery>, pause: Duration) {
        self.add(delivery.partition.clone(), Want::Fetch(delivery), Some(Instant::now() + pause));
    }

    /// A delivery's offset is out of range.
    pub(super) fn reset(&self, delivery: Arc<Delivery>) {
        self.add(delivery.partition.clone(), Want::Reset(delivery), None);
    }

    /// The member wants to know where a partition begins.
    pub(super) fn find_start(&self, partition: TopicPartition) {
        self.add(partition, Want::Start, None);
    }

    /// It does not want to know any more.
    pub(super) fn find_no_start(&self) {
        self.lock().retain(|_, wish| !matches!(wish.want, Want::Start));
    }

    fn add(&self, partition: TopicPartition, want: Want, after: Option<Instant>) {
        self.lock().insert(partition, Wish { want, after });
        self.changed.notify_one();
    }

    fn later(&self, partition: TopicPartition, want: Want, pause: Duration) {
        let wish = Wish { want, after: Some(Instant::now() + pause) };
        // A newer wish holds.
        self.lock().entry(partition).or_insert(wish);
        self.changed.notify_one();
    }

    /// Takes what is due, and says when the next is.
    fn due(&self) -> (BTreeMap<TopicPartition, Wish>, Option<Instant>) {
        let now = Instant::now();
        let mut wanted = self.lock();
        let (due, later) =
            std::mem::take(&mut *wanted).into_iter().partition(|(_, wish)| wish.after.is_none_or(|after| after <= now));
        *wanted = later;
        (due, wanted.values().filter_map(|wish| wish.after).min())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Wish>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves the wishes until it is dropped, and the fetchers with it.
pub(super) async fn run(zk: Arc<dyn Znodes>, shared: Arc<Shared>, found: mpsc::Sender<Found>) {
    let mut finder = Finder {
        zk,
        shared: shared.clone(),
        found,
        cluster: None,
        addresses: BTreeMap::new(),
        leaders: BTreeMap::new(),
        fetchers: BTreeMap::new(),
        tasks: JoinSet::new(),
    };
    loop {
        let (due, next) = shared.wishes.due();
        if !due.is_empty() {
            finder.serve(due).await;
            continue;
        }
        let changed = shared.wishes.changed.notified();
        match next {
            None => changed.await,
            Some(at) => tokio::select! {
                () = changed => {}
                () = sleep_until(at) => {}
            },
        }
    }
}

struct Finder {
    zk: Arc<dyn Znodes>,
    shared: Arc<Shared>,
    found: mpsc::Sender<Found>,
    /// `None`: to be made of `/brokers/ids`.
    cluster: Option<Arc<Cluster>>,
    /// `host:port` of brokers, from the last metadata.
    addresses: BTreeMap<i32, String>,
    leaders: BTreeMap<TopicPartition, i32>,
    /// By `host:port`.
    fetchers: BTreeMap<String, Arc<Fetcher>>,
    /// Fetchers, and questions for offsets. They end with the finder.
    tasks: JoinSet<()>,
}

impl Finder {
    async fn serve(&mut self, due: BTreeMap<TopicPartition, Wish>) {
        while self.tasks.try_join_next().is_some() {}
        for (partition, wish) in &due {
            if wish.after.is_some() {
                self.leaders.remove(partition);
            }
        }
        let topics: BTreeSet<&TopicName> =
            due.keys().filter(|partition| !self.leaders.contains_key(partition)).map(|p| &p.topic).collect();
        if !topics.is_empty()
            && let Err(why) = self.look(topics).await
        {
            tracing::debug!("no leaders yet: {why}");
            self.cluster = None;
        }
        let mut questions: BTreeMap<i32, Vec<(TopicPartition, Want)>> = BTreeMap::new();
        for (partition, Wish { want, .. }) in due {
            let leader = self.leaders.get(&partition).copied();
            let address = leader.and_then(|leader| Some((leader, self.addresses.get(&leader)?.clone())));
            match (address, want) {
                (None, want) => self.shared.wishes.later(partition, want, self.shared.config.refresh_leader_backoff),
                (Some((_, address)), Want::Fetch(delivery)) => self.fetcher(address).add(delivery),
                (Some((leader, _)), want) => questions.entry(leader).or_default().push((partition, want)),
            }
        }
        for (leader, partitions) in questions {
            let question = Question {
                cluster: self.cluster.clone(),
                shared: self.shared.clone(),
                found: self.found.clone(),
                leader,
                partitions,
            };
            self.tasks.spawn(question.ask());
        }
    }

    /// Asks any broker who leads the partitions of these topics.
    async fn look(&mut self, topics: BTreeSet<&TopicName>) -> Result<(), ClientError> {
        let cluster = match &self.cluster {
            Some(cluster) => cluster.clone(),
            None => {
                let cluster = Arc::new(Cluster::new(&self.bootstrap().await, self.options()));
                self.cluster.insert(cluster).clone()
            }
        };
        let names: Vec<&str> = topics.into_iter().map(TopicName::as_str).collect();
        let response = cluster.metadata(Some(&names), false).await?;
        self.addresses = response.brokers.iter().map(|b| (b.node_id, address(&b.host, b.port))).collect();
        for topic in &response.topics {
            let Some(name) = topic.name.as_deref().and_then(|name| TopicName::new(name).ok()) else { continue };
            for partition in &topic.partitions {
                let key = TopicPartition::new(name.clone(), partition.partition_index);
                match partition.leader_id {
                    0.. => self.leaders.insert(key, partition.leader_id),
                    _ => self.leaders.remove(&key),
                };
            }
        }
        Ok(())
    }

    /// The registered brokers in any order, else those of the last metadata.
    async fn bootstrap(&self) -> String {
        let registered = match store_cluster::brokers(&*self.zk).await {
            Ok(brokers) => brokers,
            Err(error) => {
                tracing::debug!("the brokers cannot be read: {error}");
                BTreeMap::new()
            }
        };
        let mut addresses: Vec<String> = registered
            .into_values()
            .flat_map(|broker| broker.registration.endpoints)
            .filter(|endpoint| endpoint.security_protocol == SecurityProtocol::Plaintext)
            .map(|endpoint| address(&endpoint.host, endpoint.port.into()))
            .collect();
        addresses.shuffle(&mut rand::rng());
        if addresses.is_empty() {
            addresses = self.addresses.values().cloned().collect();
        }
        addresses.join(",")
    }

    fn options(&self) -> ConnectionOptions {
        let config = &self.shared.config;
        ConnectionOptions {
            client_id: config.client_id.clone(),
            connect_timeout: config.socket_timeout.min(PATIENCE),
            request_timeout: config.socket_timeout.min(PATIENCE),
            before_api_versions: true,
            ..ConnectionOptions::default()
        }
    }

    fn fetcher(&mut self, address: String) -> &Fetcher {
        let (shared, tasks) = (&self.shared, &mut self.tasks);
        self.fetchers.entry(address.clone()).or_insert_with(|| {
            let fetcher = Arc::new(Fetcher::new(address, shared.clone()));
            tasks.spawn(fetcher.clone().run());
            fetcher
        })
    }
}

fn address(host: &str, port: i32) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// Where partitions of one leader begin.
struct Question {
    cluster: Option<Arc<Cluster>>,
    shared: Arc<Shared>,
    found: mpsc::Sender<Found>,
    leader: i32,
    partitions: Vec<(TopicPartition, Want)>,
}

impl Question {
    async fn ask(self) {
        let pause = self.shared.config.refresh_leader_backoff;
        let answers = match self.answers().await {
            Ok(answers) => answers,
            Err(error) => {
                tracing::debug!("broker {} does not say where partitions begin: {error}", self.leader);
                BTreeMap::new()
            }
        };
        for (partition, want) in self.partitions {
            let Some(offset) = answers.get(&partition).copied() else {
                self.shared.wishes.later(partition, want, pause);
                continue;
            };
            match want {
                Want::Start => {
                    // The driver has ended: nobody wants to know.
                    let _ = self.found.send(Found { partition, offset }).await;
                }
                Want::Reset(delivery) | Want::Fetch(delivery) => self.shared.reset(&delivery, offset),
            }
        }
    }

    async fn answers(&self) -> Result<BTreeMap<TopicPartition, Offset>, ClientError> {
        let time = match self.shared.config.auto_offset_reset {
            OffsetReset::Smallest => EARLIEST,
            OffsetReset::Largest => LATEST,
        };
        let mut topics: BTreeMap<&TopicName, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for (partition, _) in &self.partitions {
            topics.entry(&partition.topic).or_default().push(ListOffsetsPartition {
                partition_index: partition.partition,
                timestamp: time,
                ..ListOffsetsPartition::default()
            });
        }
        let topics = topics
            .into_iter()
            .map(|(name, partitions)| ListOffsetsTopic { name: Str::from(name.as_str()), partitions })
            .collect();
        let request = ListOffsetsRequest { replica_id: -1, isolation_level: 0, topics };
        let leader = match &self.cluster {
            Some(cluster) => cluster.broker(self.leader).await?,
            None => return Ok(BTreeMap::new()),
        };
        let response = leader.send(&request).await?;
        let mut offsets = BTreeMap::new();
        for topic in &response.topics {
            let Ok(name) = TopicName::new(&topic.name) else { continue };
            for answer in &topic.partitions {
                let partition = TopicPartition::new(name.clone(), answer.partition_index);
                // Version 0 answers with a list.
                let offset = answer.old_style_offsets.first().copied().unwrap_or(answer.offset);
                match ErrorCode::from_code(answer.error_code) {
                    Some(ErrorCode::None) if offset >= 0 => {
                        offsets.insert(partition, offset);
                    }
                    code => tracing::debug!("{partition}: where it begins is not said: {code:?}"),
                }
            }
        }
        Ok(offsets)
    }
}
