//! Sockets in, answers out: listeners, connections and the order of their answers. Knows frames, not requests.
//!
//! A connection is one task. It reads into its own buffer, hands each whole frame to the [`Service`] in the order of
//! arrival and writes the answers in the same order. An answer that must wait is a future at its place in the queue; at
//! most [`MAX_OUTSTANDING`] requests or [`MAX_UNANSWERED_BYTES`] wait before reading stops, so a connection's memory is
//! bounded whatever its peer sends. A response is a list of parts, bytes or ranges of log files; what the page cache
//! holds is read and written here, what it does not is read on the blocking pool.

mod connection;
mod listener;
mod output;
mod quota;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;
use ottla_log::FileRange;
use ottla_protocol::{Frame, Payload};
use ottla_types::{ListenerName, SecurityProtocol};

pub(crate) use listener::without_pacing;
pub use listener::{BindError, Listener, ListenerLimits};
pub use quota::{ConnectionLimits, ConnectionQuota};

/// Record bytes on their way out.
#[derive(Debug, Clone)]
pub enum Records {
    /// A range of a log file, sent as it lies there.
    Stored(FileRange),
    /// Bytes that were converted for an old client.
    Converted(Bytes),
}

impl Payload for Records {
    fn len(&self) -> usize {
        match self {
            Records::Stored(range) => range.len as usize,
            Records::Converted(bytes) => bytes.len(),
        }
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Records {
        Records::Converted(bytes)
    }
}

/// What goes out for one request, its length first: pieces written by the codec, and record bytes between them.
pub type Response = Frame<Records>;

/// Requests of one connection that may be begun and not answered.
pub const MAX_OUTSTANDING: usize = 16;

/// Bytes of requests of one connection that may be begun and not answered.
pub const MAX_UNANSWERED_BYTES: usize = 1 << 20;

/// What is known of a connection before its first request.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The listener that accepted it.
    pub listener: ListenerName,
    /// That listener's protection.
    pub security_protocol: SecurityProtocol,
    /// The other end.
    pub address: SocketAddr,
}

/// A service's word on one request.
pub enum Answer {
    /// Answered.
    Now(Response),
    /// Will be answered when the future says so; later requests of the connection begin meanwhile. `None` closes the
    /// connection.
    Later(Pin<Box<dyn Future<Output = Option<Response>> + Send>>),
    /// Beginning it now would wait for something slow: it is to be begun again when the future says so. No later request
    /// of the connection begins before.
    NotYet(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// No answer is expected (acks=0).
    Nothing,
    /// The connection cannot go on; the reason has been logged.
    Close,
}

/// What a listener's connections are for.
pub trait Service: Send + Sync + 'static {
    /// Begins one request. `frame` is the request without its length. Must not block: what takes time is `Later`,
    /// what cannot even begin is `NotYet`.
    fn begin(&self, peer: &Peer, frame: Bytes) -> Answer;
}
