//! How long until a broker serves: on an empty folder, and after `kill -9` with much to look through.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use ottla_records::{Codec, Magic};

use super::produce::Load;
use super::{BROKERS, Case, Figures, MILLISECONDS, Row, SECONDS, When};
use crate::bench::Bench;
use crate::failure::{During, Failure};
use crate::load::fetch::{self, FetchOptions, Fetcher, Position};
use crate::load::topic;
use crate::peer::{Peer, System};
use crate::statistics::Summary;
use crate::target::{Limit, Target};

/// How often Ottla is started; Kafka once, it takes seconds.
const STARTS: usize = 5;
/// Partitions of the broker that is killed.
const PARTITIONS: i32 = 100;
/// Bytes of values in them.
const AMOUNT: u64 = 5_000_000_000;
/// How long recovery may take.
const RECOVERY: Duration = Duration::from_secs(300);

/// Both starts.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "start-empty",
            what: "from the start on an empty folder to the first Metadata answer that names the broker".into(),
            when: When::Before,
            systems: BROKERS,
            takes: Duration::from_secs(10),
            only_in_full: false,
            disk_bytes: 0,
            rows: vec![Row::new(MILLISECONDS, Target::AtMost(Limit::Fixed(100.0)))],
            measure: Box::new(empty),
        },
        Case {
            name: "start-after-kill",
            what: "from the start after kill -9, 5 GB in 100 partitions, until the last record of each was fetched"
                .into(),
            when: When::Last,
            systems: BROKERS,
            takes: Duration::from_secs(120),
            only_in_full: false,
            disk_bytes: AMOUNT + AMOUNT / 10,
            rows: vec![Row::new(SECONDS, Target::AtMost(Limit::Fixed(2.0)))],
            measure: Box::new(after_kill),
        },
    ]
}

fn start(system: System, folder: &Path) -> Result<Peer, Failure> {
    match system {
        System::Kafka => Peer::kafka(folder),
        _ => Peer::ottla(folder),
    }
}

fn remove(folder: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).during(folder.display()),
        _ => Ok(()),
    }
}

fn empty(bench: &mut Bench, system: System) -> Result<Figures, Failure> {
    let folder = bench.folder.join("start");
    let mut times = Vec::new();
    for _ in 0..if system == System::Ottla { STARTS } else { 1 } {
        let peer = start(system, &folder)?;
        times.push(peer.served_after.as_secs_f64() * 1e3);
        peer.stop();
        remove(&folder)?;
    }
    let summary = Summary::of(&times).ok_or_else(|| Failure::new("no start was measured"))?;
    Ok(vec![(MILLISECONDS, summary.median)])
}

fn after_kill(bench: &mut Bench, system: System) -> Result<Figures, Failure> {
    let folder = bench.folder.join("start");
    let amount = bench.bytes(AMOUNT);
    let mut peer = start(system, &folder)?;
    topic::create(&peer.bootstrap, "many", PARTITIONS, &[]).during("creating the topic")?;
    let load = Load { connections: 4, ..Load::new(1024, Codec::None, Magic::V2) };
    load.send(&peer.bootstrap, "many", PARTITIONS, amount).during("filling the topic")?;
    let all: Vec<i32> = (0..PARTITIONS).collect();
    let ends = fetch::ends(&peer.bootstrap, "many", &all).during("asking for the ends of the partitions")?;
    peer.kill()?;
    let begin = Instant::now();
    peer.start_again()?;
    let options = FetchOptions { max_wait: Duration::ZERO, ..FetchOptions::new(&peer.bootstrap, "many") };
    // Anything may be answered before all is recovered.
    while !last_records_came(&options, &ends).unwrap_or(false) {
        if begin.elapsed() > RECOVERY {
            let text = format!("not all partitions answer within {RECOVERY:?}");
            return Err(Failure::new(text));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let seconds = begin.elapsed().as_secs_f64();
    drop(peer);
    remove(&folder)?;
    Ok(vec![(SECONDS, seconds)])
}

/// Whether the last record of each partition comes when it is asked for.
fn last_records_came(options: &FetchOptions, ends: &[Position]) -> io::Result<bool> {
    let before = |end: &Position| Position { next: end.next - 1, ..*end };
    let mut fetcher = Fetcher::connect(options, ends.iter().map(before).collect())?;
    fetcher.fetch(&mut |_| Ok(()))?;
    let is_there = |end: &Position| fetcher.positions().contains(end);
    Ok(ends.iter().all(is_there))
}
