//! Classic consumer groups beside those of Kafka 0.8.2.2, in the same run, with an Apache ZooKeeper 3.8 and with the
//! embedded keeper.
//!
//! `integration-tests/bench groups` runs `ottla-bench groups`. [`change`] takes a group through joins and losses, [`reading`]
//! reads a log, [`pause`] stops members beyond their sessions. [`members`] are processes, told and heard in the same way on both
//! sides ([`member_process`] and `OldMember.java`); [`observer`] reads in ZooKeeper who owns what, [`deliveries`] what is silent
//! for how long, [`writer`] keeps records coming.

mod change;
mod deliveries;
pub(crate) mod member_process;
mod members;
mod observer;
mod pause;
mod reading;
mod writer;

use ottla_integration_tests::zookeeper::ZooKeeper;
use serde_json::{Value, json};

use self::change::Change;
use self::members::Side;
use crate::failure::Failure;
use crate::figures::Results;
use crate::load::topic;
use crate::peer::Peer;
use crate::run::{Named, Run};
use crate::table::{aligned, figure, ratio};
use crate::target::Known;

/// How the benchmark of groups is run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct GroupOptions {
    /// Turns of changes, each with both sides
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    turns: u16,
    /// Only these cases
    #[arg(long, value_name = "CASE,CASE", value_delimiter = ',')]
    only: Vec<Case>,
    /// How many times a member is stopped beyond its session
    #[arg(long, default_value_t = 1000)]
    pauses: usize,
    /// One turn, 100 partitions, a tenth of the log, 20 pauses: to see that it works, not to be believed
    #[arg(long)]
    quick: bool,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Case {
    /// Joins and losses with a ZooKeeper 3.8 beside the broker.
    Zookeeper,
    /// The same with the keeper inside it.
    Keeper,
    /// Reading a log.
    Reading,
    /// Members that are stopped beyond their sessions.
    Pauses,
}

/// How often the log is read by each.
const READING_TURNS: u16 = 3;
/// Bytes of values in the log.
const READING_BYTES: u64 = 1_000_000_000;

/// Measures, prints the table and keeps the figures.
///
/// # Errors
/// When it cannot begin; at the end, when a measurement failed.
pub(crate) fn run(options: &GroupOptions) -> Result<(), Failure> {
    let call = json!({ "groups": true, "turns": options.turns, "pauses": options.pauses, "quick": options.quick });
    let mut groups = Groups { options, run: Run::begin(call)? };
    groups.all()?;
    let sentence = match options.quick {
        true => "One quick turn: not to be believed.".into(),
        false => format!("Medians of {} turns of changes and {READING_TURNS} of reading.", options.turns),
    };
    let table = markdown(&groups.run.results);
    groups.run.end(&table, sentence, "members")
}

/// The table.
fn markdown(results: &Results<Side>) -> String {
    let header = ["where", "figure", "Ottla", "Kafka 0.8.2.2", "Ottla/Kafka", "target", "reached"];
    let lines = results.lines([Side::Ottla, Side::Kafka]).into_iter().map(|line| {
        let [ottla, kafka] = line.figures;
        let [target, reached] = line.judged(&Known { kafka, ..Known::default() });
        let (place, what) = (line.place.into(), line.row.figure.into());
        [place, what, figure(ottla), figure(kafka), ratio(ottla, kafka), target, reached]
    });
    aligned(header, &[0, 1, 5, 6], lines)
}

struct Groups<'a> {
    options: &'a GroupOptions,
    run: Run<Side>,
}

impl Groups<'_> {
    fn has(&self, case: Case) -> bool {
        self.options.only.is_empty() || self.options.only.contains(&case)
    }

    fn all(&mut self) -> Result<(), Failure> {
        if self.has(Case::Zookeeper) {
            let zookeeper = ZooKeeper::start(&self.run.data.join("zookeeper"));
            let peer = Peer::ottla_with(&self.run.data.join("beside-zookeeper"), Some(zookeeper), &[])?;
            self.changes("ZooKeeper", &peer)?;
            peer.stop();
        }
        if self.has(Case::Keeper) || self.has(Case::Reading) {
            let peer = Peer::ottla(&self.run.data.join("with-keeper"))?;
            if self.has(Case::Keeper) {
                self.changes("keeper", &peer)?;
            }
            if self.has(Case::Reading) {
                self.reading(&peer)?;
            }
            peer.stop();
        }
        if self.has(Case::Pauses) {
            let settings = pause::KEEPER.map(str::to_owned);
            let peer = Peer::ottla_with(&self.run.data.join("pauses"), None, &settings)?;
            let pauses = if self.options.quick { self.options.pauses.min(20) } else { self.options.pauses };
            let outcome = pause::run(&peer, pauses, &self.run.data.join("pauses.log"));
            self.run.keep("pauses", pause::rows, Side::Ottla, 1, (outcome, Value::Null))?;
            peer.stop();
        }
        Ok(())
    }

    /// Both sides in turns; which of them comes first changes from turn to turn.
    fn changes(&mut self, keeper: &str, peer: &Peer) -> Result<(), Failure> {
        let counts: &[i32] = if self.options.quick { &[100] } else { &[100, 900] };
        let turns = if self.options.quick { 1 } else { self.options.turns };
        for turn in 1..=turns {
            for partitions in counts {
                let mut sides = [Side::Kafka, Side::Ottla];
                sides.rotate_left(usize::from(turn + 1) % 2);
                for side in sides {
                    let change = Change {
                        peer,
                        name: &format!("changes-{partitions}-{turn}-{}", side.name()),
                        side,
                        partitions: *partitions,
                        windows: if self.options.quick { 3 } else { 7 },
                        log: &self.run.data.join(format!("{}.log", side.name())),
                    };
                    let outcome = change::run(&change);
                    let place = format!("{keeper}, {partitions} partitions");
                    self.run.keep(&place, || change::rows(*partitions), side, turn, (outcome, Value::Null))?;
                }
            }
        }
        Ok(())
    }

    /// Each form of the library and the old consumer, interleaved.
    fn reading(&mut self, peer: &Peer) -> Result<(), Failure> {
        let (bytes, turns) = if self.options.quick { (READING_BYTES / 10, 1) } else { (READING_BYTES, READING_TURNS) };
        let records = reading::fill(peer, bytes)?;
        for turn in 1..=turns {
            let log = self.run.data.join("reading.log");
            let read = |name: &str, side, form| match reading::run(
                peer,
                (&format!("{name}-{turn}"), side),
                form,
                records,
                &log,
            ) {
                Ok((figures, resident)) => (Ok(figures), json!({ "resident_kib": resident })),
                Err(failure) => (Err(failure), Value::Null),
            };
            for (place, form) in reading::FORMS {
                let outcome = read(&form.replace('=', "-"), Side::Ottla, form);
                self.run.keep(place, reading::rows, Side::Ottla, turn, outcome)?;
            }
            let (outcome, resident) = read("old", Side::Kafka, "");
            if let Ok(figures) = &outcome {
                for (place, _) in reading::FORMS.iter().skip(1) {
                    self.run.results.add(place, reading::rows, Side::Kafka, figures);
                }
            }
            self.run.keep(reading::FORMS[0].0, reading::rows, Side::Kafka, turn, (outcome, resident))?;
        }
        Ok(topic::delete(&peer.bootstrap, "reading")?)
    }
}
