//! Configs of topics do what they say, whoever wrote them.

use std::path::PathBuf;
use std::time::Duration;

use ottla_integration_tests::Broker;
use ottla_integration_tests::client::{kcat, ottla, tool};
use ottla_integration_tests::process::wait_until;

fn create(broker: &Broker, topic: &str, configs: &[&str]) {
    let mut args = vec!["topics", "--bootstrap-server", &broker.bootstrap, "--create", "--topic", topic];
    for config in configs {
        args.extend(["--config", config]);
    }
    ottla(&args, "").success();
}

fn earliest(broker: &Broker, topic: &str) -> i64 {
    let args = ["get-offsets", "--bootstrap-server", &broker.bootstrap, "--topic", topic, "--time", "earliest"];
    let printed = ottla(&args, "").success();
    printed.trim().rsplit(':').next().unwrap().parse().unwrap_or_else(|_| panic!("{printed}"))
}

fn segments(broker: &Broker, topic: &str) -> Vec<PathBuf> {
    let folder = broker.folder().join(format!("data/logs/{topic}-0"));
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|suffix| suffix == "log")).collect();
    logs.sort();
    logs
}

/// The attributes of the first batch on disk: bits 0 to 2 are the codec, bit 3 says whose clock stamped it.
fn attributes(broker: &Broker, topic: &str) -> u8 {
    std::fs::read(&segments(broker, topic)[0]).unwrap()[22]
}

#[test]
fn a_config_written_to_zookeeper_by_kafka_takes_effect() {
    let mut broker = Broker::with(true, &[]);
    create(&broker, "t", &[]);
    let large = format!("{}\n", "x".repeat(3000));
    let send = || kcat(&broker.bootstrap, &["-P", "-t", "t", "-p", "0"], &large);
    assert!(send().status.success());
    let entity = ["--zookeeper", &broker.zookeeper, "--alter", "--entity-type", "topics", "--entity-name", "t"];
    let alter = |change: [&str; 2]| {
        tool("2.8.2", "kafka.admin.ConfigCommand", &[&entity[..], &change[..]].concat(), "").success();
    };
    alter(["--add-config", "max.message.bytes=2000"]);
    wait_until("the limit holds", Duration::from_secs(10), || send().stderr.contains("Message size too large"));
    alter(["--delete-config", "max.message.bytes"]);
    wait_until("the limit is gone", Duration::from_secs(10), || send().status.success());
    broker.stop(&[]);
}

#[test]
fn retention_deletes_old_segments() {
    let mut broker = Broker::with(false, &["log.retention.check.interval.ms=200"]);
    create(&broker, "t", &["segment.bytes=20000", "retention.bytes=50000", "file.delete.delay.ms=0"]);
    let input: String = (0..200).map(|i| format!("{i} {}\n", "x".repeat(1000))).collect();
    let produce = |text: &str| {
        kcat(&broker.bootstrap, &["-P", "-t", "t", "-p", "0", "-X", "batch.num.messages=5"], text).success();
    };
    produce(&input);
    wait_until("by size", Duration::from_secs(10), || earliest(&broker, "t") > 100);
    let first = earliest(&broker, "t");
    let read = kcat(&broker.bootstrap, &["-C", "-t", "t", "-o", "beginning", "-e", "-q"], "").success();
    assert!(read.starts_with(&format!("{first} ")) && read.lines().count() as i64 == 200 - first, "{first}");
    wait_until("the files are gone", Duration::from_secs(10), || segments(&broker, "t").len() <= 4);

    let args = ["configs", "--bootstrap-server", &broker.bootstrap, "--topic", "t", "--alter", "--add-config"];
    ottla(&[&args[..], &["retention.ms=500"]].concat(), "").success();
    wait_until("by age, the active segment too", Duration::from_secs(10), || earliest(&broker, "t") == 200);
    ottla(&[&args[..], &["retention.ms=-1"]].concat(), "").success();
    produce("next\n");
    broker.stop(&[]);
    broker.restart();
    assert_eq!(earliest(&broker, "t"), 200, "what was deleted stays deleted");
    assert_eq!(kcat(&broker.bootstrap, &["-C", "-t", "t", "-e", "-q"], "").success(), "next\n");
    broker.stop(&[]);
}

#[test]
fn the_topics_codec_and_clock_are_the_brokers() {
    let mut broker = Broker::with(false, &[]);
    let text: String = (0..50).map(|i| format!("{i} {}\n", "x".repeat(100))).collect();
    for (topic, config, codec, expected) in [
        ("as-it-comes", "compression.type=producer", "gzip", 1),
        ("lz4", "compression.type=lz4", "gzip", 3),
        ("plain", "compression.type=uncompressed", "zstd", 0),
        ("clock", "message.timestamp.type=LogAppendTime", "none", 8),
        ("both", "compression.type=zstd", "snappy", 4),
    ] {
        create(&broker, topic, &[config]);
        kcat(&broker.bootstrap, &["-P", "-t", topic, "-p", "0", "-z", codec], &text).success();
        assert_eq!(attributes(&broker, topic), expected, "{topic}");
        assert_eq!(kcat(&broker.bootstrap, &["-C", "-t", topic, "-e", "-q"], "").success(), text, "{topic}");
    }
    let stamped = kcat(&broker.bootstrap, &["-C", "-t", "clock", "-c", "1", "-J", "-q"], "").success();
    assert!(stamped.contains(r#""tstype":"logappend""#), "{stamped}");
    broker.stop(&[]);
}
