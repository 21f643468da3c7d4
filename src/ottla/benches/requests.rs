//! How long one request takes on each path that is counted, in one thread and without sockets: the time beside
//! `integration-tests/instructions`. The median of the rounds, the best of them, and the bytes that pass over the median.
//!
//! `cargo bench -p ottla --bench requests [-- NAME]`

mod served;

use std::time::{Duration, Instant};

use ottla::net::{Records, Response};
use ottla_protocol::Part;
use served::{PATHS, Served};

/// Requests in a round: few enough that their frames lie in a cache's reach, as fresh ones do.
const IN_ROUND: u32 = 20;

const ROUNDS: usize = 100;

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    println!("{:<16} {:>12} {:>12} {:>12}", "path", "median", "best", "MB/s");
    for path in PATHS.iter().filter(|path| wanted.as_ref().is_none_or(|wanted| path.name.contains(wanted))) {
        let served = Served::new(path);
        let mut times: Vec<Duration> = (0..ROUNDS).map(|_| round(&served)).collect();
        times.sort_unstable();
        let (median, best) = (times[ROUNDS / 2], times[0]);
        let rate = bytes(&served) as f64 / median.as_secs_f64() / 1e6;
        println!("{:<16} {:>9.2} us {:>9.2} us {:>12.0}", path.name, us(median), us(best), rate);
    }
}

/// Bytes of a request and its answer, but for those that stay in the log's file until a socket wants them.
fn bytes(served: &Served) -> usize {
    let in_memory = |part: &&Part<Records>| !matches!(part, Part::Payload(Records::Stored(_)));
    let answer = |response: Response| response.parts.iter().filter(in_memory).map(Part::len).sum::<usize>();
    served.frames(1).into_iter().map(|frame| frame.len() + answer(served.serve(frame))).sum()
}

/// The time of one request of a round.
fn round(served: &Served) -> Duration {
    let frames = served.frames(IN_ROUND as usize);
    let begun = Instant::now();
    served.serve_all(frames);
    begun.elapsed() / IN_ROUND
}

fn us(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
