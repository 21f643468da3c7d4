use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use clap::ValueEnum;
use ottla_records::Codec;
use ottla_records::builder::{BatchBuilder, BatchFields};
use tokio::sync::mpsc;

use super::ToolError;
use super::bootstrap::Bootstrap;
use crate::client::Cluster;
use crate::client::partitioner::partition_for_key;
use crate::client::produce::{Acks, produce};

pub(super) const EXAMPLES: &str = "\
Examples:
  echo hello | ottla console-producer --topic greetings
  ottla console-producer --topic orders --property parse.key=true --property key.separator=: <orders.txt
  ottla console-producer --topic logs --compression-codec zstd --acks 1 </var/log/syslog

Each line becomes a record. Records of one key go to the same partition, those without a key to one after the other.";

const DOING: &str = "Error when sending message";
/// Lines that were read and wait to be sent.
const WAITING_LINES: usize = 10_000;

/// Who must have a record before it counts as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AcksArgument {
    /// Nobody.
    #[value(name = "0")]
    None,
    /// The leader.
    #[value(name = "1")]
    Leader,
    /// All in-sync replicas.
    #[value(name = "all", alias = "-1")]
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CodecArgument {
    /// Not compressed.
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// What to send where.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// The topic; made if it does not exist and the broker makes topics
    #[arg(long, value_parser = super::topics::topic_name)]
    topic: String,
    /// Send everything to this partition
    #[arg(long)]
    partition: Option<i32>,
    /// Who must have a record before it counts as sent
    #[arg(
        long,
        visible_alias = "request-required-acks",
        value_enum,
        default_value = "all",
        allow_hyphen_values = true
    )]
    acks: AcksArgument,
    /// How batches are compressed; without a value gzip
    #[arg(long, value_enum, default_value = "none", num_args = 0..=1, default_missing_value = "gzip", require_equals = false)]
    compression_codec: CodecArgument,
    /// Largest batch before compression, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 16_384)]
    batch_size: usize,
    /// How long the broker may wait for its replicas, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1500)]
    timeout: u64,
    /// parse.key=true, key.separator=<text> (a tab), ignore.error=true, null.marker=<text>; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    property: Vec<String>,
}

/// How a line is read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LineFormat {
    parse_key: bool,
    key_separator: String,
    ignore_error: bool,
    null_marker: Option<String>,
}

impl LineFormat {
    fn new(properties: &[String]) -> Result<LineFormat, ToolError> {
        let mut format =
            LineFormat { parse_key: false, key_separator: "\t".into(), ignore_error: false, null_marker: None };
        for text in properties {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            match name {
                "parse.key" => format.parse_key = value.eq_ignore_ascii_case("true"),
                "key.separator" => format.key_separator = value.into(),
                "ignore.error" => format.ignore_error = value.eq_ignore_ascii_case("true"),
                "null.marker" => format.null_marker = Some(value.into()),
                _ => return Err(ToolError::Usage(format!("--property {name} is not known; see --help"))),
            }
        }
        Ok(format)
    }

    /// Key and value of a line.
    fn parse<'a>(&self, line: &'a [u8], number: u64) -> Result<(Option<&'a [u8]>, Option<&'a [u8]>), ToolError> {
        let null = |part: &'a [u8]| match &self.null_marker {
            Some(marker) if part == marker.as_bytes() => None,
            _ => Some(part),
        };
        if !self.parse_key {
            return Ok((None, null(line)));
        }
        let separator = self.key_separator.as_bytes();
        let at = line.windows(separator.len().max(1)).position(|window| window == separator);
        match at {
            Some(at) => Ok((null(&line[..at]), null(&line[at + separator.len()..]))),
            None if self.ignore_error => Ok((None, null(line))),
            None => Err(ToolError::Failed(format!("No key separator found on line number {number}"))),
        }
    }
}

/// A batch that grows.
struct Batch {
    partition: i32,
    builder: BatchBuilder,
}

/// Runs the tool: reads lines of `input` to its end.
pub(super) async fn run(arguments: &Arguments, input: impl Read + Send + 'static) -> Result<(), ToolError> {
    let format = LineFormat::new(&arguments.property)?;
    let cluster = arguments.bootstrap.cluster("console-producer");
    let sender = Sender { arguments, cluster: &cluster };
    let partitions = sender.partitions().await?;
    let mut lines = read_lines(input);
    let mut batch: Option<Batch> = None;
    let mut next_partition = (now_ms() % i64::from(partitions)) as i32;
    let mut number = 0;
    loop {
        let line = match lines.try_recv() {
            Ok(line) => line,
            Err(mpsc::error::TryRecvError::Empty) => {
                // Nothing more for now: what there is goes out.
                if let Some(full) = batch.take() {
                    sender.send(full).await?;
                    continue;
                }
                match lines.recv().await {
                    Some(line) => line,
                    None => return Ok(()),
                }
            }
            Err(mpsc::error::TryRecvError::Disconnected) => {
                if let Some(last) = batch.take() {
                    sender.send(last).await?;
                }
                return Ok(());
            }
        };
        let line = line?;
        number += 1;
        let (key, value) = format.parse(&line, number)?;
        let wanted = arguments.partition.or_else(|| key.map(|key| partition_for_key(key, partitions)));
        let size = line.len() + 32;
        let fits = batch.as_ref().is_some_and(|open| {
            wanted.is_none_or(|partition| partition == open.partition)
                && open.builder.len() + size <= arguments.batch_size
        });
        if !fits {
            if let Some(full) = batch.take() {
                sender.send(full).await?;
                next_partition = (next_partition + 1) % partitions;
            }
            let partition = wanted.unwrap_or(next_partition);
            batch = Some(Batch { partition, builder: BatchBuilder::new(BatchFields::new(0, sender.codec())) });
        }
        if let Some(open) = &mut batch {
            open.builder.append(now_ms(), key, value, &[]);
        }
    }
}

struct Sender<'a> {
    arguments: &'a Arguments,
    cluster: &'a Cluster,
}

impl Sender<'_> {
    /// How many partitions the topic has; waits while it is being made.
    async fn partitions(&self) -> Result<i32, ToolError> {
        let mut tries = 0;
        loop {
            let outcome = self.cluster.partitions(&self.arguments.topic, true).await;
            tries += 1;
            match outcome {
                Ok(partitions) if !partitions.is_empty() => return Ok(partitions.len() as i32),
                Err(error) if !error.wants_new_metadata() || tries == 100 => {
                    return Err(ToolError::while_doing(DOING)(error));
                }
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn send(&self, batch: Batch) -> Result<(), ToolError> {
        let bytes = batch.builder.finish().map_err(|error| ToolError::Failed(error.to_string()))?;
        let acks = match self.arguments.acks {
            AcksArgument::None => Acks::None,
            AcksArgument::Leader => Acks::Leader,
            AcksArgument::All => Acks::All,
        };
        let timeout = Duration::from_millis(self.arguments.timeout);
        produce(self.cluster, &self.arguments.topic, batch.partition, Bytes::from(bytes), acks, timeout)
            .await
            .map(drop)
            .map_err(ToolError::while_doing(DOING))
    }

    fn codec(&self) -> Codec {
        match self.arguments.compression_codec {
            CodecArgument::None => Codec::None,
            CodecArgument::Gzip => Codec::Gzip,
            CodecArgument::Snappy => Codec::Snappy,
            CodecArgument::Lz4 => Codec::Lz4,
            CodecArgument::Zstd => Codec::Zstd,
        }
    }
}

/// Lines without their ends, in a queue that ends with the input. Read by a thread of its own: nothing else can wait for a
/// terminal, and the program may end while it does.
fn read_lines(input: impl Read + Send + 'static) -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(WAITING_LINES);
    std::thread::spawn(move || {
        let mut input = BufReader::new(input);
        loop {
            let mut line = Vec::new();
            let item = match input.read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => {
                    if line.last() == Some(&b'\n') {
                        line.pop();
                    }
                    if line.last() == Some(&b'\r') {
                        line.pop();
                    }
                    Ok(line)
                }
                Err(error) => Err(error),
            };
            let failed = item.is_err();
            if sender.blocking_send(item).is_err() || failed {
                return;
            }
        }
    });
    receiver
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(properties: &[&str]) -> LineFormat {
        LineFormat::new(&properties.iter().map(|&text| text.to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn lines_are_values_or_keys_and_values() {
        let parse = |format: &LineFormat, line: &'static str| format.parse(line.as_bytes(), 3).ok();
        let plain = format(&[]);
        assert_eq!(parse(&plain, "a\tb"), Some((None, Some(&b"a\tb"[..]))));
        let keyed = format(&["parse.key=true"]);
        assert_eq!(parse(&keyed, "a\tb\tc"), Some((Some(&b"a"[..]), Some(&b"b\tc"[..]))));
        assert_eq!(parse(&keyed, "\t"), Some((Some(&b""[..]), Some(&b""[..]))));
        let error = keyed.parse(b"ab", 3).unwrap_err().to_string();
        assert_eq!(error, "No key separator found on line number 3");
        let lenient = format(&["parse.key=true", "ignore.error=true", "key.separator=::", "null.marker=NIL"]);
        assert_eq!(parse(&lenient, "a::NIL"), Some((Some(&b"a"[..]), None)));
        assert_eq!(parse(&lenient, "ab"), Some((None, Some(&b"ab"[..]))));
        assert!(LineFormat::new(&["nonsense=1".to_owned()]).is_err());
    }

    #[tokio::test]
    async fn line_ends_are_not_part_of_a_line() {
        let mut lines = read_lines(&b"a\r\n\nb"[..]);
        let mut read = Vec::new();
        while let Some(line) = lines.recv().await {
            read.push(String::from_utf8(line.unwrap()).unwrap());
        }
        assert_eq!(read, ["a", "", "b"]);
    }
}
