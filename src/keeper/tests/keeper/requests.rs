//! The order of answers and events, and what cannot be asked.

use std::thread;

use bytes::Bytes;
use ottla_jute::{
    Acl, CreateTtlRequest, EventType, GetDataResponse, Op, OpResult, PathVersionRequest, PathWatchRequest, Reader,
    Record, Request, RequestHeader, Response, SetDataRequest, Stat,
};

use crate::{
    client::{Client, Frame, create, set_data},
    start, stop, with,
};

const NO_NODE: i32 = -101;
const BAD_VERSION: i32 = -103;

#[test]
fn answers_come_in_the_order_of_requests_and_reads_see_earlier_writes() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let mut client = Client::connect(address);
    client.create("/n", "-1", 0).unwrap();
    let mut sent = Vec::new();
    // More than may be outstanding on a connection: the rest waits in the socket.
    for version in 0..1000 {
        sent.push(client.send(&set_data("/n", &version.to_string(), version)).unwrap());
        sent.push(client.send(&Request::GetData(PathWatchRequest { path: "/n".into(), watch: false })).unwrap());
    }
    let mut zxid = 0;
    for (index, xid) in sent.into_iter().enumerate() {
        let (header, record) = client.receive_reply().unwrap();
        assert_eq!((header.xid, header.err), (xid, 0));
        assert!(header.zxid >= zxid);
        zxid = header.zxid;
        if index % 2 == 1 {
            let answer = GetDataResponse::decode(&record).unwrap();
            assert_eq!(answer.data.unwrap(), (index / 2).to_string());
        }
    }
    stop(keeper);
}

#[test]
fn an_event_comes_before_the_answer_that_shows_the_new_state() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let (mut writer, mut reader) = (Client::connect(address), Client::connect(address));
    writer.create("/a", "", 0).unwrap();
    let watch_children = Request::GetChildren(PathWatchRequest { path: "/a".into(), watch: true });
    for client in [&mut writer, &mut reader] {
        client.ask(&watch_children).unwrap();
        assert!(!client.exists("/a/k", true));
    }
    let xid = writer.send(&create("/a/k", "", 0)).unwrap();
    let mut frames = Vec::new();
    for _ in 0..3 {
        frames.push(match writer.receive().unwrap() {
            Frame::Event(event) => format!("event {} {}", event.event_type, event.path),
            Frame::Reply { header, .. } => format!("reply {}", header.xid - xid),
        });
    }
    assert_eq!(frames, ["event 1 /a/k", "event 4 /a", "reply 0"]);
    // The reader has seen nothing yet; the answer to its read would show the node, so the events come first.
    assert!(reader.exists("/a/k", false));
    let types: Vec<i32> = reader.events.iter().map(|event| event.event_type).collect();
    assert_eq!(types, [EventType::NodeCreated.code(), EventType::NodeChildrenChanged.code()]);
    stop(keeper);
}

#[test]
fn a_multi_happens_as_a_whole_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let mut client = Client::connect(address);
    let Request::Create(node) = create("/m", "x", 0) else { unreachable!() };
    let set =
        |version| Op::SetData(SetDataRequest { path: "/m".into(), data: Some(Bytes::from_static(b"y")), version });
    let check = Op::Check(PathVersionRequest { path: "/m".into(), version: 0 });

    let failed = client.ask(&Request::Multi(vec![Op::Create(node.clone()), set(5), check.clone()])).unwrap();
    let expected = [0, BAD_VERSION, -2].map(OpResult::Error).to_vec();
    assert_eq!(failed, Response::Multi(expected));
    assert!(!client.exists("/m", false));

    let Response::Multi(results) = client.ask(&Request::Multi(vec![Op::Create(node), check, set(0)])).unwrap() else {
        panic!("a multi's answer")
    };
    let [OpResult::Create(path), OpResult::Check, OpResult::SetData(Stat { version: 1, czxid, mzxid, .. })] =
        &results[..]
    else {
        panic!("{results:?}")
    };
    assert_eq!((path.as_str(), czxid), ("/m", mzxid));
    assert_eq!(client.data("/m").unwrap(), "y");
    stop(keeper);
}

#[test]
fn what_cannot_be_read_is_answered_and_what_is_not_known_closes() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let mut client = Client::connect(address);
    let bodies: [&[u8]; 4] = [&[], &[0xff, 0xff, 0xff, 0xfb], &[0x7f, 0xff, 0xff, 0xff], &[0, 0, 0, 9, b'/']];
    for body in bodies {
        let mut frame = RequestHeader { xid: 77, op_code: 4 }.encode();
        frame.extend_from_slice(body);
        client.send_frame(&frame).unwrap();
        let (header, record) = client.receive_reply().unwrap();
        assert_eq!((header.xid, header.err, record.len()), (77, -5, 0));
    }
    client.ask(&Request::Ping).unwrap();
    client.send_frame(&RequestHeader { xid: 78, op_code: 9999 }.encode()).unwrap();
    let (header, _) = client.receive_reply().unwrap();
    assert_eq!((header.xid, header.zxid, header.err), (78, -1, -6));
    assert!(client.is_closed());
    stop(keeper);
}

#[test]
fn a_request_beyond_the_limit_closes_the_connection_and_one_below_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let keeper = ottla_keeper::Keeper::start(with(dir.path(), &[("jute.maxbuffer", "4096")])).unwrap();
    let mut client = Client::connect(keeper.local_addr());
    let room = 4096 - 8 - create("/n", "", 0).encoded_len();
    client.create("/n", &"x".repeat(room), 0).unwrap();
    client.send(&create("/o", &"x".repeat(room + 1), 0)).unwrap();
    assert!(client.is_closed());
    stop(keeper);
}

#[test]
fn many_writers_share_their_commits_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    Client::connect(address).create("/q", "", 0).unwrap();
    thread::scope(|scope| {
        for writer in 0..4 {
            scope.spawn(move || {
                let mut client = Client::connect(address);
                for number in 0..50 {
                    client.create("/q/n-", &format!("{writer} {number}"), 2).unwrap();
                }
            });
        }
    });
    let mut client = Client::connect(address);
    let children = client.children("/q");
    assert_eq!(children.len(), 200);
    assert_eq!(children.last().unwrap(), "n-0000000199");
    stop(keeper);
}

#[test]
fn a_missing_node_and_a_wrong_version_have_their_codes() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let mut client = Client::connect(address);
    assert_eq!(client.data("/none"), Err(NO_NODE));
    client.create("/n", "", 0).unwrap();
    assert_eq!(client.ask(&set_data("/n", "", 7)).unwrap_err(), BAD_VERSION);
    stop(keeper);
}

#[test]
fn nodes_with_a_time_to_live_are_a_setting() {
    let dir = tempfile::tempdir().unwrap();
    let create = Request::CreateTtl(CreateTtlRequest {
        path: "/t".into(),
        data: None,
        acl: vec![Acl::open()],
        flags: 5,
        ttl: 1000,
    });
    let (keeper, address) = start(dir.path());
    assert_eq!(Client::connect(address).ask(&create), Err(-6));
    stop(keeper);
    let keeper = ottla_keeper::Keeper::start(with(dir.path(), &[("extendedTypesEnabled", "true")])).unwrap();
    Client::connect(keeper.local_addr()).ask(&create).unwrap();
    stop(keeper);
}

trait EncodedLength {
    fn encoded_len(&self) -> usize;
}

impl EncodedLength for Request {
    fn encoded_len(&self) -> usize {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        Reader::new(&bytes).remaining()
    }
}
