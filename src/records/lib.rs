//! Record bytes: batches of magic 2, message sets of magic 0 and 1, compression, conversion and what a leader checks
//! before it appends. Pure: byte slices in, byte slices out; no clock, no I/O, and nothing here knows of requests.
//!
//! One log, three formats. Every entry of every magic begins with the same 17 bytes (offset, size, four bytes, magic), so
//! [`batch::batches`] walks any of them and yields a [`batch::BatchView`] with the fields all formats share. Recovery,
//! indexes, fetch and replication need no more than that and never open a batch.
//!
//! - [`batch`]: header, walk, checksum, the fields a leader stamps in place.
//! - [`open`]: the records of a batch of any magic, decompressed if they must be; [`record`]: one of them, with the
//!   encoding of magic 2; [`message_set`]: that of magic 0 and 1.
//! - [`compression`]: the five codecs and their framings, with an output limit on the way back.
//! - [`builder`]: makes batches; [`convert`]: magic 0/1 to 2 and back, for old producers and old consumers.
//! - [`validate`]: what produced bytes must be before they may enter a log (Kafka's `LogValidator`).
//!
//! Nothing here panics on foreign bytes or allocates more than they carry: a count or a length is compared with the
//! bytes left before it is believed, and decompression grows with what really comes, up to the caller's limit.

pub mod batch;
pub mod builder;
pub mod compression;
pub mod convert;
mod lz4;
pub mod message_set;
pub mod open;
pub mod record;
pub mod validate;

pub use batch::{BatchError, BatchHeader, BatchView, HEADER_LEN, Magic, TimestampType, batches};
pub use compression::Codec;
