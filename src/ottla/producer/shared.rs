//! What the parts of a producer share: the core behind a lock, and what becomes of its effects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ottla_producer::{BatchId, Effect, Event, Placed, Refusal, Report, Request};
use ottla_protocol::Str;
use ottla_records::compression::CompressionError;
use ottla_types::{BrokerId, TopicName};
use ottla_view::{Change, Cluster, Topic};
use tokio::runtime::Handle;
use tokio::sync::{Notify, broadcast, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::clock::Clock;
use super::core::Core;
use super::creation::Creations;
use super::delivery::{Delivery, Ticket, Written};
use super::lane::{self, Signals};
use super::metrics::{Figures, add};
use super::options::settings;
use super::wants::{Trouble, Wants};
use super::{Partitioner, ProducerConfig, ProducerError, Record, Source, TopicView, asking};

/// Changes that a slow receiver may be behind.
const CHANGES: usize = 1024;

/// What the core asks for.
type Effects = Vec<Effect<Arc<Ticket>>>;

/// Shared by the application's side and the tasks.
pub(super) struct Shared {
    pub(super) config: ProducerConfig,
    pub(super) clock: Clock,
    pub(super) wants: Wants,
    pub(super) creations: Creations,
    pub(super) figures: Figures,
    pub(super) trouble: Trouble,
    pub(super) client_id: Str,
    /// There is room again in `buffer.memory`.
    pub(super) room: Notify,
    /// What is known of topics has changed.
    pub(super) topics_changed: Notify,
    pub(super) partitioner: Option<Arc<dyn Partitioner>>,
    core: Mutex<Core>,
    cluster: Mutex<Arc<Cluster>>,
    changes: broadcast::Sender<Change>,
    lanes: Mutex<BTreeMap<BrokerId, Arc<Signals>>>,
    /// The core's next deadline is earlier than it was.
    earlier: Notify,
    flushes: Mutex<Flushes>,
    stage: watch::Sender<Stage>,
    runtime: Handle,
    tasks: Mutex<JoinSet<()>>,
}

/// How far a producer's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Running,
    /// Every record has its outcome; the tasks end.
    Ended,
}

#[derive(Default)]
struct Flushes {
    next: u64,
    waiting: BTreeMap<u64, oneshot::Sender<()>>,
}

/// What a lane tells the core: the bytes of batches first, then what happened to requests.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The bytes of batches that were given out open.
    pub(super) batches: Vec<(BatchId, Result<Bytes, CompressionError>)>,
    /// Buffers that are left over.
    pub(super) spares: Vec<Vec<u8>>,
    pub(super) events: Vec<Event>,
}

/// Why a record was not put into a batch.
pub(super) enum NotPlaced {
    /// Not now: wait for what the refusal names, and try again.
    Later(Later),
    Never(ProducerError),
}

/// What a record waits for.
pub(super) enum Later {
    /// To know whether there is such a topic.
    Topic(TopicName),
    /// That there is one.
    Creation(TopicName),
    /// Room in `buffer.memory`, which has so many bytes in all.
    Room(usize),
}

impl Shared {
    pub(super) fn new(config: ProducerConfig, partitioner: Option<Arc<dyn Partitioner>>) -> Shared {
        let producer = ottla_producer::Producer::new(settings(&config, rand::random()));
        Shared {
            clock: Clock::default(),
            wants: Wants::default(),
            creations: Creations::default(),
            figures: Figures::default(),
            trouble: Trouble::default(),
            client_id: Str::from(config.client_id.as_str()),
            config,
            room: Notify::new(),
            topics_changed: Notify::new(),
            partitioner,
            core: Mutex::new(Core { producer, topics: BTreeMap::new(), last: None, alarm: None }),
            cluster: Mutex::default(),
            changes: broadcast::channel(CHANGES).0,
            lanes: Mutex::default(),
            earlier: Notify::new(),
            flushes: Mutex::default(),
            stage: watch::channel(Stage::Running).0,
            runtime: Handle::current(),
            tasks: Mutex::default(),
        }
    }

    /// Puts a record into a batch.
    #[inline]
    pub(super) fn append(self: &Arc<Shared>, record: &Record<'_>) -> Result<Delivery, Box<NotPlaced>> {
        let mut partition = record.partition;
        if let (None, Some(partitioner)) = (partition, &self.partitioner) {
            partition = self.choose(&**partitioner, record);
        }
        let (now_ms, wall_ms) = self.clock.recent();
        let timestamp = record.timestamp.unwrap_or(wall_ms);
        let what = ottla_producer::Record {
            partition,
            key: record.key,
            value: record.value,
            headers: record.headers,
            timestamp,
        };
        let mut opened = false;
        let mut core = lock(&self.core);
        core.turn_to(record.topic, now_ms)?;
        let held = &mut *core;
        let Some((topic, last_ms)) = &mut held.last else { unreachable!("a topic was turned to") };
        *last_ms = now_ms;
        let ticket = |partition| {
            opened = true;
            Arc::new(Ticket::new(partition, timestamp))
        };
        // What comes back is taken apart at once: a struct that is written field by field and then copied as a whole holds the
        // processor up for as long as the copy of a record takes.
        match held.producer.append(now_ms, topic, &what, ticket) {
            Ok(Placed { ticket, index, wake, .. }) => {
                let delivery = ticket.delivery(index, timestamp);
                if opened {
                    let sooner = held.set_alarm();
                    drop(core);
                    self.tell(sooner, wake);
                }
                Ok(delivery)
            }
            Err(refusal) => {
                let not = NotPlaced::of(refusal, topic);
                // A full memory makes what lingers go out.
                let sooner = held.set_alarm();
                drop(core);
                self.tell(sooner, None);
                Err(Box::new(not))
            }
        }
    }

    /// Tells those who are concerned that the next deadline is earlier than it was, and that a broker has something to send.
    #[cold]
    fn tell(self: &Arc<Shared>, sooner: bool, wake: Option<BrokerId>) {
        if sooner {
            self.earlier.notify_one();
        }
        if let Some(broker) = wake {
            self.wake(broker);
        }
    }

    /// What the application's partitioner says. It is called without a lock, and only for a topic that is known.
    fn choose(&self, partitioner: &dyn Partitioner, record: &Record<'_>) -> Option<i32> {
        let cluster = self.cluster();
        match cluster.topics.get_key_value(record.topic) {
            Some((name, Topic::Partitions(partitions))) if !partitions.is_empty() => {
                partitioner.partition(record, &TopicView { name, partitions, cluster: &cluster })
            }
            // The core refuses it.
            _ => None,
        }
    }

    /// A topic is in use, whether or not anything is sent to it.
    pub(super) fn use_topic(&self, topic: TopicName) {
        let now_ms = self.clock.now_ms();
        lock(&self.core).topics.insert(topic.clone(), now_ms);
        self.wants.topic(topic);
    }

    /// Takes in what happened.
    pub(super) fn step(self: &Arc<Shared>, event: Event) {
        let mut effects = Vec::new();
        self.with_core(|core, now_ms| core.step(now_ms, event, &mut effects));
        self.carry_out(effects);
    }

    /// Takes in what a lane tells, and gives it its next request if it asks for one: all behind one lock, which whoever sends
    /// records wants too.
    pub(super) fn exchange(self: &Arc<Shared>, told: &mut Told, asks: Option<BrokerId>) -> Option<Request> {
        let mut effects = Vec::new();
        let request = self.with_core(|core, now_ms| {
            for (batch, bytes) in told.batches.drain(..) {
                core.sealed(batch, bytes, &mut effects);
            }
            told.spares.drain(..).for_each(|buffer| core.spare(buffer));
            for event in told.events.drain(..) {
                core.step(now_ms, event, &mut effects);
            }
            asks.and_then(|broker| core.next_request(now_ms, broker))
        });
        // It has asked already.
        effects.retain(|effect| !matches!(effect, Effect::Wake(broker) if Some(*broker) == asks));
        self.carry_out(effects);
        request
    }

    fn with_core<R>(&self, act: impl FnOnce(&mut ottla_producer::Producer<Arc<Ticket>>, u64) -> R) -> R {
        let now_ms = self.clock.now_ms();
        let (outcome, sooner) = {
            let mut core = lock(&self.core);
            let outcome = act(&mut core.producer, now_ms);
            (outcome, core.set_alarm())
        };
        if sooner {
            self.earlier.notify_one();
        }
        outcome
    }

    fn carry_out(self: &Arc<Shared>, effects: Effects) {
        for effect in effects {
            match effect {
                Effect::Wake(broker) => self.wake(broker),
                Effect::Disconnect(broker) => {
                    if let Some(lane) = lock(&self.lanes).get(&broker) {
                        lane.disconnect();
                    }
                }
                Effect::GetProducerId => {
                    let shared = self.clone();
                    self.spawn(async move { asking::get_producer_id(&shared).await });
                }
                Effect::Doubt(partition) => self.wants.add(|wanted| {
                    wanted.doubted.insert(partition);
                }),
                Effect::Delivered { ticket, records, base_offset, log_append_time } => {
                    add(&self.figures.delivered_batches, 1);
                    add(&self.figures.delivered_records, records.len() as u64);
                    ticket.settle(records, Ok(Written { base_offset, log_append_time }));
                }
                Effect::Failed { ticket, records, why } => {
                    add(&self.figures.failed_batches, 1);
                    add(&self.figures.failed_records, records.len() as u64);
                    ticket.settle(records, Err(why));
                }
                Effect::Room => self.room.notify_waiters(),
                Effect::Flushed { token } => {
                    if let Some(flushed) = lock(&self.flushes).waiting.remove(&token) {
                        // Whoever does not wait any more does not want to know.
                        let _ = flushed.send(());
                    }
                }
                Effect::Closed => self.end(),
                Effect::Report(report) => self.report(report),
            }
        }
    }

    fn report(&self, report: Report) {
        match report {
            Report::Retried { partition, why } => {
                tracing::debug!("{partition}: sent again: {why}");
                add(&self.figures.retries, 1);
                self.surprised();
            }
            Report::EpochBumped { partition, producer_epoch, why } => {
                tracing::info!("{partition}: sequence numbers begin anew under producer epoch {producer_epoch}: {why}");
                add(&self.figures.epoch_bumps, 1);
            }
            Report::Split { partition, size, why, is_first } => {
                add(&self.figures.split_batches, 1);
                match is_first {
                    true => tracing::warn!(
                        "{partition}: a batch of {size} bytes is too large and is split, as others may be: {why}"
                    ),
                    false => tracing::debug!("{partition}: a batch of {size} bytes is too large and is split"),
                }
            }
            Report::Unreachable { broker, why } => tracing::warn!("broker {broker} cannot be reached: {why}"),
        }
    }

    /// A batch went astray, or a connection: what is known may be old.
    pub(super) fn surprised(&self) {
        if matches!(self.config.source, Source::Bootstrap(_)) {
            self.wants.add(|wanted| wanted.surprised = true);
        }
    }

    fn wake(self: &Arc<Shared>, broker: BrokerId) {
        let (signals, is_new) = {
            let mut lanes = lock(&self.lanes);
            match lanes.get(&broker) {
                Some(signals) => (signals.clone(), false),
                None => {
                    let signals = Arc::new(Signals::default());
                    lanes.insert(broker, signals.clone());
                    (signals, true)
                }
            }
        };
        signals.wake();
        if is_new {
            self.spawn(lane::run(self.clone(), broker, signals));
        }
    }

    /// Runs a task until the producer ends, on the runtime that it was started on.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut stage = self.stage.subscribe();
        self.spawn_to_its_end(async move {
            tokio::select! {
                () = task => {}
                _ = stage.wait_for(|stage| *stage == Stage::Ended) => {}
            }
        });
    }

    /// Runs a task that sees for itself that the producer ends.
    pub(super) fn spawn_to_its_end(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        // What has ended gives its memory back.
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, &self.runtime);
    }

    /// Tells the core the time when it wants to know.
    pub(super) async fn keep_time(self: Arc<Shared>) {
        loop {
            let alarm = lock(&self.core).alarm;
            let earlier = self.earlier.notified();
            match alarm {
                None => earlier.await,
                Some(at_ms) => tokio::select! {
                    () = earlier => continue,
                    () = tokio::time::sleep_until(self.clock.instant(at_ms)) => {}
                },
            }
            self.step(Event::TimePassed);
        }
    }

    /// Something is different in the cluster. Changes are told one after another, by one task.
    pub(super) fn view_changed(self: &Arc<Shared>, change: Change) {
        Arc::make_mut(&mut *lock(&self.cluster)).apply(&change);
        self.step(Event::View(change.clone()));
        if let Change::TopicForgotten { name } = &change
            && lock(&self.core).uses(name)
        {
            // Somebody has sent to it in this moment.
            self.wants.topic(name.clone());
        }
        if matches!(change, Change::Topic { .. } | Change::TopicForgotten { .. } | Change::TopicNames { .. }) {
            self.topics_changed.notify_waiters();
        }
        // Nobody listening is fine.
        let _ = self.changes.send(change);
    }

    /// What is known of the cluster.
    pub(super) fn cluster(&self) -> Arc<Cluster> {
        lock(&self.cluster).clone()
    }

    pub(super) fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Topics that nothing was sent to for so long; they do not count as sent to from here on.
    pub(super) fn take_idle(&self, idle: Duration) -> Vec<TopicName> {
        let before_ms = self.clock.now_ms().saturating_sub(idle.as_millis() as u64);
        let mut core = lock(&self.core);
        core.remember_last();
        let idle: Vec<TopicName> =
            core.topics.iter().filter(|(_, at_ms)| **at_ms < before_ms).map(|(topic, _)| topic.clone()).collect();
        for topic in &idle {
            core.topics.remove(topic);
        }
        idle
    }

    /// Bytes of `buffer.memory` that are in use.
    pub(super) fn buffered(&self) -> usize {
        lock(&self.core).producer.buffered()
    }

    /// Waits until all that was sent before has its outcome.
    pub(super) async fn flush(self: &Arc<Shared>) {
        let (flushed, waiting) = oneshot::channel();
        let token = {
            let mut flushes = lock(&self.flushes);
            flushes.next += 1;
            let token = flushes.next;
            flushes.waiting.insert(token, flushed);
            token
        };
        self.step(Event::FlushAsked { token });
        let mut stage = self.stage.subscribe();
        tokio::select! {
            _ = waiting => {}
            _ = stage.wait_for(|stage| *stage == Stage::Ended) => {}
        }
    }

    /// What has no outcome fails.
    pub(super) fn abandon(self: &Arc<Shared>) {
        if !self.has_ended() {
            self.step(Event::Abandoned);
            self.end();
        }
    }

    /// Every record has its outcome.
    fn end(&self) {
        self.stage.send_replace(Stage::Ended);
        self.wake_senders();
    }

    /// Those who wait for room or a topic look again.
    pub(super) fn wake_senders(&self) {
        self.room.notify_waiters();
        self.topics_changed.notify_waiters();
    }

    pub(super) fn has_ended(&self) -> bool {
        *self.stage.borrow() == Stage::Ended
    }

    /// Waits until every record has its outcome.
    pub(super) async fn ended(&self) {
        // The sender is in `self`.
        let _ = self.stage.subscribe().wait_for(|stage| *stage == Stage::Ended).await;
    }

    /// Waits until the tasks have ended.
    pub(super) async fn join(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        while tasks.join_next().await.is_some() {}
    }

    /// `max.block.ms` from now.
    pub(super) fn block_until(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.config.max_block).unwrap_or(now + Duration::from_secs(1 << 30))
    }
}

impl NotPlaced {
    fn of(refusal: Refusal, topic: &TopicName) -> NotPlaced {
        match refusal {
            Refusal::UnknownTopic(_) => NotPlaced::Later(Later::Topic(topic.clone())),
            Refusal::MissingTopic(_) => NotPlaced::Later(Later::Creation(topic.clone())),
            Refusal::Full { limit } => NotPlaced::Later(Later::Room(limit)),
            refusal => NotPlaced::Never(refusal.into()),
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
