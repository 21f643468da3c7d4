use super::rows;
use crate::config::key::{INT, Kind, int, long};

rows! {
    "group.consumer.assignors": Kind::List => Some("org.apache.kafka.coordinator.group.assignor.UniformAssignor,org.apache.kafka.coordinator.group.assignor.RangeAssignor"), IgnoredHarmless,
        "The server side assignors as a list of full class names.";
    "group.consumer.heartbeat.interval.ms": int(1) => Some("5000"), IgnoredHarmless,
        "The heartbeat interval given to the members of a consumer group.";
    "group.consumer.max.heartbeat.interval.ms": int(1) => Some("15000"), IgnoredHarmless,
        "The maximum heartbeat interval for registered consumers.";
    "group.consumer.max.session.timeout.ms": int(1) => Some("60000"), IgnoredHarmless,
        "The maximum allowed session timeout for registered consumers.";
    "group.consumer.max.size": int(1) => Some("2147483647"), IgnoredHarmless,
        "The maximum number of consumers that a single consumer group can accommodate.";
    "group.consumer.migration.policy": Kind::Text => Some("disabled"), IgnoredHarmless,
        "Which conversions between a classic group and one of the new consumer protocol are done while it has members.";
    "group.consumer.min.heartbeat.interval.ms": int(1) => Some("5000"), IgnoredHarmless,
        "The minimum heartbeat interval for registered consumers.";
    "group.consumer.min.session.timeout.ms": int(1) => Some("45000"), IgnoredHarmless,
        "The minimum allowed session timeout for registered consumers.";
    "group.consumer.session.timeout.ms": int(1) => Some("45000"), IgnoredHarmless,
        "The timeout to detect client failures when using the consumer group protocol.";
    "group.coordinator.append.linger.ms": int(0) => Some("10"), IgnoredHarmless,
        "The duration in milliseconds that the coordinator will wait for writes to accumulate before flushing them to disk.";
    "group.coordinator.new.enable": Kind::Boolean => Some("false"), IgnoredHarmless,
        "Enable the new group coordinator.";
    "group.coordinator.rebalance.protocols": Kind::List => Some("classic"), IgnoredHarmless,
        "The list of enabled rebalance protocols.";
    "group.coordinator.threads": int(1) => Some("1"), IgnoredHarmless,
        "The number of threads used by the group coordinator.";
    "group.initial.rebalance.delay.ms": INT => Some("3000"), IgnoredHarmless,
        "The amount of time the group coordinator will wait for more consumers to join a new group before performing the first rebalance.";
    "group.max.session.timeout.ms": INT => Some("1800000"), IgnoredHarmless,
        "The maximum allowed session timeout for registered consumers.";
    "group.max.size": int(1) => Some("2147483647"), IgnoredHarmless,
        "The maximum number of consumers that a single consumer group can accommodate.";
    "group.min.session.timeout.ms": INT => Some("6000"), IgnoredHarmless,
        "The minimum allowed session timeout for registered consumers.";
    "group.share.delivery.count.limit": Kind::Int(2, 10) => Some("5"), IgnoredHarmless,
        "The maximum number of delivery attempts for a record delivered to a share group.";
    "group.share.enable": Kind::Boolean => Some("false"), IgnoredHarmless,
        "Enable share groups on the broker.";
    "group.share.heartbeat.interval.ms": int(1) => Some("5000"), IgnoredHarmless,
        "The heartbeat interval given to the members of a share group.";
    "group.share.max.groups": Kind::Short(1, 100) => Some("10"), IgnoredHarmless,
        "The maximum number of share groups.";
    "group.share.max.heartbeat.interval.ms": int(1) => Some("15000"), IgnoredHarmless,
        "The maximum heartbeat interval for share group members.";
    "group.share.max.record.lock.duration.ms": Kind::Int(30000, 3600000) => Some("60000"), IgnoredHarmless,
        "The record acquisition lock maximum duration in milliseconds for share groups.";
    "group.share.max.session.timeout.ms": int(1) => Some("60000"), IgnoredHarmless,
        "The maximum allowed session timeout for share group members.";
    "group.share.max.size": Kind::Short(10, 1000) => Some("200"), IgnoredHarmless,
        "The maximum number of members that a single share group can accommodate.";
    "group.share.min.heartbeat.interval.ms": int(1) => Some("5000"), IgnoredHarmless,
        "The minimum heartbeat interval for share group members.";
    "group.share.min.record.lock.duration.ms": Kind::Int(1000, 30000) => Some("15000"), IgnoredHarmless,
        "The record acquisition lock minimum duration in milliseconds for share groups.";
    "group.share.min.session.timeout.ms": int(1) => Some("45000"), IgnoredHarmless,
        "The minimum allowed session timeout for share group members.";
    "group.share.partition.max.record.locks": Kind::Int(100, 10000) => Some("200"), IgnoredHarmless,
        "Share-group record lock limit per share-partition.";
    "group.share.record.lock.duration.ms": Kind::Int(1000, 60000) => Some("30000"), IgnoredHarmless,
        "The record acquisition lock duration in milliseconds for share groups.";
    "group.share.session.timeout.ms": int(1) => Some("45000"), IgnoredHarmless,
        "The timeout to detect client failures when using the share group protocol.";
    "offset.metadata.max.bytes": INT => Some("4096"), Supported,
        "The maximum size for a metadata entry associated with an offset commit.";
    "offsets.commit.required.acks": Kind::Short(-32768, 32767) => Some("-1"), IgnoredHarmless,
        "The required acks before the commit can be accepted.";
    "offsets.commit.timeout.ms": int(1) => Some("5000"), IgnoredHarmless,
        "Offset commit will be delayed until all replicas for the offsets topic receive the commit or this timeout is reached.";
    "offsets.load.buffer.size": int(1) => Some("5242880"), IgnoredHarmless,
        "Batch size for reading from the offsets segments when loading offsets into the cache (soft-limit, overridden if records are too large).";
    "offsets.retention.check.interval.ms": long(1) => Some("600000"), IgnoredHarmless,
        "Frequency at which to check for stale offsets.";
    "offsets.retention.minutes": int(1) => Some("10080"), IgnoredHarmless,
        "For subscribed consumers, committed offset of a specific partition will be expired and discarded when 1) this retention period has elapsed after the consumer group loses.";
    "offsets.topic.compression.codec": INT => Some("0"), IgnoredHarmless,
        "Compression codec for the offsets topic - compression may be used to achieve \"atomic\" commits.";
    "offsets.topic.num.partitions": int(1) => Some("50"), IgnoredHarmless,
        "The number of partitions for the offset commit topic (should not change after deployment).";
    "offsets.topic.replication.factor": Kind::Short(1, 32767) => Some("3"), IgnoredHarmless,
        "The replication factor for the offsets topic (set higher to ensure availability).";
    "offsets.topic.segment.bytes": int(1) => Some("104857600"), IgnoredHarmless,
        "The offsets topic segment bytes should be kept relatively small in order to facilitate faster log compaction and cache loads.";
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": int(1) => Some("10000"), IgnoredHarmless,
        "The interval at which to rollback transactions that have timed out.";
    "transaction.max.timeout.ms": int(1) => Some("900000"), IgnoredHarmless,
        "The maximum allowed timeout for transactions.";
    "transaction.partition.verification.enable": Kind::Boolean => Some("true"), IgnoredHarmless,
        "Enable verification that checks that the partition has been added to the transaction before writing transactional records to the partition.";
    "transaction.remove.expired.transaction.cleanup.interval.ms": int(1) => Some("3600000"), IgnoredHarmless,
        "The interval at which to remove transactions that have expired due to transactional.id.expiration.ms passing.";
    "transaction.state.log.load.buffer.size": int(1) => Some("5242880"), IgnoredHarmless,
        "Batch size for reading from the transaction log segments when loading producer ids and transactions into the cache (soft-limit, overridden if records are too large).";
    "transaction.state.log.min.isr": int(1) => Some("2"), IgnoredHarmless,
        "The minimum number of replicas that must acknowledge a write to transaction topic in order to be considered successful.";
    "transaction.state.log.num.partitions": int(1) => Some("50"), IgnoredHarmless,
        "The number of partitions for the transaction topic (should not change after deployment).";
    "transaction.state.log.replication.factor": Kind::Short(1, 32767) => Some("3"), IgnoredHarmless,
        "The replication factor for the transaction topic (set higher to ensure availability).";
    "transaction.state.log.segment.bytes": int(1) => Some("104857600"), IgnoredHarmless,
        "The transaction topic segment bytes should be kept relatively small in order to facilitate faster log compaction and cache loads.";
    "transactional.id.expiration.ms": int(1) => Some("604800000"), IgnoredHarmless,
        "The time in ms that the transaction coordinator will wait without receiving any transaction status updates for the current transaction before expiring its transactional.";
}
