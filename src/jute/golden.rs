//! Tests against frames and logs that ZooKeeper 3.8.4 and its clients wrote.

use crate::{
    ConnectRequest, ConnectResponse, LogEntry, Op, OpCode, Reader, Record, ReplyHeader, Request, RequestHeader,
    Response, Txn, WatcherEvent,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Decodes a frame and encodes it again.
fn again(op: &str, op_code: i32, response: bool, frame: &[u8]) -> Vec<u8> {
    match (op, response) {
        ("connect", false) => return ConnectRequest::decode(frame).unwrap().encode(),
        ("connect", true) => return ConnectResponse::decode(frame).unwrap().encode(),
        _ => {}
    }
    let mut reader = Reader::new(frame);
    let mut out = Vec::new();
    if response {
        let header: ReplyHeader = reader.read().unwrap();
        header.write(&mut out);
        if header == ReplyHeader::NOTIFICATION {
            reader.read::<WatcherEvent>().unwrap().write(&mut out);
        } else if header.err == 0 {
            Response::read(OpCode::from_code(op_code).unwrap(), &mut reader).unwrap().write(&mut out);
        }
    } else {
        let header: RequestHeader = reader.read().unwrap();
        header.write(&mut out);
        let op_code = OpCode::from_code(header.op_code).unwrap();
        let request = Request::read(op_code, &mut reader).unwrap().unwrap();
        assert_eq!(request.op_code(), op_code);
        request.write(&mut out);
    }
    assert_eq!(reader.remaining(), 0);
    out
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn frames() -> Vec<(String, i32, bool, Vec<u8>)> {
    include_str!("testdata/frames.jsonl")
        .lines()
        .map(|line| {
            let frame: serde_json::Value = serde_json::from_str(line).unwrap();
            (
                frame["op"].as_str().unwrap().to_owned(),
                frame["op_code"].as_i64().unwrap_or_default() as i32,
                frame["dir"] != "request",
                hex(frame["hex"].as_str().unwrap()),
            )
        })
        .collect()
}

/// Entries of the golden logs, without checksums and lengths.
fn entries() -> Vec<&'static [u8]> {
    let logs: [&[u8]; 9] = [
        include_bytes!("testdata/log/log.1"),
        include_bytes!("testdata/log/log.9"),
        include_bytes!("testdata/log/log.12"),
        include_bytes!("testdata/log/log.1a"),
        include_bytes!("testdata/log/log.24"),
        include_bytes!("testdata/log/log.2b"),
        include_bytes!("testdata/log/log.32"),
        include_bytes!("testdata/log/log.39"),
        include_bytes!("testdata/log/log.41"),
    ];
    let mut entries = Vec::new();
    for log in logs {
        let mut reader = Reader::new(&log[16..]);
        while reader.remaining() > 0 {
            reader.take(8).unwrap();
            entries.push(reader.buffer().unwrap().unwrap());
            assert_eq!(reader.take(1).unwrap(), b"B");
        }
    }
    entries
}

#[test]
fn frames_are_the_same_after_decoding_and_encoding() {
    let frames = frames();
    assert!(frames.len() > 100);
    for (op, op_code, response, frame) in frames {
        assert_eq!(again(&op, op_code, response, &frame), frame, "{op}");
    }
}

#[test]
fn log_entries_are_the_same_after_decoding_and_encoding() {
    let entries = entries();
    assert_eq!(entries.len(), 67);
    for entry in entries {
        let decoded = LogEntry::decode(entry).unwrap();
        assert_eq!(decoded.encode(), entry, "{decoded:?}");
    }
}

#[test]
fn a_log_entry_before_3_4_has_no_parent_cversion() {
    let entry = entries().into_iter().find(|entry| matches!(LogEntry::decode(entry).unwrap().txn, Txn::Create(_)));
    let entry = entry.unwrap();
    let old = LogEntry::decode(&entry[..entry.len() - 16]).unwrap();
    assert!(matches!(old.txn, Txn::Create(create) if create.parent_cversion == -1), "16 = parent cversion and digest");
}

#[test]
fn a_multi_holds_only_what_it_may() {
    let of = |op_code: i32, flags: i32| {
        let mut bytes = Vec::new();
        op_code.write(&mut bytes);
        bytes.extend([0, 0xff, 0xff, 0xff, 0xff]);
        "/a".to_owned().write(&mut bytes);
        (-1).write(&mut bytes);
        0.write(&mut bytes);
        flags.write(&mut bytes);
        bytes.extend([0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff]);
        Vec::<Op>::decode(&bytes)
    };
    assert_eq!(of(OpCode::Create.code(), 6).unwrap().len(), 1);
    assert!(of(OpCode::Create.code(), 7).is_err(), "unknown flags");
    assert!(of(OpCode::GetData.code(), 0).is_err(), "a read");
    assert!(of(OpCode::Multi.code(), 0).is_err(), "a multi");
}

/// Damage and cuts everywhere: an error or another record, never a panic.
#[test]
fn damaged_bytes_never_panic() {
    let mut random = StdRng::seed_from_u64(1);
    for (op, op_code, response, frame) in frames() {
        for _ in 0..50 {
            let mut frame = frame.clone();
            frame.truncate(random.random_range(0..=frame.len()));
            if !frame.is_empty() {
                let at = random.random_range(0..frame.len());
                frame[at] = random.random();
            }
            if op == "connect" {
                let _ = (ConnectRequest::decode(&frame), ConnectResponse::decode(&frame));
            } else if response {
                let mut reader = Reader::new(&frame);
                let _ = reader.read::<ReplyHeader>();
                if let Some(op_code) = OpCode::from_code(op_code) {
                    let _ = Response::read(op_code, &mut reader);
                }
            } else {
                let mut reader = Reader::new(&frame);
                let Ok(header) = reader.read::<RequestHeader>() else { continue };
                if let Some(op_code) = OpCode::from_code(header.op_code) {
                    let _ = Request::read(op_code, &mut reader);
                }
            }
        }
    }
    for entry in entries() {
        for _ in 0..50 {
            let mut entry = entry[..random.random_range(0..=entry.len())].to_vec();
            if !entry.is_empty() {
                let at = random.random_range(0..entry.len());
                entry[at] = random.random();
            }
            let _ = LogEntry::decode(&entry);
        }
    }
}
