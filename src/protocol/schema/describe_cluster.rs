//! DescribeCluster (key 60): cluster id, controller, brokers (KIP-700). Flexible from the first version.
//!
//! - v1: endpoint type, brokers or controllers (KIP-919)

use crate::Str;
use crate::description::{api, wire};

api!(
    DescribeCluster, versions 0-1, flexible 0+,
    DescribeClusterRequest => DescribeClusterResponse
);

wire! {
    /// Asks for the cluster.
    pub struct DescribeClusterRequest {
        /// Whether to include cluster authorized operations.
        0+  include_cluster_authorized_operations: bool,
        /// The endpoint type to describe. 1=brokers, 2=controllers.
        1+  endpoint_type: i8 = 1,
    }
}

wire! {
    /// The cluster.
    pub struct DescribeClusterResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation, or zero if the
        /// request did not violate any quota.
        0+  throttle_time_ms: i32,
        /// The top-level error code, or 0 if there was no error.
        0+  error_code: i16,
        /// The top-level error message, or null if there was no error.
        0+  error_message: Option<Str>,
        /// The endpoint type that was described. 1=brokers, 2=controllers.
        1+  endpoint_type: i8 = 1,
        /// The cluster ID that responding broker belongs to.
        0+  cluster_id: Str,
        /// The ID of the controller broker.
        0+  controller_id: i32 = -1,
        /// Each broker in the response.
        0+  brokers: Vec<DescribeClusterBroker>,
        /// 32-bit bitfield to represent authorized operations for this cluster.
        0+  cluster_authorized_operations: i32 = i32::MIN,
    }

    /// A broker, at the listener that was asked.
    pub struct DescribeClusterBroker {
        /// The broker ID.
        0+  broker_id: i32,
        /// The broker hostname.
        0+  host: Str,
        /// The broker port.
        0+  port: i32,
        /// The rack of the broker, or null if it has not been assigned to a rack.
        0+  rack: Option<Str>,
    }
}
