use super::rows;
use crate::config::key::{INT, Kind, LONG, int};

rows! {
    "broker.id": INT => Some("-1"), Supported,
        "This broker's number in the cluster; -1: the first start takes one from ZooKeeper, above reserved.broker.max.id. Without a file it is 0.";
    "broker.id.generation.enable": Kind::Boolean => Some("true"), Supported,
        "Whether broker.id=-1 makes a number; otherwise broker.id must be set.";
    "reserved.broker.max.id": int(0) => Some("1000"), Supported,
        "The largest number that may be given by hand; made ones come after it.";
    "broker.rack": Kind::Text => None, Supported,
        "The rack that this broker stands in; replicas of a partition are spread over racks.";
    "zookeeper.connect": Kind::Text => None, Supported,
        "ZooKeeper servers as host:port,host:port/chroot; without it the broker runs its own keeper (see keeper.*).";
    "zookeeper.session.timeout.ms": int(1) => Some("18000"), Supported,
        "How long ZooKeeper keeps this broker's session, and with it its registration, without a sign of life.";
    "zookeeper.connection.timeout.ms": int(1) => None, Supported,
        "How long the start waits for a first connection to ZooKeeper; default: zookeeper.session.timeout.ms.";
    "zookeeper.max.in.flight.requests": int(1) => Some("10"), IgnoredHarmless,
        "Requests on their way to ZooKeeper before the next one waits.";
    "keeper.clientPort": Kind::Int(0, 65535) => Some("2181"), Supported,
        "Port of the broker's own keeper, which speaks ZooKeeper's protocol; 0: any free one.";
    "keeper.clientPortAddress": Kind::Text => Some("127.0.0.1"), Supported,
        "Address that the own keeper listens on; it asks nobody for a password, so keep it local.";
    "keeper.dataDir": Kind::Text => Some("ottla-data/keeper"), Supported,
        "Folder of the own keeper: ZooKeeper's own transaction log and snapshots.";
    "keeper.tickTime": int(1) => Some("2000"), Supported,
        "The own keeper's unit of time in milliseconds; session timeouts are 2 to 20 of it. Any other setting of zoo.cfg goes behind keeper. as well.";
    "auto.create.topics.enable": Kind::Boolean => Some("true"), Supported,
        "Whether asking for a topic that is not there makes it.";
    "delete.topic.enable": Kind::Boolean => Some("true"), Supported,
        "Whether topics can be deleted.";
    "num.partitions": int(1) => Some("1"), Supported,
        "Partitions of a topic that is made without a number of its own.";
    "default.replication.factor": INT => Some("1"), Supported,
        "Replicas of a topic that is made without a number of its own.";
    "controlled.shutdown.enable": Kind::Boolean => Some("true"), IgnoredHarmless,
        "Whether a broker that stops hands its partitions to other brokers first.";
    "controlled.shutdown.max.retries": INT => Some("3"), IgnoredHarmless,
        "How often that is tried again.";
    "controlled.shutdown.retry.backoff.ms": LONG => Some("5000"), IgnoredHarmless,
        "The pause before each further try.";
    "auto.leader.rebalance.enable": Kind::Boolean => Some("true"), Supported,
        "Whether the controller gives leadership back to the preferred replicas by itself.";
    "leader.imbalance.check.interval.seconds": Kind::Long(1, i64::MAX) => Some("300"), Supported,
        "How often the controller looks for leaders that are not the preferred replica.";
    "leader.imbalance.per.broker.percentage": INT => Some("10"), Supported,
        "The share of such leaders on a broker, in percent, above which leadership is given back.";
    "replica.lag.time.max.ms": LONG => Some("30000"), Supported,
        "A follower that has not caught up for this long leaves the in-sync replicas.";
    "replica.high.watermark.checkpoint.interval.ms": LONG => Some("5000"), Supported,
        "How often the high watermarks are written to disk.";
    "metrics.port": Kind::Int(0, 65535) => None, Supported,
        "Port of the Prometheus endpoint /metrics; without it there is none.";
    "metrics.host": Kind::Text => Some("127.0.0.1"), Supported,
        "Address that the Prometheus endpoint listens on.";
}
