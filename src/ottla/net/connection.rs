use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::output::Output;
use super::{Answer, MAX_OUTSTANDING, MAX_UNANSWERED_BYTES, Peer, Response, Service};

/// First size of the read buffer, and how far it grows ahead of what has come.
const READ_AHEAD: usize = 8 << 10;

/// Why a connection ended other than by its peer's will.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// A frame's length is negative or over `socket.request.max.bytes`.
    #[error("a request of {announced} bytes was announced, socket.request.max.bytes allows {allowed}")]
    FrameLength { announced: i32, allowed: usize },
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A request that was begun and not answered.
struct Outstanding {
    slot: Slot,
    request_bytes: usize,
}

enum Slot {
    Ready(Response),
    Waiting(Pin<Box<dyn Future<Output = Option<Response>> + Send>>),
}

enum Event {
    /// The answer at the head of the queue; `None` closes.
    Answered(Option<Response>),
    Read(usize),
    /// Nothing was asked for too long.
    Idle,
    Stop,
}

/// One connection from accept to close.
pub(super) struct Connection<S> {
    pub(super) stream: TcpStream,
    pub(super) peer: Peer,
    pub(super) service: Arc<S>,
    pub(super) max_request_bytes: usize,
    pub(super) max_idle: Duration,
    pub(super) stop: watch::Receiver<bool>,
}

impl<S: Service> Connection<S> {
    /// Serves until the peer closes, the connection is idle for too long, the service closes it or the broker stops.
    /// What was begun before is answered.
    pub(super) async fn serve(mut self) -> Result<(), ConnectionError> {
        let mut input = BytesMut::new();
        let mut output = Output::new();
        let mut queue: VecDeque<Outstanding> = VecDeque::new();
        let mut unanswered_bytes = 0;
        let mut closing = *self.stop.borrow_and_update();
        loop {
            while !closing && has_room(&queue, unanswered_bytes) {
                let Some(frame) = take_frame(&mut input, self.max_request_bytes)? else { break };
                let request_bytes = frame.len();
                let slot = match self.service.begin(&self.peer, frame.freeze()) {
                    Answer::Now(response) => Slot::Ready(response),
                    Answer::Later(future) => Slot::Waiting(future),
                    Answer::Nothing => continue,
                    Answer::Close => {
                        closing = true;
                        break;
                    }
                };
                unanswered_bytes += request_bytes;
                queue.push_back(Outstanding { slot, request_bytes });
            }
            let held_back = !closing && !has_room(&queue, unanswered_bytes);
            while let Some(response) = take_ready(&mut queue, &mut unanswered_bytes) {
                output.push(&mut self.stream, response).await?;
            }
            output.flush(&mut self.stream).await?;
            // The input may hold whole requests, and its peer may say nothing more before they are answered.
            if held_back && has_room(&queue, unanswered_bytes) {
                continue;
            }
            if queue.is_empty() {
                if closing {
                    return Ok(());
                }
                output.release();
                if input.is_empty() {
                    input = BytesMut::new();
                }
            }
            let may_read = !closing && has_room(&queue, unanswered_bytes);
            match self.next_event(queue.front_mut(), &mut input, may_read).await? {
                Event::Answered(Some(response)) => {
                    if let Some(head) = queue.front_mut() {
                        head.slot = Slot::Ready(response);
                    }
                }
                Event::Answered(None) | Event::Read(0) | Event::Idle => return Ok(()),
                Event::Read(_) => {}
                Event::Stop => closing = true,
            }
        }
    }

    /// Waits for the first of: the head's answer, bytes, the idle limit, the broker's stop.
    async fn next_event(
        &mut self,
        head: Option<&mut Outstanding>,
        input: &mut BytesMut,
        may_read: bool,
    ) -> io::Result<Event> {
        let waits = head.is_some();
        let answer = async {
            match head.map(|outstanding| &mut outstanding.slot) {
                Some(Slot::Waiting(future)) => future.as_mut().await,
                _ => std::future::pending().await,
            }
        };
        if may_read {
            input.reserve(room_for_more(input));
        }
        tokio::select! {
            biased;
            answer = answer => Ok(Event::Answered(answer)),
            count = self.stream.read_buf(input), if may_read => Ok(Event::Read(count?)),
            _ = self.stop.changed(), if may_read => Ok(Event::Stop),
            _ = tokio::time::sleep(self.max_idle), if !waits => Ok(Event::Idle),
        }
    }
}

/// Whether another request may be begun.
fn has_room(queue: &VecDeque<Outstanding>, unanswered_bytes: usize) -> bool {
    queue.len() < MAX_OUTSTANDING && unanswered_bytes < MAX_UNANSWERED_BYTES
}

/// The answer at the head of the queue, if it is there.
fn take_ready(queue: &mut VecDeque<Outstanding>, unanswered_bytes: &mut usize) -> Option<Response> {
    let head = queue.pop_front()?;
    match head.slot {
        Slot::Ready(response) => {
            *unanswered_bytes -= head.request_bytes;
            Some(response)
        }
        Slot::Waiting(_) => {
            queue.push_front(head);
            None
        }
    }
}

/// How many bytes to make room for: the rest of the frame at the head, but never more than twice what has come, so that
/// memory follows the bytes and not the announcement.
fn room_for_more(input: &BytesMut) -> usize {
    let announced = match input.first_chunk::<4>() {
        Some(prefix) => 4 + i32::from_be_bytes(*prefix).max(0) as usize,
        None => 4,
    };
    let missing = announced.saturating_sub(input.len());
    missing.clamp(READ_AHEAD, READ_AHEAD.max(input.len()))
}

/// The next whole frame, without its length.
fn take_frame(input: &mut BytesMut, max_request_bytes: usize) -> Result<Option<BytesMut>, ConnectionError> {
    let Some(prefix) = input.first_chunk::<4>() else { return Ok(None) };
    let announced = i32::from_be_bytes(*prefix);
    let length = usize::try_from(announced)
        .ok()
        .filter(|length| *length <= max_request_bytes)
        .ok_or(ConnectionError::FrameLength { announced, allowed: max_request_bytes })?;
    if input.len() < 4 + length {
        return Ok(None);
    }
    input.advance(4);
    Ok(Some(input.split_to(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_at_their_length() {
        let mut input = BytesMut::from(&b"\0\0\0\x02ab\0\0\0\x01c\0\0"[..]);
        assert_eq!(take_frame(&mut input, 10).unwrap().unwrap(), &b"ab"[..]);
        assert_eq!(take_frame(&mut input, 10).unwrap().unwrap(), &b"c"[..]);
        assert!(take_frame(&mut input, 10).unwrap().is_none());
        assert_eq!(input.len(), 2);
    }

    #[test]
    fn announced_lengths_out_of_range_are_refused() {
        for bytes in [&b"\xff\xff\xff\xff"[..], &b"\0\0\0\x0b"[..]] {
            assert!(take_frame(&mut BytesMut::from(bytes), 10).is_err());
        }
    }

    #[test]
    fn memory_follows_the_bytes_that_came() {
        let mut input = BytesMut::from(&b"\x05\xf5\xe1\x00"[..]);
        assert_eq!(room_for_more(&input), READ_AHEAD);
        input.resize(1 << 20, 0);
        assert_eq!(room_for_more(&input), 1 << 20);
    }
}
