//! ZooKeeper's wire and file records.

mod stat;

pub use stat::Stat;
