//! The view: events to nodes, and what is said of them.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{BrokerId, TopicName};
use ottla_znodes::{Failure, Refusal, Reply, RequestId};

use crate::contents::Incarnation;
use crate::node::Node;
use crate::reads::{Asked, Problem, Reads};
use crate::{Change, Cluster, Effect, Event, Report, Settings};

/// What is known of a cluster, and what is being asked.
#[derive(Debug)]
pub struct View {
    pub(crate) cluster: Cluster,
    pub(crate) reads: Reads,
    /// The brokers whose registrations are read.
    pub(crate) listed: BTreeSet<BrokerId>,
    /// Which topic it is whose partitions are known.
    pub(crate) incarnations: BTreeMap<TopicName, Incarnation>,
    /// That everything is read was told.
    was_current: bool,
}

impl View {
    /// Knows nothing.
    pub fn new(settings: Settings) -> View {
        let mut reads = Reads::new(settings);
        reads.add(Node::Brokers);
        View {
            cluster: Cluster::default(),
            reads,
            listed: BTreeSet::new(),
            incarnations: BTreeMap::new(),
            was_current: false,
        }
    }

    /// What is known.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Whether everything that is watched has been read and no watch has fired since: what is known is what was true at the
    /// last answer. A node that is unreadable has been read; one that ZooKeeper refuses has not.
    pub fn is_current(&self) -> bool {
        self.reads.is_current()
    }

    /// Takes in an event at a time (ms, from any fixed point, never backwards).
    pub fn step(&mut self, now_ms: u64, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::SessionStarted => self.reads.session_started(),
            Event::SessionExpired => self.reads.session_ended(),
            Event::Reconnected => self.reads.reconnected(),
            Event::Answered { request, outcome } => self.answered(now_ms, request, outcome, out),
            // Nothing is watched in both ways.
            Event::Changed { path, children: _ } => {
                if let Some(node) = Node::of(&path) {
                    self.reads.changed(node);
                }
            }
            Event::TopicUsed(name) => self.reads.add(Node::Topic(name)),
            Event::TopicUnused(name) => self.forget_topic(&name, out),
            Event::TopicNamesWanted => self.reads.add(Node::TopicNames),
            Event::Doubted(partition) => {
                self.reads.doubt(now_ms, Node::Topic(partition.topic.clone()));
                self.reads.doubt(now_ms, Node::State(partition));
            }
            Event::TimePassed => {}
        }
        self.reads.settle(now_ms, out);
        let is_current = self.is_current();
        if is_current && !self.was_current {
            out.push(Effect::Report(Report::Current));
        }
        self.was_current = is_current;
    }

    /// When [`Event::TimePassed`] is wanted, ms; none: not by the clock.
    pub fn next_deadline(&self) -> Option<u64> {
        self.reads.deadline()
    }

    fn answered(&mut self, now_ms: u64, request: RequestId, outcome: Result<Reply, Failure>, out: &mut Vec<Effect>) {
        let Some(asked) = self.reads.take(request) else { return };
        let (node, missing) = match (asked, &outcome) {
            // That the session has ended is told by an event.
            (asked, Err(Failure::Unknown | Failure::Expired)) => return self.reads.lost(now_ms, asked),
            (Asked::Sync, _) => {
                self.reads.resume();
                return self.reads.synced();
            }
            (Asked::Node { node, missing }, _) => (node, missing),
        };
        self.reads.resume();
        match (&node, outcome) {
            (Node::Broker(_) | Node::Topic(_) | Node::State(_), Ok(Reply::Data(data, stat))) if !missing => {
                let problem = self.data(&node, &data, stat.czxid, out).err();
                let problem = problem.map(|error| format!("{}; {}", error.problem, error.remedy));
                if self.reads.answered(node.clone(), problem.clone().map(Problem::Unreadable))
                    && let Some(why) = problem
                {
                    out.push(Effect::Report(Report::Unreadable { path: node.path(), why }));
                }
            }
            (Node::Brokers, Ok(Reply::Children(names))) if !missing => {
                self.brokers(&names, out);
                self.reads.answered(node, None);
            }
            (Node::TopicNames, Ok(Reply::Children(names))) if !missing => {
                self.topic_names(&names, out);
                self.reads.answered(node, None);
            }
            (_, Ok(Reply::Stat(Some(_)))) if missing => self.reads.set_missing(node, false, false),
            (_, Ok(Reply::Stat(None))) if missing => {
                self.absent(&node, out);
                self.reads.answered(node, None);
            }
            (_, Err(Failure::Refused { why: Refusal::NoNode, .. })) if !missing => {
                // A topic of which nothing is known may be so new that this server has not heard of it.
                let behind_sync = matches!(&node, Node::Topic(name) if !self.cluster.topics.contains_key(name));
                if !behind_sync {
                    self.absent(&node, out);
                }
                self.reads.set_missing(node, true, behind_sync);
            }
            (_, Err(Failure::Refused { why: Refusal::Other(code), .. })) => {
                if self.reads.refused(now_ms, node.clone(), code) {
                    out.push(Effect::Report(Report::Refused { path: node.path(), code }));
                }
            }
            // No answer to what was asked.
            _ => self.reads.lost(now_ms, Asked::Node { node, missing }),
        }
    }

    /// Something is different: known and told.
    pub(crate) fn tell(&mut self, change: Change, out: &mut Vec<Effect>) {
        self.cluster.apply(&change);
        out.push(Effect::Changed(change));
    }
}
