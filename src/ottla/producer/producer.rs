use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use ottla_producer::{Event, Refusal};
use ottla_types::{PartitionIndex, TopicName};
use ottla_view::{Change, Cluster, Leadership, Topic};
use tokio::sync::broadcast;
use tokio::time::timeout_at;

use super::metadata::Metadata;
use super::shared::{Later, NotPlaced, Shared};
use super::{
    Delivery, Partitioner, ProducerConfig, ProducerError, ProducerMetrics, Record, Sending, Source, waiting, watching,
};
use crate::zk::live::{LiveOptions, LiveZnodes};
use crate::zk::znodes::Znodes;

/// Sends records to a cluster, see the [module](super). Clones share it. When the last one is dropped without
/// [`close`](Producer::close), records that are not delivered yet fail with
/// [`Failure::Closed`](super::Failure::Closed), and the background ends.
#[derive(Clone)]
pub struct Producer {
    inner: Arc<Inner>,
}

/// What ends with the last clone.
struct Inner {
    shared: Arc<Shared>,
}

/// A producer that is being set up.
#[must_use = "it does nothing until it is started"]
pub struct ProducerBuilder {
    config: ProducerConfig,
    partitioner: Option<Arc<dyn Partitioner>>,
}

impl ProducerBuilder {
    /// Chooses the partitions of records that name none.
    pub fn partitioner(self, partitioner: impl Partitioner + 'static) -> ProducerBuilder {
        ProducerBuilder { partitioner: Some(Arc::new(partitioner)), ..self }
    }

    /// Connects to ZooKeeper, or asks the bootstrap servers for the brokers. Must be called on a tokio runtime, which keeps
    /// the producer alive; records may be sent from anywhere. It reads the ZooKeeper tree and writes nothing there.
    ///
    /// # Errors
    /// `Config`, `Connect`, `Bootstrap`.
    pub async fn start(self) -> Result<Producer, ProducerError> {
        match self.config.source.clone() {
            Source::ZooKeeper(connect) => {
                let options = LiveOptions {
                    session_timeout: self.config.zookeeper_session_timeout,
                    connection_timeout: self.config.zookeeper_connection_timeout,
                    create_chroot: false,
                    ..LiveOptions::new(&connect)
                };
                let zk = LiveZnodes::connect(options).await?;
                self.start_on(Arc::new(zk)).await
            }
            Source::Bootstrap(servers) => {
                let producer = self.prepare()?;
                let metadata = Metadata::start(producer.inner.shared.clone(), &servers).await?;
                producer.inner.shared.spawn(metadata.run());
                Ok(producer)
            }
        }
    }

    /// The same over a session that is there already, and that becomes the producer's own: it closes it. The source in the
    /// configuration is not looked at.
    ///
    /// # Errors
    /// `Config`.
    pub async fn start_on(self, zk: Arc<dyn Znodes>) -> Result<Producer, ProducerError> {
        let producer = self.prepare()?;
        let shared = &producer.inner.shared;
        shared.spawn_to_its_end(watching::run(zk, shared.clone()));
        Ok(producer)
    }

    fn prepare(self) -> Result<Producer, ProducerError> {
        self.config.check()?;
        let shared = Arc::new(Shared::new(self.config, self.partitioner));
        shared.spawn(shared.clone().keep_time());
        Ok(Producer { inner: Arc::new(Inner { shared }) })
    }
}

impl Producer {
    /// Sets up a producer.
    pub fn builder(config: ProducerConfig) -> ProducerBuilder {
        ProducerBuilder { config, partitioner: None }
    }

    /// Starts a producer with the built-in partitioner.
    ///
    /// # Errors
    /// As [`ProducerBuilder::start`].
    pub async fn start(config: ProducerConfig) -> Result<Producer, ProducerError> {
        Producer::builder(config).start().await
    }

    /// Puts a record into a batch, and waits for no more than that: the outcome is awaited on the [`Delivery`], or not at all. As a
    /// rule that is done when this returns; if nothing is known of the topic yet, or `buffer.memory` is full, what it returns waits for
    /// that, `max.block.ms` at most.
    ///
    /// Records of one task that go to one partition keep their order.
    ///
    /// A record that is larger than the topic's `max.message.bytes` fails when it is delivered. A batch that is larger goes in
    /// parts, and each of its records has the outcome of its part.
    ///
    /// # Errors
    /// `TopicName`, `TopicUnknown`, `TopicNotCreated`, `TopicRefused`, `NoRoom`, `Closed`, `Fatal`; `Refused`: no such
    /// partition, too large, or no such topic with `allow.auto.create.topics=false`.
    #[inline]
    pub fn send<'a>(&'a self, record: Record<'a>) -> Sending<'a> {
        // Decided at the call, without a state machine around the record: nearly always nothing has to be waited for.
        match self.shared().append(&record) {
            Ok(delivery) => Sending::placed(delivery),
            Err(not) => self.send_later(record, *not),
        }
    }

    #[cold]
    fn send_later<'a>(&'a self, record: Record<'a>, not: NotPlaced) -> Sending<'a> {
        match not {
            NotPlaced::Never(error) => Sending::later(ready(Err(error))),
            NotPlaced::Later(_) => Sending::later(async move { waiting::place(self.shared(), &record).await }),
        }
    }

    /// Puts a record into a batch if that can be done now. Of a topic that nothing is known of yet, something will be known
    /// soon; nobody is asked to make one.
    ///
    /// # Errors
    /// As [`send`](Producer::send), but `Refused` where that would wait.
    pub fn try_send(&self, record: Record<'_>) -> Result<Delivery, ProducerError> {
        self.shared().append(&record).map_err(|not| match *not {
            NotPlaced::Never(error) => error,
            NotPlaced::Later(Later::Topic(topic)) => {
                let unknown = Refusal::UnknownTopic(topic.as_str().into());
                self.shared().wants.topic(topic);
                unknown.into()
            }
            NotPlaced::Later(Later::Creation(topic)) => Refusal::MissingTopic(topic.as_str().into()).into(),
            NotPlaced::Later(Later::Room(limit)) => Refusal::Full { limit }.into(),
        })
    }

    /// Sends what waits without lingering, and waits until all that was sent before has its outcome.
    pub async fn flush(&self) {
        self.shared().flush().await;
    }

    /// Takes no more records, waits until all that were taken have their outcome (`delivery.timeout.ms` at most), and ends connections and
    /// session. The second time there is nothing to do.
    pub async fn close(&self) {
        self.stop_taking();
        self.shared().ended().await;
        self.shared().join().await;
    }

    /// The same, but what has no outcome when the time is over fails with [`Failure::Closed`](super::Failure::Closed). Returns whether
    /// there was none such.
    pub async fn close_within(&self, time: Duration) -> bool {
        self.stop_taking();
        let in_time = tokio::time::timeout(time, self.shared().ended()).await.is_ok();
        self.shared().abandon();
        self.shared().join().await;
        in_time
    }

    fn stop_taking(&self) {
        self.shared().step(Event::CloseAsked);
        // Whoever waits for room or a topic waits in vain.
        self.shared().wake_senders();
    }

    /// The partitions of a topic, and who leads each, as soon as something is known of it. Partitions whose leader has not been
    /// read yet are among them.
    ///
    /// # Errors
    /// `TopicName`; `Refused`: there is no such topic; `TopicUnknown`: nothing was known within `max.block.ms`; `Closed`.
    pub async fn partitions(&self, topic: &str) -> Result<BTreeMap<PartitionIndex, Leadership>, ProducerError> {
        let topic = TopicName::new(topic)?;
        self.shared().use_topic(topic.clone());
        let found = self.known(|cluster| cluster.topics.get(&topic).cloned()).await?;
        match found {
            Some(Topic::Partitions(partitions)) => Ok(partitions),
            Some(Topic::Missing) => Err(Refusal::MissingTopic(topic.as_str().into()).into()),
            None => {
                let (waited, why) = (self.shared().config.max_block, self.shared().trouble.get());
                Err(ProducerError::TopicUnknown { topic: topic.as_str().into(), waited, why })
            }
        }
    }

    /// The names of all topics. From the first call on they are watched.
    ///
    /// # Errors
    /// `TopicUnknown`: they were not known within `max.block.ms`; `Closed`.
    pub async fn topic_names(&self) -> Result<BTreeSet<TopicName>, ProducerError> {
        self.shared().wants.names();
        self.known(|cluster| cluster.topic_names.clone()).await?.ok_or_else(|| ProducerError::TopicUnknown {
            topic: "*".into(),
            waited: self.shared().config.max_block,
            why: self.shared().trouble.get(),
        })
    }

    /// Waits until something is known; none: `max.block.ms` is over.
    async fn known<T>(&self, what: impl Fn(&Cluster) -> Option<T>) -> Result<Option<T>, ProducerError> {
        let deadline = self.shared().block_until();
        loop {
            let changed = self.shared().topics_changed.notified();
            if let Some(known) = what(&self.shared().cluster()) {
                return Ok(Some(known));
            }
            if self.shared().has_ended() {
                return Err(ProducerError::Closed);
            }
            if timeout_at(deadline, changed).await.is_err() {
                return Ok(None);
            }
        }
    }

    /// What is known of the cluster now: its brokers, and the topics in use.
    pub fn cluster(&self) -> Arc<Cluster> {
        self.shared().cluster()
    }

    /// Whatever changes in what is known of the cluster from now on. Who is more than 1024 changes behind is told `Lagged`, and
    /// looks at [`cluster`](Producer::cluster) again.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.shared().changes()
    }

    /// What there is to know.
    pub fn metrics(&self) -> ProducerMetrics {
        self.shared().figures.read(self.shared().buffered())
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("source", &self.shared().config.source).finish_non_exhaustive()
    }
}
