use super::rows;
use crate::config::key::{INT, Kind, LONG, int, long};

rows! {
    "listeners": Kind::Text => Some("PLAINTEXT://:9092"), Supported,
        "Where the broker listens: NAME://host:port,NAME://host:port; no host: all interfaces. Without a file it is PLAINTEXT://127.0.0.1:9092.";
    "advertised.listeners": Kind::Text => None, Supported,
        "The addresses that clients are told, by listener name; default: listeners.";
    "listener.security.protocol.map": Kind::Text
        => Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"), Supported,
        "The protocol of each listener name; so far every listener must be PLAINTEXT.";
    "inter.broker.listener.name": Kind::Text => None, Supported,
        "The listener that brokers use among themselves; default: the one that security.inter.broker.protocol names.";
    "security.inter.broker.protocol": Kind::OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
        => Some("PLAINTEXT"), Supported,
        "The protocol that brokers use among themselves, if inter.broker.listener.name is not set; so far PLAINTEXT.";
    "host.name": Kind::Text => None, Supported,
        "Brokers before 3.0: the address to listen on, if listeners is not set.";
    "port": Kind::Int(0, 65535) => None, Supported,
        "Brokers before 3.0: the port to listen on, if listeners is not set.";
    "advertised.host.name": Kind::Text => None, Supported,
        "Brokers before 3.0: the host that clients are told, if advertised.listeners is not set.";
    "advertised.port": Kind::Int(0, 65535) => None, Supported,
        "Brokers before 3.0: the port that clients are told, if advertised.listeners is not set.";
    "socket.request.max.bytes": int(1) => Some("104857600"), Supported,
        "The largest request; a larger one closes the connection.";
    "socket.send.buffer.bytes": INT => Some("102400"), Supported,
        "SO_SNDBUF of each connection; -1, or if it is not set: what the system gives.";
    "socket.receive.buffer.bytes": INT => Some("102400"), Supported,
        "SO_RCVBUF of each connection; -1, or if it is not set: what the system gives.";
    "num.io.threads": int(1) => Some("8"), Supported,
        "Threads that serve requests; as many may wait for a disk at one time before others wait with them.";
    "socket.listen.backlog.size": int(1) => Some("50"), Supported,
        "Connections that wait to be accepted, for each listener.";
    "connections.max.idle.ms": LONG => Some("600000"), Supported,
        "A connection that is silent for this long is closed.";
    "max.connections": int(0) => Some("2147483647"), Dynamic,
        "Connections at one time.";
    "max.connections.per.ip": int(0) => Some("2147483647"), Dynamic,
        "Connections at one time from one address.";
    "max.connections.per.ip.overrides": Kind::Text => Some(""), Dynamic,
        "The same for single addresses: host:number,host:number.";
    "queued.max.requests": int(1) => Some("500"), IgnoredHarmless,
        "Requests that are being worked on or wait, of all connections together, before reading stops.";
    "fetch.max.bytes": int(1024) => Some("57671680"), Supported,
        "The most that one fetch answer carries.";
    "max.incremental.fetch.session.cache.slots": int(0) => Some("1000"), IgnoredHarmless,
        "Fetch sessions (KIP-227) that are kept.";
    "request.timeout.ms": INT => Some("30000"), IgnoredHarmless,
        "How long this broker waits for another broker's answer.";
    "controller.socket.timeout.ms": INT => Some("30000"), IgnoredHarmless,
        "How long the controller waits for a broker's answer before it connects anew.";
    "max.request.partition.size.limit": int(1) => Some("2000"), IgnoredHarmless,
        "Partitions in one answer of DescribeTopicPartitions.";
    "max.connection.creation.rate": int(0) => Some("2147483647"), IgnoredHarmless,
        "New connections in a second.";
    "queued.max.request.bytes": long(i64::MIN) => Some("-1"), IgnoredHarmless,
        "Bytes of requests that wait before reading stops.";
}
