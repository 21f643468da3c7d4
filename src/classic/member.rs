//! A member as a value: one event in, effects out.

use std::collections::BTreeMap;

use ottla_assignor::Topics;
use ottla_types::TopicName;
use zk_schema::ConsumerPlan;
use zk_schema::consumers::{self, GroupNode, Registration};

use crate::answers::topic_of;
use crate::claims::{Claims, Ground};
use crate::commits::Commits;
use crate::effect::{CommitError, Effect, Fatal, Report};
use crate::event::Event;
use crate::folders::Folders;
use crate::identity::Identity;
use crate::lease::Lease;
use crate::office::Office;
use crate::plan_node::PlanNode;
use crate::planner::Planner;
use crate::registration::{Change, OwnRegistration};
use crate::requests::{Ask, Requests, Step};
use crate::settings::Settings;
use ottla_znodes::Watched;
use ottla_znodes::{Failure, Reply, Request, RequestId};

/// First pause after an answer was lost, unless `Reconnected` ends it; doubled each time, up to the last.
const FIRST_PAUSE_MS: u64 = 10;
const LAST_PAUSE_MS: u64 = 1000;

/// A member of a classic group.
#[derive(Debug)]
pub struct Member {
    settings: Settings,
    requests: Requests,
    commits: Commits,
    session: Option<Session>,
    ending: Option<Ending>,
    /// The time of the last step.
    now_ms: u64,
    /// Nothing is sent before this: the connection is lost.
    pause_until_ms: Option<u64>,
    next_pause_ms: u64,
}

/// What lives as long as a session.
#[derive(Debug)]
struct Session {
    me: Identity,
    /// Whether the server has seen what was sent over connections that broke. If not, it may be behind what the leader took
    /// from them, and what it says is not yet the end of it.
    synced: Watched,
    content: Registration,
    lease: Lease,
    registration: OwnRegistration,
    folders: Folders,
    plan: PlanNode,
    /// When the plan that is followed was learnt; none once it was told that it is settled.
    plan_since_ms: Option<u64>,
    office: Office,
    planner: Option<Planner>,
    claims: Claims,
    leaving: bool,
}

/// The member is leaving, or has left.
#[derive(Debug)]
struct Ending {
    commit: bool,
    why: Option<Fatal>,
    done: bool,
}

impl Member {
    /// A member without a session: it waits for [`Event::SessionStarted`].
    pub fn new(settings: Settings) -> Member {
        Member {
            commits: Commits::new(settings.commit_interval_ms),
            settings,
            requests: Requests::default(),
            session: None,
            ending: None,
            now_ms: 0,
            pause_until_ms: None,
            next_pause_ms: FIRST_PAUSE_MS,
        }
    }

    /// Takes in one event and appends what is to be done to `out`. `now_ms` is any clock that does not go back.
    ///
    /// [`Event::TimePassed`] is due at [`next_deadline`](Member::next_deadline); any other event does as well.
    pub fn step(&mut self, now_ms: u64, event: Event, out: &mut Vec<Effect>) {
        self.now_ms = now_ms;
        match event {
            Event::SessionStarted { session_id, timeout_ms, consumer_id, wall_ms } => {
                self.end_session(out);
                let group = self.settings.group.clone();
                let me = Identity { group, consumer_id, session_id, timeout_ms, wall_ms, started_ms: now_ms };
                self.session = Some(Session::new(&self.settings, me));
            }
            Event::SessionExpired => self.end_session(out),
            Event::Reconnected => {
                self.pause_until_ms = None;
                if let Some(session) = &mut self.session {
                    session.reconnected();
                }
            }
            Event::Answered { request, sent_ms, outcome } => self.answered(request, sent_ms, outcome, out),
            Event::Changed { path, children } => {
                if let Some(session) = &mut self.session {
                    session.changed(&path, children);
                }
            }
            Event::TimePassed => {}
            Event::StartFound { partition, offset } => {
                if let Some(session) = &mut self.session {
                    session.claims.start_found(&partition, offset);
                }
            }
            Event::Stopped { partition, position } => {
                if let Some(session) = &mut self.session {
                    let planned = session.plan.plan.as_ref().is_some_and(|plan| plan.streams.contains_key(&partition));
                    session.claims.stopped(&partition, position, planned);
                }
            }
            Event::Positions(positions) => {
                let serial = self.commits.begin();
                match &mut self.session {
                    Some(session) => session.claims.positions(serial, positions, &mut self.commits),
                    None => positions
                        .into_iter()
                        .for_each(|(partition, _)| self.commits.fail(serial, CommitError::NotOwner(partition))),
                }
            }
            Event::CommitAsked { token } => self.commits.ask(token, out),
            Event::CloseAsked { commit } => self.end(commit, None),
        }
        self.settle(out);
    }

    /// When to call [`step`](Member::step) at the latest, on its clock, ms.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.pause_until_ms.is_some() {
            return self.pause_until_ms.into_iter().chain(self.commits.deadline()).min();
        }
        // What waits for an answer waits for no clock.
        let session = self.session.as_ref().filter(|session| session.synced.is_fresh());
        let planner =
            session.and_then(|session| session.planner.as_ref()?.deadline(self.now_ms, &self.settings, &session.plan));
        let registration = session.and_then(|session| session.registration.deadline());
        let claims = session.and_then(|session| session.claims.deadline());
        [planner, registration, claims, self.commits.deadline()].into_iter().flatten().min()
    }

    /// The session and what it held are gone.
    fn end_session(&mut self, out: &mut Vec<Effect>) {
        self.requests.forget();
        self.pause_until_ms = None;
        self.next_pause_ms = FIRST_PAUSE_MS;
        if let Some(mut session) = self.session.take() {
            out.push(Effect::Lease { until_ms: None });
            session.claims.abandon_all(out, &mut self.commits);
        }
    }

    /// Leaves the group, once.
    fn end(&mut self, commit: bool, why: Option<Fatal>) {
        if self.ending.is_none() {
            self.ending = Some(Ending { commit, why, done: false });
        }
    }

    fn answered(&mut self, request: RequestId, sent_ms: u64, outcome: Result<Reply, Failure>, out: &mut Vec<Effect>) {
        let (Some(ask), Some(session)) = (self.requests.take(request), &mut self.session) else { return };
        match outcome {
            Ok(_) | Err(Failure::Refused { .. }) => {
                session.lease.answered(sent_ms, out);
                self.pause_until_ms = None;
                self.next_pause_ms = FIRST_PAUSE_MS;
            }
            // Asked again when the connection is back, or after a while. That the session has ended is told by an event.
            Err(Failure::Unknown | Failure::Expired) => {
                session.synced.changed();
                if self.pause_until_ms.is_none() {
                    self.pause_until_ms = Some(self.now_ms.saturating_add(self.next_pause_ms));
                    self.next_pause_ms = (self.next_pause_ms * 2).min(LAST_PAUSE_MS);
                }
            }
        }
        let mut step = Step { now_ms: self.now_ms, out, requests: &mut self.requests };
        if let Err(why) = session.answered(&mut step, &self.settings, &mut self.commits, ask, outcome) {
            self.end(true, Some(why));
        }
    }

    /// Compares what is with what ought to be, everywhere, and asks for what is next.
    fn settle(&mut self, out: &mut Vec<Effect>) {
        let now_ms = self.now_ms;
        let paused = self.pause_until_ms.is_some_and(|until| now_ms < until);
        if let Some(session) = self.session.as_mut().filter(|_| !paused) {
            self.pause_until_ms = None;
            let mut step = Step { now_ms, out, requests: &mut self.requests };
            if let Some(ending) = &self.ending
                && !std::mem::replace(&mut session.leaving, true)
            {
                session.claims.leave(ending.commit);
                session.planner = None;
            }
            session.settle(&mut step, &self.settings, &mut self.commits);
        }
        let delivering = self.session.as_ref().is_some_and(|session| session.claims.is_delivering());
        self.commits.settle(now_ms, delivering, out);
        let is_gone = self.session.as_ref().is_none_or(Session::is_gone);
        if let Some(ending) = self.ending.as_mut().filter(|ending| is_gone && !ending.done) {
            ending.done = true;
            out.push(match ending.why.take() {
                Some(why) => Effect::Failed(why),
                None => Effect::Closed,
            });
            self.session = None;
            self.requests.forget();
        }
    }
}

impl Session {
    fn new(settings: &Settings, me: Identity) -> Session {
        Session {
            content: settings.subscription.registration(me.wall_ms, Some(&settings.assignor)),
            lease: Lease::new(me.timeout_ms, settings.lease_margin_ms),
            me,
            synced: Watched::Fresh,
            registration: OwnRegistration::new(),
            folders: Folders::default(),
            plan: PlanNode::default(),
            plan_since_ms: None,
            office: Office::default(),
            planner: None,
            claims: Claims::default(),
            leaving: false,
        }
    }

    /// The member has left.
    fn is_gone(&self) -> bool {
        self.leaving && self.registration.is_absent() && self.claims.is_empty()
    }

    fn reconnected(&mut self) {
        self.plan.node.changed();
        self.office.reconnected();
        self.claims.reconnected();
        if let Some(planner) = &mut self.planner {
            planner.reconnected();
        }
    }

    fn changed(&mut self, path: &str, children: bool) {
        let of_group = consumers::parse_path(path).filter(|(group, _)| *group == self.me.group);
        match of_group.map(|(_, node)| node) {
            Some(GroupNode::Plan) => self.plan.node.changed(),
            Some(GroupNode::Planner) => self.office.changed(),
            Some(GroupNode::Owner(partition)) => self.claims.owner_changed(partition),
            Some(GroupNode::Offset(partition)) => self.claims.offset_changed(partition),
            Some(GroupNode::Member(id)) => {
                if let Some(planner) = &mut self.planner {
                    planner.registration_changed(&id);
                }
            }
            None => {
                let topic = topic_of(path);
                if let Some(planner) = &mut self.planner {
                    match &topic {
                        Some(topic) => planner.topic_changed(topic),
                        None if path == zk_schema::broker_topics::PARENT => planner.topics_changed(),
                        None if children => planner.members_changed(),
                        None => {}
                    }
                }
                if let Some(topic) = topic {
                    self.claims.topic_changed(&topic);
                }
            }
        }
    }

    fn answered(
        &mut self,
        step: &mut Step<'_>,
        settings: &Settings,
        commits: &mut Commits,
        ask: Ask,
        outcome: Result<Reply, Failure>,
    ) -> Result<(), Fatal> {
        let Session { me, registration, folders, .. } = self;
        let (now_ms, interval_ms) = (step.now_ms, me.timeout_ms / settings.heartbeats.max(1));
        let mut ground = Ground { me, registration, folders, commits };
        match ask {
            Ask::Register => {
                let change = ground.registration.created(now_ms, interval_ms, me, ground.folders, outcome);
                return self.registration_changed(step, commits, change);
            }
            Ask::ReadRegistration => {
                let change = ground.registration.read(now_ms, interval_ms, me, outcome);
                return self.registration_changed(step, commits, change);
            }
            Ask::Heartbeat => {
                let change = ground.registration.heartbeat(now_ms, interval_ms, me, outcome);
                return self.registration_changed(step, commits, change);
            }
            Ask::Sync => match outcome {
                Ok(_) | Err(Failure::Refused { .. }) => self.synced.answered(),
                Err(_) => self.synced.failed(),
            },
            Ask::Leave => ground.registration.left(outcome),
            Ask::Folder(path) => ground.folders.answered(path, outcome)?,
            Ask::Plan => {
                let plan = self.plan.answered(step, me, outcome)?;
                // The planner mends what others did to it.
                let spoilt = self.plan.missing || self.plan.broken || plan.is_some();
                if let Some(planner) = self.planner.as_mut().filter(|_| spoilt) {
                    planner.touch(now_ms, 0);
                }
                if let Some(plan) = plan {
                    self.follow(step, settings, plan);
                }
            }
            Ask::Office => self.office.read(step, me, outcome)?,
            Ask::TakeOffice => self.office.taken(step, me, ground.registration, outcome)?,
            Ask::Owner { partition, epoch } => {
                self.claims.owner_answered(step, &mut ground, &partition, epoch, outcome);
            }
            Ask::OwnOwner { partition, epoch } => {
                self.claims.own_owner_answered(step, &mut ground, &partition, epoch, outcome);
            }
            Ask::Offset { partition, epoch } => {
                self.claims.offset_answered(step, &mut ground, &partition, epoch, outcome);
            }
            Ask::TopicAge(topic) => self.claims.age_answered(&topic, outcome),
            Ask::Batch(batch) => self.claims.batch_answered(step, &mut ground, batch, outcome),
            Ask::Members | Ask::Registration(_) | Ask::TopicList | Ask::Topic(_) | Ask::WritePlan { .. } => {
                return self.planner_answered(step, settings, ask, outcome);
            }
        }
        Ok(())
    }

    fn planner_answered(
        &mut self,
        step: &mut Step<'_>,
        settings: &Settings,
        ask: Ask,
        outcome: Result<Reply, Failure>,
    ) -> Result<(), Fatal> {
        let Some(planner) = &mut self.planner else { return Ok(()) };
        match ask {
            Ask::Members => planner.members_answered(step, &self.me, &mut self.registration, outcome)?,
            Ask::Registration(id) => planner.registration_answered(step, &self.me, settings, &id, outcome),
            Ask::TopicList => planner.topic_list_answered(step, outcome)?,
            Ask::Topic(topic) => planner.topic_answered(step, &topic, outcome),
            Ask::WritePlan { plan, threads } => {
                let stands = planner.plan_written(step, &self.me, &mut self.registration, &mut self.plan, outcome);
                if stands {
                    step.report(Report::Planned {
                        generation: plan.generation,
                        assignor: plan.assignor.clone(),
                        threads,
                        partitions: plan.streams.len(),
                        moved: usize::try_from(plan.moved).unwrap_or(0),
                    });
                    self.follow(step, settings, *plan);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn registration_changed(
        &mut self,
        step: &mut Step<'_>,
        commits: &mut Commits,
        change: Change,
    ) -> Result<(), Fatal> {
        match change {
            Change::None => {}
            Change::Registered => {
                let consumer_id = self.me.consumer_id.clone();
                step.report(Report::Registered { consumer_id });
            }
            Change::Lost => self.claims.abandon_all(step.out, commits),
            Change::Fatal(why) => return Err(why),
        }
        Ok(())
    }

    /// A new plan holds.
    fn follow(&mut self, step: &mut Step<'_>, settings: &Settings, plan: ConsumerPlan) {
        let topics: Topics = plan.streams.keys().map(|partition| (partition.topic.clone(), Vec::new())).collect();
        let allowed: BTreeMap<TopicName, usize> = settings.subscription.wanted(&topics).unwrap_or_default();
        self.claims.follow(&self.me, &allowed, self.plan.plan.as_ref(), &plan);
        self.plan.plan = Some(plan);
        self.plan_since_ms = Some(step.now_ms);
    }

    fn settle(&mut self, step: &mut Step<'_>, settings: &Settings, commits: &mut Commits) {
        let me = &self.me;
        if self.synced.take_due() {
            step.send(Ask::Sync, Request::Sync { path: me.path() });
        }
        if !self.synced.is_fresh() {
            return;
        }
        self.registration.settle(step, me, &self.content, &self.folders, !self.leaving);
        if self.registration.version().is_some() && !self.leaving {
            self.plan.settle(step, me);
            self.office.settle(step, me, &self.registration);
        }
        match (self.office.is_mine() && !self.leaving, &mut self.planner) {
            (false, planner) => *planner = None,
            (true, planner) => {
                let planner = planner.get_or_insert_with(|| Planner::new(step.now_ms));
                planner.settle(step, me, settings, &self.registration, &self.plan);
            }
        }
        let (registration, folders) = (&mut self.registration, &mut self.folders);
        let mut ground = Ground { me, registration, folders, commits };
        self.claims.settle(step, &mut ground);
        self.folders.settle(step);
        if self.leaving && self.claims.is_empty() {
            self.registration.leave(step, &self.me, self.office.is_mine());
        }
        if let Some(since_ms) = self.plan_since_ms
            && let Some(plan) = &self.plan.plan
            && let Some(owned) = self.claims.settled()
        {
            self.plan_since_ms = None;
            let since_plan_ms = step.now_ms.saturating_sub(since_ms);
            step.report(Report::Settled { generation: plan.generation, owned, since_plan_ms });
        }
    }
}
