//! One file for each API.

#[cfg(test)]
mod admin_tests;
pub mod alter_configs;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_topics;
pub mod describe_configs;
pub mod incremental_alter_configs;
pub mod offset_commit;
pub mod offset_fetch;
