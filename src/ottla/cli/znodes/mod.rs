//! `ottla znodes`: the tree decoded, checked, and watched.

mod check;
mod watch;

use std::collections::BTreeMap;
use std::io::Write;

use clap::Subcommand;
use zk_schema::Kind;

use super::time::{moment, now_ms, span};
use super::{ToolError, zookeeper};
use crate::zk::znodes::{Stat, ZkError, Znodes};

pub(super) const EXAMPLES: &str = "\
Examples:
  ottla znodes tree                                     every node, with who owns the ephemeral ones and since when
  ottla znodes tree /brokers/topics --depth 2
  ottla znodes get /brokers/ids/0
  ottla znodes tree --zookeeper zk1:2181,zk2:2181/kafka
  ottla znodes check                                    what cannot be read and what does not fit, with a remedy; 1 if any
  ottla znodes check --group billing                    the same for one classic consumer group
  ottla znodes watch /consumers/billing                 what is made (+), changed (~) and deleted (-) below, until Ctrl-C

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
    /// Print what is wrong: nodes that cannot be read, owners without a member, offsets without a topic
    Check {
        /// One classic consumer group; without it the whole tree
        #[arg(long)]
        group: Option<String>,
    },
    /// Print what is made, changed and deleted below a node, decoded
    Watch {
        /// Where to begin
        #[arg(default_value = "/")]
        path: String,
        /// Most nodes to watch; each takes two watches in ZooKeeper
        #[arg(long, value_name = "N", default_value_t = 5000)]
        max_nodes: usize,
    },
}

/// Runs the tool.
pub(super) async fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), ToolError> {
    let zk = zookeeper::connect(&arguments.zookeeper).await?;
    let view = View { zk: &zk, now_ms: now_ms() };
    let outcome = match &arguments.action {
        Action::Tree { path, depth } => view.tree(path, depth.unwrap_or(usize::MAX), out).await,
        Action::Get { path } => view.get(path, out).await,
        Action::Check { group } => check::run(&zk, group.as_deref(), check::SETTLING, out).await,
        Action::Watch { path, max_nodes } => watch::run(&zk, &absolute(path), *max_nodes, out).await,
    };
    // Whatever the end of the session says, what was asked has been answered.
    let _ = zk.close().await;
    outcome
}

struct View<'a> {
    zk: &'a dyn Znodes,
    now_ms: i64,
}

impl View<'_> {
    async fn tree(&self, root: &str, depth: usize, out: &mut dyn Write) -> Result<(), ToolError> {
        let root = absolute(root);
        let owners = self.owners().await;
        // Depth first, children in the order of their names.
        let mut waiting = vec![(root.clone(), 0)];
        while let Some((path, level)) = waiting.pop() {
            let (data, stat) = match self.zk.get(&path).await {
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
                let mut children = match self.zk.children(&path).await {
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
        let (data, stat) = self.zk.get(&path).await.map_err(|error| failed(&path, &error))?;
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
        let parent = "/brokers/ids";
        for id in self.zk.children(parent).await.unwrap_or_default() {
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
    format!("/{}", path.trim_matches('/'))
}

fn failed(path: &str, error: &ZkError) -> ToolError {
    ToolError::Failed(format!("{path}: {error}"))
}
