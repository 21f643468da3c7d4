//! What the application reads from.

use std::sync::Arc;

use ottla_types::{Offset, TopicPartition};
use tokio::time::{Instant, timeout_at};

use super::chunk::{Chunk, Cursor};
use super::delivery::Delivery;
use super::lease::Lease;
use super::record::{Record, RecordRef};
use super::shared::Shared;
use super::{ConsumerError, queue::StreamQueue};

/// One of a consumer's streams: records of the partitions that the group's plan gives to it, in order within each partition.
///
/// Both forms check before each record that the session cannot have ended and that the partition is still this
/// consumer's. A record counts as consumed when the next one is asked for.
#[derive(Debug)]
pub struct Stream {
    index: usize,
    shared: Arc<Shared>,
    queue: Arc<StreamQueue>,
    current: Option<Chunk>,
}

/// What there is to hand out now.
enum Look<T> {
    Found(T),
    /// No chunk is left.
    Nothing,
    /// The lease has run out.
    NoLease,
}

impl Stream {
    pub(super) fn new(index: usize, shared: Arc<Shared>) -> Stream {
        let queue = shared.queues[index].clone();
        Stream { index, shared, queue, current: None }
    }

    /// Which stream of the consumer this is, from 0: its thread id ends so.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The next record, as soon as there is one.
    ///
    /// # Errors
    /// `Timeout` after `consumer.timeout.ms`, `Damaged`: the stream goes on when it is asked again. `Closed`, `Fatal`: it has
    /// ended.
    pub async fn next(&mut self) -> Result<Record, ConsumerError> {
        self.consume();
        let mut deadline = None;
        loop {
            match self.take()? {
                Look::Found(record) => return Ok(record),
                Look::Nothing => self.refill(&mut deadline).await?,
                Look::NoLease => self.lease(&mut deadline).await?,
            }
        }
    }

    /// The next records of one partition, as many as lie together: one to some thousands. Cheaper than [`Stream::next`] by
    /// half. What is not taken out of the batch comes with the next call.
    ///
    /// # Errors
    /// As [`Stream::next`].
    pub async fn next_batch(&mut self) -> Result<Batch<'_>, ConsumerError> {
        self.consume();
        let mut deadline = None;
        loop {
            match self.look()? {
                Look::Found(()) => break,
                Look::Nothing => self.refill(&mut deadline).await?,
                Look::NoLease => self.lease(&mut deadline).await?,
            }
        }
        let lease = &self.shared.lease;
        match self.current.as_mut().and_then(Chunk::parts) {
            Some((delivery, from, _, body, cursor)) => Ok(Batch { delivery, lease, from, body, cursor }),
            None => Err(ConsumerError::Closed),
        }
    }

    /// The application has done with what it was given.
    fn consume(&self) {
        if let Some(chunk) = &self.current {
            chunk.delivery.consume();
        }
    }

    /// Opens the next batch that holds records to hand out.
    fn look(&mut self) -> Result<Look<()>, ConsumerError> {
        while let Some(chunk) = &mut self.current {
            if chunk.delivery.has_ended() {
                break;
            }
            match chunk.open().and_then(|open| if open { chunk.has_record().map(Some) } else { Ok(None) }) {
                Ok(Some(true)) if self.shared.lease.holds() => return Ok(Look::Found(())),
                Ok(Some(true)) => return Ok(Look::NoLease),
                Ok(Some(false)) => chunk.close(),
                Ok(None) => break,
                Err(why) => return Err(self.damaged(why)),
            }
        }
        self.current = None;
        Ok(Look::Nothing)
    }

    #[inline]
    fn take(&mut self) -> Result<Look<Record>, ConsumerError> {
        while let Some(chunk) = &mut self.current {
            let Some((delivery, from, buffer, body, cursor)) = chunk.parts() else {
                match chunk.open() {
                    Ok(true) => continue,
                    Ok(false) => break,
                    Err(why) => return Err(self.damaged(why)),
                }
            };
            if !self.shared.lease.holds() {
                return Ok(Look::NoLease);
            }
            match cursor.next(body) {
                Ok(Some((record, _))) if record.offset < from => {}
                Ok(Some((record, timestamp_type))) => {
                    if !delivery.hand_out(record.offset.saturating_add(1)) {
                        break;
                    }
                    let partition = &delivery.partition;
                    let slices = Record::slice(buffer, &partition.topic, partition.partition, timestamp_type, &record);
                    return Ok(Look::Found(slices));
                }
                Ok(None) => chunk.close(),
                Err(why) => return Err(self.damaged(why)),
            }
        }
        self.current = None;
        Ok(Look::Nothing)
    }

    /// Waits for the next chunk.
    async fn refill(&mut self, deadline: &mut Option<Instant>) -> Result<(), ConsumerError> {
        // Whoever reads on without a pause leaves the others of a small runtime their turn.
        tokio::task::coop::consume_budget().await;
        loop {
            if let Some(chunk) = self.queue.pop() {
                self.current = Some(chunk);
                return Ok(());
            }
            self.shared.end()?;
            let changed = self.queue.changed.notified();
            self.shared.within(deadline, changed).await?;
        }
    }

    async fn lease(&mut self, deadline: &mut Option<Instant>) -> Result<(), ConsumerError> {
        let changed = self.shared.lease.changed();
        if self.shared.lease.holds() {
            return Ok(());
        }
        self.shared.end()?;
        self.shared.within(deadline, changed).await
    }

    /// Fetches the partition anew from where it was read to, and says what is wrong.
    fn damaged(&mut self, why: String) -> ConsumerError {
        let Some(chunk) = self.current.take() else { return ConsumerError::Closed };
        let (partition, offset) = (chunk.delivery.partition.clone(), chunk.delivery.handed());
        self.shared.fetch_again(&chunk.delivery);
        ConsumerError::Damaged { partition, offset, why }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

impl Shared {
    /// Awaits something until `consumer.timeout.ms` have passed since the first wait.
    async fn within(
        &self,
        deadline: &mut Option<Instant>,
        wait: impl Future<Output = ()>,
    ) -> Result<(), ConsumerError> {
        match self.config.consumer_timeout {
            None => {
                wait.await;
                Ok(())
            }
            Some(waited) => {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + waited);
                timeout_at(deadline, wait).await.map_err(|_| ConsumerError::Timeout { waited })
            }
        }
    }
}

/// Records of one partition, handed out one by one: an iterator that ends where they end, or where they may no longer be
/// handed out.
#[derive(Debug)]
pub struct Batch<'a> {
    delivery: &'a Arc<Delivery>,
    lease: &'a Lease,
    from: Offset,
    body: &'a [u8],
    cursor: &'a mut Cursor,
}

impl<'a> Batch<'a> {
    /// The partition of all its records.
    pub fn topic_partition(&self) -> &'a TopicPartition {
        &self.delivery.partition
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = RecordRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<RecordRef<'a>> {
        self.delivery.consume();
        loop {
            if !self.lease.holds() {
                return None;
            }
            // What is wrong with a record is said when the stream is asked for what follows.
            let (record, timestamp_type) = self.cursor.next(self.body).ok()??;
            if record.offset < self.from {
                continue;
            }
            if !self.delivery.hand_out(record.offset.saturating_add(1)) {
                return None;
            }
            return Some(RecordRef {
                topic: &self.delivery.partition.topic,
                partition: self.delivery.partition.partition,
                offset: record.offset,
                timestamp: record.timestamp,
                timestamp_type,
                key: record.key,
                value: record.value,
                headers: record.headers,
            });
        }
    }
}
