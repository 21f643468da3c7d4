//! What the broker asks of ZooKeeper. [`znodes`] is the seam; everything else is written against it.

pub mod znodes;
