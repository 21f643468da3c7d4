//! From a producer to a consumer in an open loop: each request has one record, which carries the time at which it was due.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ottla_records::{Codec, HEADER_LEN, Magic};

use super::batch::Shape;
use super::connection::{connect, invalid};
use super::fetch::{FetchOptions, Fetcher, ends};
use super::produce::{Requests, partitions_of};
use super::rate::{HEAD_START, Latencies, RateOptions, Turns, histogram, or_shut_down, receive, record, send};
use super::schedule::Schedule;

/// Bytes of the number that a value begins with.
const STAMP_LEN: usize = 8;
/// Behind an uncompressed value of the only record: its number of headers.
const BEHIND_VALUE: usize = 1;
/// Where a batch of magic 2 has its checksum, and from where on it covers the batch.
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;
/// How long a consumer waits for the next record before it calls it lost.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// Writes the number of a request into the value of the one record of the batch that is the end of `frame`, and seals it.
fn stamp(frame: &mut [u8], batch_len: usize, record_bytes: usize, number: u64) {
    let start = frame.len() - batch_len;
    let batch = &mut frame[start..];
    let value_at = batch_len - BEHIND_VALUE - record_bytes;
    batch[value_at..value_at + STAMP_LEN].copy_from_slice(&number.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    batch[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
}

/// The number in the one record of a batch.
fn stamp_of(batch: &[u8], record_bytes: usize) -> Option<u64> {
    let value_at = batch.len().checked_sub(BEHIND_VALUE + record_bytes)?;
    batch.get(value_at..)?.first_chunk().map(|stamp| u64::from_be_bytes(*stamp))
}

/// Sends at the rate for warm-up and duration, and measures when one consumer with all partitions has each record: it
/// asks with min_bytes 1 and max_wait 500 ms.
///
/// # Errors
/// As [`super::rate::run`]; a record that comes twice, not at all, or is none of ours.
pub(crate) fn run(options: &RateOptions) -> io::Result<Latencies> {
    let record_bytes = options.shape.record_bytes;
    if options.acks == 0 || options.connections == 0 || options.requests_per_second <= 0.0 {
        return Err(invalid("an open loop needs answers (acks other than 0), a connection and a rate"));
    }
    if record_bytes < STAMP_LEN {
        return Err(invalid(format!("a record needs {STAMP_LEN} bytes for its number")));
    }
    let shape = Shape { batch_bytes: HEADER_LEN, codec: Codec::None, magic: Magic::V2, ..options.shape };
    let batch = shape.build()?;
    let version = shape.produce_version();
    let mut producers = Vec::new();
    for connection in 0..options.connections {
        let partitions = partitions_of(connection, options.connections, options.partitions);
        let requests = || Requests::new(&options.topic, partitions.clone(), (&batch, version), options.acks);
        producers.push((connect(&options.bootstrap)?, requests()?, requests()?));
    }
    let all: Vec<i32> = (0..options.partitions).collect();
    let positions = ends(&options.bootstrap, &options.topic, &all)?;
    let mut fetcher = Fetcher::connect(&FetchOptions::new(&options.bootstrap, &options.topic), positions)?;

    let schedule = Schedule::new(Instant::now() + HEAD_START, options.requests_per_second);
    let (warm_up, total) = options.requests(&schedule);
    let mut lateness = histogram();
    let has_failed = &AtomicBool::new(false);
    let histogram = std::thread::scope(|scope| {
        let consumer = scope.spawn(move || consume(&mut fetcher, schedule, (warm_up, total), record_bytes, has_failed));
        let threads: Vec<_> = (0..)
            .zip(&mut producers)
            .map(|(connection, (stream, to_send, to_check))| {
                let (stream, to_check, batch_len) = (&*stream, &*to_check, batch.bytes.len());
                let turns = Turns { schedule, connection, connections: options.connections as u64, warm_up, total };
                let sender = scope.spawn(move || {
                    let sent = send(stream, turns, |own, number, write| {
                        let frame = to_send.frame(own);
                        stamp(frame, batch_len, record_bytes, number);
                        write(frame)
                    });
                    or_shut_down(stream, sent)
                });
                let receiver = scope.spawn(move || {
                    let received = receive(stream, turns, |answer, own| to_check.check(answer, own));
                    or_shut_down(stream, received)
                });
                (sender, receiver)
            })
            .collect();
        let mut produced = Ok(());
        for (sender, receiver) in threads {
            let received = receiver.join().expect("a receiver does not panic");
            let sent = sender.join().expect("a sender does not panic");
            let both = received.and(sent).map(|late| lateness += late);
            produced = produced.and(both);
        }
        has_failed.store(produced.is_err(), Ordering::Relaxed);
        let consumed = consumer.join().expect("the consumer does not panic");
        produced.and(consumed)
    })?;
    Ok(Latencies {
        histogram,
        lateness,
        requests: total - warm_up,
        all_requests: total,
        payload_bytes: (total - warm_up) * batch.payload_bytes,
        elapsed: schedule.due(warm_up).elapsed(),
    })
}

fn consume(
    fetcher: &mut Fetcher,
    schedule: Schedule,
    (warm_up, total): (u64, u64),
    record_bytes: usize,
    has_failed: &AtomicBool,
) -> io::Result<Histogram<u64>> {
    let mut latencies = histogram();
    let mut seen = vec![false; total as usize];
    let mut left = total;
    let mut last = Instant::now();
    while left > 0 {
        let mut came = None;
        fetcher.fetch(&mut |batch| {
            // One answer is there at one time, whatever the walk over it takes.
            let now = *came.get_or_insert_with(Instant::now);
            let number = stamp_of(batch.bytes(), record_bytes).filter(|number| *number < total);
            let number = number.ok_or_else(|| invalid("a record came that was not sent here"))?;
            if std::mem::replace(&mut seen[number as usize], true) {
                return Err(invalid(format!("record {number} came twice")));
            }
            left -= 1;
            if number >= warm_up {
                record(&mut latencies, now.saturating_duration_since(schedule.due(number)));
            }
            Ok(())
        })?;
        last = came.unwrap_or(last);
        if has_failed.load(Ordering::Relaxed) || last.elapsed() > LONGEST_SILENCE {
            return Err(invalid(format!("{left} of {total} records did not come")));
        }
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_records::BatchView;
    use ottla_records::open::OpenBatch;

    /// The place of the value is counted; a broker refuses the batch if the seal is wrong, but would take a broken record.
    #[test]
    fn a_number_travels_in_the_value() {
        for record_bytes in [8, 100, 1024, 20_000] {
            let shape = Shape { record_bytes, batch_bytes: 1, codec: Codec::None, magic: Magic::V2 };
            let batch = shape.build().unwrap();
            let mut frame = [&b"the request before it"[..], &batch.bytes].concat();
            stamp(&mut frame, batch.bytes.len(), record_bytes, 0x0102_0304_0506_0708);
            let bytes = &frame[frame.len() - batch.bytes.len()..];
            let view = BatchView::parse(bytes).unwrap();
            view.check_crc().unwrap();
            let open = OpenBatch::open(&view, 0).unwrap();
            let value = open.records().next().unwrap().unwrap().value.unwrap();
            assert!(value.len() == record_bytes && value.starts_with(&[1, 2, 3, 4, 5, 6, 7, 8]));
            assert!(record_bytes == 8 || value[8..].iter().all(u8::is_ascii_uppercase));
            assert_eq!(stamp_of(bytes, record_bytes), Some(0x0102_0304_0506_0708));
        }
        assert_eq!(stamp_of(&[0; 8], 8), None);
    }
}
