//! Folders change hands: the keeper's with Apache ZooKeeper, the logs with Apache Kafka.

use std::path::Path;
use std::time::Duration;

use ottla_integration_tests::Broker;
use ottla_integration_tests::client::{file, kcat, tool};
use ottla_integration_tests::process::{Running, free_port, wait_until};
use ottla_integration_tests::zookeeper::{four_letters, peers, zk_cli};

/// Apache ZooKeeper on a keeper's folder.
fn zookeeper_on(folder: &Path, keeper: &Path) -> (Running, String) {
    let port = free_port();
    let text = format!(
        "tickTime=2000\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n4lw.commands.whitelist=*\n",
        keeper.display()
    );
    let conf = file(folder, "zoo.cfg", &text);
    let mut process = Running::start(peers().arg("zookeeper").arg(&conf));
    let address = format!("127.0.0.1:{port}");
    wait_until("Apache ZooKeeper serves the keeper's folder", Duration::from_secs(60), || {
        assert!(process.child.try_wait().unwrap().is_none(), "{}", process.lines().join("\n"));
        four_letters(&address, "ruok") == "imok"
    });
    (process, address)
}

#[test]
fn the_keepers_folder_goes_to_apache_zookeeper_and_back() {
    let mut broker = Broker::start();
    kcat(&broker.bootstrap, &["-P", "-t", "t", "-p", "0"], "one\n").success();
    let ours = zk_cli(&broker.zookeeper, &["get", "-s", "/brokers/topics/t"]).success();
    broker.stop(&[]);

    let keeper = broker.folder().join("data/keeper");
    let (mut apache, address) = zookeeper_on(broker.folder(), &keeper);
    let theirs = zk_cli(&address, &["get", "-s", "/brokers/topics/t"]).success();
    let tail = |text: &str| {
        text.lines().rev().take_while(|line| !line.starts_with('{')).map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(tail(&ours), tail(&theirs), "data versions, zxids and times are the same");
    zk_cli(&address, &["create", "/written-by-apache", "hello"]).success();
    apache.signal("KILL");
    apache.ended(Duration::from_secs(10));

    broker.restart();
    assert!(zk_cli(&broker.zookeeper, &["get", "/written-by-apache"]).success().contains("hello"));
    kcat(&broker.bootstrap, &["-P", "-t", "t", "-p", "0"], "two\n").success();
    assert_eq!(kcat(&broker.bootstrap, &["-C", "-t", "t", "-e", "-q"], "").success(), "one\ntwo\n");
    broker.stop(&[]);
}

#[test]
fn kafka_reads_our_segments_and_indexes() {
    let mut broker = Broker::with(false, &["log.segment.bytes=20000", "log.index.interval.bytes=1000"]);
    let input: String = (0..2000).map(|i| format!("message {i}\n")).collect();
    kcat(
        &broker.bootstrap,
        &["-P", "-t", "t", "-p", "0", "-X", "batch.num.messages=20", "-X", "enable.idempotence=true"],
        &input,
    )
    .success();
    broker.stop(&[]);
    let folder = broker.folder().join("data/logs/t-0");
    let mut files: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path().to_str().unwrap().to_string()).collect();
    files.sort();
    let of = |suffix: &str| files.iter().filter(|name| name.ends_with(suffix)).cloned().collect::<Vec<_>>();
    assert!(of(".log").len() >= 3, "{files:?}");
    for suffix in [".log", ".index", ".timeindex", ".snapshot"] {
        let dumped = tool(
            "3.9.1",
            "kafka.tools.DumpLogSegments",
            &["--files", &of(suffix).join(","), "--index-sanity-check", "--deep-iteration"],
            "",
        )
        .success();
        let bad = ["Mismatches", "Found", "corrupt", "isvalid: false", "rror"];
        assert!(!bad.iter().any(|word| dumped.contains(word)), "{suffix}: {dumped}");
        if suffix == ".log" {
            assert_eq!(dumped.matches("| offset: ").count(), 2000);
        }
    }
}

#[test]
fn kafka_starts_on_our_logs_and_we_on_its() {
    let mut broker = Broker::with(true, &[]);
    kcat(&broker.bootstrap, &["-P", "-t", "t", "-p", "0"], "ours\n").success();
    broker.stop(&[]);

    let properties = format!(
        "broker.id=0\nlisteners=PLAINTEXT://{}\nzookeeper.connect={}\nlog.dirs={}\noffsets.topic.num.partitions=1\noffsets.topic.replication.factor=1\n",
        broker.bootstrap,
        broker.zookeeper,
        broker.folder().join("data/logs").display()
    );
    let file = file(broker.folder(), "kafka.properties", &properties);
    let mut kafka = Running::start(peers().args(["broker", "3.9.1"]).arg(&file));
    wait_until("Kafka serves our log", Duration::from_secs(60), || {
        assert!(kafka.child.try_wait().unwrap().is_none(), "{}", kafka.lines().join("\n"));
        let read =
            kcat(&broker.bootstrap, &["-C", "-t", "t", "-e", "-q", "-X", "topic.metadata.refresh.interval.ms=500"], "");
        read.status.success() && read.stdout == "ours\n"
    });
    kcat(&broker.bootstrap, &["-P", "-t", "t", "-p", "0"], "theirs\n").success();
    kafka.signal("TERM");
    kafka.ended(Duration::from_secs(60));

    broker.restart();
    kcat(&broker.bootstrap, &["-P", "-t", "t", "-p", "0"], "ours again\n").success();
    let read = kcat(&broker.bootstrap, &["-C", "-t", "t", "-e", "-q"], "").success();
    assert_eq!(read, "ours\ntheirs\nours again\n");
    broker.stop(&[]);
}
