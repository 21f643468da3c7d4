//! Consumers that read a topic from its first record to its end, as fast as the broker lets them.

use std::io;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::connection::invalid;
use super::fetch::{FetchOptions, Fetched, Fetcher, Position, ends};
use super::produce::partitions_of;

/// How often in a row an answer may bring nothing although the end is not reached.
const EMPTY_ANSWERS: u32 = 20;

/// What to read from where.
#[derive(Debug, Clone)]
pub(crate) struct ConsumeOptions {
    /// How to ask.
    pub(crate) fetch: FetchOptions,
    /// The topic's partitions; they are spread over the connections.
    pub(crate) partitions: i32,
    /// How many connections, each with a thread of its own and one request under way.
    pub(crate) connections: usize,
}

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Consumed {
    /// Requests.
    pub(crate) requests: u64,
    /// Bytes of answers, bytes of whole batches, records.
    pub(crate) fetched: Fetched,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
}

/// Reads from offset 0 to where the logs ended when it was called.
///
/// # Errors
/// Of a socket; what the broker says; no progress for a long time.
pub(crate) fn run(options: &ConsumeOptions) -> io::Result<Consumed> {
    let all: Vec<i32> = (0..options.partitions).collect();
    let ends = ends(&options.fetch.bootstrap, &options.fetch.topic, &all)?;
    let connections = options.connections.clamp(1, all.len().max(1));
    let fetchers = (0..connections)
        .map(|connection| {
            let own = partitions_of(connection, connections, options.partitions);
            let positions = own.into_iter().map(|partition| Position { partition, next: 0 }).collect();
            Fetcher::connect(&options.fetch, positions)
        })
        .collect::<io::Result<Vec<_>>>()?;
    let barrier = Barrier::new(fetchers.len() + 1);
    let (done, elapsed) = std::thread::scope(|scope| {
        let (barrier, ends) = (&barrier, &ends);
        let threads: Vec<_> = fetchers
            .into_iter()
            .map(|mut fetcher| {
                scope.spawn(move || {
                    barrier.wait();
                    read_to_end(&mut fetcher, ends)
                })
            })
            .collect();
        barrier.wait();
        let start = Instant::now();
        let done: Vec<_> =
            threads.into_iter().map(|thread| thread.join().expect("a consumer does not panic")).collect();
        (done, start.elapsed())
    });
    let mut total = Consumed { elapsed, ..Default::default() };
    for done in done {
        let (requests, fetched) = done?;
        total.requests += requests;
        total.fetched += fetched;
    }
    Ok(total)
}

fn read_to_end(fetcher: &mut Fetcher, ends: &[Position]) -> io::Result<(u64, Fetched)> {
    let is_short_of_its_end =
        |position: &Position| ends.iter().any(|end| end.partition == position.partition && position.next < end.next);
    let mut total = Fetched::default();
    let (mut requests, mut empty) = (0, 0);
    loop {
        fetcher.retain(is_short_of_its_end);
        if fetcher.positions().is_empty() {
            return Ok((requests, total));
        }
        let fetched = fetcher.fetch(&mut |_| Ok(()))?;
        requests += 1;
        empty = if fetched.records == 0 { empty + 1 } else { 0 };
        if empty > EMPTY_ANSWERS {
            return Err(invalid(format!("{EMPTY_ANSWERS} answers brought nothing at {:?}", fetcher.positions())));
        }
        total += fetched;
    }
}
