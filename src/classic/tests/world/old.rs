//! A member as Kafka 0.8.2.2 has it (`ZookeeperConsumerConnector`): it releases all, computes range by itself, claims, and
//! tries that four times, two seconds apart. Its commits are fenced by nothing, and it goes on reading after its session.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ottla_classic::Event;
use ottla_types::{Offset, TopicName, TopicPartition};
use ottla_znodes::{CreateMode, Failure, Op, Refusal, Reply, Request, RequestId};
use zk_schema::broker_topics::{self, TopicAssignment};
use zk_schema::consumers::{self, Registration, decode_offset, encode_offset, member_path, offset_path, owner_path};

use super::assignment::range;
use super::client::Program;
use super::{ClientId, GROUP, World};

const TRIES: u32 = 4;
const BACKOFF_MS: u64 = 2_000;

type Outcome = Result<Reply, Failure>;

/// What the program and its process share.
#[derive(Default)]
struct Desk {
    now_ms: u64,
    next: RequestId,
    /// Requests that are to be sent.
    out: Vec<(RequestId, Request)>,
    answers: BTreeMap<RequestId, Outcome>,
    session: Option<i64>,
    /// A trigger has fired.
    changed: bool,
    /// The session is another one.
    renewed: bool,
    closing: bool,
    closed: bool,
    wake_ms: Option<u64>,
    fetched: BTreeMap<TopicPartition, Offset>,
}

pub(crate) struct OldConsumer {
    pub(crate) consumer_id: String,
    pub(crate) topics: BTreeMap<TopicName, usize>,
    desk: Rc<RefCell<Desk>>,
    task: Pin<Box<dyn Future<Output = ()>>>,
}

impl OldConsumer {
    /// Where it reads.
    pub(crate) fn fetched(&self) -> BTreeMap<TopicPartition, Offset> {
        self.desk.borrow().fetched.clone()
    }
}

struct Connector {
    desk: Rc<RefCell<Desk>>,
    consumer_id: String,
    topics: BTreeMap<TopicName, usize>,
    /// It creates its registration empty and fills it then, as kafka-node does.
    in_two_steps: bool,
    /// The partitions it believes to own.
    registry: Vec<TopicPartition>,
    committed: BTreeMap<TopicPartition, Offset>,
}

impl Connector {
    /// zkclient's `retryUntilConnected`: a lost answer is asked for again, in the next session if need be.
    async fn call(&self, request: Request) -> Outcome {
        loop {
            let call = {
                let mut desk = self.desk.borrow_mut();
                desk.next += 1;
                let call = desk.next;
                desk.out.push((call, request.clone()));
                call
            };
            let outcome = poll_fn(|_| match self.desk.borrow_mut().answers.remove(&call) {
                Some(outcome) => Poll::Ready(outcome),
                None => Poll::Pending,
            })
            .await;
            match outcome {
                Err(Failure::Unknown | Failure::Expired) => self.sleep(50).await,
                outcome => return outcome,
            }
        }
    }

    async fn sleep(&self, ms: u64) {
        let until = self.desk.borrow().now_ms + ms;
        poll_fn(|_| {
            let mut desk = self.desk.borrow_mut();
            if desk.now_ms >= until {
                return Poll::Ready(());
            }
            desk.wake_ms = Some(until);
            Poll::Pending
        })
        .await;
    }

    async fn write(&self, op: Op) -> Result<(), Failure> {
        self.call(Request::Write(vec![op])).await.map(drop)
    }

    async fn folder(&self, path: &str) {
        let mut end = 0;
        while let Some(slash) = path[end + 1..].find('/') {
            end += slash + 1;
            let op = Op::Create { path: path[..end].into(), data: vec![], mode: CreateMode::Persistent };
            // It is there, mostly.
            let _ = self.write(op).await;
        }
    }

    async fn create_ephemeral(&self, path: &str, data: &[u8]) -> Result<(), Failure> {
        let op = Op::Create { path: path.into(), data: data.into(), mode: CreateMode::Ephemeral };
        let mut outcome = self.write(op.clone()).await;
        if outcome == Err(Failure::Refused { at: 0, why: Refusal::NoNode }) {
            self.folder(path).await;
            outcome = self.write(op).await;
        }
        outcome
    }

    async fn run(mut self) {
        self.register().await;
        let _ = self.call(Request::Children { path: ids(), watch: true }).await;
        let mut changed = true;
        loop {
            if changed {
                self.rebalance().await;
            }
            self.desk.borrow_mut().wake_ms = None;
            poll_fn(|_| {
                let desk = self.desk.borrow();
                if desk.changed || desk.renewed || desk.closing { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            let renewed = std::mem::take(&mut self.desk.borrow_mut().renewed);
            changed = std::mem::take(&mut self.desk.borrow_mut().changed) || renewed;
            if renewed {
                self.registry.clear();
                self.register().await;
            }
            if self.desk.borrow().closing {
                self.commit().await;
                self.desk.borrow_mut().closed = true;
                return;
            }
            let _ = self.call(Request::Children { path: ids(), watch: true }).await;
        }
    }

    async fn register(&self) {
        let registration = Registration {
            subscription: self.topics.iter().map(|(topic, streams)| (topic.to_string(), *streams as i32)).collect(),
            pattern: "static".into(),
            timestamp: Some(1),
            assignor: None,
        };
        let path = member_path(GROUP, &self.consumer_id);
        let data = registration.encode();
        let first: &[u8] = if self.in_two_steps { b"" } else { &data };
        while self.create_ephemeral(&path, first).await.is_err() {
            let own = self.desk.borrow().session;
            if let Ok(Reply::Stat(Some(stat))) = self.call(Request::Exists { path: path.clone(), watch: false }).await
                && Some(stat.ephemeral_owner) == own
            {
                break;
            }
            self.sleep(1_000).await;
        }
        if self.in_two_steps {
            self.sleep(5).await;
            let _ = self.write(Op::Set { path, data, version: None }).await;
        }
    }

    async fn rebalance(&mut self) {
        for _ in 0..TRIES {
            if self.desk.borrow().closing || self.attempt().await.is_some() {
                return;
            }
            self.desk.borrow_mut().fetched.clear();
            self.sleep(BACKOFF_MS).await;
        }
    }

    async fn attempt(&mut self) -> Option<()> {
        // Fetchers are closed first, so that the commit is of what was handed out.
        let stopped = std::mem::take(&mut self.desk.borrow_mut().fetched);
        self.commit_these(&stopped).await;
        for partition in std::mem::take(&mut self.registry) {
            let _ = self.write(Op::Delete { path: owner_path(GROUP, &partition), version: None }).await;
        }
        let mine = self.share().await?;
        let mut offsets = BTreeMap::new();
        for partition in mine.keys() {
            let path = offset_path(GROUP, partition);
            let offset = match self.call(Request::Get { path: path.clone(), watch: false }).await {
                Ok(Reply::Data(data, _)) => decode_offset(&path, &data).ok()?,
                // It asks the leader for the smallest.
                _ => 0,
            };
            offsets.insert(partition.clone(), offset);
        }
        let mut claimed = Vec::new();
        let mut all = true;
        for (partition, thread) in &mine {
            let path = owner_path(GROUP, partition);
            match self.create_ephemeral(&path, thread.as_bytes()).await {
                Ok(()) => claimed.push(partition.clone()),
                Err(_) => match self.call(Request::Get { path, watch: false }).await {
                    Ok(Reply::Data(data, _)) if data == thread.as_bytes() => claimed.push(partition.clone()),
                    _ => all = false,
                },
            }
        }
        if !all {
            for partition in claimed {
                let _ = self.write(Op::Delete { path: owner_path(GROUP, &partition), version: None }).await;
            }
            return None;
        }
        self.registry = mine.into_keys().collect();
        self.committed = offsets.clone();
        self.desk.borrow_mut().fetched = offsets;
        Some(())
    }

    /// Every thread of the group with what it reads, as this member sees them now.
    async fn assignment(&self) -> Option<BTreeMap<TopicPartition, String>> {
        let Ok(Reply::Children(members)) = self.call(Request::Children { path: ids(), watch: true }).await else {
            return None;
        };
        let mut threads: BTreeMap<TopicName, Vec<String>> = BTreeMap::new();
        for member in members {
            let path = member_path(GROUP, &member);
            let Ok(Reply::Data(data, _)) = self.call(Request::Get { path: path.clone(), watch: false }).await else {
                return None;
            };
            // One that cannot be read fails everybody.
            let registration = Registration::decode(&path, &data).ok()?;
            for topic in self.topics.keys() {
                // The only pattern here is one that matches all.
                let wants = |key: &str| registration.pattern == "white_list" || key == topic.as_str();
                let streams = registration.subscription.iter().find(|(key, _)| wants(key)).map_or(0, |(_, n)| *n);
                if streams > 0 {
                    let own = (0..streams).map(|n| format!("{member}-{n}"));
                    threads.entry(topic.clone()).or_default().extend(own);
                }
            }
        }
        let mut partitions = BTreeMap::new();
        for topic in self.topics.keys() {
            let path = broker_topics::path(topic);
            if let Ok(Reply::Data(data, _)) = self.call(Request::Get { path: path.clone(), watch: true }).await {
                let found = TopicAssignment::decode(&path, &data).ok()?;
                partitions.insert(topic.clone(), found.partitions.into_keys().collect());
            }
        }
        Some(range(&threads, &partitions))
    }

    /// Its own partitions with their threads.
    async fn share(&self) -> Option<BTreeMap<TopicPartition, String>> {
        let mine = |thread: &String| thread.rsplit_once('-').is_some_and(|(id, _)| id == self.consumer_id);
        Some(self.assignment().await?.into_iter().filter(|(_, thread)| mine(thread)).collect())
    }

    async fn commit(&mut self) {
        let fetched = self.desk.borrow().fetched.clone();
        self.commit_these(&fetched).await;
    }

    async fn commit_these(&mut self, positions: &BTreeMap<TopicPartition, Offset>) {
        for (partition, position) in positions {
            if self.committed.get(partition) == Some(position) {
                continue;
            }
            let (path, data) = (offset_path(GROUP, partition), encode_offset(*position));
            let set = Op::Set { path: path.clone(), data: data.clone(), version: None };
            if self.write(set).await.is_err() {
                self.folder(&path).await;
                let _ = self.write(Op::Create { path, data, mode: CreateMode::Persistent }).await;
            }
            self.committed.insert(partition.clone(), *position);
        }
    }
}

fn ids() -> String {
    format!("{}/ids", consumers::group_path(GROUP))
}

impl World {
    /// Starts a member of the old kind.
    pub(crate) fn join_old(
        &mut self,
        host: &str,
        topics: BTreeMap<TopicName, usize>,
        in_two_steps: bool,
        session_timeout_ms: u64,
    ) -> ClientId {
        let desk = Rc::new(RefCell::new(Desk::default()));
        let consumer_id = format!("{GROUP}_{host}-{}-{:08x}", self.now, self.clients.len());
        let connector = Connector {
            desk: desk.clone(),
            consumer_id: consumer_id.clone(),
            topics: topics.clone(),
            in_two_steps,
            registry: vec![],
            committed: BTreeMap::new(),
        };
        let task = Box::pin(connector.run());
        let id =
            self.launch(Program::Old(Box::new(OldConsumer { consumer_id, topics, desk, task })), session_timeout_ms);
        self.note(|| format!("{id}: joins, an old one"));
        id
    }

    fn old(&mut self, id: ClientId) -> &mut OldConsumer {
        match &mut self.clients[id].program {
            Program::Old(old) => old,
            Program::New(_) => panic!("process {id} is a new one"),
        }
    }

    pub(super) fn old_session_began(&mut self, id: ClientId, session: i64) {
        {
            let mut desk = self.old(id).desk.borrow_mut();
            desk.renewed = desk.session.is_some();
            desk.session = Some(session);
        }
        self.poll_old(id);
    }

    pub(super) fn tell_old(&mut self, id: ClientId, event: Event) {
        {
            let mut desk = self.old(id).desk.borrow_mut();
            match event {
                Event::Answered { request, outcome, .. } => drop(desk.answers.insert(request, outcome)),
                Event::Changed { .. } | Event::Reconnected => desk.changed = true,
                Event::CloseAsked { .. } => desk.closing = true,
                _ => {}
            }
        }
        self.poll_old(id);
    }

    /// Runs the program as far as it goes.
    pub(super) fn poll_old(&mut self, id: ClientId) {
        let now_ms = self.now + self.clients[id].clock_ms;
        let old = self.old(id);
        old.desk.borrow_mut().now_ms = now_ms;
        if old.desk.borrow().session.is_none() || old.desk.borrow().closed {
            return;
        }
        let _ = old.task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let (out, wake_ms, closed) = {
            let mut desk = old.desk.borrow_mut();
            (std::mem::take(&mut desk.out), desk.wake_ms, desk.closed)
        };
        for (call, request) in out {
            self.call(id, call, request);
        }
        if closed {
            self.leave(id);
        }
        self.wake_at(id, wake_ms.filter(|at| *at > now_ms));
    }

    /// It hands out whatever it fetches, without a look at its session.
    pub(super) fn deliver_old(&mut self, id: ClientId) {
        for (partition, from) in self.old(id).fetched() {
            let Some((end, _)) = self.topics.end(&partition, self.now) else { continue };
            // It believes any offset that it finds, be it of a topic that is gone.
            self.ledger.excuse(&partition, from.min(end));
            let to = end.min(from + self.profile.batch);
            // Out of range: from the smallest again.
            let (from, to) = if from > end { (0, 0) } else { (from, to) };
            self.old(id).desk.borrow_mut().fetched.insert(partition.clone(), to.max(from));
            if to > from {
                self.ledger.hand_out(self.now, &partition, from, to);
            }
        }
    }
}
