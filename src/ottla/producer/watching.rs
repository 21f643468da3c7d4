//! Carries events to the view and its requests to ZooKeeper. Decides nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ottla_view::{Effect, Event, Report, Settings, View};
use ottla_znodes::{Failure, Request, RequestId};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::shared::Shared;
use crate::zk::requests::{self, Answer};
use crate::zk::znodes::{SessionEvent, Znodes};

/// How long the end of the session may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
/// Far enough away for a timer that waits for nothing.
const NEVER: Duration = Duration::from_secs(1 << 30);

/// What ZooKeeper is to say.
type Waiting<T> = FuturesUnordered<Pin<Box<dyn Future<Output = T> + Send>>>;

/// The task that owns the view.
struct Watching {
    zk: Arc<dyn Znodes>,
    shared: Arc<Shared>,
    view: View,
    /// The session that the view knows of.
    session_id: Option<i64>,
    requests: Waiting<(RequestId, Answer)>,
    /// Path, whether its children are watched.
    watches: Waiting<(String, bool)>,
    /// When it is looked for topics that nobody sends to.
    idle_check: Instant,
}

/// Watches until the producer ends; then ends the session.
pub(super) async fn run(zk: Arc<dyn Znodes>, shared: Arc<Shared>) {
    let mut watching = Watching {
        zk: zk.clone(),
        view: View::new(Settings::default()),
        session_id: None,
        requests: FuturesUnordered::new(),
        watches: FuturesUnordered::new(),
        idle_check: Instant::now() + idle_interval(&shared),
        shared: shared.clone(),
    };
    tokio::select! {
        () = watching.watch() => {}
        () = shared.ended() => {}
    }
    drop(watching);
    if let Ok(Err(error)) = tokio::time::timeout(CLOSE_PATIENCE, zk.close()).await {
        tracing::debug!("the session with ZooKeeper ends with its timeout: {error}");
    }
}

/// How long a topic goes unused before it is forgotten: not before what was sent to it has its outcome.
pub(super) fn idle_after(shared: &Shared) -> Duration {
    shared.config.metadata_max_idle.max(shared.config.delivery_timeout + Duration::from_secs(1))
}

/// How often that is looked at.
pub(super) fn idle_interval(shared: &Shared) -> Duration {
    (idle_after(shared) / 4).min(Duration::from_secs(60))
}

impl Watching {
    async fn watch(&mut self) {
        let mut session_events = self.zk.session_events();
        self.session_started(self.zk.session_id());
        loop {
            self.take_wanted();
            let deadline = self.view.next_deadline().map(|at| self.shared.clock.instant(at));
            let deadline = deadline.unwrap_or_else(|| Instant::now() + NEVER);
            tokio::select! {
                // What ZooKeeper says comes before what the application wants.
                biased;
                event = session_events.recv() => if !self.session(event) {
                    return;
                },
                Some((request, answer)) = self.requests.next(), if !self.requests.is_empty() => {
                    self.answered(request, answer);
                }
                Some((path, children)) = self.watches.next(), if !self.watches.is_empty() => {
                    self.step(Event::Changed { path, children });
                }
                () = self.shared.wants.changed.notified() => {}
                () = sleep_until(deadline.min(self.idle_check)) => self.time_passed(deadline),
            }
        }
    }

    fn take_wanted(&mut self) {
        let wanted = self.shared.wants.take();
        if wanted.names {
            self.step(Event::TopicNamesWanted);
        }
        for topic in wanted.topics {
            self.step(Event::TopicUsed(topic));
        }
        for partition in wanted.doubted {
            self.step(Event::Doubted(partition));
        }
    }

    fn time_passed(&mut self, deadline: Instant) {
        let now = Instant::now();
        if deadline <= now {
            self.step(Event::TimePassed);
        }
        if self.idle_check <= now {
            self.idle_check = now + idle_interval(&self.shared);
            for topic in self.shared.take_idle(idle_after(&self.shared)) {
                self.step(Event::TopicUnused(topic));
            }
        }
    }

    fn step(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.view.step(self.shared.clock.now_ms(), event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Send { id, request } => self.send(id, request),
                Effect::Changed(change) => self.shared.view_changed(change),
                Effect::Report(Report::Unreadable { path, why }) => tracing::warn!("{path}: {why}"),
                Effect::Report(Report::Refused { path, code }) => {
                    tracing::warn!("{path}: ZooKeeper refuses to let it be read (error {code}); trying again");
                    self.shared.trouble.set(format!("{path}: ZooKeeper refuses to let it be read (error {code})"));
                }
                Effect::Report(Report::Current) => tracing::debug!("what is watched has been read"),
            }
        }
    }

    fn send(&mut self, id: RequestId, request: Request) {
        if self.session_id != Some(self.zk.session_id()) {
            // A request of the old session is not sent in the new one.
            let expired = std::future::ready((id, Answer { outcome: Err(Failure::Expired), watcher: None }));
            return self.requests.push(Box::pin(expired));
        }
        let zk = self.zk.clone();
        self.requests.push(Box::pin(async move { (id, requests::carry_out(&*zk, request).await) }));
    }

    fn answered(&mut self, request: RequestId, answer: Answer) {
        if let Some((path, children, watcher)) = answer.watcher {
            self.watches.push(Box::pin(async move {
                watcher.await;
                (path, children)
            }));
        }
        self.step(Event::Answered { request, outcome: answer.outcome });
    }

    /// Returns whether anything more will be learnt; if not, what is known is still believed.
    fn session(&mut self, event: Result<SessionEvent, RecvError>) -> bool {
        match event {
            Ok(SessionEvent::Started { session_id }) if Some(session_id) != self.session_id => {
                self.session_expired();
                self.session_started(session_id);
            }
            Ok(SessionEvent::Restored) if self.session_id == Some(self.zk.session_id()) => self.reconnected(),
            Ok(SessionEvent::Expired) => self.session_expired(),
            Ok(SessionEvent::Lost) => self.shared.trouble.set("the connection to ZooKeeper is lost".into()),
            Ok(SessionEvent::Restored | SessionEvent::Started { .. }) => {}
            // Some were missed: only what holds now counts.
            Err(RecvError::Lagged(_)) => {
                let session_id = self.zk.session_id();
                match self.session_id == Some(session_id) {
                    true => self.reconnected(),
                    false => {
                        self.session_expired();
                        self.session_started(session_id);
                    }
                }
            }
            Err(RecvError::Closed) => return false,
        }
        true
    }

    fn reconnected(&mut self) {
        self.shared.trouble.clear();
        self.step(Event::Reconnected);
    }

    fn session_expired(&mut self) {
        if self.session_id.take().is_some() {
            self.shared.figures.expired_sessions.fetch_add(1, Ordering::Relaxed);
            self.watches.clear();
            self.step(Event::SessionExpired);
        }
    }

    fn session_started(&mut self, session_id: i64) {
        self.session_id = Some(session_id);
        self.shared.trouble.clear();
        self.step(Event::SessionStarted);
    }
}
