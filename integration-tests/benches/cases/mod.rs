//! What is measured: a list of cases, each with what it does on each system and what Ottla has to reach.

mod binary;
mod consume;
mod idle;
mod latency;
mod memory;
mod old_format;
mod produce;
mod stall;
mod start;

use std::time::Duration;

use crate::bench::Bench;
use crate::failure::Failure;
use crate::peer::System;
use crate::target::Target;

/// What a figure is, by the unit under which it stands in the table.
pub(crate) type Metric = &'static str;

/// Processor seconds, user and system, for 10^9 bytes of values.
pub(crate) const CPU_PER_GB: Metric = "CPU-s/GB";
/// The same for 10^9 bytes of batches as they pass: what a broker has to do with compressed ones.
pub(crate) const CPU_PER_WIRE_GB: Metric = "CPU-s/GB sent";
/// 10^6 bytes of values a second; the client on the same machine has its share in it.
pub(crate) const SPEED: Metric = "MB/s";
/// Processor seconds for a million requests.
pub(crate) const CPU_PER_MILLION: Metric = "CPU-s/million";
/// Half of the requests were answered within this.
pub(crate) const P50: Metric = "ms p50";
/// 99 of 100.
pub(crate) const P99: Metric = "ms p99";
/// 999 of 1000.
pub(crate) const P999: Metric = "ms p99.9";
/// All.
pub(crate) const MAX: Metric = "ms max";
/// Processor time by wall clock time, in percent.
pub(crate) const CPU_SHARE: Metric = "% of a core";
/// 2^20 bytes.
pub(crate) const MIB: Metric = "MiB";
/// Milliseconds.
pub(crate) const MILLISECONDS: Metric = "ms";
/// Seconds.
pub(crate) const SECONDS: Metric = "s";

/// What a case yields on a system in a turn.
pub(crate) type Figures = Vec<(Metric, f64)>;

/// When a case is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum When {
    /// Once, before the brokers start, on brokers of its own if it needs any.
    Before,
    /// In each turn, on brokers that stay up.
    EachTurn,
    /// Once after the turns, on the brokers of the turns.
    AfterTurns,
    /// Once, after these brokers have ended.
    Last,
}

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// Which of the case's figures.
    pub(crate) metric: Metric,
    /// What Ottla's has to reach.
    pub(crate) target: Target,
    /// Whether the floor is the generator's own and taken off both brokers' figures before anything is compared.
    pub(crate) beyond_floor: bool,
}

impl Row {
    /// A figure that is compared as it is.
    pub(crate) fn new(metric: Metric, target: Target) -> Row {
        Row { metric, target, beyond_floor: false }
    }

    /// A figure from which that of the floor is taken.
    pub(crate) fn beyond_floor(metric: Metric, target: Target) -> Row {
        Row { metric, target, beyond_floor: true }
    }
}

/// How a case is measured on a system.
type Measure = Box<dyn Fn(&mut Bench, System) -> Result<Figures, Failure>>;

/// Something that is measured.
pub(crate) struct Case {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it is, in a line.
    pub(crate) what: String,
    /// When.
    pub(crate) when: When,
    /// On what.
    pub(crate) systems: &'static [System],
    /// How long one measurement of all its systems takes about, in full.
    pub(crate) takes: Duration,
    /// Whether it is left out of a quick run.
    pub(crate) only_in_full: bool,
    /// What it has on the disk at most, in full.
    pub(crate) disk_bytes: u64,
    /// Its lines in the table.
    pub(crate) rows: Vec<Row>,
    /// Measures it.
    pub(crate) measure: Measure,
}

/// Floor, Ottla and Kafka.
const ALL: &[System] = &[System::Floor, System::Ottla, System::Kafka];
/// The two brokers.
const BROKERS: &[System] = &[System::Ottla, System::Kafka];

/// Every case, in the order of the table.
pub(crate) fn all() -> Vec<Case> {
    let families = [
        produce::cases(),
        produce::durable_cases(),
        consume::cases(),
        latency::cases(),
        old_format::cases(),
        idle::cases(),
        memory::cases(),
        start::cases(),
        stall::cases(),
        binary::cases(),
    ];
    families.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A misspelt name in a target would leave it open for ever.
    #[test]
    fn names_are_unique_and_targets_refer_to_cases_with_that_figure() {
        let cases = all();
        let names: BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len());
        for case in &cases {
            assert!(!case.rows.is_empty() && !case.systems.is_empty(), "{}", case.name);
            for row in &case.rows {
                let Some(own) = row.target.own_case() else { continue };
                let other = cases.iter().find(|other| other.name == own).unwrap();
                assert!(other.rows.iter().any(|other| other.metric == row.metric), "{}: {own}", case.name);
            }
        }
    }

    /// A limit in terms of a system on which the case does not run could never be judged.
    #[test]
    fn targets_refer_to_systems_on_which_the_case_runs() {
        use crate::target::Limit;
        for case in all() {
            for row in &case.rows {
                for limit in row.target.limits() {
                    let needed = match limit {
                        Limit::Floor(_) => System::Floor,
                        Limit::Kafka(_) => System::Kafka,
                        Limit::Own(..) | Limit::Fixed(_) => System::Ottla,
                        Limit::Librdkafka(_) | Limit::Java(_) => panic!("{}: a target of clients", case.name),
                    };
                    assert!(case.systems.contains(&needed), "{}: {limit}", case.name);
                }
                assert!(!row.beyond_floor || case.systems.contains(&System::Floor), "{}", case.name);
            }
        }
    }
}
