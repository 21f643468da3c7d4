use std::fmt::Write;

/// Reasons that are told apart, and places of one that are told, at a time.
const MOST_REASONS: usize = 10;
const MOST_PLACES: usize = 10;

/// Lines that were not delivered and not told yet, by reason.
#[derive(Debug, Default)]
pub(super) struct Failures {
    reasons: Vec<Reason>,
}

#[derive(Debug)]
struct Reason {
    why: String,
    /// First and last line.
    places: Vec<(u64, u64)>,
    records: u64,
    /// The last line, if its place is not told.
    beyond: Option<u64>,
}

impl Failures {
    /// Notes a line. Lines of one reason come in their order.
    pub(super) fn add(&mut self, line: u64, why: &str) {
        let is_full = self.reasons.len() == MOST_REASONS;
        let known = self.reasons.iter().rposition(|reason| reason.why == why);
        let reason = match (known, is_full) {
            (Some(at), _) => &mut self.reasons[at],
            (None, true) => {
                // The last one stands for all others.
                let last = &mut self.reasons[MOST_REASONS - 1];
                if !last.why.ends_with(AND_OTHERS) {
                    last.why.push_str(AND_OTHERS);
                }
                last
            }
            (None, false) => {
                self.reasons.push(Reason { why: why.into(), places: Vec::new(), records: 0, beyond: None });
                let last = self.reasons.len() - 1;
                &mut self.reasons[last]
            }
        };
        reason.add(line);
    }

    /// A line of text for each reason; then there is nothing to tell.
    pub(super) fn tell(&mut self) -> Vec<String> {
        self.reasons.drain(..).map(|reason| reason.text()).collect()
    }
}

const AND_OTHERS: &str = " (and other reasons)";

impl Reason {
    fn add(&mut self, line: u64) {
        self.records += 1;
        let is_full = self.places.len() == MOST_PLACES;
        match self.places.last_mut() {
            Some((_, last)) if self.beyond.is_none() && *last + 1 == line => *last = line,
            _ if is_full => self.beyond = Some(line),
            _ => self.places.push((line, line)),
        }
    }

    fn text(&self) -> String {
        let mut text = String::from(if self.records == 1 { "line " } else { "lines " });
        for (at, (first, last)) in self.places.iter().enumerate() {
            text.push_str(if at == 0 { "" } else { ", " });
            let _ = if first == last { write!(text, "{first}") } else { write!(text, "{first}-{last}") };
        }
        if let Some(last) = self.beyond {
            let _ = write!(text, ", and others up to {last}; {} in all", self.records);
        }
        format!("{text}: {}", self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_reason_are_told_together() {
        let mut failures = Failures::default();
        for (line, why) in [(1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, "a"), (6, "a"), (9, "a")] {
            failures.add(line, why);
        }
        assert_eq!(failures.tell(), ["lines 1-2, 4-6, 9: a", "line 3: b"]);
        assert_eq!(failures.tell(), [""; 0]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut failures = Failures::default();
        for line in 1..=1000 {
            failures.add(2 * line, "a");
        }
        let places = "2, 4, 6, 8, 10, 12, 14, 16, 18, 20";
        assert_eq!(failures.tell(), [format!("lines {places}, and others up to 2000; 1000 in all: a")]);
        for line in 1..=12 {
            failures.add(line, &format!("reason {line}"));
        }
        let told = failures.tell();
        assert_eq!(told.len(), MOST_REASONS);
        assert_eq!(told[9], "lines 10-12: reason 10 (and other reasons)");
    }
}
