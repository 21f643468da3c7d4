//! The one owner of the tree: decide, persist, announce.

use std::{
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use ottla_jute::{ConnectRequest, ConnectResponse, LogEntry, OpCode, Record, ReplyHeader, Request, Txn, WatcherEvent};
use ottla_tree::{Caller, Outcome, SessionIds, SessionTracker, Tree, password};
use tokio::sync::{mpsc, oneshot};

use crate::{
    error::KeeperError,
    file::{
        folder::Folder,
        log::LogWriter,
        restore::{Restored, encode, restore},
    },
    server::{
        background::{Background, write_snapshot},
        clients::Clients,
        deadline::Deadline,
        event::{ConnectionId, Event, Incoming},
        four_letter::{self, Latency},
    },
    settings::KeeperSettings,
};

/// Events taken from the queue at a time: what comes while the disk is busy makes the next group.
const GROUP: usize = 1000;
/// Bytes of log entries after which a group is written although more is queued.
const GROUP_BYTES: usize = 4 << 20;
/// Containers and nodes with a time to live are looked for this often, ms (znode.container.checkIntervalMs), ...
const PERISHED_INTERVAL_MS: i64 = 60_000;
/// ... and this many deleted at most.
const PERISHED: usize = 10_000;

/// Something that may leave when the group is durable.
#[derive(Debug)]
enum Announcement {
    Reply {
        connection: ConnectionId,
        frame: Bytes,
        zxid: i64,
        asked: Instant,
    },
    /// An event, or the answer to a connect.
    Notice {
        connection: ConnectionId,
        frame: Bytes,
    },
    End {
        connection: ConnectionId,
    },
    Word {
        answer: oneshot::Sender<String>,
        text: String,
    },
}

/// The tree, its files, the sessions' timers, the connections.
#[derive(Debug)]
pub(crate) struct CommitLoop {
    pub(super) settings: Arc<KeeperSettings>,
    folder: Folder,
    pub(super) tree: Tree,
    log: LogWriter,
    pub(super) tracker: SessionTracker,
    ids: SessionIds,
    pub(super) clients: Clients,
    announcements: Vec<Announcement>,
    /// Entries since the last snapshot.
    entries: u64,
    background: Background,
    next_perished_ms: i64,
    deadline: Arc<Deadline>,
    pub(super) started: Instant,
    pub(super) latency: Latency,
    pub(super) fsync: Latency,
    pub(super) received: u64,
    pub(super) sent: u64,
}

impl CommitLoop {
    /// Takes the folder and restores what it holds.
    pub(crate) fn open(settings: Arc<KeeperSettings>) -> Result<Self, KeeperError> {
        let folder = Folder::open(&settings.data_dir, &settings.data_log_dir)?;
        folder.remove_unfinished()?;
        let Restored { mut tree, replayed, newest_session, snapshot_needed } =
            restore(&folder, longest_entry(&settings))?;
        tree.set_extended_types(settings.extended_types);
        if snapshot_needed {
            write_snapshot(&folder.snapshots, tree.zxid(), &encode(&tree))?;
        }
        tracing::info!(
            "keeper: {} holds {} nodes and {} sessions at zxid {:#x}; {replayed} entries of the log were read",
            settings.data_dir.display(),
            tree.node_count() - 1,
            tree.sessions().len(),
            tree.zxid(),
        );
        let mut tracker = SessionTracker::new(settings.tick_time_ms.into());
        for (session, timeout_ms) in tree.sessions() {
            tracker.track(*session, *timeout_ms, 0);
        }
        let started = Instant::now();
        Ok(Self {
            log: LogWriter::new(folder.logs.clone(), settings.preallocation),
            settings,
            folder,
            tree,
            tracker,
            ids: SessionIds::new(wall_ms(), 1, newest_session),
            clients: Clients::default(),
            announcements: Vec::new(),
            entries: if snapshot_needed { 0 } else { replayed },
            background: Background::default(),
            next_perished_ms: PERISHED_INTERVAL_MS,
            deadline: Arc::new(Deadline::new(started)),
            started,
            latency: Latency::default(),
            fsync: Latency::default(),
            received: 0,
            sent: 0,
        })
    }

    /// When it wants to be told the time, at the latest.
    pub(crate) fn deadline(&self) -> Arc<Deadline> {
        self.deadline.clone()
    }

    /// Serves until told to stop, or until the disk refuses.
    pub(crate) fn run(mut self, mut queue: mpsc::Receiver<Event>) -> Result<(), KeeperError> {
        let mut group = Vec::with_capacity(GROUP);
        loop {
            // None: the network thread is gone.
            if queue.blocking_recv_many(&mut group, GROUP) == 0 {
                group.push(Event::Stop);
            }
            for event in group.drain(..) {
                if matches!(event, Event::Stop) {
                    self.commit()?;
                    self.background.finish();
                    return Ok(());
                }
                self.step(event);
                if self.log.pending() > GROUP_BYTES {
                    self.commit()?;
                }
            }
            let next = self.tracker.next_deadline().unwrap_or(i64::MAX).min(self.next_perished_ms);
            self.deadline.set(next);
            self.commit()?;
            if self.entries >= self.settings.snap_count && !self.background.is_busy() {
                self.log.roll();
                let bytes = encode(&self.tree);
                self.background.write_snapshot(self.folder.snapshots.clone(), self.tree.zxid(), bytes);
                self.entries = 0;
            }
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Opened { connection, peer, outbox } => self.clients.open(connection, peer, outbox),
            Event::Connect { connection, at, request } => self.connect(connection, at, &request),
            Event::Request { connection, at, xid, request } => self.request(connection, at, xid, request),
            Event::Closed { connection } => {
                self.release(connection);
                self.clients.remove(connection);
            }
            Event::Word { word, answer } => {
                let text = four_letter::answer(&word, &self.picture());
                self.announcements.push(Announcement::Word { answer, text });
            }
            Event::Tick { at } => self.tick(at),
            Event::Purge => self.purge(),
            Event::Stop => unreachable!("run takes it"),
        }
    }

    fn connect(&mut self, connection: ConnectionId, at: Instant, request: &ConnectRequest) {
        let Some(peer) = self.clients.peer(connection) else { return };
        self.received += 1;
        if request.last_zxid_seen > self.tree.zxid() {
            tracing::warn!(
                "keeper: turning away {peer}: it has seen {:#x}, the newest here is {:#x}",
                request.last_zxid_seen,
                self.tree.zxid(),
            );
            return self.end(connection);
        }
        let bounds = &self.settings.session_timeout_ms;
        let timeout_ms = request.timeout_ms.clamp(*bounds.start(), *bounds.end());
        let session = match request.session_id {
            0 => Some(self.create_session(timeout_ms)),
            session => {
                // Whoever asks: ZooKeeper closes the session's connection before it compares the password.
                if let Some(before) = self.clients.of_session(session) {
                    self.release(before);
                    self.end(before);
                }
                let known = self.tree.sessions().contains_key(&session);
                (is_password(session, request.password.as_deref().unwrap_or_default()) && known).then_some(session)
            }
        };
        let read_only = request.read_only.map(|_| false);
        let response = match session {
            Some(session_id) => {
                self.tracker.track(session_id, timeout_ms, self.ms(at));
                self.tree.connect(session_id, &peer.ip().to_canonical().to_string());
                self.clients.grant(connection, session_id, timeout_ms);
                let password = Some(Bytes::copy_from_slice(&password(session_id)));
                ConnectResponse { protocol_version: 0, timeout_ms, session_id, password, read_only }
            }
            None => {
                let password = Some(Bytes::from_static(&[0; 16]));
                ConnectResponse { protocol_version: 0, timeout_ms: 0, session_id: 0, password, read_only }
            }
        };
        self.announcements.push(Announcement::Notice { connection, frame: frame(response.encode()) });
        if session.is_none() {
            self.end(connection);
        }
    }

    fn create_session(&mut self, timeout_ms: i32) -> i64 {
        let session = self.ids.next().expect("ids do not end");
        let entry = self.tree.create_session(wall_ms(), session, timeout_ms);
        self.persist(entry);
        session
    }

    fn request(&mut self, connection: ConnectionId, at: Instant, xid: i32, request: Incoming) {
        let Some(session_id) = self.clients.session(connection) else { return };
        self.received += 1;
        self.tracker.touch(session_id, self.ms(at));
        let caller = Caller { session_id, xid };
        let op_code = request.op_code();
        self.clients.asked(connection, op_code, if op_code == Some(OpCode::Ping) { -2 } else { xid });
        let outcome = match request {
            Incoming::Request(request) => {
                let outcome = self.tree.step(wall_ms(), caller, &request);
                if matches!(request, Request::CloseSession) {
                    self.tracker.remove(session_id);
                }
                outcome
            }
            Incoming::Malformed(op_code) => self.tree.malformed(wall_ms(), caller, op_code),
            Incoming::Unknown => Outcome::unimplemented(xid),
        };
        self.take(outcome, Some((connection, at)));
    }

    /// In the order in which an outcome's parts must happen.
    fn take(&mut self, outcome: Outcome, caller: Option<(ConnectionId, Instant)>) {
        if let Some(entry) = outcome.entry {
            self.persist(entry);
        }
        for (session, event) in outcome.events {
            self.notify(session, &event);
        }
        let Some((connection, asked)) = caller else { return };
        if let Some(reply) = outcome.reply {
            let zxid = reply.header.zxid;
            self.announcements.push(Announcement::Reply { connection, frame: frame(reply.encode()), zxid, asked });
        }
        if outcome.close {
            self.release(connection);
            self.end(connection);
        }
    }

    fn persist(&mut self, entry: LogEntry) {
        let zxid = entry.header.zxid;
        let mut bytes = entry.encode();
        if bytes.len() > longest_entry(&self.settings) && matches!(entry.txn, Txn::CloseSession(_)) {
            // No server could read it at its next start. Without the paths it means the same; a digest would be misread.
            bytes = LogEntry { txn: Txn::CloseSession(None), digest: None, ..entry }.encode();
        }
        self.log.append(zxid, &bytes);
        self.entries += 1;
    }

    fn notify(&mut self, session: i64, event: &WatcherEvent) {
        // Watches go with the connection, so there is one.
        let Some(connection) = self.clients.of_session(session) else { return };
        let mut bytes = ReplyHeader::NOTIFICATION.encode();
        event.write(&mut bytes);
        self.announcements.push(Announcement::Notice { connection, frame: frame(bytes) });
    }

    /// The connection has no session any more: nothing that still comes from it counts.
    fn release(&mut self, connection: ConnectionId) {
        if let Some(session) = self.clients.release(connection) {
            self.tree.disconnect(session);
        }
    }

    fn end(&mut self, connection: ConnectionId) {
        self.announcements.push(Announcement::End { connection });
    }

    fn tick(&mut self, at: Instant) {
        let now = self.ms(at);
        for session in self.tracker.expired(now) {
            tracing::info!("keeper: session {session:#x} expired");
            let connection = self.clients.of_session(session);
            let outcome = self.tree.expire_session(wall_ms(), session);
            self.take(outcome, None);
            if let Some(connection) = connection {
                self.release(connection);
                self.end(connection);
            }
        }
        if now >= self.next_perished_ms {
            self.next_perished_ms = now + PERISHED_INTERVAL_MS;
            for path in self.tree.perished(wall_ms(), PERISHED) {
                let outcome = self.tree.delete_perished(wall_ms(), &path);
                self.take(outcome, None);
            }
        }
    }

    fn purge(&mut self) {
        if self.background.is_busy() {
            return;
        }
        if let Err(error) = self.background.purge(&self.folder, self.settings.snap_retain_count) {
            tracing::warn!("keeper: no purge this time: {error}");
        }
    }

    /// Makes the group durable, then lets everything go that waited for it, in order.
    fn commit(&mut self) -> Result<(), KeeperError> {
        if self.log.pending() > 0 {
            let begun = Instant::now();
            self.log.commit()?;
            self.fsync.add(begun.elapsed().as_millis() as u64);
        }
        for announcement in self.announcements.drain(..) {
            match announcement {
                Announcement::Reply { connection, frame, zxid, asked } => {
                    let ms = asked.elapsed().as_millis() as u64;
                    self.latency.add(ms);
                    self.sent += 1;
                    self.clients.reply(connection, frame, zxid, ms);
                }
                Announcement::Notice { connection, frame } => {
                    self.sent += 1;
                    self.clients.notify(connection, frame);
                }
                Announcement::End { connection } => self.clients.remove(connection),
                Announcement::Word { answer, text } => {
                    // Who asked may be gone.
                    let _ = answer.send(text);
                }
            }
        }
        Ok(())
    }

    /// On the clock of the sessions, which begins with this process.
    pub(super) fn ms(&self, at: Instant) -> i64 {
        at.saturating_duration_since(self.started).as_millis() as i64
    }
}

/// As ZooKeeper bounds what it reads from a log: jute.maxbuffer and as much again.
fn longest_entry(settings: &KeeperSettings) -> usize {
    settings.max_buffer + settings.max_buffer.max(1024)
}

fn wall_ms() -> i64 {
    // Before 1970 there is no time worth noting.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Puts the length before it.
fn frame(body: Vec<u8>) -> Bytes {
    let mut frame = Vec::with_capacity(4 + body.len());
    frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
    frame.extend_from_slice(&body);
    frame.into()
}

/// In a time that does not tell how much of it is right.
fn is_password(session: i64, candidate: &[u8]) -> bool {
    let password = password(session);
    let differences = password.iter().zip(candidate).fold(0, |all, (a, b)| all | (a ^ b));
    candidate.len() == password.len() && differences == 0
}
