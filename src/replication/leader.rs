//! A leader's view of its followers: how far they are, who is in sync, how far all are.

use std::collections::BTreeMap;

use ottla_types::{BrokerId, Offset};

/// The settings that decide about the ISR and the high watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IsrRules {
    /// `replica.lag.time.max.ms`: how long a follower may be behind, ms.
    pub lag_time_max_ms: i64,
    /// `min.insync.replicas`: below it nothing is committed. More than there are replicas counts as all of them.
    pub min_in_sync: usize,
}

/// A fetch by a broker that is not among the replicas: its assignment is older or newer than the leader's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("broker {0} is not a replica of this partition")]
pub struct UnknownReplica(pub BrokerId);

/// How far a follower is, as its fetches show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerState {
    /// Its log end offset: where it last fetched from. Unknown until it fetches in this leader epoch.
    pub log_end_offset: Option<Offset>,
    /// When it last had everything that the leader had, ms, if ever in this leader epoch.
    pub last_caught_up_ms: Option<i64>,
    /// When it last fetched, ms, and the leader's log end offset then.
    last_fetch: Option<(i64, Offset)>,
}

impl FollowerState {
    /// Whether it had everything at most `lag_time_max_ms` ago.
    fn was_caught_up(&self, lag_time_max_ms: i64, now_ms: i64) -> bool {
        self.last_caught_up_ms.is_some_and(|at| now_ms - at <= lag_time_max_ms)
    }
}

/// The role of a leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    pub(crate) me: BrokerId,
    pub(crate) isr: Vec<BrokerId>,
    /// The log end offset when this leader epoch began.
    pub(crate) epoch_start_offset: Offset,
    followers: BTreeMap<BrokerId, FollowerState>,
}

impl Leader {
    /// Begins a leader epoch: nothing is known of the followers, those in the ISR count as caught up now (`Replica.scala`).
    pub(crate) fn begin(
        me: BrokerId,
        replicas: &[BrokerId],
        isr: Vec<BrokerId>,
        log_end_offset: Offset,
        now_ms: i64,
    ) -> Leader {
        let follower = |id: &BrokerId| {
            let last_caught_up_ms = isr.contains(id).then_some(now_ms);
            (*id, FollowerState { log_end_offset: None, last_caught_up_ms, last_fetch: None })
        };
        let followers = replicas.iter().filter(|id| **id != me).map(follower).collect();
        Leader { me, isr, epoch_start_offset: log_end_offset, followers }
    }

    /// The in-sync replicas as last written in ZooKeeper.
    pub fn isr(&self) -> &[BrokerId] {
        &self.isr
    }

    /// The log end offset when this leader epoch began.
    pub fn epoch_start_offset(&self) -> Offset {
        self.epoch_start_offset
    }

    /// The followers and how far they are.
    pub fn followers(&self) -> &BTreeMap<BrokerId, FollowerState> {
        &self.followers
    }

    /// Takes note of a follower's fetch: `fetch_offset` is its log end offset, `log_end_offset` the leader's.
    ///
    /// A follower that asks for all that there was at its fetch before was caught up at that time, however fast the log
    /// grows since (`Replica.scala`).
    pub fn record_fetch(
        &mut self,
        follower: BrokerId,
        fetch_offset: Offset,
        log_end_offset: Offset,
        now_ms: i64,
    ) -> Result<(), UnknownReplica> {
        let state = self.followers.get_mut(&follower).ok_or(UnknownReplica(follower))?;
        let caught_up_ms = match state.last_fetch {
            _ if fetch_offset >= log_end_offset => Some(now_ms),
            Some((last_fetch_ms, end_then)) if fetch_offset >= end_then => Some(last_fetch_ms),
            _ => None,
        };
        state.last_caught_up_ms = state.last_caught_up_ms.max(caught_up_ms);
        state.log_end_offset = Some(fetch_offset);
        state.last_fetch = Some((now_ms, log_end_offset));
        Ok(())
    }

    /// Members of the ISR that have been behind for too long. One that has everything is in sync however long ago it
    /// fetched: an idle partition loses nobody (KAFKA-7152).
    pub fn out_of_sync(&self, log_end_offset: Offset, rules: IsrRules, now_ms: i64) -> Vec<BrokerId> {
        let is_behind = |f: &FollowerState| {
            f.log_end_offset != Some(log_end_offset) && !f.was_caught_up(rules.lag_time_max_ms, now_ms)
        };
        self.isr.iter().copied().filter(|id| self.followers.get(id).is_some_and(is_behind)).collect()
    }

    /// Whether a follower may join the ISR: it has everything that is committed, and everything from before this leader
    /// epoch (KAFKA-7128). That its broker lives is the caller's to know (KAFKA-14140).
    pub fn may_join(&self, follower: BrokerId, high_watermark: Offset) -> bool {
        let end = self.followers.get(&follower).and_then(|f| f.log_end_offset);
        !self.isr.contains(&follower) && end.is_some_and(|end| end >= high_watermark && end >= self.epoch_start_offset)
    }

    /// How far all have come who count: the leader, the ISR, and replicas outside it that are caught up and may join, lest
    /// the high watermark runs ahead of a joiner (KAFKA-4485). `None` while fewer are in sync than must be (KAFKA-15583),
    /// or while a member of the ISR has not fetched yet.
    pub(crate) fn committed_end(
        &self,
        own_end: Offset,
        rules: IsrRules,
        now_ms: i64,
        lives: impl Fn(BrokerId) -> bool,
    ) -> Option<Offset> {
        if self.isr.len() < rules.min_in_sync.min(self.followers.len() + 1) {
            return None;
        }
        let mut end = own_end;
        for (id, follower) in &self.followers {
            let is_member = self.isr.contains(id);
            let is_caught_up = follower.was_caught_up(rules.lag_time_max_ms, now_ms);
            match follower.log_end_offset {
                Some(follower_end) if is_member || (is_caught_up && lives(*id)) => end = end.min(follower_end),
                None if is_member => return None,
                _ => {}
            }
        }
        Some(end)
    }
}
