//! A group of ten through its changes: nine start from nothing, one more joins, one is killed, one closes.
//!
//! All members but the one to be killed share a process, and so a warm JVM: what is measured is the group's work, not the
//! start of a program. Nine are told to join one after the other, each when the call that made the one before has returned:
//! old members that join at the same moment run out of their four tries.
//!
//! The old members do not commit (`auto.commit.enable=false`), which spares them a write for each partition in each rebalance; ours
//! commit as they do by default.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::deliveries::Deliveries;
use super::members::{Group, Members, Side};
use super::observer::{Observer, Stable, now_ms};
use super::writer::Writer;
use crate::failure::Failure;
use crate::figures::{Figures, Row};
use crate::load::topic;
use crate::peer::Peer;
use crate::statistics::Summary;
use crate::target::{Limit, Target};

/// In the order of the old range rule. The one that is killed is in the middle, so that others must move for it; the last
/// one joins and closes.
const NAMES: [&str; 10] = ["ma", "mb", "mc", "md", "me", "mf", "mg", "mh", "mi", "mj"];
const VICTIM: &str = "mf";
const JOINER: &str = "mj";
/// The undisturbed gap is the median of the longest silences in windows as long as a change takes. In one long window a
/// single hiccup of the machine would excuse every silence later.
const WINDOW: Duration = Duration::from_secs(1);
/// What every member asks for.
const SESSION: &str = "zookeeper.session.timeout.ms=6000";

/// A measurement of one side.
pub(crate) struct Change<'a> {
    /// The broker, and by its connect string where the group lives.
    pub(crate) peer: &'a Peer,
    /// Name of the topic and the group.
    pub(crate) name: &'a str,
    /// Whose members.
    pub(crate) side: Side,
    /// Of the topic.
    pub(crate) partitions: i32,
    /// How many [`WINDOW`]s the group is left alone to see its undisturbed gap.
    pub(crate) windows: usize,
    /// What members complain about.
    pub(crate) log: &'a Path,
}

/// What of one kind of change is shown.
struct Names {
    stable: &'static str,
    moved: &'static str,
    silent_moved: &'static str,
    silent_others: &'static str,
    /// The same with the gap in it, for the raw file.
    whole_moved: &'static str,
    whole_others: &'static str,
}

const JOIN: Names = Names {
    stable: "join: ms from registration until stable",
    moved: "join: partitions moved",
    silent_moved: "join: ms silent beyond gap, moved",
    silent_others: "join: ms silent beyond gap, others",
    whole_moved: "join: ms silent, moved",
    whole_others: "join: ms silent, others",
};
const KILL: Names = Names {
    stable: "kill: ms from end of session until stable",
    moved: "kill: partitions moved",
    silent_moved: "kill: ms silent beyond gap, moved",
    silent_others: "kill: ms silent beyond gap, others",
    whole_moved: "kill: ms silent, moved",
    whole_others: "kill: ms silent, others",
};
const CLOSE: Names = Names {
    stable: "close: ms from call until stable",
    moved: "close: partitions moved",
    silent_moved: "close: ms silent beyond gap, moved",
    silent_others: "close: ms silent beyond gap, others",
    whole_moved: "close: ms silent, moved",
    whole_others: "close: ms silent, others",
};
const START: &str = "start: ms from first registration until stable";
const GAP: &str = "undisturbed: ms of the longest gap in a second";
const WORST_GAP: &str = "undisturbed: ms of the longest gap of all";
const KILL_STABLE: &str = "kill: ms from kill until stable";
const LOST: &str = "records lost";

/// A record to each partition every so often: with many partitions the old members' processor is full otherwise.
pub(crate) fn interval(partitions: i32) -> Duration {
    Duration::from_millis(if partitions < 500 { 50 } else { 250 })
}

/// The lines of the table for so many partitions.
pub(crate) fn rows(partitions: i32) -> Vec<Row> {
    let at_most = |value: f64| Target::AtMost(Limit::Fixed(value));
    let share = |members: i32| at_most(f64::from((partitions + members - 1) / members));
    let stable = at_most(if partitions < 500 { 100.0 } else { 400.0 });
    vec![
        Row::new(START, Target::Shown),
        Row::new(GAP, Target::Shown),
        Row::new(JOIN.stable, stable),
        Row::worst(JOIN.moved, share(10)),
        Row::new(JOIN.silent_moved, at_most(200.0)),
        Row::new(JOIN.silent_others, at_most(50.0)),
        Row::new(KILL_STABLE, Target::Shown),
        Row::new(KILL.stable, at_most(300.0)),
        Row::worst(KILL.moved, share(10)),
        // The dead member's partitions are silent until its session ends, whoever takes them.
        Row::new(KILL.silent_moved, Target::Shown),
        Row::new(KILL.silent_others, at_most(50.0)),
        Row::new(CLOSE.stable, stable),
        Row::worst(CLOSE.moved, share(9)),
        Row::new(CLOSE.silent_moved, at_most(200.0)),
        Row::new(CLOSE.silent_others, at_most(50.0)),
        Row::worst(LOST, at_most(0.0)),
    ]
}

/// Makes the topic, runs the group through its changes, deletes the topic.
pub(crate) fn run(change: &Change<'_>) -> Result<Figures, Failure> {
    topic::create(&change.peer.bootstrap, change.name, change.partitions, &[])?;
    let figures = measure(change);
    topic::delete(&change.peer.bootstrap, change.name)?;
    figures
}

fn measure(change: &Change<'_>) -> Result<Figures, Failure> {
    let Change { side, partitions, log, .. } = *change;
    let group = Group { connect: change.peer.connect.clone(), name: change.name.into(), topic: change.name.into() };
    let deliveries = Arc::new(Deliveries::new(partitions));
    let settings: &[&str] = match side {
        Side::Ottla => &[SESSION],
        Side::Kafka => &[SESSION, "auto.commit.enable=false"],
    };
    let start = || Members::start(side, &group, settings, log, deliveries.clone());
    let (mut victim, mut others) = (start()?, start()?);
    let observer = Observer::connect(&group, partitions)?;
    let writer = Writer::start(&change.peer.bootstrap, change.name, partitions, interval(partitions))?;

    let begun = now_ms();
    victim.join([VICTIM])?;
    others.join(NAMES.into_iter().filter(|name| ![VICTIM, JOINER].contains(name)))?;
    let nine = observer.wait_until_stable(side, NAMES.len() - 1, begun)?;
    let registered = nine.members.values().min().copied().unwrap_or(begun);
    let mut figures = vec![(START, (nine.at_ms - registered) as f64)];

    let run = Run { change, deliveries: &deliveries, observer: &observer };
    run.settle()?;
    std::thread::sleep(Duration::from_secs(1));
    let mut gaps = Vec::new();
    for _ in 0..change.windows {
        deliveries.mark();
        std::thread::sleep(WINDOW);
        gaps.extend(run.silence(&deliveries.partitions()));
    }
    let gaps = Summary::of(&gaps).ok_or_else(|| Failure::new("no window without a change was asked for"))?;
    let gap = gaps.median;
    figures.extend([(GAP, gap), (WORST_GAP, gaps.max)]);

    let joined = run.one(&nine, NAMES.len(), || others.join([JOINER]))?;
    let of_joiner = joined.stable.members.iter().find(|(id, _)| !nine.members.contains_key(*id));
    let registered = of_joiner.map_or(joined.begun, |(_, ctime)| *ctime);
    figures.push((JOIN.stable, joined.ms_since(registered)));
    joined.tell(&JOIN, gap, &mut figures);

    let killed = run.one(&joined.stable, NAMES.len() - 1, || victim.signal(Signal::KILL))?;
    let ended = killed.stable.gone.values().max().copied().unwrap_or(killed.begun);
    figures.push((KILL_STABLE, killed.ms_since(killed.begun)));
    figures.push((KILL.stable, killed.ms_since(ended)));
    killed.tell(&KILL, gap, &mut figures);

    let closed = run.one(&killed.stable, NAMES.len() - 2, || others.close(JOINER))?;
    figures.push((CLOSE.stable, closed.ms_since(closed.begun)));
    closed.tell(&CLOSE, gap, &mut figures);

    let written = writer.stop()?;
    let start = Instant::now();
    while deliveries.missing(written) > 0 && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    figures.push((LOST, deliveries.missing(written) as f64));
    match side {
        Side::Ottla => others.end()?,
        // Eight old members that leave one after the other rebalance for minutes.
        Side::Kafka => drop(others),
    }
    // What they leave behind must not disturb who comes next.
    let start = Instant::now();
    while !observer.registrations()?.is_empty() && start.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(figures)
}

struct Run<'a> {
    change: &'a Change<'a>,
    deliveries: &'a Deliveries,
    observer: &'a Observer,
}

/// What one change did.
struct Changed {
    /// When it was begun.
    begun: i64,
    stable: Stable,
    moved: usize,
    /// Milliseconds; `None` if there was no such partition.
    silent_moved: Option<f64>,
    silent_others: Option<f64>,
}

impl Run<'_> {
    /// Lets `begin` happen and waits until everything flows again.
    fn one(
        &self,
        before: &Stable,
        members: usize,
        begin: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<Changed, Failure> {
        self.settle()?;
        self.deliveries.mark();
        let begun = now_ms();
        begin()?;
        let stable = self.observer.wait_until_stable(self.change.side, members, begun)?;
        self.settle()?;
        let moved: BTreeSet<i32> = stable
            .owners
            .iter()
            .filter(|(partition, owner)| before.owners.get(partition) != Some(owner))
            .map(|(partition, _)| *partition)
            .collect();
        let others = &self.deliveries.partitions() - &moved;
        let (silent_moved, silent_others) = (self.silence(&moved), self.silence(&others));
        Ok(Changed { begun, stable, moved: moved.len(), silent_moved, silent_others })
    }

    /// The longest silence since the mark, in ms.
    fn silence(&self, partitions: &BTreeSet<i32>) -> Option<f64> {
        self.deliveries.longest_silence(partitions).map(|silence| silence.as_secs_f64() * 1e3)
    }

    /// Waits until every partition flows.
    fn settle(&self) -> Result<(), Failure> {
        let start = Instant::now();
        while !self.deliveries.all_since(start) {
            if start.elapsed() > Duration::from_secs(60) {
                let owned = self.observer.owned()?.len();
                return Err(Failure::new(format!("some partition is silent for a minute; {owned} are owned")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(2 * interval(self.change.partitions));
        Ok(())
    }
}

impl Changed {
    fn ms_since(&self, begun: i64) -> f64 {
        (self.stable.at_ms - begun).max(0) as f64
    }

    fn tell(&self, names: &Names, gap: f64, figures: &mut Figures) {
        let beyond = |silence: f64| (silence - gap).max(0.0);
        figures.push((names.moved, self.moved as f64));
        figures.extend(self.silent_moved.map(|silence| (names.silent_moved, beyond(silence))));
        figures.extend(self.silent_others.map(|silence| (names.silent_others, beyond(silence))));
        figures.extend(self.silent_moved.map(|silence| (names.whole_moved, silence)));
        figures.extend(self.silent_others.map(|silence| (names.whole_others, silence)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_those_of_the_issue() {
        let height = |partitions, figure| {
            let rows = rows(partitions);
            let row = rows.iter().find(|row| row.figure == figure).unwrap();
            row.target.height(&Default::default()).unwrap()
        };
        assert_eq!((height(100, JOIN.stable), height(900, JOIN.stable)), (100.0, 400.0));
        assert_eq!((height(100, JOIN.moved), height(900, JOIN.moved)), (10.0, 90.0));
        assert_eq!((height(100, CLOSE.moved), height(900, CLOSE.moved)), (12.0, 100.0));
    }
}
