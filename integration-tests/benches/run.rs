//! A run that measures sides in turns: what it keeps of each measurement, and how it ends.

use std::fmt::Display;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use crate::compare::{empty, folder};
use crate::failure::{During, Failure};
use crate::figures::{Figures, Results, Row};
use crate::journal::Journal;
use crate::machine::Machine;
use crate::table::number;

/// Who is compared.
pub(crate) trait Named: Ord + Copy {
    /// Its name in the raw file and in lines of progress.
    fn name(self) -> &'static str;
}

/// A run.
pub(crate) struct Run<S> {
    /// The folder for what is measured on; empty at first, and at the end unless something failed.
    pub(crate) data: PathBuf,
    /// What was measured.
    pub(crate) results: Results<S>,
    machine: Machine,
    journal: Journal,
    failed: usize,
    start: Instant,
}

impl<S: Named> Run<S> {
    /// Begins one; `call` is how the benchmark was called, for the raw file.
    pub(crate) fn begin(call: Value) -> Result<Run<S>, Failure> {
        let machine = Machine::here();
        machine.announce();
        let data = folder().join("data");
        empty(&data)?;
        let journal = Journal::new(&folder(), &machine, call)?;
        Ok(Run { data, results: Results::new(), machine, journal, failed: 0, start: Instant::now() })
    }

    /// Keeps a measurement, and shows it; `rows` are its place's lines of the table, `more` is for the raw file.
    pub(crate) fn keep(
        &mut self,
        place: &str,
        rows: impl FnOnce() -> Vec<Row>,
        side: S,
        turn: u16,
        (outcome, more): (Result<Figures, Failure>, Value),
    ) -> Result<(), Failure> {
        let mut line = json!({ "turn": turn, "place": place, "side": side.name(), "more": more });
        let seconds = self.start.elapsed().as_secs();
        print!("{:>2}:{:02}  turn {turn:<2} {place:<34} {:<10} ", seconds / 60, seconds % 60, side.name());
        match &outcome {
            Ok(figures) => {
                let texts: Vec<String> =
                    figures.iter().map(|(figure, value)| format!("{figure} {}", number(*value))).collect();
                println!("{}", texts.join(", "));
                line["figures"] = figures.iter().map(|(figure, value)| (figure.to_string(), json!(value))).collect();
                self.results.add(place, rows, side, figures);
            }
            Err(failure) => {
                println!("FAILED: {failure}");
                line["failure"] = json!(failure.to_string());
                self.failed += 1;
            }
        }
        self.journal.line(&line)
    }

    /// Prints and keeps the table, with a sentence on what its figures are.
    ///
    /// # Errors
    /// If a measurement failed; `processes` are those that may have said why.
    pub(crate) fn end(self, table: &str, sentence: impl Display, processes: &str) -> Result<(), Failure> {
        let text = format!("{table}\n{sentence} {}\n", self.machine.sentence());
        let path = self.journal.path.with_extension("md");
        fs::write(&path, &text).during(path.display())?;
        println!("\n{text}\nraw figures: {}\nthis table: {}", self.journal.path.display(), path.display());
        match self.failed {
            0 => empty(&self.data),
            failed => Err(Failure::new(format!(
                "{failed} measurements failed; the lines above say why, {} what {processes} said",
                self.data.display()
            ))),
        }
    }
}
