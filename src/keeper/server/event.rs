//! What the commit loop is told.

use std::{net::SocketAddr, time::Instant};

use ottla_jute::{ConnectRequest, OpCode, Request};
use tokio::sync::oneshot;

use crate::server::outbox::Outbox;

/// One connection, numbered in the order of arrival and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// What happened on the network or to the clock. The loop takes them in this order, for all connections.
#[derive(Debug)]
pub(crate) enum Event {
    /// A client is there.
    Opened { connection: ConnectionId, peer: SocketAddr, outbox: Outbox },
    /// Its first frame.
    Connect { connection: ConnectionId, at: Instant, request: ConnectRequest },
    /// A later one.
    Request { connection: ConnectionId, at: Instant, xid: i32, request: Incoming },
    /// It is gone.
    Closed { connection: ConnectionId },
    /// A four-letter command that is on the whitelist.
    Word { word: String, answer: oneshot::Sender<String> },
    /// Time passes: sessions whose deadline is not after this expire.
    Tick { at: Instant },
    /// Old files may be removed.
    Purge,
    /// No more.
    Stop,
}

/// A frame, read.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A request that can be asked.
    Request(Request),
    /// The record of that operation cannot be read.
    Malformed(OpCode),
    /// No such operation.
    Unknown,
}

impl Incoming {
    pub(crate) fn op_code(&self) -> Option<OpCode> {
        match self {
            Self::Request(request) => Some(request.op_code()),
            Self::Malformed(op_code) => Some(*op_code),
            Self::Unknown => None,
        }
    }
}
