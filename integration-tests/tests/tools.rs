//! The broker's own command-line tools.

use std::process::Command;
use std::time::Duration;

use ottla_integration_tests::broker::binary;
use ottla_integration_tests::client::{file, kcat, ottla, tool};
use ottla_integration_tests::process::{Running, wait_until};
use ottla_integration_tests::zookeeper::{four_letters, zk_cli};
use ottla_integration_tests::{Broker, Output, free_port};

/// One of our tools against a broker.
fn against(broker: &Broker, name: &str, args: &[&str], input: &str) -> Output {
    ottla(&[&[name, "--bootstrap-server", &broker.bootstrap], args].concat(), input)
}

#[test]
fn topics_and_configs_from_creation_to_deletion() {
    let mut broker = Broker::start();
    let topics = |args: &[&str]| against(&broker, "topics", args, "").success();
    let create = ["--create", "--topic", "orders", "--partitions", "2", "--config", "retention.ms=60000"];
    assert_eq!(topics(&create), "Created topic orders.\n");
    assert_eq!(topics(&["--list"]), "orders\n");
    let described = topics(&["--describe", "--topic", "orders"]);
    for part in ["PartitionCount: 2", "ReplicationFactor: 1", "retention.ms=60000", "Partition: 1\tLeader: 0"] {
        assert!(described.contains(part), "no '{part}' in {described}");
    }
    topics(&["--alter", "--topic", "orders", "--partitions", "3"]);
    assert!(topics(&["--describe", "--topic", "orders"]).contains("PartitionCount: 3"));
    let again = against(&broker, "topics", &create, "");
    assert!(!again.status.success() && again.stderr.contains("orders"), "{again:?}");

    let configs = |args: &[&str]| against(&broker, "configs", args, "").success();
    configs(&[
        "--alter",
        "--topic",
        "orders",
        "--add-config",
        "max.message.bytes=2000,cleanup.policy=[delete,compact]",
    ]);
    configs(&["--alter", "--topic", "orders", "--delete-config", "retention.ms"]);
    let described = configs(&["--describe", "--topic", "orders"]);
    assert!(described.contains("max.message.bytes=2000") && described.contains("cleanup.policy=delete,compact"));
    assert!(!described.contains("retention.ms"), "{described}");
    configs(&["--alter", "--broker", "0", "--add-config", "message.max.bytes=3000000"]);
    wait_until("the broker's config", Duration::from_secs(5), || {
        configs(&["--describe", "--broker", "0"]).contains("message.max.bytes=3000000")
    });

    topics(&["--delete", "--topic", "orders"]);
    wait_until("the topic is gone", Duration::from_secs(5), || topics(&["--list"]).is_empty());
    broker.stop(&[]);
}

#[test]
fn what_the_producer_sends_the_consumer_prints() {
    let mut broker = Broker::start();
    against(&broker, "topics", &["--create", "--topic", "t", "--partitions", "3"], "").success();
    let mut written = Vec::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let lines: Vec<String> = (0..100).map(|i| format!("{codec}-{i}\tvalue {i}")).collect();
        let args = ["--topic", "t", "--compression-codec", codec, "--property", "parse.key=true"];
        against(&broker, "console-producer", &args, &(lines.join("\n") + "\n")).success();
        written.extend(lines);
    }
    let args = ["--topic", "t", "--from-beginning", "--max-messages", "500", "--property", "print.key=true"];
    let printed = against(&broker, "console-consumer", &args, "").success();
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    assert_eq!(sorted(printed.lines().map(str::to_owned).collect()), sorted(written.clone()));
    // Other people's clients see the same.
    let theirs = kcat(&broker.bootstrap, &["-C", "-t", "t", "-e", "-q", "-K", "\t"], "").success();
    assert_eq!(sorted(theirs.lines().map(str::to_owned).collect()), sorted(written));

    for time in ["earliest", "latest", "max-timestamp", "-1"] {
        let ours = against(&broker, "get-offsets", &["--topic", "t", "--time", time], "").success();
        let args = ["--bootstrap-server", &broker.bootstrap, "--topic", "t", "--time", time];
        let theirs = tool("3.9.1", "org.apache.kafka.tools.GetOffsetShell", &args, "").success();
        assert_eq!(ours, theirs, "{time}");
    }
    broker.stop(&[]);
}

#[test]
fn a_producer_asks_zookeeper_or_brokers_and_names_the_lines_that_failed() {
    let mut broker = Broker::with(true, &[]);
    let by_zookeeper = |args: &[&str], input: &str| {
        ottla(&[&["console-producer", "--zookeeper", &broker.zookeeper, "--topic", "t"], args].concat(), input)
    };
    let formats = ["parse.key=true", "parse.headers=true", "null.marker=NIL"].map(|format| ["--property", format]);
    by_zookeeper(&formats.concat(), "h:1,i:NIL\tk\tv\nh:2\tl\tNIL\n").success();
    // Kafka's tool takes the same flags, and makes the same records of the same lines.
    let args = ["--bootstrap-server", &broker.bootstrap, "--topic", "t"];
    let theirs = [&args[..], &formats.concat()].concat();
    tool("3.9.1", "kafka.tools.ConsoleProducer", &theirs, "h:1,i:NIL\tk\tv\nh:2\tl\tNIL\n").success();
    // A file of 0.8, over which flags and properties go.
    let old =
        format!("metadata.broker.list={}\npartitioner.class=kafka.producer.DefaultPartitioner\n", broker.bootstrap);
    let old = file(broker.folder(), "producer.properties", &old);
    let by_file = ["--producer.config", &old, "--producer-property", "compression.codec=1", "--sync", "--acks", "1"];
    ottla(&[&["console-producer", "--topic", "t"][..], &by_file].concat(), "a\nb\n").success();
    let args = ["--topic", "t", "--from-beginning", "--max-messages", "6", "--property", "print.key=true"];
    let printed =
        against(&broker, "console-consumer", &[&args[..], &["--property", "print.headers=true"]].concat(), "")
            .success();
    let both = "h:1,i:null\tk\tv\nh:2\tl\tnull\n";
    assert_eq!(printed, format!("{both}{both}NO_HEADERS\tnull\ta\nNO_HEADERS\tnull\tb\n"));

    let refused =
        ottla(&["console-producer", "--bootstrap-server", &broker.bootstrap, "--topic", "no", "--no-create"], "x\n");
    assert_eq!((refused.status.code(), refused.stderr.lines().count()), (Some(1), 1), "{refused:?}");
    assert!(refused.stderr.contains("topic no does not exist"), "{refused:?}");
    let large = format!("a\n{}\nb\n", "x".repeat(2_000_000));
    let partly = by_zookeeper(&[], &large);
    assert_eq!((partly.status.code(), partly.stderr.lines().count()), (Some(1), 2), "{partly:?}");
    assert!(partly.stderr.starts_with("line 2: not sent: ") && partly.stderr.contains("1 of 3 records"), "{partly:?}");
    let create = ["--create", "--topic", "small", "--config", "max.message.bytes=1000"];
    against(&broker, "topics", &create, "").success();
    let large = format!("a\n{}\nb\n", "x".repeat(2000));
    let partly = against(&broker, "console-producer", &["--topic", "small", "--batch-size", "1"], &large);
    assert_eq!(partly.status.code(), Some(1), "{partly:?}");
    for start in ["line 2: not delivered: ", "1 of 3 records were not delivered"] {
        assert!(partly.stderr.lines().any(|line| line.starts_with(start)), "{partly:?}");
    }
    broker.stop(&[]);
}

#[test]
fn znodes_are_shown_decoded_with_their_owners() {
    let mut broker = Broker::with(true, &[]);
    kcat(&broker.bootstrap, &["-P", "-t", "t", "-p", "0"], "x\n").success();
    let znodes = |args: &[&str]| ottla(&[&["znodes", "--zookeeper", &broker.zookeeper], args].concat(), "").success();
    let tree = znodes(&["tree"]);
    let owner = broker.real_zookeeper().unwrap().owner("/ottla/brokers/ids/0").unwrap();
    for part in ["brokers", "topics", "config", "controller_epoch", "cluster", "(broker 0), for ", &owner] {
        assert!(tree.contains(part), "no '{part}' in\n{tree}");
    }
    let controller = tree.lines().find(|line| line.starts_with("  controller ")).unwrap();
    assert!(controller.contains("[ephemeral") && controller.contains("(broker 0)"), "{controller}");
    let node = znodes(&["get", "/brokers/topics/t/partitions/0/state"]);
    assert!(node.contains("leader") && node.contains(r#""isr":[0]"#) && node.contains("version   "), "{node}");
    let missing = ottla(&["znodes", "--zookeeper", &broker.zookeeper, "get", "/nothing"], "");
    assert_eq!((missing.status.code(), missing.stderr.lines().count()), (Some(1), 1), "{missing:?}");
    assert!(missing.stderr.contains("/nothing"), "{missing:?}");
    broker.stop(&[]);
}

#[test]
fn nobody_there_is_one_clear_line() {
    let nowhere = format!("127.0.0.1:{}", free_port());
    let limit = ["--bootstrap-server", &nowhere, "--request-timeout-ms", "2000"];
    for args in [
        &["topics", "--list"][..],
        &["configs", "--describe", "--topic", "t"],
        &["console-producer", "--topic", "t"],
        &["console-consumer", "--topic", "t", "--from-beginning"],
        &["get-offsets", "--topic", "t"],
    ] {
        let output = ottla(&[args, &limit].concat(), "x\n");
        assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
        // The consumer says as ever how much it has read.
        let lines = output.stderr.lines().filter(|line| *line != "Processed a total of 0 messages").count();
        assert_eq!(lines, 1, "{args:?}: {}", output.stderr);
        assert!(output.stderr.contains(&nowhere), "{args:?}: {}", output.stderr);
    }
}

#[test]
fn the_keeper_alone_serves_zkcli() {
    let folder = tempfile::tempdir().unwrap();
    let (port, data) = (free_port(), folder.path().join("data"));
    let text = format!(
        "tickTime=2000\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\n4lw.commands.whitelist=*\n",
        data.display()
    );
    let conf = file(folder.path(), "zoo.cfg", &text);
    let address = format!("127.0.0.1:{port}");
    let start = || {
        let keeper = Running::start(Command::new(binary()).args(["keeper", &conf]));
        wait_until("the keeper answers", Duration::from_secs(10), || four_letters(&address, "ruok") == "imok");
        keeper
    };
    let mut keeper = start();
    zk_cli(&address, &["create", "/hello", "world"]).success();
    keeper.signal("TERM");
    assert!(keeper.ended(Duration::from_secs(10)).success(), "{:?}", keeper.lines());
    let mut keeper = start();
    let got = zk_cli(&address, &["get", "-s", "/hello"]).success();
    assert!(got.contains("world") && got.contains("dataVersion = 0"), "{got}");
    assert!(four_letters(&address, "mntr").contains("zk_znode_count"));
    keeper.signal("TERM");
    assert!(keeper.ended(Duration::from_secs(10)).success());
    let lines = keeper.lines();
    assert!(!lines.iter().any(|line| line.contains(" WARN ") || line.contains("ERROR ")), "{lines:#?}");
}
