//! The partitions of one member: what the plan gives to it, and how far each is on its way.
//!
//! Nothing here reacts to an edge. Each event marks the partitions that it concerns, and [`Claims::settle`] compares for
//! each of them what is with what the plan says, and asks for the one next thing. Writes gather while one of their kind is
//! under way, so that a burst of small events costs few requests.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{Offset, PartitionIndex, TopicName, TopicPartition};
use zk_schema::{ConsumerPlan, broker_topics};

use crate::batch::{Batch, Item, Kind, MAX_PARTITIONS, OffsetOp};
use crate::claim::{Claim, Held, Stage, Start, Verdict};
use crate::commits::Commits;
use crate::effect::{CommitError, Effect, Report};
use crate::event::Position;
use crate::folders::{Folders, parent};
use crate::identity::Identity;
use crate::registration::OwnRegistration;
use crate::requests::{Ask, Step};
use ottla_znodes::Request;
use ottla_znodes::Watched;

/// When the topic was created, to tell an offset of its namesake before.
#[derive(Debug, Default)]
pub(crate) struct TopicAge {
    pub(crate) node: Watched,
    /// It is not there: looked at with a watch, since the next look is worth something only when it is made.
    pub(crate) missing: bool,
    pub(crate) czxid: i64,
}

/// All partitions that this member is to have or still has.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// What the plan gives to this member, with the stream.
    wanted: BTreeMap<TopicPartition, usize>,
    /// The member leaves; whether it commits.
    leaving: Option<bool>,
    pub(crate) states: BTreeMap<TopicPartition, Claim>,
    /// To be compared with the plan.
    pub(crate) touched: BTreeSet<TopicPartition>,
    /// Not yet as the plan says.
    unsettled: BTreeSet<TopicPartition>,
    /// What goes into the next write of each kind.
    ready: [BTreeMap<TopicPartition, Item>; 4],
    /// Writes of each kind under way.
    pub(crate) flights: [usize; 4],
    /// Claims in a row that met an owner: after a few it is cheaper to look first.
    pub(crate) conflicts: u32,
    /// A claim's answer was lost: an owner node of ours may appear when it is not wanted any more.
    pub(crate) uncertain: BTreeSet<TopicPartition>,
    /// ZooKeeper refused something about it for good; when to try again.
    pauses: BTreeMap<TopicPartition, u64>,
    /// When to look at a partition though nothing happened.
    timers: BTreeSet<(u64, TopicPartition)>,
    /// What was reported once.
    complained: BTreeSet<TopicPartition>,
    pub(crate) ages: BTreeMap<TopicName, TopicAge>,
    last_epoch: u64,
}

/// What claims lean on.
pub(crate) struct Ground<'a> {
    pub(crate) me: &'a Identity,
    pub(crate) registration: &'a mut OwnRegistration,
    pub(crate) folders: &'a mut Folders,
    pub(crate) commits: &'a mut Commits,
}

impl Claims {
    pub(crate) fn next_epoch(&mut self) -> u64 {
        self.last_epoch += 1;
        self.last_epoch
    }

    /// A new plan, after `old`. `allowed`: the streams that this member has for each topic, since a plan may be anybody's.
    pub(crate) fn follow(
        &mut self,
        me: &Identity,
        allowed: &BTreeMap<TopicName, usize>,
        old: Option<&ConsumerPlan>,
        new: &ConsumerPlan,
    ) {
        if self.leaving.is_some() {
            return;
        }
        let streams = |(partition, thread): (&TopicPartition, &String)| {
            let stream = me.stream(thread).filter(|stream| Some(stream) < allowed.get(&partition.topic))?;
            Some((partition.clone(), stream))
        };
        let wanted: BTreeMap<_, _> = new.streams.iter().filter_map(streams).collect();
        let living: BTreeSet<&String> = new.streams.values().collect();
        for (partition, stream) in &wanted {
            if self.wanted.get(partition) == Some(stream) {
                continue;
            }
            self.touched.insert(partition.clone());
            if !self.states.contains_key(partition) {
                // Another thread that lives is giving it up: its owner node is watched. Whoever is gone took it along.
                let before = old.and_then(|plan| plan.streams.get(partition));
                let handed_over = before.is_some_and(|thread| living.contains(thread) && me.stream(thread).is_none());
                let claim = match handed_over {
                    true => Claim::Looking { epoch: self.next_epoch(), node: Watched::Unread },
                    false => Claim::Free,
                };
                self.states.insert(partition.clone(), claim);
            }
        }
        let gone = self.wanted.keys().filter(|partition| !wanted.contains_key(*partition));
        self.touched.extend(gone.cloned());
        self.wanted = wanted;
    }

    /// The member leaves: everything is given back.
    pub(crate) fn leave(&mut self, commit: bool) {
        self.leaving = Some(commit);
        self.wanted.clear();
        self.touched.extend(self.states.keys().cloned());
    }

    /// Whether nothing is held or under way any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Whether everything is as the plan says, and how much that is.
    pub(crate) fn settled(&self) -> Option<usize> {
        (self.unsettled.is_empty() && self.touched.is_empty()).then_some(self.wanted.len())
    }

    /// Whether any partition is delivered.
    pub(crate) fn is_delivering(&self) -> bool {
        self.states.values().any(|claim| matches!(claim, Claim::Held(held) if held.is_delivered()))
    }

    pub(crate) fn wanted_stream(&self, partition: &TopicPartition) -> Option<usize> {
        self.wanted.get(partition).copied()
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The partitions of a topic that are not yet delivered.
    pub(crate) fn touch_topic(&mut self, topic: &TopicName) {
        let range = TopicPartition::new(topic.clone(), 0)..=TopicPartition::new(topic.clone(), PartitionIndex::MAX);
        self.touched.extend(self.states.range(range).map(|(partition, _)| partition.clone()));
    }

    /// The session ended, or the registration was removed: nothing is ours for the group any more.
    pub(crate) fn abandon_all(&mut self, out: &mut Vec<Effect>, commits: &mut Commits) {
        let keys: Vec<TopicPartition> = self.states.keys().cloned().collect();
        for partition in keys {
            let Some(Claim::Held(held)) = self.states.get(&partition) else { continue };
            if held.is_delivered() {
                out.push(Effect::Abandon { partition: partition.clone() });
            }
            commits.lost(&partition);
            // If the session lives, the owner node is there still, and is taken over or deleted.
            let claim = Claim::Looking { epoch: self.next_epoch(), node: Watched::Unread };
            self.states.insert(partition.clone(), claim);
            self.touched.insert(partition);
        }
    }

    /// Watches may have fired unseen.
    pub(crate) fn reconnected(&mut self) {
        let keys: Vec<TopicPartition> = self.states.keys().chain(&self.uncertain).cloned().collect();
        for partition in keys {
            let epoch = self.next_epoch();
            let looking = Claim::Looking { epoch, node: Watched::Unread };
            match self.states.get_mut(&partition) {
                None => drop(self.states.insert(partition.clone(), looking)),
                Some(claim @ Claim::Blocked { .. }) => *claim = looking,
                Some(Claim::Looking { node, .. }) => node.changed(),
                Some(Claim::Held(held)) => {
                    held.owner.changed();
                    if held.offset.is_some_and(|offset| offset.watched) {
                        held.offset_read.changed();
                    }
                }
                Some(Claim::Free | Claim::Claiming { .. }) => {}
            }
            self.touched.insert(partition);
        }
        self.ages.values_mut().filter(|age| age.missing).for_each(|age| age.node.changed());
    }

    /// ZooKeeper refused something about this partition: it is left alone for one session timeout. Who leaves lets go of it:
    /// the end of the session removes what is left.
    pub(crate) fn pause(
        &mut self,
        step: &mut Step<'_>,
        ground: &mut Ground<'_>,
        partition: &TopicPartition,
        path: String,
        code: i32,
    ) {
        let error = CommitError::Refused { path: path.clone(), code };
        ground.commits.finish(partition, u64::MAX, Err(error));
        self.complain(step, partition, path, format!("ZooKeeper refused with error {code}"));
        let stopped = |claim: &Claim| !matches!(claim, Claim::Held(held) if held.is_delivered());
        if self.leaving.is_some() && self.states.get(partition).is_some_and(stopped) {
            self.states.remove(partition);
        }
        self.pauses.insert(partition.clone(), step.now_ms.saturating_add(ground.me.timeout_ms.max(1)));
        self.touched.insert(partition.clone());
    }

    pub(crate) fn complain(&mut self, step: &mut Step<'_>, partition: &TopicPartition, path: String, problem: String) {
        if self.complained.insert(partition.clone()) {
            step.report(Report::Unreadable { path, problem });
        }
    }

    /// Compares what is with what the plan says, and asks for what is next.
    pub(crate) fn settle(&mut self, step: &mut Step<'_>, ground: &mut Ground<'_>) {
        while let Some((at, partition)) = self.timers.first().cloned() {
            if at > step.now_ms {
                break;
            }
            self.timers.remove(&(at, partition.clone()));
            self.touched.insert(partition);
        }
        while let Some(partition) = self.touched.pop_first() {
            for ready in &mut self.ready {
                ready.remove(&partition);
            }
            let claim = self.states.remove(&partition);
            let claim = self.settle_one(step, ground, &partition, claim);
            let stream = self.wanted.get(&partition);
            let as_planned = match &claim {
                None => stream.is_none(),
                Some(Claim::Held(held)) => held.stage == Stage::Delivering && stream == Some(&held.stream),
                Some(_) => false,
            };
            match as_planned {
                true => self.unsettled.remove(&partition),
                false => self.unsettled.insert(partition.clone()),
            };
            match claim {
                Some(claim) => drop(self.states.insert(partition, claim)),
                None => drop(self.complained.remove(&partition)),
            }
        }
        self.flush(step, ground);
    }

    fn settle_one(
        &mut self,
        step: &mut Step<'_>,
        ground: &mut Ground<'_>,
        partition: &TopicPartition,
        claim: Option<Claim>,
    ) -> Option<Claim> {
        let me = ground.me;
        let stream = self.wanted.get(partition).copied();
        let paused = self.pauses.get(partition).copied().filter(|until| *until > step.now_ms);
        match paused {
            Some(until) => drop(self.timers.insert((until, partition.clone()))),
            None => drop(self.pauses.remove(partition)),
        }
        match claim {
            None | Some(Claim::Free) => {
                let stream = stream?;
                if paused.is_none() {
                    let item = Item {
                        partition: partition.clone(),
                        epoch: self.next_epoch(),
                        stream,
                        owner_version: 0,
                        offset: None,
                        serial: 0,
                    };
                    self.ready[Kind::Claim as usize].insert(partition.clone(), item);
                }
                Some(Claim::Free)
            }
            Some(Claim::Looking { epoch, mut node }) => {
                if paused.is_none() && node.take_due() {
                    let (path, watch) = (me.owner_path(partition), true);
                    // Only Exists leaves a watch on what is not there, which a lost claim may still bring about.
                    let request = match self.uncertain.contains(partition) {
                        true => Request::Exists { path, watch },
                        false => Request::Get { path, watch },
                    };
                    step.send(Ask::Owner { partition: partition.clone(), epoch }, request);
                }
                Some(Claim::Looking { epoch, node })
            }
            Some(Claim::Blocked { since_ms, owner, data }) => {
                stream?;
                let late_ms = since_ms.saturating_add(me.timeout_ms.max(1));
                if step.now_ms < late_ms {
                    self.timers.insert((late_ms, partition.clone()));
                } else if self.complained.insert(partition.clone()) {
                    let (partition, data) = (partition.clone(), data.clone());
                    step.report(Report::WaitingForOwner { partition, owner, data });
                }
                Some(Claim::Blocked { since_ms, owner, data })
            }
            Some(claim @ Claim::Claiming { .. }) => Some(claim),
            Some(Claim::Held(mut held)) => {
                self.settle_held(step, ground, partition, &mut held, paused.is_some());
                Some(Claim::Held(held))
            }
        }
    }

    fn settle_held(
        &mut self,
        step: &mut Step<'_>,
        ground: &mut Ground<'_>,
        partition: &TopicPartition,
        held: &mut Held,
        paused: bool,
    ) {
        let me = ground.me;
        if self.wanted.get(partition) != Some(&held.stream) {
            match held.stage {
                Stage::Fencing(_) | Stage::Fenced(_) => held.stage = Stage::Leaving(None),
                Stage::Delivering => {
                    held.stage = Stage::Stopping;
                    step.out.push(Effect::Stop { partition: partition.clone() });
                }
                Stage::Stopping | Stage::Leaving(_) => {}
            }
        }
        if paused {
            return;
        }
        // Deleted by ourselves, as the answer will say; if it does not, that counts which is read then.
        let deleting = held.writing && matches!(held.stage, Stage::Leaving(_));
        if !deleting && held.owner.take_due() {
            let path = me.owner_path(partition);
            let ask = Ask::OwnOwner { partition: partition.clone(), epoch: held.epoch };
            step.send(ask, Request::Exists { path, watch: true });
        }
        let needs_offset = !matches!(held.stage, Stage::Fenced(_) | Stage::Leaving(None));
        if !held.writing && needs_offset && held.offset_read.take_due() {
            // The first look is without a watch, or each commit would fire one.
            let watch = held.offset.is_some_and(|offset| offset.value.is_none());
            let ask = Ask::Offset { partition: partition.clone(), epoch: held.epoch };
            step.send(ask, Request::Get { path: me.offset_path(partition), watch });
        }
        if let Stage::Fencing(_) = held.stage {
            self.look_at_age(step, &partition.topic);
        }
        if held.writing || !held.owner.is_fresh() {
            return;
        }
        match held.stage {
            Stage::Fencing(start) => self.fence(step, me, partition, held, start),
            Stage::Fenced(offset) => {
                let (partition, stream) = (partition.clone(), held.stream);
                self.complained.remove(&partition);
                step.out.push(Effect::Start { partition, stream, offset });
                held.stage = Stage::Delivering;
            }
            Stage::Delivering | Stage::Stopping => {
                let Some((position, serial)) = held.wish.filter(|_| held.offset_read.is_fresh()) else { return };
                if let Some(op) = self.judge(ground, partition, held, position, serial) {
                    self.make_ready(Kind::Commit, partition, held, Some(op), serial);
                } else {
                    held.wish = None;
                }
            }
            Stage::Leaving(None) => self.make_ready(Kind::Release, partition, held, None, 0),
            Stage::Leaving(Some(position)) if held.offset_read.is_fresh() => {
                let write = self.judge(ground, partition, held, position, u64::MAX);
                let op = write.or(held.offset.map(|offset| OffsetOp::Check(offset.version)));
                self.make_ready(Kind::Release, partition, held, op, u64::MAX);
            }
            Stage::Leaving(Some(_)) => {}
        }
    }

    /// What to write for a position; if nothing, those who wait for it are told.
    fn judge(
        &mut self,
        ground: &mut Ground<'_>,
        partition: &TopicPartition,
        held: &Held,
        position: Position,
        serial: u64,
    ) -> Option<OffsetOp> {
        match held.verdict(position) {
            Verdict::Write(op) => return Some(op),
            Verdict::Nothing => ground.commits.finish(partition, serial, Ok(())),
            Verdict::Overtaken(found) => {
                let path = ground.me.offset_path(partition);
                let error = CommitError::Overtaken { path, found, ours: position.offset };
                ground.commits.finish(partition, serial, Err(error));
            }
        }
        None
    }

    fn look_at_age(&mut self, step: &mut Step<'_>, topic: &TopicName) {
        let age = self.ages.entry(topic.clone()).or_default();
        if age.node.take_due() {
            let request = Request::Exists { path: broker_topics::path(topic), watch: age.missing };
            step.send(Ask::TopicAge(topic.clone()), request);
        }
    }

    /// Everything is read: writes the offset back, or one that is found for a partition that has none.
    fn fence(&mut self, step: &mut Step<'_>, me: &Identity, partition: &TopicPartition, held: &mut Held, start: Start) {
        let age = self.ages.get(&partition.topic).filter(|age| age.node.is_fresh() && !age.missing);
        let Some(created) = age.map(|age| age.czxid).filter(|_| held.offset_read.is_fresh()) else { return };
        let stale = held.offset.is_some_and(|offset| offset.mzxid < created);
        let known = held.offset.filter(|_| !stale);
        let begin: Offset = match (known, start) {
            (Some(node), _) => match node.value {
                Some(value) => value,
                None if node.watched => return,
                None => {
                    held.offset_read.failed();
                    self.touched.insert(partition.clone());
                    return;
                }
            },
            (None, Start::Found(offset)) => offset,
            (None, Start::Asked) => return,
            (None, Start::NotAsked) => {
                if stale {
                    step.report(Report::StaleOffset { path: me.offset_path(partition) });
                }
                step.out.push(Effect::FindStart { partition: partition.clone() });
                held.stage = Stage::Fencing(Start::Asked);
                return;
            }
        };
        let op = held.offset.map_or(OffsetOp::Create(begin), |offset| OffsetOp::Set(begin, offset.version));
        self.make_ready(Kind::Fence, partition, held, Some(op), 0);
    }

    fn make_ready(&mut self, kind: Kind, partition: &TopicPartition, held: &Held, op: Option<OffsetOp>, serial: u64) {
        let item = Item {
            partition: partition.clone(),
            epoch: held.epoch,
            stream: held.stream,
            owner_version: held.owner_version,
            offset: op,
            serial,
        };
        self.ready[kind as usize].insert(partition.clone(), item);
    }

    /// Sends what is ready: at once if no write of that kind is under way, else full ones only.
    fn flush(&mut self, step: &mut Step<'_>, ground: &mut Ground<'_>) {
        for kind in Kind::ALL {
            let check = ground.registration.version();
            // Who leaves without being registered has but to delete what is left.
            let only_deletes = kind == Kind::Release && self.leaving.is_some() && ground.registration.is_absent();
            let together = kind == Kind::Release && self.leaving.is_some() && self.is_stopping();
            if (check.is_none() && !only_deletes) || together {
                continue;
            }
            let idle = self.flights[kind as usize] == 0;
            loop {
                let folder_is_there = |item: &&Item| match (kind, item.offset) {
                    (Kind::Claim, _) => !ground.folders.is_missing(parent(&ground.me.owner_path(&item.partition))),
                    (_, Some(OffsetOp::Create(_))) => {
                        !ground.folders.is_missing(parent(&ground.me.offset_path(&item.partition)))
                    }
                    _ => true,
                };
                let ready = &mut self.ready[kind as usize];
                let items: Vec<Item> = ready.values().filter(folder_is_there).take(MAX_PARTITIONS).cloned().collect();
                if items.is_empty() || (!idle && items.len() < MAX_PARTITIONS) {
                    break;
                }
                for item in &items {
                    ready.remove(&item.partition);
                    match self.states.get_mut(&item.partition) {
                        Some(Claim::Held(held)) => held.writing = true,
                        Some(claim) => *claim = Claim::Claiming { epoch: item.epoch },
                        None => {}
                    }
                }
                let (batch, ops) = Batch::new(kind, items, ground.me, check);
                step.send(Ask::Batch(batch), Request::Write(ops));
                self.flights[kind as usize] += 1;
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.states.values().any(|claim| matches!(claim, Claim::Held(held) if held.stage == Stage::Stopping))
    }

    /// Delivery has stopped. `planned`: whether the plan gives the partition to anybody.
    pub(crate) fn stopped(&mut self, partition: &TopicPartition, mut position: Position, planned: bool) {
        let Some(Claim::Held(held)) = self.states.get_mut(partition) else { return };
        if held.stage != Stage::Stopping {
            return;
        }
        position.sought |= held.sought();
        // A partition that left the plan while we still want it was deleted, and its topic perhaps made again with fewer: the
        // position says nothing about its next namesake.
        let commits = self.leaving.unwrap_or(planned);
        held.stage = Stage::Leaving(commits.then_some(position));
        held.wish = None;
        self.touched.insert(partition.clone());
    }

    /// Where a partition without an offset begins.
    pub(crate) fn start_found(&mut self, partition: &TopicPartition, offset: Offset) {
        if let Some(Claim::Held(held)) = self.states.get_mut(partition)
            && held.stage == Stage::Fencing(Start::Asked)
        {
            held.stage = Stage::Fencing(Start::Found(offset));
            self.touched.insert(partition.clone());
        }
    }

    /// Positions of what is delivered, for this round.
    pub(crate) fn positions(&mut self, serial: u64, positions: Vec<(TopicPartition, Position)>, commits: &mut Commits) {
        for (partition, position) in positions {
            match self.states.get_mut(&partition) {
                Some(Claim::Held(held)) if held.stage == Stage::Delivering || held.stage == Stage::Stopping => {
                    held.wish(position, serial);
                    commits.await_partition(serial, &partition);
                    self.touched.insert(partition);
                }
                Some(Claim::Held(Held { stage: Stage::Leaving(Some(_)), .. })) => {}
                _ => commits.fail(serial, CommitError::NotOwner(partition)),
            }
        }
        // What is being given back is ours still, and is committed with its release.
        for (partition, claim) in &self.states {
            if matches!(claim, Claim::Held(Held { stage: Stage::Stopping | Stage::Leaving(Some(_)), .. })) {
                commits.await_partition(serial, partition);
            }
        }
    }
}
