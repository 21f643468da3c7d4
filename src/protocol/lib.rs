//! Kafka's wire protocol: requests and responses as plain structs, read from and written into bytes.
//!
//! A frame is a length, a header and a body. [`frame_length`] judges the length, [`RequestHeader::decode`] reads the
//! header, and the header names the message whose [`Message::decode`] reads the body. [`Frame::response`] does the way
//! back, [`Frame::request`] and [`decode_response_header`] serve the client's side.
//!
//! `schema/` holds one description per API, in a small language that `description.rs` explains; structs, defaults and
//! codec of all versions come from it. Two properties shape the code:
//!
//! - **Bytes are not trusted.** Every length is checked against the bytes that are left before anything is allocated,
//!   the memory of all arrays of a message is bounded by its length, and nothing panics. Bytes behind a body are left
//!   to the caller, as Kafka ignores them; unknown tagged fields are skipped.
//! - **Record bytes are not copied.** Strings and records of a message that was read share its buffer. What is
//!   written is a [`Frame`], a list of parts: bytes from here, and payloads ([`Payload`]: memory, or a range of a
//!   file) which the connection sends from where they lie.
//!
//! A tagged field at its default is never written, a field that a version lacks is dropped, null becomes
//! empty where a version has no null. Nothing here does I/O.

mod api_key;
#[cfg(test)]
mod conformance;
mod description;
mod error_code;
mod frame;
mod header;
mod message;
mod reader;
pub mod schema;
mod writer;

pub use api_key::ApiKey;
pub use error_code::ErrorCode;
pub use frame::{Frame, FrameLengthError, LENGTH_LEN, Part, Payload, frame_length};
pub use header::{RequestHeader, decode_response_header};
pub use message::{Message, Request};
pub use reader::{DecodeError, Fault, Read, Reader};
pub use schema::versions;
pub use writer::{EncodeError, Write, Writer};

/// A shared string: a piece of the buffer it was read from, or static.
pub type Str = bytestring::ByteString;

/// A topic's or directory's id; all zero is none.
pub type Uuid = [u8; 16];
