//! `--reset-offsets`: where to, clamped to what the logs hold, and written if nobody consumes it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use ottla_types::{Offset, TopicPartition};

use super::{Arguments, BROKER_PATIENCE, refused, topic_partitions};
use crate::cli::group_view::{self, GroupView, Holder};
use crate::cli::table::table;
use crate::cli::time::now_ms;
use crate::cli::{ToolError, log_offsets};
use crate::client::Cluster;
use crate::client::admin::{EARLIEST, LATEST};
use crate::zk::store_consumer_changes::set_offsets;
use crate::zk::store_consumers::group_topics;
use crate::zk::znodes::Znodes;

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Earliest,
    Latest,
    At(Offset),
    /// The first record that is not older, ms since 1970.
    Since(i64),
    By(i64),
    Current,
}

/// What a log holds and where the group is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    earliest: Offset,
    latest: Offset,
    /// The first record that is not older than asked for, if that was asked.
    since: Option<Offset>,
    current: Option<Offset>,
}

impl Target {
    fn of(arguments: &Arguments, now_ms: i64) -> Target {
        let since = arguments.to_datetime.or(arguments.by_duration.map(|span| now_ms.saturating_sub(span)));
        match () {
            () if arguments.to_earliest => Target::Earliest,
            () if arguments.to_current => Target::Current,
            () => None
                .or(arguments.to_offset.map(Target::At))
                .or(since.map(Target::Since))
                .or(arguments.shift_by.map(Target::By))
                .unwrap_or(Target::Latest),
        }
    }

    /// The new offset, and what was wrong with the one that was asked for.
    fn resolve(self, partition: &TopicPartition, known: Known) -> (Offset, Option<String>) {
        let (earliest, latest) = (known.earliest, known.latest);
        let wanted = match self {
            Target::Earliest => earliest,
            Target::Latest => latest,
            Target::At(offset) => offset,
            // No record is that young.
            Target::Since(_) => known.since.unwrap_or(latest),
            Target::By(records) => known.current.unwrap_or(latest).saturating_add(records),
            Target::Current => known.current.unwrap_or(latest),
        };
        match () {
            () if wanted > latest => (
                latest,
                Some(format!(
                    "New offset ({wanted}) is higher than latest offset for topic partition {partition}. Value will be set to {latest}"
                )),
            ),
            () if wanted < earliest => (
                earliest,
                Some(format!(
                    "New offset ({wanted}) is lower than earliest offset for topic partition {partition}. Value will be set to {earliest}"
                )),
            ),
            () => (wanted, None),
        }
    }
}

/// Shows the new offsets and, with `--execute`, writes them.
pub(super) async fn run(
    arguments: &Arguments,
    zk: &dyn Znodes,
    group: &str,
    out: &mut dyn Write,
) -> Result<(), ToolError> {
    if arguments.topic.is_empty() && !arguments.all_topics {
        return Err(ToolError::Usage("--topic or --all-topics is needed".into()));
    }
    // A group that does not exist yet may be given offsets to begin with.
    let view = group_view::read(zk, group).await?.unwrap_or_default();
    let partitions = scope(arguments, zk, &view).await?;
    refuse_owned(&view, group, &partitions)?;
    let cluster = log_offsets::cluster(zk, "ottla-consumer-groups", BROKER_PATIENCE).await?;
    let target = Target::of(arguments, now_ms());
    let mut new = BTreeMap::new();
    for (partition, known) in known(&cluster, &view, &partitions, target).await? {
        let (offset, warning) = target.resolve(&partition, known);
        warning.into_iter().for_each(|warning| eprintln!("WARN {warning}"));
        new.insert(partition, offset);
    }
    if arguments.execute {
        set_offsets(zk, group, &new).await.map_err(refused)?;
    }
    for line in lines(group, &new) {
        writeln!(out, "{line}")?;
    }
    if !arguments.execute {
        eprintln!("Nothing was written: --execute does it.");
    }
    Ok(())
}

fn lines(group: &str, offsets: &BTreeMap<TopicPartition, Offset>) -> Vec<String> {
    let row = |(partition, offset): (&TopicPartition, &Offset)| {
        [group.into(), partition.topic.to_string(), partition.partition.to_string(), offset.to_string()]
    };
    table(["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"], &offsets.iter().map(row).collect::<Vec<_>>())
}

/// The partitions that are meant.
async fn scope(
    arguments: &Arguments,
    zk: &dyn Znodes,
    view: &GroupView,
) -> Result<BTreeSet<TopicPartition>, ToolError> {
    if arguments.all_topics {
        let exists = |p: &&TopicPartition| {
            view.topics.get(&p.topic).is_some_and(|topic| topic.partitions.contains(&p.partition))
        };
        let found: BTreeSet<TopicPartition> = view.group.offsets.keys().filter(exists).cloned().collect();
        return match found.is_empty() {
            true => Err(ToolError::Failed("Error: the group has no offset of a partition that exists".into())),
            false => Ok(found),
        };
    }
    let mut partitions = BTreeSet::new();
    for text in &arguments.topic {
        let (topic, some) = topic_partitions(text)?;
        let found = group_topics(zk, [topic.clone()]).await.map_err(|error| ToolError::Failed(error.to_string()))?;
        let all = found.get(&topic).map(|found| found.partitions.clone()).unwrap_or_default();
        if let Some(missing) = some.iter().find(|partition| !all.contains(partition)) {
            return Err(ToolError::Failed(format!("Error: partition {topic}-{missing} does not exist")));
        }
        if all.is_empty() {
            return Err(ToolError::Failed(format!("Error: topic {topic} does not exist")));
        }
        let meant = all.into_iter().filter(|partition| some.is_empty() || some.contains(partition));
        partitions.extend(meant.map(|partition| TopicPartition::new(topic.clone(), partition)));
    }
    Ok(partitions)
}

/// Says early, and for a dry run too, what [`set_offsets`] will not do.
fn refuse_owned(view: &GroupView, group: &str, partitions: &BTreeSet<TopicPartition>) -> Result<(), ToolError> {
    for partition in partitions {
        let owner = match view.holder(partition) {
            Holder::Nobody => continue,
            Holder::Member(id) => id.to_owned(),
            Holder::Orphan(owner) => format!("{}, of which no registration is left", owner.text),
        };
        return Err(ToolError::Failed(format!(
            "Error: Assignments can only be reset if the group '{group}' is inactive, but the current state is {}: \
             {partition} is consumed by {owner}",
            view.state()
        )));
    }
    Ok(())
}

async fn known(
    cluster: &Cluster,
    view: &GroupView,
    partitions: &BTreeSet<TopicPartition>,
    target: Target,
) -> Result<Vec<(TopicPartition, Known)>, ToolError> {
    let ask = |time| log_offsets::offsets(cluster, partitions.iter().cloned(), time);
    let mut earliest = ask(EARLIEST).await;
    let mut latest = ask(LATEST).await;
    let mut since = match target {
        Target::Since(time) => ask(time).await,
        _ => log_offsets::Answers::new(),
    };
    let mut found = Vec::new();
    for partition in partitions {
        let answer = |answers: &mut log_offsets::Answers| match answers.remove(partition) {
            Some(Err(error)) => Err(ToolError::Cluster { doing: "Error: the logs could not be asked", source: error }),
            Some(Ok(offset)) => Ok(offset),
            None => Ok(None),
        };
        let known = Known {
            earliest: answer(&mut earliest)?.unwrap_or(0),
            latest: answer(&mut latest)?.unwrap_or(0),
            since: answer(&mut since)?,
            current: view.offset(partition),
        };
        found.push((partition.clone(), known));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{arguments, said};
    use super::*;
    use crate::zk::fake::FakeEnsemble;
    use crate::zk::store_consumers::tests::{hold, partition, put, put_topic, wants};

    #[test]
    fn offsets_are_clamped_to_the_log() {
        let known = Known { earliest: 10, latest: 20, since: None, current: Some(15) };
        let resolve = |target: Target, known| {
            let (offset, warning) = target.resolve(&partition("t", 1), known);
            (offset, warning.is_some())
        };
        assert_eq!(resolve(Target::Earliest, known), (10, false));
        assert_eq!(resolve(Target::Latest, known), (20, false));
        assert_eq!(resolve(Target::At(12), known), (12, false));
        assert_eq!(resolve(Target::At(9), known), (10, true));
        assert_eq!(resolve(Target::At(21), known), (20, true));
        assert_eq!(resolve(Target::By(-5), known), (10, false));
        assert_eq!(resolve(Target::By(i64::MIN), known), (10, true));
        assert_eq!(resolve(Target::By(6), known), (20, true));
        assert_eq!(resolve(Target::Current, known), (15, false));
        assert_eq!(resolve(Target::Current, Known { current: None, ..known }), (20, false));
        assert_eq!(resolve(Target::Current, Known { current: Some(5), ..known }), (10, true));
        assert_eq!(resolve(Target::Since(1), known), (20, false), "no record is that young");
        assert_eq!(resolve(Target::Since(1), Known { since: Some(13), ..known }), (13, false));
        let (_, warning) = Target::At(21).resolve(&partition("t", 1), known);
        let text = "New offset (21) is higher than latest offset for topic partition t-1. Value will be set to 20";
        assert_eq!(warning.as_deref(), Some(text));
    }

    #[test]
    fn each_flag_is_its_target() {
        let target =
            |flag: &str| Target::of(&arguments(&format!("x --reset-offsets --group g --topic t {flag}")), 9000);
        assert_eq!(target("--to-earliest"), Target::Earliest);
        assert_eq!(target("--to-latest"), Target::Latest);
        assert_eq!(target("--to-offset 7"), Target::At(7));
        assert_eq!(target("--to-datetime 1970-01-01T00:00:01.000"), Target::Since(1000));
        assert_eq!(target("--by-duration PT2S"), Target::Since(7000));
        assert_eq!(target("--shift-by -3"), Target::By(-3));
        assert_eq!(target("--to-current"), Target::Current);
    }

    #[tokio::test]
    async fn what_is_consumed_or_does_not_exist_is_refused() {
        let zk = FakeEnsemble::default().connect();
        put_topic(&zk, "t", 2).await;
        hold(&zk, "/consumers/g/ids/h:1", &wants("t", 1, None)).await;
        hold(&zk, "/consumers/g/owners/t/0", "h:1-0").await;
        put(&zk, "/consumers/g/offsets/t/0", "1").await;
        let refused = said(&zk, "x --reset-offsets --group g --topic t --to-latest").await.unwrap_err();
        assert_eq!(
            refused,
            "Error: Assignments can only be reset if the group 'g' is inactive, but the current state is Rebalancing: \
             t-0 is consumed by h:1"
        );
        let refused = said(&zk, "x --reset-offsets --group g --topic t:1 --to-latest").await.unwrap_err();
        assert!(refused.starts_with("Error: the logs could not be asked"), "a free partition may be reset: {refused}");
        for (topic, why) in [("t:7", "partition t-7 does not exist"), ("u", "topic u does not exist")] {
            let words = format!("x --reset-offsets --group g --topic {topic} --to-latest");
            assert_eq!(said(&zk, &words).await.unwrap_err(), format!("Error: {why}"));
        }
        assert!(said(&zk, "x --reset-offsets --group g --to-latest").await.is_err());
    }
}
