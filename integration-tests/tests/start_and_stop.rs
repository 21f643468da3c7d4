//! What a user sees of the start and the stop.

use std::process::Command;
use std::time::{Duration, Instant};

use ottla_integration_tests::Broker;
use ottla_integration_tests::broker::binary;
use ottla_integration_tests::client::kcat;
use ottla_integration_tests::process::{Output, Running, free_port, run, wait_until};

#[test]
fn a_second_start_continues_with_the_data() {
    let mut broker = Broker::start();
    kcat(&broker.bootstrap, &["-P", "-t", "t", "-p", "0"], "before\n").success();
    broker.stop(&[]);
    broker.restart();
    kcat(&broker.bootstrap, &["-P", "-t", "t", "-p", "0"], "after\n").success();
    assert_eq!(kcat(&broker.bootstrap, &["-C", "-t", "t", "-e", "-q"], "").success(), "before\nafter\n");
    broker.stop(&[]);
}

#[test]
fn many_partitions_start_and_stop_at_once() {
    const PARTITIONS: usize = 200;
    let mut broker = Broker::start();
    let start = Instant::now();
    let partitions = PARTITIONS.to_string();
    let create = ["topics", "--bootstrap-server", &broker.bootstrap, "--create", "--topic", "t", "--partitions"];
    run(Command::new(binary()).args(create).arg(&partitions), b"").success();
    let created = start.elapsed();
    let records: String = (0..10 * PARTITIONS).map(|number| format!("{number}:{number}\n")).collect();
    kcat(&broker.bootstrap, &["-P", "-t", "t", "-K:"], &records).success();
    broker.kill();
    let start = Instant::now();
    broker.restart();
    let offsets = ["get-offsets", "--bootstrap-server", &broker.bootstrap, "--topic", "t"];
    // What consumers may read: less until all partitions are led and what was recovered is flushed.
    wait_until("every record may be read", Duration::from_secs(20), || {
        let ends = run(Command::new(binary()).args(offsets), b"").stdout;
        let ends = ends.lines().filter_map(|line| line.rsplit(':').next()?.parse::<usize>().ok());
        ends.sum::<usize>() == 10 * PARTITIONS
    });
    let recovered = start.elapsed();
    let start = Instant::now();
    broker.stop(&["was not stopped cleanly"]);
    let stopped = start.elapsed();
    println!("created in {created:?}, read again {recovered:?} after kill -9, stopped in {stopped:?}");
    // A tenth of these is usual; what they catch is an fsync for each partition, one after the other.
    for time in [created, recovered, stopped] {
        assert!(time < Duration::from_secs(2), "{created:?}, {recovered:?}, {stopped:?}");
    }
}

#[test]
fn the_start_says_what_listens_where() {
    let broker = Broker::start();
    let text = broker.lines().join("\n");
    for part in [&broker.bootstrap, &broker.zookeeper, "data", "started in", "kcat -b"] {
        assert!(text.contains(part), "no '{part}' in:\n{text}");
    }
}

#[test]
fn control_c_stops_it_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Running::start(&mut start(folder.path(), free_port(), free_port()));
    process.line_with("started in", Duration::from_secs(30));
    process.signal("INT");
    assert!(process.ended(Duration::from_secs(10)).success());
}

fn start(data: &std::path::Path, port: u16, keeper_port: u16) -> Command {
    let mut command = Command::new(binary());
    command.arg("start").arg("--data").arg(data);
    command.args(["--override", &format!("listeners=PLAINTEXT://127.0.0.1:{port}")]);
    command.args(["--override", &format!("keeper.clientPort={keeper_port}")]);
    command
}

#[track_caller]
fn refuses(output: Output, words: &[&str]) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "one line: {}", output.stderr);
    for word in words {
        assert!(output.stderr.contains(word), "no '{word}' in: {}", output.stderr);
    }
}

#[test]
fn a_taken_port_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    refuses(run(&mut start(folder.path(), port, free_port()), b""), &[&port.to_string(), "taken"]);
    refuses(run(&mut start(folder.path(), free_port(), port), b""), &[&port.to_string(), "in use"]);
}

#[test]
fn a_locked_data_folder_is_one_clear_line() {
    let broker = Broker::start();
    let data = broker.folder().join("data");
    refuses(run(&mut start(&data, free_port(), free_port()), b""), &["locked", data.to_str().unwrap()]);
}

#[test]
fn a_foreign_data_folder_is_one_clear_line_and_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("pictures");
    std::fs::create_dir(&logs).unwrap();
    std::fs::write(logs.join("cat.jpeg"), "miau").unwrap();
    let mut command = start(folder.path(), free_port(), free_port());
    command.args(["--override", &format!("log.dirs={}", logs.display())]);
    refuses(run(&mut command, b""), &[logs.to_str().unwrap()]);
    assert_eq!(std::fs::read_dir(&logs).unwrap().count(), 1);
}

#[test]
fn a_wrong_setting_names_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.properties");
    std::fs::write(&file, "broker.id=0\nnum.partitions=many\n").unwrap();
    let output = run(Command::new(binary()).arg("start").arg(&file), b"");
    refuses(output, &["server.properties:2", "num.partitions", "many"]);
}
