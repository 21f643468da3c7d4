//! The batches of one partition, in order.

use std::collections::VecDeque;

use ottla_types::{BrokerId, PartitionIndex};
use ottla_view::Leadership;

use crate::Failure;
use crate::batch::Batch;
use crate::broker::short_pause;
use crate::sequences::{Identity, Sequences};

/// How long a leader is new, ms.
const NEW_LEADER_MS: u64 = 1_000;
/// The shortest and the longest pause before a batch is sent again to a new leader that denies to be it, ms.
const NEW_LEADER_PAUSES_MS: (u64, u64) = (2, 8);
/// Of the time that it has been new, the part that is the next pause.
const NEW_LEADER_PART: u64 = 8;

/// What is the same for all partitions at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Batches carry sequences.
    pub(crate) idempotent: bool,
    /// How many batches of a partition may be under way.
    pub(crate) in_flight: usize,
    /// Nothing lingers: the producer is being closed, or memory is used up.
    pub(crate) hurry: bool,
}

/// A partition of a topic in use.
pub(crate) struct Partition<T> {
    pub(crate) index: PartitionIndex,
    /// Tells it from one of the same index that was deleted: what is said of that one concerns this one not.
    pub(crate) generation: u64,
    pub(crate) leadership: Leadership,
    /// When that was told, ms.
    led_since: u64,
    /// All batches without an outcome, in the order in which they are to be written; those under way are among them.
    pub(crate) queue: VecDeque<Batch<T>>,
    /// Requests without an answer that carry a batch of this partition, even one that has its outcome.
    pub(crate) outstanding: usize,
    /// Who those requests went to.
    pub(crate) destination: Option<BrokerId>,
    /// Whose list of ready partitions it is in.
    pub(crate) listed: Option<BrokerId>,
    /// Nothing is sent before, ms.
    pub(crate) paused_until: u64,
    /// How often in a row the leader has denied to be it.
    pub(crate) denials: u32,
    /// When it is looked at, ms, at the latest.
    pub(crate) alarm: Option<u64>,
    pub(crate) sequences: Sequences,
    /// When a batch was delivered last, ms.
    pub(crate) delivered_at: u64,
}

impl<T> Partition<T> {
    pub(crate) fn new(
        (index, generation): (PartitionIndex, u64),
        leadership: Leadership,
        identity: Option<Identity>,
    ) -> Partition<T> {
        Partition {
            index,
            generation,
            leadership,
            led_since: 0,
            queue: VecDeque::new(),
            outstanding: 0,
            destination: None,
            listed: None,
            paused_until: 0,
            denials: 0,
            alarm: None,
            sequences: Sequences::new(identity),
            delivered_at: 0,
        }
    }

    /// Another leader, or the same in another epoch: what was held against the old one is forgotten.
    pub(crate) fn led_by(&mut self, now_ms: u64, leadership: Leadership) {
        self.leadership = leadership;
        self.led_since = now_ms;
        self.denials = 0;
        self.paused_until = 0;
        self.sequences.proven = false;
    }

    /// The leader denies to be it: how long nothing is sent to it, ms. At first it is likely that it has not heard of it yet, and
    /// will in a moment.
    pub(crate) fn denied(&mut self, now_ms: u64, retry_backoff_ms: u64) -> u64 {
        self.denials += 1;
        let age_ms = now_ms.saturating_sub(self.led_since);
        match age_ms < NEW_LEADER_MS {
            true => {
                let (least, most) = NEW_LEADER_PAUSES_MS;
                (age_ms / NEW_LEADER_PART).clamp(least, most).min(retry_backoff_ms.max(1))
            }
            false => short_pause(self.denials, retry_backoff_ms),
        }
    }

    /// The batch that may be sent now to the leader, if there is one: a place in the queue.
    ///
    /// It is the first that is not under way. Those before it must be, with the same broker, in this order: then they are
    /// written in this order or not at all. Without sequences nothing would keep a later one from being written when an
    /// earlier one is not, so one goes at a time.
    pub(crate) fn next(&self, now_ms: u64, rules: Rules) -> Option<usize> {
        if self.paused_until > now_ms || self.queue.front()?.deadline <= now_ms {
            return None;
        }
        if rules.idempotent && self.sequences.identity.is_none() {
            return None;
        }
        if self.outstanding > 0 {
            let pipelined = rules.idempotent && self.sequences.proven && !self.is_retried();
            let most = if pipelined { rules.in_flight } else { 1 };
            let elsewhere = self.destination != self.leadership.leader;
            if self.outstanding >= most || elsewhere || self.sequences.doubt.is_some() {
                return None;
            }
        }
        let mut last = 0;
        for (place, batch) in self.queue.iter().enumerate() {
            match batch.flight {
                Some(request) if request < last => return None,
                Some(request) => last = request,
                None => return self.is_ready(place, now_ms, rules).then_some(place),
            }
        }
        None
    }

    /// Whether the first batch goes again. It goes alone until it has its outcome: a broker tells a batch that comes twice only
    /// among the last five that it wrote, and the others may be those that were under way with the first.
    fn is_retried(&self) -> bool {
        self.queue.front().is_some_and(|first| first.tries > u32::from(first.flight.is_some()))
    }

    /// Whether a batch waits for no more records: it is full (there is one behind it), or due.
    fn is_ready(&self, place: usize, now_ms: u64, rules: Rules) -> bool {
        place + 1 < self.queue.len() || self.queue[place].is_due(now_ms, rules.hurry)
    }

    /// When something may have to be done that nothing but the clock tells, ms.
    pub(crate) fn next_deadline(&self, now_ms: u64) -> Option<u64> {
        let first = self.queue.front()?;
        let mut deadline = first.deadline;
        if self.paused_until > now_ms {
            deadline = deadline.min(self.paused_until);
        }
        let lingers = |batch: &&Batch<T>| batch.flight.is_none() && batch.ready_at > now_ms;
        if let Some(batch) = self.queue.iter().find(lingers) {
            deadline = deadline.min(batch.ready_at);
        }
        Some(deadline)
    }

    /// The broker has not got the first batch, nor any behind it: in a log there is no gap in a producer's numbers.
    pub(crate) fn is_not_written(&mut self) {
        for batch in &mut self.queue {
            batch.may_be_written = false;
            batch.whole_may_be_written = false;
        }
    }

    /// Gives the numbers anew if that is due, nothing is under way any more, and no batch that has one may be written: one
    /// that the broker has would be written again under another. As long as the first may be, it is sent as it is.
    pub(crate) fn renew_sequences(&mut self, current: Option<Identity>) -> Option<String> {
        let first = self.queue.front();
        if self.outstanding > 0 || first.is_some_and(|batch| batch.may_be_written && batch.base_sequence.is_some()) {
            return None;
        }
        let why = self.sequences.doubt.take()?;
        self.is_not_written();
        self.sequences.renew(current);
        for batch in &mut self.queue {
            batch.base_sequence = None;
        }
        Some(why)
    }

    /// Takes out a batch that has its outcome. One that is not delivered leaves a gap behind it.
    pub(crate) fn take(&mut self, place: usize, failed: Option<&Failure>) -> Option<Batch<T>> {
        let batch = self.queue.remove(place)?;
        if let Some(base_sequence) = batch.base_sequence
            && let Some(why) = failed
        {
            let is_last = self.queue.iter().skip(place).all(|later| later.base_sequence.is_none());
            match is_last && !batch.may_be_written {
                true => self.sequences.next = base_sequence,
                false => drop(self.sequences.doubt.get_or_insert_with(|| why.to_string())),
            }
        }
        Some(batch)
    }
}
