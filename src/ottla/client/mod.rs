//! Talking to a broker, Ottla's or Kafka's: what the tools use, and what fetchers and the controller's channel are built on.
//!
//! A [`Connection`] is one socket: requests are pipelined, answers come in order, each request has a deadline, and the
//! version is the newest that both sides know. A [`Cluster`] knows the brokers by bootstrap addresses and metadata, keeps a
//! connection to each, and sends a request to any broker, the controller or a partition's leader. [`admin`] and [`fetch`] say
//! in domain words what is asked. Records are written by the [`producer`](crate::producer).

pub mod admin;
mod cluster;
mod connection;
mod error;
pub mod fetch;
#[cfg(test)]
pub(crate) mod scripted;
mod socket;

pub use cluster::Cluster;
pub use connection::{Connection, ConnectionOptions};
pub use error::ClientError;
pub(crate) use socket::{Limits, Socket, advance, newest_version, open, read_frame, write_pieces};
