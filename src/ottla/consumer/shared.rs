//! What the parts of a consumer share.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use ottla_classic::Fatal;
use ottla_types::{Offset, TopicPartition};
use tokio::sync::Notify;

use super::delivery::{Deliveries, Delivery};
use super::fetching::Wishes;
use super::lease::Lease;
use super::metrics::Figures;
use super::queue::StreamQueue;
use super::{ConsumerConfig, ConsumerError};

/// Shared by the application's side, the driver, and those who fetch.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: ConsumerConfig,
    pub(super) lease: Lease,
    pub(super) deliveries: Deliveries,
    pub(super) queues: Vec<Arc<StreamQueue>>,
    /// A queue has room.
    pub(super) room: Arc<Notify>,
    pub(super) wishes: Wishes,
    pub(super) figures: Figures,
    end: Mutex<Option<End>>,
}

/// Why there will be no more records.
#[derive(Debug, Clone)]
pub(super) enum End {
    Closed,
    Fatal(Fatal),
}

impl Shared {
    pub(super) fn new(config: ConsumerConfig, streams: usize) -> Shared {
        let room = Arc::new(Notify::new());
        Shared {
            queues: (0..streams).map(|_| Arc::new(StreamQueue::new(&config, room.clone()))).collect(),
            config,
            lease: Lease::default(),
            deliveries: Deliveries::default(),
            room,
            wishes: Wishes::default(),
            figures: Figures::default(),
            end: Mutex::default(),
        }
    }

    /// An error if there will be no more records.
    pub(super) fn end(&self) -> Result<(), ConsumerError> {
        match &*self.end.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(End::Closed) => Err(ConsumerError::Closed),
            Some(End::Fatal(fatal)) => Err(ConsumerError::Fatal(fatal.clone())),
        }
    }

    /// There will be no more records, for the first reason that is given. Wakes all who wait for one.
    pub(super) fn set_end(&self, end: End) {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(end);
        self.lease.set(None);
        for delivery in std::mem::take(&mut *self.deliveries.lock()).values() {
            delivery.end();
        }
        for queue in &self.queues {
            queue.changed.notify_one();
        }
    }

    /// The partition goes on from another offset; `None` if it is not delivered.
    pub(super) fn restart(&self, partition: &TopicPartition, offset: Offset) -> Option<()> {
        let next = self.deliveries.restart(partition, offset)?;
        self.wishes.fetch(next);
        Some(())
    }

    /// What came for a delivery was damaged: once more from the last record that was handed out, after a pause.
    pub(super) fn fetch_again(&self, delivery: &Arc<Delivery>) {
        if let Some(next) = self.deliveries.renew(delivery) {
            self.wishes.fetch_later(next, self.config.refresh_leader_backoff);
        }
    }

    /// The broker does not have the offset of a delivery; it goes on from another one. What was fetched before and waits is
    /// not lost by it.
    pub(super) fn reset(&self, delivery: &Arc<Delivery>, offset: Offset) {
        let (partition, gone) = (&delivery.partition, delivery.fetch.load(Ordering::Acquire));
        if delivery.has_ended() {
            return;
        }
        if offset < gone && delivery.handed() < gone {
            // The log has lost its end. Where the application is may still be in it.
            return self.fetch_again(delivery);
        }
        tracing::warn!("{partition}: offset {gone} is not there; going on from {offset} (auto.offset.reset)");
        self.figures.lock().offset_resets += 1;
        if offset < gone {
            self.restart(partition, offset);
        } else {
            delivery.skip_to(offset);
            self.wishes.fetch(delivery.clone());
        }
    }
}
