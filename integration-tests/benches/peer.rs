//! The brokers that are compared: each a process with its own folder and free ports, set up as its users would.
//!
//! Both keep their defaults except where the comparison needs it: addresses, folders, one replica for Kafka's offsets
//! topic; a second instead of a minute until the files of a deleted topic are removed, so that no case runs with the
//! last one's data in the page cache; and a minute instead of five between looks for what retention deletes. Kafka has the heap and the collector of its own start script. Ottla has its
//! keeper inside, Kafka an Apache ZooKeeper 3.8 beside it whose cost is kept apart.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ottla_integration_tests::broker::binary;
use ottla_integration_tests::free_port;
use ottla_integration_tests::process::Running;
use ottla_integration_tests::wire::{ask, connect};
use ottla_integration_tests::zookeeper::{ZooKeeper, peers};
use ottla_protocol::schema::MetadataRequest;

use crate::failure::{During, Failure};
use crate::load::cpu::Usage;

/// What both have that is not their default.
const SETTINGS: [&str; 2] = ["log.segment.delete.delay.ms=1000", "log.retention.check.interval.ms=60000"];
/// How long a start may take before it counts as failed.
const START: Duration = Duration::from_secs(120);

/// What a figure belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum System {
    /// The bare loop: what the machine itself asks for.
    Floor,
    /// Ottla.
    Ottla,
    /// Apache Kafka 3.9.1.
    Kafka,
}

impl System {
    /// Its name in the raw file and in lines of progress.
    pub(crate) fn name(self) -> &'static str {
        match self {
            System::Floor => "floor",
            System::Ottla => "Ottla",
            System::Kafka => "Kafka",
        }
    }
}

/// A broker that runs.
pub(crate) struct Peer {
    /// `host:port` of its PLAINTEXT listener.
    pub(crate) bootstrap: String,
    /// `host:port` of the ZooKeeper that it uses, or of its own keeper.
    pub(crate) connect: String,
    /// How long it took from the start to the first Metadata answer that names a broker.
    pub(crate) served_after: Duration,
    command: Command,
    process: Running,
    logs: PathBuf,
    zookeeper: Option<ZooKeeper>,
}

impl Peer {
    /// Starts Ottla on a folder, empty or its own, and waits until it serves.
    pub(crate) fn ottla(folder: &Path) -> Result<Peer, Failure> {
        Peer::ottla_with(folder, None, &[])
    }

    /// The same with a ZooKeeper beside it instead of its keeper, and with further settings.
    pub(crate) fn ottla_with(
        folder: &Path,
        zookeeper: Option<ZooKeeper>,
        settings: &[String],
    ) -> Result<Peer, Failure> {
        if !binary().is_file() {
            let path = binary();
            let text = format!("{} is missing: cargo build --release, or name it in OTTLA_BIN", path.display());
            return Err(Failure::new(text));
        }
        let bootstrap = format!("127.0.0.1:{}", free_port());
        let (connect, coordination) = match &zookeeper {
            Some(zookeeper) => (zookeeper.address.clone(), format!("zookeeper.connect={}", zookeeper.address)),
            None => {
                let port = free_port();
                (format!("127.0.0.1:{port}"), format!("keeper.clientPort={port}"))
            }
        };
        let mut command = Command::new(binary());
        command.arg("start").arg("--data").arg(folder);
        let settings = [format!("listeners=PLAINTEXT://{bootstrap}"), coordination]
            .into_iter()
            .chain(SETTINGS.map(str::to_owned))
            .chain(settings.iter().cloned());
        for setting in settings {
            command.args(["--override", &setting]);
        }
        Peer::start(command, (bootstrap, connect), folder, zookeeper)
    }

    /// Starts ZooKeeper and Kafka on a folder, empty or their own, and waits until Kafka serves.
    pub(crate) fn kafka(folder: &Path) -> Result<Peer, Failure> {
        fs::create_dir_all(folder).during(folder.display())?;
        let zookeeper = ZooKeeper::start(&folder.join("zookeeper"));
        let bootstrap = format!("127.0.0.1:{}", free_port());
        let properties = folder.join("server.properties");
        let text = format!(
            "broker.id=0\nlisteners=PLAINTEXT://{bootstrap}\nzookeeper.connect={}\nlog.dirs={}\n\
             offsets.topic.replication.factor=1\n{}\n",
            zookeeper.address,
            folder.join("logs").display(),
            SETTINGS.join("\n")
        );
        fs::write(&properties, text).during(properties.display())?;
        let mut command = peers();
        command.args(["broker-as-shipped", "3.9.1"]).arg(&properties);
        let connect = zookeeper.address.clone();
        Peer::start(command, (bootstrap, connect), folder, Some(zookeeper))
    }

    fn start(
        mut command: Command,
        (bootstrap, connect): (String, String),
        folder: &Path,
        zookeeper: Option<ZooKeeper>,
    ) -> Result<Peer, Failure> {
        let begin = Instant::now();
        let process = Running::start(&mut command);
        let logs = folder.join("logs");
        let mut peer = Peer { bootstrap, connect, served_after: Duration::ZERO, command, process, logs, zookeeper };
        peer.wait_until_it_serves()?;
        peer.served_after = begin.elapsed();
        Ok(peer)
    }

    /// Waits until it answers a Metadata request in which a broker is named.
    fn wait_until_it_serves(&mut self) -> Result<(), Failure> {
        let start = Instant::now();
        while !answers(&self.bootstrap) {
            let ended = self.process.child.try_wait()?;
            if ended.is_some() || start.elapsed() > START {
                let lines = self.process.lines();
                let last = &lines[lines.len().saturating_sub(20)..];
                let text = format!("{:?} does not serve ({ended:?}):\n{}", self.command, last.join("\n"));
                return Err(Failure::new(text));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// The broker's process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// What the broker has used since its start, its ZooKeeper not counted.
    pub(crate) fn usage(&self) -> Result<Usage, Failure> {
        Usage::of(self.pid()).during("reading what the broker used")
    }

    /// Processor time of the ZooKeeper beside it since its start, in seconds.
    pub(crate) fn zookeeper_cpu_seconds(&self) -> Option<f64> {
        Usage::of(self.zookeeper.as_ref()?.pid()).ok().map(|usage| usage.cpu_seconds())
    }

    /// `kill -9` for the broker, and the wait until ZooKeeper has forgotten it: Kafka refuses to start while its old
    /// session lives. Ottla's keeper dies with it.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        self.process.signal("KILL");
        self.process.ended(Duration::from_secs(10));
        let start = Instant::now();
        while self.zookeeper.as_ref().is_some_and(|zookeeper| zookeeper.owner("/brokers/ids/0").is_some()) {
            if start.elapsed() > START {
                return Err(Failure::new("the session of a dead broker does not end"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Starts the broker again on the same folder and address, and waits until it serves; its partitions may not yet.
    pub(crate) fn start_again(&mut self) -> Result<(), Failure> {
        self.process = Running::start(&mut self.command);
        self.wait_until_it_serves()
    }

    /// Ends it as its operators would.
    pub(crate) fn stop(mut self) {
        self.process.signal("TERM");
        self.process.ended(Duration::from_secs(60));
    }

    /// Waits until none of a deleted topic's files is left, for at most a minute: in the first half minute after
    /// its start Kafka removes nothing.
    pub(crate) fn forget(&self, topic: &str) -> Result<(), Failure> {
        let start = Instant::now();
        let partitions = format!("{topic}-");
        loop {
            let folders = fs::read_dir(&self.logs).during(self.logs.display())?;
            let left = folders.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(&partitions));
            if !left {
                return Ok(());
            }
            if start.elapsed() > Duration::from_secs(60) {
                let text = format!("{}: the files of {topic} stay although it was deleted", self.logs.display());
                return Err(Failure::new(text));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn answers(bootstrap: &str) -> bool {
    // A port on which nobody listens refuses at once; `connect` would only add a limit for the answer.
    let Ok(mut stream) = connect(bootstrap) else { return false };
    let request = MetadataRequest { topics: Some(Vec::new()), ..Default::default() };
    ask::<MetadataRequest>(&mut stream as &mut TcpStream, &request, 4).is_ok_and(|answer| !answer.brokers.is_empty())
}
