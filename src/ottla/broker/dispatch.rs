//! From a frame to its handler: the header is read, the version judged, `authorize` and `quota` are asked once, and the
//! handler begins.

use bytes::Bytes;
use ottla_protocol::{ApiKey, RequestHeader};
use tracing::{debug, info};

use super::handlers::{Handlers, api_versions};
use super::request::{Reply, RequestContext, begin, encode};
use crate::net::{Answer, Peer, Service};

/// The APIs that this broker serves.
pub const SERVED: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::InitProducerId,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::CreatePartitions,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::DescribeCluster,
];

/// What all listeners serve.
pub struct Dispatch {
    handlers: Handlers,
}

impl Dispatch {
    /// Over these handlers.
    pub fn new(handlers: Handlers) -> Dispatch {
        Dispatch { handlers }
    }
}

impl Service for Dispatch {
    fn begin(&self, peer: &Peer, frame: Bytes) -> Answer {
        let mut body = frame;
        let header = match RequestHeader::decode(&mut body) {
            Ok(header) => header,
            Err(e) => {
                debug!("{}: {e}; the connection is closed", peer.address);
                return Answer::Close;
            }
        };
        let served = api_versions::served_versions(header.api_key);
        if !served.is_some_and(|versions| versions.contains(&header.api_version)) {
            return unknown_version(peer, header);
        }
        let context = RequestContext {
            listener: peer.listener.clone(),
            security_protocol: peer.security_protocol,
            principal: ANONYMOUS,
            address: peer.address,
            header,
        };
        if !authorize(&context) || !quota(&context) {
            return Answer::Close;
        }
        let api_key = context.header.api_key;
        let answer = self.route(context, body);
        if !matches!(answer, Answer::NotYet(_)) {
            self.handlers.metrics.request(api_key);
        }
        answer
    }
}

/// The principal of connections without authentication.
const ANONYMOUS: &str = "User:ANONYMOUS";

/// Whether this principal may make this request at all. There is no authorizer yet: a configured one stops the start.
fn authorize(_context: &RequestContext) -> bool {
    true
}

/// Whether this client may make a request now. There are no quotas yet.
fn quota(_context: &RequestContext) -> bool {
    true
}

/// ApiVersions is answered in version 0, so that the client learns what to ask (KIP-511); anything else cannot be
/// answered in a form that the client would read.
fn unknown_version(peer: &Peer, header: RequestHeader) -> Answer {
    if header.api_key == ApiKey::ApiVersions {
        let header = RequestHeader { api_version: 0, ..header };
        return encode(&header, &api_versions::unknown_version()).map_or(Answer::Close, Answer::Now);
    }
    let (api, version) = (header.api_key.name(), header.api_version);
    info!("{} asked for {api} version {version}, which is not served; the connection is closed", peer.address);
    Answer::Close
}

impl Dispatch {
    fn route(&self, context: RequestContext, body: Bytes) -> Answer {
        let of = &self.handlers;
        let metrics = &of.metrics;
        match context.header.api_key {
            ApiKey::Produce => begin(context, body, metrics, |context, request| of.produce.handle(context, request)),
            ApiKey::Fetch => begin(context, body, metrics, |context, request| of.fetch.handle(context, request)),
            ApiKey::ListOffsets => {
                begin(context, body, metrics, |context, request| of.list_offsets.handle(&context, &request))
            }
            ApiKey::Metadata => begin(context, body, metrics, |context, request| of.metadata.handle(context, request)),
            ApiKey::OffsetCommit => begin(context, body, metrics, |_, request| of.offset_commit.handle(request)),
            ApiKey::OffsetFetch => begin(context, body, metrics, |_, request| of.offset_fetch.handle(request)),
            ApiKey::FindCoordinator => begin(context, body, metrics, |context, request| {
                Reply::Now(of.find_coordinator.handle(&context, &request))
            }),
            ApiKey::ApiVersions => begin(context, body, metrics, |context, request| {
                Reply::Now(api_versions::handle(&request, context.version()))
            }),
            ApiKey::CreateTopics => begin(context, body, metrics, |_, request| of.create_topics.handle(request)),
            ApiKey::DeleteTopics => {
                begin(context, body, metrics, |context, request| of.delete_topics.handle(&context, request))
            }
            ApiKey::InitProducerId => begin(context, body, metrics, |_, request| of.init_producer_id.handle(&request)),
            ApiKey::DescribeConfigs => begin(context, body, metrics, |_, request| of.describe_configs.handle(request)),
            ApiKey::AlterConfigs => begin(context, body, metrics, |_, request| of.alter_configs.handle(request)),
            ApiKey::CreatePartitions => {
                begin(context, body, metrics, |_, request| of.create_partitions.handle(request))
            }
            ApiKey::IncrementalAlterConfigs => {
                begin(context, body, metrics, |_, request| of.incremental_alter_configs.handle(request))
            }
            ApiKey::DescribeCluster => begin(context, body, metrics, |context, request| {
                Reply::Now(of.describe_cluster.handle(&context, &request))
            }),
            key => unreachable!("{} is in the list of what is served", key.name()),
        }
    }
}
