//! A broker that keeps nothing: it answers produce requests as fast as it can, so that what a generator measures beside
//! it is the generator's own.

use std::io::{self, Write};
use std::net::TcpStream;

use bytes::Bytes;
use ottla_protocol::schema::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use ottla_protocol::{ApiKey, Frame, Message, RequestHeader};

use crate::load::connection::{Answers, invalid};

/// Where a request without its length, and an answer with it, have the correlation id.
const CORRELATION_ID: std::ops::Range<usize> = 4..8;

/// Answers every produce request as the first, which must be the like of all that follow.
///
/// # Errors
/// Of the socket; a first request that is no produce request.
pub(crate) fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut requests = Answers::new(stream.try_clone()?);
    let mut answer: Option<Vec<u8>> = None;
    loop {
        let request = match requests.next() {
            Ok(request) => request,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        let answer = match &mut answer {
            Some(answer) => answer,
            none => none.insert(success(request)?),
        };
        let id = request.get(CORRELATION_ID).ok_or_else(|| invalid("a request is too short"))?;
        answer[CORRELATION_ID].copy_from_slice(id);
        stream.write_all(answer)?;
    }
}

/// The answer that a produce request hopes for.
fn success(request: &[u8]) -> io::Result<Vec<u8>> {
    let malformed = |error: &dyn std::fmt::Display| invalid(error.to_string());
    let mut body = Bytes::copy_from_slice(request);
    let header = RequestHeader::decode(&mut body).map_err(|error| malformed(&error))?;
    if header.api_key != ApiKey::Produce {
        return Err(invalid(format!("{} is not answered here", header.api_key.name())));
    }
    let request = ProduceRequest::decode(&mut body, header.api_version).map_err(|error| malformed(&error))?;
    let topic = |topic: &ottla_protocol::schema::produce::TopicProduceData| TopicProduceResponse {
        name: topic.name.clone(),
        partition_responses: topic
            .partition_data
            .iter()
            .map(|partition| PartitionProduceResponse { index: partition.index, ..Default::default() })
            .collect(),
    };
    let response = ProduceResponse { responses: request.topic_data.iter().map(topic).collect(), ..Default::default() };
    let frame: Frame = Frame::response(&response, header.api_version, 0).map_err(|error| malformed(&error))?;
    Ok(frame.parts.iter().flat_map(|part| part.as_ref().to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::Duration;

    use ottla_records::{Codec, Magic};

    use crate::load::batch::Shape;
    use crate::load::produce::{self, Limit, ProduceOptions};
    use crate::load::rate::{self, RateOptions};

    /// Both loops against it, in every version that is sent: their count of requests is exact, and no answer is lost.
    #[test]
    fn both_loops_run_against_it() {
        for magic in [Magic::V0, Magic::V1, Magic::V2] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let bootstrap = listener.local_addr().unwrap().to_string();
            let shape = Shape { record_bytes: 100, batch_bytes: 4096, codec: Codec::None, magic };
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::scope(|scope| {
                        for stream in listener.incoming().take(4) {
                            scope.spawn(|| serve(stream.unwrap()).unwrap());
                        }
                    });
                });
                let produced = produce::run(&ProduceOptions {
                    bootstrap: bootstrap.clone(),
                    topic: "t".into(),
                    partitions: 3,
                    shape,
                    acks: 1,
                    connections: 2,
                    in_flight: 5,
                    limit: Limit::PayloadBytes(1_000_000),
                })
                .unwrap();
                let batch = shape.build().unwrap();
                assert_eq!(produced.requests, 1_000_000u64.div_ceil(batch.payload_bytes));
                assert_eq!(produced.records, produced.requests * batch.records);
                let options = RateOptions {
                    bootstrap,
                    topic: "t".into(),
                    partitions: 3,
                    shape,
                    acks: 1,
                    connections: 2,
                    requests_per_second: 2000.0,
                    warm_up: Duration::from_millis(50),
                    duration: Duration::from_millis(200),
                };
                let latencies = rate::run(&options).unwrap();
                assert_eq!((latencies.requests, latencies.histogram.len(), latencies.lateness.len()), (400, 400, 400));
                assert!(latencies.elapsed >= Duration::from_millis(199), "{:?}", latencies.elapsed);
            });
        }
    }
}
