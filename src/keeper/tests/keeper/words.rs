//! Four-letter commands and the limits of connections.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use ottla_jute::{PathWatchRequest, Record, Request, RequestHeader};
use ottla_keeper::Keeper;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    client::{Client, connect_request, word},
    start, stop, with,
};

#[test]
fn commands_answer_what_monitoring_reads() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let mut client = Client::connect(address);
    client.create("/a", "data", 0).unwrap();
    client.exists("/a", true);
    assert_eq!(word(address, "ruok"), "imok");
    assert_eq!(word(address, "isro"), "rw");
    let stat = word(address, "stat");
    assert!(stat.starts_with("Zookeeper version: 3.8.4-"), "{stat}");
    let lines = [
        "\nClients:\n /127.0.0.1:",
        "\nConnections: 1\n",
        "\nZxid: 0x2\n",
        "\nMode: standalone\n",
        "\nNode count: 6\n",
    ];
    assert!(lines.iter().all(|line| stat.contains(line)), "{stat}");
    assert!(!word(address, "srvr").contains("Clients:"));
    let mntr = word(address, "mntr");
    let lines = [
        "zk_server_state\tstandalone\n",
        "zk_znode_count\t6\n",
        "zk_watch_count\t1\n",
        "zk_num_alive_connections\t1\n",
    ];
    assert!(lines.iter().all(|line| mntr.contains(line)), "{mntr}");
    let cons = word(address, "cons");
    assert!(cons.contains(&format!("sid={:#x},lop=EXIS", client.session)), "{cons}");
    assert!(word(address, "conf").contains("tickTime=100\n"));
    assert!(word(address, "dump").contains(&format!("{:#x}", client.session)));
    assert_eq!(word(address, "wchs"), "1 connections watching 1 paths\nTotal watches:1\n");
    assert_eq!(word(address, "gtmk"), "gtmk is not executed because it is not in the whitelist.\n");
    stop(keeper);
}

#[test]
fn only_listed_commands_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let keeper = Keeper::start(with(dir.path(), &[("4lw.commands.whitelist", "ruok")])).unwrap();
    assert_eq!(word(keeper.local_addr(), "ruok"), "imok");
    assert!(word(keeper.local_addr(), "srvr").contains("Mode: standalone"));
    assert_eq!(word(keeper.local_addr(), "stat"), "stat is not executed because it is not in the whitelist.\n");
    stop(keeper);
}

#[test]
fn connections_of_one_address_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let keeper = Keeper::start(with(dir.path(), &[("maxClientCnxns", "2")])).unwrap();
    let address = keeper.local_addr();
    let first = Client::connect(address);
    let _second = Client::connect(address);
    assert!(Client::connect_with(address, &connect_request(5000)).is_err());
    drop(first);
    let free = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        Client::connect_with(address, &connect_request(5000)).is_ok()
    });
    assert!(free, "an ended connection gives its place back");
    stop(keeper);
}

#[test]
fn what_is_no_request_is_closed_without_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let garbage: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0x16, 3, 1, 0, 0xa5, 1, 0, 0],
        &[0xff; 8],
        &[0, 0, 0, 0],
        &[0, 0x10, 0, 0, 1],
        &[0, 0, 0, 5, 1, 2, 3, 4, 5],
    ];
    for bytes in garbage {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A reset is as good as an end: bytes that nobody read are lost.
        let closed = stream
            .read_to_end(&mut answer)
            .map_or_else(|error| error.kind() == std::io::ErrorKind::ConnectionReset, |_| true);
        assert!(closed && answer.is_empty(), "{bytes:?}: {answer:?}");
    }
    stop(keeper);
}

#[test]
fn a_stop_does_not_wait_for_those_who_say_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let _silent = TcpStream::connect(address).unwrap();
    let mut idle = Client::connect(address);
    let begun = Instant::now();
    stop(keeper);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(idle.is_closed());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_client_that_takes_no_answers_is_not_read_from() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let mut client = Client::connect(address);
    client.create("/big", &"x".repeat(1_000_000), 0).unwrap();
    let mut greedy = Client::connect(address);
    let get = Request::GetData(PathWatchRequest { path: "/big".into(), watch: false });
    for _ in 0..2000 {
        greedy.send(&get).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    let cons = word(address, "cons");
    let line = cons.lines().find(|line| line.contains(&format!("sid={:#x}", greedy.session))).unwrap();
    let received = line.split("recved=").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    assert!(received.parse::<usize>().unwrap() < 300, "{line}");
    // Nothing is lost by it.
    for _ in 0..2000 {
        assert_eq!(greedy.receive_reply().unwrap().0.err, 0);
    }
    stop(keeper);
}

#[test]
fn random_bytes_in_a_session_disturb_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, address) = start(dir.path());
    let mut quiet = Client::connect(address);
    quiet.create("/n", "", 0).unwrap();
    let mut rng = StdRng::seed_from_u64(7);
    let op_codes =
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 101, 103, 104, 105, 106, 107];
    let mut noisy = Client::connect(address);
    for round in 0..3000 {
        let mut body = RequestHeader { xid: round, op_code: op_codes[rng.random_range(0..op_codes.len())] }.encode();
        // Small numbers make plausible lengths.
        body.extend(
            (0..rng.random_range(0..60)).map(|_| if rng.random_bool(0.7) { 0 } else { rng.random_range(0..50) }),
        );
        let answered = noisy.send_frame(&body).and_then(|()| noisy.receive_reply());
        if answered.is_err() {
            noisy = Client::connect(address);
        }
    }
    assert_eq!(quiet.data("/n").unwrap(), "");
    stop(keeper);
    let (keeper, address) = start(dir.path());
    assert!(Client::connect(address).exists("/n", false));
    stop(keeper);
}
