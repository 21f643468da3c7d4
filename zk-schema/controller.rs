//! `/controller`: the broker that is the controller.

use ottla_types::BrokerId;
use serde_json::json;

use crate::document::{self, DecodeError, Document};

/// The node of the active controller.
pub const PATH: &str = "/controller";

const REMEDY: &str = "delete the node: the brokers then elect a controller";

/// `/controller`, ephemeral: which broker is the controller (`ZkData.scala` ControllerZNode). Version 1, version 2 and the
/// bare number of before 0.8 are read, 2 is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Controller {
    /// The broker.
    pub broker_id: BrokerId,
    /// When it was elected, ms since the epoch.
    pub timestamp_ms: Option<i64>,
    /// Above 0: a KRaft controller owns the cluster (migration), and no ZooKeeper-mode broker may write.
    pub kraft_controller_epoch: i32,
}

impl Controller {
    /// Reads any version.
    pub fn decode(path: &str, data: &[u8]) -> Result<Controller, DecodeError> {
        if let Ok(id) = document::decimal(path, REMEDY, data) {
            return Ok(Controller { broker_id: BrokerId(id), timestamp_ms: None, kraft_controller_epoch: -1 });
        }
        let document = Document::parse(path, REMEDY, data)?;
        Ok(Controller {
            broker_id: BrokerId(document.int("brokerid")?),
            timestamp_ms: document.optional_long("timestamp")?,
            kraft_controller_epoch: document.optional_int("kraftControllerEpoch")?.unwrap_or(-1),
        })
    }

    /// Version 2.
    pub fn encode(&self) -> Vec<u8> {
        document::encode(&json!({
            "version": 2,
            "brokerid": self.broker_id.0,
            "timestamp": self.timestamp_ms.unwrap_or(-1).to_string(),
            "kraftControllerEpoch": self.kraft_controller_epoch,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_form_is_a_bare_number() {
        assert_eq!(Controller::decode(PATH, b"7").unwrap().broker_id, BrokerId(7));
        assert!(Controller::decode(PATH, b"{}").unwrap_err().to_string().contains("'brokerid' is missing"));
    }
}
