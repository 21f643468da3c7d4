//! What a step leads to.

use ottla_jute::{ErrorCode, LogEntry, Record, ReplyHeader, Response, WatcherEvent};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The session.
    pub session_id: i64,
    /// The request's number; replies carry it, log entries too.
    pub xid: i32,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// xid, zxid, error.
    pub header: ReplyHeader,
    /// Empty if there was an error.
    pub response: Response,
}

impl Reply {
    /// The frame, without its length.
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = self.header.encode();
        self.response.write(&mut frame);
        frame
    }
}

/// What to do now, in this order: the entry to disk; then the events to those sessions' connections; then the reply;
/// then close the connection if so said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// For the transaction log. Writes that fail have one too.
    pub entry: Option<LogEntry>,
    /// Notifications by session, in order.
    pub events: Vec<(i64, WatcherEvent)>,
    /// For the caller.
    pub reply: Option<Reply>,
    /// The caller's connection is to be closed after the reply.
    pub close: bool,
}

impl Outcome {
    /// An operation that nobody knows: -6, then the connection is closed.
    pub fn unimplemented(xid: i32) -> Self {
        let header = ReplyHeader { xid, zxid: -1, err: ErrorCode::Unimplemented.code() };
        Self { reply: Some(Reply { header, response: Response::Empty }), close: true, ..Self::default() }
    }

    /// From a session that ended: no answer.
    pub(crate) fn dropped() -> Self {
        Self { close: true, ..Self::default() }
    }

    pub(crate) fn answer(caller: Caller, zxid: i64, response: Response) -> Self {
        let header = ReplyHeader { xid: caller.xid, zxid, err: 0 };
        Self { reply: Some(Reply { header, response }), ..Self::default() }
    }

    pub(crate) fn error(caller: Caller, zxid: i64, error: ErrorCode) -> Self {
        let header = ReplyHeader { xid: caller.xid, zxid, err: error.code() };
        Self { reply: Some(Reply { header, response: Response::Empty }), ..Self::default() }
    }

    /// The xid of every reply to a ping, whatever was sent.
    pub(crate) const PING_XID: i32 = -2;
}
