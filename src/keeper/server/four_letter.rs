//! The four-letter commands: what a terminal or a monitoring agent asks (C/*Command.java).

use std::{fmt::Write, net::SocketAddr};

/// What a client of today takes this for; the second half says what it is.
const VERSION: &str = concat!("3.8.4-ottla-", env!("CARGO_PKG_VERSION"), ", built on 2026-01-01 00:00 UTC");

/// What ZooKeeper knows: four bytes that are not the length of a frame.
const KNOWN: [&[u8; 4]; 18] = [
    b"conf", b"cons", b"crst", b"dirs", b"dump", b"envi", b"gtmk", b"ruok", b"stmk", b"srst", b"srvr", b"stat",
    b"wchc", b"wchp", b"wchs", b"mntr", b"isro", b"hash",
];
/// What this keeper answers, if the whitelist has it.
const ANSWERED: [&str; 10] = ["conf", "cons", "dump", "envi", "isro", "mntr", "ruok", "srvr", "stat", "wchs"];

/// Whether a connection that begins so is a command.
pub(crate) fn is_known(head: [u8; 4]) -> bool {
    KNOWN.contains(&&head)
}

/// Whether there is an answer.
pub(crate) fn is_answered(word: &str) -> bool {
    ANSWERED.contains(&word)
}

/// What ZooKeeper says to a command that is not on its whitelist.
pub(crate) fn refusal(word: &str) -> String {
    format!("{word} is not executed because it is not in the whitelist.\n")
}

/// Count, least, most and sum, of times in ms.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) last: u64,
    min: u64,
    max: u64,
    sum: u64,
}

impl Latency {
    pub(crate) fn add(&mut self, ms: u64) {
        self.min = if self.count == 0 { ms } else { self.min.min(ms) };
        self.max = self.max.max(ms);
        self.count += 1;
        self.sum += ms;
        self.last = ms;
    }

    fn average(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }
}

/// The server at one moment.
#[derive(Debug, Clone)]
pub(crate) struct ServerPicture {
    pub(crate) latency: Latency,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) connections: Vec<ConnectionPicture>,
    pub(crate) zxid: i64,
    pub(crate) node_count: usize,
    pub(crate) watch_count: usize,
    pub(crate) watching_connections: usize,
    pub(crate) watched_paths: usize,
    pub(crate) data_size: i64,
    /// Session ids by the ms from now in which they expire.
    pub(crate) sessions: Vec<(i64, i64)>,
    /// Paths of the ephemeral nodes by session.
    pub(crate) ephemerals: Vec<(i64, Vec<String>)>,
    pub(crate) uptime_ms: u64,
    pub(crate) fsync: Latency,
    /// zoo.cfg's keys and their values.
    pub(crate) configuration: Vec<(&'static str, String)>,
}

/// One connection at one moment.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionPicture {
    pub(crate) peer: SocketAddr,
    pub(crate) outstanding: usize,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// None before the session is granted.
    pub(crate) session: Option<i64>,
    pub(crate) timeout_ms: i32,
    pub(crate) last_operation: &'static str,
    pub(crate) last_cxid: i32,
    pub(crate) last_zxid: i64,
    pub(crate) established_ms: u64,
    pub(crate) latency: Latency,
}

/// The answer to a command.
pub(crate) fn answer(word: &str, picture: &ServerPicture) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = match word {
        "ruok" => text.write_str("imok"),
        "isro" => text.write_str("rw"),
        "srvr" => server(&mut text, picture, false),
        "stat" => server(&mut text, picture, true),
        "cons" => connections(&mut text, picture),
        "conf" => picture.configuration.iter().try_for_each(|(key, value)| writeln!(text, "{key}={value}")),
        "envi" => environment(&mut text),
        "wchs" => watches(&mut text, picture),
        "dump" => dump(&mut text, picture),
        "mntr" => monitor(&mut text, picture),
        _ => Ok(()),
    };
    text
}

fn server(text: &mut String, picture: &ServerPicture, with_clients: bool) -> std::fmt::Result {
    writeln!(text, "Zookeeper version: {VERSION}")?;
    if with_clients {
        writeln!(text, "Clients:")?;
        for client in &picture.connections {
            let ConnectionPicture { peer, outstanding, received, sent, session, .. } = client;
            let interest = u8::from(session.is_some());
            writeln!(text, " /{peer}[{interest}](queued={outstanding},recved={received},sent={sent})")?;
        }
        writeln!(text)?;
    }
    let Latency { min, max, .. } = picture.latency;
    writeln!(text, "Latency min/avg/max: {min}/{}/{max}", decimal(picture.latency.average()))?;
    writeln!(text, "Received: {}\nSent: {}", picture.received, picture.sent)?;
    writeln!(text, "Connections: {}\nOutstanding: {}", picture.connections.len(), outstanding(picture))?;
    writeln!(text, "Zxid: {:#x}\nMode: standalone\nNode count: {}", picture.zxid, picture.node_count)
}

/// As Java prints a double with at most four digits.
fn decimal(value: f64) -> String {
    format!("{:?}", (value * 10_000.0).round() / 10_000.0)
}

fn outstanding(picture: &ServerPicture) -> usize {
    picture.connections.iter().map(|connection| connection.outstanding).sum()
}

fn connections(text: &mut String, picture: &ServerPicture) -> std::fmt::Result {
    for client in &picture.connections {
        let ConnectionPicture { peer, outstanding, received, sent, .. } = client;
        let interest = u8::from(client.session.is_some());
        write!(text, " /{peer}[{interest}](queued={outstanding},recved={received},sent={sent}")?;
        if let Some(session) = client.session {
            write!(text, ",sid={session:#x},lop={},est={}", client.last_operation, client.established_ms)?;
            write!(text, ",to={}", client.timeout_ms)?;
            if client.last_cxid >= 0 {
                write!(text, ",lcxid={:#x}", client.last_cxid)?;
            }
            let Latency { last, min, max, .. } = client.latency;
            write!(text, ",lzxid={:#x},lresp={last},llat={last},minlat={min}", client.last_zxid)?;
            write!(text, ",avglat={},maxlat={max}", client.latency.average() as u64)?;
        }
        writeln!(text, ")")?;
    }
    writeln!(text)
}

fn environment(text: &mut String) -> std::fmt::Result {
    let directory = std::env::current_dir().map_or_else(|_| String::new(), |dir| dir.display().to_string());
    writeln!(text, "Environment:\nzookeeper.version={VERSION}")?;
    writeln!(text, "os.name={}\nos.arch={}", std::env::consts::OS, std::env::consts::ARCH)?;
    writeln!(text, "user.dir={directory}")
}

fn watches(text: &mut String, picture: &ServerPicture) -> std::fmt::Result {
    writeln!(text, "{} connections watching {} paths", picture.watching_connections, picture.watched_paths)?;
    writeln!(text, "Total watches:{}", picture.watch_count)
}

fn dump(text: &mut String, picture: &ServerPicture) -> std::fmt::Result {
    writeln!(text, "SessionTracker dump:\nSessions ({}):", picture.sessions.len())?;
    for (session, expires_in_ms) in &picture.sessions {
        writeln!(text, "\t{session:#x}\texpires in {expires_in_ms} ms")?;
    }
    writeln!(text, "ephemeral nodes dump:\nSessions with Ephemerals ({}):", picture.ephemerals.len())?;
    for (session, paths) in &picture.ephemerals {
        writeln!(text, "{session:#x}:")?;
        paths.iter().try_for_each(|path| writeln!(text, "\t{path}"))?;
    }
    writeln!(text, "Connections dump:\nConnections ({}):", picture.connections.len())?;
    picture
        .connections
        .iter()
        .try_for_each(|connection| writeln!(text, "\t/{}\t{:#x}", connection.peer, connection.session.unwrap_or(0)))
}

fn monitor(text: &mut String, picture: &ServerPicture) -> std::fmt::Result {
    let ephemerals: usize = picture.ephemerals.iter().map(|(_, paths)| paths.len()).sum();
    let Latency { min, max, .. } = picture.latency;
    let lines: [(&str, String); 19] = [
        ("version", VERSION.to_owned()),
        ("server_state", "standalone".to_owned()),
        ("ephemerals_count", ephemerals.to_string()),
        ("num_alive_connections", picture.connections.len().to_string()),
        ("avg_latency", decimal(picture.latency.average())),
        ("outstanding_requests", outstanding(picture).to_string()),
        ("znode_count", picture.node_count.to_string()),
        ("global_sessions", picture.sessions.len().to_string()),
        ("packets_sent", picture.sent.to_string()),
        ("packets_received", picture.received.to_string()),
        ("watch_count", picture.watch_count.to_string()),
        ("min_latency", min.to_string()),
        ("approximate_data_size", picture.data_size.to_string()),
        ("uptime", picture.uptime_ms.to_string()),
        ("max_latency", max.to_string()),
        ("avg_fsynctime", decimal(picture.fsync.average())),
        ("min_fsynctime", picture.fsync.min.to_string()),
        ("max_fsynctime", picture.fsync.max.to_string()),
        ("cnt_fsynctime", picture.fsync.count.to_string()),
    ];
    lines.iter().try_for_each(|(key, value)| writeln!(text, "zk_{key}\t{value}"))
}
