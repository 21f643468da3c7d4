//! Random requests: what a step logs, applied to another tree, gives the same tree; and so does a snapshot.

use bytes::Bytes;
use ottla_jute::{
    Acl, AddWatchRequest, AuthRequest, CreateRequest, Id, LogEntry, Op, PathVersionRequest, PathWatchRequest, Record,
    Request, SetAclRequest, SetDataRequest, Txn,
};
use ottla_tree::{Caller, Node, Outcome, Restore, Tree};
use rand::{RngExt, SeedableRng, rngs::StdRng};

const SESSIONS: i64 = 4;
const STEPS: usize = 3000;

fn path(random: &mut StdRng) -> String {
    const NAMES: [&str; 4] = ["a", "b", "a-b", "é"];
    let depth = random.random_range(1..=3);
    let path: String = (0..depth).map(|_| format!("/{}", NAMES[random.random_range(0..NAMES.len())])).collect();
    match random.random_range(0..40) {
        0 => "/zookeeper/quota/a".into(),
        1 => "/zookeeper/quota/a/zookeeper_limits".into(),
        2 => "/zookeeper/quota/a/zookeeper_stats".into(),
        3 => format!("{path}/"),
        4 => "/".into(),
        _ => path,
    }
}

fn acl(random: &mut StdRng) -> Vec<Acl> {
    let of = |perms, scheme: &str, id: &str| Acl { perms, id: Id { scheme: scheme.into(), id: id.into() } };
    match random.random_range(0..12) {
        0 => vec![of(31, "auth", "")],
        1 => vec![of(31, "ip", "127.0.0.1"), of(1, "world", "anyone")],
        2 => vec![of(13, "world", "anyone")],
        3 => vec![],
        _ => vec![Acl::open()],
    }
}

fn create(random: &mut StdRng) -> CreateRequest {
    let flags = if random.random_range(0..20) == 0 { 5 } else { [0, 0, 0, 1, 2, 3][random.random_range(0..6)] };
    CreateRequest { path: path(random), data: data(random), acl: acl(random), flags }
}

fn data(random: &mut StdRng) -> Option<Bytes> {
    (random.random_range(0..5) > 0).then(|| vec![7; random.random_range(0..20)].into())
}

fn any_version(random: &mut StdRng) -> i32 {
    [-1, -1, 0, 1][random.random_range(0..4)]
}

fn path_version(random: &mut StdRng) -> PathVersionRequest {
    PathVersionRequest { path: path(random), version: any_version(random) }
}

fn set_data(random: &mut StdRng) -> SetDataRequest {
    SetDataRequest { path: path(random), data: data(random), version: any_version(random) }
}

fn op(random: &mut StdRng) -> Op {
    match random.random_range(0..8) {
        0..=2 => Op::Create(create(random)),
        3 => Op::Create2(create(random)),
        4 => Op::CreateContainer(create(random)),
        5 => Op::Delete(path_version(random)),
        6 => Op::SetData(set_data(random)),
        _ => Op::Check(path_version(random)),
    }
}

fn request(random: &mut StdRng) -> Request {
    match random.random_range(0..16) {
        0..=4 => Request::Create(create(random)),
        5 => Request::Create2(create(random)),
        6 => Request::CreateContainer(create(random)),
        7 | 8 => Request::Delete(path_version(random)),
        9 => Request::SetData(set_data(random)),
        10 => Request::SetAcl(SetAclRequest { path: path(random), acl: acl(random), version: any_version(random) }),
        11 => Request::Exists(PathWatchRequest { path: path(random), watch: true }),
        12 => Request::GetChildren(PathWatchRequest { path: path(random), watch: true }),
        13 => Request::AddWatch(AddWatchRequest { path: path(random), mode: random.random_range(0..2) }),
        _ => Request::Multi((0..random.random_range(0..6)).map(|_| op(random)).collect()),
    }
}

/// Everything but the numbers of ACLs, which are a tree's own.
fn content(node: &Node) -> impl PartialEq + std::fmt::Debug + '_ {
    (node.data(), node.acl(), node.persisted(), node.children().collect::<Vec<_>>())
}

fn expect_same(tree: &Tree, other: &Tree) {
    expect_same_but_stats(tree, other);
    for (path, node) in tree.nodes() {
        assert_eq!(node.data(), other.node(path).unwrap().data(), "{path}");
    }
    assert_eq!(tree.approximate_data_size(), other.approximate_data_size());
}

/// Statistics of quotas are counted anew when a snapshot is loaded: then they are right also if a client wrote them.
fn expect_same_but_stats(tree: &Tree, other: &Tree) {
    for ((path, node), (other_path, other)) in tree.nodes().zip(other.nodes()) {
        if path.ends_with("/zookeeper_stats") {
            assert_eq!((path, node.persisted()), (other_path, other.persisted()));
        } else {
            assert_eq!((path, content(node)), (other_path, content(other)));
        }
    }
    assert_eq!(tree.node_count(), other.node_count());
    assert_eq!(tree.sessions(), other.sessions());
    assert_eq!(tree.zxid(), other.zxid());
    assert_eq!(tree.digest(), other.digest());
    assert_eq!(tree.ephemerals().collect::<Vec<_>>(), other.ephemerals().collect::<Vec<_>>());
}

fn restored(tree: &Tree) -> Tree {
    let acls = tree.acls().into_iter().map(|(id, list)| (id, list.to_vec()));
    let mut restore = Restore::new(tree.sessions().clone(), acls);
    for (path, node) in tree.nodes() {
        restore.node(path.into(), node.data().cloned(), node.acl_id(), node.persisted().clone()).unwrap();
    }
    restore.finish(tree.zxid()).unwrap()
}

/// Zero, or the error of the first operation that failed.
fn failed(entry: &LogEntry) -> bool {
    match &entry.txn {
        Txn::Error(_) => true,
        Txn::Multi(txns) => txns.iter().any(|txn| matches!(txn, Txn::Error(_))),
        _ => false,
    }
}

fn run(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut tree, mut replica) = (Tree::new(), Tree::new());
    let mut failures = 0;
    for step in 0..STEPS {
        let (session_id, now_ms) = (random.random_range(1..=SESSIONS), 1000 + step as i64);
        let caller = Caller { session_id, xid: step as i32 };
        let before = tree.clone();
        let outcome = if !tree.sessions().contains_key(&session_id) {
            let entry = Some(tree.create_session(now_ms, session_id, 1000));
            tree.connect(session_id, if session_id == 1 { "10.0.0.1" } else { "127.0.0.1" });
            Outcome { entry, ..Outcome::default() }
        } else {
            match random.random_range(0..60) {
                0 => tree.step(now_ms, caller, &Request::CloseSession),
                1 => tree.expire_session(now_ms, session_id),
                2 => {
                    let auth = Some(Bytes::from_static(b"bob:secret"));
                    let auth = AuthRequest { auth_type: 0, scheme: Some("digest".into()), auth };
                    tree.step(now_ms, caller, &Request::Auth(auth))
                }
                3 => match tree.perished(now_ms, 1).first() {
                    Some(path) => tree.delete_perished(now_ms, path),
                    None => Outcome::default(),
                },
                _ => tree.step(now_ms, caller, &request(&mut random)),
            }
        };
        assert!(outcome.events.iter().all(|(session, _)| before.sessions().contains_key(session)));
        let Some(entry) = outcome.entry else {
            expect_same(&tree, &before);
            continue;
        };
        assert_eq!(entry.header.zxid, before.zxid() + 1);
        if failed(&entry) {
            failures += 1;
            assert!(outcome.events.is_empty());
            assert_eq!(tree.digest(), before.digest());
            for ((path, node), (_, node_before)) in tree.nodes().zip(before.nodes()) {
                assert_eq!(content(node), content(node_before), "{path}");
            }
        }
        let entry = LogEntry::decode(&entry.encode()).unwrap();
        replica.apply(&entry.header, &entry.txn);
        if let Some(digest) = &entry.digest {
            assert_eq!(replica.digest(), digest.tree_digest, "{entry:?}");
        }
        if step % 50 == 0 {
            expect_same(&tree, &replica);
            expect_same_but_stats(&tree, &restored(&tree));
        }
    }
    expect_same(&tree, &replica);
    // Not of the tree itself: the clones made above hold lists too.
    for id in replica.acls().into_keys() {
        assert!(replica.nodes().any(|(_, node)| node.acl_id() == id), "list {id} is kept though no node has it");
    }
    assert!(failures > STEPS / 20 && failures < STEPS, "the requests are neither all good nor all bad");
}

#[test]
fn a_log_gives_the_tree_that_wrote_it() {
    for seed in 0..8 {
        println!("seed {seed}");
        run(seed);
    }
}

/// A snapshot of ZooKeeper may hold some of what follows in the log.
#[test]
fn replay_over_what_is_already_there_gives_the_same_tree() {
    let mut random = StdRng::seed_from_u64(99);
    let mut tree = Tree::new();
    tree.create_session(0, 1, 1000);
    let mut entries = Vec::new();
    for step in 0..500 {
        let caller = Caller { session_id: 1, xid: step };
        // What ZooKeeper itself does not make good is left out: it raises the parent only for create, and not in create2.
        let request = match random.random_range(0..4) {
            0 => Request::Delete(path_version(&mut random)),
            1 => Request::SetData(set_data(&mut random)),
            _ => Request::Create(CreateRequest { acl: vec![Acl::open()], ..create(&mut random) }),
        };
        entries.extend(tree.step(1000, caller, &request).entry);
    }
    for from in [0, 100, 250, 400] {
        let mut again = tree.clone();
        for entry in &entries[from..] {
            again.apply(&entry.header, &entry.txn);
        }
        expect_same(&again, &tree);
    }
}
