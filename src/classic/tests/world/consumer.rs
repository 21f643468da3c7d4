//! A process with the real core: the driver's side of its effects, and the application, which takes what it is given.

use std::collections::{BTreeMap, VecDeque};

use ottla_classic::{Effect, Event, Member, Position, Report, Settings};
use ottla_types::{Offset, TopicPartition};
use rand::RngExt;
use rand::seq::SliceRandom;
use zk_schema::consumers::{decode_offset, offset_path};

use super::client::Program;
use super::zookeeper::wall;
use super::{ClientId, GROUP, Happening, World, shown};

/// A partition that is handed out.
pub(crate) struct Held {
    pub(crate) position: Offset,
    pub(crate) stream: usize,
    sought: bool,
    /// Which topic of that name.
    incarnation: u64,
    /// No more of it: the listener is being told, in this call.
    stopping: Option<u64>,
}

pub(crate) struct Consumer {
    core: Member,
    pub(crate) host: String,
    pub(crate) settings: Settings,
    /// In the current session.
    pub(crate) consumer_id: String,
    /// By its own clock.
    lease_ms: Option<u64>,
    pub(crate) held: BTreeMap<TopicPartition, Held>,
    /// The partition of which a record is already between the check of the lease and the application.
    grasped: Option<TopicPartition>,
    /// Commits that are asked for and not answered, with how far partitions were consumed then.
    pub(crate) asked: BTreeMap<u64, Vec<(TopicPartition, Offset)>>,
    pub(crate) closed: bool,
    /// Which topic of a name the partition was last started for.
    incarnations: BTreeMap<TopicPartition, u64>,
    /// Partitions that were stopped or abandoned, and when.
    pub(crate) lost: Vec<(u64, TopicPartition)>,
    /// Records that were handed out although the owner node was no longer its own.
    pub(crate) unowned: u64,
    pub(crate) reports: Vec<(u64, Report)>,
    stops: u64,
    sessions: u32,
}

impl World {
    /// Starts a member.
    pub(crate) fn join(&mut self, host: &str, settings: Settings, session_timeout_ms: u64) -> ClientId {
        let consumer = Consumer {
            core: Member::new(settings.clone()),
            host: host.into(),
            settings,
            consumer_id: String::new(),
            lease_ms: None,
            held: BTreeMap::new(),
            grasped: None,
            asked: BTreeMap::new(),
            closed: false,
            incarnations: BTreeMap::new(),
            lost: vec![],
            unowned: 0,
            reports: vec![],
            stops: 0,
            sessions: 0,
        };
        let id = self.launch(Program::New(Box::new(consumer)), session_timeout_ms);
        self.note(|| format!("{id}: joins"));
        id
    }

    pub(crate) fn consumer(&mut self, id: ClientId) -> &mut Consumer {
        match &mut self.clients[id].program {
            Program::New(consumer) => consumer,
            Program::Old(_) => panic!("process {id} is an old one"),
        }
    }

    pub(super) fn session_began(&mut self, id: ClientId, session_id: i64, timeout_ms: u64) {
        if let Program::New(consumer) = &mut self.clients[id].program {
            consumer.sessions += 1;
            consumer.consumer_id = format!("{}:{id}-{}", consumer.host, consumer.sessions);
            let consumer_id = consumer.consumer_id.clone();
            let wall_ms = wall(self.now);
            self.tell(id, Event::SessionStarted { session_id, timeout_ms, consumer_id, wall_ms });
        } else {
            self.old_session_began(id, session_id);
        }
    }

    pub(super) fn new_deadline(&mut self, id: ClientId) {
        self.tell_new(id, Event::TimePassed);
    }

    pub(super) fn tell_new(&mut self, id: ClientId, event: Event) {
        self.work_off(id, VecDeque::from([event]));
    }

    fn work_off(&mut self, id: ClientId, mut events: VecDeque<Event>) {
        while let Some(event) = events.pop_front() {
            self.note(|| format!("{id}: < {}", shown(&event)));
            let now_ms = self.now + self.clients[id].clock_ms;
            let mut effects = Vec::new();
            self.consumer(id).core.step(now_ms, event, &mut effects);
            self.carry_out(id, effects, &mut events);
            if self.clients[id].gone {
                return;
            }
        }
        let deadline = self.consumer(id).core.next_deadline();
        self.wake_at(id, deadline);
    }

    fn carry_out(&mut self, id: ClientId, mut effects: Vec<Effect>, events: &mut VecDeque<Event>) {
        if self.profile.shuffle {
            self.shuffle_sends(&mut effects);
        }
        for effect in effects {
            self.note(|| format!("{id}: > {}", shown(&effect)));
            match effect {
                Effect::Send { id: call, request } => self.call(id, call, request),
                Effect::Lease { until_ms } => self.consumer(id).lease_ms = until_ms,
                Effect::FindStart { partition } => self.find_start(id, partition),
                Effect::Start { partition, stream, offset } => self.start(id, partition, stream, offset),
                Effect::Stop { partition } => self.stop(id, partition),
                Effect::Abandon { partition } => {
                    let now = self.now;
                    let consumer = self.consumer(id);
                    consumer.lost.push((now, partition.clone()));
                    consumer.held.remove(&partition);
                }
                Effect::CollectPositions => {
                    let held = self.consumer(id).held.iter_mut().filter(|(_, held)| held.stopping.is_none());
                    let positions = held.map(|(partition, held)| (partition.clone(), held.position()));
                    events.push_back(Event::Positions(positions.collect()));
                }
                Effect::Committed { token, outcome } => {
                    let asked = self.consumer(id).asked.remove(&token);
                    let positions = asked.unwrap_or_else(|| panic!("{id}: nobody asked for the commit {token}"));
                    if outcome.is_ok() {
                        self.check_committed(id, positions);
                    }
                }
                Effect::Closed => {
                    self.consumer(id).closed = true;
                    self.check_closed(id);
                    self.leave(id);
                    return;
                }
                Effect::Failed(why) => panic!("{id} failed: {why}"),
                Effect::Report(report) => {
                    let now = self.now;
                    self.consumer(id).reports.push((now, report));
                }
            }
        }
    }

    /// Requests of one step are on their way side by side.
    fn shuffle_sends(&mut self, effects: &mut [Effect]) {
        let places: Vec<usize> =
            (0..effects.len()).filter(|place| matches!(effects[*place], Effect::Send { .. })).collect();
        let mut order = places.clone();
        order.shuffle(&mut self.random);
        let sends: Vec<Effect> = order.into_iter().map(|place| effects[place].clone()).collect();
        for (place, send) in places.into_iter().zip(sends) {
            effects[place] = send;
        }
    }

    /// The partition's first offset, once its leader is found.
    fn find_start(&mut self, id: ClientId, partition: TopicPartition) {
        let delay = self.random.random_range(0..=self.profile.local_ms);
        let ask = move |world: &mut World| match world.topics.end(&partition, world.now) {
            Some(_) => {
                world.after(0, Happening::Tell { client: id, event: Event::StartFound { partition, offset: 0 } })
            }
            None => world.find_start(id, partition),
        };
        // A partition that is not there is asked for again and again.
        self.do_at(self.now + delay.max(1), ask);
    }

    fn start(&mut self, id: ClientId, partition: TopicPartition, stream: usize, offset: Offset) {
        // What it read may be of the topic before, if it was made while the process stood still.
        let topic = self.topics.all.get(&partition.topic).filter(|t| !self.clients[id].was_absent(t.created_ms));
        let incarnation = topic.map_or(0, |topic| topic.incarnation);
        let consumer = self.consumer(id);
        consumer.incarnations.insert(partition.clone(), incarnation);
        let held = Held { position: offset, stream, sought: false, incarnation, stopping: None };
        let before = consumer.held.insert(partition.clone(), held);
        assert!(before.is_none(), "{id}: {partition} is started twice");
    }

    fn stop(&mut self, id: ClientId, partition: TopicPartition) {
        let delay = self.random.random_range(0..=self.profile.local_ms);
        let now = self.now;
        let consumer = self.consumer(id);
        consumer.lost.push((now, partition.clone()));
        consumer.stops += 1;
        let call = consumer.stops;
        let held = consumer.held.get_mut(&partition);
        let held = held.unwrap_or_else(|| panic!("{id}: {partition} is stopped and was not started"));
        assert!(held.stopping.is_none(), "{id}: {partition} is stopped twice");
        held.stopping = Some(call);
        let told = move |world: &mut World| {
            // An abandoned partition has no position.
            let held = world.consumer(id).held.get_mut(&partition);
            if let Some(position) = held.filter(|held| held.stopping == Some(call)).map(Held::position) {
                world.consumer(id).held.remove(&partition);
                world.after(0, Happening::Tell { client: id, event: Event::Stopped { partition, position } });
            }
        };
        self.do_at(now + delay, told);
    }

    /// Until when it may hand out, if it may now.
    pub(crate) fn leased(&self, id: ClientId) -> Option<u64> {
        let client = &self.clients[id];
        let now_ms = self.now + client.clock_ms;
        client.new_program()?.lease_ms.filter(|until| now_ms < *until)
    }

    /// The process is about to stand still, perhaps between the check of the lease and the application.
    pub(super) fn grasp(&mut self, id: ClientId) {
        if self.clients[id].new_program().is_none() || self.leased(id).is_none() {
            return;
        }
        let ready = |(partition, held): (&TopicPartition, &Held)| held.stopping.is_none().then(|| partition.clone());
        let ready: Vec<TopicPartition> = self.consumer(id).held.iter().filter_map(ready).collect();
        if !ready.is_empty() {
            let place = self.random.random_range(0..ready.len());
            self.consumer(id).grasped = Some(ready[place].clone());
        }
    }

    /// The application takes what there is.
    pub(super) fn deliver_new(&mut self, id: ClientId) {
        if let Some(partition) = self.consumer(id).grasped.take() {
            self.hand_out(id, &partition, 1, true);
        }
        if self.leased(id).is_none() {
            return;
        }
        let partitions: Vec<TopicPartition> = self.consumer(id).held.keys().cloned().collect();
        for partition in partitions {
            self.hand_out(id, &partition, self.profile.batch, false);
        }
    }

    fn hand_out(&mut self, id: ClientId, partition: &TopicPartition, most: i64, grasped: bool) {
        let Some((end, incarnation)) = self.topics.end(partition, self.now) else { return };
        let session = self.clients[id].session;
        let Some(held) = self.consumer(id).held.get_mut(partition).filter(|held| held.stopping.is_none()) else {
            return;
        };
        if held.incarnation != incarnation {
            // The leader says so: the position is out of range, or of another topic.
            (held.incarnation, held.position, held.sought) = (incarnation, 0, true);
        }
        let (from, to) = (held.position, end.min(held.position + most));
        if to <= from {
            return;
        }
        held.position = to;
        let floor = self.ledger.floor(partition);
        assert!(from <= floor, "{id} hands out {partition} {from}..{to}: {floor} was skipped");
        let owner = self.owner(partition);
        let robbed = session.is_some_and(|session| self.robbed.contains(&(partition.clone(), session)));
        if owner.is_none() || owner != session {
            assert!(
                grasped || robbed,
                "{id} (0x{:x}) hands out {partition} {from}..{to}, which is owned by 0x{:x}",
                session.unwrap_or(0),
                owner.unwrap_or(0)
            );
            self.consumer(id).unowned += (to - from) as u64;
        }
        self.note(|| format!("{id}: hands out {partition} {from}..{to}"));
        self.ledger.hand_out(self.now, partition, from, to);
    }

    /// Whether a process still works for a topic that was deleted since, or may have read what it left just before.
    pub(super) fn outlived(&self, id: ClientId, partition: &TopicPartition) -> bool {
        let client = &self.clients[id];
        let started = client.new_program().and_then(|consumer| consumer.incarnations.get(partition));
        let Some(topic) = self.topics.all.get(&partition.topic) else { return true };
        started.is_some_and(|started| *started != topic.incarnation) || client.was_absent(topic.created_ms)
    }

    /// What is still owned is committed, unless other hands wrote there.
    fn check_committed(&self, id: ClientId, positions: Vec<(TopicPartition, Offset)>) {
        for (partition, position) in positions {
            let path = offset_path(GROUP, &partition);
            let untouched = !self.ledger.meddled.contains(&partition) && !self.ledger.sought.contains(&partition);
            let owned = self.owner(&partition).is_some_and(|owner| Some(owner) == self.clients[id].session);
            if untouched && owned && !self.outlived(id, &partition) {
                let found = self.zk.node(&path).and_then(|(data, _)| decode_offset(&path, &data).ok());
                assert!(found >= Some(position), "{id} says that {position} is committed, {path} holds {found:?}");
            }
        }
    }

    /// One that closed owns nothing any more; what else it has goes with the session.
    fn check_closed(&self, id: ClientId) {
        let Some(session) = self.clients[id].session else { return };
        let all = self.zk.tree.ephemerals().filter(|(owner, _)| *owner == session).flat_map(|(_, paths)| paths);
        let left: Vec<_> = all.filter(|path| !path.ends_with("/planner")).collect();
        assert!(left.is_empty(), "{id} closed and left {left:?} behind");
    }

    /// The application asks for a commit.
    pub(crate) fn ask_commit(&mut self, id: ClientId, token: u64) {
        let consumer = self.consumer(id);
        let delivered = consumer.held.iter().filter(|(_, held)| held.stopping.is_none());
        let positions = delivered.map(|(partition, held)| (partition.clone(), held.position)).collect();
        consumer.asked.insert(token, positions);
        self.after(0, Happening::Tell { client: id, event: Event::CommitAsked { token } });
    }

    pub(crate) fn close(&mut self, id: ClientId, commit: bool) {
        self.note(|| format!("{id}: is asked to close"));
        self.after(0, Happening::Tell { client: id, event: Event::CloseAsked { commit } });
    }

    /// The application goes back in one of its partitions.
    pub(crate) fn seek_back(&mut self, id: ClientId, by: Offset) {
        let held = self.consumer(id).held.len();
        let place = self.random.random_range(0..held.max(1));
        let Some((partition, held)) = self.consumer(id).held.iter_mut().nth(place) else { return };
        held.position = (held.position - by).max(0);
        held.sought = true;
        let partition = partition.clone();
        self.ledger.sought.insert(partition);
    }
}

impl Held {
    /// As the driver reports it: a seek is told once.
    fn position(&mut self) -> Position {
        Position { offset: self.position, sought: std::mem::take(&mut self.sought) }
    }
}
