//! What the planner does: reads the group, waits until it is quiet, decides, and writes the plan.

use std::collections::{BTreeMap, BTreeSet};

use ottla_assignor::Topics;
use ottla_types::{PartitionIndex, TopicName};
use zk_schema::broker_topics::{self, TopicAssignment};
use zk_schema::consumers::{self, Registration};
use zk_schema::{ConsumerPlan, consumer_plan};

use crate::effect::{Fatal, Report};
use crate::folders::parent;
use crate::identity::{Identity, is_uuid};
use crate::plan::{Decision, Registered, decide};
use crate::plan_node::PlanNode;
use crate::registration::OwnRegistration;
use crate::requests::{Ask, Step};
use crate::settings::Settings;
use crate::subscription::Subscription;
use ottla_znodes::Watched;
use ottla_znodes::{CreateMode, Failure, Op, Refusal, Reply, Request};

/// Joins within one debounce that make a storm.
const STORM: usize = 3;

/// Highest partition number that is planned for. Kafka numbers them from 0 without gaps; a number beyond reason in a topic's
/// node must not make the plan, which lists them by number, as long.
const MAX_PARTITION: PartitionIndex = 100_000;

/// One that is listed below `ids`.
#[derive(Debug)]
struct Listed {
    node: Watched,
    /// Whether it is read with a watch: if it may change, since its id is not new for each session or it is not readable
    /// (yet: kafka-node creates its registration empty and sets the data a moment later).
    watched: bool,
    known: Option<Registered>,
    problem: Option<String>,
    reported: bool,
}

/// A topic that somebody wants.
#[derive(Debug, Default)]
struct Topic {
    node: Watched,
    /// It is not there: looked at instead of read, since only that sets a watch.
    missing: bool,
    czxid: i64,
    /// It was deleted and made again: it leaves the plan once, so that nobody goes on from where its namesake was.
    replaced: bool,
    /// Its partitions as they could be read last.
    assignment: Option<TopicAssignment>,
}

/// Changes that are not planned for yet.
#[derive(Debug)]
struct Unplanned {
    first_ms: u64,
    last_ms: u64,
    joins: usize,
}

/// The one of the group that holds the office.
#[derive(Debug, Default)]
pub(crate) struct Planner {
    list: Watched,
    members: BTreeMap<String, Listed>,
    /// Of them, those to be read or being read.
    unread_members: BTreeSet<String>,
    topic_list: Watched,
    topic_list_missing: bool,
    topic_names: BTreeSet<TopicName>,
    has_filters: bool,
    topics: BTreeMap<TopicName, Topic>,
    unread_topics: BTreeSet<TopicName>,
    /// Whether the members or the list of topics changed since `topics` was made.
    wants_changed: bool,
    /// Everything was read once.
    loaded: bool,
    unplanned: Option<Unplanned>,
    writing: bool,
    mixed: bool,
    slow: BTreeSet<String>,
}

impl Planner {
    /// Takes the office: everything is to be read.
    pub(crate) fn new(now_ms: u64) -> Planner {
        let mut planner = Planner { wants_changed: true, ..Planner::default() };
        planner.touch(now_ms, 0);
        planner
    }

    /// Something changed that may change the plan.
    pub(crate) fn touch(&mut self, now_ms: u64, joins: usize) {
        let unplanned = self.unplanned.get_or_insert(Unplanned { first_ms: now_ms, last_ms: now_ms, joins: 0 });
        unplanned.last_ms = now_ms;
        unplanned.joins += joins;
    }

    /// When it has been quiet for long enough, and when it has taken long enough.
    fn due(&self, settings: &Settings, plan: &PlanNode) -> Option<(u64, u64)> {
        let unplanned = self.unplanned.as_ref()?;
        let first = plan.plan.is_none() && plan.missing;
        let wait = if first || unplanned.joins >= STORM { settings.storm_debounce } else { settings.debounce };
        let last_ms = unplanned.first_ms.saturating_add(wait.most_ms);
        Some((unplanned.last_ms.saturating_add(wait.quiet_ms).min(last_ms), last_ms))
    }

    /// When to decide; none while that depends on an answer.
    pub(crate) fn deadline(&self, now_ms: u64, settings: &Settings, plan: &PlanNode) -> Option<u64> {
        let (quiet, last) = self.due(settings, plan)?;
        [quiet, last].into_iter().find(|at| *at > now_ms)
    }

    /// The list of members changed.
    pub(crate) fn members_changed(&mut self) {
        self.list.changed();
    }

    /// A registration that is watched changed.
    pub(crate) fn registration_changed(&mut self, id: &str) {
        if let Some(member) = self.members.get_mut(id).filter(|member| member.watched) {
            member.node.changed();
            self.unread_members.insert(id.into());
        }
    }

    /// The list of topics changed.
    pub(crate) fn topics_changed(&mut self) {
        self.topic_list.changed();
    }

    /// A topic changed.
    pub(crate) fn topic_changed(&mut self, topic: &TopicName) {
        if let Some(known) = self.topics.get_mut(topic) {
            known.node.changed();
            self.unread_topics.insert(topic.clone());
        }
    }

    /// Watches may have fired unseen.
    pub(crate) fn reconnected(&mut self) {
        self.list.changed();
        self.topic_list.changed();
        for (id, member) in self.members.iter_mut().filter(|(_, member)| member.watched) {
            member.node.changed();
            self.unread_members.insert(id.clone());
        }
        for (name, topic) in &mut self.topics {
            topic.node.changed();
            self.unread_topics.insert(name.clone());
        }
    }

    /// Reads what is to be read, and plans when it is time.
    pub(crate) fn settle(
        &mut self,
        step: &mut Step<'_>,
        me: &Identity,
        settings: &Settings,
        registration: &OwnRegistration,
        plan: &PlanNode,
    ) {
        let watch = true;
        if self.list.take_due() {
            step.send(Ask::Members, Request::Children { path: parent(&me.path()).into(), watch });
        }
        for id in &self.unread_members {
            if let Some(member) = self.members.get_mut(id)
                && member.node.take_due()
            {
                let path = consumers::member_path(&me.group, id);
                step.send(Ask::Registration(id.clone()), Request::Get { path, watch: member.watched });
            }
        }
        let due = self.due(settings, plan);
        let over = self.loaded && due.is_some_and(|(_, last_ms)| step.now_ms >= last_ms);
        // Once for all that join together: it asks every filter about every topic.
        if self.wants_changed && self.list.is_fresh() && (self.unread_members.is_empty() || over) {
            self.wants_changed = false;
            self.find_wanted();
        }
        if self.has_filters && self.topic_list.take_due() {
            let path = broker_topics::PARENT.to_owned();
            let request = match self.topic_list_missing {
                true => Request::Exists { path, watch },
                false => Request::Children { path, watch },
            };
            step.send(Ask::TopicList, request);
        }
        for name in &self.unread_topics {
            if let Some(topic) = self.topics.get_mut(name)
                && topic.node.take_due()
            {
                let path = broker_topics::path(name);
                let request =
                    if topic.missing { Request::Exists { path, watch } } else { Request::Get { path, watch } };
                step.send(Ask::Topic(name.clone()), request);
            }
        }
        let complete = self.list.is_fresh()
            && !self.wants_changed
            && self.unread_members.is_empty()
            && self.unread_topics.is_empty()
            && (!self.has_filters || self.topic_list.is_fresh());
        self.loaded |= complete;
        let Some((quiet_ms, _)) = due else { return };
        let Some(version) = registration.version().filter(|_| !self.writing && plan.node.is_fresh()) else { return };
        // One that has joined just now and is not read yet can wait for the next plan; all others are known.
        if over || (complete && step.now_ms >= quiet_ms) {
            self.plan(step, me, version, plan);
        }
    }

    /// Which topics are wanted: by name, or because a pattern matches.
    fn find_wanted(&mut self) {
        let listed: Topics = self.topic_names.iter().map(|name| (name.clone(), Vec::new())).collect();
        let mut wanted = BTreeSet::new();
        self.has_filters = false;
        for member in self.members.values().filter_map(|member| member.known.as_ref()) {
            self.has_filters |= member.subscription.has_filter();
            // A pattern that is too slow is told of by the decision.
            wanted.extend(member.subscription.wanted(&listed).unwrap_or_default().into_keys());
        }
        self.topics.retain(|name, _| wanted.contains(name));
        self.unread_topics.retain(|name| wanted.contains(name));
        for name in wanted {
            if !self.topics.contains_key(&name) {
                self.unread_topics.insert(name.clone());
                self.topics.insert(name, Topic::default());
            }
        }
    }

    /// The list of members.
    pub(crate) fn members_answered(
        &mut self,
        step: &mut Step<'_>,
        me: &Identity,
        registration: &mut OwnRegistration,
        outcome: Result<Reply, Failure>,
    ) -> Result<(), Fatal> {
        match outcome {
            Ok(Reply::Children(ids)) => {
                self.list.answered();
                let ids: BTreeSet<String> = ids.into_iter().collect();
                if !ids.contains(&me.consumer_id) {
                    registration.doubt();
                }
                let before = self.members.len();
                self.members.retain(|id, _| ids.contains(id));
                self.unread_members.retain(|id| ids.contains(id));
                let left = before - self.members.len();
                let mut joined = 0;
                for id in ids {
                    if !self.members.contains_key(&id) {
                        joined += 1;
                        self.unread_members.insert(id.clone());
                        self.members.insert(id.clone(), Listed::new(!is_of_one_session(&id)));
                    }
                }
                if left + joined > 0 {
                    self.wants_changed = true;
                    self.touch(step.now_ms, joined);
                }
            }
            Err(Failure::Refused { why: Refusal::Other(code), .. }) => {
                return Err(Fatal::Refused { path: parent(&me.path()).into(), code });
            }
            // The folder is gone, and the own registration with it.
            Err(Failure::Refused { .. }) => {
                self.list.failed();
                registration.doubt();
            }
            _ => self.list.failed(),
        }
        Ok(())
    }

    /// A member's registration.
    pub(crate) fn registration_answered(
        &mut self,
        step: &mut Step<'_>,
        me: &Identity,
        settings: &Settings,
        id: &str,
        outcome: Result<Reply, Failure>,
    ) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.node.answered();
        let read = match outcome {
            Ok(Reply::Data(data, _)) => {
                let path = consumers::member_path(&me.group, id);
                let registration = Registration::decode(&path, &data).map_err(|error| error.to_string());
                registration.and_then(|registration| {
                    Subscription::read(id, &registration, settings.exclude_internal_topics)
                        .map(|subscription| Registered { subscription, assignor: registration.assignor })
                        .map_err(|error| error.to_string())
                })
            }
            Err(Failure::Refused { why: Refusal::NoNode, .. }) => {
                // It left since it was listed.
                self.members.remove(id);
                self.unread_members.remove(id);
                self.wants_changed = true;
                return self.touch(step.now_ms, 0);
            }
            Err(Failure::Refused { why, .. }) => Err(format!("ZooKeeper refuses to read it: {why:?}")),
            _ => return member.node.failed(),
        };
        let known = match read {
            Ok(registered) => {
                member.problem = None;
                Some(registered)
            }
            Err(problem) => {
                member.problem = Some(problem);
                if !std::mem::replace(&mut member.watched, true) {
                    member.node.failed();
                }
                None
            }
        };
        if member.node.is_fresh() {
            self.unread_members.remove(id);
        }
        if member.known != known {
            member.known = known;
            member.reported = false;
            self.wants_changed = true;
            self.touch(step.now_ms, 0);
        }
    }

    /// The list of topics.
    pub(crate) fn topic_list_answered(
        &mut self,
        step: &mut Step<'_>,
        outcome: Result<Reply, Failure>,
    ) -> Result<(), Fatal> {
        match outcome {
            Ok(Reply::Children(names)) => {
                self.topic_list.answered();
                let names = names.iter().filter_map(|name| TopicName::new(name).ok()).collect();
                if self.topic_names != names {
                    self.topic_names = names;
                    self.wants_changed = true;
                    self.touch(step.now_ms, 0);
                }
            }
            Ok(Reply::Stat(None)) => self.topic_list.answered(),
            Ok(_) => {
                self.topic_list_missing = false;
                self.topic_list.failed();
            }
            Err(Failure::Refused { why: Refusal::NoNode, .. }) => {
                self.topic_list_missing = true;
                self.topic_list.failed();
            }
            Err(Failure::Refused { why: Refusal::Other(code), .. }) => {
                return Err(Fatal::Refused { path: broker_topics::PARENT.into(), code });
            }
            Err(_) => self.topic_list.failed(),
        }
        Ok(())
    }

    /// A topic's node.
    pub(crate) fn topic_answered(&mut self, step: &mut Step<'_>, name: &TopicName, outcome: Result<Reply, Failure>) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        topic.node.answered();
        let before = topic.assignment.as_ref().map(|known| known.partitions.keys().copied().collect::<Vec<_>>());
        match outcome {
            Ok(Reply::Data(data, stat)) => {
                let path = broker_topics::path(name);
                let decoded = TopicAssignment::decode(&path, &data).map_err(|error| error.to_string());
                match decoded.and_then(within_reason) {
                    Ok(assignment) => {
                        topic.replaced |= topic.assignment.is_some() && topic.czxid != stat.czxid;
                        topic.czxid = stat.czxid;
                        topic.assignment = Some(assignment);
                    }
                    // What was known holds on until it is mended.
                    Err(problem) => step.report(Report::Unreadable { path, problem }),
                }
            }
            Ok(Reply::Stat(None)) => topic.assignment = None,
            Ok(_) => {
                topic.missing = false;
                topic.node.failed();
            }
            Err(Failure::Refused { why: Refusal::NoNode, .. }) => {
                (topic.missing, topic.assignment) = (true, None);
                topic.node.failed();
            }
            Err(Failure::Refused { why, .. }) => {
                let path = broker_topics::path(name);
                step.report(Report::Unreadable { path, problem: format!("ZooKeeper refuses to read it: {why:?}") });
            }
            Err(Failure::Unknown | Failure::Expired) => return topic.node.failed(),
        }
        let now = topic.assignment.as_ref().map(|known| known.partitions.keys().copied().collect::<Vec<_>>());
        let changed = before != now || topic.replaced;
        if topic.node.is_fresh() {
            self.unread_topics.remove(name);
        }
        if changed {
            self.touch(step.now_ms, 0);
        }
    }

    /// Decides, and writes the plan if it moves anything.
    fn plan(&mut self, step: &mut Step<'_>, me: &Identity, registration: i32, before: &PlanNode) {
        self.unplanned = None;
        for (id, member) in self.members.iter_mut().filter(|(_, member)| !member.reported) {
            if let Some(problem) = &member.problem {
                member.reported = true;
                let path = consumers::member_path(&me.group, id);
                step.report(Report::Unreadable { path, problem: problem.clone() });
            }
        }
        let members: BTreeMap<String, Registered> =
            self.members.iter().filter_map(|(id, member)| Some((id.clone(), member.known.clone()?))).collect();
        let topics: Topics = (self.topics.iter())
            .filter(|(_, topic)| !topic.replaced)
            .filter_map(|(name, topic)| {
                Some((name.clone(), topic.assignment.as_ref()?.partitions.keys().copied().collect()))
            })
            .collect();
        let decision = decide(&members, &topics, before.plan.as_ref());
        self.report(step, me, &decision);
        let mut again = false;
        for topic in self.topics.values_mut() {
            again |= std::mem::take(&mut topic.replaced);
        }
        if again {
            self.touch(step.now_ms, 0);
        }
        let stands = before.plan.as_ref().is_some_and(|plan| plan.streams == decision.streams);
        if stands && !before.missing && !before.broken {
            return;
        }
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let plan = ConsumerPlan {
            generation: before.plan.as_ref().map_or(1, |plan| plan.generation.checked_add(1).unwrap_or(1)),
            assignor: decision.assignor.into(),
            planner: me.consumer_id.clone(),
            timestamp_ms: me.wall_at(step.now_ms),
            moved: number(decision.moved),
            streams: decision.streams,
        };
        let (path, data) = (consumer_plan::path(&me.group), plan.encode());
        let write = match before.missing {
            true => Op::Create { path, data, mode: CreateMode::Persistent },
            false => Op::Set { path, data, version: Some(before.version) },
        };
        let ask = Ask::WritePlan { plan: Box::new(plan), threads: decision.threads };
        step.send(ask, Request::Write(vec![me.check(registration), write]));
        self.writing = true;
    }

    fn report(&mut self, step: &mut Step<'_>, me: &Identity, decision: &Decision) {
        if decision.mixed && !self.mixed {
            step.report(Report::MixedAssignors);
        }
        self.mixed = decision.mixed;
        for (id, problem) in &decision.unreadable {
            if self.slow.insert(id.clone()) {
                let path = consumers::member_path(&me.group, id);
                step.report(Report::Unreadable { path, problem: problem.clone() });
            }
        }
        self.slow.retain(|id| self.members.contains_key(id));
    }

    /// The answer to a plan that was written. Returns whether it stands.
    pub(crate) fn plan_written(
        &mut self,
        step: &mut Step<'_>,
        me: &Identity,
        registration: &mut OwnRegistration,
        node: &mut PlanNode,
        outcome: Result<Reply, Failure>,
    ) -> bool {
        self.writing = false;
        match outcome {
            Ok(Reply::Written(stats)) => {
                node.written(stats.get(1).copied().flatten().map_or(0, |stat| stat.version));
                return true;
            }
            Err(Failure::Refused { at: 0, .. }) => registration.doubt(),
            Err(Failure::Refused { why: Refusal::Other(code), .. }) => {
                // A plan that ZooKeeper does not take is not written again and again: the next change is the next try.
                let problem = format!("ZooKeeper refuses to write it: error {code}");
                step.report(Report::Unreadable { path: consumer_plan::path(&me.group), problem });
                return false;
            }
            _ => node.node.changed(),
        }
        self.touch(step.now_ms, 0);
        false
    }
}

impl Listed {
    fn new(watched: bool) -> Listed {
        Listed { node: Watched::Unread, watched, known: None, problem: None, reported: false }
    }
}

fn within_reason(assignment: TopicAssignment) -> Result<TopicAssignment, String> {
    match assignment.partitions.last_key_value() {
        Some((highest, _)) if *highest > MAX_PARTITION => {
            Err(format!("it has a partition {highest}; up to {MAX_PARTITION} are consumed"))
        }
        _ => Ok(assignment),
    }
}

/// Whether the id is `<host>:<UUID>` as our members take it anew in each session, so that its registration never changes.
fn is_of_one_session(id: &str) -> bool {
    id.rsplit_once(':').is_some_and(|(_, tail)| is_uuid(tail))
}
