//! Which controller this broker obeys: the one of the highest epoch seen, and only if it means this life of the broker.
//! The three control requests share one memory of it (`ReplicaManager.controllerEpoch`).

use std::sync::{Mutex, PoisonError};

use ottla_protocol::ErrorCode;
use ottla_types::{BrokerEpoch, ControllerEpoch};

/// The highest controller epoch seen, and the broker's own epoch.
#[derive(Debug)]
pub struct Fence {
    seen: Mutex<(ControllerEpoch, BrokerEpoch)>,
}

impl Default for Fence {
    fn default() -> Fence {
        Fence { seen: Mutex::new((ControllerEpoch::NONE, BrokerEpoch::NONE)) }
    }
}

impl Fence {
    /// The broker registered anew.
    pub fn set_broker_epoch(&self, epoch: BrokerEpoch) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).1 = epoch;
    }

    /// Admits a control request and remembers its controller.
    ///
    /// # Errors
    /// STALE_BROKER_EPOCH: an earlier life of this broker is meant (-1: any). STALE_CONTROLLER_EPOCH: a newer
    /// controller has spoken.
    pub fn admit(&self, controller: ControllerEpoch, broker: BrokerEpoch) -> Result<(), ErrorCode> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if broker != BrokerEpoch::NONE && broker < seen.1 {
            return Err(ErrorCode::StaleBrokerEpoch);
        }
        if controller < seen.0 {
            return Err(ErrorCode::StaleControllerEpoch);
        }
        seen.0 = controller;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_controllers_and_old_lives_are_turned_away() {
        let fence = Fence::default();
        fence.set_broker_epoch(BrokerEpoch(10));
        assert_eq!(fence.admit(ControllerEpoch(2), BrokerEpoch(10)), Ok(()));
        assert_eq!(fence.admit(ControllerEpoch(1), BrokerEpoch(10)), Err(ErrorCode::StaleControllerEpoch));
        assert_eq!(fence.admit(ControllerEpoch(3), BrokerEpoch(9)), Err(ErrorCode::StaleBrokerEpoch));
        assert_eq!(fence.admit(ControllerEpoch(2), BrokerEpoch(-1)), Ok(()), "the refused one left no trace");
    }
}
