//! `ottla znodes watch`: one-shot watches on every node below a path, each set again with the reading that it asked for; what
//! is printed is the difference between two readings. Two changes of a node in the same moment may be seen as one.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, stream};

use super::{failed, says};
use crate::cli::ToolError;
use crate::cli::time::{now_ms, time_of_day};
use crate::zk::znodes::{Stat, Watcher, ZkError, Znodes};

/// Reads on their way at once.
const READS_IN_FLIGHT: usize = 100;
/// Before a read is tried again when the connection or the session was lost.
const PATIENCE: Duration = Duration::from_millis(500);
/// Lines of one node that are printed.
const MOST_LINES: usize = 20;

/// Runs until Ctrl-C.
pub(super) async fn run(zk: &dyn Znodes, root: &str, max_nodes: usize, out: &mut dyn Write) -> Result<(), ToolError> {
    let follow = async {
        let mut tree =
            WatchedTree { zk, max_nodes, nodes: BTreeMap::new(), watches: FuturesUnordered::new(), full: false };
        tree.begin(root).await?;
        eprintln!("watching {} nodes below {root}", tree.nodes.len());
        loop {
            for line in tree.next().await? {
                writeln!(out, "{line}")?;
            }
            out.flush()?;
        }
    };
    tokio::select! {
        outcome = follow => outcome,
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(ToolError::Output),
    }
}

/// A node as it was read last.
struct Seen {
    data: Vec<u8>,
    stat: Stat,
}

/// A watch that fired: of which node, and whether its list of children.
type Fired = (String, bool);

struct WatchedTree<'a> {
    zk: &'a dyn Znodes,
    max_nodes: usize,
    nodes: BTreeMap<String, Seen>,
    watches: FuturesUnordered<Pin<Box<dyn Future<Output = Fired> + Send>>>,
    /// Whether it was said that further nodes are not watched.
    full: bool,
}

/// A node with both watches set.
struct Reading {
    path: String,
    seen: Seen,
    children: Vec<String>,
    watches: [(Watcher, bool); 2],
}

impl<'a> WatchedTree<'a> {
    /// Reads everything; more than `max_nodes` is an error.
    async fn begin(&mut self, root: &str) -> Result<(), ToolError> {
        let before = self.add(vec![root.to_owned()], true).await?;
        match before.is_empty() {
            true => Err(failed(root, &ZkError::NoNode)),
            false => Ok(()),
        }
    }

    /// Reads nodes and all below them; returns their paths, parents first. Those that are gone by now are left out.
    async fn add(&mut self, paths: Vec<String>, must_fit: bool) -> Result<Vec<String>, ToolError> {
        let mut added = Vec::new();
        let mut level = paths;
        while !level.is_empty() {
            let room = self.max_nodes.saturating_sub(self.nodes.len());
            if level.len() > room {
                let advice =
                    "name a smaller part of the tree, or raise --max-nodes: each node takes two watches in ZooKeeper";
                let text = format!("more than {} nodes: {advice}", self.max_nodes);
                if must_fit {
                    return Err(ToolError::Failed(text));
                }
                if !std::mem::replace(&mut self.full, true) {
                    eprintln!("{text}; further nodes are not watched");
                }
                level.truncate(room);
            }
            let zk = self.zk;
            let reads = level.into_iter().map(|path| read(zk, path));
            let readings: Vec<_> = stream::iter(reads).buffered(READS_IN_FLIGHT).collect().await;
            level = Vec::new();
            for reading in readings {
                let Some(Reading { path, seen, children, watches }) = reading? else { continue };
                for (watcher, of_children) in watches {
                    self.watch(&path, watcher, of_children);
                }
                level.extend(children.iter().map(|name| format!("{}/{name}", path.trim_end_matches('/'))));
                added.push(path.clone());
                self.nodes.insert(path, seen);
            }
        }
        Ok(added)
    }

    fn watch(&self, path: &str, watcher: Watcher, of_children: bool) {
        let path = path.to_owned();
        self.watches.push(Box::pin(async move {
            watcher.await;
            (path, of_children)
        }));
    }

    /// Waits for a watch to fire and says what is different then; often nothing, when another watch told it.
    async fn next(&mut self) -> Result<Vec<String>, ToolError> {
        let Some((path, of_children)) = self.watches.next().await else {
            return Err(ToolError::Failed("nothing is left to watch: the node is gone".into()));
        };
        match of_children {
            // A node that went tells it by its own watch.
            _ if !self.nodes.contains_key(&path) => Ok(Vec::new()),
            true => self.children_changed(&path).await,
            false => self.data_changed(&path).await,
        }
    }

    async fn children_changed(&mut self, path: &str) -> Result<Vec<String>, ToolError> {
        let zk = self.zk;
        let Some((children, watcher)) = patiently(path, || zk.children_and_watch(path)).await? else {
            return Ok(Vec::new());
        };
        self.watch(path, watcher, true);
        let mut new: Vec<String> =
            children.iter().map(|name| format!("{}/{name}", path.trim_end_matches('/'))).collect();
        new.retain(|path| !self.nodes.contains_key(path));
        new.sort_unstable();
        self.appeared(new).await
    }

    async fn appeared(&mut self, paths: Vec<String>) -> Result<Vec<String>, ToolError> {
        let mut added = self.add(paths, false).await?;
        added.sort_unstable();
        Ok(added.iter().flat_map(|path| created(path, &self.nodes[path])).collect())
    }

    async fn data_changed(&mut self, path: &str) -> Result<Vec<String>, ToolError> {
        let zk = self.zk;
        let read = patiently(path, || zk.get_and_watch(path)).await?;
        let same = |stat: &Stat| self.nodes.get(path).is_some_and(|seen| seen.stat.czxid == stat.czxid);
        match read {
            Some((data, stat, watcher)) if same(&stat) => {
                self.watch(path, watcher, false);
                let seen = Seen { data, stat };
                let Some(before) = self.nodes.insert(path.to_owned(), seen) else { return Ok(Vec::new()) };
                Ok(changed(path, &before, &self.nodes[path]))
            }
            // Another node of that name, or none: what was below is gone too. Its parent's watch may have fired before.
            gone => {
                let mut lines = self.vanished(path);
                if gone.is_some() {
                    drop(gone);
                    lines.extend(self.appeared(vec![path.to_owned()]).await?);
                }
                Ok(lines)
            }
        }
    }

    /// Forgets a node and all below it; their watches fire into the void.
    fn vanished(&mut self, path: &str) -> Vec<String> {
        let below = format!("{}/", path.trim_end_matches('/'));
        let paths: Vec<String> =
            self.nodes.keys().filter(|known| *known == path || known.starts_with(&below)).cloned().collect();
        let gone = paths.iter().rev().filter_map(|path| Some((path, self.nodes.remove(path)?)));
        gone.map(|(path, seen)| format!("{}  - {path}{}", now(), headline(path, &seen.data))).collect()
    }
}

/// Reads a node with its children and sets both watches; none if it is gone.
async fn read(zk: &dyn Znodes, path: String) -> Result<Option<Reading>, ToolError> {
    let Some((data, stat, of_data)) = patiently(&path, || zk.get_and_watch(&path)).await? else { return Ok(None) };
    let Some((children, of_children)) = patiently(&path, || zk.children_and_watch(&path)).await? else {
        return Ok(None);
    };
    let watches = [(of_data, false), (of_children, true)];
    Ok(Some(Reading { path, seen: Seen { data, stat }, children, watches }))
}

/// Asks until there is an answer; none if the node does not exist.
async fn patiently<T, F>(path: &str, ask: impl Fn() -> F) -> Result<Option<T>, ToolError>
where
    F: Future<Output = Result<T, ZkError>>,
{
    loop {
        match ask().await {
            Ok(answer) => return Ok(Some(answer)),
            Err(ZkError::NoNode) => return Ok(None),
            Err(error @ (ZkError::Unknown | ZkError::Expired)) => {
                eprintln!("{path}: {error}; trying again");
                tokio::time::sleep(PATIENCE).await;
            }
            Err(error) => return Err(failed(path, &error)),
        }
    }
}

fn now() -> String {
    time_of_day(now_ms())
}

fn headline(path: &str, data: &[u8]) -> String {
    says(path, data).first().map_or(String::new(), |line| format!("  {line}"))
}

/// A line for the node, and what else it says.
fn created(path: &str, seen: &Seen) -> Vec<String> {
    let owner = match seen.stat.ephemeral_owner {
        0 => String::new(),
        session => format!("  [ephemeral, session 0x{session:x}]"),
    };
    let mut lines = vec![format!("{}  + {path}{}{owner}", now(), headline(path, &seen.data))];
    let rest = says(path, &seen.data);
    further(rest.iter().skip(1).map(String::as_str).collect(), &mut lines);
    lines
}

/// A line for the node, and what it did not say before. A watch that was lost and set again has nothing to tell.
fn changed(path: &str, before: &Seen, after: &Seen) -> Vec<String> {
    if before.stat.mzxid == after.stat.mzxid {
        return Vec::new();
    }
    let same = match before.data == after.data {
        true => format!("  (written anew, version {})", after.stat.version),
        false => String::new(),
    };
    let mut lines = vec![format!("{}  ~ {path}{}{same}", now(), headline(path, &after.data))];
    let old = says(path, &before.data);
    let new = says(path, &after.data);
    further(new.iter().skip(1).filter(|line| !old.contains(line)).map(String::as_str).collect(), &mut lines);
    lines
}

fn further(says: Vec<&str>, lines: &mut Vec<String>) {
    lines.extend(says.iter().take(MOST_LINES).map(|line| format!("                  {}", line.trim_start())));
    if let Some(more) = says.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        lines.push(format!("                  ({more} more lines)"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zk::fake::{FakeEnsemble, FakeZnodes};
    use crate::zk::store_consumers::tests::{hold, put, put_topic};

    fn tree(zk: &FakeZnodes, max_nodes: usize) -> WatchedTree<'_> {
        WatchedTree { zk, max_nodes, nodes: BTreeMap::new(), watches: FuturesUnordered::new(), full: false }
    }

    /// What is printed until nothing more comes, without the time of day.
    async fn told(tree: &mut WatchedTree<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(told) = tokio::time::timeout(Duration::from_millis(20), tree.next()).await {
            lines.extend(told.unwrap());
        }
        lines.iter().map(|line| line.get(14..).unwrap_or_default().trim_start().to_owned()).collect()
    }

    #[tokio::test]
    async fn what_is_made_changed_and_deleted_is_told_decoded() {
        let ensemble = FakeEnsemble::default();
        let (zk, other) = (ensemble.connect(), ensemble.connect());
        put(&other, "/consumers/g/ids", "").await;
        let mut tree = tree(&zk, 100);
        tree.begin("/consumers").await.unwrap();
        assert!(told(&mut tree).await.is_empty());
        put(&other, "/consumers/g/offsets/t/0", "7").await;
        let expected = [
            "+ /consumers/g/offsets",
            "+ /consumers/g/offsets/t",
            "+ /consumers/g/offsets/t/0  t-0 is to be consumed from offset 7",
        ];
        assert_eq!(told(&mut tree).await, expected);
        other.set("/consumers/g/offsets/t/0", b"8", None).await.unwrap();
        assert_eq!(told(&mut tree).await, ["~ /consumers/g/offsets/t/0  t-0 is to be consumed from offset 8"]);
        other.set("/consumers/g/offsets/t/0", b"8", None).await.unwrap();
        assert_eq!(
            told(&mut tree).await,
            ["~ /consumers/g/offsets/t/0  t-0 is to be consumed from offset 8  (written anew, version 2)"]
        );
        hold(&other, "/consumers/g/owners/t/0", "h-0").await;
        let session = other.session_id();
        let last = told(&mut tree).await.pop();
        let owner = format!("+ /consumers/g/owners/t/0  t-0 is consumed by h-0  [ephemeral, session 0x{session:x}]");
        assert_eq!(last, Some(owner));
        other.close().await.unwrap();
        assert_eq!(told(&mut tree).await, ["- /consumers/g/owners/t/0  t-0 is consumed by h-0"]);
    }

    #[tokio::test]
    async fn a_node_made_anew_is_told_as_gone_and_made() {
        let ensemble = FakeEnsemble::default();
        let (zk, other) = (ensemble.connect(), ensemble.connect());
        put(&other, "/a/b", "1").await;
        let mut tree = tree(&zk, 100);
        tree.begin("/a").await.unwrap();
        for _ in 0..2 {
            other.delete("/a/b", None).await.unwrap();
            put(&other, "/a/b", "2").await;
            let lines = told(&mut tree).await;
            assert!(lines.len() == 2 && lines[0].starts_with("- /a/b") && lines[1] == "+ /a/b  2", "{lines:?}");
        }
    }

    #[tokio::test]
    async fn an_expired_session_misses_nothing() {
        let ensemble = FakeEnsemble::default();
        let (zk, other) = (ensemble.connect(), ensemble.connect());
        put(&other, "/a/b", "1").await;
        let mut tree = tree(&zk, 100);
        tree.begin("/a").await.unwrap();
        zk.expire();
        put(&other, "/a/c", "3").await;
        other.set("/a/b", b"2", None).await.unwrap();
        let mut lines = told(&mut tree).await;
        lines.sort();
        assert_eq!(lines, ["+ /a/c  3", "~ /a/b  2"]);
        other.set("/a/c", b"4", None).await.unwrap();
        assert_eq!(told(&mut tree).await, ["~ /a/c  4"], "its watches are set again");
    }

    #[tokio::test]
    async fn more_nodes_than_allowed_are_refused_or_left_out() {
        let ensemble = FakeEnsemble::default();
        let (zk, other) = (ensemble.connect(), ensemble.connect());
        put(&other, "/a/b", "1").await;
        let refused = tree(&zk, 1).begin("/a").await.unwrap_err().to_string();
        assert!(refused.starts_with("more than 1 nodes: name a smaller part"), "{refused}");
        assert!(tree(&zk, 1).begin("/none").await.is_err());
        let mut tree = tree(&zk, 2);
        tree.begin("/a").await.unwrap();
        put(&other, "/a/c", "1").await;
        other.set("/a/b", b"2", None).await.unwrap();
        assert_eq!(told(&mut tree).await, ["~ /a/b  2"]);
    }

    #[tokio::test]
    async fn of_a_change_only_what_is_new_is_told() {
        let ensemble = FakeEnsemble::default();
        let (zk, other) = (ensemble.connect(), ensemble.connect());
        put_topic(&other, "t", 2).await;
        let mut tree = tree(&zk, 100);
        tree.begin("/brokers/topics").await.unwrap();
        let data = other.get("/brokers/topics/t").await.unwrap().0;
        let data = String::from_utf8(data).unwrap().replace("\"1\":[1]", "\"1\":[2]");
        other.set("/brokers/topics/t", data.as_bytes(), None).await.unwrap();
        let lines = told(&mut tree).await;
        assert_eq!(lines, ["~ /brokers/topics/t  topic t, 2 partitions, id none yet", "partition 1 replicas 2"]);
    }
}
