//! DescribeCluster (KIP-700): brokers and controller without topics.

use std::sync::Arc;

use ottla_protocol::schema::describe_cluster::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse};

use super::metadata::brokers_at;
use crate::broker::request::RequestContext;
use crate::broker::{ClusterId, MetadataCache};

/// What the handler needs.
pub struct DescribeCluster {
    /// The cluster.
    pub cache: Arc<MetadataCache>,
    /// Its id.
    pub cluster_id: ClusterId,
}

impl DescribeCluster {
    /// Answers at once.
    pub fn handle(&self, context: &RequestContext, _request: &DescribeClusterRequest) -> DescribeClusterResponse {
        let snapshot = self.cache.snapshot();
        let broker = |broker: ottla_protocol::schema::metadata::MetadataResponseBroker| DescribeClusterBroker {
            broker_id: broker.node_id,
            host: broker.host,
            port: broker.port,
            rack: broker.rack,
        };
        DescribeClusterResponse {
            endpoint_type: 1,
            cluster_id: (&*self.cluster_id).into(),
            controller_id: snapshot.controller.map_or(-1, |id| id.0),
            brokers: brokers_at(&snapshot, &context.listener).into_iter().map(broker).collect(),
            ..DescribeClusterResponse::default()
        }
    }
}
