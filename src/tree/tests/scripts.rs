//! Runs `testscripts`: commands of sessions, and what each leads to. A script's name is the fact that it shows.
//!
//! `NAME: COMMAND` is a request of session NAME, which is opened when first named; `expire`, `disconnect` and `connect`
//! happen to it. Without a name: `clock MS`, `perish`, `tree`, `watches`. Output: the log entry, events, the reply.

use bytes::Bytes;
use goldenscript::{Argument, Command, Context};
use ottla_jute::{
    Acl, AddWatchRequest, AuthRequest, CreateRequest, CreateTtlRequest, ErrorCode, EventType, GetEphemeralsRequest, Id,
    LogEntry, Op, OpCode, OpResult, PathRequest, PathVersionRequest, PathWatchRequest, ReadOp, Request, Response,
    SetAclRequest, SetDataRequest, SetWatches2Request, Stat, Txn, WatchesRequest,
};
use ottla_tree::{Caller, Outcome, Tree};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;

struct Runner {
    tree: Tree,
    now_ms: i64,
    sessions: BTreeMap<String, i64>,
    xid: i32,
}

impl Runner {
    fn new() -> Self {
        Self { tree: Tree::new(), now_ms: 0, sessions: BTreeMap::new(), xid: 0 }
    }

    fn session(&mut self, name: &str) -> i64 {
        if let Some(id) = self.sessions.get(name) {
            return *id;
        }
        let id = self.sessions.len() as i64 + 1;
        self.sessions.insert(name.to_owned(), id);
        self.tree.create_session(self.now_ms, id, 30_000);
        self.tree.connect(id, &format!("10.0.0.{id}"));
        id
    }

    fn name(&self, id: i64) -> &str {
        self.sessions.iter().find(|(_, known)| **known == id).map_or("?", |(name, _)| name)
    }

    fn show(&self, outcome: &Outcome) -> Result<String, Box<dyn Error>> {
        let mut output = String::new();
        if let Some(LogEntry { header, txn, .. }) = &outcome.entry {
            writeln!(output, "log {} {}", header.zxid, show_txn(txn))?;
        }
        for (session, event) in &outcome.events {
            let event_type = EventType::from_code(event.event_type).unwrap();
            writeln!(output, "event to {}: {event_type:?} {}", self.name(*session), event.path)?;
        }
        if let Some(reply) = &outcome.reply {
            let shown = match reply.header.err {
                0 => show_response(&reply.response),
                err => show_error(err),
            };
            writeln!(output, "reply {} {shown}", reply.header.zxid)?;
        }
        if outcome.close {
            writeln!(output, "close")?;
        }
        Ok(output)
    }
}

fn show_error(code: i32) -> String {
    ErrorCode::from_code(code).map_or_else(|| code.to_string(), |code| format!("{code:?}"))
}

fn show_data(data: &Option<Bytes>) -> String {
    data.as_ref().map_or("null".into(), |data| format!("{:?}", String::from_utf8_lossy(data)))
}

fn show_acl(acl: &[Acl]) -> String {
    let shown: Vec<String> = acl.iter().map(|acl| format!("{}:{}:{}", acl.id.scheme, acl.id.id, acl.perms)).collect();
    shown.join(",")
}

fn show_txn(txn: &Txn) -> String {
    match txn {
        Txn::Create(create) | Txn::Create2(create) => format!(
            "{:?} {} {} ephemeral={} parent_cversion={}",
            txn.op_code(),
            create.path,
            show_data(&create.data),
            create.ephemeral,
            create.parent_cversion
        ),
        Txn::CreateContainer(create) => {
            format!("CreateContainer {} parent_cversion={}", create.path, create.parent_cversion)
        }
        Txn::CreateTtl(create) => format!("CreateTtl {} ttl={}", create.path, create.ttl),
        Txn::SetData(set) => format!("SetData {} {} version={}", set.path, show_data(&set.data), set.version),
        Txn::SetAcl(set) => format!("SetAcl {} {} version={}", set.path, show_acl(&set.acl), set.version),
        Txn::Multi(txns) => format!("Multi [{}]", txns.iter().map(show_txn).collect::<Vec<_>>().join("; ")),
        Txn::Error(code) => format!("Error {}", show_error(*code)),
        Txn::CloseSession(paths) => format!("CloseSession {paths:?}"),
        Txn::Check(check) => format!("Check {} version={}", check.path, check.version),
        Txn::Delete(path) => format!("Delete {path}"),
        Txn::DeleteContainer(path) => format!("DeleteContainer {path}"),
        Txn::CreateSession(_) | Txn::Reconfig(_) => format!("{txn:?}"),
    }
}

fn show_stat(stat: &Stat) -> String {
    format!(
        "czxid={} mzxid={} pzxid={} version={} cversion={} aversion={} owner={} length={} children={} ctime={} mtime={}",
        stat.czxid,
        stat.mzxid,
        stat.pzxid,
        stat.version,
        stat.cversion,
        stat.aversion,
        stat.ephemeral_owner,
        stat.data_length,
        stat.num_children,
        stat.ctime,
        stat.mtime
    )
}

fn show_response(response: &Response) -> String {
    match response {
        Response::Empty => "ok".into(),
        Response::Create(path) => path.clone(),
        Response::Create2(created) => format!("{} {}", created.path, show_stat(&created.stat)),
        Response::Stat(stat) => show_stat(stat),
        Response::GetData(got) => format!("{} {}", show_data(&got.data), show_stat(&got.stat)),
        Response::GetAcl(got) => format!("{} aversion={}", show_acl(&got.acl), got.stat.aversion),
        Response::Paths(paths) => format!("{paths:?}"),
        Response::GetChildren2(got) => format!("{:?} {}", got.children, show_stat(&got.stat)),
        Response::Sync(path) => path.path.clone(),
        Response::Multi(results) => results.iter().map(show_result).collect::<Vec<_>>().join("; "),
        Response::AddWatch(number) | Response::Number(number) => number.to_string(),
        Response::WhoAmI(infos) => {
            infos.iter().map(|info| format!("{}:{}", info.scheme, info.user)).collect::<Vec<_>>().join(" ")
        }
        Response::Sasl(_) => "sasl".into(),
    }
}

fn show_result(result: &OpResult) -> String {
    match result {
        OpResult::Create(path) => path.clone(),
        OpResult::Create2(created) => format!("{} {}", created.path, show_stat(&created.stat)),
        OpResult::Delete => "deleted".into(),
        OpResult::SetData(stat) => format!("version={}", stat.version),
        OpResult::Check => "checked".into(),
        OpResult::GetChildren(children) => format!("{children:?}"),
        OpResult::GetData(got) => show_data(&got.data),
        OpResult::Error(0) => "rolled back".into(),
        OpResult::Error(code) => show_error(*code),
    }
}

/// The arguments of a command.
struct Arguments<'a>(&'a Command);

impl Arguments<'_> {
    fn positional(&self) -> Vec<String> {
        let values = self.0.args.iter().filter_map(|argument| match argument {
            Argument::Positional(value) => Some(value.clone()),
            _ => None,
        });
        values.collect()
    }

    fn at(&self, index: usize) -> String {
        self.positional().get(index).cloned().unwrap_or_default()
    }

    fn data(&self) -> Option<Bytes> {
        match self.at(1).as_str() {
            "null" => None,
            data => Some(data.to_owned().into()),
        }
    }

    fn values(&self, key: &str) -> Vec<String> {
        let values = self.0.args.iter().filter_map(|argument| match argument {
            Argument::KeyValue(found, value) if found == key => Some(value.clone()),
            _ => None,
        });
        values.collect()
    }

    fn value(&self, key: &str) -> Option<String> {
        self.values(key).pop()
    }

    fn number(&self, key: &str, default: i32) -> Result<i32, Box<dyn Error>> {
        Ok(self.value(key).map_or(Ok(default), |value| value.parse())?)
    }

    fn acl(&self) -> Vec<Acl> {
        match self.value("acl") {
            None => vec![Acl::open()],
            Some(acl) => acl
                .split(',')
                .filter(|entry| !entry.is_empty())
                .map(|entry| {
                    let (scheme, rest) = entry.split_once(':').unwrap();
                    let (id, perms) = rest.rsplit_once(':').unwrap();
                    Acl { perms: perms.parse().unwrap(), id: Id { scheme: scheme.into(), id: id.into() } }
                })
                .collect(),
        }
    }

    fn path_watch(&self) -> PathWatchRequest {
        PathWatchRequest { path: self.at(0), watch: self.at(1) == "watch" }
    }

    fn create(&self) -> Result<CreateRequest, Box<dyn Error>> {
        let flags = self.number("flags", 0)?;
        Ok(CreateRequest { path: self.at(0), data: self.data(), acl: self.acl(), flags })
    }
}

/// `create=/a`, `create=/a-:2` with flags, `set=/a:data`, `delete=/a:3`, `check=/a:0`.
fn op(kind: &str, value: &str) -> Result<Op, Box<dyn Error>> {
    let (path, rest) = value.split_once(':').unwrap_or((value, ""));
    let path = path.to_owned();
    let version = if rest.is_empty() { -1 } else { rest.parse().unwrap_or(-1) };
    let create = || CreateRequest {
        path: path.clone(),
        data: Some(Bytes::new()),
        acl: vec![Acl::open()],
        flags: version.max(0),
    };
    Ok(match kind {
        "create" => Op::Create(create()),
        "create2" => Op::Create2(create()),
        "container" => Op::CreateContainer(create()),
        "set" => Op::SetData(SetDataRequest { path, data: Some(rest.to_owned().into()), version: -1 }),
        "delete" => Op::Delete(PathVersionRequest { path, version }),
        "check" => Op::Check(PathVersionRequest { path, version }),
        _ => return Err(format!("no such operation in a multi: {kind}").into()),
    })
}

fn request(command: &Command) -> Result<Request, Box<dyn Error>> {
    let arguments = Arguments(command);
    let path = arguments.at(0);
    let version = arguments.number("version", -1)?;
    let watches =
        || Ok::<_, Box<dyn Error>>(WatchesRequest { path: arguments.at(0), watcher_type: arguments.at(1).parse()? });
    Ok(match command.name.as_str() {
        "create" => Request::Create(arguments.create()?),
        "create2" => Request::Create2(arguments.create()?),
        "create_container" => Request::CreateContainer(arguments.create()?),
        "create_ttl" => {
            let CreateRequest { path, data, acl, flags } = arguments.create()?;
            Request::CreateTtl(CreateTtlRequest { path, data, acl, flags, ttl: arguments.number("ttl", -1)?.into() })
        }
        "delete" => Request::Delete(PathVersionRequest { path, version }),
        "set" => Request::SetData(SetDataRequest { path, data: arguments.data(), version }),
        "set_acl" => Request::SetAcl(SetAclRequest { path, acl: arguments.acl(), version }),
        "check" => Request::Check(PathVersionRequest { path, version }),
        "get" => Request::GetData(arguments.path_watch()),
        "exists" => Request::Exists(arguments.path_watch()),
        "children" => Request::GetChildren(arguments.path_watch()),
        "children2" => Request::GetChildren2(arguments.path_watch()),
        "get_acl" => Request::GetAcl(PathRequest { path }),
        "count" => Request::GetAllChildrenNumber(PathRequest { path }),
        "sync" => Request::Sync(PathRequest { path }),
        "ephemerals" => Request::GetEphemerals(GetEphemeralsRequest { prefix: Some(path) }),
        "whoami" => Request::WhoAmI,
        "ping" => Request::Ping,
        "close" => Request::CloseSession,
        "auth" => {
            let (scheme, auth) = (Some(path), Some(arguments.at(1).into()));
            Request::Auth(AuthRequest { auth_type: 0, scheme, auth })
        }
        "add_watch" => Request::AddWatch(AddWatchRequest { path, mode: arguments.at(1).parse()? }),
        "remove_watches" => Request::RemoveWatches(watches()?),
        "check_watches" => Request::CheckWatches(watches()?),
        "set_watches" => Request::SetWatches2(SetWatches2Request {
            relative_zxid: arguments.number("zxid", 0)?.into(),
            data: arguments.values("data"),
            exist: arguments.values("exist"),
            child: arguments.values("child"),
            persistent: arguments.values("persistent"),
            persistent_recursive: arguments.values("recursive"),
        }),
        "multi" => {
            let ops = command.args.iter().map(|argument| match argument {
                Argument::KeyValue(kind, value) => op(kind, value),
                _ => Err("operations are KIND=PATH".into()),
            });
            Request::Multi(ops.collect::<Result<_, _>>()?)
        }
        "multi_read" => {
            let ops = command.args.iter().map(|argument| match argument {
                Argument::KeyValue(kind, path) if kind == "get" => {
                    Ok(ReadOp::GetData(PathWatchRequest { path: path.clone(), watch: true }))
                }
                Argument::KeyValue(_, path) => {
                    Ok(ReadOp::GetChildren(PathWatchRequest { path: path.clone(), watch: true }))
                }
                _ => Err("operations are get=PATH or children=PATH"),
            });
            Request::MultiRead(ops.collect::<Result<_, _>>()?)
        }
        name => return Err(format!("no such command: {name}").into()),
    })
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        let arguments = Arguments(command);
        let Some(name) = context.prefix.as_deref() else {
            let mut output = String::new();
            match command.name.as_str() {
                "clock" => self.now_ms = arguments.at(0).parse()?,
                "perish" => {
                    for path in self.tree.perished(self.now_ms, usize::MAX) {
                        let outcome = self.tree.delete_perished(self.now_ms, &path);
                        output += &self.show(&outcome)?;
                    }
                }
                "extended_types" => self.tree.set_extended_types(true),
                "tree" => {
                    for (path, node) in self.tree.nodes().filter(|(path, _)| !path.starts_with("/zookeeper")) {
                        let stat = node.persisted();
                        writeln!(
                            output,
                            "{} {} version={} cversion={} pzxid={}",
                            if path.is_empty() { "/" } else { path },
                            show_data(&node.data().cloned()),
                            stat.version,
                            stat.cversion,
                            stat.pzxid
                        )?;
                    }
                }
                "watches" => writeln!(output, "{}", self.tree.watch_count())?,
                name => return Err(format!("no such command: {name}").into()),
            }
            return Ok(output);
        };
        let session_id = self.session(name);
        self.xid += 1;
        let outcome = match command.name.as_str() {
            "expire" => self.tree.expire_session(self.now_ms, session_id),
            "malformed" => {
                let op_code = OpCode::from_code(arguments.at(0).parse()?).ok_or("no such operation")?;
                self.tree.malformed(self.now_ms, Caller { session_id, xid: self.xid }, op_code)
            }
            "disconnect" => {
                self.tree.disconnect(session_id);
                Outcome::default()
            }
            "connect" => {
                self.tree.connect(session_id, &arguments.at(0));
                Outcome::default()
            }
            _ => self.tree.step(self.now_ms, Caller { session_id, xid: self.xid }, &request(command)?),
        };
        self.show(&outcome)
    }
}

#[test]
fn scripts_show_what_they_say() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts");
    let mut scripts: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    assert!(scripts.len() > 20);
    for script in scripts {
        println!("{}", script.display());
        goldenscript::run(&mut Runner::new(), script).unwrap();
    }
}
