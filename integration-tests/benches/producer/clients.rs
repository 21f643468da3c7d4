//! Processes that produce: Ottla's library, librdkafka and Kafka's own library in Java, all with the same arguments and output,
//! and the tools that the last two come with.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ottla_integration_tests::zookeeper::peers;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::failure::{During, Failure};
use crate::load::cpu::Usage;
use crate::run::Named;

/// Whose producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// `ottla::producer`.
    Ottla,
    /// librdkafka 2.12.1.
    Librdkafka,
    /// Kafka 3.9.1's producer.
    Java,
}

/// All of them, in the order of the table.
pub(crate) const SIDES: [Side; 3] = [Side::Ottla, Side::Librdkafka, Side::Java];

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// What takes longer does not end.
const LIMIT: Duration = Duration::from_secs(180);

impl Named for Side {
    fn name(self) -> &'static str {
        match self {
            Side::Ottla => "Ottla",
            Side::Librdkafka => "librdkafka",
            Side::Java => "Java",
        }
    }
}

impl Side {
    /// The benchmark's own program over this library: `TOPIC [KEY=VALUE...]` with the same meaning on each side.
    pub(crate) fn client(self, topic: &str, settings: &[String]) -> Result<Command, Failure> {
        let mut command = match self {
            Side::Ottla => {
                let mut command = Command::new(std::env::current_exe().during("finding this program")?);
                command.arg("producer-client");
                command
            }
            Side::Librdkafka => {
                let mut command = peers();
                command.arg("rdkafka-client");
                command
            }
            Side::Java => {
                let mut command = peers();
                command.arg("bench-producer");
                command
            }
        };
        command.arg(topic).args(settings);
        Ok(command)
    }
}

/// What a process used that has ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finished {
    /// Its standard output.
    pub(crate) output: String,
    /// Processor time of all its threads from start to end.
    pub(crate) cpu_seconds: f64,
    /// The most memory that was seen, in MiB.
    pub(crate) resident_mib: f64,
    /// From its start to its end.
    pub(crate) elapsed: Duration,
}

/// A process that dies with this value.
pub(crate) struct Client(pub(crate) Child);

impl Client {
    /// Starts a command whose standard input and output are ours; what it has to complain about goes to `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Client, Failure> {
        let log = std::fs::File::options().create(true).append(true).open(log).during(log.display())?;
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        Ok(Client(command.spawn().during(format!("{command:?}"))?))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command to its end. The kernel is asked what it used while it is dead but not yet forgotten.
pub(crate) fn run(command: &mut Command, log: &Path) -> Result<Finished, Failure> {
    let start = Instant::now();
    let mut client = Client::start(command, log)?;
    let (pid, process) = (client.0.id(), Pid::from_child(&client.0));
    let mut stdout = client.0.stdout.take().ok_or_else(|| Failure::new("a child without standard output"))?;
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        let mut output = String::new();
        // What is not text is not understood later on.
        let _ = stdout.read_to_string(&mut output);
        let _ = waitid(WaitId::Pid(process), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let _ = ended.send((output, Instant::now()));
    });
    let mut peak_kib = 0;
    let (output, ended_at) = loop {
        match end.recv_timeout(LOOK) {
            Ok(ended) => break ended,
            Err(_) if start.elapsed() > LIMIT => {
                return Err(Failure::new(format!("{command:?} takes more than {LIMIT:?}; see {}", log.display())));
            }
            Err(_) => peak_kib = peak_kib.max(Usage::of(pid).during("looking at a client")?.peak_resident_kib),
        }
    };
    let used = Usage::of(pid).during("looking at a client that has ended")?;
    let status = client.0.wait()?;
    if !status.success() {
        return Err(Failure::new(format!("{command:?}: {status}; see {}", log.display())));
    }
    Ok(Finished {
        output,
        cpu_seconds: used.cpu_seconds(),
        resident_mib: peak_kib as f64 / 1024.0,
        elapsed: ended_at.duration_since(start),
    })
}

/// The whole numbers of the last line of an output, which must be that many.
pub(crate) fn numbers<const N: usize>(output: &str) -> Result<[i64; N], Failure> {
    let line = output.lines().last().unwrap_or_default();
    let numbers: Option<Vec<i64>> = line.split(' ').map(|word| word.parse().ok()).collect();
    numbers
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| Failure::new(format!("{N} numbers are expected, not '{line}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_used_is_known_after_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo 3 4";
        let finished = run(Command::new("sh").args(["-c", busy]), &log).unwrap();
        assert!(finished.cpu_seconds >= 0.03, "{finished:?}");
        assert_eq!(numbers::<2>(&finished.output).unwrap(), [3, 4]);
        let error = run(Command::new("sh").args(["-c", "exit 3"]), &log).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("log"), "{error}");
    }

    #[test]
    fn numbers_are_as_many_as_expected() {
        assert_eq!(numbers::<2>("ready\n17 0\n").unwrap(), [17, 0]);
        for other in ["", "17", "17 0 1", "17 x"] {
            assert!(numbers::<2>(other).is_err(), "{other}");
        }
    }
}
