//! The table: every key that a classic consumer knew, from 0.7 to 1.1, with type, default, sentence and what is done with it.

use std::fmt::Write;

use crate::config::key::{int, long};
use crate::config::sample::{comment, row};
use crate::config::{Key, Kind, Support};

/// Rows as `"name": kind = default, support, sentence;`.
macro_rules! rows {
    ($($name:literal: $kind:expr_2021 => $default:expr_2021, $support:ident, $sentence:literal;)*) => {
        const KEYS: &[Key] = &[$(Key {
            name: $name,
            kind: $kind,
            default: $default,
            support: Support::$support,
            sentence: $sentence,
        }),*];
    };
}

rows! {
    "zookeeper.connect": Kind::Text => None, Supported,
        "Where the group lives: host:port,host:port/chroot. Required.";
    "group.id": Kind::Text => None, Supported,
        "The group whose members share the partitions. Required.";
    "consumer.id": Kind::Text => None, Supported,
        "What this member is called; default: the host's name and a UUID that is new for each session.";
    "client.id": Kind::Text => None, Supported,
        "What this client calls itself to brokers; default: group.id.";
    "zookeeper.session.timeout.ms": int(1) => Some("6000"), Supported,
        "How long a member that is silent keeps its partitions.";
    "zookeeper.connection.timeout.ms": int(1) => None, Supported,
        "How long the first connection to ZooKeeper may take; default: zookeeper.session.timeout.ms.";
    "partition.assignment.strategy": Kind::OneOf(&["sticky", "range", "roundrobin"]) => Some("sticky"), Supported,
        "How partitions are shared out. Old consumers: range, and range holds whenever one of them is in the group.";
    "auto.commit.enable": Kind::Boolean => Some("true"), Supported,
        "Whether positions are committed from time to time, and when the consumer closes.";
    "auto.commit.interval.ms": int(1) => Some("60000"), Supported,
        "How often.";
    "auto.offset.reset": Kind::OneOf(&["largest", "smallest", "latest", "earliest"]) => Some("largest"), Supported,
        "Where to begin when no offset is committed, or the broker no longer has it: at the end (largest, latest) or at the first record.";
    "consumer.timeout.ms": int(-1) => Some("-1"), Supported,
        "How long a stream waits for a record before it says so; -1: for ever.";
    "queued.max.message.chunks": int(1) => Some("2"), Supported,
        "Fetched answers of one partition that wait to be read before it is fetched no more.";
    "fetch.message.max.bytes": int(1) => Some("1048576"), Supported,
        "Most bytes of one partition in one answer; a single batch that is larger comes whole.";
    "fetch.max.bytes": int(1) => Some("52428800"), Supported,
        "Most bytes of one answer, and of all that wait in one stream.";
    "fetch.min.bytes": int(0) => Some("1"), Supported,
        "Bytes that a broker waits for before it answers a fetch.";
    "fetch.wait.max.ms": int(0) => Some("100"), Supported,
        "How long it waits for them.";
    "refresh.leader.backoff.ms": int(1) => Some("200"), Supported,
        "How long to wait before a partition's leader is looked for again.";
    "socket.timeout.ms": int(1) => Some("30000"), Supported,
        "How long to wait for a broker's answer.";
    "socket.receive.buffer.bytes": int(-1) => Some("65536"), Supported,
        "SO_RCVBUF of each connection to a broker; -1: what the system gives.";
    "exclude.internal.topics": Kind::Boolean => Some("true"), Supported,
        "Whether a white list or a black list leaves out Kafka's own topics.";
    "offsets.storage": Kind::Text => Some("zookeeper"), Supported,
        "Where offsets are kept: in ZooKeeper alone.";
    "dual.commit.enabled": Kind::Text => Some("false"), Supported,
        "Whether they are kept in Kafka as well: not by this consumer.";
    "zookeeper.sync.time.ms": long(0) => Some("2000"), IgnoredHarmless,
        "How far a ZooKeeper follower may be behind: nothing here waits for it.";
    "rebalance.max.retries": int(0) => Some("4"), IgnoredHarmless,
        "Tries at a rebalance: a member here waits for its partitions for as long as it lives.";
    "rebalance.backoff.ms": long(0) => None, IgnoredHarmless,
        "The pause between them: a member here waits for the node, not for a time.";
    "num.consumer.fetchers": int(1) => Some("1"), IgnoredHarmless,
        "Threads that fetch from one broker: none here.";
    "offsets.channel.backoff.ms": int(0) => Some("1000"), IgnoredHarmless,
        "For offsets.storage=kafka.";
    "offsets.channel.socket.timeout.ms": int(0) => Some("10000"), IgnoredHarmless,
        "For offsets.storage=kafka.";
    "offsets.commit.max.retries": int(0) => Some("5"), IgnoredHarmless,
        "Tries at a commit: one whose outcome is unknown is looked up here.";
}

/// 0.7's spelling and today's.
const OLD_SPELLINGS: &[(&str, &str)] = &[
    ("zk.connect", "zookeeper.connect"),
    ("zk.sessiontimeout.ms", "zookeeper.session.timeout.ms"),
    ("zk.connectiontimeout.ms", "zookeeper.connection.timeout.ms"),
    ("zk.synctime.ms", "zookeeper.sync.time.ms"),
    ("groupid", "group.id"),
    ("consumerid", "consumer.id"),
    ("rebalance.retries.max", "rebalance.max.retries"),
    ("autocommit.enable", "auto.commit.enable"),
    ("autocommit.interval.ms", "auto.commit.interval.ms"),
    ("autooffset.reset", "auto.offset.reset"),
    ("queuedchunks.max", "queued.max.message.chunks"),
    ("fetch.size", "fetch.message.max.bytes"),
    ("fetcher.backoff.ms", "refresh.leader.backoff.ms"),
    ("socket.buffersize", "socket.receive.buffer.bytes"),
];

/// The row of a key, by either spelling.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    let name = OLD_SPELLINGS.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| new);
    KEYS.iter().find(|key| key.name == name)
}

const HEAD: &str = "\
# Ottla: the keys of a classic consumer, each with its default. `ConsumerConfig::load` reads such a file; an existing
# consumer.properties of Kafka 0.7 to 1.1 works as well. Format: Java properties. Written by
# `cargo run --example consumer_properties`.
#
# Set at least zookeeper.connect and group.id. One default differs from the old consumer's: see
# partition.assignment.strategy.
";

/// The commented sample file with every key, `config/consumer.properties`.
pub fn sample() -> String {
    let mut text = HEAD.to_owned();
    KEYS.iter().filter(|key| key.support.is_supported()).for_each(|key| row(&mut text, key));
    text.push_str("\n\n######## Known and without effect: a warning\n\n");
    let ignored: Vec<&str> = KEYS.iter().filter(|key| !key.support.is_supported()).map(|key| key.name).collect();
    comment(&mut text, &ignored.join(" "));
    text.push_str("\n\n######## 0.7's spellings, which are read as well\n\n");
    for (old, new) in OLD_SPELLINGS {
        let _ = writeln!(text, "# {old} = {new}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::properties;

    #[test]
    fn each_key_has_a_valid_default_and_a_sentence() {
        for key in KEYS {
            assert!(key.sentence.ends_with('.'), "{}", key.name);
            assert_eq!(KEYS.iter().filter(|other| other.name == key.name).count(), 1, "{}", key.name);
            if let Some(default) = key.default {
                assert_eq!(key.kind.check(default), Ok(()), "default of {}", key.name);
            }
        }
        for (old, new) in OLD_SPELLINGS {
            assert_eq!(find(old).map(|key| key.name), Some(*new));
        }
    }

    #[test]
    fn the_sample_file_is_the_table() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/consumer.properties");
        let file = std::fs::read_to_string(&path).unwrap();
        let remedy = "cargo run --example consumer_properties >config/consumer.properties";
        assert!(file == sample(), "config/consumer.properties is not what the table says: {remedy}");
        assert_eq!(properties::parse(file.as_bytes()).unwrap(), []);
    }
}
