use bytes::{Bytes, BytesMut};

use super::fill::{self, Fill};
use crate::schema::fetch::{FetchableTopicResponse, PartitionData};
use crate::schema::produce::{PartitionProduceData, TopicProduceData};
use crate::schema::{
    ApiVersionsResponse, FetchRequest, FetchResponse, MetadataRequest, MetadataResponse, ProduceRequest,
    UpdateMetadataRequest,
};
use crate::{
    EncodeError, Frame, FrameLengthError, Message, Part, Payload, RequestHeader, Str, decode_response_header,
    frame_length, versions,
};

/// A range of a file, as the log hands them out.
#[derive(Debug, Clone, PartialEq)]
struct FileRange {
    start: u64,
    len: usize,
}

impl Payload for FileRange {
    fn len(&self) -> usize {
        self.len
    }
}

/// One topic; a partition for each of `records`.
fn fetch_response<P>(records: Vec<Option<P>>) -> FetchResponse<P> {
    let partitions = records.into_iter().map(|records| PartitionData { records, ..Default::default() }).collect();
    FetchResponse {
        responses: vec![FetchableTopicResponse { topic: "orders".into(), partitions, ..Default::default() }],
        ..Default::default()
    }
}

#[test]
fn fetched_ranges_stay_ranges() {
    let ranges = [(4096, 100_000), (0, 0), (900_000, 50_000)].map(|(start, len)| FileRange { start, len });
    let mut response = fetch_response(ranges.iter().cloned().map(Some).collect());
    response.responses[0].partitions.push(PartitionData { records: None, ..Default::default() });
    for version in versions(crate::ApiKey::Fetch).unwrap() {
        let frame = Frame::response(&response, version, 7).unwrap();
        let [Part::Bytes(head), Part::Payload(first), Part::Bytes(_), Part::Payload(second), Part::Bytes(_)] =
            &frame.parts[..]
        else {
            panic!("version {version}: {:?}", frame.parts);
        };
        assert_eq!((first, second), (&ranges[0], &ranges[2]));
        assert_eq!(i32::from_be_bytes(head[..4].try_into().unwrap()) as usize, frame.len() - 4);
        assert!(frame.len() > 150_000);
    }
}

#[test]
fn a_frame_in_parts_reads_as_the_message() {
    let records = [&b"first batch"[..], b"", b"second"].map(Bytes::from_static);
    let response = fetch_response(records.iter().cloned().map(Some).collect());
    for version in versions(crate::ApiKey::Fetch).unwrap() {
        let frame = Frame::response(&response, version, 7).unwrap();
        let mut joined: BytesMut = frame.parts.iter().flat_map(|part| part.as_ref()).copied().collect();
        let mut body = joined.split_off(4).freeze();
        assert_eq!(frame_length(joined[..].try_into().unwrap(), 1 << 20), Ok(body.len()));
        assert_eq!(decode_response_header(&mut body, crate::ApiKey::Fetch, version), Ok(7));
        let read = FetchResponse::decode(&mut body, version).unwrap();
        assert!(body.is_empty());
        let read: Vec<_> = read.responses[0].partitions.iter().map(|p| p.records.clone().unwrap()).collect();
        assert_eq!(read, records);
    }
}

/// Record bytes of a message that was read are the buffer's own, as are its strings.
#[test]
fn reading_copies_nothing() {
    let partition = PartitionProduceData { index: 3, records: Some(Bytes::from_static(b"records")) };
    let topic = TopicProduceData { name: "orders".into(), partition_data: vec![partition] };
    let request = ProduceRequest { acks: -1, topic_data: vec![topic], ..Default::default() };
    let bytes = super::encoded(&request, 9);
    let buffer = bytes.as_ptr_range();
    let read = ProduceRequest::decode(&mut bytes.clone(), 9).unwrap();
    let topic = &read.topic_data[0];
    assert!(buffer.contains(&topic.name.as_ptr()));
    assert!(buffer.contains(&topic.partition_data[0].records.as_ref().unwrap().as_ptr()));
}

#[test]
fn what_follows_a_body_is_left() {
    let mut bytes = BytesMut::from(&super::encoded(&MetadataRequest::default(), 12)[..]);
    bytes.extend_from_slice(b"rest");
    let mut bytes = bytes.freeze();
    MetadataRequest::decode(&mut bytes, 12).unwrap();
    assert_eq!(bytes, b"rest"[..]);
}

/// The whole allocation of the hot path: one for each array, one that makes the buffer shareable.
#[test]
fn hot_requests_allocate_their_arrays_only() {
    let mut fetch = FetchRequest::fill(&mut fill::rng(1), 11);
    fetch.topics.resize_with(1, Default::default);
    fetch.topics[0].partitions.resize_with(8, Default::default);
    fetch.forgotten_topics_data.clear();
    let bytes = super::encoded(&fetch, 11);
    let used = allocation_counter::measure(|| drop(FetchRequest::decode(&mut bytes.clone(), 11).unwrap()));
    assert!(used.count_total <= 3, "{used:?}");

    let partition = PartitionProduceData { index: 3, records: Some(Bytes::from_static(&[7; 5000])) };
    let topic = TopicProduceData { name: "orders".into(), partition_data: vec![partition] };
    let produce = ProduceRequest { acks: 1, topic_data: vec![topic], ..Default::default() };
    let bytes = super::encoded(&produce, 9);
    let used = allocation_counter::measure(|| drop(ProduceRequest::decode(&mut bytes.clone(), 9).unwrap()));
    assert!(used.count_total <= 3 && used.bytes_total < 400, "{used:?}");
}

#[test]
fn null_becomes_empty_where_a_version_has_none() {
    let all = MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(super::encoded(&all, 0), [0, 0, 0, 0][..]);
    assert_eq!(super::encoded(&all, 1), [0xff, 0xff, 0xff, 0xff][..]);
}

#[test]
fn a_tagged_field_at_its_default_is_not_written() {
    let empty = super::encoded(&ApiVersionsResponse::default(), 3);
    assert_eq!(empty.last(), Some(&0));
    let epoch = ApiVersionsResponse { finalized_features_epoch: 0, ..Default::default() };
    assert_eq!(super::encoded(&epoch, 3)[empty.len() - 1..], [1, 1, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_message_that_is_too_long_is_refused() {
    let response = |len: usize| MetadataResponse { cluster_id: Some("x".repeat(len).into()), ..Default::default() };
    assert_eq!(Frame::response(&response(32768), 8, 0), Err(EncodeError::TooLong(32768)));
    assert!(Frame::response(&response(32767), 8, 0).is_ok());
    assert!(Frame::response(&response(32768), 9, 0).is_ok());
    let range = |len| fetch_response(vec![Some(FileRange { start: 0, len })]);
    assert!(Frame::response(&range(i32::MAX as usize - 1000), 11, 0).is_ok());
    assert!(Frame::response(&range(i32::MAX as usize - 10), 11, 0).is_err());
}

#[test]
fn a_request_frame_has_length_header_and_body() {
    let request = UpdateMetadataRequest { controller_id: 5, ..Default::default() };
    let frame = Frame::request(&request, 8, 42, Some(Str::from_static("ottla"))).unwrap();
    let [Part::Bytes(bytes)] = &frame.parts[..] else { panic!("{:?}", frame.parts) };
    let mut rest = bytes.slice(4..);
    assert_eq!(frame_length(bytes[..4].try_into().unwrap(), rest.len()), Ok(rest.len()));
    let header = RequestHeader::decode(&mut rest).unwrap();
    assert_eq!((header.api_key, header.api_version, header.correlation_id), (crate::ApiKey::UpdateMetadata, 8, 42));
    assert_eq!(header.client_id.as_deref(), Some("ottla"));
    assert_eq!(UpdateMetadataRequest::decode(&mut rest, 8), Ok(request));
}

#[test]
fn lengths_out_of_bounds_are_refused() {
    assert_eq!(frame_length([0, 0, 0, 5], 5), Ok(5));
    assert_eq!(frame_length([0, 0, 0, 6], 5), Err(FrameLengthError { length: 6, limit: 5 }));
    assert_eq!(frame_length([0xff; 4], 5), Err(FrameLengthError { length: -1, limit: 5 }));
    assert_eq!(frame_length([0; 4], 5), Ok(0));
}
