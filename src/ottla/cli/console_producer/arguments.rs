use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::lines::LineFormat;
use crate::cli::{ToolError, topics};
use crate::config::properties;
use crate::producer::{LoadedConfig, ProducerConfig, Source};

const DEFAULT_SERVERS: &str = "127.0.0.1:9092";

/// Who must have a record before it counts as delivered.
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

/// The classes of Kafka's that read lines as this tool does.
const LINE_READERS: [&str; 2] =
    ["kafka.tools.ConsoleProducer$LineMessageReader", "org.apache.kafka.tools.LineMessageReader"];

/// What to send where. What is not said is as `--producer.config` says, else as in the help.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Brokers to ask for the cluster: host:port,host:port [default: 127.0.0.1:9092]
    #[arg(long, visible_alias = "broker-list", value_name = "HOST:PORT", conflicts_with = "zookeeper")]
    bootstrap_server: Option<String>,
    /// Learn the cluster from ZooKeeper's watches, and ask no broker; servers, with the path below which the cluster lies
    #[arg(long, value_name = "HOST:PORT/CHROOT")]
    zookeeper: Option<String>,
    /// The topic; made if it does not exist and the broker makes topics
    #[arg(long, value_parser = topics::topic_name)]
    pub(super) topic: String,
    /// Refuse a topic that does not exist
    #[arg(long)]
    no_create: bool,
    /// Send everything to this partition
    #[arg(long)]
    pub(super) partition: Option<i32>,
    /// Send one record after the other, each when the one before is delivered; end at the first that is not
    #[arg(long)]
    pub(super) sync: bool,
    /// Who must have a record before it counts as delivered [default: all]
    #[arg(long, visible_alias = "request-required-acks", value_enum, allow_hyphen_values = true)]
    acks: Option<AcksArgument>,
    /// How batches are compressed; without a value gzip [default: none]
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "gzip")]
    compression_codec: Option<CodecArgument>,
    /// Largest batch before compression, in bytes [default: 16384]
    #[arg(long, value_name = "BYTES")]
    batch_size: Option<u32>,
    /// Another name of --batch-size, which counts if both are given
    #[arg(long, value_name = "BYTES", hide_short_help = true)]
    max_partition_memory_bytes: Option<u32>,
    /// How long a batch waits for more records, in milliseconds [default: 1000; 0 when lines are typed]
    #[arg(long, visible_alias = "linger", value_name = "MS")]
    timeout: Option<u64>,
    /// Records that are not delivered yet take no more memory, in bytes [default: 33554432]
    #[arg(long, value_name = "BYTES", hide_short_help = true)]
    max_memory_bytes: Option<u64>,
    /// How long to wait for that memory, and for the topic to be known, in milliseconds [default: 60000]
    #[arg(long, value_name = "MS", hide_short_help = true)]
    max_block_ms: Option<u64>,
    /// How long a broker may take for an answer, in milliseconds [default: 30000]
    #[arg(long, value_name = "MS", hide_short_help = true)]
    request_timeout_ms: Option<u32>,
    /// How often a batch is sent again [default: as long as delivery.timeout.ms, 2 minutes, allows]
    #[arg(long, value_name = "N", hide_short_help = true)]
    message_send_max_retries: Option<u32>,
    /// The pause before that, in milliseconds [default: 100]
    #[arg(long, value_name = "MS", hide_short_help = true)]
    retry_backoff_ms: Option<u64>,
    /// How often brokers are asked for the cluster anew, in milliseconds [default: 300000]
    #[arg(long, value_name = "MS", hide_short_help = true)]
    metadata_expiry_ms: Option<u64>,
    /// Send buffer of each connection to a broker, in bytes [default: 102400]
    #[arg(long, value_name = "BYTES", hide_short_help = true)]
    socket_buffer_size: Option<u32>,
    /// A producer.properties
    #[arg(long = "producer.config", value_name = "FILE")]
    producer_config: Option<PathBuf>,
    /// A key of producer.properties; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    producer_property: Vec<String>,
    /// parse.key, parse.headers, ignore.error =true; key.separator (a tab), headers.delimiter (a tab), headers.separator (,),
    /// headers.key.separator (:), null.marker =<text>; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    property: Vec<String>,
    /// A file of such properties
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    reader_config: Option<PathBuf>,
    /// The Java class that reads lines; only Kafka's own can be meant
    #[arg(long, value_name = "CLASS", hide_short_help = true, value_parser = LINE_READERS)]
    line_reader: Option<String>,
}

impl Arguments {
    /// How lines are read.
    pub(super) fn format(&self) -> Result<LineFormat, ToolError> {
        let mut set = Vec::new();
        if let Some(path) = &self.reader_config {
            let failed = |why: String| ToolError::Usage(format!("{}: {why}", path.display()));
            let bytes = std::fs::read(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
            let read = properties::parse(&bytes).map_err(|error| failed(error.to_string()))?;
            set.extend(read.into_iter().map(|property| (property.key, property.value)));
        }
        for text in &self.property {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            set.push((name.into(), value.into()));
        }
        LineFormat::new(&set).map_err(ToolError::Usage)
    }

    /// What the producer is told: flags, over `--producer-property`, over the file, over the tool's defaults.
    pub(super) fn config(&self, is_typed: bool) -> Result<LoadedConfig, ToolError> {
        let source = match (&self.zookeeper, &self.bootstrap_server) {
            (Some(connect), _) => Some(Source::ZooKeeper(connect.clone())),
            (None, Some(servers)) => Some(Source::Bootstrap(servers.clone())),
            (None, None) => None,
        };
        let defaults = ProducerConfig {
            client_id: "console-producer".into(),
            linger: Duration::from_millis(if is_typed { 0 } else { 1000 }),
            send_buffer_bytes: Some(102_400),
            ..ProducerConfig::bootstrap(DEFAULT_SERVERS)
        };
        let mut overrides = self.producer_property.clone();
        overrides.extend(self.flags().into_iter().map(|(key, value)| format!("{key}={value}")));
        Ok(ProducerConfig::load_over(Some(defaults), source, self.producer_config.as_deref(), &overrides)?)
    }

    /// The keys that flags set.
    fn flags(&self) -> Vec<(&'static str, String)> {
        let word = |value: &dyn ToString| value.to_string();
        let mut flags = Vec::new();
        let mut flag = |key: &'static str, value: Option<String>| flags.extend(value.map(|value| (key, value)));
        flag("acks", self.acks.map(|acks| word(&possible(acks))));
        flag("compression.type", self.compression_codec.map(|codec| word(&possible(codec))));
        flag("batch.size", self.max_partition_memory_bytes.or(self.batch_size).map(|bytes| word(&bytes)));
        flag("linger.ms", self.timeout.map(|ms| word(&ms)));
        flag("buffer.memory", self.max_memory_bytes.map(|bytes| word(&bytes)));
        flag("max.block.ms", self.max_block_ms.map(|ms| word(&ms)));
        flag("request.timeout.ms", self.request_timeout_ms.map(|ms| word(&ms)));
        flag("retries", self.message_send_max_retries.map(|times| word(&times)));
        flag("retry.backoff.ms", self.retry_backoff_ms.map(|ms| word(&ms)));
        flag("metadata.max.age.ms", self.metadata_expiry_ms.map(|ms| word(&ms)));
        flag("send.buffer.bytes", self.socket_buffer_size.map(|bytes| word(&bytes)));
        flag("allow.auto.create.topics", self.no_create.then(|| "false".into()));
        flags
    }
}

/// How a value is spelled on the command line, which is how producer.properties spells it.
fn possible(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::producer::{Acks, Codec};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(words: &[&str]) -> Arguments {
        Line::try_parse_from([&["tool", "--topic", "t"], words].concat()).unwrap().arguments
    }

    fn config(words: &[&str]) -> ProducerConfig {
        let loaded = arguments(words).config(false).unwrap();
        assert_eq!(loaded.warnings, []);
        loaded.config
    }

    #[test]
    fn every_flag_sets_its_key() {
        let words = "--acks -1 --compression-codec zstd --batch-size 6 --max-partition-memory-bytes 7 --timeout 8 --max-memory-bytes 90 \
            --max-block-ms 10 --request-timeout-ms 11 --message-send-max-retries 12 --retry-backoff-ms 13 \
            --metadata-expiry-ms 1400 --socket-buffer-size 15 --no-create --bootstrap-server h:1";
        let ms = Duration::from_millis;
        let expected = ProducerConfig {
            client_id: "console-producer".into(),
            acks: Acks::All,
            compression: Codec::Zstd,
            batch_size: 7,
            linger: ms(8),
            buffer_memory: 90,
            max_block: ms(10),
            request_timeout: ms(11),
            retries: 12,
            retry_backoff: ms(13),
            metadata_max_age: ms(1400),
            send_buffer_bytes: Some(15),
            allow_auto_create_topics: false,
            ..ProducerConfig::bootstrap("h:1")
        };
        assert_eq!(config(&words.split_whitespace().collect::<Vec<_>>()), expected);
        let names = [config(&["--request-required-acks", "1"]).acks, config(&["--acks", "0"]).acks];
        assert_eq!(names, [Acks::Leader, Acks::None]);
        assert_eq!(config(&["--compression-codec"]).compression, Codec::Gzip);
    }

    #[test]
    fn flags_go_before_properties_before_the_file_before_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p");
        std::fs::write(&file, "zookeeper.connect=z:1/x\nlinger.ms=1\nbatch.size=2\nclient.id=c\n").unwrap();
        let file = ["--producer.config", file.to_str().unwrap()];
        let plain = config(&file);
        assert_eq!(plain.source, Source::ZooKeeper("z:1/x".into()));
        assert_eq!((plain.linger, plain.batch_size, plain.client_id.as_str()), (Duration::from_millis(1), 2, "c"));
        let over = config(
            &[
                &file[..],
                &["--producer-property", "linger.ms=3", "--producer-property", "batch.size=4"],
                &["--batch-size", "5"],
            ]
            .concat(),
        );
        assert_eq!((over.linger, over.batch_size), (Duration::from_millis(3), 5));
        assert_eq!(config(&[&file[..], &["--broker-list", "b:2"]].concat()).source, Source::Bootstrap("b:2".into()));
        assert_eq!(config(&[]).source, Source::Bootstrap("127.0.0.1:9092".into()));
        assert!(
            Line::try_parse_from(["tool", "--topic", "t", "--zookeeper", "a", "--bootstrap-server", "b:1"]).is_err()
        );
    }

    #[test]
    fn what_is_typed_does_not_linger_unless_it_is_told_to() {
        assert_eq!(config(&[]).linger, Duration::from_secs(1));
        assert_eq!(arguments(&[]).config(true).unwrap().config.linger, Duration::ZERO);
        assert_eq!(arguments(&["--timeout", "5"]).config(true).unwrap().config.linger, Duration::from_millis(5));
    }

    #[test]
    fn the_formats_file_gives_way_to_its_properties() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("r");
        std::fs::write(&file, "parse.key=true\nkey.separator=|\n").unwrap();
        let file = ["--reader-config", file.to_str().unwrap()];
        let key = |words: &[&str]| {
            let format = arguments(words).format().unwrap();
            format.parse(b"a|b:c", 1, &mut Vec::new()).unwrap().0.map(|key| key.to_vec())
        };
        assert_eq!(key(&file), Some(b"a".to_vec()));
        assert_eq!(key(&[&file[..], &["--property", "key.separator=:"]].concat()), Some(b"a|b".to_vec()));
        assert!(arguments(&["--property", "nonsense=1"]).format().is_err());
        let wrong = arguments(&["--producer-property", "acks"]).config(false).unwrap_err().to_string();
        assert_eq!(wrong, "--producer-property acks: key=value is expected");
    }
}
