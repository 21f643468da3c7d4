//! The first frame of a connection and its answer: the only ones without a header.

use crate::{DecodeError, Reader, Record};
use bytes::Bytes;

/// Asks for a session, or for the one with that id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRequest {
    /// Ignored by servers.
    pub protocol_version: i32,
    /// The newest zxid that the client saw: a server that is behind it must turn the client away.
    pub last_zxid_seen: i64,
    /// The session timeout asked for, ms.
    pub timeout_ms: i32,
    /// 0 for a new session.
    pub session_id: i64,
    /// The session's password; of any length or null for a new session.
    pub password: Option<Bytes>,
    /// Whether a read-only server would do; absent from clients before 3.4.
    pub read_only: Option<bool>,
}

/// Grants a session. A timeout and an id of 0 say that there is no such session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectResponse {
    /// Always 0.
    pub protocol_version: i32,
    /// The session timeout granted, ms; 0 refuses.
    pub timeout_ms: i32,
    /// The session.
    pub session_id: i64,
    /// Its password, 16 bytes.
    pub password: Option<Bytes>,
    /// Present only if the request had that byte.
    pub read_only: Option<bool>,
}

fn read_optional(reader: &mut Reader<'_>) -> Result<Option<bool>, DecodeError> {
    if reader.remaining() > 0 { reader.read().map(Some) } else { Ok(None) }
}

impl Record for ConnectRequest {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol_version: reader.read()?,
            last_zxid_seen: reader.read()?,
            timeout_ms: reader.read()?,
            session_id: reader.read()?,
            password: reader.read()?,
            read_only: read_optional(reader)?,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.protocol_version.write(out);
        self.last_zxid_seen.write(out);
        self.timeout_ms.write(out);
        self.session_id.write(out);
        self.password.write(out);
        if let Some(read_only) = self.read_only {
            read_only.write(out);
        }
    }
}

impl Record for ConnectResponse {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol_version: reader.read()?,
            timeout_ms: reader.read()?,
            session_id: reader.read()?,
            password: reader.read()?,
            read_only: read_optional(reader)?,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.protocol_version.write(out);
        self.timeout_ms.write(out);
        self.session_id.write(out);
        self.password.write(out);
        if let Some(read_only) = self.read_only {
            read_only.write(out);
        }
    }
}
