//! Whether a write may happen, and what it then is: a transaction, or the first reason against it
//! (`PrepRequestProcessor.java`).

use crate::acl;
use crate::node::{Lifetime, Node, TTL_MAX_MS};
use crate::path;
use crate::tree::Tree;
use bytes::Bytes;
use ottla_jute::{
    Acl, CheckTxn, CreateContainerTxn, CreateRequest, CreateTtlRequest, CreateTtlTxn, CreateTxn, ErrorCode, Op, OpCode,
    PathVersionRequest, SetAclRequest, SetAclTxn, SetDataRequest, SetDataTxn, Txn,
};

/// What the flags of a create say. The operation, not these, decides about containers and times to live.
struct Flags {
    ephemeral: bool,
    sequential: bool,
    ttl: bool,
}

impl Flags {
    fn new(flags: i32) -> Result<Self, ErrorCode> {
        match flags {
            0..=6 => Ok(Self {
                ephemeral: matches!(flags, 1 | 3),
                sequential: matches!(flags, 2 | 3 | 6),
                ttl: matches!(flags, 5 | 6),
            }),
            _ => Err(ErrorCode::BadArguments),
        }
    }
}

/// The fields of the create requests.
struct Create<'a> {
    op_code: OpCode,
    path: &'a str,
    data: &'a Option<Bytes>,
    acl: &'a [Acl],
    flags: i32,
    ttl: Option<i64>,
}

impl Tree {
    pub(crate) fn decide(&self, session_id: i64, op: &Op) -> Result<Txn, ErrorCode> {
        match op {
            Op::Create(request) => self.decide_create(session_id, OpCode::Create, request),
            Op::Create2(request) => self.decide_create(session_id, OpCode::Create2, request),
            Op::CreateContainer(request) => self.decide_create(session_id, OpCode::CreateContainer, request),
            Op::CreateTtl(request) => self.decide_create_ttl(session_id, request),
            Op::Delete(request) => self.decide_delete(session_id, request),
            Op::SetData(request) => self.decide_set_data(session_id, request),
            Op::Check(request) => self.decide_check(session_id, request),
        }
    }

    pub(crate) fn decide_create(
        &self,
        session_id: i64,
        op_code: OpCode,
        request: &CreateRequest,
    ) -> Result<Txn, ErrorCode> {
        let CreateRequest { path, data, acl, flags } = request;
        self.decide_any_create(session_id, &Create { op_code, path, data, acl, flags: *flags, ttl: None })
    }

    pub(crate) fn decide_create_ttl(&self, session_id: i64, request: &CreateTtlRequest) -> Result<Txn, ErrorCode> {
        let CreateTtlRequest { path, data, acl, flags, ttl } = request;
        let create = Create { op_code: OpCode::CreateTtl, path, data, acl, flags: *flags, ttl: Some(*ttl) };
        self.decide_any_create(session_id, &create)
    }

    fn decide_any_create(&self, session_id: i64, create: &Create<'_>) -> Result<Txn, ErrorCode> {
        let flags = Flags::new(create.flags)?;
        if flags.ttl && !self.extended_types {
            return Err(ErrorCode::Unimplemented);
        }
        // ZooKeeper lets createTTL without a TTL flag and with ttl -1 pass, and dies of it.
        let ttl_fits = match create.ttl {
            Some(ttl) => flags.ttl && (1..=TTL_MAX_MS).contains(&ttl),
            None => !flags.ttl,
        };
        if !ttl_fits || create.path.contains('\0') {
            return Err(ErrorCode::BadArguments);
        }
        let (parent_path, _) = path::split(create.path).ok_or(ErrorCode::BadArguments)?;
        let acl = acl::fix_up(create.acl, self.ids(session_id))?;
        let parent = self.nodes.get(parent_path).ok_or(ErrorCode::NoNode)?;
        self.check_acl(&parent.acl, acl::CREATE, session_id)?;
        let cversion = parent.stat.cversion;
        let path = if flags.sequential { format!("{}{cversion:010}", create.path) } else { create.path.to_owned() };
        path::validate(&path)?;
        if self.nodes.get(&path).is_some() {
            return Err(ErrorCode::NodeExists);
        }
        if matches!(parent.lifetime(), Lifetime::Session(_)) {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        let (data, parent_cversion) = (create.data.clone(), cversion.wrapping_add(1));
        let plain = |ephemeral| CreateTxn {
            path: path.clone(),
            data: data.clone(),
            acl: acl.clone(),
            ephemeral,
            parent_cversion,
        };
        Ok(match (create.op_code, create.ttl) {
            (_, Some(ttl)) => Txn::CreateTtl(CreateTtlTxn { path, data, acl, parent_cversion, ttl }),
            (OpCode::CreateContainer, _) => {
                Txn::CreateContainer(CreateContainerTxn { path, data, acl, parent_cversion })
            }
            (OpCode::Create2, _) => Txn::Create2(plain(flags.ephemeral)),
            _ => Txn::Create(plain(flags.ephemeral)),
        })
    }

    pub(crate) fn decide_delete(&self, session_id: i64, request: &PathVersionRequest) -> Result<Txn, ErrorCode> {
        let path = request.path.as_str();
        if path::UNDELETABLE.contains(&path) || path.contains('\0') {
            return Err(ErrorCode::BadArguments);
        }
        let (parent_path, _) = path::split(path).ok_or(ErrorCode::BadArguments)?;
        let parent = self.nodes.get(parent_path).ok_or(ErrorCode::NoNode)?;
        self.check_acl(&parent.acl, acl::DELETE, session_id)?;
        let node = self.nodes.get(path).ok_or(ErrorCode::NoNode)?;
        next_version(node.stat.version, request.version)?;
        if !node.children.is_empty() {
            return Err(ErrorCode::NotEmpty);
        }
        Ok(Txn::Delete(path.to_owned()))
    }

    pub(crate) fn decide_set_data(&self, session_id: i64, request: &SetDataRequest) -> Result<Txn, ErrorCode> {
        let node = self.valid_node(&request.path)?;
        self.check_acl(&node.acl, acl::WRITE, session_id)?;
        let version = next_version(node.stat.version, request.version)?;
        Ok(Txn::SetData(SetDataTxn { path: request.path.clone(), data: request.data.clone(), version }))
    }

    pub(crate) fn decide_set_acl(&self, session_id: i64, request: &SetAclRequest) -> Result<Txn, ErrorCode> {
        path::validate(&request.path)?;
        let acl = acl::fix_up(&request.acl, self.ids(session_id))?;
        let node = self.nodes.get(&request.path).ok_or(ErrorCode::NoNode)?;
        self.check_acl(&node.acl, acl::ADMIN, session_id)?;
        let version = next_version(node.stat.aversion, request.version)?;
        Ok(Txn::SetAcl(SetAclTxn { path: request.path.clone(), acl, version }))
    }

    pub(crate) fn decide_check(&self, session_id: i64, request: &PathVersionRequest) -> Result<Txn, ErrorCode> {
        let node = self.valid_node(&request.path)?;
        self.check_acl(&node.acl, acl::READ, session_id)?;
        let version = next_version(node.stat.version, request.version)?;
        Ok(Txn::Check(CheckTxn { path: request.path.clone(), version }))
    }

    fn valid_node(&self, path: &str) -> Result<&Node, ErrorCode> {
        path::validate(path)?;
        self.nodes.get(path).ok_or(ErrorCode::NoNode)
    }
}

/// The version after the change, if the expected one is there; -1 expects any.
fn next_version(current: i32, expected: i32) -> Result<i32, ErrorCode> {
    if expected == -1 || expected == current { Ok(current.wrapping_add(1)) } else { Err(ErrorCode::BadVersion) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Caller;
    use ottla_jute::{Request, Response};

    /// At the end of the numbers the parent's count stands still, so the same name comes again.
    #[test]
    fn the_last_sequential_name_is_given_once() {
        let mut tree = Tree::new();
        tree.create_session(0, 1, 1000);
        tree.nodes.change("", |root| root.stat.cversion = i32::MAX);
        let request = CreateRequest { path: "/n".into(), data: None, acl: vec![Acl::open()], flags: 2 };
        let mut create =
            || tree.step(0, Caller { session_id: 1, xid: 1 }, &Request::Create(request.clone())).reply.unwrap();
        assert_eq!(create().response, Response::Create("/n2147483647".into()));
        assert_eq!(create().header.err, ErrorCode::NodeExists.code());
        assert_eq!(tree.nodes.get("").unwrap().stat.cversion, i32::MAX);
    }

    #[test]
    fn versions_wrap_and_minus_one_expects_any() {
        assert_eq!(next_version(i32::MAX, i32::MAX), Ok(i32::MIN));
        assert_eq!(next_version(7, -1), Ok(8));
        assert_eq!(next_version(-1, -1), Ok(0));
        assert_eq!(next_version(7, 6), Err(ErrorCode::BadVersion));
    }
}
