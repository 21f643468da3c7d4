use super::rows;
use crate::config::key::{FRACTION, INT, Kind, LONG, int, long};

rows! {
    "log.dirs": Kind::Text => None, Supported,
        "Folders for the partitions, between commas; a new partition goes to the one with the fewest.";
    "log.dir": Kind::Text => Some("ottla-data/logs"), Supported,
        "The folder for the partitions, if log.dirs is not set; Kafka's default, /tmp/kafka-logs, does not survive a reboot.";
    "flush.before.ack": Kind::Boolean => Some("true"), Supported,
        "Whether acks=all is answered after the records were forced to disk (fsync, shared by all that wait); Kafka has no such key and does not.";
    "full.record.check": Kind::Boolean => Some("false"), Supported,
        "Whether each compressed batch is opened and its records checked as Kafka does, instead of its header and checksum alone.";
    "log.segment.bytes": int(14) => Some("1073741824"), Dynamic,
        "Size at which a partition begins a new file.";
    "log.roll.ms": LONG => None, Dynamic,
        "Age at which a partition begins a new file; default: log.roll.hours.";
    "log.roll.hours": int(1) => Some("168"), Supported,
        "The same in hours, if log.roll.ms is not set.";
    "log.roll.jitter.ms": LONG => None, Dynamic,
        "The most that is taken off that age by chance, so that not all partitions roll at once; default: log.roll.jitter.hours.";
    "log.roll.jitter.hours": int(0) => Some("0"), Supported,
        "The same in hours, if log.roll.jitter.ms is not set.";
    "log.retention.ms": LONG => None, Dynamic,
        "Age at which a closed file is deleted, -1: never; default: log.retention.minutes, then log.retention.hours.";
    "log.retention.minutes": INT => None, Supported,
        "The same in minutes, if log.retention.ms is not set.";
    "log.retention.hours": INT => Some("168"), Supported,
        "The same in hours, if neither log.retention.ms nor log.retention.minutes is set.";
    "log.retention.bytes": LONG => Some("-1"), Dynamic,
        "Size of a partition above which its oldest files are deleted; -1: no limit.";
    "log.retention.check.interval.ms": long(1) => Some("300000"), Supported,
        "How often the broker looks for files to delete.";
    "log.cleanup.policy": Kind::ListOf(&["compact", "delete"]) => Some("delete"), Dynamic,
        "delete: by age and size; compact: the last record of each key stays (such topics are kept whole until compaction is built).";
    "log.cleaner.delete.retention.ms": long(0) => Some("86400000"), Dynamic,
        "How long a compacted topic keeps the mark of a deleted key.";
    "log.cleaner.min.compaction.lag.ms": long(0) => Some("0"), Dynamic,
        "Age below which a record is not compacted away.";
    "log.cleaner.max.compaction.lag.ms": long(1) => Some("9223372036854775807"), Dynamic,
        "Age above which a record must be compacted.";
    "log.cleaner.min.cleanable.ratio": FRACTION => Some("0.5"), Dynamic,
        "Share of not yet compacted bytes at which a partition is compacted.";
    "log.segment.delete.delay.ms": long(0) => Some("60000"), Dynamic,
        "How long a deleted file stays, renamed, before it is removed.";
    "log.index.size.max.bytes": int(4) => Some("10485760"), Dynamic,
        "The largest index file; a full one begins a new segment.";
    "log.index.interval.bytes": int(0) => Some("4096"), Dynamic,
        "Bytes of records between two entries of an index.";
    "log.flush.interval.messages": long(1) => Some("9223372036854775807"), Dynamic,
        "Records after which a partition is forced to disk, whatever acks says.";
    "log.flush.interval.ms": LONG => None, Dynamic,
        "Time after which a partition is forced to disk; default: log.flush.scheduler.interval.ms.";
    "log.flush.scheduler.interval.ms": LONG => Some("9223372036854775807"), IgnoredHarmless,
        "How often the broker looks for partitions to force to disk.";
    "log.flush.offset.checkpoint.interval.ms": int(0) => Some("60000"), Supported,
        "How often the offsets up to which everything is on disk are written down.";
    "log.flush.start.offset.checkpoint.interval.ms": int(0) => Some("60000"), Supported,
        "How often the first offsets of partitions are written down.";
    "log.preallocate": Kind::Boolean => Some("false"), Dynamic,
        "Whether a new file gets its full size at once.";
    "log.message.timestamp.type": Kind::OneOf(&["CreateTime", "LogAppendTime"]) => Some("CreateTime"), Dynamic,
        "Whose clock stamps a record: the producer's or the broker's.";
    "log.message.timestamp.before.max.ms": long(0) => Some("9223372036854775807"), Dynamic,
        "How far a record's own time may lie in the past.";
    "log.message.timestamp.after.max.ms": long(0) => Some("9223372036854775807"), Dynamic,
        "How far a record's own time may lie in the future.";
    "log.message.timestamp.difference.max.ms": long(0) => Some("9223372036854775807"), Dynamic,
        "The old key for both; it counts for one of them that is not set.";
    "log.message.downconversion.enable": Kind::Boolean => Some("true"), Dynamic,
        "Whether clients before 0.11 get records in their own format instead of an error.";
    "compression.type": Kind::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])
        => Some("producer"), Dynamic,
        "How records lie on disk; producer: as they came.";
    "compression.gzip.level": Kind::Int(-1, 9) => Some("-1"), IgnoredHarmless,
        "Level of gzip, 1 to 9, if compression.type is gzip; -1: its default.";
    "compression.lz4.level": Kind::Int(1, 17) => Some("9"), IgnoredHarmless,
        "Level of lz4, if compression.type is lz4.";
    "compression.zstd.level": Kind::Int(-131072, 22) => Some("3"), IgnoredHarmless,
        "Level of zstd, if compression.type is zstd.";
    "message.max.bytes": int(0) => Some("1048588"), Dynamic,
        "The largest batch of records, compressed as it comes.";
    "min.insync.replicas": int(1) => Some("1"), Dynamic,
        "In-sync replicas below which acks=all is refused.";
    "unclean.leader.election.enable": Kind::Boolean => Some("false"), Dynamic,
        "Whether a replica that is not in sync may become leader when no other is left; records are lost then.";
    "num.recovery.threads.per.data.dir": int(1) => Some("1"), Supported,
        "Partitions of one folder that are opened at one time.";
    "producer.id.expiration.ms": int(1) => Some("86400000"), Supported,
        "How long the sequence numbers of an idempotent producer that went silent are remembered.";
    "producer.id.expiration.check.interval.ms": int(1) => Some("600000"), Supported,
        "How often the broker looks for such producers.";
    "log.message.format.version": Kind::Text => Some("3.0-IV1"), IgnoredHarmless,
        "Format of new records; without meaning since 3.0, they are stored as version 2.";
    "log.local.retention.ms": long(-2) => Some("-2"), IgnoredHarmless,
        "Local retention of a topic with tiered storage.";
    "log.local.retention.bytes": long(-2) => Some("-2"), IgnoredHarmless,
        "Local retention of a topic with tiered storage.";
    "log.initial.task.delay.ms": long(0) => Some("30000"), IgnoredHarmless,
        "Pause between the start and the first periodic work on logs.";
}
