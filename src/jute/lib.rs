//! ZooKeeper's records, as they stand on the wire and in its files.
//!
//! Jute is a plain format: numbers big-endian, strings and buffers behind an int length (-1 is null), vectors behind an
//! int count, a record is its fields in order. There are no versions and no framing inside: who reads must know what
//! comes. That is the operation's number ([`OpCode`]), which stands in the header of a request or a log entry and, for
//! an answer, only in the memory of who asked.
//!
//! - [`codec`](Record): the primitive types, and [`Record`] for everything made of them;
//! - [`OpCode`], [`ErrorCode`], [`EventType`]: the numbers with names;
//! - `records`: the table of plain records;
//! - [`Request`], [`Response`], [`Op`], [`OpResult`]: what goes back and forth, both directions of each, because tools and
//!   tests are clients;
//! - [`ConnectRequest`], [`ConnectResponse`]: the first frames, which have no header;
//! - [`LogEntry`], [`Txn`]: the transaction log.
//!
//! Bytes never make it panic or allocate more than they carry.

mod codec;
mod codes;
mod connect;
mod multi;
mod records;
mod request;
mod response;
mod stat;
mod txn;

pub use codec::{DecodeError, Reader, Record, write_buffer, write_text};
pub use codes::{ErrorCode, EventType, OpCode};
pub use connect::{ConnectRequest, ConnectResponse};
pub use multi::{Op, OpResult, ReadOp};
pub use records::*;
pub use request::Request;
pub use response::Response;
pub use stat::Stat;
pub use txn::{LogEntry, Txn, TxnHeader};

#[cfg(test)]
mod golden;
