use std::collections::VecDeque;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the line is drawn.
pub(super) const PERIOD: Duration = Duration::from_millis(200);
/// Periods over which the rate is taken.
const SAMPLES: usize = 10;

/// What becomes of the input: one line on a terminal that is drawn again and again, or nothing.
pub(super) struct Progress {
    is_shown: bool,
    records: AtomicU64,
    bytes: AtomicU64,
    /// What was drawn before, oldest first: when, and how many records there were.
    drawn: Mutex<VecDeque<(Instant, u64)>>,
}

impl Progress {
    /// On a terminal it is shown.
    pub(super) fn new(is_shown: bool) -> Progress {
        Progress { is_shown, records: AtomicU64::new(0), bytes: AtomicU64::new(0), drawn: Mutex::default() }
    }

    /// Records were taken from the input.
    pub(super) fn add(&self, records: u64, bytes: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Draws the line, over what it was.
    pub(super) fn draw(&self, delivered: u64, failed: u64) {
        if !self.is_shown {
            return;
        }
        let records = self.records.load(Ordering::Relaxed);
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        drawn.push_back((now, records));
        if drawn.len() > SAMPLES {
            drawn.pop_front();
        }
        let rate = drawn.front().map_or(0, |(then, before)| rate(records - before, now - *then));
        let text = text(records, self.bytes.load(Ordering::Relaxed), rate, delivered, failed);
        let width = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(80, |size| usize::from(size.ws_col).max(1));
        // The cursor stays at the beginning: whatever else is written there overwrites it.
        eprint(&format!("\r{}\x1b[K\r", text.chars().take(width - 1).collect::<String>()));
    }

    /// Writes a line of its own.
    pub(super) fn say(&self, line: &str) {
        // Nothing is drawn in between.
        let _drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let clear = if self.is_shown { "\r\x1b[K" } else { "" };
        eprint(&format!("{clear}{line}\n"));
    }

    /// Nothing is left of the line.
    pub(super) fn clear(&self) {
        if self.is_shown {
            eprint("\r\x1b[K");
        }
    }
}

/// A standard error that is closed hears nothing.
fn eprint(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Per second.
fn rate(records: u64, time: Duration) -> u64 {
    let nanoseconds = time.as_nanos().max(1);
    u64::try_from(u128::from(records) * 1_000_000_000 / nanoseconds).unwrap_or(u64::MAX)
}

fn text(records: u64, size: u64, rate: u64, delivered: u64, failed: u64) -> String {
    format!(
        "{} records, {:.1} MB, {} records/s, {} delivered, {} failed",
        grouped(records),
        size as f64 / 1e6,
        grouped(rate),
        grouped(delivered),
        grouped(failed)
    )
}

/// With commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_many_how_fast_and_what_became_of_them() {
        let expected = "1,234,567 records, 123.5 MB, 45,678 records/s, 1,000 delivered, 0 failed";
        assert_eq!(text(1_234_567, 123_456_700, 45_678, 1000, 0), expected);
        assert_eq!([0, 12, 123, 1234].map(grouped), ["0", "12", "123", "1,234"]);
        assert_eq!(rate(10, Duration::from_millis(200)), 50);
        assert_eq!(rate(10, Duration::ZERO), 10_000_000_000);
    }
}
