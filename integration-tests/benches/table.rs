//! The table at the end: markdown that is also readable as it is.

use crate::target::Verdict;

/// A row: one figure of one case.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The case's name.
    pub(crate) case: &'static str,
    /// Unit of the four figures.
    pub(crate) unit: String,
    /// The floor's median.
    pub(crate) floor: Option<f64>,
    /// Ottla's median.
    pub(crate) ottla: Option<f64>,
    /// Kafka's median.
    pub(crate) kafka: Option<f64>,
    /// Whether Ottla's figure divided by the floor's says anything: not where the floor has already been taken off.
    pub(crate) compares_with_floor: bool,
    /// The target in words, empty if there is none.
    pub(crate) target: String,
    /// Its height in the unit, as far as it is known.
    pub(crate) height: Option<f64>,
    /// Whether it was reached.
    pub(crate) verdict: Verdict,
}

const HEADER: [&str; 9] =
    ["case", "unit", "floor", "Ottla", "Kafka 3.9.1", "Ottla/floor", "Ottla/Kafka", "target", "reached"];

/// How many of the columns, from the left, hold words and are aligned to the left.
const WORDS: [usize; 4] = [0, 1, 7, 8];

/// Three significant digits, no more than the figures are worth.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        _ if value == value.trunc() && value.abs() < 1e6 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// A figure, or what stands for none.
pub(crate) fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), number)
}

/// The ratio of two figures, or what stands for none.
pub(crate) fn ratio(of: Option<f64>, to: Option<f64>) -> String {
    match (of, to) {
        (Some(of), Some(to)) if to > 0.0 => format!("{:.2}", of / to),
        _ => "-".into(),
    }
}

impl Row {
    fn cells(&self) -> [String; 9] {
        [
            self.case.into(),
            self.unit.clone(),
            figure(self.floor),
            figure(self.ottla),
            figure(self.kafka),
            ratio(self.ottla, self.floor.filter(|_| self.compares_with_floor)),
            ratio(self.ottla, self.kafka),
            target(&self.target, self.height),
            reached(self.verdict).into(),
        ]
    }
}

/// A target in words with its height, where that is not the same.
pub(crate) fn target(words: &str, height: Option<f64>) -> String {
    match (words, height) {
        ("", _) => String::new(),
        (words, Some(height)) if words != number(height) => format!("{words}: {}", number(height)),
        (words, _) => words.into(),
    }
}

/// A verdict in a word.
pub(crate) fn reached(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Reached => "yes",
        Verdict::Missed => "NO",
        Verdict::Open => "?",
        Verdict::Unjudged => "",
    }
}

/// The rows under their header.
pub(crate) fn markdown(rows: &[Row]) -> String {
    aligned(HEADER, &WORDS, rows.iter().map(Row::cells))
}

/// Lines under a header, every column as wide as its widest cell; `words` are the columns that are aligned to the left.
pub(crate) fn aligned<const N: usize>(
    header: [&str; N],
    words: &[usize],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut lines = vec![header.map(str::to_owned)];
    lines.extend(rows);
    let length = |cell: &String| cell.chars().count();
    let widths: Vec<usize> =
        (0..N).map(|column| lines.iter().map(|line| length(&line[column])).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            let padding = " ".repeat(widths[column] - length(cell));
            match words.contains(&column) {
                true => text.push_str(&format!("| {cell}{padding} ")),
                false => text.push_str(&format!("| {padding}{cell} ")),
            }
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                match words.contains(&column) {
                    true => text.push_str(&format!("|{}", "-".repeat(width + 2))),
                    false => text.push_str(&format!("|{}:", "-".repeat(width + 1))),
                }
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            case: "produce-1k",
            unit: "CPU-s/GB".into(),
            floor: Some(0.5),
            ottla: Some(0.7512),
            kafka: Some(1.6),
            compares_with_floor: true,
            target: "larger of 1.5 × floor, 1/2 Kafka".into(),
            height: Some(0.8),
            verdict: Verdict::Reached,
        }
    }

    #[test]
    fn every_line_has_the_same_width_and_says_what_the_row_says() {
        let missed = Row { case: "binary", verdict: Verdict::Missed, floor: None, kafka: None, ..row() };
        let text = markdown(&[row(), missed]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|line| line.chars().count() == lines[0].chars().count()), "{text}");
        let cells: Vec<&str> = lines[2].split('|').map(str::trim).collect();
        let expected = ["produce-1k", "CPU-s/GB", "0.500", "0.751", "1.60", "1.50", "0.47"];
        assert_eq!(cells[1..8], expected);
        assert_eq!(cells[8..10], ["larger of 1.5 × floor, 1/2 Kafka: 0.800", "yes"]);
        let cells: Vec<&str> = lines[3].split('|').map(str::trim).collect();
        assert_eq!((cells[3], cells[6], cells[9]), ("-", "-", "NO"));
        assert!(lines[1].starts_with("|---") && lines[1].contains("-:|"), "{}", lines[1]);
    }

    #[test]
    fn a_figure_from_which_the_floor_was_taken_is_not_divided_by_it() {
        let text = markdown(&[Row { compares_with_floor: false, ..row() }]);
        assert_eq!(text.lines().nth(2).unwrap().split('|').nth(6).unwrap().trim(), "-");
    }

    #[test]
    fn a_plain_number_is_not_said_twice() {
        let text = markdown(&[Row { target: "32".into(), height: Some(32.0), ..row() }]);
        assert_eq!(text.lines().nth(2).unwrap().split('|').nth(8).unwrap().trim(), "32");
    }

    #[test]
    fn figures_have_three_digits() {
        let figures = [0.0, 0.01234, 0.5, 1.234, 12.34, 123.4, 15.0, 7_000_123.4];
        let texts = figures.map(number);
        assert_eq!(texts, ["0", "0.012", "0.500", "1.23", "12.3", "123", "15", "7000123"]);
    }
}
