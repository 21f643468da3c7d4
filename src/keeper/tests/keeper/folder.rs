//! What is on disk: kept through crashes, refused when damaged, Apache ZooKeeper's when given to us.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use ottla_jute::{PathRequest, PathWatchRequest, Request, Response};
use ottla_keeper::{Keeper, KeeperError};
use serde_json::{Value, json};

use crate::{
    client::{Client, connect_request, set_data},
    settings, start, stop, with,
};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("version-2")).unwrap();
    for entry in fs::read_dir(from.join("version-2")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join("version-2").join(entry.file_name())).unwrap();
    }
}

fn files(dir: &Path, prefix: &str) -> Vec<String> {
    let names =
        fs::read_dir(dir.join("version-2")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    names
}

fn only_log(dir: &Path) -> PathBuf {
    let logs = files(dir, "log.");
    assert_eq!(logs.len(), 1, "{logs:?}");
    dir.join("version-2").join(&logs[0])
}

#[test]
fn apache_zookeepers_folder_is_served_as_it_served_it() {
    let dir = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata"), dir.path());
    let expected: Value = serde_json::from_str(include_str!("../../testdata/tree.json")).unwrap();
    for _ in 0..2 {
        let (keeper, address) = start(dir.path());
        let mut client = Client::connect(address);
        let nodes = expected["nodes"].as_array().unwrap();
        let mut seen = 0;
        for node in nodes {
            let path = node["path"].as_str().unwrap().to_owned();
            // Nodes that are not for everybody are compared by the tests of the tree.
            let Ok(Response::GetData(answer)) =
                client.ask(&Request::GetData(PathWatchRequest { path: path.clone(), watch: false }))
            else {
                assert!(path.starts_with("/acl"), "{path}");
                continue;
            };
            seen += 1;
            let stat = answer.stat;
            let ours = json!({
                "path": path, "data": answer.data.map(|data| BASE64_STANDARD.encode(data)), "czxid": stat.czxid,
                "mzxid": stat.mzxid, "ctime": stat.ctime, "mtime": stat.mtime, "version": stat.version,
                "cversion": stat.cversion, "aversion": stat.aversion, "ephemeralOwner": stat.ephemeral_owner,
                "dataLength": stat.data_length, "numChildren": stat.num_children, "pzxid": stat.pzxid,
            });
            for (field, value) in ours.as_object().unwrap() {
                assert_eq!(value, &node[field], "{path} {field}");
            }
            assert_eq!(json!(client.children(&path)), node["children"], "{path}");
            let acl = client.ask(&Request::GetAcl(PathRequest { path: path.clone() }));
            let Ok(Response::GetAcl(answer)) = acl else { panic!("{acl:?}") };
            let acl: Value = answer
                .acl
                .iter()
                .map(|acl| json!({"perms": acl.perms, "scheme": acl.id.scheme, "id": acl.id.id}))
                .collect();
            assert_eq!(acl, node["acl"], "{path}");
        }
        assert!(seen > 10 && seen + 5 > nodes.len(), "{seen} of {}", nodes.len());
        stop(keeper);
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (keeper, address) = start(dir.path());
    let mut client = Client::connect(address);
    for number in 0..50 {
        client.create(&format!("/n{number}"), "", 0).unwrap();
        client.ask(&set_data(&format!("/n{number}"), "changed", 0)).unwrap();
    }
    // What a kill would leave behind: the files as they are, with nothing closed.
    copy(dir.path(), killed.path());
    let (survivor, address) = start(killed.path());
    let mut again = client.reattach(address).unwrap();
    assert_eq!(again.session, client.session);
    for number in 0..50 {
        assert_eq!(again.data(&format!("/n{number}")).unwrap(), "changed");
    }
    stop(survivor);
    stop(keeper);
}

#[test]
fn a_torn_last_entry_is_forgotten_wherever_it_was_cut() {
    let (dir, torn) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (keeper, address) = start(dir.path());
    let mut client = Client::connect(address);
    client.create("/kept", "", 0).unwrap();
    stop(keeper);
    let (keeper, address) = start(dir.path());
    let mut client = client.reattach(address).unwrap();
    client.create("/last", "", 0).unwrap();
    stop(keeper);
    let last = dir.path().join("version-2").join(files(dir.path(), "log.").pop().unwrap());
    let bytes = fs::read(&last).unwrap();
    assert!(bytes.len() > 16, "a log of its own");
    for length in 0..bytes.len() {
        copy(dir.path(), torn.path());
        fs::write(torn.path().join("version-2").join(last.file_name().unwrap()), &bytes[..length]).unwrap();
        let (keeper, address) = start(torn.path());
        let mut client = Client::connect(address);
        assert!(client.exists("/kept", false) && !client.exists("/last", false), "{length} bytes");
        // The zxid is free again, and its file is written anew.
        client.create("/after", "", 0).unwrap();
        stop(keeper);
        let (keeper, address) = start(torn.path());
        assert!(Client::connect(address).exists("/after", false), "{length} bytes");
        stop(keeper);
        fs::remove_dir_all(torn.path().join("version-2")).unwrap();
    }
}

#[test]
fn a_damaged_log_stops_the_start_with_its_name_and_position() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    Client::connect(address).create("/n", "some data", 0).unwrap();
    stop(keeper);
    let log = only_log(dir.path());
    let mut bytes = fs::read(&log).unwrap();
    bytes[16 + 12 + 5] ^= 1;
    fs::write(&log, bytes).unwrap();
    let message = Keeper::start(settings(dir.path())).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{} at byte 16: ", log.display())), "{message}");
}

#[test]
fn a_damaged_newest_snapshot_is_passed_over_and_replaced() {
    let dir = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata"), dir.path());
    let newest = dir.path().join("version-2/snapshot.3f");
    let mut bytes = fs::read(&newest).unwrap();
    bytes[100] ^= 1;
    fs::write(&newest, bytes).unwrap();
    let (keeper, address) = start(dir.path());
    assert_eq!(Client::connect(address).children("/m"), ["c", "s0000000000", "s0000000001"]);
    stop(keeper);
    assert_eq!(files(dir.path(), "snapshot.").len(), 3, "one more, and a purge of those before");
}

#[test]
fn a_log_without_any_snapshot_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    Client::connect(address).create("/n", "", 0).unwrap();
    stop(keeper);
    for snapshot in files(dir.path(), "snapshot.") {
        fs::remove_file(dir.path().join("version-2").join(snapshot)).unwrap();
    }
    let error = Keeper::start(settings(dir.path())).unwrap_err();
    assert!(matches!(error, KeeperError::Unrestorable { .. }), "{error}");
}

#[test]
fn snapshots_are_taken_the_log_is_rolled_and_old_files_go() {
    let dir = tempfile::tempdir().unwrap();
    let pairs = [("snapCount", "10"), ("preAllocSize", "0")];
    let keeper = Keeper::start(with(dir.path(), &pairs)).unwrap();
    let mut client = Client::connect(keeper.local_addr());
    // A snapshot that is still being written when the next is due makes that one wait, so the number is not certain.
    let mut created = 0;
    while files(dir.path(), "snapshot.").len() <= 5 {
        client.create(&format!("/n{created}"), "", 0).unwrap();
        created += 1;
        assert!(created < 10_000, "no snapshots");
    }
    stop(keeper);
    assert_eq!(files(dir.path(), ".snapshot"), Vec::<String>::new());
    // A purge comes soon after each start.
    let keeper = Keeper::start(with(dir.path(), &pairs)).unwrap();
    let mut client = Client::connect(keeper.local_addr());
    assert_eq!(client.children("/").len(), created + 1);
    stop(keeper);
    let kept = files(dir.path(), "snapshot.");
    assert!((3..=4).contains(&kept.len()), "three, and one more if it was due: {kept:?}");
    let keeper = Keeper::start(with(dir.path(), &pairs)).unwrap();
    assert_eq!(Client::connect(keeper.local_addr()).children("/").len(), created + 1);
    stop(keeper);
}

#[test]
fn one_clear_line_when_the_port_or_the_folder_is_taken() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (keeper, address) = start(dir.path());
    let port = address.port().to_string();
    let taken = Keeper::start(with(other.path(), &[("clientPort", &port)])).unwrap_err().to_string();
    assert!(taken.starts_with(&format!("cannot listen on {address} ")) && !taken.contains('\n'), "{taken}");
    let locked = Keeper::start(settings(dir.path())).unwrap_err();
    assert!(matches!(locked, KeeperError::Locked { .. }), "{locked}");
    stop(keeper);
    fs::write(other.path().join("letter.txt"), "dear").unwrap();
    let foreign = Keeper::start(settings(other.path())).unwrap_err();
    assert!(matches!(foreign, KeeperError::Foreign { .. }), "{foreign}");
}

#[test]
fn a_disk_that_refuses_ends_the_keeper_and_acknowledges_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, address) = start(dir.path());
    // The first write makes the log; it cannot.
    fs::remove_dir_all(dir.path().join("version-2")).unwrap();
    assert!(Client::connect_with(address, &connect_request(5000)).is_err());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(keeper.stopped()).to_string();
    assert!(error.starts_with("cannot create ") && error.contains("log.1: "), "{error}");
}

#[test]
fn a_session_with_more_nodes_than_fit_in_an_entry_is_closed_readably() {
    let dir = tempfile::tempdir().unwrap();
    let pairs = [("jute.maxbuffer", "2048")];
    let keeper = Keeper::start(with(dir.path(), &pairs)).unwrap();
    let mut client = Client::connect(keeper.local_addr());
    for number in 0..100 {
        client.create(&format!("/{number}-{}", "x".repeat(50)), "", 1).unwrap();
    }
    client.ask(&Request::CloseSession).unwrap();
    Client::connect(keeper.local_addr()).create("/after", "", 0).unwrap();
    stop(keeper);
    let keeper = Keeper::start(with(dir.path(), &pairs)).unwrap();
    assert_eq!(Client::connect(keeper.local_addr()).children("/"), ["after", "zookeeper"]);
    stop(keeper);
}
