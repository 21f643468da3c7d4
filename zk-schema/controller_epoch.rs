//! `/controller_epoch`: counts elections and fences old controllers.

use ottla_types::ControllerEpoch;

use crate::document::{self, DecodeError};

/// The node whose data version fences every write of a controller.
pub const PATH: &str = "/controller_epoch";

/// The epoch before the first election; the node is created with it.
pub const INITIAL: ControllerEpoch = ControllerEpoch(0);

/// Reads the epoch: decimal text.
pub fn decode(path: &str, data: &[u8]) -> Result<ControllerEpoch, DecodeError> {
    let remedy = "write back the highest controller_epoch found in the partition state nodes";
    document::decimal(path, remedy, data).map(ControllerEpoch)
}

/// Writes the epoch.
pub fn encode(epoch: ControllerEpoch) -> Vec<u8> {
    epoch.to_string().into_bytes()
}
