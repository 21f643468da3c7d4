//! A producer that learns from ZooKeeper's watches what the cluster is.

mod config;
mod loading;
mod table;

pub use config::{ProducerConfig, Source};
pub use loading::LoadedConfig;
pub use table::sample;
