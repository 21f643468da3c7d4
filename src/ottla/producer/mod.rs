//! A producer that learns everything from ZooKeeper's watches.
//!
//! In the classic design a producer asks no broker where things are: it watches `/brokers/ids`, the topics that it sends to and
//! the states of their partitions, and so knows within a round trip of brokers that come and go, of topics that are
//! created, grow and are deleted, and of every change of leader. After a failover the next batch goes to the new leader because its
//! watch fired, not because a send to the old one has failed.
//!
//! ```no_run
//! use ottla::producer::{Producer, ProducerConfig, ProducerError, Record};
//!
//! # async fn example() -> Result<(), ProducerError> {
//! let producer = Producer::start(ProducerConfig::zookeeper("localhost:2181")).await?;
//! let delivery = producer.send(Record::new("orders", b"12 apples").key(b"customer 7")).await?;
//! let delivered = delivery.await?;
//! println!("partition {} offset {:?}", delivered.partition, delivered.offset);
//! producer.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Sending
//! [`Producer::send`] copies a record into the open batch of its partition and returns; it waits only for `buffer.memory` to have room
//! and for the topic to be known, `max.block.ms` at most. The [`Delivery`] that it returns is the outcome: a future, or something to
//! be dropped. Send many records before awaiting the first delivery; awaiting each at once sends each in a request of its own. A
//! record is not allocated for: a batch is.
//!
//! ```no_run
//! # use ottla::producer::{Producer, ProducerError, Record};
//! # async fn example(producer: Producer, lines: Vec<String>) -> Result<(), ProducerError> {
//! let mut deliveries = Vec::new();
//! for line in &lines {
//!     deliveries.push(producer.send(Record::new("lines", line.as_bytes())).await?);
//! }
//! for delivery in deliveries {
//!     delivery.await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Where a record goes
//! To the partition it names; else to the one that the application's [`Partitioner`] chooses; else to that of its key's hash; else it joins the
//! batch that is being filled, and another partition's turn comes when that is full.
//!
//! # What holds
//! With the defaults (acks=all, `enable.idempotence=true`) records of one partition are written once, in the order in
//! which they were sent, across retries, lost connections and changes of leader, with five requests under way. A delivery
//! that fails says why, and whether the record may have been written all the same. Memory is bounded by `buffer.memory`. A batch that
//! a broker finds too large is sent in smaller ones; a record fails for its size only if it is too large alone.
//!
//! # What is learnt how
//! With [`ProducerConfig::zookeeper`] by watches: the view is read again after each one, and behind a `sync` after a lost
//! connection or an expired session; what was known is believed until then. No Metadata request is sent, but for the one that lets a
//! broker make a topic (`allow.auto.create.topics`). Nothing is written to ZooKeeper. With [`ProducerConfig::bootstrap`] from Metadata,
//! as Kafka's producers do it. [`Producer::cluster`] and [`Producer::changes`] show what is known, to whoever wants to see it.
//!
//! # Where the work is done
//! On the runtime that [`ProducerBuilder::start`] is called on: one task that watches, one that looks at the clock, one for each
//! broker that is sent to, which compresses, checksums and sends. The session with ZooKeeper has a thread of its own.

mod addresses;
mod asking;
mod clock;
mod config;
mod core;
mod creation;
mod delivery;
mod error;
#[cfg(test)]
mod fake_cluster;
mod lane;
mod loading;
mod metadata;
mod metrics;
mod options;
mod partitioner;
#[expect(clippy::module_inception, reason = "the file is named after the type")]
mod producer;
mod record;
mod sealing;
mod sending;
mod shared;
mod table;
#[cfg(test)]
mod tests;
mod waiting;
mod wants;
mod watching;

pub use config::{ProducerConfig, Source};
pub use delivery::{Delivered, Delivery};
pub use error::ProducerError;
pub use loading::LoadedConfig;
pub use metrics::ProducerMetrics;
pub use ottla_producer::{Acks, Failure, KeyHash, Refusal};
pub use ottla_records::Codec;
pub use ottla_records::record::Header;
pub use ottla_types::{BrokerId, Offset, PartitionIndex, TopicName, TopicPartition};
pub use ottla_view::{Broker, Change, Cluster, Leadership, Topic};
pub use partitioner::{Partitioner, TopicView};
pub use producer::{Producer, ProducerBuilder};
pub use record::Record;
pub use sending::Sending;
pub use table::sample;
