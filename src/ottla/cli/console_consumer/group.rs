//! `--zookeeper`: reading as a member of a classic group.

use std::io::Write;
use std::time::Duration;

use futures_util::future::select_all;

use super::{Arguments, RecordFormat};
use crate::cli::{ToolError, zookeeper};
use crate::client::fetch::FetchedRecord;
use crate::consumer::{Consumer, ConsumerConfig, ConsumerError, OffsetReset, Record, Stream, Subscription};
use crate::zk::store_consumer_changes::{ChangeError, delete_group};
use crate::zk::store_consumers::group;
use crate::zk::znodes::Znodes;

/// As many groups of its own as the old tool knew.
const OWN_GROUPS: u32 = 100_000;

/// Reads until Ctrl-C, `--max-messages` or `--timeout-ms`; then commits and leaves.
pub(super) async fn run(
    arguments: &Arguments,
    connect: &str,
    format: &RecordFormat,
    printed: &mut u64,
    out: &mut dyn Write,
) -> Result<(), ToolError> {
    let own = format!("console-consumer-{}", rand::random_range(0..OWN_GROUPS));
    let config = config(arguments, connect, &own)?;
    let subscription = subscription(arguments).map_err(failed)?;
    let group_id = config.group_id.clone();
    prepare(arguments, connect, &group_id).await?;
    let consumer = Consumer::start(config, subscription).await.map_err(failed)?;
    let outcome = tokio::select! {
        outcome = consume(arguments, consumer.streams(), format, printed, out) => outcome,
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(ToolError::Output),
    };
    // What is committed has been printed.
    let flushed = out.flush();
    let closed = consumer.close().await.map_err(failed);
    if group_id == own {
        remove(connect, &own).await;
    }
    outcome?;
    closed?;
    Ok(flushed?)
}

/// The file, then `--consumer-property`, then the flags that have a name of their own.
fn config(arguments: &Arguments, connect: &str, own_group: &str) -> Result<ConsumerConfig, ToolError> {
    let mut overrides = arguments.consumer_property.clone();
    overrides.push(format!("zookeeper.connect={connect}"));
    match &arguments.group {
        Some(group) => overrides.push(format!("group.id={group}")),
        None if !names_group(arguments)? => overrides.push(format!("group.id={own_group}")),
        None => {}
    }
    let loaded = ConsumerConfig::load(arguments.consumer_config.as_deref(), &overrides)?;
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    let mut config = loaded.config;
    if arguments.from_beginning {
        config.auto_offset_reset = OffsetReset::Smallest;
    }
    config.consumer_timeout = arguments.timeout_ms.map(Duration::from_millis).or(config.consumer_timeout);
    Ok(config)
}

/// Whether a group is named without `--group`.
fn names_group(arguments: &Arguments) -> Result<bool, ToolError> {
    let mut overrides = arguments.consumer_property.clone();
    overrides.push("zookeeper.connect=any".into());
    // All that is wrong with a file is said when it is read in earnest; here only what it lacks without a group.
    let without = ConsumerConfig::load(arguments.consumer_config.as_deref(), &overrides);
    Ok(match without {
        Ok(_) => true,
        Err(errors) => !errors.0.iter().any(|problem| problem.0.starts_with("group.id is not set")),
    })
}

fn subscription(arguments: &Arguments) -> Result<Subscription, ConsumerError> {
    match (&arguments.topic, &arguments.whitelist, &arguments.blacklist) {
        (Some(topic), _, _) => Subscription::topics([(topic.as_str(), arguments.num_streams)]),
        (None, Some(pattern), _) => Subscription::white_list(pattern, arguments.num_streams),
        (None, None, pattern) => {
            Subscription::black_list(pattern.as_deref().unwrap_or_default(), arguments.num_streams)
        }
    }
}

/// Deletes the group's offsets if that is asked for; refuses `--from-beginning` when it would have no effect.
async fn prepare(arguments: &Arguments, connect: &str, group_id: &str) -> Result<(), ToolError> {
    if !arguments.from_beginning && !arguments.delete_consumer_offsets {
        return Ok(());
    }
    let zk = zookeeper::connect(connect).await?;
    let outcome = clear(&zk, group_id, arguments.delete_consumer_offsets).await;
    // Whatever the end of the session says, what was asked has been done.
    let _ = zk.close().await;
    outcome
}

async fn clear(zk: &dyn Znodes, group_id: &str, delete: bool) -> Result<(), ToolError> {
    if delete {
        return match delete_group(zk, group_id).await {
            Ok(()) | Err(ChangeError::UnknownGroup(_)) => Ok(()),
            Err(error) => Err(ToolError::Failed(format!("the offsets of group {group_id} stay: {error}"))),
        };
    }
    let found = group(zk, group_id).await.map_err(|error| ToolError::Failed(error.to_string()))?;
    match found.is_none_or(|found| found.offsets.is_empty()) {
        true => Ok(()),
        false => Err(ToolError::Failed(format!(
            "Found previous offset information for this group {group_id}. Please use --delete-consumer-offsets to delete \
             previous offsets metadata"
        ))),
    }
}

/// A group of the tool's own is of no use to anybody else.
async fn remove(connect: &str, group_id: &str) {
    let Ok(zk) = zookeeper::connect(connect).await else { return };
    if let Err(error) = delete_group(&zk, group_id).await {
        eprintln!("group {group_id} stays: {error}");
    }
    let _ = zk.close().await;
}

async fn consume(
    arguments: &Arguments,
    mut streams: Vec<Stream>,
    format: &RecordFormat,
    printed: &mut u64,
    out: &mut dyn Write,
) -> Result<(), ToolError> {
    while arguments.max_messages.is_none_or(|most| *printed < most) {
        // Asking for the next record lets the one before be committed: by then it must be out.
        out.flush()?;
        let record = match next(&mut streams).await {
            Ok(record) => record,
            Err(ConsumerError::Timeout { .. } | ConsumerError::Closed) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let partition = record.partition;
        format.print(partition, &fetched(record), out)?;
        *printed += 1;
    }
    Ok(())
}

/// The next record of any stream. The others lose nothing: a record is handed out when it is returned.
async fn next(streams: &mut [Stream]) -> Result<Record, ConsumerError> {
    if let [only] = streams {
        return only.next().await;
    }
    if streams.is_empty() {
        return Err(ConsumerError::Closed);
    }
    let (outcome, index, _) = select_all(streams.iter_mut().map(|stream| Box::pin(stream.next()))).await;
    // Whoever had its turn waits for the others.
    streams[index..].rotate_left(1);
    outcome
}

fn fetched(record: Record) -> FetchedRecord {
    FetchedRecord {
        offset: record.offset,
        timestamp: record.timestamp,
        timestamp_type: record.timestamp_type,
        key: record.key,
        value: record.value,
        headers: record.headers,
    }
}

fn failed(error: ConsumerError) -> ToolError {
    match error {
        ConsumerError::Config(errors) => ToolError::Config(errors),
        error => ToolError::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::zk::fake::FakeEnsemble;
    use crate::zk::store_consumers::tests::{hold, put, wants};

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(words: &str) -> Result<Arguments, String> {
        CommandLine::try_parse_from(words.split(' ')).map(|line| line.arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_of_a_group_need_zookeeper_and_one_subscription() {
        for good in ["x --topic t", "x --zookeeper z --topic t --group g", "x --zookeeper z --whitelist a.*"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "x",
            "x --topic t --group g",
            "x --whitelist a.*",
            "x --zookeeper z",
            "x --zookeeper z --topic t --whitelist a.*",
            "x --zookeeper z --whitelist a --blacklist b",
            "x --zookeeper z --topic t --partition 0",
            "x --zookeeper z --topic t --bootstrap-server b",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn flags_stand_above_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("consumer.properties");
        std::fs::write(&file, "group.id=of.file\nzookeeper.connect=elsewhere\nauto.offset.reset=largest\n").unwrap();
        let with = |flags: &str| {
            let words = format!("x --zookeeper z:1 --topic t --consumer.config {} {flags}", file.display());
            config(&parse(words.trim()).unwrap(), "z:1", "own").unwrap()
        };
        let read = with("");
        assert_eq!((read.group_id.as_str(), read.zookeeper_connect.as_str()), ("of.file", "z:1"));
        let read = with("--group g --from-beginning --timeout-ms 5 --consumer-property fetch.min.bytes=7");
        assert_eq!((read.group_id.as_str(), read.fetch_min_bytes), ("g", 7));
        assert_eq!(read.auto_offset_reset, OffsetReset::Smallest);
        assert_eq!(read.consumer_timeout, Some(Duration::from_millis(5)));
        let own = config(&parse("x --zookeeper z --topic t").unwrap(), "z", "own").unwrap();
        assert_eq!(own.group_id, "own");
        let wrong = parse("x --zookeeper z --topic t --consumer-property fetch.min.bytes=few").unwrap();
        assert!(config(&wrong, "z", "own").is_err());
    }

    #[test]
    fn topics_and_patterns_are_subscribed_to_with_their_streams() {
        let of = |words: &str| subscription(&parse(words).unwrap()).unwrap();
        assert_eq!(of("x --zookeeper z --topic t --num-streams 3"), Subscription::topics([("t", 3)]).unwrap());
        assert_eq!(of("x --zookeeper z --whitelist a.*"), Subscription::white_list("a.*", 1).unwrap());
        assert_eq!(of("x --zookeeper z --blacklist b"), Subscription::black_list("b", 1).unwrap());
    }

    #[tokio::test]
    async fn a_group_with_offsets_begins_anew_only_when_they_are_deleted() {
        let ensemble = FakeEnsemble::default();
        let zk = ensemble.connect();
        clear(&zk, "g", false).await.unwrap();
        clear(&zk, "g", true).await.unwrap();
        put(&zk, "/consumers/g/offsets/t/0", "7").await;
        let refused = clear(&zk, "g", false).await.unwrap_err().to_string();
        assert!(refused.starts_with("Found previous offset information for this group g."), "{refused}");
        hold(&zk, "/consumers/g/ids/h:1", &wants("t", 1, None)).await;
        assert!(clear(&ensemble.connect(), "g", true).await.is_err(), "others consume in it");
        zk.close().await.unwrap();
        let zk = ensemble.connect();
        clear(&zk, "g", true).await.unwrap();
        assert_eq!(zk.exists("/consumers/g").await, Ok(None));
    }
}
