//! The table: every key of Kafka 3.9's producer, and those of 0.8's and 0.7's, with type, default, sentence and what is done
//! with it.

use crate::config::client::Table;
use crate::config::key::{FRACTION, INT, LONG, int, long, rows};
use crate::config::{Kind, split_list};

rows! {
    "zookeeper.connect": Kind::Text => None, Supported,
        "The cluster, as its ZooKeeper tells it: host:port,host:port/chroot. Either this or bootstrap.servers is required.";
    "bootstrap.servers": Kind::List => None, Supported,
        "Brokers that are asked for the cluster: host:port,host:port.";
    "client.id": Kind::Text => Some("ottla-producer"), Supported,
        "What this client calls itself to brokers.";
    "acks": Kind::OneOf(&["all", "-1", "0", "1"]) => Some("all"), Supported,
        "Who must have a batch before it counts as delivered: all in-sync replicas (all, -1), the leader (1), nobody (0).";
    "enable.idempotence": Kind::Boolean => Some("true"), Supported,
        "Whether brokers write each batch once, however often it is sent. Needs acks=all, retries and at most 5 requests in flight; off by itself without them.";
    "retries": int(0) => Some("2147483647"), Supported,
        "How often a batch is sent again after an error that may pass.";
    "delivery.timeout.ms": int(0) => Some("120000"), Supported,
        "How long after it was taken a record is delivered or has failed.";
    "request.timeout.ms": int(1) => Some("30000"), Supported,
        "How long a broker may take for an answer, and wait for its replicas.";
    "retry.backoff.ms": long(0) => Some("100"), Supported,
        "The pause before a batch is sent again; it doubles with each further time. Shorter while a leader is only about to become one.";
    "retry.backoff.max.ms": long(0) => Some("1000"), Supported,
        "The longest such pause.";
    "max.in.flight.requests.per.connection": int(1) => Some("5"), Supported,
        "Requests under way to one broker. Without idempotence a partition has one batch under way, so that order holds.";
    "batch.size": int(0) => Some("16384"), Supported,
        "Bytes before compression at which a batch is full; 0: each record is a batch of its own. What a topic does not take in one batch it gets in several.";
    "linger.ms": long(0) => Some("0"), Supported,
        "How long a batch that is not full waits for more records, and a full one at most for others, while a request is under way.";
    "compression.type": Kind::OneOf(&["none", "gzip", "snappy", "lz4", "zstd"]) => Some("none"), Supported,
        "How batches are compressed.";
    "max.request.size": int(1) => Some("1048576"), Supported,
        "Most bytes of one record, and of one request.";
    "buffer.memory": long(1) => Some("33554432"), Supported,
        "Bytes of all records that are not delivered yet; who sends more has to wait.";
    "max.block.ms": long(0) => Some("60000"), Supported,
        "How long to wait for room in that memory, and until a topic is known.";
    "partitioner.class": Kind::Class => None, Supported,
        "kafka.producer.DefaultPartitioner or kafka.producer.ByteArrayPartitioner: keys have the partitions that 0.8 gave them; default: those of all later clients.";
    "partitioner.ignore.keys": Kind::Boolean => Some("false"), Supported,
        "Whether records with a key are spread like those without.";
    "allow.auto.create.topics": Kind::Boolean => Some("true"), Supported,
        "Whether a broker is asked to create a topic that does not exist; otherwise its records are refused at once.";
    "metadata.max.age.ms": long(0) => Some("300000"), Supported,
        "How often brokers are asked for the cluster anew; at least 100. ZooKeeper tells by itself.";
    "metadata.max.idle.ms": long(5000) => Some("300000"), Supported,
        "A topic that nothing was sent to for so long is no longer followed.";
    "send.buffer.bytes": int(-1) => Some("131072"), Supported,
        "SO_SNDBUF of each connection to a broker; -1: what the system gives.";
    "zookeeper.session.timeout.ms": int(1) => Some("6000"), Supported,
        "How long ZooKeeper waits for a client that is silent.";
    "zookeeper.connection.timeout.ms": int(1) => None, Supported,
        "How long the first connection to ZooKeeper may take; default: zookeeper.session.timeout.ms.";
    "producer.type": Kind::OneOf(&["sync", "async"]) => None, Supported,
        "Of 0.8. Each `send` gives a future here: to await it is sync, not to is async. sync: queue.buffering.max.ms does not count.";

    "security.protocol": Kind::OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]) => Some("PLAINTEXT"), WeakensSafety,
        "Connections here are neither encrypted nor authenticated.";
    "transactional.id": Kind::Text => None, WeakensSafety,
        "There are no transactions here.";
    "interceptor.classes": Kind::List => None, WeakensSafety,
        "Java classes that change records, or count them, cannot be called here.";
    "event.handler": Kind::Class => None, WeakensSafety,
        "Java classes that handle records (0.7) cannot be called here.";
    "callback.handler": Kind::Class => None, WeakensSafety,
        "Java classes that change records (0.7) cannot be called here.";

    "key.serializer": Kind::Class => None, IgnoredHarmless,
        "Keys are bytes here.";
    "value.serializer": Kind::Class => None, IgnoredHarmless,
        "Values are bytes here.";
    "transaction.timeout.ms": INT => Some("60000"), IgnoredHarmless,
        "For transactional.id.";
    "partitioner.adaptive.partitioning.enable": Kind::Boolean => Some("true"), IgnoredHarmless,
        "Records without a key always go rather to brokers that keep up.";
    "partitioner.availability.timeout.ms": long(0) => Some("0"), IgnoredHarmless,
        "When a broker counts as one that does not.";
    "compression.gzip.level": INT => Some("-1"), IgnoredHarmless,
        "How hard gzip tries.";
    "compression.lz4.level": INT => Some("9"), IgnoredHarmless,
        "How hard lz4 tries.";
    "compression.zstd.level": INT => Some("3"), IgnoredHarmless,
        "How hard zstd tries.";
    "client.dns.lookup": Kind::OneOf(&["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"]) => Some("use_all_dns_ips"), IgnoredHarmless,
        "All addresses of a name are tried.";
    "receive.buffer.bytes": int(-1) => Some("32768"), IgnoredHarmless,
        "Answers to a producer are small.";
    "reconnect.backoff.ms": long(0) => Some("50"), IgnoredHarmless,
        "The pause between tries to reach a broker.";
    "reconnect.backoff.max.ms": long(0) => Some("1000"), IgnoredHarmless,
        "The longest such pause.";
    "socket.connection.setup.timeout.ms": LONG => Some("10000"), IgnoredHarmless,
        "How long one try may take.";
    "socket.connection.setup.timeout.max.ms": LONG => Some("30000"), IgnoredHarmless,
        "How long one try may take after many.";
    "connections.max.idle.ms": LONG => Some("540000"), IgnoredHarmless,
        "Connections stay.";
    "metadata.recovery.strategy": Kind::OneOf(&["none", "rebootstrap"]) => Some("none"), IgnoredHarmless,
        "When no broker that is known answers, those of bootstrap.servers are asked again.";
    "metric.reporters": Kind::List => None, IgnoredHarmless,
        "Metrics are a call here.";
    "metrics.num.samples": int(1) => Some("2"), IgnoredHarmless,
        "For metric.reporters.";
    "metrics.recording.level": Kind::OneOf(&["INFO", "DEBUG", "TRACE"]) => Some("INFO"), IgnoredHarmless,
        "For metric.reporters.";
    "metrics.sample.window.ms": long(0) => Some("30000"), IgnoredHarmless,
        "For metric.reporters.";
    "auto.include.jmx.reporter": Kind::Boolean => Some("true"), IgnoredHarmless,
        "For metric.reporters.";
    "enable.metrics.push": Kind::Boolean => Some("true"), IgnoredHarmless,
        "Nothing is pushed.";
    "security.providers": Kind::Text => None, IgnoredHarmless,
        "For security.protocol.";
    "sasl.client.callback.handler.class": Kind::Class => None, IgnoredHarmless, "For security.protocol.";
    "sasl.jaas.config": Kind::Password => None, IgnoredHarmless, "For security.protocol.";
    "sasl.kerberos.kinit.cmd": Kind::Text => Some("/usr/bin/kinit"), IgnoredHarmless, "For security.protocol.";
    "sasl.kerberos.min.time.before.relogin": LONG => Some("60000"), IgnoredHarmless, "For security.protocol.";
    "sasl.kerberos.service.name": Kind::Text => None, IgnoredHarmless, "For security.protocol.";
    "sasl.kerberos.ticket.renew.jitter": FRACTION => Some("0.05"), IgnoredHarmless, "For security.protocol.";
    "sasl.kerberos.ticket.renew.window.factor": FRACTION => Some("0.8"), IgnoredHarmless, "For security.protocol.";
    "sasl.login.callback.handler.class": Kind::Class => None, IgnoredHarmless, "For security.protocol.";
    "sasl.login.class": Kind::Class => None, IgnoredHarmless, "For security.protocol.";
    "sasl.login.connect.timeout.ms": INT => None, IgnoredHarmless, "For security.protocol.";
    "sasl.login.read.timeout.ms": INT => None, IgnoredHarmless, "For security.protocol.";
    "sasl.login.refresh.buffer.seconds": INT => Some("300"), IgnoredHarmless, "For security.protocol.";
    "sasl.login.refresh.min.period.seconds": INT => Some("60"), IgnoredHarmless, "For security.protocol.";
    "sasl.login.refresh.window.factor": FRACTION => Some("0.8"), IgnoredHarmless, "For security.protocol.";
    "sasl.login.refresh.window.jitter": FRACTION => Some("0.05"), IgnoredHarmless, "For security.protocol.";
    "sasl.login.retry.backoff.max.ms": LONG => Some("10000"), IgnoredHarmless, "For security.protocol.";
    "sasl.login.retry.backoff.ms": LONG => Some("100"), IgnoredHarmless, "For security.protocol.";
    "sasl.mechanism": Kind::Text => Some("GSSAPI"), IgnoredHarmless, "For security.protocol.";
    "sasl.oauthbearer.clock.skew.seconds": INT => Some("30"), IgnoredHarmless, "For security.protocol.";
    "sasl.oauthbearer.expected.audience": Kind::List => None, IgnoredHarmless, "For security.protocol.";
    "sasl.oauthbearer.expected.issuer": Kind::Text => None, IgnoredHarmless, "For security.protocol.";
    "sasl.oauthbearer.header.urlencode": Kind::Boolean => Some("false"), IgnoredHarmless, "For security.protocol.";
    "sasl.oauthbearer.jwks.endpoint.refresh.ms": LONG => Some("3600000"), IgnoredHarmless, "For security.protocol.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": LONG => Some("10000"), IgnoredHarmless, "For security.protocol.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms": LONG => Some("100"), IgnoredHarmless, "For security.protocol.";
    "sasl.oauthbearer.jwks.endpoint.url": Kind::Text => None, IgnoredHarmless, "For security.protocol.";
    "sasl.oauthbearer.scope.claim.name": Kind::Text => Some("scope"), IgnoredHarmless, "For security.protocol.";
    "sasl.oauthbearer.sub.claim.name": Kind::Text => Some("sub"), IgnoredHarmless, "For security.protocol.";
    "sasl.oauthbearer.token.endpoint.url": Kind::Text => None, IgnoredHarmless, "For security.protocol.";
    "ssl.cipher.suites": Kind::List => None, IgnoredHarmless, "For security.protocol.";
    "ssl.enabled.protocols": Kind::List => Some("TLSv1.2,TLSv1.3"), IgnoredHarmless, "For security.protocol.";
    "ssl.endpoint.identification.algorithm": Kind::Text => Some("https"), IgnoredHarmless, "For security.protocol.";
    "ssl.engine.factory.class": Kind::Class => None, IgnoredHarmless, "For security.protocol.";
    "ssl.key.password": Kind::Password => None, IgnoredHarmless, "For security.protocol.";
    "ssl.keymanager.algorithm": Kind::Text => Some("SunX509"), IgnoredHarmless, "For security.protocol.";
    "ssl.keystore.certificate.chain": Kind::Password => None, IgnoredHarmless, "For security.protocol.";
    "ssl.keystore.key": Kind::Password => None, IgnoredHarmless, "For security.protocol.";
    "ssl.keystore.location": Kind::Text => None, IgnoredHarmless, "For security.protocol.";
    "ssl.keystore.password": Kind::Password => None, IgnoredHarmless, "For security.protocol.";
    "ssl.keystore.type": Kind::Text => Some("JKS"), IgnoredHarmless, "For security.protocol.";
    "ssl.protocol": Kind::Text => Some("TLSv1.3"), IgnoredHarmless, "For security.protocol.";
    "ssl.provider": Kind::Text => None, IgnoredHarmless, "For security.protocol.";
    "ssl.secure.random.implementation": Kind::Text => None, IgnoredHarmless, "For security.protocol.";
    "ssl.trustmanager.algorithm": Kind::Text => Some("PKIX"), IgnoredHarmless, "For security.protocol.";
    "ssl.truststore.certificates": Kind::Password => None, IgnoredHarmless, "For security.protocol.";
    "ssl.truststore.location": Kind::Text => None, IgnoredHarmless, "For security.protocol.";
    "ssl.truststore.password": Kind::Password => None, IgnoredHarmless, "For security.protocol.";
    "ssl.truststore.type": Kind::Text => Some("JKS"), IgnoredHarmless, "For security.protocol.";

    "compressed.topics": Kind::List => None, IgnoredHarmless,
        "Of 0.8. compression.type counts for every topic.";
    "serializer.class": Kind::Class => None, IgnoredHarmless,
        "Of 0.8. Keys and values are bytes here.";
    "key.serializer.class": Kind::Class => None, IgnoredHarmless,
        "Of 0.8. Keys are bytes here.";
    "queue.buffering.max.messages": int(1) => Some("10000"), IgnoredHarmless,
        "Of 0.8. buffer.memory limits what waits, in bytes.";
    "batch.num.messages": int(1) => Some("200"), IgnoredHarmless,
        "Of 0.8. batch.size limits a batch, in bytes.";
    "zookeeper.sync.time.ms": long(0) => Some("2000"), IgnoredHarmless,
        "Of 0.7. How far a ZooKeeper follower may be behind: nothing here waits for it.";
    "zk.read.num.retries": int(0) => Some("3"), IgnoredHarmless,
        "Of 0.7. Watches tell what changes.";
    "num.retries": int(0) => Some("0"), IgnoredHarmless,
        "Of 0.7. Had no effect with ZooKeeper; see retries.";
    "event.handler.props": Kind::Text => None, IgnoredHarmless,
        "Of 0.7. For event.handler.";
    "callback.handler.props": Kind::Text => None, IgnoredHarmless,
        "Of 0.7. For callback.handler.";
    "reconnect.interval": int(0) => Some("30000"), IgnoredHarmless,
        "Of 0.7. Connections stay.";
    "reconnect.time.interval.ms": INT => Some("10000000"), IgnoredHarmless,
        "Of 0.7. Connections stay.";
}

/// The keys, with the spellings of 0.8 and 0.7.
pub(super) static TABLE: Table = Table {
    who: "producer",
    keys: KEYS,
    old_spellings: &[
        ("metadata.broker.list", "bootstrap.servers"),
        ("request.required.acks", "acks"),
        ("compression.codec", "compression.type"),
        ("message.send.max.retries", "retries"),
        ("topic.metadata.refresh.interval.ms", "metadata.max.age.ms"),
        ("queue.buffering.max.ms", "linger.ms"),
        ("queue.enqueue.timeout.ms", "max.block.ms"),
        ("zk.connect", "zookeeper.connect"),
        ("zk.sessiontimeout.ms", "zookeeper.session.timeout.ms"),
        ("zk.connectiontimeout.ms", "zookeeper.connection.timeout.ms"),
        ("zk.synctime.ms", "zookeeper.sync.time.ms"),
        ("broker.list", "bootstrap.servers"),
        ("queue.time", "linger.ms"),
        ("queue.size", "queue.buffering.max.messages"),
        ("queue.enqueueTimeout.ms", "max.block.ms"),
        ("buffer.size", "send.buffer.bytes"),
        ("connect.timeout.ms", "socket.connection.setup.timeout.ms"),
        ("socket.timeout.ms", "request.timeout.ms"),
        ("max.message.size", "max.request.size"),
    ],
    translate,
    is_done_anyway,
};

/// What cannot pass: longer than any process lives.
const FOR_EVER: &str = "9223372036854775807";

fn translate(spelling: &str, value: &str) -> Option<String> {
    match (spelling, value) {
        ("compression.codec", "0") => Some("none".into()),
        ("compression.codec", "1") => Some("gzip".into()),
        ("compression.codec", "2") => Some("snappy".into()),
        ("compression.codec", "3") => Some("lz4".into()),
        // id:host:port
        ("broker.list", list) => {
            let host_and_port = |broker: &str| match broker.split_once(':') {
                Some((id, rest)) if rest.contains(':') && id.parse::<u32>().is_ok() => rest.to_owned(),
                _ => broker.to_owned(),
            };
            Some(split_list(list).map(host_and_port).collect::<Vec<_>>().join(","))
        }
        ("topic.metadata.refresh.interval.ms" | "queue.enqueue.timeout.ms" | "queue.enqueueTimeout.ms", number)
            if number.parse::<i64>().is_ok_and(|number| number < 0) =>
        {
            Some(FOR_EVER.into())
        }
        _ => None,
    }
}

/// Serializers that leave bytes and text as they are.
fn is_done_anyway(key: &str, value: &str) -> bool {
    let class = match key {
        "serializer.class" | "key.serializer.class" => value.strip_prefix("kafka.serializer."),
        "key.serializer" | "value.serializer" => value.strip_prefix("org.apache.kafka.common.serialization."),
        _ => None,
    };
    class.is_some_and(|class| {
        let known =
            ["DefaultEncoder", "StringEncoder", "ByteArraySerializer", "StringSerializer", "ByteBufferSerializer"];
        known.contains(&class) || class == "BytesSerializer"
    })
}

const HEAD: &str = "\
# Ottla: the keys of a producer, each with its default. `ProducerConfig::load` and `ottla console-producer
# --producer.config` read such a file; an existing producer.properties of Kafka 0.7 to 3.9 works as well. Format: Java
# properties. Written by `cargo run --example producer_properties`.
#
# Set either zookeeper.connect or bootstrap.servers.
";

/// The commented sample file with every key, `config/producer.properties`.
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
        checks::the_sample_file_is_the_table(&sample(), "producer");
    }

    /// `ProducerConfig.configDef()` of Kafka 3.9.1: name, type, default.
    #[test]
    fn every_key_of_kafka_3_9_is_known_with_its_default() {
        for line in include_str!("testdata/kafka-3.9.1-producer-keys.tsv").lines() {
            let [name, default] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("two columns: {line}") };
            let row = TABLE.find(name).unwrap_or_else(|| panic!("{name} is not known"));
            // Kafka numbers clients without a name.
            if name != "client.id" {
                assert_eq!(row.default.unwrap_or_default(), default, "{name}");
            }
        }
    }
}
