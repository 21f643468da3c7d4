//! One file for each API: what it needs, what it does, by which versions and which source of Kafka.

pub mod api_versions;
pub mod describe_cluster;
pub mod fetch;
pub mod find_coordinator;
pub mod init_producer_id;
pub mod leader_and_isr;
pub mod list_offsets;
pub mod metadata;
pub mod produce;
pub mod stop_replica;
pub mod update_metadata;
