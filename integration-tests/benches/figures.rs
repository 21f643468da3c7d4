//! The figures of all turns by place and side, and what of them a table shows.

use std::collections::BTreeMap;

use crate::statistics::Summary;
use crate::table;
use crate::target::{Known, Target};

/// What a measurement of one side yields: what each figure is, with its unit, and the figure.
pub(crate) type Figures = Vec<(&'static str, f64)>;

/// A line of the table. Less is better everywhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    /// What it is, with its unit.
    pub(crate) figure: &'static str,
    /// What Ottla's has to reach.
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

/// Figures by place, what they are and side, one for each turn.
pub(crate) struct Results<S> {
    figures: BTreeMap<(String, &'static str, S), Vec<f64>>,
    /// Places in the order of the table, each with its rows.
    places: Vec<(String, Vec<Row>)>,
}

/// A line of the table with what so many sides have in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line<'a, const N: usize> {
    /// Where it was measured.
    pub(crate) place: &'a str,
    /// What it is.
    pub(crate) row: &'a Row,
    /// Each side's figure.
    pub(crate) figures: [Option<f64>; N],
}

impl<S: Ord + Copy> Results<S> {
    /// Nothing yet.
    pub(crate) fn new() -> Results<S> {
        Results { figures: BTreeMap::new(), places: Vec::new() }
    }

    /// Adds what was measured in a turn; `rows` are the place's lines of the table.
    pub(crate) fn add(&mut self, place: &str, rows: impl FnOnce() -> Vec<Row>, side: S, figures: &Figures) {
        if self.places.iter().all(|(other, _)| other != place) {
            self.places.push((place.into(), rows()));
        }
        for (figure, value) in figures {
            self.figures.entry((place.into(), figure, side)).or_default().push(*value);
        }
    }

    fn figure(&self, place: &str, row: &Row, side: S) -> Option<f64> {
        let summary = Summary::of(self.figures.get(&(place.into(), row.figure, side))?)?;
        Some(if row.worst { summary.max } else { summary.median })
    }

    /// The lines of the table.
    pub(crate) fn lines<const N: usize>(&self, sides: [S; N]) -> Vec<Line<'_, N>> {
        let mut lines = Vec::new();
        for (place, rows) in &self.places {
            let figures = |row| sides.map(|side| self.figure(place, row, side));
            lines.extend(rows.iter().map(|row| Line { place, row, figures: figures(row) }));
        }
        lines
    }
}

impl<const N: usize> Line<'_, N> {
    /// The target in words with its height, and whether the first side reached it.
    pub(crate) fn judged(&self, known: &Known) -> [String; 2] {
        let target = self.row.target;
        let words = if target == Target::Shown { String::new() } else { target.to_string() };
        let ottla = self.figures.first().copied().flatten();
        [table::target(&words, target.height(known)), table::reached(target.judge(ottla, known)).into()]
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
        let mut results = Results::new();
        for (own, lost) in [(1.0, 0.0), (3.0, 0.0), (9.0, 2.0)] {
            results.add("here", rows, "own", &vec![("ms", own), ("lost", lost)]);
            results.add("here", rows, "other", &vec![("ms", 12.0)]);
        }
        let lines = results.lines(["own", "other"]);
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].place, lines[0].row.figure, lines[0].figures), ("here", "ms", [Some(3.0), Some(12.0)]));
        let known = Known { kafka: Some(12.0), ..Known::default() };
        assert_eq!(lines[0].judged(&known), ["1/2 Kafka: 6", "yes"]);
        assert_eq!((lines[1].row.figure, lines[1].figures), ("lost", [Some(2.0), None]));
        assert_eq!(lines[1].judged(&known), ["0", "NO"]);
    }
}
