//! The raw figures: a JSON line for the machine, for each measurement of each turn, and for each row of the table.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::cases::Figures;
use crate::failure::{During, Failure};
use crate::machine::Machine;
use crate::peer::System;
use crate::statistics::Summary;

/// A measurement: one case on one system in one turn. Turn 0 is the warm-up and counts for nothing.
pub(crate) struct Measurement<'a> {
    /// The turn, `None` for what is measured outside of turns.
    pub(crate) turn: Option<usize>,
    /// The case's name.
    pub(crate) case: &'static str,
    /// On what.
    pub(crate) system: System,
    /// How long it took with all that belongs to it, in seconds.
    pub(crate) seconds: f64,
    /// Processor time of Kafka's ZooKeeper meanwhile, in seconds.
    pub(crate) zookeeper_cpu_seconds: Option<f64>,
    /// The figures, or why there are none.
    pub(crate) outcome: &'a Result<Figures, Failure>,
}

/// The file.
pub(crate) struct Journal {
    file: File,
    /// Where it lies.
    pub(crate) path: PathBuf,
}

impl Journal {
    /// A new file in a folder, which begins with the machine and how the benchmark was called.
    pub(crate) fn new(folder: &Path, machine: &Machine, call: Value) -> Result<Journal, Failure> {
        fs::create_dir_all(folder).during(folder.display())?;
        let path = folder.join(format!("{}.jsonl", machine.date));
        let file = File::create(&path).during(path.display())?;
        let mut journal = Journal { file, path };
        journal.line(&json!({ "machine": machine.json(), "call": call }))?;
        Ok(journal)
    }

    /// Writes a measurement down.
    pub(crate) fn measurement(&mut self, measurement: &Measurement<'_>) -> Result<(), Failure> {
        self.line(&measurement.json())
    }

    /// Writes down what the counted turns say together about a figure.
    pub(crate) fn summary(
        &mut self,
        case: &str,
        metric: &str,
        system: System,
        summary: &Summary,
    ) -> Result<(), Failure> {
        let Summary { median, min, max } = summary;
        let line = json!({
            "case": case, "metric": metric, "system": system.name(), "median": median, "min": min, "max": max,
        });
        self.line(&line)
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: &Value) -> Result<(), Failure> {
        writeln!(self.file, "{line}").during(self.path.display())
    }
}

impl Measurement<'_> {
    fn json(&self) -> Value {
        let mut line = json!({
            "turn": self.turn, "case": self.case, "system": self.system.name(), "seconds": self.seconds,
        });
        if let Some(seconds) = self.zookeeper_cpu_seconds {
            line["zookeeper_cpu_seconds"] = json!(seconds);
        }
        match self.outcome {
            Ok(figures) => {
                let figures = figures.iter().map(|(metric, value)| (metric.to_string(), json!(value)));
                line["figures"] = Value::Object(Map::from_iter(figures));
            }
            Err(failure) => line["failure"] = json!(failure.to_string()),
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_is_a_line_with_its_figures_or_its_failure() {
        let outcome = Ok(vec![("CPU-s/GB", 0.5), ("MB/s", 200.0)]);
        let mut measurement = Measurement {
            turn: Some(3),
            case: "produce-1k",
            system: System::Kafka,
            seconds: 4.5,
            zookeeper_cpu_seconds: Some(0.01),
            outcome: &outcome,
        };
        let line = r#"{"turn":3,"case":"produce-1k","system":"Kafka","seconds":4.5,"zookeeper_cpu_seconds":0.01,"figures":{"CPU-s/GB":0.5,"MB/s":200.0}}"#;
        assert_eq!(measurement.json().to_string(), line);
        let outcome = Err(Failure::new("no answer"));
        measurement.outcome = &outcome;
        measurement.zookeeper_cpu_seconds = None;
        let line = r#"{"turn":3,"case":"produce-1k","system":"Kafka","seconds":4.5,"failure":"no answer"}"#;
        assert_eq!(measurement.json().to_string(), line);
    }
}
