//! A member that is stopped (SIGSTOP) beyond its session and goes on later, again and again: what it still hands out, and
//! whether it still commits.
//!
//! It reads a backlog, so that it always holds thousands of records that it might hand out, and commits every 50 ms. Another
//! member takes its partitions over and commits nothing by the clock: whatever is written to an offset node between that and the new
//! registration of the first one is a stale commit. Sessions are short, or a thousand pauses would take hours.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ottla_records::{Codec, Magic};
use rand::RngExt;
use rustix::process::Signal;

use super::members::{Group, Hearer, Members, Side};
use super::observer::Observer;
use crate::failure::{During, Failure};
use crate::figures::{Figures, Row};
use crate::load::batch::Shape;
use crate::load::produce::{self, ProduceOptions};
use crate::load::topic;
use crate::peer::Peer;
use crate::target::{Limit, Target};

const TOPIC: &str = "pauses";
const PARTITIONS: i32 = 4;
/// Groups that are paused side by side: most of the time all their members wait.
const GROUPS: usize = 8;
/// For the members; three times what their lease gives away.
const SESSION: &str = "zookeeper.session.timeout.ms=1500";
/// What the keeper needs for that.
pub(crate) const KEEPER: [&str; 3] =
    ["keeper.tickTime=100", "keeper.minSessionTimeout=1000", "keeper.maxSessionTimeout=60000"];
/// How long each step may take.
const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(1);

const MOST: &str = "most records after one resumption";
const ALL: &str = "resumptions with a record after them";
const STALE: &str = "stale commits";
const COUNT: &str = "pauses";

/// The lines of the table.
pub(crate) fn rows() -> Vec<Row> {
    let at_most = |value| Target::AtMost(Limit::Fixed(value));
    vec![
        Row::new(COUNT, Target::Shown),
        Row::worst(MOST, at_most(1.0)),
        Row::new(ALL, Target::Shown),
        Row::worst(STALE, at_most(0.0)),
    ]
}

/// What came of the pauses of one group.
#[derive(Debug, Default, Clone, Copy)]
struct Pauses {
    most_records: u64,
    with_record: u64,
    stale_commits: u64,
}

/// Pauses members so many times in all.
pub(crate) fn run(peer: &Peer, pauses: usize, log: &Path) -> Result<Figures, Failure> {
    topic::create(&peer.bootstrap, TOPIC, PARTITIONS, &[])?;
    let options = ProduceOptions {
        bootstrap: peer.bootstrap.clone(),
        topic: TOPIC.into(),
        partitions: PARTITIONS,
        shape: Shape { record_bytes: 100, batch_bytes: 16_384, codec: Codec::None, magic: Magic::V2 },
        acks: 1,
        connections: 1,
        in_flight: 5,
        // A member hands out a record each millisecond, and some of them again after each pause.
        limit: produce::Limit::PayloadBytes(100_000 * pauses.max(100) as u64),
    };
    produce::run(&options).during("writing the log")?;
    let groups = GROUPS.min(pauses.div_ceil(4)).max(1);
    let done: Vec<Result<Pauses, Failure>> = std::thread::scope(|scope| {
        let each = |group: usize| {
            let count = pauses / groups + usize::from(group < pauses % groups);
            scope.spawn(move || pause(peer, &format!("pauses-{group}"), count, log))
        };
        let threads: Vec<_> = (0..groups).map(each).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(Failure::new("a thread that pauses panicked"))))
            .collect()
    });
    let mut total = Pauses::default();
    for done in done {
        let done = done?;
        total.most_records = total.most_records.max(done.most_records);
        total.with_record += done.with_record;
        total.stale_commits += done.stale_commits;
    }
    Ok(vec![
        (COUNT, pauses as f64),
        (MOST, total.most_records as f64),
        (ALL, total.with_record as f64),
        (STALE, total.stale_commits as f64),
    ])
}

/// What a member owns by its own word, and what it hands out while it should own nothing.
#[derive(Default)]
struct Ear(Mutex<Heard>);

#[derive(Default)]
struct Heard {
    owned: BTreeSet<i32>,
    /// Since it owns what it owns.
    records: u64,
    /// Records since the resumption, until it gains partitions anew.
    after: Option<u64>,
    /// The same when that has happened.
    counted: Option<u64>,
}

impl Ear {
    fn with<T>(&self, work: impl FnOnce(&mut Heard) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Hearer for Ear {
    fn record(&self, _: i32, _: i64) {
        self.with(|heard| match &mut heard.after {
            Some(after) => *after += 1,
            None => heard.records += 1,
        });
    }

    fn line(&self, line: &str) {
        let mut words = line.split(' ');
        let word = words.next();
        let partitions = words.filter_map(|number| number.parse().ok());
        self.with(|heard| match word {
            Some("gained") => {
                heard.owned.extend(partitions);
                heard.records = 0;
                heard.counted = heard.after.take().or(heard.counted);
            }
            Some("lost") => partitions.for_each(|partition| _ = heard.owned.remove(&partition)),
            _ => {}
        });
    }
}

fn pause(peer: &Peer, name: &str, pauses: usize, log: &Path) -> Result<Pauses, Failure> {
    let group = Group { connect: peer.connect.clone(), name: name.into(), topic: TOPIC.into() };
    let (paused_ear, other_ear) = (Arc::new(Ear::default()), Arc::new(Ear::default()));
    let start = |ear: &Arc<Ear>, own: [&str; 2]| {
        let settings = [SESSION, "print=events", own[0], own[1]];
        Members::start(Side::Ottla, &group, &settings, log, ear.clone())
    };
    let mut paused = start(&paused_ear, ["auto.commit.interval.ms=50", "rest.ms=1"])?;
    let mut other = start(&other_ear, ["auto.commit.interval.ms=86400000", "rest.ms=5"])?;
    let observer = Observer::connect(&group, PARTITIONS)?;
    paused.join(["paused"])?;
    other.join(["other"])?;
    let mut random = rand::rng();
    let mut done = Pauses::default();
    for _ in 0..pauses {
        wait("the members share the partitions and hand out records", || {
            let reads = |ear: &Ear| ear.with(|heard| (heard.owned.len(), heard.records > 0));
            Ok((reads(&paused_ear) == (2, true) && reads(&other_ear).0 == 2).then_some(()))
        })?;
        std::thread::sleep(Duration::from_millis(random.random_range(10..150)));
        paused.signal(Signal::STOP)?;
        wait("the other member has everything", || {
            Ok(other_ear.with(|heard| heard.owned.len() == PARTITIONS as usize).then_some(()))
        })?;
        let known = observer.registrations()?;
        let before = observer.offsets()?;
        std::thread::sleep(Duration::from_millis(random.random_range(0..50)));
        paused_ear.with(|heard| (heard.after, heard.counted) = (Some(0), None));
        paused.signal(Signal::CONT)?;
        let registered = wait("the member registers anew", || {
            Ok(observer.registrations()?.into_iter().find(|(id, _)| !known.contains_key(id)).map(|(_, zxid)| zxid))
        })?;
        let after = observer.offsets()?;
        let is_stale = |(partition, (offset, zxid)): &(&i32, &(i64, i64))| {
            let (offset_before, zxid_before) = before.get(*partition).copied().unwrap_or_default();
            *zxid != zxid_before && *zxid < registered || *offset < offset_before
        };
        done.stale_commits += after.iter().filter(is_stale).count() as u64;
        let records = wait("it gains partitions", || Ok(paused_ear.with(|heard| heard.counted)))?;
        done.most_records = done.most_records.max(records);
        done.with_record += u64::from(records > 0);
    }
    paused.end()?;
    other.end()?;
    Ok(done)
}

fn wait<T>(what: &str, mut is_so: impl FnMut() -> Result<Option<T>, Failure>) -> Result<T, Failure> {
    let start = Instant::now();
    loop {
        if let Some(value) = is_so()? {
            return Ok(value);
        }
        if start.elapsed() > LIMIT {
            return Err(Failure::new(format!("not within {LIMIT:?}: {what}")));
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_between_the_resumption_and_the_next_gain_are_counted() {
        let ear = Ear::default();
        ear.line("gained 0 1");
        ear.record(0, 0);
        ear.with(|heard| heard.after = Some(0));
        ear.record(0, 1);
        ear.line("lost 0 1");
        ear.record(1, 0);
        assert_eq!(ear.with(|heard| (heard.owned.len(), heard.counted)), (0, None));
        ear.line("gained 1");
        ear.record(1, 0);
        assert_eq!(ear.with(|heard| (heard.owned.len(), heard.counted, heard.records)), (1, Some(2), 1));
    }
}
