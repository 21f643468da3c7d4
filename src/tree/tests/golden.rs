//! Against the folder that ZooKeeper 3.8.4 wrote: its log, snapshots, and the tree that a client then saw.

use base64::Engine;
use bytes::Bytes;
use ottla_jute::{
    Acl, CreateRequest, CreateTtlRequest, Id, LogEntry, Op, PathVersionRequest, Reader, Record, Request, SetAclRequest,
    SetDataRequest, Txn,
};
use ottla_tree::{Caller, Restore, Tree};
use serde_json::{Value, json};

fn entries() -> Vec<LogEntry> {
    let mut reader = Reader::new(include_bytes!("../testdata/entries"));
    let mut entries = Vec::new();
    while reader.remaining() > 0 {
        reader.take(8).unwrap();
        entries.push(LogEntry::decode(reader.buffer().unwrap().unwrap()).unwrap());
        assert_eq!(reader.take(1).unwrap(), b"B");
    }
    entries
}

/// The tree in the form of `tree.json`.
fn as_json(tree: &Tree) -> Value {
    let nodes = tree.nodes().map(|(path, node)| {
        let stat = node.stat();
        let acl = |acl: &Acl| json!({"perms": acl.perms, "scheme": acl.id.scheme, "id": acl.id.id});
        json!({
            "path": if path.is_empty() { "/" } else { path },
            "data": node.data().map(|data| base64::engine::general_purpose::STANDARD.encode(data)),
            "czxid": stat.czxid, "mzxid": stat.mzxid, "ctime": stat.ctime, "mtime": stat.mtime,
            "version": stat.version, "cversion": stat.cversion, "aversion": stat.aversion,
            "ephemeralOwner": stat.ephemeral_owner, "dataLength": stat.data_length, "numChildren": stat.num_children,
            "pzxid": stat.pzxid, "acl": node.acl().iter().map(acl).collect::<Vec<_>>(),
            "children": node.children().collect::<Vec<_>>(),
        })
    });
    let sessions = tree.sessions().iter().map(|(id, timeout)| (format!("0x{id:x}"), json!(timeout)));
    json!({"sessions": sessions.collect::<serde_json::Map<_, _>>(), "nodes": nodes.collect::<Vec<_>>()})
}

fn expect_golden_tree(tree: &Tree) {
    let expected: Value = serde_json::from_str(include_str!("../testdata/tree.json")).unwrap();
    let found = as_json(tree);
    assert_eq!(found["sessions"], expected["sessions"]);
    let (found, expected) = (found["nodes"].as_array().unwrap(), expected["nodes"].as_array().unwrap());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn replaying_the_log_gives_the_tree_and_every_digest() {
    let mut tree = Tree::new();
    for entry in entries() {
        tree.apply(&entry.header, &entry.txn);
        assert_eq!(tree.zxid(), entry.header.zxid);
        if let Some(digest) = &entry.digest {
            assert_eq!(tree.digest(), digest.tree_digest, "{entry:?}");
        }
    }
    expect_golden_tree(&tree);
    assert_eq!(tree.drop_orphans(), 0);
}

/// Parses a snapshot as far as the nodes' end.
fn restore(snapshot: &[u8], zxid: i64) -> Tree {
    let mut reader = Reader::new(snapshot);
    reader.take(16).unwrap();
    let mut sessions = Vec::new();
    for _ in 0..reader.read::<i32>().unwrap() {
        sessions.push((reader.read().unwrap(), reader.read().unwrap()));
    }
    let mut acls = Vec::new();
    for _ in 0..reader.read::<i32>().unwrap() {
        acls.push((reader.read().unwrap(), reader.read::<Vec<Acl>>().unwrap()));
    }
    let mut restore = Restore::new(sessions, acls);
    loop {
        let path: String = reader.read().unwrap();
        if path == "/" {
            return restore.finish(zxid).unwrap();
        }
        let (data, acl, stat) = (reader.read().unwrap(), reader.read().unwrap(), reader.read().unwrap());
        restore.node(path, data, acl, stat).unwrap();
    }
}

#[test]
fn a_snapshot_and_the_log_behind_it_give_the_tree() {
    for (zxid, snapshot) in [
        (0, &include_bytes!("../testdata/snapshot.0")[..]),
        (0x18, include_bytes!("../testdata/snapshot.18")),
        (0x29, include_bytes!("../testdata/snapshot.29")),
        (0x3f, include_bytes!("../testdata/snapshot.3f")),
    ] {
        let mut tree = restore(snapshot, zxid);
        let entries = entries();
        for entry in entries.iter().filter(|entry| entry.header.zxid > zxid) {
            tree.apply(&entry.header, &entry.txn);
        }
        expect_golden_tree(&tree);
        assert_eq!(tree.digest(), entries.last().unwrap().digest.as_ref().unwrap().tree_digest);
    }
}

/// What `snapshot.0` of a fresh server holds is what [`Tree::new`] makes.
#[test]
fn a_fresh_tree_is_the_one_of_a_fresh_server() {
    let (fresh, restored) = (Tree::new(), restore(include_bytes!("../testdata/snapshot.0"), 0));
    assert_eq!(as_json(&fresh), as_json(&restored));
    assert_eq!(fresh.acls(), restored.acls());
    assert_eq!(fresh.node_count(), 5);
    for ((path, node), (_, other)) in fresh.nodes().zip(restored.nodes()) {
        assert_eq!((node.acl_id(), node.persisted()), (other.acl_id(), other.persisted()), "{path}");
    }
}

/// What was asked for, for each entry of the log (`make.py` beside the golden folder).
enum Asked {
    Session,
    Request(Request),
    Expiry,
}

fn acl(perms: i32, scheme: &str, id: &str) -> Acl {
    Acl { perms, id: Id { scheme: scheme.into(), id: id.into() } }
}

fn create_request(path: &str, data: &[u8], flags: i32) -> CreateRequest {
    CreateRequest { path: path.into(), data: Some(Bytes::copy_from_slice(data)), acl: vec![Acl::open()], flags }
}

fn create(path: &str, data: &[u8]) -> Asked {
    Asked::Request(Request::Create(create_request(path, data, 0)))
}

fn create_flags(path: &str, data: &[u8], flags: i32) -> Asked {
    Asked::Request(Request::Create(create_request(path, data, flags)))
}

fn create_acl(path: &str, acl: Vec<Acl>) -> Asked {
    Asked::Request(Request::Create(CreateRequest { acl, ..create_request(path, b"", 0) }))
}

fn create_ttl(path: &str, flags: i32, ttl: i64) -> Asked {
    let CreateRequest { path, data, acl, flags } = create_request(path, b"ttl", flags);
    Asked::Request(Request::CreateTtl(CreateTtlRequest { path, data, acl, flags, ttl }))
}

fn set(path: &str, data: Option<&[u8]>, version: i32) -> Asked {
    let data = data.map(Bytes::copy_from_slice);
    Asked::Request(Request::SetData(SetDataRequest { path: path.into(), data, version }))
}

fn version(path: &str, version: i32) -> PathVersionRequest {
    PathVersionRequest { path: path.into(), version }
}

fn delete(path: &str, expected: i32) -> Asked {
    Asked::Request(Request::Delete(version(path, expected)))
}

fn set_acl(path: &str, acl: Vec<Acl>, version: i32) -> Asked {
    Asked::Request(Request::SetAcl(SetAclRequest { path: path.into(), acl, version }))
}

fn scenario() -> Vec<Asked> {
    let big: Vec<u8> = (0..20 * 256).map(|at| at as u8).collect();
    let mut asked = vec![
        Asked::Session,
        Asked::Session,
        create("/p", b"persistent"),
        create("/p", b"again"),
        Asked::Request(Request::Create(CreateRequest { data: None, ..create_request("/p/null", b"", 0) })),
        create("/p/empty", b""),
        create("/p/é中", "é".as_bytes()),
        create("/p/big", &big),
        create("/no/parent", b""),
        create_flags("/p/seq-", b"s", 2),
        create_flags("/p/seq-", b"s", 2),
        create_flags("/p/seq-", b"s", 2),
        create_flags("/p/", b"only digits", 2),
        Asked::Request(Request::Create2(create_request("/p2", b"create2", 0))),
        Asked::Request(Request::CreateContainer(create_request("/c", b"container", 4))),
        create("/c/child", b""),
        create_ttl("/t", 5, 3_600_000),
        create_ttl("/t/seq", 6, 1),
        create_flags("/e", b"ephemeral of a session that closes", 1),
        create("/e/x", b""),
        create_flags("/live", b"ephemeral", 1),
        Asked::Request(Request::Create2(create_request("/p/live-", b"", 3))),
        create_acl("/acl", vec![acl(31, "auth", "")]),
        create_acl("/acl/ip", vec![acl(17, "ip", "127.0.0.0/8"), acl(31, "digest", "joe:xyz")]),
        set("/acl", Some(b"no"), -1),
        create_acl("/acl/bad", vec![]),
        set_acl("/p", vec![acl(31, "world", "anyone"), acl(3, "digest", "bob:abc")], -1),
        set_acl("/p", vec![Acl::open()], 7),
        set_acl("/p2", vec![Acl::open()], 0),
        set("/p", Some(b"v1"), 0),
        set("/p", Some(b"v2"), 1),
        set("/p", Some(b"v3"), 2),
        set("/p", Some(b"v4"), 3),
        set("/p", Some(b""), 1),
        set("/p/big", None, -1),
        set("/none", Some(b""), -1),
        delete("/p", -1),
        delete("/p/empty", 3),
        delete("/p/empty", 0),
        delete("/p/seq-0000000005", -1),
        delete("/none", -1),
        Asked::Request(Request::Multi(vec![
            Op::Check(version("/p", 4)),
            Op::Create(create_request("/m", b"", 0)),
            Op::Create(create_request("/m/s", b"1", 2)),
            Op::Create2(create_request("/m/s", b"2", 2)),
            Op::SetData(SetDataRequest { path: "/m".into(), data: Some(Bytes::from_static(b"x")), version: 0 }),
            Op::Create(create_request("/m/gone", b"", 0)),
            Op::Delete(version("/m/gone", 0)),
            Op::CreateContainer(create_request("/m/c", b"", 4)),
            Op::Create(create_request("/m/e", b"", 1)),
        ])),
        Asked::Request(Request::Multi(vec![
            Op::Create(create_request("/m/not", b"", 0)),
            Op::Check(version("/p", 99)),
            Op::Delete(version("/m", -1)),
        ])),
        Asked::Session,
        create_flags("/x", b"", 1),
        create_flags("/p/x-", b"", 3),
        create("/zookeeper/quota/p", b""),
        create("/zookeeper/quota/p/zookeeper_limits", b"count=1000,bytes=-1"),
        create("/zookeeper/quota/p/zookeeper_stats", b"count=0,bytes=0"),
        create("/p/quota", b"12345"),
        Asked::Session,
        create_flags("/b", b"", 1),
        Asked::Expiry,
        Asked::Request(Request::CloseSession),
    ];
    asked.extend((0..12).map(|number: i32| create_flags("/p/late-", number.to_string().as_bytes(), 2)));
    asked.push(delete("/p/late-0000000016", -1));
    asked
}

#[test]
fn the_same_requests_give_the_same_log() {
    let mut tree = Tree::new();
    tree.set_extended_types(true);
    let (entries, scenario) = (entries(), scenario());
    assert_eq!(entries.len(), scenario.len());
    for (mut golden, asked) in entries.into_iter().zip(scenario) {
        let header = golden.header;
        let caller = Caller { session_id: header.client_id, xid: header.cxid };
        if header.zxid == 23 {
            let auth = Some(Bytes::from_static(b"bob:secret"));
            let auth = ottla_jute::AuthRequest { auth_type: 0, scheme: Some("digest".into()), auth };
            assert_eq!(tree.step(0, caller, &Request::Auth(auth)).reply.unwrap().header.err, 0);
        }
        let entry = match asked {
            Asked::Session => {
                let Txn::CreateSession(timeout) = golden.txn else { panic!("{golden:?}") };
                tree.connect(header.client_id, "127.0.0.1");
                tree.create_session(header.time_ms, header.client_id, timeout)
            }
            Asked::Request(request) => {
                let outcome = tree.step(header.time_ms, caller, &request);
                if let Txn::Error(code) = golden.txn {
                    assert_eq!(outcome.reply.unwrap().header.err, code);
                }
                outcome.entry.unwrap()
            }
            Asked::Expiry => tree.expire_session(header.time_ms, header.client_id).entry.unwrap(),
        };
        // Theirs is in the order of a hash set.
        if let Txn::CloseSession(Some(paths)) = &mut golden.txn {
            paths.sort();
        }
        assert_eq!(entry, golden);
    }
    expect_golden_tree(&tree);
}
