//! Session ids, their passwords, and when sessions expire.

use std::collections::{BTreeMap, BTreeSet};

/// Ids for new sessions (`SessionTrackerImpl.initializeNextSessionId`).
#[derive(Debug, Clone)]
pub struct SessionIds {
    next: i64,
}

impl SessionIds {
    /// `now_ms`: any clock that is larger after each start. `server_id`: 1 for a server alone. Ids lie above `known`, the
    /// largest id of this server that its folder holds.
    pub fn new(now_ms: i64, server_id: u8, known: Option<i64>) -> Self {
        let clock = ((now_ms << 24) as u64 >> 8) as i64 | i64::from(server_id) << 56;
        Self { next: known.map_or(clock, |known| clock.max(known.wrapping_add(1))) }
    }
}

impl Iterator for SessionIds {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        if self.next == crate::node::CONTAINER_OWNER {
            self.next += 1;
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        Some(id)
    }
}

/// A session's password: a pure function of its id, so every server knows it (`ZooKeeperServer.generatePasswd`, which is
/// Java's `Random` with the id as seed).
pub fn password(session_id: i64) -> [u8; 16] {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let mut state = (session_id as u64 ^ 0xB341_5C00 ^ MULTIPLIER) & MASK;
    let mut password = [0; 16];
    for chunk in password.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        chunk.copy_from_slice(&((state >> 16) as u32).to_le_bytes());
    }
    password
}

#[derive(Debug, Clone, Copy)]
struct Expiry {
    timeout_ms: i64,
    deadline: i64,
}

/// When each session expires, in steps of the tick (`ExpiryQueue.java`). Times are of one monotonic clock, ms.
#[derive(Debug, Clone)]
pub struct SessionTracker {
    tick_ms: i64,
    sessions: BTreeMap<i64, Expiry>,
    buckets: BTreeMap<i64, BTreeSet<i64>>,
}

impl SessionTracker {
    /// Without sessions.
    pub fn new(tick_ms: i64) -> Self {
        assert!(tick_ms > 0, "a tick has a length");
        Self { tick_ms, sessions: BTreeMap::new(), buckets: BTreeMap::new() }
    }

    /// A session is there, or has negotiated a new timeout: it counts as touched now.
    pub fn track(&mut self, session: i64, timeout_ms: i32, now: i64) {
        self.remove(session);
        let timeout_ms = i64::from(timeout_ms);
        let deadline = self.deadline(now, timeout_ms);
        self.sessions.insert(session, Expiry { timeout_ms, deadline });
        self.buckets.entry(deadline).or_default().insert(session);
    }

    /// A packet came; false if the session is not tracked.
    pub fn touch(&mut self, session: i64, now: i64) -> bool {
        let Some(Expiry { timeout_ms, deadline: before }) = self.sessions.get(&session).copied() else { return false };
        let deadline = self.deadline(now, timeout_ms);
        if deadline != before {
            self.leave_bucket(session, before);
            self.sessions.insert(session, Expiry { timeout_ms, deadline });
            self.buckets.entry(deadline).or_default().insert(session);
        }
        true
    }

    /// The session ended.
    pub fn remove(&mut self, session: i64) {
        if let Some(expiry) = self.sessions.remove(&session) {
            self.leave_bucket(session, expiry.deadline);
        }
    }

    /// When [`Self::expired`] will next have something.
    pub fn next_deadline(&self) -> Option<i64> {
        self.buckets.keys().next().copied()
    }

    /// The sessions whose time is over, by deadline and id; they are no longer tracked.
    pub fn expired(&mut self, now: i64) -> Vec<i64> {
        let mut expired = Vec::new();
        while let Some(bucket) = self.buckets.first_entry()
            && *bucket.key() <= now
        {
            expired.extend(bucket.remove());
        }
        for session in &expired {
            self.sessions.remove(session);
        }
        expired
    }

    /// Sessions by the time at which they expire.
    pub fn buckets(&self) -> impl Iterator<Item = (i64, &BTreeSet<i64>)> {
        self.buckets.iter().map(|(deadline, sessions)| (*deadline, sessions))
    }

    /// Always past the next tick.
    fn deadline(&self, now: i64, timeout_ms: i64) -> i64 {
        ((now + timeout_ms) / self.tick_ms + 1) * self.tick_ms
    }

    fn leave_bucket(&mut self, session: i64, deadline: i64) {
        if let Some(bucket) = self.buckets.get_mut(&deadline) {
            bucket.remove(&session);
            if bucket.is_empty() {
                self.buckets.remove(&deadline);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_one_every_zookeeper_computes() {
        let expected = [0xa7, 0x62, 0x39, 0x89, 0x6a, 0x9c, 0x0d, 0x52, 0x61, 0x6d, 0x17, 0x20, 0xec, 0x29, 0x59, 0x9d];
        assert_eq!(password(0x0100_0077_a6e2_0013), expected);
    }

    #[test]
    fn ids_carry_the_server_and_grow_above_known_ones() {
        let mut ids = SessionIds::new(0x74_c94b, 1, None);
        assert_eq!(ids.next(), Some(0x0100_0074_c94b_0000));
        assert_eq!(ids.next(), Some(0x0100_0074_c94b_0001));
        assert_eq!(SessionIds::new(5, 1, Some(0x0100_0074_c94b_0001)).next(), Some(0x0100_0074_c94b_0002));
    }

    #[test]
    fn a_session_expires_between_its_timeout_and_a_tick_later() {
        let mut tracker = SessionTracker::new(1000);
        tracker.track(1, 2000, 100);
        tracker.track(2, 2000, 999);
        tracker.track(3, 2000, 1000);
        assert_eq!(tracker.next_deadline(), Some(3000));
        assert_eq!(tracker.expired(2999), []);
        assert!(tracker.touch(2, 1500));
        assert_eq!(tracker.expired(3000), [1]);
        assert!(!tracker.touch(1, 3000));
        assert_eq!(tracker.next_deadline(), Some(4000));
        assert_eq!(tracker.expired(10_000), [2, 3]);
        assert_eq!(tracker.next_deadline(), None);
    }

    #[test]
    fn a_new_timeout_counts_from_now() {
        let mut tracker = SessionTracker::new(1000);
        tracker.track(1, 30_000, 0);
        tracker.track(1, 1000, 0);
        assert_eq!(tracker.next_deadline(), Some(2000));
        tracker.remove(1);
        assert_eq!(tracker.next_deadline(), None);
    }
}
