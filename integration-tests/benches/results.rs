//! The figures of all counted turns, and the table that follows from them.

use std::collections::BTreeMap;

use crate::cases::{self, Case, Figures, Metric};
use crate::peer::System;
use crate::statistics::Summary;
use crate::table;
use crate::target::{Known, Target};

/// Figures by case, what they are and system, one for each turn.
#[derive(Default)]
pub(crate) struct Results(BTreeMap<(&'static str, Metric, System), Vec<f64>>);

impl Results {
    /// Adds what a case yielded on a system in a turn.
    pub(crate) fn add(&mut self, case: &'static str, system: System, figures: &Figures) {
        for (metric, value) in figures {
            self.0.entry((case, metric, system)).or_default().push(*value);
        }
    }

    /// What the turns say together, for each kind of figure.
    pub(crate) fn summaries(&self) -> impl Iterator<Item = (&'static str, Metric, System, Summary)> {
        self.0.iter().filter_map(|((case, metric, system), figures)| {
            Summary::of(figures).map(|summary| (*case, *metric, *system, summary))
        })
    }

    fn median(&self, case: &'static str, metric: Metric, system: System) -> Option<f64> {
        Some(Summary::of(self.0.get(&(case, metric, system))?)?.median)
    }

    /// A case's lines of the table.
    pub(crate) fn rows(&self, case: &Case) -> Vec<table::Row> {
        case.rows.iter().map(|row| self.row(case.name, row)).collect()
    }

    fn row(&self, case: &'static str, row: &cases::Row) -> table::Row {
        let median = |system| self.median(case, row.metric, system);
        let floor = median(System::Floor);
        // Two processes that take turns on a processor can be faster than the floor by chance; never by merit.
        let beyond = |figure: Option<f64>| match row.beyond_floor {
            true => Some((figure? - floor?).max(0.0)),
            false => figure,
        };
        let (ottla, kafka) = (beyond(median(System::Ottla)), beyond(median(System::Kafka)));
        let own = row.target.own_case().and_then(|other| self.median(other, row.metric, System::Ottla));
        let known = Known { floor, kafka, own, ..Known::default() };
        table::Row {
            case,
            unit: if row.beyond_floor { format!("{} beyond floor", row.metric) } else { row.metric.into() },
            floor,
            ottla,
            kafka,
            compares_with_floor: !row.beyond_floor,
            target: if row.target == Target::Shown { String::new() } else { row.target.to_string() },
            height: row.target.height(&known),
            verdict: row.target.judge(ottla, &known),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{CPU_PER_GB, P99, Row};
    use crate::target::{Limit, Verdict};

    fn results() -> Results {
        let mut results = Results::default();
        for (floor, ottla, kafka) in [(0.4, 0.9, 3.0), (0.5, 0.7, 2.0), (0.6, 5.0, 9.0)] {
            results.add("a", System::Floor, &vec![(CPU_PER_GB, floor), (P99, floor)]);
            results.add("a", System::Ottla, &vec![(CPU_PER_GB, ottla), (P99, ottla)]);
            results.add("a", System::Kafka, &vec![(CPU_PER_GB, kafka), (P99, kafka)]);
        }
        results.add("b", System::Ottla, &vec![(CPU_PER_GB, 1.0)]);
        results
    }

    #[test]
    fn medians_are_compared() {
        let row = results().row("a", &Row::new(CPU_PER_GB, Target::AtMost(Limit::Kafka(0.5))));
        assert_eq!((row.floor, row.ottla, row.kafka), (Some(0.5), Some(0.9), Some(3.0)));
        assert_eq!((row.height, row.verdict), (Some(1.5), Verdict::Reached));
    }

    #[test]
    fn the_generators_floor_is_taken_off_both() {
        let row = results().row("a", &Row::beyond_floor(P99, Target::AtMost(Limit::Kafka(0.1))));
        assert_eq!((row.floor, row.ottla, row.kafka), (Some(0.5), Some(0.4), Some(2.5)));
        assert_eq!((row.height, row.verdict), (Some(0.25), Verdict::Missed));
        assert_eq!(row.unit, "ms p99 beyond floor");
    }

    #[test]
    fn a_target_may_be_another_cases_own_figure() {
        let row = results().row("b", &Row::new(CPU_PER_GB, Target::AtMost(Limit::Own(1.2, "a"))));
        assert_eq!((row.height, row.verdict), (Some(1.08), Verdict::Reached));
        let missing = results().row("b", &Row::new(CPU_PER_GB, Target::AtMost(Limit::Own(1.2, "c"))));
        assert_eq!((missing.height, missing.verdict), (None, Verdict::Open));
    }
}
