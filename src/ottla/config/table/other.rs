use super::rows;
use crate::config::key::{INT, Kind, LONG, int, long};

rows! {
    "alter.log.dirs.replication.quota.window.num": int(1) => Some("11"), IgnoredHarmless,
        "The number of samples to retain in memory for alter log dirs replication quotas.";
    "alter.log.dirs.replication.quota.window.size.seconds": int(1) => Some("1"), IgnoredHarmless,
        "The time span of each sample for alter log dirs replication quotas.";
    "auto.include.jmx.reporter": Kind::Boolean => Some("true"), IgnoredHarmless,
        "Whether to automatically include JmxReporter even if it's not listed in metric.reporters.";
    "background.threads": int(1) => Some("10"), IgnoredHarmless,
        "The number of threads to use for various background processing tasks.";
    "broker.heartbeat.interval.ms": INT => Some("2000"), IgnoredHarmless,
        "The length of time in milliseconds between broker heartbeats.";
    "broker.session.timeout.ms": INT => Some("9000"), IgnoredHarmless,
        "The length of time in milliseconds that a broker lease lasts if no heartbeats are made.";
    "client.quota.callback.class": Kind::Class => None, IgnoredHarmless,
        "The fully qualified name of a class that implements the ClientQuotaCallback interface, which is used to determine quota limits applied to client requests.";
    "control.plane.listener.name": Kind::Text => None, IgnoredHarmless,
        "Name of listener used for communication between controller and brokers.";
    "controller.listener.names": Kind::Text => None, IgnoredHarmless,
        "A comma-separated list of the names of the listeners used by the controller.";
    "controller.quorum.append.linger.ms": INT => Some("25"), IgnoredHarmless,
        "The duration in milliseconds that the leader will wait for writes to accumulate before flushing them to disk.";
    "controller.quorum.bootstrap.servers": Kind::List => Some(""), IgnoredHarmless,
        "List of endpoints to use for bootstrapping the cluster metadata.";
    "controller.quorum.election.backoff.max.ms": INT => Some("1000"), IgnoredHarmless,
        "Maximum time in milliseconds before starting new elections.";
    "controller.quorum.election.timeout.ms": INT => Some("1000"), IgnoredHarmless,
        "Maximum time in milliseconds to wait without being able to fetch from the leader before triggering a new election.";
    "controller.quorum.fetch.timeout.ms": INT => Some("2000"), IgnoredHarmless,
        "Maximum time without a successful fetch from the current leader before becoming a candidate and triggering an election for voters.";
    "controller.quorum.request.timeout.ms": INT => Some("2000"), IgnoredHarmless,
        "The configuration controls the maximum amount of time the client will wait for the response of a request.";
    "controller.quorum.retry.backoff.ms": INT => Some("20"), IgnoredHarmless,
        "The amount of time to wait before attempting to retry a failed request to a given topic partition.";
    "controller.quorum.voters": Kind::List => Some(""), IgnoredHarmless,
        "Map of id/endpoint information for the set of voters in a comma-separated list of {id}@{host}:{port} entries.";
    "controller.quota.window.num": int(1) => Some("11"), IgnoredHarmless,
        "The number of samples to retain in memory for controller mutation quotas.";
    "controller.quota.window.size.seconds": int(1) => Some("1"), IgnoredHarmless,
        "The time span of each sample for controller mutations quotas.";
    "delete.records.purgatory.purge.interval.requests": INT => Some("1"), IgnoredHarmless,
        "The purge interval (in number of requests) of the delete records request purgatory.";
    "early.start.listeners": Kind::Text => None, IgnoredHarmless,
        "A comma-separated list of listener names which may be started before the authorizer has finished initialization.";
    "eligible.leader.replicas.enable": Kind::Boolean => Some("false"), IgnoredHarmless,
        "Enable the Eligible leader replicas.";
    "fetch.purgatory.purge.interval.requests": INT => Some("1000"), IgnoredHarmless,
        "The purge interval (in number of requests) of the fetch request purgatory.";
    "initial.broker.registration.timeout.ms": INT => Some("60000"), IgnoredHarmless,
        "When initially registering with the controller quorum, the number of milliseconds to wait before declaring failure and exiting the broker process.";
    "inter.broker.protocol.version": Kind::Text => Some("3.9-IV0"), IgnoredHarmless,
        "Specify which version of the inter-broker protocol will be used.";
    "kafka.metrics.polling.interval.secs": int(1) => Some("10"), IgnoredHarmless,
        "The metrics polling interval (in seconds) which can be used in kafka.metrics.reporters implementations.";
    "kafka.metrics.reporters": Kind::List => Some(""), IgnoredHarmless,
        "A list of classes to use as Yammer metrics custom reporters.";
    "log.cleaner.backoff.ms": long(0) => Some("15000"), IgnoredHarmless,
        "The amount of time to sleep when there are no logs to clean.";
    "log.cleaner.dedupe.buffer.size": LONG => Some("134217728"), IgnoredHarmless,
        "The total memory used for log deduplication across all cleaner threads.";
    "log.cleaner.enable": Kind::Boolean => Some("true"), IgnoredHarmless,
        "Enable the log cleaner process to run on the server.";
    "log.cleaner.io.buffer.load.factor": Kind::Double(f64::MIN, f64::MAX) => Some("0.9"), IgnoredHarmless,
        "Log cleaner dedupe buffer load factor.";
    "log.cleaner.io.buffer.size": int(0) => Some("524288"), IgnoredHarmless,
        "The total memory used for log cleaner I/O buffers across all cleaner threads.";
    "log.cleaner.io.max.bytes.per.second": Kind::Double(f64::MIN, f64::MAX) => Some("1.7976931348623157E308"), IgnoredHarmless,
        "The log cleaner will be throttled so that the sum of its read and write i/o will be less than this value on average.";
    "log.cleaner.threads": int(0) => Some("1"), IgnoredHarmless,
        "The number of background threads to use for log cleaning.";
    "log.dir.failure.timeout.ms": long(1) => Some("30000"), IgnoredHarmless,
        "If the broker is unable to successfully communicate to the controller that some log directory has failed for longer than this time, the broker will fail and shut down.";
    "metadata.log.dir": Kind::Text => None, IgnoredHarmless,
        "This configuration determines where we put the metadata log for clusters in KRaft mode.";
    "metadata.log.max.record.bytes.between.snapshots": long(1) => Some("20971520"), IgnoredHarmless,
        "This is the maximum number of bytes in the log between the latest snapshot and the high-watermark needed before generating a new snapshot.";
    "metadata.log.max.snapshot.interval.ms": long(0) => Some("3600000"), IgnoredHarmless,
        "This is the maximum number of milliseconds to wait to generate a snapshot if there are committed records in the log that are not included in the latest snapshot.";
    "metadata.log.segment.bytes": int(12) => Some("1073741824"), IgnoredHarmless,
        "The maximum size of a single metadata log file.";
    "metadata.log.segment.min.bytes": int(12) => Some("8388608"), IgnoredHarmless,
        "Override the minimum size for a single metadata log file.";
    "metadata.log.segment.ms": LONG => Some("604800000"), IgnoredHarmless,
        "The maximum time before a new metadata log file is rolled out (in milliseconds).";
    "metadata.max.idle.interval.ms": int(0) => Some("500"), IgnoredHarmless,
        "This configuration controls how often the active controller should write no-op records to the metadata partition.";
    "metadata.max.retention.bytes": LONG => Some("104857600"), IgnoredHarmless,
        "The maximum combined size of the metadata log and snapshots before deleting old snapshots and log files.";
    "metadata.max.retention.ms": LONG => Some("604800000"), IgnoredHarmless,
        "The number of milliseconds to keep a metadata log file or snapshot before deleting it.";
    "metric.reporters": Kind::List => Some(""), IgnoredHarmless,
        "A list of classes to use as metrics reporters.";
    "metrics.num.samples": int(1) => Some("2"), IgnoredHarmless,
        "The number of samples maintained to compute metrics.";
    "metrics.recording.level": Kind::Text => Some("INFO"), IgnoredHarmless,
        "The highest recording level for metrics.";
    "metrics.sample.window.ms": long(1) => Some("30000"), IgnoredHarmless,
        "The window of time a metrics sample is computed over.";
    "node.id": INT => Some("-1"), IgnoredHarmless,
        "The node ID associated with the roles this process is playing when process.roles is non-empty.";
    "num.network.threads": int(1) => Some("3"), IgnoredHarmless,
        "The number of threads that the server uses for receiving requests from the network and sending responses to the network.";
    "num.replica.alter.log.dirs.threads": INT => None, IgnoredHarmless,
        "The number of threads that can move replicas between log directories, which may include disk I/O.";
    "num.replica.fetchers": INT => Some("1"), IgnoredHarmless,
        "Number of fetcher threads used to replicate records from each source broker.";
    "process.roles": Kind::List => Some(""), WeakensSafety,
        "Roles in a KRaft cluster; a file with this key is not one for a broker beside ZooKeeper.";
    "producer.purgatory.purge.interval.requests": INT => Some("1000"), IgnoredHarmless,
        "The purge interval (in number of requests) of the producer request purgatory.";
    "quota.consumer.default": LONG => None, IgnoredHarmless,
        "Brokers before 3.0: bytes in a second that a consumer may fetch.";
    "quota.producer.default": LONG => None, IgnoredHarmless,
        "Brokers before 3.0: bytes in a second that a producer may send.";
    "quota.window.num": int(1) => Some("11"), IgnoredHarmless,
        "The number of samples to retain in memory for client quotas.";
    "quota.window.size.seconds": int(1) => Some("1"), IgnoredHarmless,
        "The time span of each sample for client quotas.";
    "remote.fetch.max.wait.ms": int(1) => Some("500"), IgnoredHarmless,
        "The maximum amount of time the server will wait before answering the remote fetch request.";
    "remote.log.index.file.cache.total.size.bytes": long(1) => Some("1073741824"), IgnoredHarmless,
        "The total size of the space allocated to store index files fetched from remote storage in the local storage.";
    "remote.log.manager.copier.thread.pool.size": INT => Some("-1"), IgnoredHarmless,
        "Size of the thread pool used in scheduling tasks to copy segments.";
    "remote.log.manager.copy.max.bytes.per.second": long(1) => Some("9223372036854775807"), IgnoredHarmless,
        "The maximum number of bytes that can be copied from local storage to remote storage per second.";
    "remote.log.manager.copy.quota.window.num": int(1) => Some("11"), IgnoredHarmless,
        "The number of samples to retain in memory for remote copy quota management.";
    "remote.log.manager.copy.quota.window.size.seconds": int(1) => Some("1"), IgnoredHarmless,
        "The time span of each sample for remote copy quota management.";
    "remote.log.manager.expiration.thread.pool.size": INT => Some("-1"), IgnoredHarmless,
        "Size of the thread pool used in scheduling tasks to clean up remote log segments.";
    "remote.log.manager.fetch.max.bytes.per.second": long(1) => Some("9223372036854775807"), IgnoredHarmless,
        "The maximum number of bytes that can be fetched from remote storage to local storage per second.";
    "remote.log.manager.fetch.quota.window.num": int(1) => Some("11"), IgnoredHarmless,
        "The number of samples to retain in memory for remote fetch quota management.";
    "remote.log.manager.fetch.quota.window.size.seconds": int(1) => Some("1"), IgnoredHarmless,
        "The time span of each sample for remote fetch quota management.";
    "remote.log.manager.task.interval.ms": long(1) => Some("30000"), IgnoredHarmless,
        "Interval at which remote log manager runs the scheduled tasks like copy segments, and clean up remote log segments.";
    "remote.log.manager.task.retry.backoff.max.ms": long(1) => Some("30000"), IgnoredHarmless,
        "The maximum amount of time in milliseconds to wait when the request is retried again.";
    "remote.log.manager.task.retry.backoff.ms": long(1) => Some("500"), IgnoredHarmless,
        "The initial amount of wait in milliseconds before the request is retried again.";
    "remote.log.manager.task.retry.jitter": Kind::Double(f64::MIN, f64::MAX) => Some("0.2"), IgnoredHarmless,
        "The value used in defining the range for computing random jitter factor.";
    "remote.log.manager.thread.pool.size": int(1) => Some("10"), IgnoredHarmless,
        "Size of the thread pool used in scheduling tasks to copy segments, fetch remote log indexes and clean up remote log segments.";
    "remote.log.metadata.custom.metadata.max.bytes": int(0) => Some("128"), IgnoredHarmless,
        "The maximum size of custom metadata in bytes that the broker should accept from a remote storage plugin.";
    "remote.log.metadata.manager.class.name": Kind::Text => Some("org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager"), IgnoredHarmless,
        "Fully qualified class name of `RemoteLogMetadataManager` implementation.";
    "remote.log.metadata.manager.class.path": Kind::Text => None, IgnoredHarmless,
        "Class path of the `RemoteLogMetadataManager` implementation.";
    "remote.log.metadata.manager.impl.prefix": Kind::Text => Some("rlmm.config."), IgnoredHarmless,
        "Prefix used for properties to be passed to RemoteLogMetadataManager implementation.";
    "remote.log.metadata.manager.listener.name": Kind::Text => None, IgnoredHarmless,
        "Listener name of the local broker to which it should get connected if needed by RemoteLogMetadataManager implementation.";
    "remote.log.reader.max.pending.tasks": int(1) => Some("100"), IgnoredHarmless,
        "Maximum remote log reader thread pool task queue size.";
    "remote.log.reader.threads": int(1) => Some("10"), IgnoredHarmless,
        "Size of the thread pool that is allocated for handling remote log reads.";
    "remote.log.storage.manager.class.name": Kind::Text => None, IgnoredHarmless,
        "Fully qualified class name of `RemoteStorageManager` implementation.";
    "remote.log.storage.manager.class.path": Kind::Text => None, IgnoredHarmless,
        "Class path of the `RemoteStorageManager` implementation.";
    "remote.log.storage.manager.impl.prefix": Kind::Text => Some("rsm.config."), IgnoredHarmless,
        "Prefix used for properties to be passed to RemoteStorageManager implementation.";
    "remote.log.storage.system.enable": Kind::Boolean => Some("false"), WeakensSafety,
        "Whether old segments lie in tiered storage; here only local ones can be read.";
    "replica.fetch.backoff.ms": int(0) => Some("1000"), IgnoredHarmless,
        "The amount of time to sleep when fetch partition error occurs.";
    "replica.fetch.max.bytes": int(0) => Some("1048576"), IgnoredHarmless,
        "The number of bytes of messages to attempt to fetch for each partition.";
    "replica.fetch.min.bytes": INT => Some("1"), IgnoredHarmless,
        "Minimum bytes expected for each fetch response.";
    "replica.fetch.response.max.bytes": int(0) => Some("10485760"), IgnoredHarmless,
        "Maximum bytes expected for the entire fetch response.";
    "replica.fetch.wait.max.ms": INT => Some("500"), IgnoredHarmless,
        "The maximum wait time for each fetcher request issued by follower replicas.";
    "replica.lag.max.messages": LONG => None, IgnoredHarmless,
        "Brokers before 0.9: a follower this many records behind left the in-sync replicas.";
    "replica.selector.class": Kind::Text => None, IgnoredHarmless,
        "The fully qualified class name that implements ReplicaSelector.";
    "replica.socket.receive.buffer.bytes": INT => Some("65536"), IgnoredHarmless,
        "The socket receive buffer for network requests to the leader for replicating data.";
    "replica.socket.timeout.ms": INT => Some("30000"), IgnoredHarmless,
        "The socket timeout for network requests.";
    "replication.quota.window.num": int(1) => Some("11"), IgnoredHarmless,
        "The number of samples to retain in memory for replication quotas.";
    "replication.quota.window.size.seconds": int(1) => Some("1"), IgnoredHarmless,
        "The time span of each sample for replication quotas.";
    "server.max.startup.time.ms": long(0) => Some("9223372036854775807"), IgnoredHarmless,
        "The maximum number of milliseconds we will wait for the server to come up.";
    "socket.connection.setup.timeout.max.ms": LONG => Some("30000"), IgnoredHarmless,
        "The maximum amount of time the client will wait for the socket connection to be established.";
    "socket.connection.setup.timeout.ms": LONG => Some("10000"), IgnoredHarmless,
        "The amount of time the client will wait for the socket connection to be established.";
    "telemetry.max.bytes": int(1) => Some("1048576"), IgnoredHarmless,
        "The maximum size (after compression if compression is used) of telemetry metrics pushed from a client to the broker.";
    "unclean.leader.election.interval.ms": long(1) => Some("300000"), IgnoredHarmless,
        "The frequency with which the controller checks if it should perform an unclean leader election for leaderless partitions.";
    "unstable.api.versions.enable": Kind::Boolean => Some("false"), IgnoredHarmless,
        ".";
    "unstable.feature.versions.enable": Kind::Boolean => Some("false"), IgnoredHarmless,
        ".";
    "zookeeper.metadata.migration.enable": Kind::Boolean => Some("false"), WeakensSafety,
        "Whether the cluster is being moved from ZooKeeper to KRaft.";
    "zookeeper.metadata.migration.min.batch.size": int(1) => Some("200"), IgnoredHarmless,
        "Soft minimum batch size to use when migrating metadata from ZooKeeper to KRaft.";
    "zookeeper.sync.time.ms": INT => None, IgnoredHarmless,
        "Brokers before 3.2: how far a ZooKeeper follower may be behind.";
}
