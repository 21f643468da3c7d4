//! The seam's live side against a server, with a connection that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ottla::zk::live::{LiveOptions, LiveZnodes};
use ottla::zk::znodes::{CreateMode, MultiError, Op, OpResult, SessionEvent, WatchEvent, ZkError, Znodes};
use ottla_keeper::{Keeper, KeeperSettings};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

const SESSION_TIMEOUT: Duration = Duration::from_secs(2);

/// An embedded keeper with a folder of its own.
struct Server {
    keeper: Keeper,
    folder: TempDir,
}

impl Server {
    fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        Server { keeper: Keeper::start(settings(&folder, 0)).unwrap(), folder }
    }

    fn address(&self) -> SocketAddr {
        self.keeper.local_addr()
    }
}

fn settings(folder: &TempDir, port: u16) -> KeeperSettings {
    let mut settings = KeeperSettings::new(folder.path());
    settings.listen = SocketAddr::from(([127, 0, 0, 1], port));
    settings.tick_time_ms = 100;
    settings.session_timeout_ms = 200..=20_000;
    settings
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Line {
    Through,
    /// Bytes are kept back; nobody notices at once.
    Still,
    /// Connections are closed, new ones too.
    Cut,
}

/// A way to the server that can be cut.
struct Proxy {
    address: SocketAddr,
    line: Arc<watch::Sender<Line>>,
}

impl Proxy {
    async fn to(server: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let line = Arc::new(watch::channel(Line::Through).0);
        let state = line.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (up, down) = (state.subscribe(), state.subscribe());
                tokio::spawn(async move {
                    if *up.borrow() == Line::Cut {
                        return;
                    }
                    let Ok(server) = TcpStream::connect(server).await else { return };
                    let (client_in, client_out) = client.into_split();
                    let (server_in, server_out) = server.into_split();
                    tokio::select! {
                        () = pump(client_in, server_out, up) => {}
                        () = pump(server_in, client_out, down) => {}
                    }
                });
            }
        });
        Proxy { address, line }
    }

    fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

async fn pump(
    from: tokio::net::tcp::OwnedReadHalf,
    to: tokio::net::tcp::OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
) {
    let mut buffer = [0; 4096];
    loop {
        tokio::select! {
            changed = line.wait_for(|line| *line == Line::Cut) => return drop(changed),
            ready = from.readable() => ready.unwrap(),
        }
        if line.wait_for(|line| *line != Line::Still).await.is_ok_and(|line| *line == Line::Cut) {
            return;
        }
        let read = match from.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            if to.writable().await.is_err() {
                return;
            }
            match to.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

fn options(address: SocketAddr, chroot: &str) -> LiveOptions {
    let mut options = LiveOptions::new(&format!("{address}{chroot}"));
    options.session_timeout = SESSION_TIMEOUT;
    options
}

async fn connect(address: SocketAddr, chroot: &str) -> LiveZnodes {
    LiveZnodes::connect(options(address, chroot)).await.unwrap()
}

async fn next(events: &mut Receiver<SessionEvent>) -> SessionEvent {
    timeout(Duration::from_secs(20), events.recv()).await.expect("an event in time").unwrap()
}

#[tokio::test]
async fn operations_do_what_they_say() {
    let server = Server::start();
    let chroot = "/ops/a";
    let zk = connect(server.address(), chroot).await;
    let (path, stat) = zk.create("/n", b"1", CreateMode::Persistent).await.unwrap();
    assert_eq!((path.as_str(), stat.version, stat.data_length), ("/n", 0, 1));
    assert!(stat.czxid > 0);
    assert_eq!(zk.create("/n", b"", CreateMode::Persistent).await, Err(ZkError::NodeExists));
    assert_eq!(zk.create("/x/y", b"", CreateMode::Persistent).await, Err(ZkError::NoNode));
    assert_eq!(zk.set("/n", b"22", Some(5)).await, Err(ZkError::BadVersion));
    assert_eq!(zk.set("/n", b"22", Some(0)).await.unwrap().version, 1);
    assert_eq!(zk.get("/n").await.unwrap().0, b"22");
    assert_eq!(zk.get("/none").await, Err(ZkError::NoNode));
    assert_eq!(zk.exists("/none").await, Ok(None));
    let names = [zk.create("/n/s_", b"", CreateMode::PersistentSequential).await.unwrap().0];
    assert_eq!(names, ["/n/s_0000000000"]);
    assert_eq!(zk.children("/n").await.unwrap(), ["s_0000000000"]);
    assert_eq!(zk.delete("/n", None).await, Err(ZkError::NotEmpty));
    let owned = zk.create("/e", b"", CreateMode::Ephemeral).await.unwrap().1.ephemeral_owner;
    assert_eq!(owned, zk.session_id());
    assert_eq!(zk.create("/e/c", b"", CreateMode::Persistent).await, Err(ZkError::Refused(-108)));
    zk.sync("/").await.unwrap();

    let create = |path: &str| Op::Create { path: path.into(), data: vec![], mode: CreateMode::Persistent };
    let check = Op::Check { path: "/n".into(), version: 1 };
    let set = Op::Set { path: "/m".into(), data: b"x".to_vec(), version: Some(0) };
    let done = zk.multi(vec![check.clone(), create("/m"), set]).await.unwrap();
    assert_eq!(done[..2], [OpResult::Checked, OpResult::Created("/m".into())]);
    assert!(matches!(done[2], OpResult::Set(stat) if stat.version == 1));
    let failed = zk.multi(vec![check, create("/o"), create("/m")]).await;
    assert_eq!(failed, Err(MultiError::At { index: 2, source: ZkError::NodeExists }));
    assert_eq!(zk.exists("/o").await, Ok(None), "none or all");

    let big = vec![0; 1 << 20];
    assert!(matches!(zk.set("/n", &big, None).await, Err(ZkError::TooLarge(_))));
    let most = vec![0; (1 << 20) - 1000];
    zk.set("/n", &most, None).await.unwrap();

    // The chroot is there already; the ephemeral node goes with the session.
    let second = connect(server.address(), chroot).await;
    assert!(second.exists("/e").await.unwrap().is_some());
    zk.close().await.unwrap();
    assert_eq!(second.exists("/e").await, Ok(None));
    assert_eq!(zk.exists("/n").await, Err(ZkError::Expired), "a closed session answers");
}

#[tokio::test]
async fn what_cannot_be_reached_or_understood_is_said() {
    let mut options = LiveOptions::new("127.0.0.1:1");
    options.connection_timeout = Duration::from_millis(300);
    let error = LiveZnodes::connect(options).await.err().unwrap().to_string();
    assert!(error.contains("127.0.0.1:1") && error.contains("300 ms"), "{error}");
    for bad in ["", "/a", "h:1/a//b", "h:x"] {
        assert!(LiveZnodes::connect(LiveOptions::new(bad)).await.is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_chroot_that_is_not_to_be_made_is_missed() {
    let server = Server::start();
    let mut options = options(server.address(), "/a/b");
    options.create_chroot = false;
    let error = LiveZnodes::connect(options.clone()).await.err().expect("there is no /a/b").to_string();
    assert!(error.contains("there is no node /a/b"), "{error}");
    let root = connect(server.address(), "").await;
    assert_eq!(root.exists("/a").await, Ok(None), "nothing was made");
    connect(server.address(), "/a/b").await.close().await.unwrap();
    assert!(LiveZnodes::connect(options).await.is_ok());
}

#[tokio::test]
async fn watches_fire_once_also_beyond_one_sessions_budget() {
    let server = Server::start();
    let mut options = options(server.address(), "/watches");
    options.watched_bytes = 200;
    let zk = LiveZnodes::connect(options).await.unwrap();
    let mut watchers = Vec::new();
    for number in 0..20 {
        let path = format!("/a-path-of-some-length-{number}");
        let (stat, watcher) = zk.exists_and_watch(&path).await.unwrap();
        assert_eq!(stat, None);
        watchers.push((path, watcher));
    }
    let (_, children) = zk.children_and_watch("/").await.unwrap();
    for (path, watcher) in watchers {
        zk.create(&path, b"", CreateMode::Persistent).await.unwrap();
        assert_eq!(timeout(SESSION_TIMEOUT, watcher).await, Ok(WatchEvent::Created));
    }
    assert_eq!(children.await, WatchEvent::ChildrenChanged);
    let (_, _, dropped) = zk.get_and_watch("/a-path-of-some-length-1").await.unwrap();
    let (_, _, kept) = zk.get_and_watch("/a-path-of-some-length-1").await.unwrap();
    drop(dropped);
    sleep(Duration::from_millis(50)).await;
    zk.delete("/a-path-of-some-length-1", None).await.unwrap();
    assert_eq!(timeout(SESSION_TIMEOUT, kept).await, Ok(WatchEvent::Deleted));
    assert_eq!(zk.get_and_watch("/none").await.err(), Some(ZkError::NoNode));
}

#[tokio::test]
async fn a_lost_connection_is_not_a_lost_session() {
    let server = Server::start();
    let proxy = Proxy::to(server.address()).await;
    let chroot = "/loss";
    let zk = connect(proxy.address, chroot).await;
    let other = connect(server.address(), chroot).await;
    let session = zk.session_id();
    let mut events = zk.session_events();
    zk.create("/e", b"", CreateMode::Ephemeral).await.unwrap();
    let (_, watcher) = zk.exists_and_watch("/w").await.unwrap();

    // A request is on its way when the connection goes: nobody knows whether it was done.
    proxy.set(Line::Still);
    let set = zk.set("/e", b"x", None);
    let get = zk.get("/e");
    sleep(Duration::from_millis(100)).await;
    proxy.set(Line::Cut);
    assert_eq!(set.await, Err(ZkError::Unknown));
    assert_eq!(next(&mut events).await, SessionEvent::Lost);

    // What is asked now waits for the connection; what happens meanwhile is seen.
    other.create("/w", b"", CreateMode::Persistent).await.unwrap();
    let waiting = zk.get("/w");
    proxy.set(Line::Through);
    assert_eq!(waiting.await.unwrap().1.version, 0);
    assert!(get.await.is_ok(), "a read can be asked again");
    assert_eq!(next(&mut events).await, SessionEvent::Restored);
    assert_eq!(timeout(SESSION_TIMEOUT, watcher).await, Ok(WatchEvent::Created));
    assert_eq!(zk.session_id(), session);
    assert!(zk.exists("/e").await.unwrap().is_some());
}

#[tokio::test]
async fn more_watches_than_one_session_can_set_again_survive_a_reconnect() {
    let server = Server::start();
    let proxy = Proxy::to(server.address()).await;
    let zk = connect(proxy.address, "").await;
    let other = connect(server.address(), "").await;
    let session = zk.session_id();
    let mut events = zk.session_events();
    // 150 kB of paths; at 128 KiB the crate's reconnect would fail until the session is lost.
    let paths: Vec<String> = (0..1500).map(|number| format!("/{number:0>99}")).collect();
    let mut watchers = Vec::new();
    for path in &paths {
        watchers.push(zk.exists_and_watch(path).await.unwrap().1);
    }
    proxy.set(Line::Cut);
    assert_eq!(next(&mut events).await, SessionEvent::Lost);
    proxy.set(Line::Through);
    assert_eq!(next(&mut events).await, SessionEvent::Restored);
    assert_eq!(zk.session_id(), session);
    for number in [0, 700, 1499] {
        other.create(&paths[number], b"", CreateMode::Persistent).await.unwrap();
    }
    for number in [1499, 700, 0] {
        let seen = timeout(2 * SESSION_TIMEOUT, watchers.remove(number)).await;
        assert_eq!(seen, Ok(WatchEvent::Created), "{number}");
    }
    assert!(events.is_empty(), "{:?}", events.recv().await);
}

#[tokio::test]
async fn an_answer_that_is_too_short_is_an_unknown_outcome() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let frame = |parts: &[&[u8]]| {
            let body = parts.concat();
            [&(body.len() as i32).to_be_bytes()[..], &body].concat()
        };
        // Connected: version, timeout, session, password, not read-only.
        let connected = [&[0; 4][..], &10_000_i32.to_be_bytes(), &7_i64.to_be_bytes(), &16_i32.to_be_bytes(), &[0; 17]];
        let mut answer = frame(&connected);
        loop {
            let length = client.read_i32().await.unwrap();
            let mut request = vec![0; length as usize];
            client.read_exact(&mut request).await.unwrap();
            client.write_all(&answer).await.unwrap();
            // Every request is answered with its xid and too little.
            let mut next = [0; 8];
            while client.peek(&mut next).await.unwrap() < 8 {
                sleep(Duration::from_millis(1)).await;
            }
            answer = frame(&[&next[4..], &1_i64.to_be_bytes(), &0_i32.to_be_bytes(), b"short"]);
        }
    });
    let zk = connect(address, "").await;
    assert_eq!(zk.get("/n").await, Err(ZkError::Unknown));
}

#[tokio::test]
async fn a_call_that_is_never_answered_ends_at_its_deadline() {
    let server = Server::start();
    let proxy = Proxy::to(server.address()).await;
    let zk = connect(proxy.address, "").await;
    proxy.set(Line::Cut);
    let begun = Instant::now();
    assert_eq!(zk.exists("/").await, Err(ZkError::Unknown));
    assert!(begun.elapsed() < SESSION_TIMEOUT + Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_session_is_expired_only_when_the_server_says_so_and_another_begins() {
    let server = Server::start();
    let proxy = Proxy::to(server.address()).await;
    let chroot = "/expiry";
    let zk = connect(proxy.address, chroot).await;
    let other = connect(server.address(), chroot).await;
    let session = zk.session_id();
    let mut events = zk.session_events();
    zk.create("/e", b"", CreateMode::Ephemeral).await.unwrap();
    let (_, _, watcher) = zk.get_and_watch("/e").await.unwrap();
    proxy.set(Line::Cut);
    assert_eq!(next(&mut events).await, SessionEvent::Lost);
    let (_, gone) = other.exists_and_watch("/e").await.unwrap();
    assert_eq!(timeout(4 * SESSION_TIMEOUT, gone).await, Ok(WatchEvent::Deleted));
    // The crate gives up by itself at 7/5 of the timeout: nobody is told of an expiry while no server has said so.
    sleep(SESSION_TIMEOUT).await;
    assert!(events.is_empty(), "{:?}", events.recv().await);
    let waiting = zk.exists("/e");
    proxy.set(Line::Through);
    assert_eq!(waiting.await, Err(ZkError::Expired), "a call of the old session was sent in the new one");
    assert_eq!(next(&mut events).await, SessionEvent::Expired);
    let SessionEvent::Started { session_id } = next(&mut events).await else { panic!("no session began") };
    assert_ne!(session_id, session);
    assert_eq!(zk.session_id(), session_id);
    assert_eq!(watcher.await, WatchEvent::Lost);
    zk.create("/e", b"", CreateMode::Ephemeral).await.unwrap();
}

#[tokio::test]
async fn a_session_that_the_client_gave_up_is_taken_back_by_a_server_that_still_has_it() {
    let Server { keeper, folder } = Server::start();
    let address = keeper.local_addr();
    let zk = connect(address, "/a").await;
    let session = zk.session_id();
    let mut events = zk.session_events();
    zk.create("/e", b"", CreateMode::Ephemeral).await.unwrap();
    let (_, watcher) = zk.exists_and_watch("/w").await.unwrap();
    keeper.shutdown().await.unwrap();
    assert_eq!(next(&mut events).await, SessionEvent::Lost);
    // Past the 7/5 of the timeout after which the crate gives up; a server that starts gives every session its full time.
    sleep(2 * SESSION_TIMEOUT).await;
    assert!(events.is_empty(), "{:?}", events.recv().await);
    let waiting = zk.exists("/e");
    let _keeper = Keeper::start(settings(&folder, address.port())).unwrap();
    assert!(waiting.await.unwrap().is_some_and(|stat| stat.ephemeral_owner == session));
    assert_eq!(next(&mut events).await, SessionEvent::Restored);
    assert_eq!(zk.session_id(), session);
    // That watch belonged to the client that gave up.
    assert_eq!(watcher.await, WatchEvent::Lost);
    zk.delete("/e", None).await.unwrap();
}
