//! Fetches from one broker all partitions that it leads, and puts what comes into the streams' queues.
//!
//! A broker takes one request of a connection at a time, and may wait with its answer. So there are two: a long one, whose
//! answer may take `fetch.wait.max.ms`, and a short one for partitions that could not be in it: those that are new, and those
//! whose queue was full. A partition is in one request at most. So none waits for another, and the next
//! records of a busy partition are on their way while the last ones are read.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ottla_protocol::schema::fetch::{FetchPartition, FetchTopic, PartitionData};
use ottla_protocol::schema::{FetchRequest, FetchResponse};
use ottla_protocol::{ErrorCode, Str};
use ottla_types::{TopicName, TopicPartition};
use tokio::sync::Notify;

use super::chunk::{Chunk, Extent, extent};
use super::delivery::Delivery;
use super::shared::Shared;
use crate::client::{ClientError, Connection, ConnectionOptions};

/// The newest version that needs neither topic ids nor flexible fields.
const VERSION: i16 = 11;
/// How long the short request waits for records at most.
const SHORT_WAIT: Duration = Duration::from_millis(20);
/// How many partitions' `fetch.message.max.bytes` one answer holds at most: it stays in memory until all of it is read.
const FULL_PARTITIONS: i32 = 8;
/// What a partition is taken to bring that had nothing more when it was asked last.
const LITTLE: i64 = 4 << 10;
/// The largest batch that is fetched when it does not fit `fetch.message.max.bytes`.
const LARGEST_BATCH: usize = 128 << 20;
/// The first version whose answers have a limit.
const FIRST_WITH_LIMIT: i16 = 3;
/// How long a broker may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Room that is made at once for an answer that says it is so long.
const EXPECTED_ANSWER: usize = 4 << 20;

/// The fetcher of one broker.
#[derive(Debug)]
pub(super) struct Fetcher {
    address: String,
    shared: Arc<Shared>,
    /// Deliveries that came since it looked last.
    added: Mutex<Vec<Arc<Delivery>>>,
    changed: Notify,
}

/// A partition that this broker leads.
#[derive(Debug)]
struct Slot {
    delivery: Arc<Delivery>,
    in_flight: bool,
    /// Whether the log went on behind what the last answer brought.
    has_more: bool,
    max_bytes: i32,
    /// When it was asked for last: others go first.
    turn: u64,
}

/// A connection, and what is on its way on it.
#[derive(Default)]
struct Lane {
    connection: Option<Connection>,
    busy: bool,
    /// Whether the request on its way only waits for what is not there yet.
    polls: bool,
}

/// What came back on a lane.
struct Returned {
    lane: usize,
    asked: Vec<Arc<Delivery>>,
    outcome: Result<Came, ClientError>,
}

enum Came {
    Connected(Connection),
    Answer(FetchResponse<Bytes>),
}

type Flight = Pin<Box<dyn Future<Output = Returned> + Send>>;

/// The lane of the request that may wait for long.
const LONG: usize = 0;
/// The lane of the one that may not.
const SHORT: usize = 1;

impl Fetcher {
    pub(super) fn new(address: String, shared: Arc<Shared>) -> Fetcher {
        Fetcher { address, shared, added: Mutex::default(), changed: Notify::new() }
    }

    /// Fetches for a delivery from now on.
    pub(super) fn add(&self, delivery: Arc<Delivery>) {
        self.added.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
        self.changed.notify_one();
    }

    /// Fetches until it is dropped.
    pub(super) async fn run(self: Arc<Fetcher>) {
        let mut slots: BTreeMap<TopicPartition, Slot> = BTreeMap::new();
        let mut lanes = [Lane::default(), Lane::default()];
        let mut flights: FuturesUnordered<Flight> = FuturesUnordered::new();
        let mut turn = 0;
        loop {
            // Heard from here on, so that room made while looking is not missed.
            let room = self.shared.room.notified();
            for delivery in std::mem::take(&mut *self.added.lock().unwrap_or_else(PoisonError::into_inner)) {
                if !slots.get(&delivery.partition).is_some_and(|slot| Arc::ptr_eq(&slot.delivery, &delivery)) {
                    let most = self.shared.config.fetch_message_max_bytes;
                    slots.insert(delivery.partition.clone(), Slot::new(delivery, most));
                }
            }
            slots.retain(|_, slot| !slot.delivery.has_ended());
            for lane in [LONG, SHORT] {
                flights.extend(self.depart(lane, &mut lanes, &mut slots, &mut turn));
            }
            tokio::select! {
                () = room => {}
                () = self.changed.notified() => {}
                Some(returned) = flights.next(), if !flights.is_empty() => {
                    lanes[returned.lane].busy = false;
                    self.arrive(returned, &mut lanes, &mut slots);
                }
            }
        }
    }

    /// Sends a request on a lane if it is free and there is something to ask.
    fn depart(
        &self,
        at: usize,
        lanes: &mut [Lane; 2],
        slots: &mut BTreeMap<TopicPartition, Slot>,
        turn: &mut u64,
    ) -> Option<Flight> {
        if lanes[at].busy {
            return None;
        }
        let config = &self.shared.config;
        let mut ready: Vec<&mut Slot> = slots.values_mut().filter(|slot| self.is_ready(slot)).collect();
        if ready.is_empty() {
            return None;
        }
        // The short request comes back soon; then all can wait together in the long one.
        if at == LONG && lanes[SHORT].busy && lanes[SHORT].polls && !ready.iter().any(|slot| slot.has_more) {
            return None;
        }
        let Some(connection) = lanes[at].connection.clone() else {
            lanes[at].busy = true;
            return Some(self.connect(at));
        };
        ready.sort_by_key(|slot| slot.turn);
        let most = config.fetch_message_max_bytes.saturating_mul(FULL_PARTITIONS).min(config.fetch_max_bytes);
        let mut left = i64::from(most);
        let mut asked = Vec::new();
        let mut topics: BTreeMap<TopicName, Vec<FetchPartition>> = BTreeMap::new();
        let (all, mut polls) = (ready.len(), true);
        *turn += 1;
        for slot in ready {
            let expected = if slot.has_more { i64::from(slot.max_bytes) } else { LITTLE };
            if !asked.is_empty() && expected > left {
                break;
            }
            left -= expected;
            polls &= !slot.has_more;
            (slot.in_flight, slot.turn) = (true, *turn);
            let TopicPartition { topic, partition } = &slot.delivery.partition;
            topics.entry(topic.clone()).or_default().push(FetchPartition {
                partition: *partition,
                fetch_offset: slot.delivery.fetch.load(Ordering::Acquire),
                partition_max_bytes: slot.max_bytes,
                ..FetchPartition::default()
            });
            asked.push(slot.delivery.clone());
        }
        let wait = match at == LONG && asked.len() == all {
            true => config.fetch_wait_max,
            false => config.fetch_wait_max.min(SHORT_WAIT),
        };
        let topic = |(topic, partitions): (TopicName, _)| FetchTopic {
            topic: Str::from(topic.as_str()),
            partitions,
            ..FetchTopic::default()
        };
        let request = FetchRequest {
            max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: config.fetch_min_bytes,
            max_bytes: most,
            topics: topics.into_iter().map(topic).collect(),
            ..FetchRequest::default()
        };
        (lanes[at].busy, lanes[at].polls) = (true, polls);
        Some(Box::pin(async move {
            let answer = connection.send_at_most(&request, VERSION, wait).await;
            let outcome = answer.and_then(|answer| {
                ClientError::check(answer.error_code, None)?;
                Ok(Came::Answer(answer))
            });
            Returned { lane: at, asked, outcome }
        }))
    }

    fn is_ready(&self, slot: &Slot) -> bool {
        let (config, delivery) = (&self.shared.config, &slot.delivery);
        !slot.in_flight
            && delivery.queued.load(Ordering::Acquire) < config.queued_max_message_chunks
            && delivery.queue.has_room()
    }

    fn connect(&self, lane: usize) -> Flight {
        let config = &self.shared.config;
        let options = ConnectionOptions {
            client_id: config.client_id.clone(),
            connect_timeout: config.socket_timeout.min(CONNECT_TIMEOUT),
            request_timeout: config.socket_timeout,
            receive_buffer_bytes: config.socket_receive_buffer_bytes,
            expected_response_bytes: EXPECTED_ANSWER,
            before_api_versions: true,
            ..ConnectionOptions::default()
        };
        let address = self.address.clone();
        Box::pin(async move {
            let outcome = Connection::connect(&address, &options).await.map(Came::Connected);
            Returned { lane, asked: Vec::new(), outcome }
        })
    }

    fn arrive(&self, returned: Returned, lanes: &mut [Lane; 2], slots: &mut BTreeMap<TopicPartition, Slot>) {
        let Returned { lane, asked, outcome } = returned;
        let answer = match outcome {
            Ok(Came::Connected(connection)) => {
                // Without a limit of the whole answer, partitions that may be long are asked for a few at a time.
                if connection.version::<FetchRequest>().is_none_or(|version| version < FIRST_WITH_LIMIT) {
                    slots.values_mut().for_each(|slot| slot.has_more = true);
                }
                lanes[lane].connection = Some(connection);
                return;
            }
            Ok(Came::Answer(answer)) => answer,
            Err(error) => {
                tracing::warn!("{error}; looking for the leaders of its partitions again");
                lanes[lane].connection = None;
                let of_lane = |slot: &Slot| asked.iter().any(|delivery| Arc::ptr_eq(delivery, &slot.delivery));
                slots.retain(|_, slot| {
                    let leaves = if asked.is_empty() { !slot.in_flight } else { of_lane(slot) };
                    if leaves {
                        self.give_back(slot);
                    }
                    !leaves
                });
                return;
            }
        };
        let mut answers: BTreeMap<(Str, i32), PartitionData<Bytes>> = BTreeMap::new();
        for topic in answer.responses {
            for partition in topic.partitions {
                answers.insert((topic.topic.clone(), partition.partition_index), partition);
            }
        }
        for delivery in asked {
            let TopicPartition { topic, partition } = &delivery.partition;
            let answer = answers.remove(&(Str::from(topic.as_str()), *partition));
            let Some(slot) = slots.get_mut(&delivery.partition) else { continue };
            if !Arc::ptr_eq(&slot.delivery, &delivery) {
                continue;
            }
            slot.in_flight = false;
            if !self.take(slot, answer) {
                slots.remove(&delivery.partition);
            }
        }
    }

    /// Takes in the answer of one partition; `false` if it is fetched here no more.
    fn take(&self, slot: &mut Slot, answer: Option<PartitionData<Bytes>>) -> bool {
        let partition = &slot.delivery.partition;
        let Some(answer) = answer else {
            self.give_back(slot);
            return false;
        };
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::OffsetOutOfRange) => {
                self.shared.wishes.reset(slot.delivery.clone());
                return false;
            }
            code => {
                tracing::debug!("{partition}: {} answers {code:?}; looking for its leader again", self.address);
                self.give_back(slot);
                return false;
            }
        }
        let delivery = &slot.delivery;
        let from = delivery.fetch.load(Ordering::Acquire);
        delivery.log_end.store(answer.high_watermark, Ordering::Relaxed);
        let records = answer.records.unwrap_or_default();
        let extent = extent(&records);
        slot.has_more = answer.high_watermark > from;
        match extent {
            Extent::Nothing => true,
            Extent::Upto(next) if next > from => {
                slot.has_more = answer.high_watermark > next;
                slot.max_bytes = self.shared.config.fetch_message_max_bytes;
                delivery.fetch.store(next, Ordering::Release);
                delivery.queue.push(Chunk::new(delivery.clone(), from, records));
                true
            }
            Extent::CutOff { needed } if needed > slot.max_bytes as usize && needed <= LARGEST_BATCH => {
                tracing::warn!(
                    "{partition}: the batch at offset {from} has {needed} bytes, more than fetch.message.max.bytes; it is \
                     fetched whole"
                );
                slot.max_bytes = needed as i32;
                true
            }
            // The stream that reads it says what is wrong, and asks for it again.
            Extent::Upto(_) | Extent::CutOff { .. } | Extent::Damaged => {
                delivery.queue.push(Chunk::damaged(delivery.clone(), from, records));
                false
            }
        }
    }

    /// The partition is led by another broker now, or by none.
    fn give_back(&self, slot: &Slot) {
        self.shared.wishes.fetch_later(slot.delivery.clone(), self.shared.config.refresh_leader_backoff);
    }
}

impl Slot {
    fn new(delivery: Arc<Delivery>, max_bytes: i32) -> Slot {
        Slot { delivery, in_flight: false, has_more: false, max_bytes, turn: 0 }
    }
}
