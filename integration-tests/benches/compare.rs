//! Runs the cases: Ottla and Kafka stay up and take turns with the floor, so that what disturbs the machine disturbs all
//! three.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use ottla_integration_tests::broker::binary;
use serde_json::json;

use crate::bench::Bench;
use crate::cases::{self, Case, Figures, When};
use crate::failure::{During, Failure};
use crate::journal::{Journal, Measurement};
use crate::machine::Machine;
use crate::peer::System;
use crate::results::Results;
use crate::table::{markdown, number};

/// How the comparison is run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CompareOptions {
    /// Turns that count; one more comes before them to warm up
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    turns: u16,
    /// Only these cases
    #[arg(long, value_name = "CASE,CASE", value_delimiter = ',')]
    only: Vec<String>,
    /// Ottla and the floor alone; needs no Java
    #[arg(long)]
    without_kafka: bool,
    /// One turn with small amounts and no warm-up: to see that it works, not to be believed
    #[arg(long)]
    quick: bool,
    /// Print the cases
    #[arg(long)]
    list: bool,
}

/// The folder of everything that the benchmark leaves.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).join("target/bench")
}

/// Measures, prints the table and keeps the figures.
///
/// # Errors
/// When it cannot begin or go on; also at the end, when a measurement failed.
pub(crate) fn run(options: &CompareOptions) -> Result<(), Failure> {
    let cases = selected(options)?;
    if options.list {
        for case in &cases {
            println!("{:<24}{}", case.name, case.what);
        }
        return Ok(());
    }
    let machine = Machine::here();
    announce(options, &cases, &machine);
    let data = folder().join("data");
    empty(&data)?;
    check_space(&data, &cases, options.quick)?;
    let call = json!({
        "turns": options.turns, "only": options.only, "without_kafka": options.without_kafka, "quick": options.quick,
        "broker": binary().display().to_string(),
    });
    let journal = Journal::new(&folder(), &machine, call)?;
    let mut comparison = Comparison {
        options,
        bench: Bench::new(&data, options.quick),
        journal,
        results: Results::default(),
        failed: 0,
        start: Instant::now(),
    };
    comparison.all(&cases)?;
    let failed = comparison.failed;
    comparison.publish(&cases, &machine)?;
    empty(&data)?;
    match failed {
        0 => Ok(()),
        _ => Err(Failure::new(format!("{failed} measurements failed; the lines above say why"))),
    }
}

fn selected(options: &CompareOptions) -> Result<Vec<Case>, Failure> {
    let all = cases::all();
    if let Some(unknown) = options.only.iter().find(|name| all.iter().all(|case| case.name != **name)) {
        let names: Vec<&str> = all.iter().map(|case| case.name).collect();
        return Err(Failure::new(format!("there is no case {unknown}; there are {}", names.join(", "))));
    }
    let wanted = |case: &Case| match options.only.is_empty() {
        true => !(options.quick && case.only_in_full),
        false => options.only.iter().any(|name| name == case.name),
    };
    Ok(all.into_iter().filter(wanted).collect())
}

/// Removes what an earlier run left, and makes the folder.
pub(crate) fn empty(data: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(data) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).during(data.display()),
        _ => {}
    }
    fs::create_dir_all(data).during(data.display())
}

fn check_space(data: &Path, cases: &[Case], quick: bool) -> Result<(), Failure> {
    let most = cases.iter().map(|case| case.disk_bytes).max().unwrap_or(0);
    let needed = if quick { most / 4 } else { most } + (1 << 30);
    let system = rustix::fs::statvfs(data).during(data.display())?;
    let free = system.f_bavail * system.f_frsize;
    if free < needed {
        let gib = |bytes: u64| number(bytes as f64 / f64::from(1 << 30));
        let text = format!("{} GiB are needed in {}, {} are free", gib(needed), data.display(), gib(free));
        return Err(Failure::new(text));
    }
    Ok(())
}

fn announce(options: &CompareOptions, cases: &[Case], machine: &Machine) {
    machine.announce();
    let systems = if options.without_kafka { "Ottla and the floor" } else { "Ottla, Kafka 3.9.1 and the floor" };
    println!("{} cases on {systems}: about {}.", cases.len(), minutes(estimate(options, cases)));
}

/// How long it all takes, about.
fn estimate(options: &CompareOptions, cases: &[Case]) -> Duration {
    let sum = |each_turn: bool| -> Duration {
        cases.iter().filter(|case| (case.when == When::EachTurn) == each_turn).map(|case| case.takes).sum()
    };
    let (once, turn) = (sum(false), sum(true));
    // Of small amounts the larger part is what comes around them; the warm-up is shorter in what takes a set time.
    let with_kafka = match options.quick {
        true => (once + turn) / 2,
        false => once + turn * u32::from(options.turns) + turn * 2 / 3,
    };
    if options.without_kafka { with_kafka * 2 / 3 } else { with_kafka }
}

fn minutes(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..90 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

struct Comparison<'a> {
    options: &'a CompareOptions,
    bench: Bench,
    journal: Journal,
    results: Results,
    failed: usize,
    start: Instant,
}

impl Comparison<'_> {
    fn all(&mut self, cases: &[Case]) -> Result<(), Failure> {
        self.once(cases, When::Before)?;
        if cases.iter().any(|case| matches!(case.when, When::EachTurn | When::AfterTurns)) {
            self.bench.start(System::Ottla)?;
            if self.has(System::Kafka) {
                self.bench.start(System::Kafka)?;
            }
            self.bench.rest()?;
            let turns = if self.options.quick { 1..2 } else { 0..usize::from(self.options.turns) + 1 };
            for turn in turns {
                self.bench.is_warm_up = turn == 0;
                for case in cases.iter().filter(|case| case.when == When::EachTurn) {
                    self.case(case, Some(turn))?;
                }
            }
            self.once(cases, When::AfterTurns)?;
            self.bench.stop();
        }
        self.once(cases, When::Last)
    }

    fn once(&mut self, cases: &[Case], when: When) -> Result<(), Failure> {
        cases.iter().filter(|case| case.when == when).try_for_each(|case| self.case(case, None))
    }

    fn has(&self, system: System) -> bool {
        system != System::Kafka || !self.options.without_kafka
    }

    /// The floor first, then the brokers; which of them comes first changes from turn to turn.
    fn case(&mut self, case: &Case, turn: Option<usize>) -> Result<(), Failure> {
        let mut systems: Vec<System> = case.systems.iter().copied().filter(|system| self.has(*system)).collect();
        if turn.is_some_and(|turn| turn % 2 == 0) {
            systems.sort_by_key(|system| (*system != System::Floor, std::cmp::Reverse(*system)));
        }
        systems.into_iter().try_for_each(|system| self.measure(case, system, turn))
    }

    fn measure(&mut self, case: &Case, system: System, turn: Option<usize>) -> Result<(), Failure> {
        let start = Instant::now();
        let zookeeper = self.bench.zookeeper_cpu_seconds(system);
        let outcome = (case.measure)(&mut self.bench, system);
        let after = self.bench.zookeeper_cpu_seconds(system);
        self.say(case.name, system, turn, &outcome);
        self.journal.measurement(&Measurement {
            turn,
            case: case.name,
            system,
            seconds: start.elapsed().as_secs_f64(),
            zookeeper_cpu_seconds: zookeeper.zip(after).map(|(before, after)| after - before),
            outcome: &outcome,
        })?;
        match outcome {
            Ok(figures) if turn != Some(0) => self.results.add(case.name, system, &figures),
            Ok(_) => {}
            Err(_) => self.failed += 1,
        }
        Ok(())
    }

    fn say(&self, case: &str, system: System, turn: Option<usize>, outcome: &Result<Figures, Failure>) {
        let seconds = self.start.elapsed().as_secs();
        let turn = match turn {
            None => "once".into(),
            Some(0) => "warm-up".into(),
            Some(turn) => format!("turn {turn}/{}", if self.options.quick { 1 } else { self.options.turns }),
        };
        let outcome = match outcome {
            Ok(figures) => {
                let texts: Vec<String> =
                    figures.iter().map(|(metric, value)| format!("{} {metric}", number(*value))).collect();
                texts.join(", ")
            }
            Err(failure) => format!("FAILED: {failure}"),
        };
        println!("{:>2}:{:02}  {turn:<9} {case:<24} {:<6} {outcome}", seconds / 60, seconds % 60, system.name());
    }

    /// Prints the table and writes it beside the raw figures.
    fn publish(mut self, cases: &[Case], machine: &Machine) -> Result<(), Failure> {
        for (case, metric, system, summary) in self.results.summaries() {
            self.journal.summary(case, metric, system, &summary)?;
        }
        let rows: Vec<_> = cases.iter().flat_map(|case| self.results.rows(case)).collect();
        let turns = match (self.options.quick, self.options.turns) {
            (true, _) => "One quick turn: not to be believed.".into(),
            (false, turns) => format!("Medians of {turns} turns after one to warm up."),
        };
        let partly = match self.options.only.is_empty() {
            true => "",
            false => " Of some cases alone: Kafka's JVM is less warm than in a full run.",
        };
        let text = format!("{}\n{turns}{partly} {}\n", markdown(&rows), machine.sentence());
        let path = self.journal.path.with_extension("md");
        fs::write(&path, &text).during(path.display())?;
        println!("\n{text}\nraw figures: {}\nthis table: {}", self.journal.path.display(), path.display());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> CompareOptions {
        CompareOptions { turns: 5, only: vec![], without_kafka: false, quick: false, list: false }
    }

    /// Nobody waits for longer, and then the figures are never renewed.
    #[test]
    fn a_full_run_takes_at_most_three_quarters_of_an_hour() {
        let options = options();
        let estimate = estimate(&options, &selected(&options).unwrap());
        assert!(estimate <= Duration::from_secs(45 * 60), "{estimate:?}");
    }

    #[test]
    fn cases_are_chosen_by_name_and_a_wrong_name_says_which_there_are() {
        let only = |names: &[&str]| CompareOptions { only: names.iter().map(|n| n.to_string()).collect(), ..options() };
        let names: Vec<&str> = selected(&only(&["stall", "binary"])).unwrap().iter().map(|case| case.name).collect();
        assert_eq!(names, ["stall", "binary"]);
        let error = selected(&only(&["produce-1kb"])).err().unwrap().to_string();
        assert!(error.contains("produce-1kb") && error.contains("produce-1k,"), "{error}");
    }

    #[test]
    fn what_takes_minutes_is_left_out_of_a_quick_run_unless_named() {
        let quick = CompareOptions { quick: true, ..options() };
        assert!(selected(&quick).unwrap().iter().all(|case| case.name != "stall"));
        let named = CompareOptions { only: vec!["stall".into()], ..quick };
        assert_eq!(selected(&named).unwrap().len(), 1);
    }
}
