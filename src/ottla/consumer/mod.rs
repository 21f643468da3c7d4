//! The classic consumer: ids, owners, offsets and watches in ZooKeeper, as Kafka's consumers did it from 0.7 to 1.1.
//!
//! A [`Consumer`] is a member of a group. It registers under `/consumers/<group>/ids`, gets its share of the partitions of
//! the topics that it subscribes to, writes its id into the ephemeral owner node of each, and records its offsets under
//! `/consumers/<group>/offsets`. Consumers of Kafka 0.8 to 1.1, kafka-node and others that do the same may be in the same
//! group.
//!
//! ```no_run
//! use ottla::consumer::{Consumer, ConsumerConfig, ConsumerError, Subscription};
//!
//! # async fn example() -> Result<(), ConsumerError> {
//! let config = ConsumerConfig::new("localhost:2181", "billing");
//! let consumer = Consumer::start(config, Subscription::topics([("orders", 2)])?).await?;
//! let readers = consumer.streams().into_iter().map(|mut stream| {
//!     tokio::spawn(async move {
//!         loop {
//!             match stream.next().await {
//!                 Ok(record) => println!("{}-{} {}", record.topic, record.partition, record.offset),
//!                 Err(ConsumerError::Closed) => break,
//!                 Err(error) => eprintln!("{error}"),
//!             }
//!         }
//!     })
//! });
//! let readers: Vec<_> = readers.collect();
//! tokio::signal::ctrl_c().await.expect("signals can be listened for");
//! consumer.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Streams
//! [`Consumer::streams`] gives as many [`Stream`]s as the [`Subscription`] asks for; each belongs to one task. [`Stream::next`] yields a
//! [`Record`] that can be kept and sent elsewhere, its bytes not copied. [`Stream::next_batch`] yields a [`Batch`], an iterator over
//! records borrowed from it, for who has millions to read.
//!
//! # What is committed, and when
//! A record counts as consumed when the application asks its stream for the next one. What is consumed is committed every
//! `auto.commit.interval.ms`, and when a partition goes to another member. So a record that the application was working
//! on when its process died is delivered again: **at least once**. (The old consumer committed what it had handed out, worked on
//! or not.) [`Consumer::commit`] and [`Consumer::close`] count everything that was handed out: call them when the application has done
//! with what it holds. With `auto.commit.enable=false` nothing is committed but by `commit`.
//!
//! Before a partition goes to another member, the application is given time (`revoke_wait`, 5 s) to ask for the next record;
//! then it goes regardless, and the record is delivered once more.
//!
//! # What never happens
//! Records of a partition are handed out by its owner alone. For each record, in both forms, a clock is looked at that goes on while
//! the machine sleeps: delivery stops before ZooKeeper can have ended the session, also when nobody could tell the process so.
//! What was fetched of a partition that has gone is dropped. Commits are fenced by the registration, the owner node and the
//! version of the offset node, and never go backwards unless the application sought.
//!
//! # What changes hands
//! Only three things shift partitions: members that come or go, topics that come or go, topics that get more partitions. A
//! partition that stays where it is goes on undisturbed. The move of a leader, or the death of a broker, is a matter of
//! fetching alone. A [`PartitionListener`] is told what comes and goes.
//!
//! # Where the work is done
//! On the runtime that [`ConsumerBuilder::start`] is called on: one task that decides what the member does, one that looks for
//! leaders, one for each broker that is fetched from. Records are decompressed and checked by the tasks that read the
//! streams. The session with ZooKeeper has a thread of its own. A runtime that the application blocks cannot renew the lease:
//! delivery then pauses, and other members take over when the session ends.

mod chunk;
mod config;
#[expect(clippy::module_inception, reason = "the file is named after the type")]
mod consumer;
mod delivery;
mod driver;
mod error;
#[cfg(test)]
mod fake_broker;
mod fetcher;
mod fetching;
mod identity;
mod lease;
mod listener;
mod metrics;
mod queue;
mod record;
mod shared;
mod stream;
mod subscription;
mod table;
#[cfg(test)]
mod tests;

pub use config::{Assignor, ConsumerConfig, LoadedConfig, OffsetReset};
pub use consumer::{Consumer, ConsumerBuilder};
pub use error::ConsumerError;
pub use listener::{Loss, LostPartition, PartitionListener, Reaction};
pub use metrics::{ConsumerMetrics, PartitionMetrics};
pub use ottla_classic::{CommitError, Fatal};
pub use ottla_records::TimestampType;
pub use ottla_records::record::Headers;
pub use ottla_types::{Offset, PartitionIndex, TopicName, TopicPartition};
pub use record::{Record, RecordRef};
pub use stream::{Batch, Stream};
pub use subscription::Subscription;
pub use table::sample;
