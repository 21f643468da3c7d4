//! Clients from before 0.11: what they send is converted up, what they read is converted down.

use std::time::Duration;

use ottla_records::{Codec, Magic};

use super::produce::{Load, PARTITIONS};
use super::{ALL, BROKERS, CPU_PER_GB, Case, Figures, Row, When};
use crate::bench::{Bench, cost_of};
use crate::failure::{During, Failure};
use crate::floor::gzip;
use crate::load::consume::{self, ConsumeOptions};
use crate::load::fetch::FetchOptions;
use crate::peer::System;
use crate::target::{Limit, Target};

/// Bytes of values when nothing is compressed.
const AMOUNT: u64 = 200_000_000;
/// Bytes of values when gzip takes most of the time.
const GZIP_AMOUNT: u64 = 50_000_000;
/// How long the bare codec runs, in seconds for each direction.
const GZIP_SECONDS: f64 = 0.5;

/// Who is old.
#[derive(Debug, Clone, Copy)]
enum Old {
    /// The producer, with this record format.
    Producer(Magic),
    /// The consumer, which fetches with this version.
    Consumer(i16),
}

/// Produce requests of versions 0 and 2, fetch requests of versions 1 and 2.
pub(super) fn cases() -> Vec<Case> {
    vec![
        case("produce-v0", "a producer of 0.8: message format 0, 100 B", Old::Producer(Magic::V0), Codec::None),
        case("produce-v1", "a producer of 0.10: message format 1, 100 B", Old::Producer(Magic::V1), Codec::None),
        case("fetch-v1", "a consumer of 0.9 (message format 0) of new batches, 100 B", Old::Consumer(1), Codec::None),
        case("fetch-v2", "a consumer of 0.10 (message format 1) of new batches, 100 B", Old::Consumer(2), Codec::None),
        case("produce-v1-gzip", "a producer of 0.10 with gzip, 1 KiB", Old::Producer(Magic::V1), Codec::Gzip),
        case("fetch-v2-gzip", "a consumer of 0.10 of new batches with gzip, 1 KiB", Old::Consumer(2), Codec::Gzip),
    ]
}

fn case(name: &'static str, what: &str, old: Old, codec: Codec) -> Case {
    let is_plain = codec == Codec::None;
    let target = if is_plain { Limit::Kafka(1.0 / 3.0) } else { Limit::Floor(1.2) };
    let magic = if let Old::Producer(magic) = old { magic } else { Magic::V2 };
    let load = Load::new(if is_plain { 100 } else { 1024 }, codec, magic);
    let load = Load { amount: if is_plain { AMOUNT } else { GZIP_AMOUNT }, ..load };
    Case {
        name,
        what: what.into(),
        when: When::EachTurn,
        systems: if is_plain { BROKERS } else { ALL },
        takes: Duration::from_secs(9),
        only_in_full: false,
        disk_bytes: 2 * load.amount,
        rows: vec![Row::new(CPU_PER_GB, Target::AtMost(target))],
        measure: Box::new(move |bench, system| match (system, old) {
            (System::Floor, _) => bare_gzip(&load),
            (_, Old::Producer(_)) => {
                let (sent, cost) = load.measure(bench, system)?;
                Ok(vec![(CPU_PER_GB, cost.per_gb(sent.payload_bytes))])
            }
            (_, Old::Consumer(version)) => consumer(bench, system, &load, version),
        }),
    }
}

/// One inflate and one deflate of the same records, by the same codec, in this process.
fn bare_gzip(load: &Load) -> Result<Figures, Failure> {
    let batch = load.shape.build()?;
    let cost = gzip::cost(&batch.plain, GZIP_SECONDS)?;
    let plain_bytes = batch.plain.len() as f64 / batch.payload_bytes as f64;
    Ok(vec![(CPU_PER_GB, (cost.inflate + cost.deflate) * plain_bytes)])
}

fn consumer(bench: &mut Bench, system: System, load: &Load, version: i16) -> Result<Figures, Failure> {
    let payload_bytes = bench.bytes(load.amount);
    bench.with_topic(system, (PARTITIONS, &[]), |peer, topic| {
        let sent = load.send(&peer.bootstrap, topic, PARTITIONS, payload_bytes).during("filling the topic")?;
        let fetch = FetchOptions { version, ..FetchOptions::new(&peer.bootstrap, topic) };
        let options = ConsumeOptions { fetch, partitions: PARTITIONS, connections: 2 };
        let (read, cost) = cost_of(peer.pid(), "consuming as an old client", || consume::run(&options))?;
        if read.fetched.records != sent.records {
            let text = format!("{} records were read of {}", read.fetched.records, sent.records);
            return Err(Failure::new(text));
        }
        Ok(vec![(CPU_PER_GB, cost.per_gb(sent.payload_bytes))])
    })
}
