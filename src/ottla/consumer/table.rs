//! The table: every key that a classic consumer knew, from 0.7 to 1.1, with type, default, sentence and what is done with it.

use crate::config::Kind;
use crate::config::client::Table;
use crate::config::key::{int, long, rows};

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

/// The keys, with 0.7's spellings.
pub(super) static TABLE: Table = Table {
    who: "consumer",
    keys: KEYS,
    old_spellings: &[
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
    ],
    translate: |_, _| None,
    is_done_anyway: |_, _| false,
};

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
    TABLE.sample(HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::client::checks;

    #[test]
    fn each_key_has_a_valid_default_and_a_sentence() {
        checks::each_key_has_a_valid_default_and_a_sentence(&TABLE);
    }

    #[test]
    fn the_sample_file_is_the_table() {
        checks::the_sample_file_is_the_table(&sample(), "consumer");
    }
}
