//! The figures of all turns by place and side, and the table that follows from them.

use std::collections::BTreeMap;

use super::members::Side;
use crate::statistics::Summary;
use crate::table::{aligned, figure, ratio, reached, target};
use crate::target::{Known, Target};

/// What a measurement of one side yields: what each figure is, with its unit, and the figure.
pub(crate) type Figures = Vec<(&'static str, f64)>;

/// A line of the table. Less is better everywhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// What it is, with its unit.
    pub(crate) figure: &'static str,
    /// What Ottla's has to reach; Kafka is 0.8.2.2.
    pub(crate) target: Target,
    /// Whether the largest of the turns counts, not the median.
    worst: bool,
}

impl Row {
    /// A figure whose median counts.
    pub(crate) fn new(figure: &'static str, target: Target) -> Row {
        Row { figure, target, worst: false }
    }

    /// A figure of which no turn may miss the target.
    pub(crate) fn worst(figure: &'static str, target: Target) -> Row {
        Row { figure, target, worst: true }
    }
}

const HEADER: [&str; 7] = ["where", "figure", "Ottla", "Kafka 0.8.2.2", "Ottla/Kafka", "target", "reached"];
const WORDS: [usize; 4] = [0, 1, 5, 6];

/// Figures by place, what they are and side, one for each turn.
#[derive(Default)]
pub(crate) struct Results {
    figures: BTreeMap<(String, &'static str, Side), Vec<f64>>,
    /// Places in the order of the table, each with its rows.
    places: Vec<(String, Vec<Row>)>,
}

impl Results {
    /// Adds what was measured in a turn; `rows` are the place's lines of the table.
    pub(crate) fn add(&mut self, place: &str, rows: impl FnOnce() -> Vec<Row>, side: Side, figures: &Figures) {
        if self.places.iter().all(|(other, _)| other != place) {
            self.places.push((place.into(), rows()));
        }
        for (figure, value) in figures {
            self.figures.entry((place.into(), figure, side)).or_default().push(*value);
        }
    }

    fn figure(&self, place: &str, row: &Row, side: Side) -> Option<f64> {
        let summary = Summary::of(self.figures.get(&(place.into(), row.figure, side))?)?;
        Some(if row.worst { summary.max } else { summary.median })
    }

    /// The table.
    pub(crate) fn markdown(&self) -> String {
        let lines = self.places.iter().flat_map(|(place, rows)| rows.iter().map(|row| self.line(place, row)));
        aligned(HEADER, &WORDS, lines)
    }

    fn line(&self, place: &str, row: &Row) -> [String; 7] {
        let (ottla, kafka) = (self.figure(place, row, Side::Ottla), self.figure(place, row, Side::Kafka));
        let known = Known { kafka, ..Known::default() };
        let words = if row.target == Target::Shown { String::new() } else { row.target.to_string() };
        [
            place.into(),
            row.figure.into(),
            figure(ottla),
            figure(kafka),
            ratio(ottla, kafka),
            target(&words, row.target.height(&known)),
            reached(row.target.judge(ottla, &known)).into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Limit;

    #[test]
    fn the_median_counts_but_where_no_turn_may_miss() {
        let rows = || {
            vec![
                Row::new("ms", Target::AtMost(Limit::Kafka(0.5))),
                Row::worst("lost", Target::AtMost(Limit::Fixed(0.0))),
            ]
        };
        let mut results = Results::default();
        for (own, lost) in [(1.0, 0.0), (3.0, 0.0), (9.0, 2.0)] {
            results.add("here", rows, Side::Ottla, &vec![("ms", own), ("lost", lost)]);
            results.add("here", rows, Side::Kafka, &vec![("ms", 12.0)]);
        }
        let text = results.markdown();
        let cells = |line: usize| -> Vec<&str> { text.lines().nth(line).unwrap().split('|').map(str::trim).collect() };
        assert_eq!(cells(2)[1..8], ["here", "ms", "3", "12", "0.25", "1/2 Kafka: 6", "yes"]);
        assert_eq!(cells(3)[1..8], ["here", "lost", "2", "-", "-", "0", "NO"]);
        assert_eq!(text.lines().count(), 4);
    }
}
