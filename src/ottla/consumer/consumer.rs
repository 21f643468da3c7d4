use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ottla_types::{Offset, TopicPartition};
use tokio::sync::{mpsc, oneshot};

use super::driver::{Command, Driver};
use super::listener::PartitionListener;
use super::metrics::{ConsumerMetrics, PartitionMetrics};
use super::shared::{End, Shared};
use super::stream::Stream;
use super::{ConsumerConfig, ConsumerError, Subscription};
use crate::zk::live::{LiveOptions, LiveZnodes};
use crate::zk::znodes::Znodes;

/// Wishes of the application that wait for the driver.
const COMMANDS: usize = 64;

/// A member of a classic group, see the [module](super). Dropping it without [`close`](Consumer::close) ends its session in the
/// background, without a commit.
pub struct Consumer {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    streams: Mutex<Vec<Stream>>,
}

/// A consumer that is being set up.
#[must_use = "it does nothing until it is started"]
pub struct ConsumerBuilder {
    config: ConsumerConfig,
    subscription: Subscription,
    listener: Option<Arc<dyn PartitionListener>>,
}

impl ConsumerBuilder {
    /// Is told when partitions come and go.
    pub fn listener(mut self, listener: Arc<dyn PartitionListener>) -> ConsumerBuilder {
        self.listener = Some(listener);
        self
    }

    /// Connects to ZooKeeper and joins the group. Must be called on a tokio runtime, which keeps the consumer alive.
    ///
    /// # Errors
    /// `Config`, `Subscription`, `Connect`; `Fatal` if the group does not take the member.
    pub async fn start(self) -> Result<Consumer, ConsumerError> {
        self.config.check()?;
        let options = LiveOptions {
            session_timeout: self.config.zookeeper_session_timeout,
            connection_timeout: self.config.zookeeper_connection_timeout,
            ..LiveOptions::new(&self.config.zookeeper_connect)
        };
        let zk = LiveZnodes::connect(options).await?;
        self.start_on(Arc::new(zk)).await
    }

    /// The same over a session that is there already, and that becomes the consumer's own: it closes it.
    /// `zookeeper.connect` is not looked at.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use ottla::consumer::{Consumer, ConsumerConfig, Subscription};
    /// use ottla::zk::fake::FakeEnsemble;
    /// use ottla::zk::znodes::{CreateMode, Znodes};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ensemble = FakeEnsemble::default();
    /// let zk = ensemble.connect();
    /// zk.create("/consumers", b"", CreateMode::Persistent).await?;
    ///
    /// let config = ConsumerConfig::new("in memory", "billing");
    /// let consumer = Consumer::builder(config, Subscription::topics([("orders", 1)])?);
    /// let consumer = consumer.start_on(Arc::new(ensemble.connect())).await?;
    /// assert_eq!(zk.children("/consumers/billing/ids").await?.len(), 1);
    /// consumer.close().await?;
    /// assert_eq!(zk.children("/consumers/billing/ids").await?.len(), 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`start`](ConsumerBuilder::start).
    pub async fn start_on(self, zk: Arc<dyn Znodes>) -> Result<Consumer, ConsumerError> {
        self.config.check()?;
        let wanted = self.subscription.of_member(self.config.exclude_internal_topics)?;
        let joined_within = self.config.zookeeper_connection_timeout;
        let shared = Arc::new(Shared::new(self.config, self.subscription.streams()));
        let (commands, asked) = mpsc::channel(COMMANDS);
        let (registered, joined) = oneshot::channel();
        tokio::spawn(Driver::new(zk, shared.clone(), wanted, self.listener, registered).run(asked));
        let streams = (0..shared.queues.len()).map(|index| Stream::new(index, shared.clone())).collect();
        let consumer = Consumer { shared, commands, streams: Mutex::new(streams) };
        // A connection that is lost in this moment comes back; the consumer then joins by itself.
        let _ = tokio::time::timeout(joined_within, joined).await;
        consumer.shared.end()?;
        Ok(consumer)
    }
}

impl Consumer {
    /// Sets up a consumer.
    pub fn builder(config: ConsumerConfig, subscription: Subscription) -> ConsumerBuilder {
        ConsumerBuilder { config, subscription, listener: None }
    }

    /// Starts a consumer without a listener.
    ///
    /// # Errors
    /// As [`ConsumerBuilder::start`].
    pub async fn start(config: ConsumerConfig, subscription: Subscription) -> Result<Consumer, ConsumerError> {
        Consumer::builder(config, subscription).start().await
    }

    /// The streams, each to be read by a task of its own; none the second time. A stream that is dropped is read no more, though its
    /// partitions stay with this member: close the consumer, or ask for fewer streams.
    pub fn streams(&self) -> Vec<Stream> {
        std::mem::take(&mut *self.streams.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Commits all that was handed out, and waits until ZooKeeper has it. Call it when the application has done with the
    /// records that it holds.
    ///
    /// # Errors
    /// `Commit`: some partition was not committed; the others were. `Closed`, `Fatal`.
    pub async fn commit(&self) -> Result<(), ConsumerError> {
        self.shared.end()?;
        for delivery in self.shared.deliveries.lock().values() {
            delivery.consume_all();
        }
        let (done, outcome) = oneshot::channel();
        let asked = self.commands.send(Command::Commit { done }).await;
        match (asked, outcome.await) {
            (Ok(()), Ok(outcome)) => Ok(outcome?),
            _ => self.shared.end().and(Err(ConsumerError::Closed)),
        }
    }

    /// Goes on reading a partition of this member from another offset. Records that wait are dropped; the next commit may go
    /// backwards.
    ///
    /// # Errors
    /// `NotOwned`.
    pub fn seek(&self, partition: &TopicPartition, offset: Offset) -> Result<(), ConsumerError> {
        self.shared.end()?;
        self.shared.restart(partition, offset.max(0)).ok_or_else(|| ConsumerError::NotOwned(partition.clone()))
    }

    /// The partitions of this member, each with the offset after the last record that was handed out.
    pub fn positions(&self) -> BTreeMap<TopicPartition, Offset> {
        let deliveries = self.shared.deliveries.lock();
        deliveries.iter().map(|(partition, delivery)| (partition.clone(), delivery.handed())).collect()
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What there is to know.
    pub fn metrics(&self) -> ConsumerMetrics {
        let mut metrics = self.shared.figures.lock().clone();
        let deliveries = self.shared.deliveries.lock();
        let read = deliveries.iter().map(|(partition, delivery)| {
            let read = PartitionMetrics { position: delivery.handed(), end: delivery.log_end() };
            (partition.clone(), read)
        });
        metrics.partitions = read.collect();
        metrics
    }

    /// Stops handing out, commits what was handed out unless `auto.commit.enable` is false, gives up the partitions, leaves
    /// the group and ends the session; within the session timeout, whatever ZooKeeper does. The second time there is
    /// nothing to do.
    ///
    /// # Errors
    /// `Fatal` if the member had failed before.
    pub async fn close(&self) -> Result<(), ConsumerError> {
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close { done }).await.is_ok() {
            let _ = closed.await;
        }
        match self.shared.end() {
            Err(ConsumerError::Closed) => Ok(()),
            outcome => outcome,
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // The driver sees its queue end and closes the session.
        self.shared.set_end(End::Closed);
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("group", &self.shared.config.group_id).finish_non_exhaustive()
    }
}
