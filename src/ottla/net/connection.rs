use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

use super::output::Output;
use super::{Answer, MAX_OUTSTANDING, MAX_UNANSWERED_BYTES, Peer, Response, Service};

/// First size of the read buffer, and how far it grows ahead of what has come.
const READ_AHEAD: usize = 8 << 10;

/// The most that is read ahead of what has come, by a peer that has sent such frames before.
const MOST_READ_AHEAD: usize = 1 << 20;

/// Up to so many bytes four frames are read at once, as long as the last one: a peer that does not wait for answers then
/// gets several with one write.
const SEVERAL: usize = 256 << 10;

/// A connection without a request for so long gives its buffers back.
const QUIET: Duration = Duration::from_secs(10);

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
    /// What could not begin may now.
    Free,
    /// Time to see how long nothing was asked.
    Tick,
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

/// What a connection has in hand between two events.
struct Hands {
    input: BytesMut,
    /// Bytes of the last frame with its length: the next is likely as long.
    last_frame: usize,
    queue: VecDeque<Outstanding>,
    unanswered_bytes: usize,
    held: Option<Held>,
    closing: bool,
}

/// A request that could not begin, and until when.
struct Held {
    frame: Bytes,
    until: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<S: Service> Connection<S> {
    /// Serves until the peer closes, the connection is idle for too long, the service closes it or the broker stops.
    /// What was begun before is answered.
    pub(super) async fn serve(mut self) -> Result<(), ConnectionError> {
        let mut stop = self.stop.clone();
        // One timer and one wait for the stop in a connection's life, not in each request's.
        let mut stopped = pin!(stop.wait_for(|stopping| *stopping));
        let mut timer = pin!(sleep_until(Instant::now() + QUIET.min(self.max_idle)));
        let mut last_request = Instant::now();
        let mut output = Output::new();
        let mut hands = Hands {
            input: BytesMut::new(),
            last_frame: 0,
            queue: VecDeque::new(),
            unanswered_bytes: 0,
            held: None,
            closing: false,
        };
        loop {
            self.begin_requests(&mut hands)?;
            let held_back = !hands.closing && !hands.has_room();
            while let Some(response) = hands.take_ready() {
                output.push(&self.stream, response).await?;
            }
            output.flush(&self.stream).await?;
            // The input may hold whole requests, and its peer may say nothing more before they are answered.
            if held_back && hands.has_room() {
                continue;
            }
            if hands.closing && hands.queue.is_empty() {
                return Ok(());
            }
            match next_event(&mut self.stream, &mut hands, stopped.as_mut(), timer.as_mut()).await? {
                Event::Answered(Some(response)) => {
                    last_request = Instant::now();
                    if let Some(head) = hands.queue.front_mut() {
                        head.slot = Slot::Ready(response);
                    }
                }
                Event::Answered(None) | Event::Read(0) => return Ok(()),
                Event::Read(_) => last_request = Instant::now(),
                Event::Free => {
                    if let Some(Held { frame, .. }) = hands.held.take() {
                        self.begin(frame, &mut hands);
                    }
                }
                Event::Stop => hands.closing = true,
                Event::Tick => {
                    let waits = !hands.queue.is_empty() || hands.held.is_some();
                    let idle = last_request.elapsed();
                    if idle >= self.max_idle && !waits {
                        return Ok(());
                    }
                    if idle >= QUIET {
                        output.release();
                        hands.release();
                    }
                    timer.as_mut().reset(next_look(Instant::now(), idle, waits, self.max_idle));
                }
            }
        }
    }

    /// Begins what has come whole, as far as there is room for more answers.
    fn begin_requests(&self, hands: &mut Hands) -> Result<(), ConnectionError> {
        while !hands.closing && hands.has_room() {
            let Some(frame) = take_frame(&mut hands.input, self.max_request_bytes)? else { break };
            hands.last_frame = 4 + frame.len();
            self.begin(frame.freeze(), hands);
        }
        Ok(())
    }

    fn begin(&self, frame: Bytes, hands: &mut Hands) {
        let request_bytes = frame.len();
        let slot = match self.service.begin(&self.peer, frame.clone()) {
            Answer::Now(response) => Slot::Ready(response),
            Answer::Later(future) => Slot::Waiting(future),
            Answer::NotYet(until) => {
                hands.held = Some(Held { frame, until });
                return;
            }
            Answer::Nothing => return,
            Answer::Close => {
                hands.closing = true;
                return;
            }
        };
        hands.unanswered_bytes += request_bytes;
        hands.queue.push_back(Outstanding { slot, request_bytes });
    }
}

/// Waits for the first of: the head's answer, bytes, leave to begin what was held, the broker's stop, the timer.
async fn next_event(
    stream: &mut TcpStream,
    hands: &mut Hands,
    stopped: Pin<&mut impl Future>,
    timer: Pin<&mut Sleep>,
) -> io::Result<Event> {
    let may_read = !hands.closing && hands.has_room();
    let Hands { input, last_frame, queue, held, closing, .. } = hands;
    let answer = async {
        match queue.front_mut().map(|head| &mut head.slot) {
            Some(Slot::Waiting(future)) => future.as_mut().await,
            _ => std::future::pending().await,
        }
    };
    let free = async {
        match held {
            Some(Held { until, .. }) if !*closing => until.as_mut().await,
            _ => std::future::pending().await,
        }
    };
    let read = async {
        // Room is made when there is something to read: by then the last request has been answered, as a rule, and its
        // memory is free to be used again.
        stream.readable().await?;
        input.reserve(room_for_more(input, *last_frame));
        stream.read_buf(input).await
    };
    tokio::select! {
        biased;
        answer = answer => Ok(Event::Answered(answer)),
        () = free => Ok(Event::Free),
        count = read, if may_read => Ok(Event::Read(count?)),
        _ = stopped, if !*closing => Ok(Event::Stop),
        () = timer => Ok(Event::Tick),
    }
}

/// When to look again how long nothing was asked: at the next of the two limits.
fn next_look(now: Instant, idle: Duration, waits: bool, max_idle: Duration) -> Instant {
    let limit = match idle < QUIET {
        true => QUIET.min(max_idle),
        false => max_idle,
    };
    // While an answer waits nobody is idle, and with no limit a look now and then does no harm.
    let rest = if waits { QUIET } else { limit.saturating_sub(idle) };
    now + rest.clamp(Duration::from_millis(1), Duration::from_secs(24 * 3600))
}

impl Hands {
    /// Whether another request may be begun.
    fn has_room(&self) -> bool {
        self.held.is_none() && self.queue.len() < MAX_OUTSTANDING && self.unanswered_bytes < MAX_UNANSWERED_BYTES
    }

    /// The answer at the head of the queue, if it is there.
    fn take_ready(&mut self) -> Option<Response> {
        let head = self.queue.pop_front()?;
        match head.slot {
            Slot::Ready(response) => {
                self.unanswered_bytes -= head.request_bytes;
                Some(response)
            }
            Slot::Waiting(_) => {
                self.queue.push_front(head);
                None
            }
        }
    }

    /// Gives the input's memory back.
    fn release(&mut self) {
        self.last_frame = 0;
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }
}

/// How many bytes to make room for: the rest of the frame at the head, but never more than twice what has come or was sent
/// before, so that memory follows the bytes and not the announcement.
fn room_for_more(input: &BytesMut, last_frame: usize) -> usize {
    let announced = match input.first_chunk::<4>() {
        Some(prefix) => 4 + i32::from_be_bytes(*prefix).max(0) as usize,
        None => 0,
    };
    let expected = last_frame.max((4 * last_frame).min(SEVERAL)).min(MOST_READ_AHEAD);
    let missing = announced.saturating_sub(input.len()).max(expected.saturating_sub(input.len()));
    missing.clamp(READ_AHEAD, input.len().max(expected).max(READ_AHEAD))
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
    use std::sync::Mutex;

    use ottla_protocol::{Frame, Part};
    use ottla_types::{ListenerName, SecurityProtocol};
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

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
        assert_eq!(room_for_more(&input, 0), READ_AHEAD);
        assert_eq!(room_for_more(&input, 10_000), 40_000);
        assert_eq!(room_for_more(&input, 70_000), SEVERAL);
        assert_eq!(room_for_more(&input, 5 << 20), MOST_READ_AHEAD);
        input.resize(2 << 20, 0);
        assert_eq!(room_for_more(&input, 0), 2 << 20);
    }

    /// Answers each request with itself; one that begins with `s` only once it is let through.
    struct Echo {
        slow: tokio::sync::Semaphore,
        begun: Mutex<Vec<Bytes>>,
    }

    struct Door(Arc<Echo>);

    impl Service for Door {
        fn begin(&self, _peer: &Peer, frame: Bytes) -> Answer {
            if frame.starts_with(b"s") && self.0.slow.try_acquire().map(|permit| permit.forget()).is_err() {
                let echo = self.0.clone();
                return Answer::NotYet(Box::pin(async move { drop(echo.slow.acquire().await) }));
            }
            self.0.begun.lock().unwrap().push(frame.clone());
            Answer::Now(Frame { parts: vec![Part::Bytes(frame)] })
        }
    }

    #[tokio::test]
    async fn a_request_that_cannot_begin_holds_back_those_behind_it_and_no_other_connection() {
        let echo = Arc::new(Echo { slow: tokio::sync::Semaphore::new(0), begun: Mutex::default() });
        let (_stopping, stop) = watch::channel(false);
        let connect = async || {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, address) = listener.accept().await.unwrap();
            let peer = Peer {
                listener: ListenerName::new("PLAINTEXT"),
                security_protocol: SecurityProtocol::Plaintext,
                address,
            };
            let (max_request_bytes, max_idle) = (100, Duration::MAX);
            let service = Arc::new(Door(echo.clone()));
            let connection = Connection { stream, peer, service, max_request_bytes, max_idle, stop: stop.clone() };
            tokio::spawn(connection.serve());
            client
        };
        let (mut held, mut free) = (connect().await, connect().await);
        let frames = |words: &[&str]| -> Vec<u8> {
            words.iter().flat_map(|w| [&(w.len() as u32).to_be_bytes()[..], w.as_bytes()].concat()).collect()
        };
        held.write_all(&frames(&["a", "slow", "b"])).await.unwrap();
        let mut answer = [0; 1];
        held.read_exact(&mut answer).await.unwrap();
        free.write_all(&frames(&["c"])).await.unwrap();
        free.read_exact(&mut answer).await.unwrap();
        assert_eq!(*echo.begun.lock().unwrap(), ["a", "c"]);
        echo.slow.add_permits(1);
        let mut answers = [0; 5];
        held.read_exact(&mut answers).await.unwrap();
        assert_eq!(&answers, b"slowb");
    }

    #[test]
    fn a_connection_is_looked_at_when_it_is_quiet_and_when_it_is_idle() {
        let now = Instant::now();
        let minute = Duration::from_secs(60);
        let look = |idle, waits, max_idle| next_look(now, Duration::from_secs(idle), waits, max_idle) - now;
        assert_eq!(look(0, false, minute), QUIET);
        assert_eq!(look(4, false, minute), QUIET - Duration::from_secs(4));
        assert_eq!(look(10, false, minute), Duration::from_secs(50));
        assert_eq!(look(70, true, minute), QUIET);
        assert_eq!(look(1, false, Duration::from_secs(3)), Duration::from_secs(2));
    }
}
