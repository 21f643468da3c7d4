//! Sessions: granted, taken up again, closed, expired.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_jute::{ConnectRequest, EventType, PathWatchRequest, Request};

use crate::{
    client::{Client, connect_request},
    start, stop,
};

const EPHEMERAL: i32 = 1;

#[test]
fn timeouts_are_negotiated_into_the_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    for (asked, granted) in [(-5, 200), (1, 200), (5000, 5000), (1_000_000, 60_000)] {
        let client = Client::connect_with(address, &connect_request(asked)).unwrap();
        assert_eq!(client.timeout_ms, granted);
        assert_eq!(client.session >> 56, 1);
        assert_eq!(client.password.as_ref().unwrap().len(), 16);
    }
    let old = Client::connect_with(address, &ConnectRequest { read_only: None, ..connect_request(5000) }).unwrap();
    assert_ne!(old.session, 0);
    stop(keeper);
}

#[test]
fn a_session_is_taken_up_again_with_its_password_only() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let mut first = Client::connect(address);
    first.create("/mine", "", EPHEMERAL).unwrap();

    let mut second = first.reattach(address).unwrap();
    assert_eq!((second.session, second.timeout_ms), (first.session, 30_000));
    assert!(first.is_closed(), "the session is at one connection");
    assert!(second.exists("/mine", false));

    let wrong = ConnectRequest {
        session_id: first.session,
        password: Some(Bytes::from_static(&[7; 16])),
        ..connect_request(5000)
    };
    let mut refused = Client::connect_with(address, &wrong).unwrap();
    assert_eq!((refused.session, refused.timeout_ms), (0, 0));
    assert_eq!(refused.password.as_deref(), Some(&[0; 16][..]));
    assert!(refused.is_closed());
    assert!(second.is_closed(), "also a wrong password ends the other connection, as at ZooKeeper");

    let unknown = ConnectRequest { session_id: 99, ..wrong };
    assert_eq!(Client::connect_with(address, &unknown).unwrap().session, 0);
    assert_eq!(first.reattach(address).unwrap().session, first.session);
    stop(keeper);
}

#[test]
fn a_client_from_the_future_is_turned_away() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let future = ConnectRequest { last_zxid_seen: 1000, ..connect_request(5000) };
    assert!(Client::connect_with(address, &future).is_err());
    stop(keeper);
}

#[test]
fn closing_a_session_deletes_its_nodes_and_ends_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let (mut closing, mut watching) = (Client::connect(address), Client::connect(address));
    closing.create("/e", "", EPHEMERAL).unwrap();
    assert!(watching.exists("/e", true));
    closing.ask(&Request::CloseSession).unwrap();
    assert!(closing.is_closed());
    assert!(!watching.exists("/e", false));
    let event = watching.events.first().map(|event| (event.event_type, event.path.as_str()));
    assert_eq!(event, Some((EventType::NodeDeleted.code(), "/e")));
    assert_eq!(closing.reattach(address).unwrap().session, 0, "expired");
    stop(keeper);
}

#[test]
fn a_silent_session_expires_between_its_timeout_and_a_tick_more() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let mut silent = Client::connect_with(address, &connect_request(600)).unwrap();
    let mut pinging = Client::connect_with(address, &connect_request(600)).unwrap();
    silent.create("/silent", "", EPHEMERAL).unwrap();
    let last_heard = Instant::now();
    pinging.create("/pinging", "", EPHEMERAL).unwrap();
    while pinging.exists("/silent", false) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let lived = last_heard.elapsed();
    // A busy machine may be late; it may not be early.
    assert!(lived >= Duration::from_millis(590) && lived < Duration::from_secs(3), "{lived:?}");
    assert!(silent.is_closed());
    assert!(pinging.exists("/pinging", false));
    stop(keeper);
}

#[test]
fn a_broken_connection_leaves_its_session_and_takes_its_watches() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let mut first = Client::connect(address);
    first.create("/e", "", EPHEMERAL).unwrap();
    first.ask(&Request::GetData(PathWatchRequest { path: "/e".into(), watch: true })).unwrap();
    let mut second = first.reattach(address).unwrap();
    drop(first);
    second.delete("/e").unwrap();
    second.sync();
    assert_eq!(second.events, []);
    stop(keeper);
}

#[test]
fn sessions_outlive_the_server_and_their_nodes_may_be_deleted_by_others() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let mut client = Client::connect(address);
    client.create("/e", "", EPHEMERAL).unwrap();
    client.create("/f", "", EPHEMERAL).unwrap();
    stop(keeper);
    assert!(client.is_closed());

    let (keeper, address) = start(dir.path());
    let mut stranger = Client::connect(address);
    assert!(stranger.session > client.session);
    stranger.delete("/f").unwrap();
    let mut again = client.reattach(address).unwrap();
    assert_eq!(again.session, client.session);
    assert!(again.exists("/e", false));
    again.ask(&Request::CloseSession).unwrap();
    assert!(!stranger.exists("/e", false));
    stop(keeper);
}

#[test]
fn a_dead_sessions_nodes_go_after_a_restart_when_nobody_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let mut client = Client::connect_with(address, &connect_request(600)).unwrap();
    client.create("/e", "", EPHEMERAL).unwrap();
    stop(keeper);
    let (keeper, address) = start(dir.path());
    let mut other = Client::connect(address);
    assert!(other.exists("/e", false), "its owner has its whole timeout to come back");
    let started = Instant::now();
    while other.exists("/e", false) {
        assert!(started.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(20));
    }
    stop(keeper);
}
