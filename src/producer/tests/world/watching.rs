//! The real view, its session with ZooKeeper, a connection that may break, and what the client library does about it: reads
//! are asked again, calls that wait too long have unknown outcomes.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{TopicName, TopicPartition};
use ottla_view::{Change, Cluster, Effect, Event, Settings, Topic, View};
use ottla_znodes::wire::Fired;
use ottla_znodes::{Failure, Op, Reply, Request, RequestId};
use rand::RngExt;

use super::{World, shown};

/// How often a read whose answer was lost is asked.
const READ_ATTEMPTS: u32 = 3;
pub(crate) const SESSION_TIMEOUT_MS: u64 = 3_000;

pub(crate) struct Watching {
    pub(crate) view: View,
    /// What all changes give together.
    pub(crate) told: Cluster,
    /// When each topic was told to exist, the first time and each time after it was told to be missing.
    pub(crate) appeared: BTreeMap<TopicName, Vec<u64>>,
    session: Option<i64>,
    connected: bool,
    /// Counts connections: what belongs to an earlier one is lost.
    link: u64,
    /// When the last packet of each direction arrives: they do not overtake each other.
    outward_ms: u64,
    inward_ms: u64,
    calls: BTreeMap<RequestId, (Request, u32)>,
    watches: BTreeSet<(String, bool)>,
    alarm: Option<u64>,
    /// Requests in all.
    pub(crate) asked: u64,
}

impl Watching {
    pub(crate) fn new() -> Watching {
        Watching {
            view: View::new(Settings::default()),
            told: Cluster::default(),
            appeared: BTreeMap::new(),
            session: None,
            connected: false,
            link: 0,
            outward_ms: 0,
            inward_ms: 0,
            calls: BTreeMap::new(),
            watches: BTreeSet::new(),
            alarm: None,
            asked: 0,
        }
    }
}

impl World {
    /// Something happened to the view.
    pub(crate) fn tell_view(&mut self, event: Event) {
        self.note(|| format!("view <- {}", shown(&event)));
        let mut out = vec![];
        self.watching.view.step(self.now, event, &mut out);
        for effect in out {
            self.note(|| format!("view -> {}", shown(&effect)));
            match effect {
                Effect::Send { id, request } => self.call(id, request),
                Effect::Changed(change) => self.changed(change),
                Effect::Report(_) => {}
            }
        }
        let deadline = self.watching.view.next_deadline();
        if deadline != self.watching.alarm {
            self.watching.alarm = deadline;
            if let Some(at) = deadline {
                self.at(at, move |world| world.view_alarm(at));
            }
        }
    }

    fn view_alarm(&mut self, at: u64) {
        if self.watching.alarm == Some(at) {
            self.watching.alarm = None;
            self.tell_view(Event::TimePassed);
            let next = self.watching.view.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "the view waits for what has passed: {next:?}");
        }
    }

    pub(super) fn changed(&mut self, change: Change) {
        if let Change::Topic { name, topic: Topic::Partitions(_) } = &change
            && !matches!(self.watching.told.topics.get(name), Some(Topic::Partitions(_)))
        {
            self.watching.appeared.entry(name.clone()).or_default().push(self.now);
        }
        self.watching.told.apply(&change);
        self.tell(ottla_producer::Event::View(change));
    }

    /// Somebody sends to a topic.
    pub(crate) fn use_topic(&mut self, topic: &TopicName) {
        match self.profile.metadata {
            true => self.ask_metadata_soon(),
            false => self.tell_view(Event::TopicUsed(topic.clone())),
        }
    }

    /// A broker denies what is known.
    pub(crate) fn doubt(&mut self, partition: TopicPartition) {
        match self.profile.metadata {
            true => self.ask_metadata_soon(),
            false => self.tell_view(Event::Doubted(partition)),
        }
    }

    fn call(&mut self, call: RequestId, request: Request) {
        self.watching.asked += 1;
        let earlier = self.watching.calls.insert(call, (request, 0));
        assert_eq!(earlier, None, "two requests of one number");
        if self.watching.session.is_none() {
            self.fail_soon(call, Failure::Expired);
        } else if self.watching.connected {
            self.transmit(call);
        } else {
            self.after(SESSION_TIMEOUT_MS, move |world| world.give_up(call));
        }
    }

    fn transmit(&mut self, call: RequestId) {
        let leg = self.leg();
        let watching = &mut self.watching;
        let Some((request, attempts)) = watching.calls.get_mut(&call) else { return };
        *attempts += 1;
        let request = request.clone();
        watching.outward_ms = watching.outward_ms.max(self.now + leg);
        let (at, link) = (watching.outward_ms, watching.link);
        self.at(at, move |world| world.arrive(link, call, request));
    }

    /// A request reaches the server.
    fn arrive(&mut self, link: u64, call: RequestId, request: Request) {
        let Some(session) = self.watching.session.filter(|_| self.watching.connected && self.watching.link == link)
        else {
            return;
        };
        if matches!(request, Request::Sync { .. }) {
            self.catch_up(true);
        }
        let (outcome, fired) = self.zk.perform(self.now, session, &request);
        self.publish(fired);
        let Some(outcome) = outcome else { return };
        let watched = match (&request, &outcome) {
            (Request::Exists { path, watch: true } | Request::Get { path, watch: true }, Ok(_)) => Some((path, false)),
            (Request::Children { path, watch: true }, Ok(_)) => Some((path, true)),
            _ => None,
        };
        let watched = watched.map(|(path, children)| (path.clone(), children));
        self.watching.watches.extend(watched);
        let at = self.inward();
        self.at(at, move |world| {
            if world.watching.link == link && world.watching.connected {
                world.complete(call, outcome);
            }
        });
    }

    fn inward(&mut self) -> u64 {
        let leg = self.leg();
        self.watching.inward_ms = self.watching.inward_ms.max(self.now + leg);
        self.watching.inward_ms
    }

    /// Somebody writes; the server sees it, and so do those who watch, now or a little later.
    pub(crate) fn zk_write(&mut self, session: i64, op: Op) {
        let lag = self.zk_lag();
        self.zk.write(self.now, lag, session, op);
        self.catch_up(false);
    }

    pub(crate) fn zk_lag(&mut self) -> u64 {
        self.between((0, self.profile.zk_lag_ms))
    }

    pub(crate) fn catch_up(&mut self, everything: bool) {
        let fired = self.zk.catch_up(self.now, everything);
        self.publish(fired);
        if let Some(at) = self.zk.next_due() {
            self.at(at, |world| world.catch_up(false));
        }
    }

    fn publish(&mut self, fired: Vec<Fired>) {
        for (session, path, fires) in fired {
            if !self.watching.connected || self.watching.session != Some(session) {
                continue;
            }
            for children in [false, true] {
                if fires.concerns(children) && self.watching.watches.remove(&(path.clone(), children)) {
                    let late = self.between((0, self.profile.watch_late_ms));
                    let (at, link, path) = (self.inward() + late, self.watching.link, path.clone());
                    self.at(at, move |world| {
                        if world.watching.link == link && world.watching.connected {
                            world.tell_view(Event::Changed { path, children });
                        }
                    });
                }
            }
        }
    }

    fn complete(&mut self, call: RequestId, outcome: Result<Reply, Failure>) {
        if self.watching.calls.remove(&call).is_some() {
            self.tell_view(Event::Answered { request: call, outcome });
        }
    }

    fn fail_soon(&mut self, call: RequestId, failure: Failure) {
        let delay = self.random.random_range(0..10);
        self.after(delay, move |world| world.complete(call, Err(failure)));
    }

    fn give_up(&mut self, call: RequestId) {
        // One that was sent meanwhile is answered, or lost with its connection.
        if !self.watching.connected {
            self.complete(call, Err(Failure::Unknown));
        }
    }

    /// The connection to ZooKeeper breaks, for so long.
    pub(crate) fn lose_zookeeper(&mut self, away_ms: u64) {
        if !self.watching.connected {
            return;
        }
        self.note(|| format!("zookeeper's connection is lost for {away_ms} ms"));
        let watching = &mut self.watching;
        watching.connected = false;
        watching.watches.clear();
        let Some(session) = watching.session else { return };
        self.zk.tree.disconnect(session);
        let calls: Vec<(RequestId, u32)> =
            watching.calls.iter().map(|(call, (_, attempts))| (*call, *attempts)).collect();
        for (call, attempts) in calls {
            match attempts >= READ_ATTEMPTS {
                true => self.fail_soon(call, Failure::Unknown),
                false => self.after(SESSION_TIMEOUT_MS, move |world| world.give_up(call)),
            }
        }
        let link = self.watching.link;
        self.after(SESSION_TIMEOUT_MS, move |world| {
            if world.watching.link == link && !world.watching.connected {
                world.zk.end(world.now, 0, session);
                world.catch_up(true);
            }
        });
        self.after(away_ms, World::reconnect_zookeeper);
    }

    /// A server takes the session back, or refuses it; without a session one begins.
    pub(crate) fn reconnect_zookeeper(&mut self) {
        if self.watching.connected {
            return;
        }
        match self.watching.session {
            Some(session) if self.zk.lives(session) => {
                self.zk.tree.connect(session, "127.0.0.1");
                self.link_up();
                let calls: Vec<RequestId> = self.watching.calls.keys().copied().collect();
                self.tell_view(Event::Reconnected);
                calls.into_iter().for_each(|call| self.transmit(call));
            }
            Some(_) => {
                self.tried.insert("a session expired");
                self.watching.session = None;
                let calls: Vec<RequestId> = self.watching.calls.keys().copied().collect();
                for call in calls {
                    match self.random.random_range(0..2) {
                        0 => self.complete(call, Err(Failure::Expired)),
                        _ => self.fail_soon(call, Failure::Expired),
                    }
                }
                self.tell_view(Event::SessionExpired);
                let delay = self.random.random_range(0..20);
                self.after(delay, World::reconnect_zookeeper);
            }
            None => {
                let session = self.zk.begin(self.now, 0);
                self.catch_up(true);
                self.watching.session = Some(session);
                self.link_up();
                self.tell_view(Event::SessionStarted);
            }
        }
    }

    fn link_up(&mut self) {
        let watching = &mut self.watching;
        watching.link += 1;
        watching.connected = true;
        watching.outward_ms = self.now;
        watching.inward_ms = self.now;
    }
}
