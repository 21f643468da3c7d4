use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use zk_schema::Kind;

use super::ToolError;
use super::time::{moment, span};
use crate::zk::live::{LiveOptions, LiveZnodes};
use crate::zk::znodes::{Stat, ZkError, Znodes};

pub(super) const EXAMPLES: &str = "\
Examples:
  ottla znodes tree                                     every node, with who owns the ephemeral ones and since when
  ottla znodes tree /brokers/topics --depth 2
  ottla znodes get /brokers/ids/0
  ottla znodes tree --zookeeper zk1:2181,zk2:2181/kafka

What a node says is decoded; `get` also prints the data as it is. Nothing is written.";

/// Which nodes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// ZooKeeper servers, with the path below which the cluster lies
    #[arg(long, value_name = "HOST:PORT/CHROOT", default_value = "127.0.0.1:2181", global = true)]
    zookeeper: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print a node and everything below it, decoded
    Tree {
        /// Where to begin
        #[arg(default_value = "/")]
        path: String,
        /// Levels below it
        #[arg(long, value_name = "N")]
        depth: Option<usize>,
    },
    /// Print one node: data, what it says, versions, owner
    Get {
        /// The node
        path: String,
    },
}

/// Runs the tool.
pub(super) async fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), ToolError> {
    // The chroot is put in front of paths here: a session with a chroot would make one that does not exist.
    let (servers, chroot) = match arguments.zookeeper.find('/') {
        Some(at) => (&arguments.zookeeper[..at], arguments.zookeeper[at..].trim_end_matches('/')),
        None => (arguments.zookeeper.as_str(), ""),
    };
    let mut options = LiveOptions::new(servers);
    options.connection_timeout = Duration::from_secs(10);
    let zk = LiveZnodes::connect(options).await.map_err(|error| ToolError::Failed(error.to_string()))?;
    let view = View { zk: &zk, chroot, now_ms: now_ms() };
    let outcome = match &arguments.action {
        Action::Tree { path, depth } => view.tree(path, depth.unwrap_or(usize::MAX), out).await,
        Action::Get { path } => view.get(path, out).await,
    };
    // Whatever the end of the session says, what was asked has been answered.
    let _ = zk.close().await;
    outcome
}

struct View<'a> {
    zk: &'a dyn Znodes,
    chroot: &'a str,
    now_ms: i64,
}

impl View<'_> {
    async fn tree(&self, root: &str, depth: usize, out: &mut dyn Write) -> Result<(), ToolError> {
        let root = absolute(root);
        let owners = self.owners().await;
        // Depth first, children in the order of their names.
        let mut waiting = vec![(root.clone(), 0)];
        while let Some((path, level)) = waiting.pop() {
            let (data, stat) = match self.zk.get(&self.full(&path)).await {
                Ok(node) => node,
                // It went while the tree was being read.
                Err(ZkError::NoNode) if level > 0 => continue,
                Err(error) => return Err(failed(&path, &error)),
            };
            let name = if level == 0 { path.as_str() } else { path.rsplit('/').next().unwrap_or_default() };
            let indent = "  ".repeat(level);
            write!(out, "{indent}{name}")?;
            let mut says = says(&path, &data).into_iter();
            if let Some(first) = says.next() {
                write!(out, "  {first}")?;
            }
            writeln!(out, "{}", self.owner(&stat, &owners))?;
            for line in says {
                writeln!(out, "{indent}    {}", line.trim_start())?;
            }
            if level < depth && stat.num_children > 0 {
                let mut children = match self.zk.children(&self.full(&path)).await {
                    Ok(children) => children,
                    Err(ZkError::NoNode) => continue,
                    Err(error) => return Err(failed(&path, &error)),
                };
                children.sort_by(|one, other| other.cmp(one));
                let below = |child: String| (format!("{}/{child}", path.trim_end_matches('/')), level + 1);
                waiting.extend(children.into_iter().map(below));
            }
        }
        Ok(())
    }

    async fn get(&self, path: &str, out: &mut dyn Write) -> Result<(), ToolError> {
        let path = absolute(path);
        let (data, stat) = self.zk.get(&self.full(&path)).await.map_err(|error| failed(&path, &error))?;
        let owners = if stat.ephemeral_owner == 0 { BTreeMap::new() } else { self.owners().await };
        writeln!(out, "{path}{}", self.owner(&stat, &owners))?;
        for line in says(&path, &data) {
            writeln!(out, "  {line}")?;
        }
        writeln!(out, "data      {}", String::from_utf8_lossy(&data))?;
        writeln!(out, "bytes     {}", stat.data_length)?;
        writeln!(out, "children  {}", stat.num_children)?;
        writeln!(out, "version   {} (children {}, ACL {})", stat.version, stat.cversion, stat.aversion)?;
        writeln!(out, "zxids     created 0x{:x}, data 0x{:x}, children 0x{:x}", stat.czxid, stat.mzxid, stat.pzxid)?;
        writeln!(out, "created   {}, {} ago", moment(stat.ctime), span(self.now_ms - stat.ctime))?;
        writeln!(out, "changed   {}, {} ago", moment(stat.mtime), span(self.now_ms - stat.mtime))?;
        Ok(())
    }

    /// Brokers by the session that owns their registration: sessions have no names, but what they registered has.
    async fn owners(&self) -> BTreeMap<i64, String> {
        let mut owners = BTreeMap::new();
        let parent = self.full("/brokers/ids");
        for id in self.zk.children(&parent).await.unwrap_or_default() {
            if let Ok((_, stat)) = self.zk.get(&format!("{parent}/{id}")).await {
                owners.insert(stat.ephemeral_owner, format!("broker {id}"));
            }
        }
        owners
    }

    fn owner(&self, stat: &Stat, owners: &BTreeMap<i64, String>) -> String {
        if stat.ephemeral_owner == 0 {
            return String::new();
        }
        let known = owners.get(&stat.ephemeral_owner).map(|name| format!(" ({name})")).unwrap_or_default();
        let age = span(self.now_ms - stat.ctime);
        format!("  [ephemeral, session 0x{:x}{known}, for {age}]", stat.ephemeral_owner)
    }

    fn full(&self, path: &str) -> String {
        match (self.chroot, path) {
            ("", _) => path.into(),
            (chroot, "/") => chroot.into(),
            (chroot, _) => format!("{chroot}{path}"),
        }
    }
}

/// What a node says, in lines; a node that cannot be decoded is shown as it is, with the reason.
fn says(path: &str, data: &[u8]) -> Vec<String> {
    match Kind::of(path) {
        Kind::Folder if data.is_empty() => Vec::new(),
        kind => match kind.describe(path, data) {
            Ok(text) => text.lines().map(str::to_owned).collect(),
            Err(error) => vec![String::from_utf8_lossy(data).into_owned(), error.to_string()],
        },
    }
}

fn absolute(path: &str) -> String {
    let path = path.trim_end_matches('/');
    if path.starts_with('/') { path.into() } else { format!("/{path}") }
}

fn failed(path: &str, error: &ZkError) -> ToolError {
    ToolError::Failed(format!("{path}: {error}"))
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
