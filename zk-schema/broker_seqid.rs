//! `/brokers/seqid`: the counter behind generated broker ids.

use ottla_types::BrokerId;

/// The node whose data version counts generated broker ids; it never holds data.
pub const PATH: &str = "/brokers/seqid";

/// The id that a write of the node yields: `reserved.broker.max.id` and the data version after the write, from 1.
/// None beyond 2^31-1.
pub fn broker_id(reserved_broker_max_id: i32, version: i32) -> Option<BrokerId> {
    reserved_broker_max_id.checked_add(version).map(BrokerId)
}
