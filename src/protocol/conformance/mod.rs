//! What is the same for all messages: our codec beside the crate kafka-protocol's (generated from Kafka's own
//! descriptions), against frames that real brokers and clients sent, and against bytes that lie.

mod differential;
pub(crate) mod fill;
mod frames;
mod golden;
mod malformed;

/// Calls a macro with the names of all requests.
macro_rules! for_all_requests {
    ($call:ident) => {
        $call! {
            AlterConfigsRequest ApiVersionsRequest CreatePartitionsRequest CreateTopicsRequest
            DeleteTopicsRequest DescribeClusterRequest DescribeConfigsRequest FetchRequest
            FindCoordinatorRequest IncrementalAlterConfigsRequest InitProducerIdRequest LeaderAndIsrRequest
            ListOffsetsRequest MetadataRequest OffsetCommitRequest OffsetFetchRequest ProduceRequest
            StopReplicaRequest UpdateMetadataRequest
        }
    };
}
use for_all_requests;

/// Calls a macro with the names of all responses.
macro_rules! for_all_responses {
    ($call:ident) => {
        $call! {
            AlterConfigsResponse ApiVersionsResponse CreatePartitionsResponse CreateTopicsResponse
            DeleteTopicsResponse DescribeClusterResponse DescribeConfigsResponse FetchResponse
            FindCoordinatorResponse IncrementalAlterConfigsResponse InitProducerIdResponse
            LeaderAndIsrResponse ListOffsetsResponse MetadataResponse OffsetCommitResponse OffsetFetchResponse
            ProduceResponse StopReplicaResponse UpdateMetadataResponse
        }
    };
}
use for_all_responses;

use bytes::{Bytes, BytesMut};

use crate::Message;

fn encoded<M: Message<Payload = Bytes>>(message: &M, version: i16) -> Bytes {
    let mut buf = BytesMut::new();
    message.encode(&mut buf, version).unwrap();
    buf.freeze()
}

#[test]
fn every_api_is_checked() {
    macro_rules! count {
        ($($name:ident)*) => { [$(stringify!($name)),*].len() };
    }
    let apis = crate::ApiKey::ALL.iter().filter(|key| crate::versions(**key).is_some()).count();
    assert_eq!((for_all_requests!(count), for_all_responses!(count)), (apis, apis));
}
