//! Quotas: the server keeps `zookeeper_stats` nodes up to date by itself, without log entries and without watches.
//!
//! Only the counting is here; limits are not enforced (ZooKeeper's default).

use crate::nodes::Nodes;
use std::collections::BTreeSet;

const ROOT: &str = "/zookeeper/quota";
const LIMITS: &str = "/zookeeper_limits";
const STATS: &str = "/zookeeper_stats";

/// The paths that have limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quotas {
    limited: BTreeSet<String>,
}

impl Quotas {
    /// Finds the limits in a restored tree and counts anew.
    pub(crate) fn restore(nodes: &mut Nodes) -> Self {
        let limited = nodes.below(ROOT).filter_map(|(path, _)| limited_path(path, LIMITS)).map(str::to_owned).collect();
        let quotas = Self { limited };
        for path in &quotas.limited {
            recount(nodes, path);
        }
        quotas
    }

    /// A node was created: `bytes` of data.
    pub(crate) fn created(&mut self, nodes: &mut Nodes, path: &str, bytes: i64) {
        if let Some(limited) = limited_path(path, LIMITS) {
            self.limited.insert(limited.to_owned());
        }
        if let Some(limited) = limited_path(path, STATS) {
            recount(nodes, limited);
        }
        self.add(nodes, path, 1, bytes);
    }

    /// A node was deleted that had `bytes` of data.
    pub(crate) fn deleted(&mut self, nodes: &mut Nodes, path: &str, bytes: i64) {
        if let Some(limited) = limited_path(path, LIMITS) {
            self.limited.remove(limited);
        }
        self.add(nodes, path, -1, -bytes);
    }

    /// A node's data grew by so many bytes.
    pub(crate) fn changed(&self, nodes: &mut Nodes, path: &str, bytes: i64) {
        self.add(nodes, path, 0, bytes);
    }

    fn add(&self, nodes: &mut Nodes, path: &str, count: i64, bytes: i64) {
        if self.limited.is_empty() {
            return;
        }
        let mut ancestor = path;
        while !self.limited.contains(ancestor) {
            match ancestor.rfind('/') {
                Some(slash) if slash > 0 => ancestor = &ancestor[..slash],
                _ => return,
            }
        }
        let stats = format!("{ROOT}{ancestor}{STATS}");
        let before = nodes.get(&stats).and_then(|node| parse(node.data.as_deref().unwrap_or_default()));
        if let Some((count_before, bytes_before)) = before {
            write(nodes, &stats, count_before + count, bytes_before + bytes);
        }
    }
}

/// `/zookeeper/quota/a/zookeeper_limits` is about `/a`.
fn limited_path<'a>(path: &'a str, suffix: &str) -> Option<&'a str> {
    path.strip_prefix(ROOT)?.strip_suffix(suffix).filter(|limited| !limited.is_empty())
}

fn recount(nodes: &mut Nodes, path: &str) {
    let Some(top) = nodes.get(path) else { return write(nodes, &format!("{ROOT}{path}{STATS}"), 0, 0) };
    let (mut count, mut bytes) = (1, top.data_length());
    for (_, node) in nodes.below(path) {
        count += 1;
        bytes += node.data_length();
    }
    write(nodes, &format!("{ROOT}{path}{STATS}"), count, bytes);
}

fn write(nodes: &mut Nodes, stats: &str, count: i64, bytes: i64) {
    nodes.change(stats, |node| node.data = Some(format!("count={count},bytes={bytes}").into()));
}

fn parse(data: &[u8]) -> Option<(i64, i64)> {
    let (count, bytes) = std::str::from_utf8(data).ok()?.split_once(',')?;
    Some((count.strip_prefix("count=")?.parse().ok()?, bytes.strip_prefix("bytes=")?.parse().ok()?))
}
