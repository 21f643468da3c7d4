//! Consumers as fast as they can, of what is still in the page cache.

use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use ottla_records::{Codec, Magic};

use super::produce::{Load, PARTITIONS};
use super::{ALL, CPU_PER_GB, Case, Figures, Row, SPEED, When};
use crate::bench::{Bench, Cost, cost_of};
use crate::failure::{During, Failure};
use crate::floor_process::FloorProcess;
use crate::load::consume::{self, ConsumeOptions};
use crate::load::fetch::FetchOptions;
use crate::load::raw_receive;
use crate::peer::System;
use crate::target::{Limit, Target};

/// How often the topic is read: once costs too little to be told from noise.
const PASSES: u32 = 3;

/// Records of 100 B and 1 KiB, 6 partitions, 2 connections, 1 MiB of a partition at a time.
pub(super) fn cases() -> Vec<Case> {
    [(100, "consume-100", "100 B"), (1024, "consume-1k", "1 KiB")]
        .map(|(record_bytes, name, size)| Case {
            name,
            what: format!("consume {size} records from the page cache, 2 consumers, 6 partitions"),
            when: When::EachTurn,
            systems: ALL,
            takes: Duration::from_secs(9),
            only_in_full: false,
            disk_bytes: 2_500_000_000,
            rows: vec![
                Row::new(CPU_PER_GB, Target::Both(Limit::Floor(1.3), Limit::Kafka(1.0))),
                Row::new(SPEED, Target::Shown),
            ],
            measure: Box::new(move |bench, system| {
                measure(bench, system, &Load::new(record_bytes, Codec::None, Magic::V2))
            }),
        })
        .into()
}

fn measure(bench: &mut Bench, system: System, load: &Load) -> Result<Figures, Failure> {
    let payload_bytes = bench.bytes(load.amount);
    if system == System::Floor {
        return floor(bench, load, payload_bytes);
    }
    bench.with_topic(system, (PARTITIONS, &[]), |peer, topic| {
        let sent = load.send(&peer.bootstrap, topic, PARTITIONS, payload_bytes).during("filling the topic")?;
        let (elapsed, cost) = cost_of(peer.pid(), "consuming", || {
            let fetch = FetchOptions::new(&peer.bootstrap, topic);
            read(&fetch, sent.records)
        })?;
        let bytes = sent.payload_bytes * u64::from(PASSES);
        Ok(vec![(CPU_PER_GB, cost.per_gb(bytes)), (SPEED, bytes as f64 / 1e6 / elapsed.as_secs_f64())])
    })
}

/// The cheaper of the two ways to send a file with the same batches.
fn floor(bench: &mut Bench, load: &Load, payload_bytes: u64) -> Result<Figures, Failure> {
    let batch = load.shape.build()?;
    let file = bench.folder.join("batches");
    let count = payload_bytes.div_ceil(batch.payload_bytes);
    let mut out = File::create(&file).during(file.display())?;
    (0..count).try_for_each(|_| out.write_all(&batch.bytes)).during(file.display())?;
    let payload_bytes = count * batch.payload_bytes * u64::from(PASSES);
    let total = count * batch.bytes.len() as u64 * u64::from(PASSES);
    let mut cheaper: Option<Figures> = None;
    for by in ["sendfile", "copy"] {
        let floor = FloorProcess::start(&["consume", &file.to_string_lossy(), "--by", by])?;
        let passed = raw_receive(&floor.address, total, 2).during("reading from the floor")?;
        let cost = Cost { cpu_seconds: passed.cpu.as_secs_f64() };
        let figures = vec![
            (CPU_PER_GB, cost.per_gb(payload_bytes)),
            (SPEED, payload_bytes as f64 / 1e6 / passed.elapsed.as_secs_f64()),
        ];
        if cheaper.as_ref().is_none_or(|other| figures[0].1 < other[0].1) {
            cheaper = Some(figures);
        }
    }
    std::fs::remove_file(file)?;
    cheaper.ok_or_else(|| Failure::new("no floor was measured"))
}

/// Reads it all so many times; returns how long that took.
fn read(fetch: &FetchOptions, records: u64) -> io::Result<Duration> {
    let mut elapsed = Duration::ZERO;
    for _ in 0..PASSES {
        let read = consume::run(&ConsumeOptions { fetch: fetch.clone(), partitions: PARTITIONS, connections: 2 })?;
        if read.fetched.records != records {
            let text = format!("{} records were read of {records}", read.fetched.records);
            return Err(io::Error::other(text));
        }
        elapsed += read.elapsed;
    }
    Ok(elapsed)
}
