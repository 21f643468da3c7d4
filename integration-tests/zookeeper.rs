//! A real ZooKeeper 3.8, and its command-line client.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Output, Running, free_port, run};

/// The script that runs Kafka's and ZooKeeper's programs.
pub fn peers() -> Command {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/peers"))
}

/// A running server.
pub struct ZooKeeper {
    process: Running,
    conf: PathBuf,
    /// `host:port`.
    pub address: String,
}

impl ZooKeeper {
    /// Starts one on a folder, as an operator would: sample settings, every four-letter word.
    pub fn start(folder: &Path) -> ZooKeeper {
        let port = free_port();
        std::fs::create_dir_all(folder).unwrap();
        let conf = folder.join("zoo.cfg");
        let text = format!(
            "tickTime=2000\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n4lw.commands.whitelist=*\n",
            folder.join("data").display()
        );
        std::fs::write(&conf, text).unwrap();
        let address = format!("127.0.0.1:{port}");
        ZooKeeper { process: launch(&conf, &address), conf, address }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&mut self) {
        self.process.signal("KILL");
        self.process.ended(Duration::from_secs(10));
    }

    /// Starts it again on the same folder and port.
    pub fn restart(&mut self) {
        self.process = launch(&self.conf, &self.address);
    }

    /// The session that owns an ephemeral node, as the server's `dump` prints it.
    pub fn owner(&self, path: &str) -> Option<String> {
        let dump = four_letters(&self.address, "dump");
        let mut session = None;
        for line in dump.lines() {
            match line.strip_prefix('\t') {
                Some(node) if node == path => return session,
                Some(_) => {}
                None => session = Some(line.trim_end_matches(':').to_owned()),
            }
        }
        None
    }
}

fn launch(conf: &Path, address: &str) -> Running {
    let process = Running::start(peers().arg("zookeeper").arg(conf));
    crate::process::wait_until("ZooKeeper answers", Duration::from_secs(60), || {
        four_letters(address, "ruok") == "imok"
    });
    process
}

/// The answer to a four-letter word, or what stands for none.
pub fn four_letters(address: &str, word: &str) -> String {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return String::new() };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut answer = String::new();
    let _ = stream.write_all(word.as_bytes());
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// One command of zkCli.sh. `address` may carry a chroot.
pub fn zk_cli(address: &str, command: &[&str]) -> Output {
    run(peers().args(["run", "3.9.1", "org.apache.zookeeper.ZooKeeperMain", "-server", address]).args(command), b"")
}
