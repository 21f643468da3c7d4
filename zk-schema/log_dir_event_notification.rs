//! `/log_dir_event_notification/log_dir_event_<n>`: hints to the controller that a disk failed.

use ottla_types::BrokerId;
use serde_json::json;

use crate::document::{self, DecodeError, Document};

/// The folder of the notifications.
pub const PARENT: &str = "/log_dir_event_notification";

/// What the server adds a ten-digit number to.
pub const PREFIX: &str = "/log_dir_event_notification/log_dir_event_";

/// The one event there is: a log directory failed.
const LOG_DIR_FAILURE: i32 = 1;

/// Reads which broker lost a log directory.
pub fn decode(path: &str, data: &[u8]) -> Result<BrokerId, DecodeError> {
    Document::parse(path, "delete the node: it is only a hint", data)?.int("broker").map(BrokerId)
}

/// Version 1.
pub fn encode(broker: BrokerId) -> Vec<u8> {
    document::encode(&json!({"version": 1, "broker": broker.0, "event": LOG_DIR_FAILURE}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_reads_back() {
        assert_eq!(encode(BrokerId(3)), br#"{"version":1,"broker":3,"event":1}"#);
        assert_eq!(decode(PARENT, &encode(BrokerId(3))).unwrap(), BrokerId(3));
    }
}
