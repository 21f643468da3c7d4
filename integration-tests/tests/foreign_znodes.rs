//! The broker acts on znodes that it did not write: Kafka 2.8.2's TopicCommand writes them directly.

use std::time::Duration;

use ottla_integration_tests::Broker;
use ottla_integration_tests::client::{kcat, topics_by_zookeeper};
use ottla_integration_tests::process::wait_until;
use ottla_integration_tests::zookeeper::zk_cli;

fn topic_command_of_2_8(real_zookeeper: bool) {
    let mut broker = Broker::with(real_zookeeper, &[]);
    let zookeeper = broker.zookeeper.clone();
    let by_zookeeper = |args: &[&str]| topics_by_zookeeper(&zookeeper, args).success();
    by_zookeeper(&[
        "--create",
        "--topic",
        "foreign",
        "--partitions",
        "2",
        "--replication-factor",
        "1",
        "--config",
        "max.message.bytes=1000",
    ]);
    let partitions = |broker: &Broker, text: &str| {
        wait_until(text, Duration::from_secs(10), || {
            kcat(&broker.bootstrap, &["-L", "-t", "foreign"], "").success().contains(text)
        });
    };
    partitions(&broker, "with 2 partitions");
    let refused = kcat(&broker.bootstrap, &["-P", "-t", "foreign", "-p", "1"], &format!("{}\n", "x".repeat(2000)));
    assert!(refused.stderr.contains("Message size too large"), "its config counts: {}", refused.stderr);
    kcat(&broker.bootstrap, &["-P", "-t", "foreign", "-p", "1"], "hello\n").success();
    assert_eq!(kcat(&broker.bootstrap, &["-C", "-t", "foreign", "-e", "-q"], "").success(), "hello\n");

    by_zookeeper(&["--alter", "--topic", "foreign", "--partitions", "4"]);
    partitions(&broker, "with 4 partitions");
    kcat(&broker.bootstrap, &["-P", "-t", "foreign", "-p", "3"], "more\n").success();
    let described = by_zookeeper(&["--describe", "--topic", "foreign"]);
    assert_eq!(described.matches("Leader: 0").count(), 4, "{described}");
    assert_eq!(described.matches("Isr: 0").count(), 4, "{described}");

    by_zookeeper(&["--delete", "--topic", "foreign"]);
    wait_until("the topic is gone", Duration::from_secs(10), || {
        !kcat(&broker.bootstrap, &["-L"], "").success().contains("foreign")
    });
    wait_until("its znodes are gone", Duration::from_secs(10), || {
        !zk_cli(&zookeeper, &["ls", "-R", "/"]).success().contains("foreign")
    });
    broker.stop(&[]);
}

#[test]
fn topic_command_of_2_8_with_the_embedded_keeper() {
    topic_command_of_2_8(false);
}

#[test]
fn topic_command_of_2_8_with_a_real_zookeeper() {
    topic_command_of_2_8(true);
}

#[test]
fn the_registration_vanishes_with_a_killed_broker() {
    let mut broker = Broker::with(true, &["zookeeper.session.timeout.ms=4000"]);
    let zookeeper = broker.zookeeper.clone();
    let ids = || zk_cli(&zookeeper, &["ls", "/brokers/ids"]).success();
    assert!(ids().contains("[0]"), "{}", ids());
    broker.kill();
    wait_until("/brokers/ids/0 is gone", Duration::from_secs(15), || ids().contains("[]"));
}
