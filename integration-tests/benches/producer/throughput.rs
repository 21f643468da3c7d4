//! What it costs to send as fast as the broker takes: processor time and memory of the whole process, its start included.
//!
//! The tools that come with librdkafka and Kafka send without keys and compression, as the issue asks; for the rest all sides run
//! the benchmark's own programs. `ProducerPerformance` makes a new random value for each record, which is part of what it costs.

use std::path::Path;
use std::process::Command;

use ottla_integration_tests::zookeeper::peers;

use super::clients::{self, Side};
use crate::failure::{During, Failure};
use crate::figures::{Figures, Row};
use crate::load::fetch::ends;
use crate::load::topic;
use crate::peer::Peer;
use crate::target::{Limit, Target};

const PARTITIONS: i32 = 6;
const RECORD_BYTES: u64 = 100;
const BATCH_BYTES: u64 = 65_536;
const LINGER_MS: u64 = 5;

/// A way to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// Its name in the table.
    pub(crate) place: &'static str,
    acks: &'static str,
    codec: &'static str,
    keys: bool,
}

impl Way {
    const fn new(place: &'static str, acks: &'static str) -> Way {
        Way { place, acks, codec: "none", keys: false }
    }

    /// Whether the other sides run the tools that they come with.
    fn with_tools(&self) -> bool {
        self.codec == "none" && !self.keys
    }

    fn is_idempotent(&self) -> bool {
        self.acks == "all"
    }
}

/// All ways.
pub(crate) const WAYS: [Way; 4] = [
    Way::new("sending, acks=1", "1"),
    Way::new("sending, acks=all", "all"),
    Way { codec: "lz4", ..Way::new("sending, acks=all, lz4", "all") },
    Way { keys: true, ..Way::new("sending, acks=all, keys", "all") },
];

const CPU: &str = "CPU-s/GB";
const SECONDS: &str = "s/GB";
const MOST: &str = "MiB at most";

/// The lines of the table.
pub(crate) fn rows(way: &Way) -> Vec<Row> {
    let target = match way.with_tools() {
        true => Target::Both(Limit::Librdkafka(0.5), Limit::Java(0.1)),
        false => Target::Shown,
    };
    vec![Row::new(CPU, target), Row::new(SECONDS, Target::Shown), Row::worst(MOST, Target::Shown)]
}

/// Sends so many records to a new topic; fails unless all of them are there.
pub(crate) fn run(
    peer: &Peer,
    (way, side): (&Way, Side),
    name: &str,
    records: u64,
    log: &Path,
) -> Result<Figures, Failure> {
    topic::create(&peer.bootstrap, name, PARTITIONS, &[])?;
    let finished = clients::run(&mut command(peer, (way, side), name, records)?, log)
        .and_then(|finished| written(peer, name).map(|written| (finished, written)));
    topic::delete(&peer.bootstrap, name)?;
    let (finished, written) = finished?;
    if written != records {
        return Err(Failure::new(format!("{records} records were sent, the topic has {written}")));
    }
    peer.forget(name)?;
    let gigabytes = (records * RECORD_BYTES) as f64 / 1e9;
    Ok(vec![
        (CPU, finished.cpu_seconds / gigabytes),
        (SECONDS, finished.elapsed.as_secs_f64() / gigabytes),
        (MOST, finished.resident_mib),
    ])
}

fn written(peer: &Peer, topic: &str) -> Result<u64, Failure> {
    let partitions: Vec<i32> = (0..PARTITIONS).collect();
    let ends = ends(&peer.bootstrap, topic, &partitions).during("reading the ends of the log")?;
    Ok(ends.iter().map(|end| end.next as u64).sum())
}

fn command(peer: &Peer, (way, side): (&Way, Side), topic: &str, records: u64) -> Result<Command, Failure> {
    let bootstrap = format!("bootstrap.servers={}", peer.bootstrap);
    let mut settings = vec![
        format!("acks={}", way.acks),
        format!("enable.idempotence={}", way.is_idempotent()),
        format!("batch.size={BATCH_BYTES}"),
        format!("linger.ms={LINGER_MS}"),
        format!("compression.type={}", way.codec),
    ];
    let room = "queue.buffering.max.messages=500000".to_owned();
    let (records, size) = (records.to_string(), RECORD_BYTES.to_string());
    match (side, way.with_tools()) {
        (Side::Librdkafka, true) => {
            let mut command = peers();
            command.args(["rdkafka-performance", "-P", "-q", "-t", topic, "-s", &size, "-c", &records]);
            for setting in settings.iter().chain([&bootstrap, &room]) {
                command.args(["-X", setting]);
            }
            Ok(command)
        }
        (Side::Java, true) => {
            let mut command = peers();
            command.args(["producer-performance", "--topic", topic, "--num-records", &records, "--record-size", &size]);
            command.args(["--throughput", "-1", "--producer-props", &bootstrap]).args(&settings);
            Ok(command)
        }
        _ => {
            settings.push(match side {
                Side::Ottla => format!("zookeeper.connect={}", peer.connect),
                Side::Librdkafka | Side::Java => bootstrap,
            });
            if side == Side::Librdkafka {
                settings.push(room);
            }
            settings.extend([
                format!("count={records}"),
                format!("size={size}"),
                format!("keys={}", u8::from(way.keys)),
            ]);
            side.client(topic, &settings)
        }
    }
}
