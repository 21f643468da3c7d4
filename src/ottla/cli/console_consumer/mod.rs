//! `ottla console-consumer`: the records of a topic on the standard output, read by itself or as a member of a group.

mod group;

use std::collections::VecDeque;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ottla_protocol::ErrorCode;
use ottla_records::TimestampType;

use super::ToolError;
use super::bootstrap::Bootstrap;
use crate::client::admin::{self, EARLIEST, LATEST};
use crate::client::fetch::{FetchLimits, Fetched, FetchedRecord, fetch};
use crate::client::{ClientError, Cluster};

pub(super) const EXAMPLES: &str = "\
Examples:
  ottla console-consumer --topic orders                                 what comes from now on, until Ctrl-C
  ottla console-consumer --topic orders --from-beginning --max-messages 10
  ottla console-consumer --topic orders --partition 0 --offset 42 --property print.key=true --property print.offset=true
  ottla console-consumer --zookeeper 127.0.0.1:2181 --topic orders --group billing
  ottla console-consumer --zookeeper zk1:2181/kafka --whitelist 'orders|returns.*' --from-beginning --num-streams 2

With --bootstrap-server partitions are read without a group, so no offset is stored. With --zookeeper the tool is a member of
a classic group: it shares partitions with the other members, stores offsets in ZooKeeper, and on Ctrl-C commits and leaves.
Without --group the group is one of its own, which is deleted at the end. Order holds within a partition.";

const DOING: &str = "Error processing message, terminating consumer process";
/// How long one fetch waits for records when there are several partitions, and when there is one.
const WAIT_OF_SEVERAL: Duration = Duration::from_millis(50);
const WAIT_OF_ONE: Duration = Duration::from_millis(500);

/// What to read and how to print it.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// The topic
    #[arg(long, value_parser = super::topics::topic_name, required_unless_present_any = ["whitelist", "blacklist"])]
    topic: Option<String>,
    /// Read as a member of a classic group; ZooKeeper servers, with the path below which the cluster lies
    #[arg(long, value_name = "HOST:PORT/CHROOT", conflicts_with_all = ["servers", "partition", "isolation_level", "max_bytes"])]
    zookeeper: Option<String>,
    /// The group; without it one for this run
    #[arg(long, requires = "zookeeper")]
    group: Option<String>,
    /// Topics whose whole name fits a regular expression, also later ones; a comma means "or"
    #[arg(long, value_name = "PATTERN", requires = "zookeeper", conflicts_with = "topic")]
    whitelist: Option<String>,
    /// Topics whose name does not fit
    #[arg(long, value_name = "PATTERN", requires = "zookeeper", conflicts_with_all = ["topic", "whitelist"])]
    blacklist: Option<String>,
    /// A consumer.properties
    #[arg(long = "consumer.config", value_name = "FILE", requires = "zookeeper")]
    consumer_config: Option<PathBuf>,
    /// A key of consumer.properties; may be repeated
    #[arg(long, value_name = "KEY=VALUE", requires = "zookeeper")]
    consumer_property: Vec<String>,
    /// Begin as a new group: delete what is stored of it
    #[arg(long, requires = "zookeeper")]
    delete_consumer_offsets: bool,
    /// Streams among which partitions are shared out as among members
    #[arg(long, value_name = "N", default_value_t = 1, requires = "zookeeper")]
    num_streams: usize,
    /// One partition; without it all
    #[arg(long)]
    partition: Option<i32>,
    /// Where to begin: earliest, latest, a number, or -N for N before the end
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true, requires = "partition", value_parser = start)]
    offset: Option<Start>,
    /// Begin with the first record
    #[arg(long, conflicts_with = "offset")]
    from_beginning: bool,
    /// End after so many records
    #[arg(long, value_name = "N")]
    max_messages: Option<u64>,
    /// End when nothing came for so long, in milliseconds
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Most bytes of one fetch
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20, hide_short_help = true)]
    max_bytes: i32,
    /// read_uncommitted or read_committed
    #[arg(long, default_value = "read_uncommitted", value_parser = ["read_uncommitted", "read_committed"])]
    isolation_level: String,
    /// print.key, print.value, print.timestamp, print.partition, print.offset, print.headers =true, key.separator,
    /// line.separator, headers.separator, null.literal =<text>; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    property: Vec<String>,
}

impl Arguments {
    /// The one topic that is read without a group.
    fn topic(&self) -> &str {
        self.topic.as_deref().unwrap_or_default()
    }
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Earliest,
    Latest,
    At(i64),
    BeforeEnd(i64),
}

fn start(text: &str) -> Result<Start, String> {
    match (text, text.parse::<i64>()) {
        ("earliest", _) => Ok(Start::Earliest),
        ("latest", _) => Ok(Start::Latest),
        (_, Ok(n)) if n < 0 => Ok(Start::BeforeEnd(n.unsigned_abs().try_into().unwrap_or(i64::MAX))),
        (_, Ok(n)) => Ok(Start::At(n)),
        _ => Err("earliest, latest or a number is expected".into()),
    }
}

/// How a record is printed (`DefaultMessageFormatter.java`).
#[derive(Debug, Clone, PartialEq, Eq)]
struct RecordFormat {
    timestamp: bool,
    partition: bool,
    offset: bool,
    headers: bool,
    key: bool,
    value: bool,
    key_separator: String,
    line_separator: String,
    headers_separator: String,
    null_literal: String,
}

impl RecordFormat {
    fn new(properties: &[String]) -> Result<RecordFormat, ToolError> {
        let mut format = RecordFormat {
            timestamp: false,
            partition: false,
            offset: false,
            headers: false,
            key: false,
            value: true,
            key_separator: "\t".into(),
            line_separator: "\n".into(),
            headers_separator: ",".into(),
            null_literal: "null".into(),
        };
        for text in properties {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            let yes = value.eq_ignore_ascii_case("true");
            match name {
                "print.timestamp" => format.timestamp = yes,
                "print.partition" => format.partition = yes,
                "print.offset" => format.offset = yes,
                "print.headers" => format.headers = yes,
                "print.key" => format.key = yes,
                "print.value" => format.value = yes,
                "key.separator" => format.key_separator = value.into(),
                "line.separator" => format.line_separator = value.into(),
                "headers.separator" => format.headers_separator = value.into(),
                "null.literal" => format.null_literal = value.into(),
                _ => return Err(ToolError::Usage(format!("--property {name} is not known; see --help"))),
            }
        }
        Ok(format)
    }

    fn print(&self, partition: i32, record: &FetchedRecord, out: &mut dyn Write) -> std::io::Result<()> {
        let null = self.null_literal.as_bytes();
        let mut parts: Vec<Vec<u8>> = Vec::new();
        if self.timestamp {
            let kind = match record.timestamp_type {
                TimestampType::CreateTime => "CreateTime",
                TimestampType::LogAppendTime => "LogAppendTime",
            };
            parts.push(match record.timestamp {
                -1 => b"NO_TIMESTAMP".to_vec(),
                ms => format!("{kind}:{ms}").into_bytes(),
            });
        }
        if self.partition {
            parts.push(format!("Partition:{partition}").into_bytes());
        }
        if self.offset {
            parts.push(format!("Offset:{}", record.offset).into_bytes());
        }
        if self.headers {
            let header = |(name, value): &(bytes::Bytes, Option<bytes::Bytes>)| {
                [name, &b":"[..], value.as_deref().unwrap_or(null)].concat()
            };
            let headers: Vec<Vec<u8>> = record.headers.iter().map(header).collect();
            parts.push(match headers.is_empty() {
                true => b"NO_HEADERS".to_vec(),
                false => headers.join(self.headers_separator.as_bytes()),
            });
        }
        if self.key {
            parts.push(record.key.as_deref().unwrap_or(null).to_vec());
        }
        if self.value {
            parts.push(record.value.as_deref().unwrap_or(null).to_vec());
        }
        out.write_all(&parts.join(self.key_separator.as_bytes()))?;
        out.write_all(self.line_separator.as_bytes())
    }
}

/// Runs the tool until Ctrl-C, `--max-messages` or `--timeout-ms`.
pub(super) async fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), ToolError> {
    let format = RecordFormat::new(&arguments.property)?;
    let mut printed = 0;
    let outcome = match &arguments.zookeeper {
        Some(connect) => group::run(arguments, connect, &format, &mut printed, out).await,
        None => {
            let cluster = arguments.bootstrap.cluster("console-consumer");
            tokio::select! {
                outcome = consume(arguments, &cluster, &format, &mut printed, out) => outcome,
                interrupted = tokio::signal::ctrl_c() => interrupted.map_err(ToolError::Output),
            }
        }
    };
    let flushed = out.flush();
    eprintln!("Processed a total of {printed} messages");
    outcome?;
    Ok(flushed?)
}

async fn consume(
    arguments: &Arguments,
    cluster: &Cluster,
    format: &RecordFormat,
    printed: &mut u64,
    out: &mut dyn Write,
) -> Result<(), ToolError> {
    let mut partitions = positions(arguments, cluster).await.map_err(ToolError::while_doing(DOING))?;
    let max_wait = if partitions.len() > 1 { WAIT_OF_SEVERAL } else { WAIT_OF_ONE };
    let read_committed = arguments.isolation_level == "read_committed";
    let mut limits = FetchLimits { max_wait, max_bytes: arguments.max_bytes, read_committed };
    let mut quiet_since = Instant::now();
    // Partitions take turns; the one that was read goes to the end.
    while let Some((partition, offset)) = partitions.pop_front() {
        if let Some(left) = arguments.timeout_ms.map(Duration::from_millis) {
            let left = left.saturating_sub(quiet_since.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            limits.max_wait = max_wait.min(left);
        }
        let Fetched { records, next_offset, .. } =
            read(arguments, cluster, partition, offset, limits).await.map_err(ToolError::while_doing(DOING))?;
        for record in &records {
            if arguments.max_messages.is_some_and(|most| *printed >= most) {
                return Ok(());
            }
            format.print(partition, record, out)?;
            *printed += 1;
            quiet_since = Instant::now();
        }
        if arguments.max_messages.is_some_and(|most| *printed >= most) {
            return Ok(());
        }
        out.flush()?;
        partitions.push_back((partition, next_offset));
    }
    Ok(())
}

/// Reads on; a leader that moves is looked for, an offset that is gone becomes the first one.
async fn read(
    arguments: &Arguments,
    cluster: &Cluster,
    partition: i32,
    offset: i64,
    limits: FetchLimits,
) -> Result<Fetched, ClientError> {
    let outcome = match cluster.leader(arguments.topic(), partition).await {
        Ok(leader) => fetch(&leader, arguments.topic(), partition, offset, limits).await,
        Err(error) => Err(error),
    };
    match outcome {
        Err(error) if error.wants_new_metadata() || matches!(error, ClientError::Closed { .. }) => {
            cluster.forget_leader(arguments.topic(), partition);
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(Fetched { next_offset: offset, ..Fetched::default() })
        }
        Err(error) if error.code() == Some(ErrorCode::OffsetOutOfRange) => {
            let first = admin::list_offset(cluster, arguments.topic(), partition, EARLIEST).await?.unwrap_or(0);
            eprintln!("{}-{partition}: offset {offset} is not there; reading on from {first}", arguments.topic());
            Ok(Fetched { next_offset: first, ..Fetched::default() })
        }
        outcome => outcome,
    }
}

/// The partitions to read, each with the offset to begin at.
async fn positions(arguments: &Arguments, cluster: &Cluster) -> Result<VecDeque<(i32, i64)>, ClientError> {
    let topic = arguments.topic();
    let mut positions = VecDeque::new();
    let mut tries = 0;
    let known = loop {
        match cluster.partitions(topic, true).await {
            Ok(known) if !known.is_empty() => break known,
            Err(error) if !error.wants_new_metadata() || tries == 100 => return Err(error),
            _ => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    for partition in known.iter().map(|known| known.partition_index) {
        if arguments.partition.is_some_and(|wanted| wanted != partition) {
            continue;
        }
        let start = match arguments.from_beginning {
            true => Start::Earliest,
            false => arguments.offset.unwrap_or(Start::Latest),
        };
        let at =
            async |time| admin::list_offset(cluster, topic, partition, time).await.map(|offset| offset.unwrap_or(0));
        let offset = match start {
            Start::At(offset) => offset,
            Start::Earliest => at(EARLIEST).await?,
            Start::Latest => at(LATEST).await?,
            Start::BeforeEnd(n) => (at(LATEST).await? - n).max(at(EARLIEST).await?),
        };
        positions.push_back((partition, offset));
    }
    match positions.is_empty() {
        true => Err(ClientError::Broker {
            code: ErrorCode::UnknownTopicOrPartition,
            message: format!("{topic} has no partition {}", arguments.partition.unwrap_or_default()),
        }),
        false => Ok(positions),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn print(properties: &[&str], record: &FetchedRecord) -> String {
        let properties: Vec<String> = properties.iter().map(|&text| text.to_owned()).collect();
        let mut out = Vec::new();
        RecordFormat::new(&properties).unwrap().print(4, record, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn records_are_printed_as_kafka_prints_them() {
        let mut record = FetchedRecord {
            offset: 7,
            timestamp: 1000,
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: Some(Bytes::from_static(b"v")),
            headers: vec![(Bytes::from_static(b"h"), Some(Bytes::from_static(b"1"))), (Bytes::from_static(b"i"), None)],
        };
        assert_eq!(print(&[], &record), "v\n");
        let all = [
            "print.timestamp=true",
            "print.partition=true",
            "print.offset=true",
            "print.headers=true",
            "print.key=true",
        ];
        assert_eq!(print(&all, &record), "CreateTime:1000\tPartition:4\tOffset:7\th:1,i:null\tnull\tv\n");
        assert_eq!(print(&["print.key=true", "key.separator= - ", "null.literal=NIL"], &record), "NIL - v\n");
        record.headers.clear();
        record.timestamp = -1;
        let some = ["print.timestamp=true", "print.headers=true", "print.value=false", "line.separator=|"];
        assert_eq!(print(&some, &record), "NO_TIMESTAMP\tNO_HEADERS|");
    }

    #[test]
    fn offsets_have_names_and_numbers() {
        let offsets = ["earliest", "latest", "5", "-3"].map(|text| start(text).unwrap());
        assert_eq!(offsets, [Start::Earliest, Start::Latest, Start::At(5), Start::BeforeEnd(3)]);
        assert!(start("soon").is_err());
    }
}
