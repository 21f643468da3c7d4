//! What it costs to read a log through each consumer: processor time and memory of the whole process, its start included.
//!
//! One member with one stream reads a topic from its beginning. The log is the same for both: uncompressed batches of
//! 64 KiB as producers of today send them. The broker converts them down for the consumer of 2015, at its own cost.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_records::{Codec, Magic};

use super::members::{Deaf, Group, Members, Side};
use crate::failure::{During, Failure};
use crate::figures::{Figures, Row};
use crate::load::batch::Shape;
use crate::load::cpu::Usage;
use crate::load::produce::{self, ProduceOptions};
use crate::load::topic;
use crate::peer::Peer;
use crate::target::{Limit, Target};

const TOPIC: &str = "reading";
const PARTITIONS: i32 = 6;
const RECORD_BYTES: usize = 100;
/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// What takes longer does not end.
const LIMIT: Duration = Duration::from_secs(300);

/// The record form of the library, and the batch form.
pub(crate) const FORMS: [(&str, &str); 2] = [("reading by record", "by=record"), ("reading by batch", "by=batch")];

const CPU: &str = "CPU-s/GB";
const SECONDS: &str = "s/GB";
const MOST: &str = "MiB at most";
const GROWN: &str = "MiB more in the second half than in the first";

/// The lines of the table.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        Row::new(CPU, Target::AtMost(Limit::Kafka(1.0 / 3.0))),
        Row::new(SECONDS, Target::Shown),
        Row::worst(MOST, Target::Shown),
        Row::worst(GROWN, Target::Shown),
    ]
}

/// Writes so many bytes of values; how many records they are.
pub(crate) fn fill(peer: &Peer, bytes: u64) -> Result<u64, Failure> {
    topic::create(&peer.bootstrap, TOPIC, PARTITIONS, &[])?;
    let options = ProduceOptions {
        bootstrap: peer.bootstrap.clone(),
        topic: TOPIC.into(),
        partitions: PARTITIONS,
        shape: Shape { record_bytes: RECORD_BYTES, batch_bytes: 65_536, codec: Codec::None, magic: Magic::V2 },
        acks: 1,
        connections: 2,
        in_flight: 5,
        limit: produce::Limit::PayloadBytes(bytes),
    };
    Ok(produce::run(&options).during("writing the log")?.records)
}

/// Reads it all with a new group; figures, and resident KiB over time.
pub(crate) fn run(
    peer: &Peer,
    (name, side): (&str, Side),
    form: &str,
    records: u64,
    log: &Path,
) -> Result<(Figures, Vec<u64>), Failure> {
    let group = Group { connect: peer.connect.clone(), name: name.into(), topic: TOPIC.into() };
    let own = [form, "print=total"];
    let settings = if side == Side::Ottla { &own[..] } else { &own[1..] };
    let mut member = Members::start(side, &group, settings, log, Arc::new(Deaf))?;
    let start = Instant::now();
    member.join(["reader"])?;
    let mut resident = Vec::new();
    let total = |line: &str| line.strip_prefix("total ")?.parse::<u64>().ok();
    while member.last(total).is_none_or(|read| read < records) {
        if start.elapsed() > LIMIT {
            return Err(Failure::new(format!("{:?} of {records} records within {LIMIT:?}", member.last(total))));
        }
        resident.push(Usage::of(member.pid()).during("looking at a member")?.resident_kib);
        std::thread::sleep(LOOK);
    }
    let elapsed = start.elapsed();
    let used = Usage::of(member.pid()).during("looking at a member")?;
    member.end()?;
    let gigabytes = (records * RECORD_BYTES as u64) as f64 / 1e9;
    let (first, second) = resident.split_at(resident.len() / 2);
    let most = |half: &[u64]| half.iter().max().copied().unwrap_or(0) as f64 / 1024.0;
    let figures = vec![
        (CPU, used.cpu_seconds() / gigabytes),
        (SECONDS, elapsed.as_secs_f64() / gigabytes),
        (MOST, used.peak_resident_kib as f64 / 1024.0),
        (GROWN, (most(second) - most(first)).max(0.0)),
    ];
    Ok((figures, resident))
}
