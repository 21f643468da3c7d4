//! A record to each partition at a fixed interval, all in one produce request, whatever the consumers do.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_protocol::schema::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use ottla_protocol::{ErrorCode, Message, decode_response_header};
use ottla_records::{Codec, Magic};

use crate::failure::{During, Failure};
use crate::load::batch::Shape;
use crate::load::connection::{Answers, connect, frame, invalid};
use crate::load::schedule::Schedule;

/// Bytes of a value: as little as tells it from none.
const RECORD_BYTES: usize = 1;

/// A thread that writes until it is told to stop.
pub(crate) struct Writer {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    thread: JoinHandle<io::Result<()>>,
}

impl Writer {
    /// Begins at once.
    pub(crate) fn start(bootstrap: &str, topic: &str, partitions: i32, interval: Duration) -> Result<Writer, Failure> {
        let shape = Shape { record_bytes: RECORD_BYTES, batch_bytes: 1, codec: Codec::None, magic: Magic::V2 };
        let batch = shape.build()?;
        let version = shape.produce_version();
        let partition = |index| PartitionProduceData { index, records: Some(batch.bytes.clone()) };
        let data = TopicProduceData { name: topic.into(), partition_data: (0..partitions).map(partition).collect() };
        let request = ProduceRequest { acks: 1, timeout_ms: 30_000, topic_data: vec![data], ..Default::default() };
        let request = frame(&request, version)?;
        let mut stream = connect(bootstrap)?;
        let mut answers = Answers::new(stream.try_clone()?);
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, count) = (stop.clone(), written.clone());
        let thread = std::thread::spawn(move || {
            let schedule = Schedule::new(Instant::now(), 1.0 / interval.as_secs_f64());
            for number in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(schedule.due(number).saturating_duration_since(Instant::now()));
                stream.write_all(&request)?;
                check(answers.next()?, version)?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        Ok(Writer { stop, written, thread })
    }

    /// Stops it; how many records each partition has.
    pub(crate) fn stop(self) -> Result<usize, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| Failure::new("the writer panicked"))?.during("writing")?;
        Ok(self.written.load(Ordering::Relaxed))
    }
}

/// Fails unless every partition took its record.
fn check(answer: &[u8], version: i16) -> io::Result<()> {
    let mut body = Bytes::copy_from_slice(answer);
    decode_response_header(&mut body, ProduceRequest::KEY, version).map_err(|error| invalid(error.to_string()))?;
    let response = ProduceResponse::decode(&mut body, version).map_err(|error| invalid(error.to_string()))?;
    let mut partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    match partitions.find(|partition| partition.error_code != 0) {
        Some(refused) => {
            let why = ErrorCode::from_code(refused.error_code).map_or("unknown error", ErrorCode::message);
            Err(invalid(format!("the broker refuses a record for partition {}: {why}", refused.index)))
        }
        None => Ok(()),
    }
}
