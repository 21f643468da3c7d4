//! How long a record takes from when it is due until its producer knows that it is written: single records in an open loop.

use std::path::Path;

use super::clients::{self, Side, numbers};
use crate::failure::Failure;
use crate::figures::{Figures, Row};
use crate::load::topic;
use crate::peer::Peer;
use crate::target::{Limit, Target};

const PARTITIONS: i32 = 6;
const PER_SECOND: u64 = 10_000;
/// Seconds that do not count.
const WARM_UP: u64 = 2;

const P50: &str = "µs p50";
const P99: &str = "µs p99";
const P999: &str = "µs p99.9";
const CPU: &str = "CPU-s/million";

/// Each `acks`, and its name in the table.
pub(crate) const WAYS: [(&str, &str); 2] = [("10,000/s, acks=1", "1"), ("10,000/s, acks=all", "all")];

/// The lines of the table.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        Row::new(P50, Target::Shown),
        Row::new(P99, Target::AtMost(Limit::Librdkafka(1.0))),
        Row::new(P999, Target::Shown),
        Row::new(CPU, Target::Shown),
    ]
}

/// Sends for so many seconds to a new topic.
pub(crate) fn run(
    peer: &Peer,
    (acks, side): (&str, Side),
    name: &str,
    seconds: u64,
    log: &Path,
) -> Result<Figures, Failure> {
    topic::create(&peer.bootstrap, name, PARTITIONS, &[])?;
    let records = PER_SECOND * (WARM_UP + seconds);
    let settings = [
        match side {
            Side::Ottla => format!("zookeeper.connect={}", peer.connect),
            Side::Librdkafka | Side::Java => format!("bootstrap.servers={}", peer.bootstrap),
        },
        format!("acks={acks}"),
        format!("enable.idempotence={}", acks == "all"),
        "linger.ms=0".into(),
        "print=percentiles".into(),
        format!("rate={PER_SECOND}"),
        format!("count={records}"),
        format!("uncounted={}", PER_SECOND * WARM_UP),
    ];
    let finished = side.client(name, &settings).and_then(|mut command| clients::run(&mut command, log));
    topic::delete(&peer.bootstrap, name)?;
    let finished = finished?;
    let [p50, p99, p999, _, failed] = numbers(&finished.output)?;
    if failed > 0 {
        return Err(Failure::new(format!("{failed} records failed; see {}", log.display())));
    }
    peer.forget(name)?;
    let cpu = finished.cpu_seconds / (records as f64 / 1e6);
    Ok(vec![(P50, p50 as f64), (P99, p99 as f64), (P999, p999 as f64), (CPU, cpu)])
}
