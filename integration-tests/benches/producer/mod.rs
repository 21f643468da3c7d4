//! Ottla's producer library beside librdkafka 2.12.1 and Kafka 3.9.1's producer in Java.
//!
//! `integration-tests/bench producer` runs `ottla-bench producer`. [`throughput`] is what it costs to send as fast as a broker of
//! Ottla takes, [`latency`] how long single records take, [`change`] how soon a change of leader is followed in a
//! [`cluster`] of two brokers of Kafka, since Ottla has no replicas yet; a [`probe`] tells when the new leader itself leads.
//! [`clients`] are processes: what they use is counted for them alone ([`client_process`], `rdkafka_client.c` and `BenchProducer.java`).

mod change;
pub(crate) mod client_process;
mod clients;
mod cluster;
mod latency;
mod probe;
mod throughput;

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use self::change::{FOLLOWERS, Kind};
use self::clients::{SIDES, Side};
use self::cluster::Cluster;
use crate::failure::{During, Failure};
use crate::figures::Results;
use crate::peer::Peer;
use crate::run::Run;
use crate::table::{aligned, figure, ratio};
use crate::target::Known;

/// How the benchmark of producers is run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ProducerOptions {
    /// Turns of sending, each with all sides
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    turns: u16,
    /// Only these cases
    #[arg(long, value_name = "CASE,CASE", value_delimiter = ',')]
    only: Vec<Case>,
    /// One turn with a tenth of the records and two changes of leader: to see that it works, not to be believed
    #[arg(long)]
    quick: bool,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Case {
    /// What sending costs.
    Sending,
    /// How long single records take.
    Latency,
    /// How soon an election is followed.
    Election,
    /// How soon the death of a leader is followed.
    Kill,
}

/// Records that are sent as fast as it goes: 1 GB of values.
const RECORDS: u64 = 10_000_000;
/// Seconds of each turn of single records.
const SECONDS: u64 = 10;
/// Changes of leader of each kind.
const MOVES: usize = 10;

/// Measures, prints the table and keeps the figures.
///
/// # Errors
/// When it cannot begin; at the end, when a measurement failed.
pub(crate) fn run(options: &ProducerOptions) -> Result<(), Failure> {
    let run = Run::begin(json!({ "producer": true, "turns": options.turns, "quick": options.quick }))?;
    let log = run.data.join("clients.log");
    let mut producers = Producers { options, log, run, topics: 0 };
    producers.all()?;
    let sentence = match options.quick {
        true => "One quick turn: not to be believed.".into(),
        false => format!("Medians of {} turns and of {MOVES} changes of leader.", options.turns),
    };
    let table = markdown(&producers.run.results);
    producers.run.end(&table, sentence, "clients")
}

/// The table.
fn markdown(results: &Results<Side>) -> String {
    let header =
        ["where", "figure", "Ottla", "librdkafka", "Java", "Ottla/librdkafka", "Ottla/Java", "target", "reached"];
    let lines = results.lines(SIDES).into_iter().map(|line| {
        let [ottla, librdkafka, java] = line.figures;
        let [target, reached] = line.judged(&Known { librdkafka, java, ..Known::default() });
        let ratios = [ratio(ottla, librdkafka), ratio(ottla, java)];
        let [to_librdkafka, to_java] = ratios;
        let (place, what) = (line.place.into(), line.row.figure.into());
        [place, what, figure(ottla), figure(librdkafka), figure(java), to_librdkafka, to_java, target, reached]
    });
    aligned(header, &[0, 1, 7, 8], lines)
}

struct Producers<'a> {
    options: &'a ProducerOptions,
    run: Run<Side>,
    log: PathBuf,
    topics: usize,
}

impl Producers<'_> {
    fn has(&self, case: Case) -> bool {
        self.options.only.is_empty() || self.options.only.contains(&case)
    }

    fn all(&mut self) -> Result<(), Failure> {
        if self.has(Case::Sending) || self.has(Case::Latency) {
            let peer = Peer::ottla(&self.run.data.join("ottla"))?;
            if self.has(Case::Sending) {
                self.sending(&peer)?;
            }
            if self.has(Case::Latency) {
                self.latency(&peer)?;
            }
            peer.stop();
        }
        if self.has(Case::Election) || self.has(Case::Kill) {
            let folder = self.run.data.join("kafka");
            fs::create_dir_all(&folder).during(folder.display())?;
            let mut cluster = Cluster::start(&folder)?;
            if self.has(Case::Election) {
                for follower in FOLLOWERS {
                    self.moves(&mut cluster, Kind::Election, &[follower])?;
                }
            }
            if self.has(Case::Kill) {
                self.moves(&mut cluster, Kind::Kill, &FOLLOWERS)?;
            }
        }
        Ok(())
    }

    fn turns(&self) -> u16 {
        if self.options.quick { 1 } else { self.options.turns }
    }

    /// The sides in turns; which of them comes first changes from turn to turn.
    fn sides(turn: u16) -> [Side; 3] {
        let mut sides = SIDES;
        sides.rotate_left(usize::from(turn) % SIDES.len());
        sides
    }

    fn topic(&mut self) -> String {
        self.topics += 1;
        format!("bench-{}", self.topics)
    }

    fn sending(&mut self, peer: &Peer) -> Result<(), Failure> {
        let records = if self.options.quick { RECORDS / 10 } else { RECORDS };
        for turn in 1..=self.turns() {
            for way in &throughput::WAYS {
                for side in Producers::sides(turn) {
                    let outcome = throughput::run(peer, (way, side), &self.topic(), records, &self.log);
                    self.run.keep(way.place, || throughput::rows(way), side, turn, (outcome, Value::Null))?;
                }
            }
        }
        Ok(())
    }

    fn latency(&mut self, peer: &Peer) -> Result<(), Failure> {
        let seconds = if self.options.quick { SECONDS / 5 } else { SECONDS };
        for turn in 1..=self.turns() {
            for (place, acks) in latency::WAYS {
                for side in Producers::sides(turn) {
                    let outcome = latency::run(peer, (acks, side), &self.topic(), seconds, &self.log);
                    self.run.keep(place, latency::rows, side, turn, (outcome, Value::Null))?;
                }
            }
        }
        Ok(())
    }

    fn moves(&mut self, cluster: &mut Cluster, kind: Kind, followers: &[change::Follower]) -> Result<(), Failure> {
        let moves = if self.options.quick { 2 } else { MOVES };
        let outcomes = match change::run(cluster, kind, followers, moves, &self.log) {
            Ok(outcomes) => outcomes,
            Err(failure) => followers.iter().map(|_| Err(Failure::new(failure.to_string()))).collect(),
        };
        for (follower, outcome) in followers.iter().zip(outcomes) {
            let of_moves = match outcome {
                Ok(figures) => figures.into_iter().map(Ok).collect(),
                Err(failure) => vec![Err(failure)],
            };
            for (turn, outcome) in (1..).zip(of_moves) {
                self.run.keep(
                    &kind.place(follower),
                    || change::rows(follower),
                    follower.side,
                    turn,
                    (outcome, Value::Null),
                )?;
            }
        }
        Ok(())
    }
}
