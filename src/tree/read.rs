//! Requests that change no node: reads, and setting and removing watches.

use crate::acl;
use crate::node::Node;
use crate::tree::Tree;
use crate::watch::WatchMode;
use ottla_jute::{
    AddWatchRequest, ClientInfo, ErrorCode, EventType, GetAclResponse, GetChildren2Response, GetDataResponse,
    GetEphemeralsRequest, OpResult, PathRequest, PathWatchRequest, ReadOp, Response, SetWatches2Request, WatcherEvent,
    WatchesRequest,
};

impl Tree {
    /// A node that the session may read.
    fn readable(&self, session_id: i64, path: &str) -> Result<&Node, ErrorCode> {
        let node = self.nodes.get(path).ok_or(ErrorCode::NoNode)?;
        self.check_acl(&node.acl, acl::READ, session_id)?;
        Ok(node)
    }

    /// Sets its watch also if the node is not there.
    pub(crate) fn exists(&mut self, session_id: i64, request: &PathWatchRequest) -> Result<Response, ErrorCode> {
        let PathWatchRequest { path, watch } = request;
        if path.contains('\0') {
            return Err(ErrorCode::BadArguments);
        }
        let result = self.readable(session_id, path).map(Node::stat);
        if *watch && result != Err(ErrorCode::NoAuth) {
            self.data_watches.add(session_id, path, WatchMode::Standard);
        }
        result.map(Response::Stat)
    }

    pub(crate) fn get_data(&mut self, session_id: i64, request: &PathWatchRequest) -> Result<Response, ErrorCode> {
        let response = self.data_of(session_id, &request.path)?;
        if request.watch {
            self.data_watches.add(session_id, &request.path, WatchMode::Standard);
        }
        Ok(Response::GetData(response))
    }

    fn data_of(&self, session_id: i64, path: &str) -> Result<GetDataResponse, ErrorCode> {
        let node = self.readable(session_id, path)?;
        Ok(GetDataResponse { data: node.data.clone(), stat: node.stat() })
    }

    pub(crate) fn get_children(&mut self, session_id: i64, request: &PathWatchRequest) -> Result<Response, ErrorCode> {
        self.children_of(session_id, request).map(|response| Response::Paths(response.children))
    }

    pub(crate) fn get_children2(&mut self, session_id: i64, request: &PathWatchRequest) -> Result<Response, ErrorCode> {
        self.children_of(session_id, request).map(Response::GetChildren2)
    }

    fn children_of(&mut self, session_id: i64, request: &PathWatchRequest) -> Result<GetChildren2Response, ErrorCode> {
        let node = self.readable(session_id, &request.path)?;
        let response =
            GetChildren2Response { children: node.children().map(str::to_owned).collect(), stat: node.stat() };
        if request.watch {
            self.child_watches.add(session_id, &request.path, WatchMode::Standard);
        }
        Ok(response)
    }

    /// Each by itself; watch flags mean nothing here.
    pub(crate) fn multi_read(&mut self, session_id: i64, ops: &[ReadOp]) -> Response {
        let results = ops.iter().map(|op| {
            let result = match op {
                ReadOp::GetData(request) => self.data_of(session_id, &request.path).map(OpResult::GetData),
                ReadOp::GetChildren(request) => self
                    .readable(session_id, &request.path)
                    .map(|node| OpResult::GetChildren(node.children().map(str::to_owned).collect())),
            };
            result.unwrap_or_else(|error| OpResult::Error(error.code()))
        });
        Response::Multi(results.collect())
    }

    pub(crate) fn get_acl(&self, session_id: i64, request: &PathRequest) -> Result<Response, ErrorCode> {
        let node = self.nodes.get(&request.path).ok_or(ErrorCode::NoNode)?;
        self.check_acl(&node.acl, acl::READ | acl::ADMIN, session_id)?;
        let administrates = self.check_acl(&node.acl, acl::ADMIN, session_id).is_ok();
        let acl = if administrates { node.acl.list.clone() } else { node.acl.masked() };
        Ok(Response::GetAcl(GetAclResponse { acl, stat: node.stat() }))
    }

    pub(crate) fn get_all_children_number(
        &self,
        session_id: i64,
        request: &PathRequest,
    ) -> Result<Response, ErrorCode> {
        self.readable(session_id, &request.path)?;
        let path = if request.path == "/" { "" } else { request.path.as_str() };
        Ok(Response::Number(self.nodes.below(path).count() as i32))
    }

    pub(crate) fn get_ephemerals(&self, session_id: i64, request: &GetEphemeralsRequest) -> Response {
        let prefix = request.prefix.as_deref().unwrap_or_default();
        let prefix = if prefix.trim().is_empty() { "/" } else { prefix };
        let paths = self.nodes.ephemerals_of(session_id).filter(|path| path.starts_with(prefix));
        Response::Paths(paths.map(|path| path.to_string()).collect())
    }

    pub(crate) fn who_am_i(&self, session_id: i64) -> Response {
        let identities = self.ids(session_id).iter().map(|id| {
            let user = match id.scheme.as_str() {
                "digest" => id.id.split(':').next().unwrap_or_default(),
                _ => &id.id,
            };
            ClientInfo { scheme: id.scheme.clone(), user: user.to_owned() }
        });
        Response::WhoAmI(identities.collect())
    }

    pub(crate) fn add_watch(&mut self, session_id: i64, request: &AddWatchRequest) -> Result<Response, ErrorCode> {
        let mode = match request.mode {
            0 => WatchMode::Persistent,
            1 => WatchMode::PersistentRecursive,
            _ => return Err(ErrorCode::MarshallingError),
        };
        self.add_watch_to_both(session_id, &request.path, mode);
        Ok(Response::AddWatch(0))
    }

    fn add_watch_to_both(&mut self, session_id: i64, path: &str, mode: WatchMode) {
        self.data_watches.add(session_id, path, mode);
        self.child_watches.add(session_id, path, mode);
    }

    pub(crate) fn check_watches(&self, session_id: i64, request: &WatchesRequest) -> Result<Response, ErrorCode> {
        let (child, data) = tables(request.watcher_type)?;
        let found = child && self.child_watches.contains(session_id, &request.path)
            || data && self.data_watches.contains(session_id, &request.path);
        if found { Ok(Response::Empty) } else { Err(ErrorCode::NoWatcher) }
    }

    pub(crate) fn remove_watches(&mut self, session_id: i64, request: &WatchesRequest) -> Result<Response, ErrorCode> {
        let (child, data) = tables(request.watcher_type)?;
        let from_child = child && self.child_watches.remove(session_id, &request.path);
        let from_data = data && self.data_watches.remove(session_id, &request.path);
        if from_child || from_data { Ok(Response::Empty) } else { Err(ErrorCode::NoWatcher) }
    }

    /// Watches of a client that was away: what happened meanwhile is told at once, without asking ACLs; the rest is set.
    pub(crate) fn set_watches(&mut self, session_id: i64, request: &SetWatches2Request) -> Vec<(i64, WatcherEvent)> {
        let mut missed = Vec::new();
        let mut tell = |event: EventType, path: &str| missed.push((session_id, WatcherEvent::new(event, path)));
        for path in &request.data {
            match self.nodes.get(path) {
                None => tell(EventType::NodeDeleted, path),
                Some(node) if node.stat.mzxid > request.relative_zxid => tell(EventType::NodeDataChanged, path),
                Some(_) => self.data_watches.add(session_id, path, WatchMode::Standard),
            }
        }
        for path in &request.exist {
            match self.nodes.get(path) {
                Some(_) => tell(EventType::NodeCreated, path),
                None => self.data_watches.add(session_id, path, WatchMode::Standard),
            }
        }
        for path in &request.child {
            match self.nodes.get(path) {
                None => tell(EventType::NodeDeleted, path),
                Some(node) if node.stat.pzxid > request.relative_zxid => tell(EventType::NodeChildrenChanged, path),
                Some(_) => self.child_watches.add(session_id, path, WatchMode::Standard),
            }
        }
        for path in &request.persistent {
            self.add_watch_to_both(session_id, path, WatchMode::Persistent);
        }
        for path in &request.persistent_recursive {
            self.add_watch_to_both(session_id, path, WatchMode::PersistentRecursive);
        }
        missed
    }
}

/// Which tables a type of watcher means: children, data.
fn tables(watcher_type: i32) -> Result<(bool, bool), ErrorCode> {
    match watcher_type {
        1 => Ok((true, false)),
        2 => Ok((false, true)),
        3 => Ok((true, true)),
        _ => Err(ErrorCode::MarshallingError),
    }
}
