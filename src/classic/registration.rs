//! The own registration: made once in a session, looked after by heartbeats.

use zk_schema::consumer_plan;
use zk_schema::consumers::Registration;

use crate::effect::Fatal;
use crate::folders::{Folders, parent};
use crate::identity::Identity;
use crate::requests::{Ask, Step};
use ottla_znodes::{CreateMode, Failure, Op, Refusal, Reply, Request};

/// Where the registration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be created.
    Absent,
    Creating,
    /// Something is there, or may be: whose?
    Unsure,
    Reading,
    Registered {
        version: i32,
    },
    /// Being removed by ourselves.
    Leaving,
}

/// What an answer about the registration means for the rest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing.
    None,
    /// The member is registered from now on.
    Registered,
    /// The registration was removed by somebody: the member counts no longer.
    Lost,
    /// It cannot be had.
    Fatal(Fatal),
}

/// The own registration.
#[derive(Debug)]
pub(crate) struct OwnRegistration {
    state: State,
    /// A write said that it is not as we think.
    doubted: bool,
    heartbeat_ms: u64,
    heartbeat_sent: bool,
    /// The planner's node was not there when it was to be deleted.
    office_is_gone: bool,
}

impl OwnRegistration {
    pub(crate) fn new() -> OwnRegistration {
        OwnRegistration {
            state: State::Absent,
            doubted: false,
            heartbeat_ms: 0,
            heartbeat_sent: false,
            office_is_gone: false,
        }
    }

    /// The version that writes check; none while it is not certain.
    pub(crate) fn version(&self) -> Option<i32> {
        match self.state {
            State::Registered { version } if !self.doubted => Some(version),
            _ => None,
        }
    }

    /// Whether it is neither there nor being made, as far as is known.
    pub(crate) fn is_absent(&self) -> bool {
        self.state == State::Absent
    }

    /// Somebody's answer does not fit it: it is read before anything else is written.
    pub(crate) fn doubt(&mut self) {
        self.doubted = true;
    }

    /// When the next heartbeat is due.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let waits = matches!(self.state, State::Registered { .. }) && !self.heartbeat_sent;
        waits.then_some(self.heartbeat_ms)
    }

    /// Asks for what is to be done. `wanted`: nothing new is created by one who leaves.
    pub(crate) fn settle(
        &mut self,
        step: &mut Step<'_>,
        me: &Identity,
        content: &Registration,
        folders: &Folders,
        wanted: bool,
    ) {
        match self.state {
            State::Absent if wanted && !folders.is_missing(parent(&me.path())) => {
                let data = Registration { timestamp: Some(me.wall_at(step.now_ms)), ..content.clone() }.encode();
                let create = Op::Create { path: me.path(), data, mode: CreateMode::Ephemeral };
                step.send(Ask::Register, Request::Write(vec![create]));
                self.state = State::Creating;
            }
            State::Unsure => {
                step.send(Ask::ReadRegistration, Request::Get { path: me.path(), watch: false });
                self.state = State::Reading;
            }
            State::Registered { .. } if !self.heartbeat_sent && (self.doubted || step.now_ms >= self.heartbeat_ms) => {
                step.send(Ask::Heartbeat, Request::Exists { path: me.path(), watch: false });
                self.heartbeat_sent = true;
            }
            _ => {}
        }
    }

    fn registered(&mut self, now_ms: u64, interval_ms: u64, version: i32) -> Change {
        *self = OwnRegistration {
            state: State::Registered { version },
            heartbeat_ms: now_ms.saturating_add(interval_ms),
            office_is_gone: self.office_is_gone,
            ..OwnRegistration::new()
        };
        Change::Registered
    }

    /// The answer to the creation.
    pub(crate) fn created(
        &mut self,
        now_ms: u64,
        interval_ms: u64,
        me: &Identity,
        folders: &mut Folders,
        outcome: Result<Reply, Failure>,
    ) -> Change {
        match outcome {
            Ok(_) => return self.registered(now_ms, interval_ms, 0),
            Err(Failure::Refused { why: Refusal::NoNode, .. }) => {
                folders.missing(parent(&me.path()).into());
                self.state = State::Absent;
            }
            Err(Failure::Refused { why: Refusal::Other(code), .. }) => {
                self.state = State::Absent;
                return Change::Fatal(Fatal::Refused { path: me.path(), code });
            }
            Err(_) => self.state = State::Unsure,
        }
        Change::None
    }

    /// The answer to the question whose it is.
    pub(crate) fn read(
        &mut self,
        now_ms: u64,
        interval_ms: u64,
        me: &Identity,
        outcome: Result<Reply, Failure>,
    ) -> Change {
        match outcome {
            Ok(Reply::Data(_, stat)) if stat.ephemeral_owner == me.session_id => {
                return self.registered(now_ms, interval_ms, stat.version);
            }
            Ok(Reply::Data(data, stat)) => {
                self.state = State::Absent;
                return Change::Fatal(Fatal::DuplicateId {
                    consumer_id: me.consumer_id.clone(),
                    owner: stat.ephemeral_owner,
                    data: String::from_utf8_lossy(&data).into_owned(),
                });
            }
            Err(Failure::Refused { why: Refusal::NoNode, .. }) => self.state = State::Absent,
            Err(Failure::Refused { why: Refusal::Other(code), .. }) => {
                self.state = State::Absent;
                return Change::Fatal(Fatal::Refused { path: me.path(), code });
            }
            _ => self.state = State::Unsure,
        }
        Change::None
    }

    /// The answer to a heartbeat.
    pub(crate) fn heartbeat(
        &mut self,
        now_ms: u64,
        interval_ms: u64,
        me: &Identity,
        outcome: Result<Reply, Failure>,
    ) -> Change {
        self.heartbeat_sent = false;
        match outcome {
            Ok(Reply::Stat(Some(stat))) if stat.ephemeral_owner == me.session_id => {
                self.registered(now_ms, interval_ms, stat.version);
                Change::None
            }
            Ok(Reply::Stat(found)) => {
                self.doubted = false;
                self.state = if found.is_some() { State::Unsure } else { State::Absent };
                Change::Lost
            }
            // Unknown: asked again. Refused: the next write says so too, if it matters.
            Err(Failure::Refused { .. }) | Ok(_) => {
                self.doubted = false;
                self.heartbeat_ms = now_ms.saturating_add(interval_ms);
                Change::None
            }
            Err(Failure::Unknown | Failure::Expired) => Change::None,
        }
    }

    /// Removes it, and the office if it is held: the last write of one who leaves.
    pub(crate) fn leave(&mut self, step: &mut Step<'_>, me: &Identity, planner: bool) {
        let Some(version) = self.version() else { return };
        let mut ops = vec![Op::Delete { path: me.path(), version: Some(version) }];
        if planner && !self.office_is_gone {
            ops.push(Op::Delete { path: consumer_plan::planner_path(&me.group), version: None });
        }
        step.send(Ask::Leave, Request::Write(ops));
        self.state = State::Leaving;
    }

    /// The answer to the removal.
    pub(crate) fn left(&mut self, outcome: Result<Reply, Failure>) {
        self.state = match outcome {
            Ok(_) | Err(Failure::Refused { at: 0, why: Refusal::NoNode }) => State::Absent,
            Err(Failure::Refused { at: 1, .. }) => {
                self.office_is_gone = true;
                State::Unsure
            }
            // The end of the session removes it.
            Err(Failure::Refused { why: Refusal::Other(_), .. }) => State::Absent,
            Err(_) => State::Unsure,
        };
    }
}
