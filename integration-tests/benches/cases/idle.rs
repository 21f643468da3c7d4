//! What a broker costs that nobody needs right now.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use super::{BROKERS, CPU_SHARE, Case, Figures, Row, When};
use crate::bench::Bench;
use crate::failure::{During, Failure};
use crate::load::fetch::FetchOptions;
use crate::load::poll::{self, PollOptions};
use crate::peer::{Peer, System};
use crate::target::{Limit, Target};

/// How long a turn looks.
const DURATION: Duration = Duration::from_secs(10);
/// Consumers, each with a partition of its own.
const CONSUMERS: usize = 200;

/// Without clients, and with consumers for whom there is nothing.
pub(super) fn cases() -> Vec<Case> {
    let case = |name, what: &str, times, measure| Case {
        name,
        what: what.into(),
        when: When::EachTurn,
        systems: BROKERS,
        takes: (DURATION + Duration::from_secs(3)) * 2,
        only_in_full: false,
        disk_bytes: 0,
        rows: vec![Row::new(CPU_SHARE, Target::AtMost(Limit::Kafka(times)))],
        measure,
    };
    vec![
        case("idle", "no client", 1.0 / 10.0, Box::new(alone)),
        case("idle-consumers", "200 consumers that wait on 200 partitions", 1.0 / 3.0, Box::new(with_consumers)),
    ]
}

fn alone(bench: &mut Bench, system: System) -> Result<Figures, Failure> {
    bench.settle()?;
    let (before, start) = (Threads::of(bench.peer(system)?)?, Instant::now());
    std::thread::sleep(bench.duration(DURATION));
    let after = Threads::of(bench.peer(system)?)?;
    Ok(share(&before, &after, start.elapsed()))
}

fn with_consumers(bench: &mut Bench, system: System) -> Result<Figures, Failure> {
    let duration = bench.duration(DURATION);
    bench.settle()?;
    bench.with_topic(system, (CONSUMERS as i32, &[]), |peer, topic| {
        let options = PollOptions {
            fetch: FetchOptions::new(&peer.bootstrap, topic),
            partitions: CONSUMERS as i32,
            consumers: CONSUMERS,
            duration,
        };
        // Connecting costs as well, but not again and again.
        let mut before = None;
        let polled = poll::run(&options, || before = Some(Threads::of(peer))).during("waiting for records")?;
        let before = before.unwrap_or_else(|| Err(Failure::new("the consumers never were connected")))?;
        if polled.fetched.records > 0 {
            return Err(Failure::new("records came although nobody sent any"));
        }
        Ok(share(&before, &Threads::of(peer)?, polled.elapsed))
    })
}

/// Processor time of each thread, in nanoseconds: hundredths of a second, in which the kernel counts for a process, are
/// more than an idle broker may use.
struct Threads {
    nanoseconds: BTreeMap<String, u64>,
    /// The same for the process in seconds, with that of the threads that ended.
    seconds: f64,
}

impl Threads {
    fn of(peer: &Peer) -> Result<Threads, Failure> {
        let tasks = format!("/proc/{}/task", peer.pid());
        let mut nanoseconds = BTreeMap::new();
        for task in fs::read_dir(&tasks).during(&tasks)?.flatten() {
            // A thread may end while we look.
            let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            let time = text.split(' ').next().and_then(|time| time.parse().ok());
            nanoseconds.insert(task.file_name().to_string_lossy().into_owned(), time.unwrap_or(0));
        }
        Ok(Threads { nanoseconds, seconds: peer.usage()?.cpu_seconds() })
    }

    /// Seconds since `before`. The process's own count tells of threads that ended in between, to a hundredth.
    fn since(&self, before: &Threads) -> f64 {
        let used = |(thread, time): (&String, &u64)| time - before.nanoseconds.get(thread).unwrap_or(&0);
        let threads: u64 = self.nanoseconds.iter().map(used).sum();
        (threads as f64 / 1e9).max(self.seconds - before.seconds - 0.01)
    }
}

fn share(before: &Threads, after: &Threads, elapsed: Duration) -> Figures {
    vec![(CPU_SHARE, 100.0 * after.since(before) / elapsed.as_secs_f64())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(times: &[(&str, u64)], seconds: f64) -> Threads {
        Threads { nanoseconds: times.iter().map(|(name, time)| (name.to_string(), *time)).collect(), seconds }
    }

    #[test]
    fn a_thread_that_began_or_ended_in_between_is_counted() {
        let before = threads(&[("1", 1_000_000), ("2", 5_000_000_000)], 5.0);
        let began = threads(&[("1", 2_000_000), ("2", 5_000_000_000), ("3", 500_000)], 5.0);
        assert_eq!(began.since(&before), 0.0015);
        let ended = threads(&[("1", 2_000_000)], 5.2);
        assert!((ended.since(&before) - 0.19).abs() < 1e-9);
    }
}
