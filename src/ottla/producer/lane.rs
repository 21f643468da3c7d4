//! One task for each broker: it connects, asks the core for requests, makes their bytes, sends them one behind the other
//! and tells the core what comes back.
//!
//! Reading and writing are one loop over one socket: a request costs one lock of the core, one vectored write, and its
//! answer one read; no other task is woken on the way.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ottla_producer::{Acks, Event, Lost, PartitionAnswer, Request, RequestId};
use ottla_protocol::schema::{ProduceRequest, ProduceResponse};
use ottla_protocol::{ApiKey, Frame, Message, Part, decode_response_header};
use ottla_types::{BrokerId, PartitionIndex, TopicName};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

use super::addresses::address_of;
use super::metrics::add;
use super::sealing::{Sealed, seal};
use super::shared::{Shared, Told};
use crate::client::{Limits, Socket, advance, newest_version, open, read_frame, write_pieces};

/// Why a connection is closed that could go on.
const ELSEWHERE: &str = "the broker has gone, or is elsewhere";
/// Bytes that wait to be written before the core is asked for more.
const WRITE_AHEAD: u64 = 256 << 10;
/// The largest answer to Produce that is believed, in bytes.
const LARGEST_ANSWER: usize = 16 << 20;
/// Room that is made for answers at once.
const EXPECTED_ANSWER: usize = 16 << 10;
/// Far enough away for a timer that waits for nothing.
const NEVER: Duration = Duration::from_secs(1 << 30);

/// What a lane is told.
#[derive(Debug, Default)]
pub(super) struct Signals {
    wanted: AtomicBool,
    disconnect: AtomicBool,
    changed: Notify,
}

impl Signals {
    /// There is something to send.
    pub(super) fn wake(&self) {
        self.wanted.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// The connection is to be closed. That is always answered with [`Event::Disconnected`], also when there is none.
    pub(super) fn disconnect(&self) {
        self.disconnect.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    fn take_wanted(&self) -> bool {
        self.wanted.swap(false, Ordering::AcqRel)
    }

    fn take_disconnect(&self) -> bool {
        self.disconnect.swap(false, Ordering::AcqRel)
    }
}

/// Serves a broker until it is dropped. When a connection is tried again is for the core to say.
pub(super) async fn run(shared: Arc<Shared>, broker: BrokerId, signals: Arc<Signals>) {
    loop {
        if signals.take_disconnect() {
            // There is none; whoever wants to know is told.
            shared.step(Event::Disconnected { broker, why: ELSEWHERE.into() });
        }
        if !signals.take_wanted() {
            signals.changed.notified().await;
            continue;
        }
        let opened = tokio::select! {
            () = disconnected(&signals) => Err(ELSEWHERE.into()),
            opened = connect(&shared, broker) => opened,
        };
        match opened {
            Err(why) => {
                shared.step(Event::Disconnected { broker, why });
                shared.surprised();
            }
            Ok(socket) => {
                add(&shared.figures.connections, 1);
                shared.step(Event::Connected { broker });
                let mut lane = Lane::new(&shared, broker, &socket);
                let why = lane.serve(socket, &signals).await;
                lane.lost(&why);
                shared.surprised();
            }
        }
    }
}

/// Connects to where the broker is now.
async fn connect(shared: &Shared, broker: BrokerId) -> Result<Socket, String> {
    let address = match shared.cluster().brokers.get(&broker) {
        Some(known) => address_of(known)?,
        None => return Err("it is not registered".into()),
    };
    open(&address, &shared.config.connection_options()).await.map_err(|error| error.to_string())
}

/// Waits until the lane is told to disconnect.
async fn disconnected(signals: &Signals) {
    while !signals.take_disconnect() {
        signals.changed.notified().await;
    }
}

/// A connection, and what is under way on it.
struct Lane<'a> {
    shared: &'a Arc<Shared>,
    broker: BrokerId,
    /// Of Produce; none: the broker knows none that this client knows.
    version: Option<i16>,
    correlation_id: i32,
    in_flight: VecDeque<InFlight>,
    /// What the core has not been told yet.
    told: Told,
    /// Bytes that are not written yet.
    pieces: VecDeque<Bytes>,
    /// Bytes that were ever queued and ever written.
    queued: u64,
    written: u64,
    /// The broker wants to be left alone until then.
    throttled_until: Option<Instant>,
}

/// A request whose answer has not come.
struct InFlight {
    id: RequestId,
    correlation_id: i32,
    partitions: Vec<(TopicName, PartitionIndex)>,
    deadline: Instant,
    /// Where its bytes begin and end among those that were ever queued.
    begin: u64,
    end: u64,
}

impl<'a> Lane<'a> {
    fn new(shared: &'a Arc<Shared>, broker: BrokerId, socket: &Socket) -> Lane<'a> {
        Lane {
            shared,
            broker,
            version: newest_version::<ProduceRequest>(&socket.versions),
            correlation_id: 0,
            in_flight: VecDeque::new(),
            told: Told::default(),
            pieces: VecDeque::new(),
            queued: 0,
            written: 0,
            throttled_until: None,
        }
    }

    /// Sends and receives until the connection ends; why it did.
    async fn serve(&mut self, socket: Socket, signals: &Signals) -> String {
        let Socket { mut stream, mut buffer, .. } = socket;
        let (mut reader, mut writer) = stream.split();
        let limits = Limits { most: LARGEST_ANSWER, expected: EXPECTED_ANSWER };
        let mut timer = Box::pin(sleep_until(Instant::now() + NEVER));
        let mut ask = true;
        loop {
            if ask {
                ask = self.take_requests();
            }
            self.set_timer(timer.as_mut());
            tokio::select! {
                biased;
                written = write_pieces(&mut writer, &self.pieces), if !self.pieces.is_empty() => match written {
                    Ok(bytes) => ask |= self.advance(bytes),
                    Err(error) => return error.to_string(),
                },
                frame = read_frame(&mut reader, &mut buffer, limits) => match frame {
                    Ok(Some(frame)) => match self.answered(frame) {
                        Ok(()) => ask = true,
                        Err(why) => return why,
                    },
                    Ok(None) => return "the broker closed the connection".into(),
                    Err(error) => return error.to_string(),
                },
                () = signals.changed.notified() => {
                    if signals.take_disconnect() {
                        return ELSEWHERE.into();
                    }
                    ask |= signals.take_wanted();
                }
                () = timer.as_mut() => match self.time_passed() {
                    Ok(()) => ask = true,
                    Err(why) => return why,
                }
            }
        }
    }

    /// Tells the core what it does not know yet, and takes requests while there is little left to write. Returns whether there
    /// may be more.
    fn take_requests(&mut self) -> bool {
        loop {
            let asks = self.throttled_until.is_none() && self.queued - self.written < WRITE_AHEAD;
            match self.shared.exchange(&mut self.told, asks.then_some(self.broker)) {
                Some(request) => self.queue(request),
                None => return !asks,
            }
        }
    }

    /// Makes a request's bytes and queues them.
    fn queue(&mut self, request: Request) {
        let id = request.id;
        let Sealed { sent, refused } = seal(&self.shared.config, request, self.version, &mut self.told);
        let outcome = match sent {
            _ if !refused.is_empty() => Ok(refused),
            // Nothing is left of it: the core knows why.
            None => Ok(Vec::new()),
            Some((request, partitions)) => match self.write(id, &request, partitions) {
                Ok(()) => return,
                Err(why) => Err(Lost::NotSent(why)),
            },
        };
        self.told.events.push(Event::Answered { broker: self.broker, request: id, outcome });
    }

    fn write(
        &mut self,
        id: RequestId,
        request: &ProduceRequest,
        partitions: Vec<(TopicName, PartitionIndex)>,
    ) -> Result<(), String> {
        let version = self.version.ok_or("the broker knows no Produce")?;
        self.correlation_id = self.correlation_id.wrapping_add(1) & i32::MAX;
        let client_id = Some(self.shared.client_id.clone());
        let frame =
            Frame::request(request, version, self.correlation_id, client_id).map_err(|error| error.to_string())?;
        let begin = self.queued;
        self.queued += frame.len() as u64;
        self.pieces.extend(frame.parts.into_iter().map(Part::into_bytes));
        self.in_flight.push_back(InFlight {
            id,
            correlation_id: self.correlation_id,
            partitions,
            deadline: Instant::now() + self.shared.config.request_timeout,
            begin,
            end: self.queued,
        });
        add(&self.shared.figures.requests, 1);
        Ok(())
    }

    /// So many bytes were written. Returns whether the core may have more to send.
    fn advance(&mut self, bytes: usize) -> bool {
        self.written += bytes as u64;
        add(&self.shared.figures.sent_bytes, bytes as u64);
        advance(&mut self.pieces, bytes);
        let mut told = false;
        if self.shared.config.acks == Acks::None {
            while self.in_flight.front().is_some_and(|request| request.end <= self.written) {
                let Some(request) = self.in_flight.pop_front() else { break };
                let answer = |(topic, partition)| PartitionAnswer {
                    topic,
                    partition,
                    error_code: 0,
                    message: None,
                    base_offset: -1,
                    log_append_time: -1,
                };
                let outcome = Ok(request.partitions.into_iter().map(answer).collect());
                self.told.events.push(Event::Answered { broker: self.broker, request: request.id, outcome });
                told = true;
            }
        }
        told
    }

    /// An answer came.
    fn answered(&mut self, mut frame: Bytes) -> Result<(), String> {
        let (Some(request), Some(version)) = (self.in_flight.front(), self.version) else {
            return Err("an answer came that nobody asked for".into());
        };
        let malformed = |error: ottla_protocol::DecodeError| format!("an answer that cannot be read: {error}");
        let id = decode_response_header(&mut frame, ApiKey::Produce, version).map_err(malformed)?;
        if id != request.correlation_id {
            return Err(format!("answer {id} came where {} was due", request.correlation_id));
        }
        let response = ProduceResponse::decode(&mut frame, version).map_err(malformed)?;
        let Some(request) = self.in_flight.pop_front() else { return Ok(()) };
        if let Ok(ms @ 1..) = u64::try_from(response.throttle_time_ms) {
            self.throttled_until = Some(Instant::now() + Duration::from_millis(ms));
        }
        let outcome = Ok(answers(response, request.partitions));
        self.told.events.push(Event::Answered { broker: self.broker, request: request.id, outcome });
        Ok(())
    }

    fn set_timer(&self, timer: Pin<&mut Sleep>) {
        let oldest = self.in_flight.front().map(|request| request.deadline);
        let next = oldest.into_iter().chain(self.throttled_until).min();
        // One that goes off early finds nothing due, which costs less than to set it for each request. One that has gone off
        // would go off for ever.
        if timer.is_elapsed() || next.is_some_and(|at| at < timer.deadline()) {
            timer.reset(next.unwrap_or_else(|| Instant::now() + NEVER));
        }
    }

    /// The timer went off: an error if the oldest request has waited for too long.
    fn time_passed(&mut self) -> Result<(), String> {
        let now = Instant::now();
        if self.throttled_until.is_some_and(|until| until <= now) {
            self.throttled_until = None;
        }
        match self.in_flight.front() {
            Some(request) if request.deadline <= now => {
                let after = self.shared.config.request_timeout.as_millis();
                Err(format!("no answer within request.timeout.ms ({after} ms)"))
            }
            _ => Ok(()),
        }
    }

    /// Tells the core that the connection has ended, and each request with it.
    fn lost(mut self, why: &str) {
        for request in std::mem::take(&mut self.in_flight) {
            let is_sent = request.begin < self.written;
            let lost = if is_sent { Lost::Unknown(why.into()) } else { Lost::NotSent(why.into()) };
            let outcome = Err(lost);
            self.told.events.push(Event::Answered { broker: self.broker, request: request.id, outcome });
        }
        self.told.events.push(Event::Disconnected { broker: self.broker, why: why.into() });
        self.shared.exchange(&mut self.told, None);
    }
}

/// What the broker says of each partition that it was asked about.
fn answers(response: ProduceResponse, mut asked: Vec<(TopicName, PartitionIndex)>) -> Vec<PartitionAnswer> {
    let mut answers = Vec::with_capacity(asked.len());
    for topic in response.responses {
        for said in topic.partition_responses {
            let at =
                asked.iter().position(|(name, partition)| *partition == said.index && name.as_str() == &*topic.name);
            // What was not asked, or is said twice, means nothing.
            let Some((topic, partition)) = at.map(|at| asked.swap_remove(at)) else { continue };
            let of_records = || said.record_errors.into_iter().find_map(|error| error.batch_index_error_message);
            let message = said.error_message.or_else(of_records).map(|text| text.to_string());
            answers.push(PartitionAnswer {
                topic,
                partition,
                error_code: said.error_code,
                message,
                base_offset: said.base_offset,
                log_append_time: said.log_append_time_ms,
            });
        }
    }
    answers
}
