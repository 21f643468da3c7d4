//! A broker of Kafka's beside a ZooKeeper, as a process.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::kcat;
use crate::process::{Running, free_port, wait_until};
use crate::zookeeper::peers;

/// A running broker.
pub struct Kafka {
    process: Running,
    version: String,
    properties: PathBuf,
    /// `host:port`.
    pub bootstrap: String,
}

impl Kafka {
    /// Starts one on a folder, empty or its own, with these `key=value` settings besides what it must have, and waits until it
    /// serves.
    pub fn start(version: &str, id: i32, folder: &Path, zookeeper: &str, settings: &[&str]) -> Kafka {
        std::fs::create_dir_all(folder).unwrap();
        let port = free_port();
        let bootstrap = format!("127.0.0.1:{port}");
        // A release before 0.9 knows no listeners.
        let text = format!(
            "broker.id={id}\nlisteners=PLAINTEXT://{bootstrap}\nport={port}\nhost.name=127.0.0.1\n\
             zookeeper.connect={zookeeper}\nlog.dirs={}\noffsets.topic.replication.factor=1\n{}\n",
            folder.join("logs").display(),
            settings.join("\n")
        );
        let properties = folder.join("server.properties");
        std::fs::write(&properties, text).unwrap();
        let process = launch(version, &properties);
        let mut kafka = Kafka { process, version: version.into(), properties, bootstrap };
        kafka.wait_until_it_serves();
        kafka
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.signal("KILL");
        self.process.ended(Duration::from_secs(10));
    }

    /// Starts it again on the same folder and port.
    pub fn restart(&mut self) {
        self.process = launch(&self.version, &self.properties);
        self.wait_until_it_serves();
    }

    fn wait_until_it_serves(&mut self) {
        wait_until("Kafka serves", Duration::from_secs(90), || {
            assert!(self.process.child.try_wait().unwrap().is_none(), "{}", self.process.lines().join("\n"));
            match self.version.starts_with("0.8") {
                // It tells of no broker as long as there is no topic.
                true => TcpStream::connect(&self.bootstrap).is_ok(),
                false => {
                    let nothing = ["-L", "-t", "is-it-there", "-X", "allow.auto.create.topics=false"];
                    kcat(&self.bootstrap, &nothing, "").status.success()
                }
            }
        });
    }
}

fn launch(version: &str, properties: &Path) -> Running {
    Running::start(peers().args(["broker", version]).arg(properties))
}
