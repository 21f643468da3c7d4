//! Producers in an open loop: requests at a fixed rate, whatever the broker does, and how long each took from the time it
//! was meant to be sent.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::batch::Shape;
use super::connection::{Answers, connect, invalid};
pub(crate) use super::end_to_end::run as end_to_end;
use super::produce::{Requests, partitions_of};
use super::schedule::{Schedule, wake_on_time};

/// How long the threads get to be ready before the first request is due.
pub(crate) const HEAD_START: Duration = Duration::from_millis(20);
/// What the histograms span, in µs.
const LARGEST_LATENCY: u64 = 60_000_000;

/// What to send where, and how often.
#[derive(Debug, Clone)]
pub(crate) struct RateOptions {
    /// `host:port` of the broker that leads all partitions.
    pub(crate) bootstrap: String,
    /// The topic, which must exist.
    pub(crate) topic: String,
    /// Its partitions; they are spread over the connections.
    pub(crate) partitions: i32,
    /// What each request's batch is. End to end it is always one record of magic 2, not compressed.
    pub(crate) shape: Shape,
    /// 1, or -1 for all.
    pub(crate) acks: i16,
    /// How many connections, which send in turn.
    pub(crate) connections: usize,
    /// Requests a second, over all connections.
    pub(crate) requests_per_second: f64,
    /// How long requests are sent at the same rate without being counted, before those that count.
    pub(crate) warm_up: Duration,
    /// How long requests are sent that count.
    pub(crate) duration: Duration,
}

impl RateOptions {
    /// Requests of the warm-up, and all requests.
    pub(crate) fn requests(&self, schedule: &Schedule) -> (u64, u64) {
        (schedule.requests_in(self.warm_up), schedule.requests_in(self.warm_up + self.duration))
    }
}

/// How long requests took, without those of the warm-up.
#[derive(Debug, Clone)]
pub(crate) struct Latencies {
    /// In µs, from when a request was due to when its answer was there; end to end, to when its record was.
    pub(crate) histogram: Histogram<u64>,
    /// In µs, how late the generator itself wrote requests: by its own wake-ups, or because the connection was full.
    pub(crate) lateness: Histogram<u64>,
    /// Requests that counted.
    pub(crate) requests: u64,
    /// All requests, those of the warm-up too: what the broker's processor worked for.
    pub(crate) all_requests: u64,
    /// Bytes of the values in them.
    pub(crate) payload_bytes: u64,
    /// From when the first that counted was due to the last answer.
    pub(crate) elapsed: Duration,
}

/// An empty histogram, 1 µs to a minute with three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LARGEST_LATENCY, 3).expect("the bounds are constants that fit")
}

/// Records a duration; more than a minute counts as a minute.
pub(crate) fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    histogram.saturating_record((latency.as_nanos() as u64).div_ceil(1000));
}

/// Which requests one of several connections sends.
#[derive(Clone, Copy)]
pub(crate) struct Turns {
    pub(crate) schedule: Schedule,
    pub(crate) connection: u64,
    pub(crate) connections: u64,
    /// Requests that are not counted.
    pub(crate) warm_up: u64,
    /// All requests of all connections.
    pub(crate) total: u64,
}

impl Turns {
    /// The numbers of this connection's requests among all.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> + use<> {
        (self.connection..self.total).step_by(self.connections as usize)
    }
}

/// Writes each request when it is due. `prepare` makes the frame of the request with a number on this connection, and one
/// among all.
pub(crate) fn send(
    mut stream: &TcpStream,
    turns: Turns,
    mut prepare: impl FnMut(u64, u64, &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>,
) -> io::Result<Histogram<u64>> {
    wake_on_time();
    let mut lateness = histogram();
    for (own, number) in (0..).zip(turns.numbers()) {
        let late = turns.schedule.wait(number);
        prepare(own, number, &mut |frame| stream.write_all(frame))?;
        if number >= turns.warm_up {
            record(&mut lateness, late);
        }
    }
    Ok(lateness)
}

/// Takes the answers in their order.
pub(crate) fn receive(
    stream: &TcpStream,
    turns: Turns,
    check: impl Fn(&[u8], u64) -> io::Result<()>,
) -> io::Result<Histogram<u64>> {
    let mut answers = Answers::new(stream.try_clone()?);
    let mut latencies = histogram();
    for (own, number) in (0..).zip(turns.numbers()) {
        let answer = answers.next()?;
        let now = Instant::now();
        check(answer, own)?;
        if number >= turns.warm_up {
            record(&mut latencies, now.saturating_duration_since(turns.schedule.due(number)));
        }
    }
    Ok(latencies)
}

/// Ends both directions when one half fails, so that the other does not wait for it.
pub(crate) fn or_shut_down<T>(stream: &TcpStream, result: io::Result<T>) -> io::Result<T> {
    if result.is_err() {
        // It may be closed already; the error that matters is the one that is returned.
        let _ = stream.shutdown(Shutdown::Both);
    }
    result
}

/// Sends at the rate for warm-up and duration; returns when all answers are there.
///
/// # Errors
/// acks = 0, which has no answers; of a socket; the first answer that is an error.
pub(crate) fn run(options: &RateOptions) -> io::Result<Latencies> {
    if options.acks == 0 || options.connections == 0 || options.requests_per_second <= 0.0 {
        return Err(invalid("an open loop needs answers (acks other than 0), a connection and a rate"));
    }
    let batch = options.shape.build()?;
    let version = options.shape.produce_version();
    let mut connections = Vec::new();
    for connection in 0..options.connections {
        let partitions = partitions_of(connection, options.connections, options.partitions);
        let requests = || Requests::new(&options.topic, partitions.clone(), (&batch, version), options.acks);
        connections.push((connect(&options.bootstrap)?, requests()?, requests()?));
    }
    let schedule = Schedule::new(Instant::now() + HEAD_START, options.requests_per_second);
    let (warm_up, total) = options.requests(&schedule);
    let mut latencies = Latencies {
        histogram: histogram(),
        lateness: histogram(),
        requests: total - warm_up,
        all_requests: total,
        payload_bytes: (total - warm_up) * batch.payload_bytes,
        elapsed: Duration::ZERO,
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(&mut connections)
            .map(|(connection, (stream, to_send, to_check))| {
                let (stream, to_check) = (&*stream, &*to_check);
                let turns = Turns { schedule, connection, connections: options.connections as u64, warm_up, total };
                let sender = scope.spawn(move || {
                    let sent = send(stream, turns, |own, _, write| write(to_send.frame(own)));
                    or_shut_down(stream, sent)
                });
                let receiver = scope.spawn(move || {
                    let received = receive(stream, turns, |answer, own| to_check.check(answer, own));
                    or_shut_down(stream, received)
                });
                (sender, receiver)
            })
            .collect();
        for (sender, receiver) in threads {
            let received = receiver.join().expect("a receiver does not panic");
            let sent = sender.join().expect("a sender does not panic");
            // A refusal that the receiver met is why the sender was cut off.
            latencies.histogram += received?;
            latencies.lateness += sent?;
        }
        Ok::<(), io::Error>(())
    })?;
    latencies.elapsed = schedule.due(warm_up).elapsed();
    Ok(latencies)
}
