//! Debian's kcat (librdkafka), as itself and as the clients of earlier brokers.

use ottla_integration_tests::Broker;
use ottla_integration_tests::client::{kcat, topics};

/// Broker versions that kcat is told to expect, without asking for ApiVersions.
const OLD: [&str; 4] = ["0.8.2.2", "0.9.0.1", "0.10.2.1", "0.11.0.3"];

/// Codecs that every generation has; zstd came with Kafka 2.1.
const CODECS: [&str; 4] = ["none", "gzip", "snappy", "lz4"];

fn as_version(version: &str) -> [String; 4] {
    ["-X".into(), "api.version.request=false".into(), "-X".into(), format!("broker.version.fallback={version}")]
}

fn lines(topic: &str) -> String {
    (0..200).map(|i| format!("{topic} {i} {}\n", "x".repeat(i))).collect()
}

fn produce(broker: &Broker, topic: &str, codec: &str, version: Option<&str>) {
    let old = version.map(as_version).unwrap_or_default();
    let mut args: Vec<&str> = old.iter().map(String::as_str).filter(|a| !a.is_empty()).collect();
    args.extend(["-P", "-t", topic, "-p", "0", "-z", codec]);
    kcat(&broker.bootstrap, &args, &lines(topic)).success();
}

#[track_caller]
fn consume_and_compare(broker: &Broker, topic: &str, version: Option<&str>) {
    let old = version.map(as_version).unwrap_or_default();
    let mut args: Vec<&str> = old.iter().map(String::as_str).filter(|a| !a.is_empty()).collect();
    args.extend(["-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q"]);
    assert_eq!(kcat(&broker.bootstrap, &args, "").success(), lines(topic), "{topic} read as {version:?}");
}

fn every_version_and_codec(real_zookeeper: bool) {
    let mut broker = Broker::with(real_zookeeper, &[]);
    for codec in CODECS.into_iter().chain(["zstd"]) {
        let topic = format!("new-{codec}");
        produce(&broker, &topic, codec, None);
        consume_and_compare(&broker, &topic, None);
        if codec != "zstd" {
            for version in OLD {
                consume_and_compare(&broker, &topic, Some(version));
            }
        }
    }
    for version in OLD {
        for codec in CODECS {
            let topic = format!("old-{version}-{codec}");
            produce(&broker, &topic, codec, Some(version));
            consume_and_compare(&broker, &topic, Some(version));
            consume_and_compare(&broker, &topic, None);
        }
    }
    broker.stop(&[]);
}

#[test]
fn produces_and_consumes_as_every_version_with_the_embedded_keeper() {
    every_version_and_codec(false);
}

#[test]
fn produces_and_consumes_as_every_version_with_a_real_zookeeper() {
    every_version_and_codec(true);
}

#[test]
fn keys_headers_and_timestamps_come_back() {
    let mut broker = Broker::start();
    kcat(&broker.bootstrap, &["-P", "-t", "t", "-p", "0", "-K:", "-H", "h=v"], "k:value\n").success();
    let printed = kcat(&broker.bootstrap, &["-C", "-t", "t", "-e", "-q", "-f", "%k %s %h %o %T\n"], "").success();
    let (rest, timestamp) = printed.trim().rsplit_once(' ').unwrap();
    assert_eq!(rest, "k value h=v 0");
    assert!(timestamp.parse::<i64>().unwrap() > 1_600_000_000_000);
    let listed = kcat(&broker.bootstrap, &["-L"], "").success();
    assert!(listed.contains("broker 0 at 127.0.0.1") && listed.contains("topic \"t\" with 1 partitions"), "{listed}");
    broker.stop(&[]);
}

#[test]
fn a_message_over_the_limit_is_refused_and_harms_nobody() {
    let mut broker = Broker::start();
    topics(&broker.bootstrap, &["--create", "--topic", "small", "--config", "max.message.bytes=1000"]).success();
    let refused = kcat(&broker.bootstrap, &["-P", "-t", "small", "-p", "0"], &format!("{}\n", "x".repeat(2000)));
    assert!(refused.stderr.contains("Message size too large"), "{}", refused.stderr);
    kcat(&broker.bootstrap, &["-P", "-t", "small", "-p", "0"], "fits\n").success();
    let read = kcat(&broker.bootstrap, &["-C", "-t", "small", "-e", "-q", "-f", "%o %s\n"], "").success();
    assert_eq!(read, "0 fits\n");
    broker.stop(&[]);
}
