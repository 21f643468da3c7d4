//! One request: decided and applied at once.

use crate::acl;
use crate::apply::Journal;
use crate::outcome::{Caller, Outcome};
use crate::tree::Tree;
use ottla_jute::{
    AuthRequest, Create2Response, ErrorCode, Id, Request, Response, SaslRequest, SetWatches2Request, Stat, Txn,
};

impl Tree {
    /// Does what a client asks. `now_ms`: wall clock, ms since the epoch, for a write's time.
    pub fn step(&mut self, now_ms: i64, caller: Caller, request: &Request) -> Outcome {
        let session = caller.session_id;
        if !self.sessions.contains_key(&session) {
            return Outcome::dropped();
        }
        let decided = match request {
            Request::Create(create) => self.decide_create(session, request.op_code(), create),
            Request::Create2(create) => self.decide_create(session, request.op_code(), create),
            Request::CreateContainer(create) => self.decide_create(session, request.op_code(), create),
            Request::CreateTtl(create) => self.decide_create_ttl(session, create),
            Request::Delete(delete) => self.decide_delete(session, delete),
            Request::SetData(set) => self.decide_set_data(session, set),
            Request::SetAcl(set) => self.decide_set_acl(session, set),
            // A lone check has no entry that servers can load and no answer that they give.
            Request::Check(check) => self.decide_check(session, check).and(Err(ErrorCode::Unimplemented)),
            Request::Reconfig(_) => Err(ErrorCode::ReconfigDisabled),
            Request::DeleteContainer => Err(ErrorCode::BadArguments),
            Request::Multi(ops) => return self.multi(now_ms, caller, ops),
            Request::CloseSession => return self.close_session(now_ms, caller),
            _ => return self.answer(caller, request),
        };
        match decided {
            Ok(txn) => self.commit(now_ms, caller, txn),
            Err(error) => self.refuse(now_ms, caller, error),
        }
    }

    /// Applies what was decided.
    pub(crate) fn commit(&mut self, now_ms: i64, caller: Caller, txn: Txn) -> Outcome {
        let header = self.header(now_ms, caller);
        let mut journal = Journal::default();
        self.apply_to(&header, &txn, &mut journal);
        let response = self.response(&txn);
        let events = self.settle(&header, journal);
        Outcome { entry: Some(self.entry(header, txn)), events, ..Outcome::answer(caller, header.zxid, response) }
    }

    /// What a write that was just applied is answered with.
    fn response(&self, txn: &Txn) -> Response {
        match txn {
            Txn::Create(create) => Response::Create(create.path.clone()),
            Txn::Create2(create) => self.created(&create.path),
            Txn::CreateTtl(create) => self.created(&create.path),
            Txn::CreateContainer(create) => self.created(&create.path),
            Txn::SetData(set) => Response::Stat(self.stat_of(&set.path)),
            Txn::SetAcl(set) => Response::Stat(self.stat_of(&set.path)),
            _ => Response::Empty,
        }
    }

    fn created(&self, path: &str) -> Response {
        Response::Create2(Create2Response { path: path.to_owned(), stat: self.stat_of(path) })
    }

    /// Of a node that was just written.
    pub(crate) fn stat_of(&self, path: &str) -> Stat {
        self.nodes.get(path).map(crate::Node::stat).unwrap_or_default()
    }

    /// A write that fails takes a zxid and a log entry.
    pub(crate) fn refuse(&mut self, now_ms: i64, caller: Caller, error: ErrorCode) -> Outcome {
        let header = self.header(now_ms, caller);
        let txn = Txn::Error(error.code());
        self.apply(&header, &txn);
        Outcome { entry: Some(self.entry(header, txn)), ..Outcome::error(caller, header.zxid, error) }
    }

    /// Ends a session: its ephemeral nodes go in one transaction, then its connection.
    pub(crate) fn close_session(&mut self, now_ms: i64, caller: Caller) -> Outcome {
        let paths = self.nodes.ephemerals_of(caller.session_id).map(|path| path.to_string()).collect();
        let outcome = self.commit(now_ms, caller, Txn::CloseSession(Some(paths)));
        self.disconnect(caller.session_id);
        Outcome { close: true, ..outcome }
    }

    /// Requests without a transaction.
    fn answer(&mut self, caller: Caller, request: &Request) -> Outcome {
        let session = caller.session_id;
        let result = match request {
            Request::Exists(request) => self.exists(session, request),
            Request::GetData(request) => self.get_data(session, request),
            Request::GetChildren(request) => self.get_children(session, request),
            Request::GetChildren2(request) => self.get_children2(session, request),
            Request::GetAcl(request) => self.get_acl(session, request),
            Request::GetAllChildrenNumber(request) => self.get_all_children_number(session, request),
            Request::GetEphemerals(request) => Ok(self.get_ephemerals(session, request)),
            Request::MultiRead(ops) => Ok(self.multi_read(session, ops)),
            Request::WhoAmI => Ok(self.who_am_i(session)),
            Request::Sync(request) => Ok(Response::Sync(request.clone())),
            Request::AddWatch(request) => self.add_watch(session, request),
            Request::CheckWatches(request) => self.check_watches(session, request),
            Request::RemoveWatches(request) => self.remove_watches(session, request),
            Request::SetWatches(request) => {
                let request = SetWatches2Request {
                    relative_zxid: request.relative_zxid,
                    data: request.data.clone(),
                    exist: request.exist.clone(),
                    child: request.child.clone(),
                    persistent: Vec::new(),
                    persistent_recursive: Vec::new(),
                };
                return self.answer_set_watches(caller, &request);
            }
            Request::SetWatches2(request) => return self.answer_set_watches(caller, request),
            Request::Auth(request) => return self.authenticate(caller, request),
            // No SASL here: no token, no error.
            Request::Sasl(_) => return Outcome::answer(caller, 0, Response::Sasl(SaslRequest { token: None })),
            Request::Ping => {
                let caller = Caller { xid: Outcome::PING_XID, ..caller };
                return Outcome::answer(caller, self.zxid, Response::Empty);
            }
            _ => unreachable!("step answers writes itself"),
        };
        match result {
            Ok(response) => Outcome::answer(caller, self.zxid, response),
            Err(error) => Outcome::error(caller, self.zxid, error),
        }
    }

    fn answer_set_watches(&mut self, caller: Caller, request: &SetWatches2Request) -> Outcome {
        let events = self.set_watches(caller.session_id, request);
        Outcome { events, ..Outcome::answer(caller, self.zxid, Response::Empty) }
    }

    /// A further identity for the connection; who cannot prove one is cut off.
    fn authenticate(&mut self, caller: Caller, request: &AuthRequest) -> Outcome {
        let proven: Option<Id> = match (request.scheme.as_deref(), &request.auth) {
            (Some("digest"), Some(auth)) => Some(acl::digest_identity(auth)),
            // The address, which it has already.
            (Some("ip"), _) => return Outcome::answer(caller, 0, Response::Empty),
            _ => None,
        };
        let Some(id) = proven else {
            return Outcome { close: true, ..Outcome::error(caller, 0, ErrorCode::AuthFailed) };
        };
        let identities = self.identities.entry(caller.session_id).or_default();
        if !identities.contains(&id) {
            identities.push(id);
        }
        Outcome::answer(caller, 0, Response::Empty)
    }
}
