//! One connection: frames in, frames out. It knows nothing of the tree.

use std::{
    io,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};
use ottla_jute::{ConnectRequest, OpCode, Reader, Record, Request, RequestHeader};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

use crate::{
    server::{
        event::{ConnectionId, Event, Incoming},
        four_letter,
        outbox::{Load, Outbox, Outgoing},
    },
    settings::FourLetterWords,
};

/// How long a connection may take to ask for a session (zookeeper.nio.sessionlessCnxnTimeout).
const SESSIONLESS: Duration = Duration::from_secs(10);
/// How long a client may take to read its last answers.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes asked of the socket at a time; a frame's buffer grows with what has come, not with what it announces.
const READ: usize = 8 << 10;
/// Answers taken from the queue at a time, ...
const WRITE_GROUP: usize = 64;
/// ... and bytes of them that leave in one write; a longer one leaves without being copied.
const WRITE: usize = 64 << 10;

/// What every connection shares.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) max_buffer: usize,
    pub(crate) words: FourLetterWords,
}

/// Serves one connection until either side ends it.
pub(crate) async fn serve(stream: TcpStream, id: ConnectionId, limits: &Limits, events: mpsc::Sender<Event>) {
    let Ok(peer) = stream.peer_addr() else { return };
    // Answers are small and awaited; without it a system may hold them back. Not fatal.
    let _ = stream.set_nodelay(true);
    let (read_half, mut write_half) = stream.into_split();
    let mut frames = Frames { stream: read_half, buffer: BytesMut::new(), max_buffer: limits.max_buffer };
    let first = tokio::select! {
        first = timeout(SESSIONLESS, first_frame(&mut frames)) => first,
        () = events.closed() => return,
    };
    let Ok(Ok(first)) = first else { return };
    let connect = match first {
        First::Word(word) => {
            if let Some(answer) = answer_word(word, limits, &events).await {
                // The client may be gone, or take nothing.
                let _ = timeout(LINGER, write_half.write_all(answer.as_bytes())).await;
                let _ = write_half.shutdown().await;
            }
            return;
        }
        First::Connect(connect) => connect,
    };
    let (outbox, outgoing, load) = Outbox::new();
    let opened = Event::Opened { connection: id, peer, outbox };
    if events.send(opened).await.is_err() {
        return;
    }
    let connect = Event::Connect { connection: id, at: Instant::now(), request: connect };
    if events.send(connect).await.is_ok() {
        tokio::select! {
            () = read(&mut frames, id, &load, &events) => {}
            () = write(&mut write_half, outgoing, &load) => {}
            () = async { load.ended().await; sleep(LINGER).await } => {}
        }
    }
    // Only fails when there is nobody left to be told.
    let _ = events.send(Event::Closed { connection: id }).await;
}

enum First {
    Word([u8; 4]),
    Connect(ConnectRequest),
}

async fn first_frame(frames: &mut Frames) -> io::Result<First> {
    let head = frames.peek_head().await?;
    if four_letter::is_known(head) {
        return Ok(First::Word(head));
    }
    let frame = frames.next().await?;
    ConnectRequest::decode(&frame).map(First::Connect).map_err(|_| io::ErrorKind::InvalidData.into())
}

async fn answer_word(word: [u8; 4], limits: &Limits, events: &mpsc::Sender<Event>) -> Option<String> {
    let word = String::from_utf8_lossy(&word).into_owned();
    if !limits.words.allows(&word) || !four_letter::is_answered(&word) {
        return Some(four_letter::refusal(&word));
    }
    let (answer, answered) = oneshot::channel();
    events.send(Event::Word { word, answer }).await.ok()?;
    answered.await.ok()
}

async fn read(frames: &mut Frames, connection: ConnectionId, load: &Load, events: &mpsc::Sender<Event>) {
    loop {
        load.eased().await;
        let Ok(frame) = frames.next().await else { return };
        let mut reader = Reader::new(&frame);
        let Ok(header) = reader.read::<RequestHeader>() else { return };
        let request = decode(&header, &mut reader);
        load.asked();
        let event = Event::Request { connection, at: Instant::now(), xid: header.xid, request };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

fn decode(header: &RequestHeader, reader: &mut Reader<'_>) -> Incoming {
    let Some(op_code) = OpCode::from_code(header.op_code) else { return Incoming::Unknown };
    match Request::read(op_code, reader) {
        Ok(Some(request)) => Incoming::Request(request),
        Ok(None) => Incoming::Unknown,
        Err(_) => Incoming::Malformed(op_code),
    }
}

async fn write(stream: &mut OwnedWriteHalf, mut outgoing: mpsc::UnboundedReceiver<Outgoing>, load: &Load) {
    let (mut group, mut small) = (Vec::with_capacity(WRITE_GROUP), Vec::new());
    loop {
        if outgoing.recv_many(&mut group, WRITE_GROUP).await == 0 {
            // The client may have closed first.
            let _ = stream.shutdown().await;
            return;
        }
        let (mut replies, mut written) = (0, 0);
        for outgoing in group.drain(..) {
            let frame = match outgoing {
                Outgoing::Reply(frame) => {
                    replies += 1;
                    frame
                }
                Outgoing::Event(frame) => frame,
            };
            written += frame.len();
            if small.len() + frame.len() > WRITE {
                if stream.write_all(&small).await.is_err() || stream.write_all(&frame).await.is_err() {
                    return;
                }
                small.clear();
            } else {
                small.extend_from_slice(&frame);
            }
        }
        if stream.write_all(&small).await.is_err() {
            return;
        }
        small.clear();
        load.wrote(replies, written);
    }
}

/// Cuts a stream into frames.
struct Frames {
    stream: OwnedReadHalf,
    buffer: BytesMut,
    max_buffer: usize,
}

impl Frames {
    /// The first four bytes, which stay.
    async fn peek_head(&mut self) -> io::Result<[u8; 4]> {
        self.fill(4).await?;
        Ok([self.buffer[0], self.buffer[1], self.buffer[2], self.buffer[3]])
    }

    /// The next frame, without its length. A length of 0, below or beyond the limit is an error.
    async fn next(&mut self) -> io::Result<Bytes> {
        let length = i32::from_be_bytes(self.peek_head().await?);
        let length = usize::try_from(length).ok().filter(|length| (1..=self.max_buffer).contains(length));
        let Some(length) = length else { return Err(io::ErrorKind::InvalidData.into()) };
        self.fill(4 + length).await?;
        self.buffer.advance(4);
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn fill(&mut self, count: usize) -> io::Result<()> {
        while self.buffer.len() < count {
            self.buffer.reserve(READ);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}
