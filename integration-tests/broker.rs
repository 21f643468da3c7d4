//! The broker as users run it: a process of the binary.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::{Running, free_port};
use crate::zookeeper::ZooKeeper;

/// Where the broker keeps its znodes.
pub enum Coordination {
    /// In the keeper inside it.
    Embedded,
    /// In a ZooKeeper beside it, below `/ottla`.
    Real(ZooKeeper),
}

/// A broker, its folder and, if there is one, its ZooKeeper.
pub struct Broker {
    process: Running,
    folder: TempDir,
    coordination: Coordination,
    overrides: Vec<String>,
    /// `host:port` of the PLAINTEXT listener.
    pub bootstrap: String,
    /// `host:port` with the chroot, as `--zookeeper` of the old tools takes it.
    pub zookeeper: String,
}

/// The binary that the stories run.
pub fn binary() -> PathBuf {
    std::env::var_os("OTTLA_BIN").map_or_else(
        || Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/ottla")).to_path_buf(),
        PathBuf::from,
    )
}

impl Broker {
    /// A broker with its keeper inside.
    pub fn start() -> Broker {
        Broker::with(false, &[])
    }

    /// A broker with the keeper inside or a real ZooKeeper beside it, and further `key=value` settings, which count more
    /// than the harness's own.
    pub fn with(real_zookeeper: bool, overrides: &[&str]) -> Broker {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let mut settings = vec![format!("listeners=PLAINTEXT://127.0.0.1:{port}")];
        let (coordination, zookeeper) = if real_zookeeper {
            let server = ZooKeeper::start(&folder.path().join("zookeeper"));
            let connect = format!("{}/ottla", server.address);
            settings.push(format!("zookeeper.connect={connect}"));
            settings.push("broker.id=0".into());
            (Coordination::Real(server), connect)
        } else {
            let port = free_port();
            settings.push(format!("keeper.clientPort={port}"));
            (Coordination::Embedded, format!("127.0.0.1:{port}"))
        };
        let key = |setting: &str| setting.split('=').next().unwrap_or_default().to_owned();
        settings.retain(|setting| !overrides.iter().any(|other| key(other) == key(setting)));
        settings.extend(overrides.iter().map(|text| text.to_string()));
        let bootstrap = format!("127.0.0.1:{port}");
        let process = launch(folder.path(), &settings);
        let mut broker = Broker { process, folder, coordination, overrides: settings, bootstrap, zookeeper };
        broker.wait_until_started();
        broker
    }

    /// Waits for the line that says the broker serves; returns how long that took.
    pub fn wait_until_started(&mut self) -> Duration {
        let start = Instant::now();
        self.process.line_with("started in", Duration::from_secs(30));
        start.elapsed()
    }

    /// The folder that holds `data`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Everything the current process printed.
    pub fn lines(&self) -> Vec<String> {
        self.process.lines()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// The ZooKeeper beside it, if there is one.
    pub fn real_zookeeper(&self) -> Option<&ZooKeeper> {
        match &self.coordination {
            Coordination::Embedded => None,
            Coordination::Real(server) => Some(server),
        }
    }

    /// The ZooKeeper beside it.
    ///
    /// # Panics
    /// When it was started with the embedded keeper.
    pub fn zookeeper_process(&mut self) -> &mut ZooKeeper {
        match &mut self.coordination {
            Coordination::Embedded => panic!("this broker has its keeper inside"),
            Coordination::Real(server) => server,
        }
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.signal("KILL");
        self.process.ended(Duration::from_secs(10));
    }

    /// Starts it again on the same folder and ports; returns how long it took until it served.
    pub fn restart(&mut self) -> Duration {
        let start = Instant::now();
        self.process = launch(self.folder.path(), &self.overrides);
        self.wait_until_started();
        start.elapsed()
    }

    /// SIGTERM; checks that it ends with 0 and that its log holds no warning or error beyond those that contain one of
    /// `expected`.
    #[track_caller]
    pub fn stop(&mut self, expected: &[&str]) {
        let status = self.terminate();
        assert!(status.success(), "{status}:\n{}", self.lines().join("\n"));
        self.check_log(expected);
    }

    /// SIGTERM and the end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.process.signal("TERM");
        self.process.ended(Duration::from_secs(30))
    }

    /// Fails on a warning or error that is not expected.
    #[track_caller]
    pub fn check_log(&self, expected: &[&str]) {
        let bad: Vec<String> = self
            .lines()
            .into_iter()
            .filter(|line| line.contains(" WARN ") || line.contains("ERROR ") || line.contains("panicked"))
            .filter(|line| !expected.iter().any(|text| line.contains(text)))
            .collect();
        assert!(bad.is_empty(), "unexpected in the log:\n{}", bad.join("\n"));
    }
}

fn launch(folder: &Path, settings: &[String]) -> Running {
    let mut command = Command::new(binary());
    command.arg("start").arg("--data").arg(folder.join("data"));
    for setting in settings {
        command.args(["--override", setting]);
    }
    Running::start(&mut command)
}
