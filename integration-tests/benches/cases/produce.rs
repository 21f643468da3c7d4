//! Producers as fast as they can: what a GB costs the broker, from the page cache's point of view and, with acks=all,
//! from the disk's.

use std::time::Duration;

use ottla_records::{Codec, Magic};

use super::{ALL, BROKERS, CPU_PER_GB, CPU_PER_WIRE_GB, Case, Metric, Row, SPEED, When};
use crate::bench::{Bench, Cost, cost_of};
use crate::failure::{During, Failure};
use crate::floor_process::FloorProcess;
use crate::load::batch::Shape;
use crate::load::produce::{self, Limit, ProduceOptions, Produced};
use crate::load::raw_send;
use crate::peer::System;
use crate::target::{Limit as Height, Target};

/// Partitions of every topic that is loaded with batches.
pub(super) const PARTITIONS: i32 = 6;
/// What a producer's batch takes at most before it is compressed.
pub(super) const BATCH: usize = 64 << 10;
/// Bytes of values that are sent in a turn.
const AMOUNT: u64 = 1_000_000_000;

/// What is sent, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Each batch.
    pub(super) shape: Shape,
    /// 1, or -1 for all.
    pub(super) acks: i16,
    /// Connections.
    pub(super) connections: usize,
    /// Requests under way on each.
    pub(super) in_flight: usize,
    /// Bytes of values.
    pub(super) amount: u64,
}

impl Load {
    /// Two producers with the Java client's five requests in flight and acks=1.
    pub(super) fn new(record_bytes: usize, codec: Codec, magic: Magic) -> Load {
        let shape = Shape { record_bytes, batch_bytes: BATCH, codec, magic };
        Load { shape, acks: 1, connections: 2, in_flight: 5, amount: AMOUNT }
    }

    /// Many producers, each of which waits until its batch is safe: what acks=all promises.
    fn durable(self) -> Load {
        Load { acks: -1, connections: 32, in_flight: 1, ..self }
    }

    /// Sends it to a topic.
    pub(super) fn send(
        &self,
        bootstrap: &str,
        topic: &str,
        partitions: i32,
        payload_bytes: u64,
    ) -> std::io::Result<Produced> {
        produce::run(&ProduceOptions {
            bootstrap: bootstrap.into(),
            topic: topic.into(),
            partitions,
            shape: self.shape,
            acks: self.acks,
            connections: self.connections,
            in_flight: self.in_flight,
            limit: Limit::PayloadBytes(payload_bytes),
        })
    }

    /// Sends it and takes what that cost the broker.
    pub(super) fn measure(&self, bench: &mut Bench, system: System) -> Result<(Produced, Cost), Failure> {
        let payload_bytes = bench.bytes(self.amount);
        bench.with_topic(system, (PARTITIONS, &[]), |peer, topic| {
            cost_of(peer.pid(), "producing", || self.send(&peer.bootstrap, topic, PARTITIONS, payload_bytes))
        })
    }

    /// Sends the same batches, without any protocol, to the bare loop.
    fn floor(&self, bench: &mut Bench) -> Result<(Produced, Cost), Failure> {
        let batch = self.shape.build()?;
        let total = bench.bytes(self.amount).div_ceil(batch.payload_bytes) * batch.bytes.len() as u64;
        let folder = bench.folder.join("floor");
        std::fs::create_dir_all(&folder).during(folder.display())?;
        let floor = FloorProcess::start(&["produce", &folder.join("log").to_string_lossy()])?;
        let passed = raw_send(&floor.address, &batch.bytes, total, self.connections).during("loading the floor")?;
        drop(floor);
        std::fs::remove_dir_all(&folder).during(folder.display())?;
        let count = passed.bytes / batch.bytes.len() as u64;
        let sent = Produced {
            requests: count,
            records: count * batch.records,
            payload_bytes: count * batch.payload_bytes,
            batch_bytes: passed.bytes,
            wire_bytes: passed.bytes,
            elapsed: passed.elapsed,
        };
        Ok((sent, Cost { cpu_seconds: passed.cpu.as_secs_f64() }))
    }
}

/// Name, name with acks=all, what.
type Names = (&'static str, &'static str, &'static str);

/// The five loads, with the figure that counts for each and its target when acks=1.
fn loads() -> [(Names, Load, Metric, Target); 5] {
    let plain = |names, record_bytes, floor, kafka| {
        let target = Target::Larger(Height::Floor(floor), Height::Kafka(kafka));
        (names, Load::new(record_bytes, Codec::None, Magic::V2), CPU_PER_GB, target)
    };
    let compressed = |names, codec| {
        let target = Target::AtMost(Height::Floor(1.5));
        (names, Load::new(1024, codec, Magic::V2), CPU_PER_WIRE_GB, target)
    };
    [
        plain(("produce-100", "produce-100-durable", "100 B"), 100, 2.0, 1.0 / 5.0),
        plain(("produce-1k", "produce-1k-durable", "1 KiB"), 1024, 1.5, 1.0 / 2.0),
        compressed(("produce-1k-lz4", "produce-1k-lz4-durable", "1 KiB, lz4"), Codec::Lz4),
        compressed(("produce-1k-zstd", "produce-1k-zstd-durable", "1 KiB, zstd"), Codec::Zstd),
        compressed(("produce-1k-gzip", "produce-1k-gzip-durable", "1 KiB, gzip"), Codec::Gzip),
    ]
}

/// acks=1, 6 partitions, 2 connections with 5 requests in flight each, batches of 64 KiB.
pub(super) fn cases() -> Vec<Case> {
    let cases = loads().into_iter().map(|((name, _, what), load, metric, target)| {
        let what = format!("produce {what}: batches of 64 KiB, acks=1, 2 producers, 6 partitions");
        case((name, what), load, (metric, target))
    });
    cases.collect()
}

/// The same with acks=all and 32 connections. Ottla answers after an fsync, Kafka from the page cache.
pub(super) fn durable_cases() -> Vec<Case> {
    let cases = loads().into_iter().map(|((other, name, what), load, metric, _)| {
        let what = format!("produce {what}: acks=all, 32 producers; Ottla after fsync, Kafka from the page cache");
        case((name, what), load.durable(), (metric, Target::AtMost(Height::Own(1.2, other))))
    });
    cases.collect()
}

fn case((name, what): (&'static str, String), load: Load, (metric, target): (Metric, Target)) -> Case {
    Case {
        name,
        what,
        when: When::EachTurn,
        systems: if load.acks == 1 { ALL } else { BROKERS },
        takes: Duration::from_secs(8),
        only_in_full: false,
        disk_bytes: 2 * load.amount,
        rows: vec![Row::new(metric, target), Row::new(SPEED, Target::Shown)],
        measure: Box::new(move |bench, system| {
            let (sent, cost) = match system {
                System::Floor => load.floor(bench)?,
                _ => load.measure(bench, system)?,
            };
            let bytes = if metric == CPU_PER_WIRE_GB { sent.batch_bytes } else { sent.payload_bytes };
            Ok(vec![
                (metric, cost.per_gb(bytes)),
                (SPEED, sent.payload_bytes as f64 / 1e6 / sent.elapsed.as_secs_f64()),
            ])
        }),
    }
}
