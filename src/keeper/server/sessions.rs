//! When sessions expire, their ids and passwords (SessionTrackerImpl.java, ExpiryQueue.java). Which sessions exist is in
//! the tree, because the log says it; here is what the log does not say.

use std::collections::{BTreeMap, BTreeSet};

/// The server's number of a standalone ZooKeeper, in the first byte of every id.
const SERVER_ID: i64 = 1;

/// The timers of all sessions. Times are ms on a clock that only goes forward.
#[derive(Debug)]
pub(crate) struct Sessions {
    tick_ms: i64,
    next_id: i64,
    timers: BTreeMap<i64, Timer>,
    deadlines: BTreeSet<(i64, i64)>,
}

#[derive(Debug, Clone, Copy)]
struct Timer {
    timeout_ms: i32,
    deadline_ms: i64,
}

impl Sessions {
    /// `wall_ms` makes ids that no earlier process gave away; `known` are the sessions of the folder, with their
    /// timeouts: their owners may come back, so they count as touched now.
    pub(crate) fn new(tick_ms: i32, wall_ms: i64, now_ms: i64, known: impl IntoIterator<Item = (i64, i32)>) -> Self {
        let next_id = (((wall_ms as u64) << 24) >> 8) as i64 & !(0xff << 56) | SERVER_ID << 56;
        let (timers, deadlines) = (BTreeMap::new(), BTreeSet::new());
        let mut sessions = Self { tick_ms: tick_ms.into(), next_id, timers, deadlines };
        for (id, timeout_ms) in known {
            sessions.next_id = sessions.next_id.max(id.saturating_add(1));
            sessions.touch(id, timeout_ms, now_ms);
        }
        sessions
    }

    /// An id that no session has or had.
    pub(crate) fn next_id(&mut self) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Starts the session's timer, or starts it again with another timeout.
    pub(crate) fn touch(&mut self, id: i64, timeout_ms: i32, now_ms: i64) {
        // Always past the next tick, as ZooKeeper rounds.
        let deadline_ms = ((now_ms + i64::from(timeout_ms)) / self.tick_ms + 1) * self.tick_ms;
        if let Some(before) = self.timers.insert(id, Timer { timeout_ms, deadline_ms }) {
            if before.deadline_ms == deadline_ms {
                return;
            }
            self.deadlines.remove(&(before.deadline_ms, id));
        }
        self.deadlines.insert((deadline_ms, id));
    }

    /// Something came from the session's owner.
    pub(crate) fn heard_from(&mut self, id: i64, now_ms: i64) {
        if let Some(timer) = self.timers.get(&id) {
            self.touch(id, timer.timeout_ms, now_ms);
        }
    }

    /// Takes out a session whose deadline has passed.
    pub(crate) fn expire_one(&mut self, now_ms: i64) -> Option<i64> {
        let (deadline_ms, id) = *self.deadlines.first()?;
        if deadline_ms > now_ms {
            return None;
        }
        self.remove(id);
        Some(id)
    }

    /// The session is closed.
    pub(crate) fn remove(&mut self, id: i64) {
        if let Some(timer) = self.timers.remove(&id) {
            self.deadlines.remove(&(timer.deadline_ms, id));
        }
    }

    /// The session's timeout as last granted, ms.
    pub(crate) fn timeout_ms(&self, id: i64) -> Option<i32> {
        self.timers.get(&id).map(|timer| timer.timeout_ms)
    }

    /// Ids and deadlines, the next to expire first.
    pub(crate) fn by_deadline(&self) -> impl Iterator<Item = (i64, i64)> {
        self.deadlines.iter().map(|(deadline_ms, id)| (*id, *deadline_ms))
    }
}

/// The session's password: a function of its id (ZooKeeperServer.generatePasswd), so that it outlives restarts and holds at
/// any server that takes over the folder. It keeps sessions apart by mistake only: whoever knows it can compute it.
pub(crate) fn password(id: i64) -> [u8; 16] {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let mut seed = (id as u64 ^ 0xB341_5C00 ^ MULTIPLIER) & MASK;
    let mut password = [0; 16];
    for word in password.chunks_exact_mut(4) {
        seed = seed.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        word.copy_from_slice(&((seed >> 16) as u32).to_le_bytes());
    }
    password
}

/// Whether that is the session's password, in a time that does not tell how much of it is right.
pub(crate) fn is_password(id: i64, candidate: &[u8]) -> bool {
    let password = password(id);
    let differences = password.iter().zip(candidate).fold(0, |all, (a, b)| all | (a ^ b));
    candidate.len() == password.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_the_one_apache_zookeeper_computes() {
        let expected = 0xa762_3989_6a9c_0d52_616d_1720_ec29_599d_u128.to_be_bytes();
        assert_eq!(password(0x0100_0077_a6e2_0013), expected);
        assert!(is_password(0x0100_0077_a6e2_0013, &expected));
        assert!(!is_password(0x0100_0077_a6e2_0013, &expected[..15]));
        assert!(!is_password(0x0100_0077_a6e2_0014, &expected));
    }

    #[test]
    fn a_session_lives_between_its_timeout_and_a_tick_more() {
        let mut sessions = Sessions::new(1000, 0, 0, []);
        sessions.touch(7, 2000, 340);
        assert_eq!(sessions.expire_one(2999), None);
        assert_eq!(sessions.expire_one(3000), Some(7));
        sessions.touch(8, 2000, 1000);
        assert_eq!(sessions.expire_one(3000), None, "a deadline on a tick is the next one");
        sessions.heard_from(8, 2500);
        assert_eq!(sessions.expire_one(4999), None);
        assert_eq!(sessions.expire_one(5000), Some(8));
        assert_eq!(sessions.expire_one(i64::MAX), None, "only once");
    }

    #[test]
    fn ids_do_not_meet_those_of_the_folder() {
        let mut sessions = Sessions::new(1000, 1_700_000_000_000, 0, [(0x0100_0000_0000_0005, 4000)]);
        assert!(sessions.next_id() > 0x0100_0000_0000_0005);
        let far = 0x01ff_ffff_ffff_0000;
        let mut sessions = Sessions::new(1000, 1_700_000_000_000, 0, [(far, 4000)]);
        assert_eq!(sessions.next_id(), far + 1);
        assert_eq!(sessions.next_id(), far + 2);
    }
}
