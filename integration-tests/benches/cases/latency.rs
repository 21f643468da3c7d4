//! How long requests take at rates at which Kafka needs less than half a core: in an open loop, each counted from when it
//! was due, so that a broker that stalls is not spared the requests that it kept from being sent.

use std::time::Duration;

use ottla_records::{Codec, Magic};

use super::produce::{BATCH, PARTITIONS};
use super::{ALL, CPU_PER_MILLION, Case, Figures, MAX, P50, P99, P999, Row, When};
use crate::bench::{Bench, cost_of};
use crate::failure::Failure;
use crate::floor_process::FloorProcess;
use crate::load::batch::Shape;
use crate::load::rate::{self, Latencies, RateOptions};
use crate::peer::System;
use crate::target::{Limit, Target};

/// How long a turn counts.
const DURATION: Duration = Duration::from_secs(10);
/// How long it runs before, uncounted.
const WARM_UP: Duration = Duration::from_secs(1);
/// Connections that send in turn.
const CONNECTIONS: usize = 4;

/// Requests at a rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// What each request carries.
    pub(super) shape: Shape,
    /// Requests a second.
    pub(super) per_second: f64,
}

/// 5,000 requests a second of one record of 1 KiB.
pub(super) const UNBATCHED: Rate = Rate {
    shape: Shape { record_bytes: 1024, batch_bytes: 1, codec: Codec::None, magic: Magic::V2 },
    per_second: 5000.0,
};

/// 50 MB/s in batches of 64 KiB of records of 1 KiB.
pub(super) const BATCHED: Rate = Rate {
    shape: Shape { record_bytes: 1024, batch_bytes: BATCH, codec: Codec::None, magic: Magic::V2 },
    per_second: 50e6 / BATCH as f64,
};

impl Rate {
    /// The load on a topic.
    pub(super) fn on(&self, bootstrap: &str, topic: &str, partitions: i32, duration: Duration) -> RateOptions {
        RateOptions {
            bootstrap: bootstrap.into(),
            topic: topic.into(),
            partitions,
            shape: self.shape,
            acks: 1,
            connections: CONNECTIONS,
            requests_per_second: self.per_second,
            warm_up: WARM_UP,
            duration,
        }
    }
}

/// Answers of unbatched and batched produce requests, and records on their way to a consumer.
pub(super) fn cases() -> Vec<Case> {
    let quarter = Target::AtMost(Limit::Kafka(0.25));
    let answered = || {
        let judged = [P99, P999, MAX].map(|metric| Row::beyond_floor(metric, quarter));
        [Row::beyond_floor(P50, Target::Shown)].into_iter().chain(judged)
    };
    let million = Row::new(CPU_PER_MILLION, Target::AtMost(Limit::Kafka(1.0 / 3.0)));
    let third = Target::AtMost(Limit::Kafka(1.0 / 3.0));
    let arrived = [(P50, Target::Shown), (P99, third), (P999, Target::Shown), (MAX, Target::Shown)];
    let arrived = arrived.map(|(metric, target)| Row::beyond_floor(metric, target)).to_vec();
    let case = |name, what: &str, systems, rows, measure| Case {
        name,
        what: what.into(),
        when: When::EachTurn,
        systems,
        takes: (DURATION + WARM_UP) * systems.len() as u32 + Duration::from_secs(4),
        only_in_full: false,
        disk_bytes: 2_000_000_000,
        rows,
        measure,
    };
    vec![
        case(
            "unbatched-1k",
            "5,000 requests/s of one 1 KiB record in an open loop: cost and latency of answers",
            ALL,
            [million].into_iter().chain(answered()).collect(),
            Box::new(|bench, system| answers(bench, system, UNBATCHED)),
        ),
        case(
            "latency-batched",
            "50 MB/s in batches of 64 KiB in an open loop: latency of answers",
            ALL,
            answered().collect(),
            Box::new(|bench, system| Ok(without_cost(answers(bench, system, BATCHED)?))),
        ),
        case(
            "end-to-end",
            "5,000 requests/s of one 1 KiB record: from when it was due to when a consumer has it",
            ALL,
            arrived,
            Box::new(|bench, system| {
                // The way to a consumer has no floor of its own; that of the answer is the first half of it.
                if system == System::Floor {
                    return Ok(without_cost(answers(bench, system, UNBATCHED)?));
                }
                let duration = bench.duration(DURATION);
                bench.settle()?;
                bench.with_topic(system, (PARTITIONS, &[]), |peer, topic| {
                    let options = UNBATCHED.on(&peer.bootstrap, topic, PARTITIONS, duration);
                    Ok(percentiles(&rate::end_to_end(&options)?))
                })
            }),
        ),
    ]
}

fn answers(bench: &mut Bench, system: System, load: Rate) -> Result<Figures, Failure> {
    let duration = bench.duration(DURATION);
    bench.settle()?;
    let at = |bootstrap: &str, topic: &str, pid: u32| {
        let options = load.on(bootstrap, topic, PARTITIONS, duration);
        let (latencies, cost) = cost_of(pid, "sending at a rate", || rate::run(&options))?;
        // The warm-up is paid for as well.
        let requests = (load.per_second * (options.warm_up + options.duration).as_secs_f64()) as u64;
        let mut figures = vec![(CPU_PER_MILLION, cost.per_million(requests))];
        figures.extend(percentiles(&latencies));
        Ok(figures)
    };
    if system == System::Floor {
        let floor = FloorProcess::start(&["null"])?;
        return at(&floor.address, "floor", floor.pid());
    }
    bench.with_topic(system, (PARTITIONS, &[]), |peer, topic| at(&peer.bootstrap, topic, peer.pid()))
}

fn without_cost(figures: Figures) -> Figures {
    figures.into_iter().filter(|(metric, _)| *metric != CPU_PER_MILLION).collect()
}

fn percentiles(latencies: &Latencies) -> Figures {
    let ms = |quantile| latencies.histogram.value_at_quantile(quantile) as f64 / 1e3;
    vec![(P50, ms(0.5)), (P99, ms(0.99)), (P999, ms(0.999)), (MAX, latencies.histogram.max() as f64 / 1e3)]
}
