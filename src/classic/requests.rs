//! Requests that were sent and what each answer is for.

use std::collections::BTreeMap;

use ottla_types::{TopicName, TopicPartition};
use zk_schema::ConsumerPlan;

use crate::batch::Batch;
use crate::effect::{Effect, Report};
use ottla_znodes::{Request, RequestId};

/// Why a request was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Create the own registration.
    Register,
    /// Whose is it?
    ReadRegistration,
    /// Is it still there?
    Heartbeat,
    /// Create a folder.
    Folder(String),
    /// Read the plan, or look whether there is one.
    Plan,
    /// Who plans?
    Office,
    /// Become the planner.
    TakeOffice,
    /// List the members.
    Members,
    /// Read a member's registration.
    Registration(String),
    /// List the topics.
    TopicList,
    /// Read a topic's partitions, or look whether it exists.
    Topic(TopicName),
    /// Write this plan.
    WritePlan { plan: Box<ConsumerPlan>, threads: usize },
    /// Whose is this partition?
    Owner { partition: TopicPartition, epoch: u64 },
    /// Is this partition still ours?
    OwnOwner { partition: TopicPartition, epoch: u64 },
    /// How far was it consumed?
    Offset { partition: TopicPartition, epoch: u64 },
    /// When was the topic created?
    TopicAge(TopicName),
    /// Claims, fences, commits, releases.
    Batch(Batch),
    /// Remove the registration.
    Leave,
    /// Wait until the server is not behind.
    Sync,
}

/// The requests under way in this session.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    next: RequestId,
    pending: BTreeMap<RequestId, Ask>,
}

impl Requests {
    /// What the answer is for; none if nobody waits for it any more.
    pub(crate) fn take(&mut self, id: RequestId) -> Option<Ask> {
        self.pending.remove(&id)
    }

    /// The session ended: no answer is waited for. Numbers go on.
    pub(crate) fn forget(&mut self) {
        self.pending.clear();
    }
}

/// What a step works with: the time, the way out and the requests under way.
pub(crate) struct Step<'a> {
    pub(crate) now_ms: u64,
    pub(crate) out: &'a mut Vec<Effect>,
    pub(crate) requests: &'a mut Requests,
}

impl Step<'_> {
    pub(crate) fn send(&mut self, ask: Ask, request: Request) {
        let id = self.requests.next;
        self.requests.next += 1;
        self.requests.pending.insert(id, ask);
        self.out.push(Effect::Send { id, request });
    }

    pub(crate) fn report(&mut self, report: Report) {
        self.out.push(Effect::Report(report));
    }
}
