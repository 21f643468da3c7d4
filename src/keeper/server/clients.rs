//! The connections as the commit loop knows them: which session each has, and its figures.

use std::{collections::BTreeMap, net::SocketAddr, time::Instant};

use bytes::Bytes;
use ottla_jute::OpCode;

use crate::server::{
    event::ConnectionId,
    four_letter::{ConnectionPicture, Latency},
    outbox::{Outbox, Outgoing},
};

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    peer: SocketAddr,
    outbox: Outbox,
    /// None before it is granted, and after the connection's end was decided.
    session: Option<i64>,
    timeout_ms: i32,
    established: Instant,
    received: u64,
    sent: u64,
    last_operation: &'static str,
    last_cxid: i32,
    last_zxid: i64,
    latency: Latency,
}

/// All connections, and the one of each session that has one.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    by_id: BTreeMap<ConnectionId, Client>,
    by_session: BTreeMap<i64, ConnectionId>,
}

impl Clients {
    pub(crate) fn open(&mut self, id: ConnectionId, peer: SocketAddr, outbox: Outbox) {
        let client = Client {
            peer,
            outbox,
            session: None,
            timeout_ms: 0,
            established: Instant::now(),
            received: 0,
            sent: 0,
            last_operation: "NA",
            last_cxid: -1,
            last_zxid: -1,
            latency: Latency::default(),
        };
        self.by_id.insert(id, client);
    }

    pub(crate) fn peer(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.by_id.get(&id).map(|client| client.peer)
    }

    /// The connection has that session from now on.
    pub(crate) fn grant(&mut self, id: ConnectionId, session: i64, timeout_ms: i32) {
        if let Some(client) = self.by_id.get_mut(&id) {
            client.session = Some(session);
            client.timeout_ms = timeout_ms;
            client.last_operation = "SESS";
            self.by_session.insert(session, id);
        }
    }

    pub(crate) fn session(&self, id: ConnectionId) -> Option<i64> {
        self.by_id.get(&id)?.session
    }

    pub(crate) fn of_session(&self, session: i64) -> Option<ConnectionId> {
        self.by_session.get(&session).copied()
    }

    /// Takes the session from the connection: nothing that still comes from it counts. Returns the session.
    pub(crate) fn release(&mut self, id: ConnectionId) -> Option<i64> {
        let session = self.by_id.get_mut(&id)?.session.take()?;
        self.by_session.remove(&session);
        Some(session)
    }

    /// Ends the connection when what is queued for it is written.
    pub(crate) fn remove(&mut self, id: ConnectionId) {
        self.release(id);
        self.by_id.remove(&id);
    }

    pub(crate) fn asked(&mut self, id: ConnectionId, operation: Option<OpCode>, cxid: i32) {
        if let Some(client) = self.by_id.get_mut(&id) {
            client.received += 1;
            client.last_operation = operation.map_or("NA", abbreviation);
            client.last_cxid = cxid;
        }
    }

    /// Queues an answer that took that long, ms.
    pub(crate) fn reply(&mut self, id: ConnectionId, frame: Bytes, zxid: i64, ms: u64) {
        if let Some(client) = self.by_id.get_mut(&id) {
            client.sent += 1;
            client.last_zxid = zxid;
            client.latency.add(ms);
            client.outbox.send(Outgoing::Reply(frame));
        }
    }

    /// Queues what was not asked for: an event, or the answer to the connect.
    pub(crate) fn notify(&mut self, id: ConnectionId, frame: Bytes) {
        if let Some(client) = self.by_id.get_mut(&id) {
            client.sent += 1;
            client.outbox.send(Outgoing::Event(frame));
        }
    }

    pub(crate) fn pictures(&self) -> Vec<ConnectionPicture> {
        let picture = |client: &Client| ConnectionPicture {
            peer: client.peer,
            outstanding: client.outbox.outstanding(),
            received: client.received,
            sent: client.sent,
            session: client.session,
            timeout_ms: client.timeout_ms,
            last_operation: client.last_operation,
            last_cxid: client.last_cxid,
            last_zxid: client.last_zxid,
            established_ms: client.established.elapsed().as_millis() as u64,
            latency: client.latency,
        };
        self.by_id.values().map(picture).collect()
    }
}

/// As `cons` names operations (Request.java, op2String).
fn abbreviation(operation: OpCode) -> &'static str {
    use OpCode::*;
    match operation {
        Create | Create2 | CreateContainer | CreateTtl => "CREA",
        Delete | DeleteContainer => "DELE",
        Exists => "EXIS",
        GetData => "GETD",
        SetData => "SETD",
        GetAcl => "GETA",
        SetAcl => "SETA",
        GetChildren | GetChildren2 => "GETC",
        Sync => "SYNC",
        Ping => "PING",
        Check => "CHEC",
        Multi => "MULT",
        MultiRead => "MLTR",
        CheckWatches => "CHKW",
        RemoveWatches => "REMW",
        SetWatches => "SETW",
        SetWatches2 => "STW2",
        AddWatch => "ADDW",
        GetEphemerals => "GETE",
        GetAllChildrenNumber => "GETACN",
        WhoAmI => "HOMI",
        CreateSession => "SESS",
        CloseSession => "CLOS",
        Auth | Sasl | Reconfig | Error => "NA",
    }
}
