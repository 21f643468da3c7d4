//! Where and with what the figures were made.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

/// The facts without which a figure says nothing.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// When, UTC, fit for a file's name.
    pub(crate) date: String,
    commit: String,
    rustc: String,
    java: String,
    kernel: String,
    processor: String,
    cores: usize,
    memory_mib: u64,
    /// Processes that ran or waited for the disk in the last minute, on average, before anything was started.
    pub(crate) load_average: Option<f64>,
}

impl Machine {
    /// This machine, now. What cannot be found out is empty.
    pub(crate) fn here() -> Machine {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let loadavg = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let changed = if printed("git", &["status", "--porcelain"]).is_empty() { "" } else { ", with changes" };
        Machine {
            date: printed("date", &["-u", "+%Y-%m-%dT%H-%M-%SZ"]),
            commit: printed("git", &["rev-parse", "--short=12", "HEAD"]) + changed,
            rustc: printed("rustc", &["--version"]),
            java: printed("sh", &["-c", "java -version 2>&1 | sed -n 's/^OpenJDK Runtime Environment //p'"]),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().into(),
            processor: field(&cpuinfo, "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            load_average: loadavg.split(' ').next().and_then(|load| load.parse().ok()),
            memory_mib: field(&meminfo, "MemTotal").and_then(|text| kib(&text)).unwrap_or(0) / 1024,
        }
    }

    /// For the raw file.
    pub(crate) fn json(&self) -> Value {
        json!({
            "date": self.date, "commit": self.commit, "rustc": self.rustc, "java": self.java, "kernel": self.kernel,
            "processor": self.processor, "cores": self.cores, "memory_mib": self.memory_mib,
            "load_average": self.load_average,
        })
    }

    /// Says before a run what it will be about, and whether it will be about something else.
    pub(crate) fn announce(&self) {
        println!("{}", self.sentence());
        if let Some(load) = self.load_average.filter(|load| *load > 0.5) {
            println!(
                "Something else runs on this machine (load average {load}): the figures will say more about that."
            );
        }
    }

    /// In one sentence, below the table.
    pub(crate) fn sentence(&self) -> String {
        let Machine { date, commit, rustc, java, kernel, processor, cores, memory_mib, .. } = self;
        format!(
            "{date}, commit {commit}: {processor}, {cores} cores, {memory_mib} MiB, Linux {kernel}; {rustc}; \
             Kafka on Java {java}."
        )
    }
}

/// The value of the first line `name: value`.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().into())
}

fn kib(text: &str) -> Option<u64> {
    text.trim_end_matches(" kB").parse().ok()
}

/// What a command prints on its standard output; empty if it fails.
fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_files_are_found() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nMemTotal:       24105840 kB\n";
        assert_eq!(field(text, "model name").as_deref(), Some("Some CPU @ 2 GHz"));
        assert_eq!(field(text, "MemTotal").and_then(|text| kib(&text)), Some(24_105_840));
        assert_eq!(field(text, "bogomips"), None);
    }
}
