//! Kafka's own console and admin tools, of the newest release with ZooKeeper and of 2015.

use ottla_integration_tests::Broker;
use ottla_integration_tests::client::{file, kcat, tool, topics};
use ottla_integration_tests::zookeeper::zk_cli;

const MESSAGES: usize = 100_000;

/// What the ZooKeeper consumer of Kafka 0.8.2.2 prints of a topic, in a group of its own.
fn consume_as_in_2015(broker: &Broker, topic: &str, group: &str, count: usize) -> String {
    let text = format!("group.id={group}\nzookeeper.session.timeout.ms=10000\n");
    let config = file(broker.folder(), "consumer.properties", &text);
    let count = count.to_string();
    let mut args = vec!["--zookeeper", &broker.zookeeper, "--topic", topic, "--from-beginning"];
    args.extend(["--max-messages", &count, "--consumer.config", &config]);
    tool("0.8.2.2", "kafka.tools.ConsoleConsumer", &args, "").success()
}

fn a_2015_producer_and_consumer_pass_everything(real_zookeeper: bool) {
    let mut broker = Broker::with(real_zookeeper, &["num.partitions=2"]);
    let input: String = (0..MESSAGES).map(|i| format!("message {i}\n")).collect();
    tool(
        "0.8.2.2",
        "kafka.tools.ConsoleProducer",
        &["--broker-list", &broker.bootstrap, "--topic", "old", "--batch-size", "500", "--request-required-acks", "1"],
        &input,
    )
    .success();
    let read = consume_as_in_2015(&broker, "old", "grandpa", MESSAGES);
    let mut read: Vec<&str> = read.lines().filter(|line| line.starts_with("message ")).collect();
    read.sort();
    let mut written: Vec<&str> = input.lines().collect();
    written.sort();
    assert!(read == written, "{} of {MESSAGES} came through", read.len());
    let offsets: i64 = (0..2)
        .map(|partition| {
            let path = format!("/consumers/grandpa/offsets/old/{partition}");
            let printed = zk_cli(&broker.zookeeper, &["get", &path]).success();
            printed
                .lines()
                .rev()
                .find_map(|line| line.trim().parse::<i64>().ok())
                .unwrap_or_else(|| panic!("{printed}"))
        })
        .sum();
    assert_eq!(offsets, MESSAGES as i64);
    broker.stop(&[]);
}

#[test]
fn a_2015_producer_and_consumer_pass_everything_with_the_embedded_keeper() {
    a_2015_producer_and_consumer_pass_everything(false);
}

#[test]
fn a_2015_producer_and_consumer_pass_everything_with_a_real_zookeeper() {
    a_2015_producer_and_consumer_pass_everything(true);
}

#[test]
fn a_2015_consumer_reads_what_a_new_client_compressed() {
    let mut broker = Broker::start();
    let mut written = Vec::new();
    for codec in ["none", "gzip", "snappy"] {
        let lines: Vec<String> = (0..500).map(|i| format!("{codec} {i}")).collect();
        kcat(&broker.bootstrap, &["-P", "-t", "new", "-p", "0", "-z", codec], &(lines.join("\n") + "\n")).success();
        written.extend(lines);
    }
    let read = consume_as_in_2015(&broker, "new", "grandma", written.len());
    let is_ours = |line: &&str| ["none ", "gzip ", "snappy "].iter().any(|codec| line.starts_with(codec));
    assert_eq!(read.lines().filter(is_ours).collect::<Vec<_>>(), written);
    broker.stop(&[]);
}

fn the_tools_of_3_9(real_zookeeper: bool) {
    let mut broker = Broker::with(real_zookeeper, &[]);
    let bootstrap = broker.bootstrap.clone();
    topics(&bootstrap, &["--create", "--topic", "orders", "--partitions", "3", "--config", "retention.ms=86400000"])
        .success();
    let described = topics(&bootstrap, &["--describe", "--topic", "orders"]).success();
    assert!(described.contains("PartitionCount: 3") && described.contains("retention.ms=86400000"), "{described}");
    assert_eq!(described.matches("Leader: 0").count(), 3, "{described}");

    let input: String = (0..1000).map(|i| format!("k{i}\tv{i}\n")).collect();
    let console = ["--bootstrap-server", &bootstrap, "--topic", "orders"];
    let mut args = console.to_vec();
    args.extend(["--property", "parse.key=true"]);
    tool("3.9.1", "kafka.tools.ConsoleProducer", &args, &input).success();
    let mut read = Vec::new();
    for partition in ["0", "1", "2"] {
        let ends = offsets(&bootstrap, "-1");
        let count = ends.iter().find(|(p, _)| p == partition).unwrap().1.to_string();
        let mut args = console.to_vec();
        args.extend([
            "--partition",
            partition,
            "--offset",
            "earliest",
            "--max-messages",
            &count,
            "--property",
            "print.key=true",
        ]);
        let printed = tool("3.9.1", "org.apache.kafka.tools.consumer.ConsoleConsumer", &args, "").success();
        read.extend(printed.lines().map(str::to_string));
    }
    read.sort();
    let mut written: Vec<String> = input.lines().map(str::to_string).collect();
    written.sort();
    assert_eq!(read, written);
    assert_eq!(offsets(&bootstrap, "-1").iter().map(|(_, offset)| offset).sum::<i64>(), 1000);
    assert_eq!(offsets(&bootstrap, "-2").iter().map(|(_, offset)| offset).sum::<i64>(), 0);

    topics(&bootstrap, &["--alter", "--topic", "orders", "--partitions", "5"]).success();
    assert!(topics(&bootstrap, &["--describe", "--topic", "orders"]).success().contains("PartitionCount: 5"));
    let altered = tool(
        "3.9.1",
        "kafka.admin.ConfigCommand",
        &[
            "--bootstrap-server",
            &bootstrap,
            "--alter",
            "--entity-type",
            "topics",
            "--entity-name",
            "orders",
            "--add-config",
            "max.message.bytes=2000",
        ],
        "",
    );
    altered.success();
    let refused = kcat(&bootstrap, &["-P", "-t", "orders", "-p", "0"], &format!("{}\n", "x".repeat(3000)));
    assert!(refused.stderr.contains("Message size too large"), "the new limit counts: {}", refused.stderr);
    topics(&bootstrap, &["--delete", "--topic", "orders"]).success();
    ottla_integration_tests::process::wait_until("the topic is gone", std::time::Duration::from_secs(10), || {
        !topics(&bootstrap, &["--list"]).success().contains("orders")
    });
    broker.stop(&[]);
}

/// `kafka-get-offsets.sh`: partition and offset.
fn offsets(bootstrap: &str, time: &str) -> Vec<(String, i64)> {
    let args = ["--bootstrap-server", bootstrap, "--topic", "orders", "--time", time];
    let printed = tool("3.9.1", "org.apache.kafka.tools.GetOffsetShell", &args, "").success();
    printed
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':').skip(1);
            Some((fields.next()?.to_string(), fields.next()?.parse().ok()?))
        })
        .collect()
}

#[test]
fn the_tools_of_3_9_with_the_embedded_keeper() {
    the_tools_of_3_9(false);
}

#[test]
fn the_tools_of_3_9_with_a_real_zookeeper() {
    the_tools_of_3_9(true);
}
