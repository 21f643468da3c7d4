/// The nodes that every broker makes sure of when it starts, parents before children, without data (Kafka's
/// `ZkData.scala` PersistentZkPaths, in the order Kafka 3.9 creates them).
pub const PERSISTENT_PARENTS: [&str; 18] = [
    "/consumers",
    "/brokers",
    "/brokers/ids",
    "/brokers/topics",
    "/config",
    "/config/changes",
    "/admin",
    "/admin/delete_topics",
    "/brokers/seqid",
    "/isr_change_notification",
    "/latest_producer_id_block",
    "/log_dir_event_notification",
    "/config/topics",
    "/config/clients",
    "/config/users",
    "/config/brokers",
    "/config/ips",
    "/cluster",
];
