//! What the broker asks of ZooKeeper. [`znodes`] is the seam; everything else is written against it.
//!
//! [`live`] speaks to an ensemble or to the embedded keeper.

pub mod live;
mod session;
pub mod znodes;
