use bytes::{BufMut, Bytes};

use crate::Str;
use crate::header::{self, RequestHeader};
use crate::message::{Message, Request};
use crate::writer::{EncodeError, Writer};

/// Bytes of the length in front of each frame: a big-endian i32 that does not count itself.
pub const LENGTH_LEN: usize = 4;

/// A frame's length that must not be believed: the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("frame of {length} bytes; 0 to {limit} are allowed (socket.request.max.bytes)")]
pub struct FrameLengthError {
    /// What the four bytes said.
    pub length: i32,
    /// The most that is allowed.
    pub limit: usize,
}

/// Reads the length in front of a frame, in bytes behind it. `limit` is `socket.request.max.bytes`.
pub fn frame_length(prefix: [u8; LENGTH_LEN], limit: usize) -> Result<usize, FrameLengthError> {
    let length = i32::from_be_bytes(prefix);
    match usize::try_from(length) {
        Ok(bytes) if bytes <= limit => Ok(bytes),
        _ => Err(FrameLengthError { length, limit }),
    }
}

/// Room for a small response, so that most never grow.
const FIRST_CAPACITY: usize = 256;

fn with_room_for_length() -> Vec<u8> {
    let mut buf = Vec::with_capacity(FIRST_CAPACITY);
    buf.put_i32(0);
    buf
}

/// Record bytes in a message that is sent: bytes in memory, or a range of a file that never enters it.
pub trait Payload: Clone {
    /// Length in bytes.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Payload for Bytes {
    fn len(&self) -> usize {
        Bytes::len(self)
    }
}

/// A piece of a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Part<P = Bytes> {
    /// What the codec wrote.
    Bytes(Bytes),
    /// Record bytes, as they came in.
    Payload(P),
}

impl<P: Payload> Part<P> {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Part::Bytes(bytes) => bytes.len(),
            Part::Payload(payload) => payload.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Part<Bytes> {
    /// Its bytes.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Part::Bytes(bytes) | Part::Payload(bytes) => bytes,
        }
    }
}

impl<P: AsRef<[u8]>> AsRef<[u8]> for Part<P> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Part::Bytes(bytes) => bytes,
            Part::Payload(payload) => payload.as_ref(),
        }
    }
}

/// A request or response ready to be sent, beginning with its length: pieces to be sent one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame<P = Bytes> {
    /// The pieces, none empty.
    pub parts: Vec<Part<P>>,
}

impl<P: Payload> Frame<P> {
    /// A response behind its length and header.
    ///
    /// # Panics
    /// If the codec has no such version.
    pub fn response<M: Message<Payload = P>>(
        response: &M,
        version: i16,
        correlation_id: i32,
    ) -> Result<Frame<P>, EncodeError> {
        let mut writer = response.writer(with_room_for_length(), version);
        header::write_response_header(&mut writer, M::KEY, correlation_id);
        response.write(&mut writer);
        Frame::assemble(writer, response, true)
    }

    /// A request behind its length and header.
    ///
    /// # Panics
    /// If the codec has no such version.
    pub fn request<M: Request<Payload = P>>(
        request: &M,
        version: i16,
        correlation_id: i32,
        client_id: Option<Str>,
    ) -> Result<Frame<P>, EncodeError> {
        let mut writer = request.writer(with_room_for_length(), version);
        RequestHeader { api_key: M::KEY, api_version: version, correlation_id, client_id }.write(&mut writer);
        request.write(&mut writer);
        Frame::assemble(writer, request, true)
    }

    /// Length in bytes, the four bytes of the length included.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Puts the payloads of `message` where `writer` noted them, and the frame's length into its first four bytes.
    pub(crate) fn assemble<M: Message<Payload = P>>(
        writer: Writer,
        message: &M,
        with_length: bool,
    ) -> Result<Frame<P>, EncodeError> {
        let Writer { mut buf, cuts, payload_len, error, .. } = writer;
        if let Some(error) = error {
            return Err(error);
        }
        if with_length {
            let length = buf.len() - LENGTH_LEN + payload_len;
            let length = i32::try_from(length).map_err(|_| EncodeError::TooLong(length))?;
            buf[..LENGTH_LEN].copy_from_slice(&length.to_be_bytes());
        }
        let bytes = Bytes::from(buf);
        let mut parts = Vec::with_capacity(2 * cuts.len() + 1);
        let (mut start, mut payloads) = (0, 0);
        let mut cuts = cuts.into_iter();
        message.for_each_payload(&mut |payload| {
            if payload.is_empty() {
                return;
            }
            let cut = cuts.next().expect("a payload was counted that was not written");
            if cut > start {
                parts.push(Part::Bytes(bytes.slice(start..cut)));
            }
            payloads += payload.len();
            parts.push(Part::Payload(payload.clone()));
            start = cut;
        });
        assert!(cuts.next().is_none() && payloads == payload_len, "payloads do not match what was written");
        if start == 0 {
            parts.push(Part::Bytes(bytes));
        } else if start < bytes.len() {
            parts.push(Part::Bytes(bytes.slice(start..)));
        }
        Ok(Frame { parts })
    }
}
