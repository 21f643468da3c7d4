//! A client that speaks the protocol frame by frame and hides nothing.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use bytes::Bytes;
use ottla_jute::{
    Acl, ConnectRequest, ConnectResponse, CreateRequest, OpCode, PathRequest, PathVersionRequest, PathWatchRequest,
    Reader, Record, ReplyHeader, Request, RequestHeader, Response, SetDataRequest, WatcherEvent,
};

/// A frame from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Reply { header: ReplyHeader, record: Vec<u8> },
    Event(WatcherEvent),
}

pub(crate) struct Client {
    stream: TcpStream,
    pub(crate) session: i64,
    pub(crate) password: Option<Bytes>,
    pub(crate) timeout_ms: i32,
    xid: i32,
    /// Events that came before replies, oldest first.
    pub(crate) events: Vec<WatcherEvent>,
}

pub(crate) fn connect_request(timeout_ms: i32) -> ConnectRequest {
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        timeout_ms,
        session_id: 0,
        password: None,
        read_only: Some(false),
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &connect_request(30_000)).expect("a session")
    }

    /// The session again, over another connection.
    pub(crate) fn reattach(&self, address: SocketAddr) -> io::Result<Self> {
        let (session_id, password) = (self.session, self.password.clone());
        Self::connect_with(address, &ConnectRequest { session_id, password, ..connect_request(self.timeout_ms) })
    }

    /// An error: the server closed. A timeout of 0: it refused.
    pub(crate) fn connect_with(address: SocketAddr, request: &ConnectRequest) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, session: 0, password: None, timeout_ms: 0, xid: 0, events: Vec::new() };
        client.send_frame(&request.encode())?;
        let frame = client.receive_frame()?;
        let response = ConnectResponse::decode(&frame).expect("a connect response");
        assert_eq!(frame.len(), if request.read_only.is_some() { 37 } else { 36 });
        client.session = response.session_id;
        client.password = response.password;
        client.timeout_ms = response.timeout_ms;
        Ok(client)
    }

    pub(crate) fn send_frame(&mut self, body: &[u8]) -> io::Result<()> {
        let mut frame = (body.len() as i32).encode();
        frame.extend_from_slice(body);
        self.stream.write_all(&frame)
    }

    pub(crate) fn receive_frame(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut body = vec![0; i32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    /// Sends without waiting; the xid.
    pub(crate) fn send(&mut self, request: &Request) -> io::Result<i32> {
        self.xid += 1;
        let mut body = RequestHeader { xid: self.xid, op_code: request.op_code().code() }.encode();
        request.write(&mut body);
        self.send_frame(&body).map(|()| self.xid)
    }

    pub(crate) fn receive(&mut self) -> io::Result<Frame> {
        let frame = self.receive_frame()?;
        let mut reader = Reader::new(&frame);
        let header: ReplyHeader = reader.read().expect("a reply header");
        if header.xid == -1 {
            assert_eq!(header, ReplyHeader::NOTIFICATION);
            return Ok(Frame::Event(reader.read().expect("an event")));
        }
        let record = reader.take(reader.remaining()).expect("the rest").to_vec();
        Ok(Frame::Reply { header, record })
    }

    /// The next reply; events on the way are kept.
    pub(crate) fn receive_reply(&mut self) -> io::Result<(ReplyHeader, Vec<u8>)> {
        loop {
            match self.receive()? {
                Frame::Reply { header, record } => return Ok((header, record)),
                Frame::Event(event) => self.events.push(event),
            }
        }
    }

    /// Asks and waits: the answer or the error code.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Response, i32> {
        let xid = self.send(request).expect("sent");
        let (header, record) = self.receive_reply().expect("a reply");
        assert_eq!(header.xid, if request.op_code() == OpCode::Ping { -2 } else { xid });
        if header.err != 0 {
            assert!(record.is_empty());
            return Err(header.err);
        }
        Ok(Response::read(request.op_code(), &mut Reader::new(&record)).expect("a response"))
    }

    pub(crate) fn create(&mut self, path: &str, data: &str, flags: i32) -> Result<String, i32> {
        match self.ask(&create(path, data, flags))? {
            Response::Create(path) => Ok(path),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn data(&mut self, path: &str) -> Result<String, i32> {
        match self.ask(&Request::GetData(PathWatchRequest { path: path.into(), watch: false }))? {
            Response::GetData(answer) => Ok(String::from_utf8(answer.data.unwrap_or_default().into()).expect("text")),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn children(&mut self, path: &str) -> Vec<String> {
        match self.ask(&Request::GetChildren(PathWatchRequest { path: path.into(), watch: false })) {
            Ok(Response::Paths(mut children)) => {
                children.sort();
                children
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn exists(&mut self, path: &str, watch: bool) -> bool {
        self.ask(&Request::Exists(PathWatchRequest { path: path.into(), watch })).is_ok()
    }

    pub(crate) fn delete(&mut self, path: &str) -> Result<Response, i32> {
        self.ask(&Request::Delete(PathVersionRequest { path: path.into(), version: -1 }))
    }

    /// Whether the server has closed the connection, within the time of a few ticks.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.receive_frame().is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
    }

    pub(crate) fn sync(&mut self) {
        self.ask(&Request::Sync(PathRequest { path: "/".into() })).expect("sync");
    }
}

pub(crate) fn create(path: &str, data: &str, flags: i32) -> Request {
    let data = Some(Bytes::copy_from_slice(data.as_bytes()));
    Request::Create(CreateRequest { path: path.into(), data, acl: vec![Acl::open()], flags })
}

pub(crate) fn set_data(path: &str, data: &str, version: i32) -> Request {
    Request::SetData(SetDataRequest { path: path.into(), data: Some(Bytes::copy_from_slice(data.as_bytes())), version })
}

pub(crate) fn word(address: SocketAddr, word: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.write_all(word.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}
