//! Carries events to the member and its effects to ZooKeeper, to those who fetch and to the application. Decides nothing.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ottla_classic::{CommitError, Effect, Event, Member, Settings, Subscription};
use ottla_types::TopicPartition;
use ottla_znodes::{Failure, Request, RequestId};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::delivery::Delivery;
use super::fetching::{self, Found};
use super::identity::new_consumer_id;
use super::lease::now_ms;
use super::listener::{self, Loss, News, PartitionListener, Told};
use super::shared::{End, Shared};
use crate::zk::requests::{self, Answer};
use crate::zk::znodes::{SessionEvent, Znodes};

/// Answers of the tasks beside the driver that wait for it.
const QUEUED: usize = 64;

/// What the application wants.
#[derive(Debug)]
pub(super) enum Command {
    /// Commit all that was consumed.
    Commit { done: oneshot::Sender<Result<(), CommitError>> },
    /// Leave the group.
    Close { done: oneshot::Sender<()> },
}

/// What ZooKeeper is to say.
type Waiting<T> = FuturesUnordered<Pin<Box<dyn Future<Output = T> + Send>>>;

/// The task that owns the member.
pub(super) struct Driver {
    zk: Arc<dyn Znodes>,
    shared: Arc<Shared>,
    member: Member,
    /// The session that the member knows of.
    session_id: Option<i64>,
    /// Request, when it was sent, answer.
    requests: Waiting<(RequestId, u64, Answer)>,
    /// Path, whether its children are watched.
    watches: Waiting<(String, bool)>,
    commits: BTreeMap<u64, oneshot::Sender<Result<(), CommitError>>>,
    next_token: u64,
    news: mpsc::UnboundedSender<News>,
    told: mpsc::Receiver<Told>,
    found: mpsc::Receiver<Found>,
    /// Those beside the driver; they end with it.
    _tasks: JoinSet<()>,
    registered: Option<oneshot::Sender<()>>,
    closing: Vec<oneshot::Sender<()>>,
    close_by_ms: Option<u64>,
    done: bool,
}

impl Driver {
    pub(super) fn new(
        zk: Arc<dyn Znodes>,
        shared: Arc<Shared>,
        wanted: Subscription,
        listener: Option<Arc<dyn PartitionListener>>,
        registered: oneshot::Sender<()>,
    ) -> Driver {
        let config = &shared.config;
        let mut settings = Settings::new(&config.group_id, wanted);
        settings.assignor = config.assignor.as_str().into();
        settings.exclude_internal_topics = config.exclude_internal_topics;
        settings.commit_interval_ms = config.auto_commit_interval.map(|interval| interval.as_millis() as u64);
        let (news, heard) = mpsc::unbounded_channel();
        let (tell, told) = mpsc::channel(QUEUED);
        let (find, found) = mpsc::channel(QUEUED);
        let mut tasks = JoinSet::new();
        tasks.spawn(listener::tell(listener, heard, tell, config.revoke_wait));
        tasks.spawn(fetching::run(zk.clone(), shared.clone(), find));
        Driver {
            zk,
            shared,
            member: Member::new(settings),
            session_id: None,
            requests: FuturesUnordered::new(),
            watches: FuturesUnordered::new(),
            commits: BTreeMap::new(),
            next_token: 0,
            news,
            told,
            found,
            _tasks: tasks,
            registered: Some(registered),
            closing: Vec::new(),
            close_by_ms: None,
            done: false,
        }
    }

    pub(super) async fn run(mut self, mut asked: mpsc::Receiver<Command>) {
        let mut session_events = self.zk.session_events();
        self.session_started(self.zk.session_id());
        while !self.done {
            let deadline = self.member.next_deadline().into_iter().chain(self.close_by_ms).min();
            let pause = deadline.map_or(Duration::MAX, |at| Duration::from_millis(at.saturating_sub(now_ms())));
            tokio::select! {
                // What ZooKeeper says comes before what the application wants.
                biased;
                event = session_events.recv() => self.session(event),
                Some((request, sent_ms, answer)) = self.requests.next(), if !self.requests.is_empty() => {
                    self.answered(request, sent_ms, answer);
                }
                Some((path, children)) = self.watches.next(), if !self.watches.is_empty() => {
                    self.step(Event::Changed { path, children });
                }
                Some(found) = self.found.recv() => {
                    self.step(Event::StartFound { partition: found.partition, offset: found.offset });
                }
                told = self.told.recv() => match told {
                    Some(told) => self.told(told),
                    None => self.listener_panicked(),
                },
                command = asked.recv() => match command {
                    Some(command) => self.command(command),
                    // The consumer was dropped.
                    None => break,
                },
                () = sleep(pause) => self.time_passed(),
            }
        }
        self.shared.set_end(End::Closed);
        self.requests.clear();
        if let Err(error) = self.zk.close().await {
            tracing::warn!("the session with ZooKeeper ends with its timeout: {error}");
        }
        for closing in self.closing {
            // Whoever does not wait any more does not want to know.
            let _ = closing.send(());
        }
    }

    fn step(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let mut effects = Vec::new();
            self.member.step(now_ms(), event, &mut effects);
            if self.carry_out(effects) {
                next = Some(Event::Positions(self.positions()));
            }
        }
    }

    /// Returns whether positions are wanted.
    fn carry_out(&mut self, effects: Vec<Effect>) -> bool {
        let mut collect = false;
        let (mut gained, mut revoked, mut abandoned) = (Vec::new(), Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::Send { id, request } => self.send(id, request),
                Effect::Lease { until_ms } => self.shared.lease.set(until_ms),
                Effect::FindStart { partition } => self.shared.wishes.find_start(partition),
                Effect::Start { partition, stream, offset } => gained.extend(self.start(partition, stream, offset)),
                Effect::Stop { partition } => revoked.extend(self.end(&partition)),
                Effect::Abandon { partition } => {
                    abandoned.extend(self.end(&partition));
                    self.shared.deliveries.lock().remove(&partition);
                }
                Effect::CollectPositions => collect = true,
                Effect::Committed { token, outcome } => {
                    if let Some(done) = self.commits.remove(&token) {
                        // Whoever does not wait any more does not want to know.
                        let _ = done.send(outcome);
                    }
                }
                Effect::Closed => self.done = true,
                Effect::Failed(fatal) => {
                    tracing::error!(group = self.shared.config.group_id, "{fatal}");
                    self.shared.set_end(End::Fatal(fatal));
                    self.registered = None;
                    self.done = true;
                }
                Effect::Report(report) => {
                    if let ottla_classic::Report::Registered { .. } = report {
                        self.registered = None;
                    }
                    self.shared.figures.report(&self.shared.config.group_id, report);
                }
            }
        }
        self.news(News::Lost(abandoned, Loss::Abandoned));
        self.news(News::Lost(revoked, Loss::Revoked));
        self.news(News::Gained(gained));
        collect
    }

    fn news(&self, news: News) {
        let (News::Gained(deliveries) | News::Lost(deliveries, _)) = &news;
        if !deliveries.is_empty() {
            // The task that listens ends with the driver only.
            let _ = self.news.send(news);
        }
    }

    fn session(&mut self, event: Result<SessionEvent, RecvError>) {
        match event {
            Ok(SessionEvent::Started { session_id }) if Some(session_id) != self.session_id => {
                self.session_expired();
                self.session_started(session_id);
            }
            Ok(SessionEvent::Restored) if self.session_id == Some(self.zk.session_id()) => {
                self.step(Event::Reconnected);
            }
            Ok(SessionEvent::Expired) => self.session_expired(),
            Ok(SessionEvent::Lost | SessionEvent::Restored | SessionEvent::Started { .. }) => {}
            // Some were missed: only what holds now counts.
            Err(RecvError::Lagged(_)) => {
                let session_id = self.zk.session_id();
                match self.session_id == Some(session_id) {
                    true => self.step(Event::Reconnected),
                    false => {
                        self.session_expired();
                        self.session_started(session_id);
                    }
                }
            }
            Err(RecvError::Closed) => self.done = true,
        }
    }

    fn session_expired(&mut self) {
        if self.session_id.take().is_some() {
            self.shared.figures.lock().expired_sessions += 1;
            self.shared.wishes.find_no_start();
            self.watches.clear();
            self.step(Event::SessionExpired);
        }
    }

    fn session_started(&mut self, session_id: i64) {
        self.session_id = Some(session_id);
        let consumer_id = self.shared.config.consumer_id.clone().unwrap_or_else(new_consumer_id);
        {
            let mut figures = self.shared.figures.lock();
            figures.consumer_id = None;
            figures.is_planner = false;
        }
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.step(Event::SessionStarted {
            session_id,
            timeout_ms: self.zk.session_timeout().as_millis() as u64,
            consumer_id,
            wall_ms: wall.as_millis() as i64,
        });
    }

    fn send(&mut self, id: RequestId, request: Request) {
        let sent_ms = now_ms();
        if self.session_id != Some(self.zk.session_id()) {
            // A request of the old session is not sent in the new one.
            let expired = std::future::ready((id, 0, Answer { outcome: Err(Failure::Expired), watcher: None }));
            return self.requests.push(Box::pin(expired));
        }
        // A watch may be set in a session beside the member's own, whose answers say nothing of the latter.
        let proves_ms = if request.sets_watch() { 0 } else { sent_ms };
        let zk = self.zk.clone();
        self.requests.push(Box::pin(async move { (id, proves_ms, requests::carry_out(&*zk, request).await) }));
    }

    fn answered(&mut self, request: RequestId, sent_ms: u64, answer: Answer) {
        if let Some((path, children, watcher)) = answer.watcher {
            self.watches.push(Box::pin(async move {
                watcher.await;
                (path, children)
            }));
        }
        self.step(Event::Answered { request, sent_ms, outcome: answer.outcome });
    }

    fn start(&mut self, partition: TopicPartition, stream: usize, offset: i64) -> Option<Arc<Delivery>> {
        let queue = self.shared.queues.get(stream)?.clone();
        let delivery = Arc::new(Delivery::new(partition.clone(), queue, offset, false));
        let before = self.shared.deliveries.lock().insert(partition, delivery.clone());
        if let Some(before) = before {
            before.end();
        }
        Some(delivery)
    }

    fn end(&mut self, partition: &TopicPartition) -> Option<Arc<Delivery>> {
        let delivery = self.shared.deliveries.get(partition)?;
        delivery.end();
        Some(delivery)
    }

    fn told(&mut self, told: Told) {
        match told {
            Told::Gained(deliveries) => {
                // One that has ended was lost meanwhile, or the application has sought.
                for delivery in deliveries.into_iter().filter(|delivery| !delivery.has_ended()) {
                    self.shared.wishes.fetch(delivery);
                }
            }
            Told::Revoked(deliveries) => {
                for delivery in deliveries {
                    let partition = delivery.partition.clone();
                    {
                        let mut current = self.shared.deliveries.lock();
                        match current.get(&partition) {
                            Some(other) if Arc::ptr_eq(other, &delivery) => current.remove(&partition),
                            // Abandoned since.
                            _ => continue,
                        };
                    }
                    self.step(Event::Stopped { partition, position: delivery.report() });
                }
            }
        }
    }

    /// Nobody would give up partitions any more: better others take them.
    fn listener_panicked(&mut self) {
        tracing::error!("the listener for partitions panicked; this consumer leaves its group");
        self.done = true;
    }

    fn positions(&self) -> Vec<(TopicPartition, ottla_classic::Position)> {
        let deliveries = self.shared.deliveries.lock();
        deliveries.iter().map(|(partition, delivery)| (partition.clone(), delivery.report())).collect()
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Commit { done } => {
                let token = self.next_token;
                self.next_token += 1;
                self.commits.insert(token, done);
                self.step(Event::CommitAsked { token });
            }
            Command::Close { done } => {
                self.closing.push(done);
                if self.close_by_ms.is_none() {
                    for delivery in self.shared.deliveries.lock().values() {
                        delivery.end();
                        delivery.consume_all();
                    }
                    self.close_by_ms = Some(now_ms() + self.zk.session_timeout().as_millis() as u64);
                    self.step(Event::CloseAsked { commit: self.shared.config.auto_commit_interval.is_some() });
                }
            }
        }
    }

    fn time_passed(&mut self) {
        if self.close_by_ms.is_some_and(|at| at <= now_ms()) {
            tracing::warn!("ZooKeeper did not take the last commit in time; the session is ended without it");
            self.done = true;
            return;
        }
        self.step(Event::TimePassed);
    }
}
