//! Who a broker is: ids that are made, folders that remember whose they are, several log dirs.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ottla_integration_tests::broker::binary;
use ottla_integration_tests::client::{file, kcat, ottla};
use ottla_integration_tests::process::{Output, Running, free_port, run};
use ottla_integration_tests::{Broker, free_port as port};

/// A broker by a file of these lines, with its keeper inside.
struct ByFile {
    file: String,
    bootstrap: String,
}

impl ByFile {
    fn new(folder: &Path, lines: &[&str]) -> ByFile {
        let bootstrap = format!("127.0.0.1:{}", free_port());
        let text = format!(
            "listeners=PLAINTEXT://{bootstrap}\nkeeper.clientPort={}\nkeeper.dataDir={}\n{}\n",
            port(),
            folder.join("keeper").display(),
            lines.join("\n")
        );
        ByFile { file: file(folder, "server.properties", &text), bootstrap }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.arg("start").arg(&self.file);
        command
    }

    /// Starts it, shows it to `look`, stops it.
    #[track_caller]
    fn once(&self, look: impl FnOnce()) -> Vec<String> {
        let mut process = Running::start(&mut self.command());
        process.line_with("started in", Duration::from_secs(30));
        look();
        process.signal("TERM");
        assert!(process.ended(Duration::from_secs(30)).success());
        let lines = process.lines();
        assert!(!lines.iter().any(|line| line.contains(" WARN ") || line.contains("ERROR ")), "{lines:#?}");
        lines
    }
}

#[track_caller]
fn refused(output: Output, words: &[&str]) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    // The keeper inside has read its files by then and says so.
    let lines = output.stderr.lines().filter(|line| !line.contains("  INFO ")).count();
    assert_eq!(lines, 1, "one line: {}", output.stderr);
    for word in words {
        assert!(output.stderr.contains(word), "no '{word}' in: {}", output.stderr);
    }
}

#[test]
fn a_file_without_an_id_gets_1001_and_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let logs = format!("log.dirs={}", folder.path().join("logs").display());
    let broker = ByFile::new(folder.path(), &[&logs]);
    for _ in 0..2 {
        broker.once(|| {
            let listed = kcat(&broker.bootstrap, &["-L"], "").success();
            assert!(listed.contains(&format!("broker 1001 at {} ", broker.bootstrap)), "{listed}");
        });
        let meta = std::fs::read_to_string(folder.path().join("logs/meta.properties")).unwrap();
        assert!(meta.lines().any(|line| line == "broker.id=1001"), "{meta}");
    }
}

#[test]
fn a_folder_of_another_broker_or_cluster_is_refused() {
    let mut broker = Broker::start();
    broker.stop(&[]);
    let meta = broker.folder().join("data/logs/meta.properties");
    let own = std::fs::read_to_string(&meta).unwrap();
    let cluster = own.lines().find_map(|line| line.strip_prefix("cluster.id=")).unwrap().to_owned();
    let start = || {
        let mut command = Command::new(binary());
        command.arg("start").arg("--data").arg(broker.folder().join("data"));
        command.args(["--override", &format!("listeners=PLAINTEXT://127.0.0.1:{}", free_port())]);
        command.args(["--override", &format!("keeper.clientPort={}", free_port())]);
        run(&mut command, b"")
    };
    let path = meta.to_str().unwrap();
    std::fs::write(&meta, own.replace("broker.id=0", "broker.id=7")).unwrap();
    refused(start(), &[path, "broker.id=7", "0"]);
    std::fs::write(&meta, own.replace(&cluster, "AAAAAAAAAAAAAAAAAAAAAA")).unwrap();
    refused(start(), &[path, "cluster.id=AAAAAAAAAAAAAAAAAAAAAA", &cluster]);
    std::fs::write(&meta, own).unwrap();
    broker.restart();
    broker.stop(&[]);
}

#[test]
fn partitions_are_spread_over_the_log_dirs_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let dirs = ["one", "two"].map(|name| folder.path().join(name));
    let logs = format!("log.dirs={},{}", dirs[0].display(), dirs[1].display());
    let broker = ByFile::new(folder.path(), &["broker.id=3", &logs]);
    let partitions = ["0", "1", "2", "3"];
    broker.once(|| {
        let create =
            ["topics", "--bootstrap-server", &broker.bootstrap, "--create", "--topic", "t", "--partitions", "4"];
        ottla(&create, "").success();
        for partition in partitions {
            kcat(&broker.bootstrap, &["-P", "-t", "t", "-p", partition], &format!("in {partition}\n")).success();
        }
    });
    for dir in &dirs {
        let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|name| name.starts_with("t-")).count(), 2, "{}", dir.display());
    }
    broker.once(|| {
        for partition in partitions {
            kcat(&broker.bootstrap, &["-P", "-t", "t", "-p", partition], "again\n").success();
            let args = ["-C", "-t", "t", "-p", partition, "-o", "beginning", "-e", "-q"];
            assert_eq!(kcat(&broker.bootstrap, &args, "").success(), format!("in {partition}\nagain\n"));
        }
    });
}
