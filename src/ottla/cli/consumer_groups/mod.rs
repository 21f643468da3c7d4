//! `ottla consumer-groups`: what `kafka-consumer-groups.sh --zookeeper` did until Kafka 1.1, with what it could not tell.

mod describe;
mod redraw;
mod reset;

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use ottla_types::{TopicName, TopicPartition};

use super::group_view::{self, GroupView};
use super::time::now_ms;
use super::{ToolError, log_offsets, zookeeper};
use crate::client::admin::LATEST;
use crate::zk::store_consumer_changes::{ChangeError, delete_group, delete_offsets};
use crate::zk::store_consumers;
use crate::zk::znodes::Znodes;

pub(super) const EXAMPLES: &str = "\
Examples:
  ottla consumer-groups --list
  ottla consumer-groups --describe --group billing              who reads what, how far, and how far behind
  ottla consumer-groups --describe --group billing --members    who is in the group; --state: its last rebalance
  ottla consumer-groups --describe --group billing --watch      the same, redrawn while the group changes
  ottla consumer-groups --reset-offsets --group billing --topic orders:0,1 --to-datetime 2026-11-25T19:00:00.000
  ottla consumer-groups --reset-offsets --group billing --all-topics --shift-by -100 --execute
  ottla consumer-groups --delete-offsets --group billing --topic orders
  ottla consumer-groups --delete --group billing
  ottla consumer-groups --list --zookeeper zk1:2181,zk2:2181/kafka

Groups of the classic consumer lie in ZooKeeper, and are read there. --reset-offsets shows what it would do; --execute does
it. What a consumer uses is not changed: a partition with an owner keeps its offset, a group with members stays.";

/// How long a broker may take to answer.
const BROKER_PATIENCE: Duration = Duration::from_secs(10);

/// What to do with which groups.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("action").required(true))]
#[command(group = clap::ArgGroup::new("target"))]
pub(super) struct Arguments {
    /// ZooKeeper servers, with the path below which the cluster lies
    #[arg(long, value_name = "HOST:PORT/CHROOT", default_value = "127.0.0.1:2181")]
    zookeeper: String,
    /// Print the names of groups
    #[arg(long, group = "action")]
    list: bool,
    /// Print partitions with offset, end of log, lag and owner
    #[arg(long, group = "action")]
    describe: bool,
    /// Set offsets of partitions that nobody consumes
    #[arg(long, group = "action", requires_all = ["group", "target"])]
    reset_offsets: bool,
    /// Delete groups without members, with their offsets
    #[arg(long, group = "action")]
    delete: bool,
    /// Delete the offsets of a topic that nobody consumes
    #[arg(long, group = "action", requires_all = ["group", "topic"])]
    delete_offsets: bool,
    /// The group; may be repeated
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// All groups
    #[arg(long, conflicts_with = "group")]
    all_groups: bool,
    /// Describe the members: host, age of the session, subscription, assignor, number of partitions
    #[arg(long, requires = "describe", conflicts_with = "state")]
    members: bool,
    /// Describe the group: planner, last plan, when and how long the last rebalance was
    #[arg(long, requires = "describe")]
    state: bool,
    /// Go on describing while the group changes: on a terminal redrawn, else a block for each change
    #[arg(long, requires = "describe", conflicts_with_all = ["members", "state", "all_groups"])]
    watch: bool,
    /// A topic, or some of its partitions as TOPIC:0,1; may be repeated
    #[arg(long, value_name = "TOPIC[:P,P]")]
    topic: Vec<String>,
    /// All topics of which the group has offsets
    #[arg(long, requires = "reset_offsets", conflicts_with = "topic")]
    all_topics: bool,
    /// To the first record
    #[arg(long, group = "target", requires = "reset_offsets")]
    to_earliest: bool,
    /// Behind the last record
    #[arg(long, group = "target", requires = "reset_offsets")]
    to_latest: bool,
    /// To an offset
    #[arg(long, value_name = "N", group = "target", requires = "reset_offsets", allow_hyphen_values = true)]
    to_offset: Option<i64>,
    /// To the first record that is not older than YYYY-MM-DDThh:mm:ss.sss
    #[arg(long, value_name = "MOMENT", group = "target", requires = "reset_offsets", value_parser = super::time::parse_moment)]
    to_datetime: Option<i64>,
    /// To the first record that is not older than PnDTnHnMnS
    #[arg(long, value_name = "TIME", group = "target", requires = "reset_offsets", value_parser = super::time::parse_span)]
    by_duration: Option<i64>,
    /// On by N records, back by -N
    #[arg(long, value_name = "N", group = "target", requires = "reset_offsets", allow_hyphen_values = true)]
    shift_by: Option<i64>,
    /// To where the group is: what it has not begun is set to the end
    #[arg(long, group = "target", requires = "reset_offsets")]
    to_current: bool,
    /// Show what would be done (what happens without --execute)
    #[arg(long, requires = "reset_offsets", conflicts_with = "execute")]
    dry_run: bool,
    /// Do it
    #[arg(long, requires = "reset_offsets")]
    execute: bool,
}

impl Arguments {
    /// What clap does not refuse: of two actions it forgives what only the other one needs.
    fn check(&self) -> Result<(), ToolError> {
        let target = self.to_earliest || self.to_latest || self.to_current || self.dry_run || self.execute;
        let target = target || self.to_offset.is_some() || self.to_datetime.is_some();
        let reset = target || self.by_duration.is_some() || self.shift_by.is_some() || self.all_topics;
        let usage = |text: &str| Err(ToolError::Usage(text.into()));
        match () {
            () if reset && !self.reset_offsets => usage("where to and --execute belong to --reset-offsets"),
            () if (self.members || self.state || self.watch) && !self.describe => {
                usage("--members, --state and --watch belong to --describe")
            }
            () => Ok(()),
        }
    }
}

/// Runs the tool.
pub(super) async fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), ToolError> {
    let zk = zookeeper::connect(&arguments.zookeeper).await?;
    let outcome = act(arguments, &zk, out).await;
    // Whatever the end of the session says, what was asked has been done.
    let _ = zk.close().await;
    outcome
}

async fn act(arguments: &Arguments, zk: &dyn Znodes, out: &mut dyn Write) -> Result<(), ToolError> {
    arguments.check()?;
    if arguments.list {
        for name in all(zk).await? {
            writeln!(out, "{name}")?;
        }
        return Ok(());
    }
    let groups = match arguments.all_groups {
        true => all(zk).await?,
        false => arguments.group.clone(),
    };
    match &groups[..] {
        [] if !arguments.all_groups => Err(ToolError::Usage("--group or --all-groups is needed".into())),
        groups if arguments.describe && !arguments.watch => describe_all(arguments, zk, groups, out).await,
        groups if arguments.delete => delete_all(zk, groups, out).await,
        [group] if arguments.watch => redraw::run(zk, group, out).await,
        [group] if arguments.delete_offsets => delete_topics(arguments, zk, group, out).await,
        [group] => reset::run(arguments, zk, group, out).await,
        _ => Err(ToolError::Usage("one --group is expected".into())),
    }
}

async fn all(zk: &dyn Znodes) -> Result<Vec<String>, ToolError> {
    store_consumers::groups(zk).await.map_err(|error| ToolError::Failed(error.to_string()))
}

fn unknown(group: &str) -> ToolError {
    ToolError::Failed(format!("Error: Consumer group '{group}' does not exist."))
}

async fn describe_all(
    arguments: &Arguments,
    zk: &dyn Znodes,
    groups: &[String],
    out: &mut dyn Write,
) -> Result<(), ToolError> {
    let cluster = log_offsets::cluster(zk, "ottla-consumer-groups", BROKER_PATIENCE).await?;
    let mut missing = None;
    for (index, name) in groups.iter().enumerate() {
        let Some(view) = group_view::read(zk, name).await? else {
            // With all groups it was deleted a moment ago.
            missing = missing.or((!arguments.all_groups).then(|| unknown(name)));
            continue;
        };
        if index > 0 {
            writeln!(out)?;
        }
        let mut notes = view.notes();
        let lines = match () {
            () if arguments.members => describe::members(&view, now_ms()),
            () if arguments.state => describe::state(&view, now_ms()),
            () => {
                let ends = log_offsets::offsets(&cluster, existing(&view), LATEST).await;
                let (ends, reasons) = log_offsets::known(ends);
                notes.extend(reasons);
                if view.group.members.is_empty() {
                    notes.push(format!("Consumer group '{name}' has no active members."));
                }
                describe::partitions(&view, &ends, now_ms())
            }
        };
        for note in notes {
            eprintln!("{note}");
        }
        for line in lines {
            writeln!(out, "{line}")?;
        }
    }
    missing.map_or(Ok(()), Err)
}

/// The partitions of a group that exist.
fn existing(view: &GroupView) -> impl Iterator<Item = TopicPartition> {
    let exists =
        |p: &TopicPartition| view.topics.get(&p.topic).is_some_and(|topic| topic.partitions.contains(&p.partition));
    view.partitions().into_iter().filter(exists)
}

async fn delete_all(zk: &dyn Znodes, groups: &[String], out: &mut dyn Write) -> Result<(), ToolError> {
    let mut failures = Vec::new();
    let mut deleted = Vec::new();
    for group in groups {
        match delete_group(zk, group).await {
            Ok(()) => deleted.push(format!("'{group}'")),
            Err(error) => failures.push(format!("* Group '{group}' could not be deleted due to: {error}")),
        }
    }
    if !deleted.is_empty() {
        writeln!(out, "Deletion of requested consumer groups ({}) was successful.", deleted.join(", "))?;
    }
    match failures.is_empty() {
        true => Ok(()),
        false => {
            Err(ToolError::Failed(format!("Error: Deletion of some consumer groups failed:\n{}", failures.join("\n"))))
        }
    }
}

async fn delete_topics(
    arguments: &Arguments,
    zk: &dyn Znodes,
    group: &str,
    out: &mut dyn Write,
) -> Result<(), ToolError> {
    let Some(view) = group_view::read(zk, group).await? else { return Err(unknown(group)) };
    let mut partitions = BTreeSet::new();
    for text in &arguments.topic {
        let (topic, some) = topic_partitions(text)?;
        let meant = view.group.offsets.keys().filter(|p| p.topic == topic);
        partitions.extend(meant.filter(|p| some.is_empty() || some.contains(&p.partition)).cloned());
    }
    if partitions.is_empty() {
        return Err(ToolError::Failed(format!(
            "Error: group '{group}' has no offsets of {}",
            arguments.topic.join(", ")
        )));
    }
    delete_offsets(zk, group, &partitions).await.map_err(refused)?;
    let done = partitions.iter().map(|p| [p.topic.to_string(), p.partition.to_string(), "Successful".into()]);
    for line in super::table::table(["TOPIC", "PARTITION", "STATUS"], &done.collect::<Vec<_>>()) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn refused(error: ChangeError) -> ToolError {
    ToolError::Failed(format!("Error: {error}"))
}

/// `TOPIC` or `TOPIC:0,1`.
fn topic_partitions(text: &str) -> Result<(TopicName, BTreeSet<i32>), ToolError> {
    let usage = |why: String| ToolError::Usage(format!("--topic {text}: {why}"));
    let (topic, list) = text.split_once(':').unwrap_or((text, ""));
    let topic = TopicName::new(topic).map_err(|error| usage(error.to_string()))?;
    let numbers = list.split(',').filter(|number| !number.is_empty());
    let numbers = numbers.map(|number| number.parse().ok()).collect::<Option<_>>();
    Ok((topic, numbers.ok_or_else(|| usage("TOPIC:0,1 is expected".into()))?))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::zk::fake::FakeEnsemble;
    use crate::zk::store_consumers::tests::{hold, put, put_topic, wants};

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        arguments: Arguments,
    }

    pub(super) fn arguments(words: &str) -> Arguments {
        CommandLine::parse_from(words.split(' ')).arguments
    }

    pub(super) async fn said(zk: &dyn Znodes, words: &str) -> Result<String, String> {
        let mut out = Vec::new();
        let outcome = act(&arguments(words), zk, &mut out).await;
        outcome.map(|()| String::from_utf8(out).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_that_do_not_fit_together_are_refused() {
        let refused = |words: &str| CommandLine::try_parse_from(words.split(' ')).is_err();
        for words in [
            "x",
            "x --list --describe",
            "x --reset-offsets --group g --topic t",
            "x --reset-offsets --group g --topic t --to-latest --to-earliest",
            "x --reset-offsets --group g --topic t --to-datetime today",
            "x --delete-offsets --group g",
        ] {
            assert!(refused(words), "{words}");
        }
        for words in ["x --describe --group g --to-latest", "x --delete --group g --execute", "x --list --watch"] {
            assert!(refused(words) || arguments(words).check().is_err(), "{words}");
        }
        let shift = arguments("x --reset-offsets --group g --all-topics --shift-by -5");
        assert_eq!(shift.shift_by, Some(-5));
    }

    #[tokio::test]
    async fn groups_are_listed_and_deleted() {
        let ensemble = FakeEnsemble::default();
        let (zk, member) = (ensemble.connect(), ensemble.connect());
        put(&zk, "/consumers/a/offsets/t/0", "1").await;
        put(&zk, "/consumers/b/ids", "").await;
        hold(&member, "/consumers/b/ids/h:1", &wants("t", 1, None)).await;
        assert_eq!(said(&zk, "x --list").await.unwrap(), "a\nb\n");
        let error = said(&zk, "x --delete --group a --group b").await.unwrap_err();
        assert_eq!(
            error,
            "Error: Deletion of some consumer groups failed:\n\
             * Group 'b' could not be deleted due to: the group has live members: h:1; stop them first"
        );
        assert_eq!(said(&zk, "x --list").await.unwrap(), "b\n");
        member.close().await.unwrap();
        let done = said(&zk, "x --delete --group b").await.unwrap();
        assert_eq!(done, "Deletion of requested consumer groups ('b') was successful.\n");
        let missing = said(&zk, "x --describe --group b").await.unwrap_err();
        assert_eq!(missing, "Error: Consumer group 'b' does not exist.");
    }

    #[tokio::test]
    async fn offsets_of_partitions_are_deleted() {
        let zk = FakeEnsemble::default().connect();
        put_topic(&zk, "t", 3).await;
        for index in 0..3 {
            put(&zk, &format!("/consumers/g/offsets/t/{index}"), "1").await;
        }
        let done = said(&zk, "x --delete-offsets --group g --topic t:0,2").await.unwrap();
        assert_eq!(done, "TOPIC  PARTITION  STATUS\nt      0          Successful\nt      2          Successful\n");
        assert_eq!(zk.children("/consumers/g/offsets/t").await.unwrap(), ["1"]);
        assert!(said(&zk, "x --delete-offsets --group g --topic t:0").await.is_err());
        assert!(said(&zk, "x --delete-offsets --group g --topic t:x").await.is_err());
    }
}
