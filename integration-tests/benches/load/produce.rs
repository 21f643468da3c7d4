//! Producers in a closed loop: each connection keeps a number of requests under way and is as fast as the broker lets it.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_protocol::schema::metadata::MetadataRequest;
use ottla_protocol::schema::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use ottla_protocol::{ErrorCode, Message};

use super::batch::{Batch, Shape};
use super::connection::{Answers, ask, connect, frame, invalid, set_correlation_id};

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// When the values sent have at least so many bytes.
    PayloadBytes(u64),
    /// After so long.
    Duration(Duration),
}

/// What to send where.
#[derive(Debug, Clone)]
pub(crate) struct ProduceOptions {
    /// `host:port` of the broker that leads all partitions.
    pub(crate) bootstrap: String,
    /// The topic, which must exist.
    pub(crate) topic: String,
    /// Its partitions; they are spread over the connections, each request has a batch for one of them.
    pub(crate) partitions: i32,
    /// What each batch is.
    pub(crate) shape: Shape,
    /// 0, 1, or -1 for all.
    pub(crate) acks: i16,
    /// How many connections, each with a thread of its own.
    pub(crate) connections: usize,
    /// Requests under way on each connection (`max.in.flight.requests.per.connection`); not looked at for acks = 0.
    pub(crate) in_flight: usize,
    /// When to stop.
    pub(crate) limit: Limit,
}

/// What was sent and, for acks other than 0, acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Produced {
    /// Requests.
    pub(crate) requests: u64,
    /// Records in them.
    pub(crate) records: u64,
    /// Bytes of their values.
    pub(crate) payload_bytes: u64,
    /// Bytes of the batches, as they were sent.
    pub(crate) batch_bytes: u64,
    /// Bytes of the requests.
    pub(crate) wire_bytes: u64,
    /// From the first byte sent to the last answer.
    pub(crate) elapsed: Duration,
}

/// A topic's produce requests: a frame for each partition, sent again and again.
pub(crate) struct Requests {
    version: i16,
    /// Where an answer has its error code.
    error_code_at: usize,
    frames: Vec<Vec<u8>>,
}

impl Requests {
    /// Requests with this batch for these partitions.
    pub(crate) fn new(
        topic: &str,
        partitions: impl IntoIterator<Item = i32>,
        (batch, version): (&Batch, i16),
        acks: i16,
    ) -> io::Result<Requests> {
        let request = |index| ProduceRequest {
            acks,
            timeout_ms: 30_000,
            topic_data: vec![TopicProduceData {
                name: topic.into(),
                partition_data: vec![PartitionProduceData { index, records: Some(batch.bytes.clone()) }],
            }],
            ..Default::default()
        };
        let frames =
            partitions.into_iter().map(|index| frame(&request(index), version)).collect::<io::Result<Vec<_>>>()?;
        // Correlation id, number of topics, the topic's name, number of partitions, the partition's index.
        Ok(Requests { version, error_code_at: 4 + 4 + 2 + topic.len() + 4 + 4, frames })
    }

    /// The request with this number, for the partitions in turn. The number is its correlation id.
    pub(crate) fn frame(&mut self, number: u64) -> &mut [u8] {
        let turn = number as usize % self.frames.len();
        set_correlation_id(&mut self.frames[turn], number as i32);
        &mut self.frames[turn]
    }

    /// Looks at the answer to the request with this number: a few bytes of it, unless it is an error.
    ///
    /// # Errors
    /// Another request's answer; what the broker says.
    pub(crate) fn check(&self, answer: &[u8], number: u64) -> io::Result<()> {
        let correlation_id = answer.first_chunk::<4>().map(|id| i32::from_be_bytes(*id));
        if correlation_id != Some(number as i32) {
            return Err(invalid(format!("the answer to request {number} says it is that to {correlation_id:?}")));
        }
        match answer.get(self.error_code_at..self.error_code_at + 2) {
            Some([0, 0]) => Ok(()),
            _ => Err(self.failure(answer)),
        }
    }

    fn failure(&self, answer: &[u8]) -> io::Error {
        let mut body = Bytes::copy_from_slice(&answer[4..]);
        match ProduceResponse::decode(&mut body, self.version) {
            Ok(response) => {
                let partition = response.responses.iter().flat_map(|topic| &topic.partition_responses).next();
                let code = partition.map(|partition| partition.error_code).and_then(ErrorCode::from_code);
                invalid(format!("the broker refuses a batch: {}", code.map_or("unknown error", ErrorCode::message)))
            }
            Err(error) => invalid(error.to_string()),
        }
    }
}

/// The partitions of one of several connections; a connection is never without one.
pub(crate) fn partitions_of(connection: usize, connections: usize, partitions: i32) -> Vec<i32> {
    let own: Vec<i32> = (0..partitions).skip(connection).step_by(connections).collect();
    if own.is_empty() { vec![connection as i32 % partitions.max(1)] } else { own }
}

/// Sends until the limit, and returns when the last answer is there. With acks = 0, when the broker has answered a request
/// that was sent behind all others.
///
/// # Errors
/// Of a socket; the first answer that is an error.
pub(crate) fn run(options: &ProduceOptions) -> io::Result<Produced> {
    let batch = options.shape.build()?;
    // A number is taken for each request, so that fast connections do more and all end together.
    let taken = AtomicU64::new(0);
    let producers = (0..options.connections)
        .map(|connection| Producer::connect(options, &batch, connection))
        .collect::<io::Result<Vec<_>>>()?;
    let barrier = Barrier::new(producers.len() + 1);
    let (done, elapsed) = std::thread::scope(|scope| {
        let (barrier, batch, taken) = (&barrier, &batch, &taken);
        let threads: Vec<_> = producers
            .into_iter()
            .map(|mut producer| {
                scope.spawn(move || {
                    barrier.wait();
                    producer.run(options, batch, taken)
                })
            })
            .collect();
        barrier.wait();
        let start = Instant::now();
        let done: Vec<_> =
            threads.into_iter().map(|thread| thread.join().expect("a producer does not panic")).collect();
        (done, start.elapsed())
    });
    let mut total = Produced { elapsed, ..Default::default() };
    for done in done {
        let (requests, wire_bytes) = done?;
        total.requests += requests;
        total.wire_bytes += wire_bytes;
    }
    total.records = total.requests * batch.records;
    total.payload_bytes = total.requests * batch.payload_bytes;
    total.batch_bytes = total.requests * batch.bytes.len() as u64;
    Ok(total)
}

struct Producer {
    stream: TcpStream,
    answers: Answers,
    requests: Requests,
}

impl Producer {
    fn connect(options: &ProduceOptions, batch: &Batch, connection: usize) -> io::Result<Producer> {
        let partitions = partitions_of(connection, options.connections, options.partitions);
        let version = options.shape.produce_version();
        let requests = Requests::new(&options.topic, partitions, (batch, version), options.acks)?;
        let stream = connect(&options.bootstrap)?;
        let answers = Answers::new(stream.try_clone()?);
        Ok(Producer { stream, answers, requests })
    }

    /// Returns the number of requests and their bytes.
    fn run(&mut self, options: &ProduceOptions, batch: &Batch, taken: &AtomicU64) -> io::Result<(u64, u64)> {
        let start = Instant::now();
        let may_go_on = || match options.limit {
            Limit::PayloadBytes(bytes) => taken.fetch_add(1, Ordering::Relaxed) * batch.payload_bytes < bytes,
            Limit::Duration(duration) => start.elapsed() < duration,
        };
        let (mut sent, mut answered, mut wire_bytes) = (0, 0, 0);
        while may_go_on() {
            if options.acks != 0 {
                // What has already come costs nothing to take; the socket is only asked when it must be.
                while sent - answered >= options.in_flight.max(1) as u64
                    || (answered < sent && self.answers.has_whole_frame())
                {
                    self.requests.check(self.answers.next()?, answered)?;
                    answered += 1;
                }
            }
            let frame = self.requests.frame(sent);
            self.stream.write_all(frame)?;
            wire_bytes += frame.len() as u64;
            sent += 1;
        }
        if options.acks == 0 {
            ask(&self.stream, &MetadataRequest { topics: Some(Vec::new()), ..Default::default() }, 4)?;
            return Ok((sent, wire_bytes));
        }
        while answered < sent {
            self.requests.check(self.answers.next()?, answered)?;
            answered += 1;
        }
        Ok((sent, wire_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::Frame;
    use ottla_protocol::schema::produce::{PartitionProduceResponse, TopicProduceResponse};
    use ottla_records::{Codec, Magic};

    /// The place of the error code is counted, not decoded: of every version that is sent it must be the right one.
    #[test]
    fn an_error_in_an_answer_is_seen() {
        for magic in [Magic::V0, Magic::V1, Magic::V2] {
            let shape = Shape { record_bytes: 10, batch_bytes: 1, codec: Codec::None, magic };
            let version = shape.produce_version();
            let batch = shape.build().unwrap();
            let mut requests = Requests::new("orders", [3], (&batch, version), 1).unwrap();
            assert_eq!(requests.frame(258)[8..12], [0, 0, 1, 2]);
            let answer = |error_code| {
                let partition_responses =
                    vec![PartitionProduceResponse { index: 3, error_code, base_offset: -1, ..Default::default() }];
                let responses = vec![TopicProduceResponse { name: "orders".into(), partition_responses }];
                let response = ProduceResponse { responses, throttle_time_ms: -1, ..Default::default() };
                let frame: Frame = Frame::response(&response, version, 258).unwrap();
                frame.parts.iter().flat_map(|part| part.as_ref().to_vec()).skip(4).collect::<Vec<u8>>()
            };
            requests.check(&answer(0), 258).unwrap();
            assert!(requests.check(&answer(0), 259).is_err());
            let error = requests.check(&answer(ErrorCode::NotLeaderOrFollower.code()), 258).unwrap_err();
            assert!(error.to_string().contains(ErrorCode::NotLeaderOrFollower.message()), "{error}");
            assert!(requests.check(&answer(0)[..10], 258).is_err());
        }
    }

    #[test]
    fn every_partition_has_a_connection_and_every_connection_a_partition() {
        for (connections, partitions) in [(1, 1), (2, 6), (4, 6), (6, 4), (32, 1)] {
            let all: Vec<Vec<i32>> = (0..connections).map(|n| partitions_of(n, connections, partitions)).collect();
            assert!(all.iter().all(|own| !own.is_empty() && own.iter().all(|p| (0..partitions).contains(p))));
            assert!((0..partitions).all(|p| all.iter().any(|own| own.contains(&p))));
        }
    }
}
