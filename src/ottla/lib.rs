//! The broker, its libraries and its program, on tokio: the one room that does I/O for all the others.

pub mod broker;
pub mod cli;
pub mod client;
pub mod config;
pub mod consumer;
mod host;
pub mod metrics;
pub mod net;
pub mod producer;
pub mod zk;
