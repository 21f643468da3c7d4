//! Brokers and the connections to them.

use std::collections::{BTreeMap, VecDeque};

use ottla_types::{BrokerId, PartitionIndex};
use ottla_view::Broker;

/// A partition, by the place of its topic.
pub(crate) type PartitionKey = (usize, PartitionIndex);

/// The first pause of those that double, ms.
const FIRST_PAUSE_MS: u64 = 2;

/// 2, 4, 8 ... ms, for the first, second, third time, up to a limit.
pub(crate) fn short_pause(times: u32, limit_ms: u64) -> u64 {
    doubled(FIRST_PAUSE_MS, times, limit_ms)
}

/// A pause that doubles with each time, the first being 1, up to a limit; 1 ms at least.
pub(crate) fn doubled(first_ms: u64, times: u32, limit_ms: u64) -> u64 {
    let factor = 1u64 << times.saturating_sub(1).min(30);
    first_ms.saturating_mul(factor).min(limit_ms).max(1)
}

/// Partitions with a full batch that are worth a request while another one has no answer.
const GATHERED: usize = 8;

/// What is known of the connection to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// There is none.
    Down,
    /// It is being made.
    Wanted,
    /// It can be used.
    Up,
    /// It was told to end.
    Closing,
}

/// The way to one broker.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Its registration, while there is one.
    pub(crate) registration: Option<Broker>,
    pub(crate) link: Link,
    /// Requests without an answer.
    pub(crate) in_flight: usize,
    /// Partitions that have something to be sent, taken from the front and put back at the end, so that none starves.
    pub(crate) ready: VecDeque<PartitionKey>,
    /// One of them has a batch that has lingered enough, or must not.
    pub(crate) due: bool,
    /// It was told that there is something, and has not asked in vain since.
    awake: bool,
    /// Connections since the last answer that ended or did not come about.
    pub(crate) failures: u32,
    /// No connection is made before, ms.
    pub(crate) paused_until: u64,
    /// Why there is no connection.
    pub(crate) why: Option<String>,
    /// That it cannot be reached has been told.
    pub(crate) reported: bool,
}

impl Lane {
    fn new() -> Lane {
        Lane {
            registration: None,
            link: Link::Down,
            in_flight: 0,
            ready: VecDeque::new(),
            due: false,
            awake: false,
            failures: 0,
            paused_until: 0,
            why: None,
            reported: false,
        }
    }

    /// Whether the connection has to be told now that there is something to be sent.
    pub(crate) fn wake(&mut self, now_ms: u64, max_in_flight: usize) -> bool {
        if self.awake || self.ready.is_empty() || self.registration.is_none() {
            return false;
        }
        match self.link {
            Link::Closing => return false,
            Link::Up if self.holds_back(max_in_flight) => return false,
            Link::Down if self.paused_until > now_ms => return false,
            Link::Down => self.link = Link::Wanted,
            Link::Wanted | Link::Up => {}
        }
        self.awake = true;
        true
    }

    /// Whether nothing is sent on a connection until an answer comes, or more batches are there: each request costs as much as
    /// some hundreds of records, and batches that are filled faster than the broker answers would go one by one. None waits
    /// longer than it may linger.
    pub(crate) fn holds_back(&self, max_in_flight: usize) -> bool {
        let gathers = self.in_flight > 0 && !self.due && self.ready.len() < GATHERED;
        gathers || self.in_flight >= max_in_flight
    }

    /// It asked, and there was nothing.
    pub(crate) fn sleep(&mut self) {
        self.awake = false;
    }

    /// It asks from now on.
    pub(crate) fn connected(&mut self) {
        self.link = Link::Up;
        self.awake = true;
    }

    /// There is no connection any more.
    pub(crate) fn disconnected(&mut self) {
        self.link = Link::Down;
        self.awake = false;
        self.in_flight = 0;
    }

    /// Whether records can be expected to get there soon. One connection that ended says nothing, and where nothing waits nobody
    /// has tried for long.
    pub(crate) fn is_reachable(&self) -> bool {
        self.registration.is_some() && (self.failures < 2 || self.ready.is_empty())
    }
}

/// All brokers that are registered, or are still being talked to.
#[derive(Debug, Default)]
pub(crate) struct Brokers(BTreeMap<BrokerId, Lane>);

impl Brokers {
    pub(crate) fn get(&self, id: BrokerId) -> Option<&Lane> {
        self.0.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: BrokerId) -> Option<&mut Lane> {
        self.0.get_mut(&id)
    }

    /// The lane of a broker that registered.
    pub(crate) fn enter(&mut self, id: BrokerId) -> &mut Lane {
        self.0.entry(id).or_insert_with(Lane::new)
    }

    /// Forgets a broker that is gone and not talked to any more.
    pub(crate) fn tidy(&mut self, id: BrokerId) {
        if self.0.get(&id).is_some_and(|lane| lane.registration.is_none() && lane.link == Link::Down) {
            self.0.remove(&id);
        }
    }

    /// Whether a leader can be expected to take records soon.
    pub(crate) fn is_reachable(&self, leader: Option<BrokerId>) -> bool {
        leader.and_then(|leader| self.0.get(&leader)).is_some_and(Lane::is_reachable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit() {
        let pauses: Vec<u64> = (1..8).map(|times| short_pause(times, 50)).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 50, 50]);
        assert_eq!((doubled(100, u32::MAX, 1_000), doubled(0, 1, 0), doubled(u64::MAX, 3, 7)), (1_000, 1, 7));
    }

    #[test]
    fn who_is_awake_is_not_woken_again_until_it_found_nothing() {
        let mut lane = Lane::new();
        lane.registration = Some(Broker { endpoints: Vec::new(), rack: None, epoch: 1 });
        assert!(!lane.wake(0, 2), "there is nothing to be sent");
        lane.ready.push_back((0, 0));
        assert!(lane.wake(0, 2) && lane.link == Link::Wanted);
        assert!(!lane.wake(0, 2));
        lane.connected();
        assert!(!lane.wake(0, 2), "it asks when it is connected");
        lane.sleep();
        lane.in_flight = 2;
        assert!(!lane.wake(0, 2), "enough is under way");
        lane.in_flight = 1;
        assert!(!lane.wake(0, 2), "it may become more until the answer");
        lane.due = true;
        assert!(lane.wake(0, 2));
        lane.disconnected();
        lane.paused_until = 5;
        assert!(!lane.wake(4, 2) && lane.wake(5, 2));
    }
}
