//! How many connections may be open: in all, and from one address (`SocketServer.ConnectionQuotas`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// `max.connections`, `max.connections.per.ip` and its overrides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// At one time.
    pub all: usize,
    /// At one time from one address.
    pub per_ip: usize,
    /// The same for single addresses.
    pub per_ip_overrides: BTreeMap<IpAddr, usize>,
}

/// Counts the connections of all listeners.
#[derive(Debug)]
pub struct ConnectionQuota {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limits: ConnectionLimits,
    open: usize,
    by_ip: BTreeMap<IpAddr, usize>,
}

/// A connection's place; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    quota: Arc<ConnectionQuota>,
    ip: IpAddr,
}

/// Which limit turns a connection away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum QuotaExceeded {
    /// All of them.
    #[error("max.connections={0} are open")]
    All(usize),
    /// Those of its address.
    #[error("{0} connections are open from that address, as many as max.connections.per.ip allows")]
    PerIp(usize),
}

impl ConnectionQuota {
    /// Nothing open yet.
    pub fn new(limits: ConnectionLimits) -> ConnectionQuota {
        ConnectionQuota { state: Mutex::new(State { limits, open: 0, by_ip: BTreeMap::new() }) }
    }

    /// New limits hold for connections that come; those that are open stay.
    pub fn set_limits(&self, limits: ConnectionLimits) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).limits = limits;
    }

    /// Takes a place.
    pub(super) fn admit(self: &Arc<Self>, ip: IpAddr) -> Result<Permit, QuotaExceeded> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open >= state.limits.all {
            return Err(QuotaExceeded::All(state.limits.all));
        }
        let limit = state.limits.per_ip_overrides.get(&ip).copied().unwrap_or(state.limits.per_ip);
        let from_there = state.by_ip.get(&ip).copied().unwrap_or_default();
        if from_there >= limit {
            return Err(QuotaExceeded::PerIp(limit));
        }
        state.open += 1;
        state.by_ip.insert(ip, from_there + 1);
        Ok(Permit { quota: self.clone(), ip })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.quota.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.open -= 1;
        match state.by_ip.get_mut(&self.ip) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(state.by_ip.remove(&self.ip)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        [127, 0, 0, last].into()
    }

    #[test]
    fn places_are_counted_and_given_back() {
        let limits = ConnectionLimits { all: 3, per_ip: 1, per_ip_overrides: [(ip(9), 2)].into() };
        let quota = Arc::new(ConnectionQuota::new(limits));
        let first = quota.admit(ip(1)).unwrap();
        assert_eq!(quota.admit(ip(1)).unwrap_err(), QuotaExceeded::PerIp(1));
        let _others = (quota.admit(ip(9)).unwrap(), quota.admit(ip(9)).unwrap());
        assert_eq!(quota.admit(ip(2)).unwrap_err(), QuotaExceeded::All(3));
        drop(first);
        let again = quota.admit(ip(1)).unwrap();
        drop(again);
        assert_eq!(quota.state.lock().unwrap().by_ip, [(ip(9), 2)].into());
    }
}
