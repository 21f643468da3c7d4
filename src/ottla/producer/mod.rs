//! A producer that learns from ZooKeeper's watches what the cluster is.

mod config;

pub use config::{ProducerConfig, Source};
