//! What a broker costs that nobody needs right now.

use std::time::Duration;

use super::{BROKERS, CPU_SHARE, Case, Figures, Row, When};
use crate::bench::{Bench, cost_of};
use crate::failure::{During, Failure};
use crate::load::fetch::FetchOptions;
use crate::load::poll::{self, PollOptions};
use crate::peer::System;
use crate::target::{Limit, Target};

/// How long a turn looks.
const DURATION: Duration = Duration::from_secs(20);
/// Consumers, each with a partition of its own.
const CONSUMERS: usize = 200;

/// Without clients, and with consumers for whom there is nothing.
pub(super) fn cases() -> Vec<Case> {
    let case = |name, what: &str, times, measure| Case {
        name,
        what: what.into(),
        when: When::EachTurn,
        systems: BROKERS,
        takes: DURATION * 2,
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
    let duration = bench.duration(DURATION);
    let ((), cost) = cost_of(bench.peer(system)?.pid(), "waiting", || {
        std::thread::sleep(duration);
        Ok::<_, Failure>(())
    })?;
    Ok(vec![(CPU_SHARE, cost.share())])
}

fn with_consumers(bench: &mut Bench, system: System) -> Result<Figures, Failure> {
    let duration = bench.duration(DURATION);
    bench.with_topic(system, CONSUMERS as i32, |peer, topic| {
        let options = PollOptions {
            fetch: FetchOptions::new(&peer.bootstrap, topic),
            partitions: CONSUMERS as i32,
            consumers: CONSUMERS,
            duration,
        };
        // Connecting costs as well, but not again and again.
        let mut before = None;
        let polled = poll::run(&options, || before = Some(peer.usage())).during("waiting for records")?;
        let before = before.unwrap_or_else(|| Err(Failure::new("the consumers never were connected")))?;
        let after = peer.usage()?;
        if polled.fetched.records > 0 {
            return Err(Failure::new("records came although nobody sent any"));
        }
        let seconds = after.since(&before).cpu_seconds();
        Ok(vec![(CPU_SHARE, 100.0 * seconds / polled.elapsed.as_secs_f64())])
    })
}
