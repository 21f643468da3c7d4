use bytes::{Bytes, BytesMut};

use super::{for_all_requests, for_all_responses};
use crate::{ApiKey, Frame, Message, Read, Request, RequestHeader, decode_response_header, schema};

/// Frames between Apache Kafka's brokers, clients and kcat: one JSON object a line, the frame in hex without its
/// length.
const FILES: [(&str, &str); 6] = [
    ("brokers-ibp-2.6", include_str!("../testdata/brokers-ibp-2.6.jsonl")),
    ("brokers-ibp-3.9", include_str!("../testdata/brokers-ibp-3.9.jsonl")),
    ("clients-0.8.2.2", include_str!("../testdata/clients-0.8.2.2.jsonl")),
    ("clients-0.10.2.2", include_str!("../testdata/clients-0.10.2.2.jsonl")),
    ("clients-3.9.1", include_str!("../testdata/clients-3.9.1.jsonl")),
    ("kcat", include_str!("../testdata/kcat.jsonl")),
];

struct Golden {
    place: String,
    api: String,
    version: i16,
    correlation_id: i32,
    request: bool,
    frame: Bytes,
}

fn golden() -> Vec<Golden> {
    let mut frames = Vec::new();
    for (file, text) in FILES {
        for (number, line) in text.lines().enumerate() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let hex = line["hex"].as_str().unwrap();
            frames.push(Golden {
                place: format!("{file} line {}", number + 1),
                api: line["api"].as_str().unwrap().to_owned(),
                version: line["version"].as_i64().unwrap() as i16,
                correlation_id: line["correlation_id"].as_i64().unwrap() as i32,
                request: line["direction"] == "request",
                frame: (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect(),
            });
        }
    }
    frames
}

fn with_length(frame: &Bytes) -> Bytes {
    let mut bytes = BytesMut::from(&(frame.len() as i32).to_be_bytes()[..]);
    bytes.extend_from_slice(frame);
    bytes.freeze()
}

fn joined(frame: &Frame) -> Bytes {
    frame.parts.iter().flat_map(|part| part.as_ref()).copied().collect()
}

fn same_request<R: Request<Payload = Bytes> + Read>(golden: &Golden, header: RequestHeader, mut body: Bytes) {
    let request = R::decode(&mut body, golden.version).unwrap_or_else(|e| panic!("{}: {e}", golden.place));
    assert!(body.is_empty(), "{}", golden.place);
    let frame = Frame::request(&request, golden.version, header.correlation_id, header.client_id).unwrap();
    assert_eq!(joined(&frame), with_length(&golden.frame), "{}", golden.place);
}

fn same_response<R: Message<Payload = Bytes> + Read>(golden: &Golden, mut body: Bytes) {
    let response = R::decode(&mut body, golden.version).unwrap_or_else(|e| panic!("{}: {e}", golden.place));
    assert!(body.is_empty(), "{}", golden.place);
    let frame = Frame::response(&response, golden.version, golden.correlation_id).unwrap();
    assert_eq!(joined(&frame), with_length(&golden.frame), "{}", golden.place);
}

/// Compares the frame, and says whether the codec has its message.
fn same(golden: &Golden) -> bool {
    let mut rest = golden.frame.clone();
    let mut known = true;
    if golden.request {
        let header = RequestHeader::decode(&mut rest).unwrap_or_else(|e| panic!("{}: {e}", golden.place));
        assert_eq!(
            (header.api_key.name(), header.api_version, header.correlation_id),
            (golden.api.as_str(), golden.version, golden.correlation_id),
            "{}",
            golden.place
        );
        macro_rules! by_name {
            ($($name:ident)*) => {
                match format!("{}Request", golden.api).as_str() {
                    $(stringify!($name) => same_request::<schema::$name>(golden, header, rest),)*
                    _ => known = false,
                }
            };
        }
        for_all_requests!(by_name);
    } else {
        let key = ApiKey::ALL.iter().find(|key| key.name() == golden.api).unwrap();
        let id = decode_response_header(&mut rest, *key, golden.version).unwrap();
        assert_eq!(id, golden.correlation_id, "{}", golden.place);
        macro_rules! by_name {
            ($($name:ident)*) => {
                match format!("{}Response", golden.api).as_str() {
                    $(stringify!($name) => same_response::<schema::$name>(golden, rest),)*
                    _ => known = false,
                }
            };
        }
        for_all_responses!(by_name);
    }
    known
}

#[test]
fn frames_of_real_kafka_are_read_and_written_again() {
    let compared = golden().iter().filter(|golden| same(golden)).count();
    assert_eq!(compared, 234);
}
