//! Processes that hold members of a group, today's and those of 2015: told to join and to leave over their standard input,
//! heard by the lines that they print.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ottla_integration_tests::zookeeper::peers;

use crate::failure::{During, Failure};
use crate::run::Named;

/// Whose members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// `ottla::consumer`.
    Ottla,
    /// The high-level consumer of Kafka 0.8.2.2.
    Kafka,
}

impl Named for Side {
    fn name(self) -> &'static str {
        match self {
            Side::Ottla => "Ottla",
            Side::Kafka => "0.8.2.2",
        }
    }
}

/// Hears what members print. Called by a thread for each process.
pub(crate) trait Hearer: Send + Sync {
    /// A record was handed out.
    fn record(&self, partition: i32, offset: i64);

    /// Any other line.
    fn line(&self, line: &str) {
        let _ = line;
    }
}

/// Nobody listens to the records.
pub(crate) struct Deaf;

impl Hearer for Deaf {
    fn record(&self, _: i32, _: i64) {}
}

/// A group and the topic that all its members read, each with one stream.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// Where the group lives.
    pub(crate) connect: String,
    /// Its name.
    pub(crate) name: String,
    /// The topic.
    pub(crate) topic: String,
}

/// A process; it dies with this value.
pub(crate) struct Members {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

/// How long a process may take to say what is waited for.
const LIMIT: Duration = Duration::from_secs(60);

impl Members {
    /// Starts a process without members, with these settings (`KEY=VALUE` of `consumer.properties`, and its own), and waits
    /// until it is ready. What it has to complain about goes to `log`.
    pub(crate) fn start(
        side: Side,
        group: &Group,
        settings: &[&str],
        log: &Path,
        hearer: Arc<dyn Hearer>,
    ) -> Result<Members, Failure> {
        let mut command = match side {
            Side::Ottla => {
                let mut command = Command::new(std::env::current_exe().during("finding this program")?);
                command.arg("group-members").args([&group.connect, &group.name, &group.topic]);
                command
            }
            Side::Kafka => {
                let mut command = peers();
                command.arg("old-member-as-shipped").args([&group.connect, &group.name, &group.topic]);
                command.args(["1", "members=0"]);
                command
            }
        };
        let log = File::options().create(true).append(true).open(log).during(log.display())?;
        let mut child = command
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .during(format!("{command:?}"))?;
        let output = child.stdout.take().ok_or_else(|| Failure::new("a child without standard output"))?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::with_capacity(1 << 16, output).lines().map_while(Result::ok) {
                match record(&line) {
                    Some((partition, offset)) => hearer.record(partition, offset),
                    None => {
                        hearer.line(&line);
                        kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                    }
                }
            }
        });
        let mut members = Members { child, lines };
        members.wait_for("ready", |line| line == "ready")?;
        Ok(members)
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to add members of these names, one after the other.
    pub(crate) fn join<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) -> Result<(), Failure> {
        let names: Vec<&str> = names.into_iter().collect();
        self.tell(&format!("join {}", names.join(" ")))
    }

    /// Tells it to close a member.
    pub(crate) fn close(&mut self, name: &str) -> Result<(), Failure> {
        self.tell(&format!("close {name}"))
    }

    fn tell(&mut self, line: &str) -> Result<(), Failure> {
        let input = self.child.stdin.as_mut().ok_or_else(|| Failure::new("a child without standard input"))?;
        writeln!(input, "{line}").and_then(|()| input.flush()).during(line)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) -> Result<(), Failure> {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).during("sending a signal")
    }

    /// The last line that is no record and that `find` takes.
    pub(crate) fn last<T>(&self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().rev().find_map(|line| find(line))
    }

    /// Waits for such a line.
    pub(crate) fn wait_for(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> Result<(), Failure> {
        let start = Instant::now();
        while self.last(|line| is_it(line).then_some(())).is_none() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || start.elapsed() > LIMIT {
                return Err(Failure::new(format!("a member does not say '{what}' within {LIMIT:?} ({ended:?})")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Lets all its members leave orderly and waits for its end.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        drop(self.child.stdin.take());
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > LIMIT {
                return Err(Failure::new(format!("members do not leave within {LIMIT:?}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        // It may have ended already, or been stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Partition and offset of a line `PARTITION OFFSET VALUE`.
fn record(line: &str) -> Option<(i32, i64)> {
    let mut words = line.splitn(3, ' ');
    let (partition, offset) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next().map(|_| (partition, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_from_other_lines() {
        assert_eq!(record("3 17 a value"), Some((3, 17)));
        assert_eq!(record("3 17 "), Some((3, 17)));
        for other in ["ready", "total 17", "gained 3 17", "17 bytes", "3 17"] {
            assert_eq!(record(other), None, "{other}");
        }
    }
}
