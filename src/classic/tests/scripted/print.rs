//! Effects and answers as short lines. Paths are below the group's folder; a consumer id `a:0000…1` is `a#1`; `~` is an
//! ephemeral node, `@` a version, `!` a watch.

use ottla_classic::{Effect, Fatal, Report};
use ottla_znodes::{CreateMode, Failure, Op, Request};

const ZEROES: &str = ":00000000-0000-0000-0000-00000000000";

/// The id of a member in its n-th session.
pub(crate) fn consumer_id(name: &str, n: usize) -> String {
    format!("{name}{ZEROES}{n}")
}

pub(crate) fn short(text: &str) -> String {
    text.replace("/consumers/g/", "").replace(ZEROES, "#")
}

pub(crate) fn request(request: &Request) -> String {
    let mark = |watch: &bool| if *watch { "!" } else { "" };
    short(&match request {
        Request::Get { path, watch } => format!("get{} {path}", mark(watch)),
        Request::Exists { path, watch } => format!("exists{} {path}", mark(watch)),
        Request::Children { path, watch } => format!("children{} {path}", mark(watch)),
        Request::Sync { path } => format!("sync {path}"),
        Request::Write(ops) => ops.iter().map(op).collect::<Vec<_>>().join("; "),
    })
}

fn op(op: &Op) -> String {
    let version = |version: &Option<i32>| version.map_or(String::new(), |version| format!("@{version}"));
    match op {
        Op::Check { path, version } => format!("check {path}@{version}"),
        Op::Create { path, data, mode } => {
            let mark = if *mode == CreateMode::Ephemeral { "~" } else { "" };
            format!("create{mark} {path}{}", payload(path, data))
        }
        Op::Set { path, data, version: v } => format!("set {path}{}{}", version(v), payload(path, data)),
        Op::Delete { path, version: v } => format!("delete {path}{}", version(v)),
    }
}

/// Long ones are another room's business.
pub(crate) fn payload(path: &str, data: &[u8]) -> String {
    let text = String::from_utf8_lossy(data);
    match zk_schema::ConsumerPlan::decode(path, data) {
        Ok(plan) => {
            let streams = plan.streams.iter().map(|(partition, thread)| format!("{partition}:{thread}"));
            let streams = streams.collect::<Vec<_>>().join(" ");
            format!(" = {} by {}, {} moved: {streams}", plan.generation, plan.assignor, plan.moved)
        }
        _ if text.is_empty() => String::new(),
        _ if text.starts_with('{') => " = {…}".into(),
        _ => format!(" = {text}"),
    }
}

pub(crate) fn failure(failure: &Failure) -> String {
    match failure {
        Failure::Refused { at, why } => format!("{why:?} at {at}"),
        other => format!("{other:?}"),
    }
}

pub(crate) fn effect(effect: &Effect) -> String {
    short(&match effect {
        Effect::Send { request: sent, .. } => request(sent),
        Effect::Lease { until_ms } => format!("LEASE until {until_ms:?}"),
        Effect::FindStart { partition } => format!("FIND START {partition}"),
        Effect::Start { partition, stream, offset } => format!("START {partition} from {offset}, stream {stream}"),
        Effect::Stop { partition } => format!("STOP {partition}"),
        Effect::Abandon { partition } => format!("ABANDON {partition}"),
        Effect::CollectPositions => "COLLECT POSITIONS".into(),
        Effect::Committed { token, outcome: Ok(()) } => format!("COMMITTED {token}"),
        Effect::Committed { token, outcome: Err(error) } => format!("NOT COMMITTED {token}: {error}"),
        Effect::Closed => "CLOSED".into(),
        Effect::Failed(Fatal::DuplicateId { consumer_id, owner, .. }) => {
            format!("FAILED: {consumer_id} is session 0x{owner:x}")
        }
        Effect::Failed(why) => format!("FAILED: {why}"),
        Effect::Report(Report::WaitingForOwner { partition, owner, data }) => {
            format!("report: {partition} belongs to session 0x{owner:x}, {data:?}")
        }
        Effect::Report(report) => format!("report: {report:?}"),
    })
}
