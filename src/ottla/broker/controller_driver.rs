//! The controller of this broker at work: stands for election, and while in office carries events into the core and its
//! effects out. What is decided is decided in [`ottla_controller`].
//!
//! A term ends when another controller rules, when the session ends, when a broker leaves too many requests unanswered, or
//! when the broker stops. Nothing of it is left then: its tasks and queues are dropped, and the next term reads everything
//! anew.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ottla_controller::{Controller, Effect, Event, Report, Settings, UncleanElection};
use ottla_types::{BrokerEpoch, BrokerId, ControllerEpoch, ListenerName, TopicName};
use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{error, info, warn};
use zk_schema::{broker_ids, controller};

use super::controller_channel::{Channel, ControlRequests, Request, Transport};
use super::controller_znodes::{Office, PAUSE, fired};
use crate::zk::store_election::{self, Election, FencedError, Leadership};
use crate::zk::znodes::{SessionEvent, Znodes};

/// Events on their way to the core. Whoever has more waits.
const EVENTS: usize = 1_024;

/// How long a broker that stops tries to give the office up; the end of its session does it too.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the operator chose.
#[derive(Debug, Clone)]
pub struct ControllerSettings {
    /// For the core.
    pub core: Settings,
    /// `inter.broker.listener.name`: where brokers reach each other.
    pub inter_broker_listener: ListenerName,
}

/// What the rest of the broker may know of its controller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ControllerStatus {
    /// The epoch of its term, if it is in office (`ActiveControllerCount`).
    pub epoch: Option<ControllerEpoch>,
    /// Partitions without a leader that lives (`OfflinePartitionsCount`); 0 out of office.
    pub offline_partitions: usize,
}

/// A controller at work.
pub struct ControllerHandle {
    stop: watch::Sender<bool>,
    status: watch::Receiver<ControllerStatus>,
    task: JoinHandle<()>,
}

impl ControllerHandle {
    /// What it is now, and a way to wait for changes.
    pub fn status(&self) -> watch::Receiver<ControllerStatus> {
        self.status.clone()
    }

    /// Gives the office up, if it has it, and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(e) = self.task.await {
            error!("the controller ended badly: {e}");
        }
    }
}

/// Why a term ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Deposed,
    SessionOver,
    Stuck,
    Stopped,
}

/// The loop that drives a controller.
pub struct ControllerDriver {
    zk: Arc<dyn Znodes>,
    me: BrokerId,
    settings: ControllerSettings,
    unclean: watch::Receiver<UncleanElection>,
    local: Arc<dyn ControlRequests>,
    status: watch::Sender<ControllerStatus>,
    stop: watch::Receiver<bool>,
    controller: Controller,
    started: Instant,
}

impl ControllerDriver {
    /// Starts the controller of broker `broker_id`. It stands for election whenever the broker is registered in the
    /// present session and nobody holds the office. `unclean` says where unclean leaders are allowed, `local` are this
    /// broker's own handlers.
    pub fn spawn(
        znodes: Arc<dyn Znodes>,
        broker_id: BrokerId,
        settings: ControllerSettings,
        unclean: watch::Receiver<UncleanElection>,
        local: Arc<dyn ControlRequests>,
    ) -> ControllerHandle {
        let (stop, stopped) = watch::channel(false);
        let (status, statuses) = watch::channel(ControllerStatus::default());
        let controller = Controller::new(broker_id, settings.core.clone());
        let driver = ControllerDriver {
            zk: znodes,
            me: broker_id,
            settings,
            unclean,
            local,
            status,
            stop: stopped,
            controller,
            started: Instant::now(),
        };
        ControllerHandle { stop, status: statuses, task: tokio::spawn(driver.run()) }
    }

    async fn run(mut self) {
        let mut stop = self.stop.clone();
        loop {
            let won = tokio::select! {
                won = self.stand() => won,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let session_id = self.zk.session_id();
            info!("this broker is controller in epoch {}", won.epoch);
            let end = self.serve(won, session_id).await;
            info!("this broker is no longer controller in epoch {}: {end:?}", won.epoch);
            self.controller.step(self.now_ms(), Event::Resigned, &mut Vec::new());
            self.status.send_replace(ControllerStatus::default());
            match end {
                End::Stopped => {
                    // The session ends soon, and with it the office.
                    let _ = timeout(FAREWELL, store_election::resign(&*self.zk, won)).await;
                    return;
                }
                End::SessionOver => {}
                End::Deposed | End::Stuck => self.give_up(won, session_id).await,
            }
        }
    }

    /// Waits until this broker holds the office.
    async fn stand(&self) -> Leadership {
        loop {
            let mut session = self.zk.session_events();
            // Registered first, in this very session: a controller that is not among the live brokers would take the
            // leadership from itself.
            match self.zk.exists_and_watch(&broker_ids::path(self.me)).await {
                Ok((Some(stat), _)) if stat.ephemeral_owner == self.zk.session_id() => {}
                Ok((_, watcher)) => {
                    fired(vec![watcher], &mut session).await;
                    continue;
                }
                Err(_) => {
                    sleep(PAUSE).await;
                    continue;
                }
            }
            match store_election::watch_controller(&*self.zk).await {
                Ok((Some(holder), _)) if holder.broker_id == self.me && self.removed_stray().await => continue,
                Ok((Some(_), watcher)) => {
                    fired(vec![watcher], &mut session).await;
                    continue;
                }
                Ok((None, _)) => {}
                Err(e) => {
                    warn!("controller: {e}; tried again");
                    sleep(PAUSE).await;
                    continue;
                }
            }
            match store_election::elect(&*self.zk, self.me, wall_clock_ms()).await {
                Ok(Election::Won(leadership)) => return leadership,
                Ok(Election::Lost(_)) => {}
                Err(e) => warn!("election of a controller: {e}; tried again"),
            }
            sleep(PAUSE).await;
        }
    }

    /// Removes a `/controller` node that this session made in an election whose outcome it never learned.
    async fn removed_stray(&self) -> bool {
        let Ok((_, stat)) = self.zk.get(controller::PATH).await else { return false };
        stat.ephemeral_owner == self.zk.session_id()
            && self.zk.delete(controller::PATH, Some(stat.version)).await.is_ok()
    }

    /// Gives the office up for certain, as long as the session that holds it lives.
    async fn give_up(&self, leadership: Leadership, session_id: i64) {
        while self.zk.session_id() == session_id {
            match store_election::resign(&*self.zk, leadership).await {
                Ok(()) => return,
                Err(e) => warn!("giving up /controller: {e}; tried again"),
            }
            sleep(PAUSE).await;
        }
    }

    /// One term.
    async fn serve(&mut self, leadership: Leadership, session_id: i64) -> End {
        let mut session = self.zk.session_events();
        let (mut unclean, mut stop) = (self.unclean.clone(), self.stop.clone());
        let (sender, mut events) = mpsc::channel(EVENTS);
        let deposed = Arc::new(Notify::new());
        let office = Office { zk: self.zk.clone(), leadership, events: sender, deposed: deposed.clone() };
        let mut term = Term::new(office, self.me, self.settings.clone(), self.local.clone());

        let start = loop {
            tokio::select! {
                started = term.office.clone().start() => match started {
                    Ok(start) => break start,
                    Err(FencedError::ControllerMoved) => return End::Deposed,
                    Err(FencedError::Store(e)) => warn!("the new controller cannot read the cluster: {e}; tried again"),
                },
                () = over(&*self.zk, session_id, &mut session) => return End::SessionOver,
                _ = stop.wait_for(|stop| *stop) => return End::Stopped,
            }
            sleep(PAUSE).await;
        };
        let mut effects = Vec::new();
        let allowed = unclean.borrow_and_update().clone();
        self.controller.step(self.now_ms(), Event::UncleanElectionConfigured(allowed), &mut effects);
        let elected = Event::Elected { epoch: leadership.epoch, cluster: Box::new(start.cluster) };
        self.controller.step(self.now_ms(), elected, &mut effects);
        term.watch(start.topics);

        loop {
            for effect in effects.drain(..) {
                if let ControlFlow::Break(end) = term.perform(effect) {
                    return end;
                }
            }
            self.status.send_if_modified(|status| {
                let offline_partitions = self.controller.offline_partitions();
                let now = ControllerStatus { epoch: self.controller.epoch(), offline_partitions };
                std::mem::replace(status, now) != now
            });
            let deadline =
                self.controller.next_deadline().map(|at| self.started + Duration::from_millis(at.max(0) as u64));
            let event = tokio::select! {
                Some(event) = events.recv() => event,
                () = sleep_until(deadline.unwrap_or(self.started)), if deadline.is_some() => Event::DeadlinePassed,
                Ok(()) = unclean.changed() => Event::UncleanElectionConfigured(unclean.borrow_and_update().clone()),
                () = deposed.notified() => return End::Deposed,
                () = over(&*self.zk, session_id, &mut session) => return End::SessionOver,
                _ = stop.wait_for(|stop| *stop) => return End::Stopped,
            };
            self.controller.step(self.now_ms(), event, &mut effects);
        }
    }

    /// The core's clock: ms since the driver started.
    fn now_ms(&self) -> i64 {
        self.started.elapsed().as_millis() as i64
    }
}

fn wall_clock_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Waits until a session is over.
async fn over(zk: &dyn Znodes, session_id: i64, events: &mut broadcast::Receiver<SessionEvent>) {
    loop {
        match events.recv().await {
            Ok(SessionEvent::Expired) | Err(broadcast::error::RecvError::Closed) => return,
            _ if zk.session_id() != session_id => return,
            _ => {}
        }
    }
}

/// The hands of a term. Dropped, it ends its tasks and queues.
struct Term {
    office: Office,
    me: BrokerId,
    settings: ControllerSettings,
    local: Arc<dyn ControlRequests>,
    channels: BTreeMap<BrokerId, Channel>,
    tasks: JoinSet<()>,
    /// The task that watches each topic.
    topics: BTreeMap<TopicName, AbortHandle>,
}

impl Term {
    fn new(office: Office, me: BrokerId, settings: ControllerSettings, local: Arc<dyn ControlRequests>) -> Term {
        let (channels, topics) = (BTreeMap::new(), BTreeMap::new());
        Term { office, me, settings, local, channels, tasks: JoinSet::new(), topics }
    }

    /// Begins to watch everything. Each watch reads once more, so nothing that changed since the start is missed.
    fn watch(&mut self, topics: Vec<(TopicName, Option<crate::zk::znodes::Watcher>)>) {
        let office = || self.office.clone();
        self.tasks.spawn(office().watch_office(self.me));
        self.tasks.spawn(office().watch_brokers());
        self.tasks.spawn(office().watch_topics());
        self.tasks.spawn(office().watch_topics_to_delete());
        self.tasks.spawn(office().watch_isr_changes());
        self.tasks.spawn(office().watch_preferred_election());
        for (topic, watcher) in topics {
            let task = self.tasks.spawn(self.office.clone().watch_topic(topic.clone(), watcher));
            self.topics.insert(topic, task);
        }
    }

    fn send(&self, broker: BrokerId, request: Request) -> ControlFlow<End> {
        // A broker without a channel was told of when it appeared.
        let Some(channel) = self.channels.get(&broker) else { return ControlFlow::Continue(()) };
        match channel.send(request) {
            Ok(()) => ControlFlow::Continue(()),
            Err(stuck) => {
                error!("{stuck}; the controller starts over");
                ControlFlow::Break(End::Stuck)
            }
        }
    }

    fn open(&mut self, broker: BrokerId, epoch: BrokerEpoch) {
        if broker != self.me {
            error!("broker {broker} is registered too, but brokers do not talk to each other yet: stop it");
            return;
        }
        let transport = Transport::InProcess(self.local.clone());
        let (listener, events) = (self.settings.inter_broker_listener.clone(), self.office.events.clone());
        self.channels.insert(broker, Channel::open(broker, epoch, transport, listener, events));
    }

    fn perform(&mut self, effect: Effect) -> ControlFlow<End> {
        // Those that have ended.
        while self.tasks.try_join_next().is_some() {}
        let office = self.office.clone();
        match effect {
            Effect::AddBroker(broker) => self.open(broker.id, broker.epoch),
            Effect::RemoveBroker(broker) => drop(self.channels.remove(&broker)),
            Effect::SendLeaderAndIsr { broker, request, .. } => {
                return self.send(broker, Request::LeaderAndIsr(request));
            }
            Effect::SendUpdateMetadata { broker, request, .. } => {
                return self.send(broker, Request::UpdateMetadata(request));
            }
            Effect::SendStopReplica { broker, request, .. } => {
                return self.send(broker, Request::StopReplica(request));
            }
            Effect::WritePartitionStates(writes) => drop(self.tasks.spawn(office.write_states(writes))),
            Effect::ReadPartitionStates(names) => drop(self.tasks.spawn(office.read_states(names))),
            Effect::ReadTopic(topic) => {
                let task = self.tasks.spawn(office.watch_topic(topic.clone(), None));
                if let Some(before) = self.topics.insert(topic, task) {
                    before.abort();
                }
                self.topics.retain(|_, task| !task.is_finished());
            }
            Effect::WriteTopicNode { topic, id, assignment, version } => {
                self.tasks.spawn(office.write_topic(topic, id, assignment, version));
            }
            Effect::DeleteTopicNodes(topic) => drop(self.tasks.spawn(office.delete_topic(topic))),
            Effect::RemoveDeleteTopicEntries(topics) => drop(self.tasks.spawn(office.remove_delete_requests(topics))),
            Effect::DeleteIsrNotifications(names) => drop(self.tasks.spawn(office.delete_isr_changes(names))),
            Effect::DeletePreferredElection => drop(self.tasks.spawn(office.delete_preferred_election())),
            Effect::Resign => return ControlFlow::Break(End::Deposed),
            Effect::Report(report @ Report::TopicDeleted { .. }) => info!("{report}"),
            Effect::Report(report) => warn!("{report}"),
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
