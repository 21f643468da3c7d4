//! Consumers that wait for records that do not come: what a broker spends on clients that want nothing.

use std::io;
use std::time::{Duration, Instant};

use super::fetch::{FetchOptions, Fetched, Fetcher, Position, ends};

/// A thread that waits for a socket needs little.
const STACK: usize = 64 << 10;

/// Who waits for what.
#[derive(Debug, Clone)]
pub(crate) struct PollOptions {
    /// How to ask; its `max_wait` is how often each consumer asks anew.
    pub(crate) fetch: FetchOptions,
    /// The topic's partitions.
    pub(crate) partitions: i32,
    /// How many consumers, each with a connection and one partition.
    pub(crate) consumers: usize,
    /// How long, from when all are connected.
    pub(crate) duration: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Polled {
    /// Requests that were answered.
    pub(crate) requests: u64,
    /// What came against expectation.
    pub(crate) fetched: Fetched,
    /// From when all were connected to the last answer.
    pub(crate) elapsed: Duration,
}

/// Keeps the consumers asking, from the ends of the partitions on. `connected` is called when all are there and have been
/// asking for one `max_wait`, which is when the duration begins.
///
/// # Errors
/// Of a socket; what the broker says.
pub(crate) fn run(options: &PollOptions, connected: impl FnOnce()) -> io::Result<Polled> {
    let all: Vec<i32> = (0..options.partitions).collect();
    let ends = ends(&options.fetch.bootstrap, &options.fetch.topic, &all)?;
    let consumers = options.consumers.max(1);
    let max_wait = options.fetch.max_wait;
    let fetchers = (0..consumers)
        .map(|consumer| {
            let Position { partition, next } = ends[consumer % ends.len()];
            Fetcher::connect(&options.fetch, vec![Position { partition, next }])
        })
        .collect::<io::Result<Vec<_>>>()?;
    let begin = Instant::now() + 2 * max_wait;
    let end = begin + options.duration;
    let done = std::thread::scope(|scope| {
        let threads = (0..)
            .zip(fetchers)
            .map(|(consumer, mut fetcher)| {
                std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || {
                    // Real consumers do not start together.
                    std::thread::sleep(max_wait * consumer / consumers as u32);
                    poll(&mut fetcher, begin, end)
                })
            })
            .collect::<io::Result<Vec<_>>>()?;
        std::thread::sleep(begin.saturating_duration_since(Instant::now()));
        connected();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a consumer does not panic"))
            .collect::<io::Result<Vec<_>>>()
    })?;
    let mut total = Polled { elapsed: begin.elapsed(), ..Default::default() };
    for (requests, fetched) in done {
        total.requests += requests;
        total.fetched += fetched;
    }
    Ok(total)
}

fn poll(fetcher: &mut Fetcher, begin: Instant, end: Instant) -> io::Result<(u64, Fetched)> {
    let mut total = Fetched::default();
    let mut requests = 0;
    loop {
        let fetched = fetcher.fetch(&mut |_| Ok(()))?;
        let now = Instant::now();
        if now >= begin {
            requests += 1;
            total += fetched;
        }
        if now >= end {
            return Ok((requests, total));
        }
    }
}
