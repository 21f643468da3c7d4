use std::io::Write;

use super::ToolError;
use super::bootstrap::Bootstrap;
use crate::client::admin::{self, EARLIEST, LATEST, MAX_TIMESTAMP};

pub(super) const EXAMPLES: &str = "\
Examples:
  ottla get-offsets                                          the end of every partition, as topic:partition:offset
  ottla get-offsets --topic orders --time earliest
  ottla get-offsets --topic orders --partitions 0,2 --time 1764097635000";

const DOING: &str = "Error occurred";

/// Which offsets.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// The topic; without it all
    #[arg(long, value_parser = super::topics::topic_name)]
    topic: Option<String>,
    /// Partitions of it, between commas; without it all
    #[arg(long, value_delimiter = ',', value_name = "LIST", requires = "topic")]
    partitions: Vec<i32>,
    /// earliest, latest, max-timestamp, or ms since 1970: the first record that is not older
    #[arg(long, default_value = "latest", allow_hyphen_values = true, value_parser = time)]
    time: i64,
    /// Leave out topics that Kafka keeps for itself
    #[arg(long)]
    exclude_internal_topics: bool,
}

fn time(text: &str) -> Result<i64, String> {
    match text {
        "earliest" => Ok(EARLIEST),
        "latest" => Ok(LATEST),
        "max-timestamp" => Ok(MAX_TIMESTAMP),
        _ => text.parse().map_err(|_| "earliest, latest, max-timestamp or ms since 1970 is expected".into()),
    }
}

/// Runs the tool.
pub(super) async fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), ToolError> {
    let cluster = arguments.bootstrap.cluster("ottla-get-offsets");
    let names: Option<Vec<&str>> = arguments.topic.as_deref().map(|topic| vec![topic]);
    let mut metadata = cluster.metadata(names.as_deref(), false).await.map_err(ToolError::while_doing(DOING))?;
    metadata.topics.sort_by(|one, other| one.name.cmp(&other.name));
    let mut any = false;
    for topic in &mut metadata.topics {
        if topic.error_code != 0 || topic.is_internal && arguments.exclude_internal_topics {
            continue;
        }
        let name = topic.name.as_deref().unwrap_or_default();
        topic.partitions.sort_by_key(|partition| partition.partition_index);
        for partition in &topic.partitions {
            let index = partition.partition_index;
            if !arguments.partitions.is_empty() && !arguments.partitions.contains(&index) {
                continue;
            }
            any = true;
            if partition.leader_id < 0 {
                eprintln!("Skip getting offsets for topic-partition {name}-{index} due to no leader");
                continue;
            }
            match admin::list_offset(&cluster, name, index, arguments.time).await {
                Ok(Some(offset)) => writeln!(out, "{name}:{index}:{offset}")?,
                // No record is that young: Kafka's tool prints nothing after the colon.
                Ok(None) => writeln!(out, "{name}:{index}:")?,
                Err(error) => {
                    eprintln!("Skip getting offsets for topic-partition {name}-{index} due to error: {error}")
                }
            }
        }
    }
    match any {
        true => Ok(()),
        false => Err(ToolError::Failed(
            "Error occurred: Could not match any topic-partitions with the specified filters".into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use ottla_protocol::schema::list_offsets::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
    use ottla_protocol::schema::metadata::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
    use ottla_protocol::schema::{ListOffsetsResponse, MetadataResponse};
    use ottla_protocol::{ApiKey, ErrorCode, Str};

    use super::*;
    use crate::client::scripted::{Scripted, Step};

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn metadata() -> Step {
        let partition = |index, leader_id| MetadataResponsePartition {
            partition_index: index,
            leader_id,
            ..MetadataResponsePartition::default()
        };
        let topic = |name, partitions| MetadataResponseTopic {
            name: Some(Str::from_static(name)),
            partitions,
            ..MetadataResponseTopic::default()
        };
        Step::AnswerAt(Box::new(move |address| {
            Box::new(MetadataResponse {
                brokers: vec![MetadataResponseBroker {
                    node_id: 1,
                    host: Str::from_static("127.0.0.1"),
                    port: address.port().into(),
                    ..MetadataResponseBroker::default()
                }],
                topics: vec![topic("b", vec![partition(1, 1), partition(0, 1)]), topic("a", vec![partition(0, -1)])],
                ..MetadataResponse::default()
            })
        }))
    }

    fn offset(index: i32, offset: i64, error: ErrorCode) -> Step {
        Step::Answer(Box::new(ListOffsetsResponse {
            topics: vec![ListOffsetsTopicResponse {
                name: Str::from_static("b"),
                partitions: vec![ListOffsetsPartitionResponse {
                    partition_index: index,
                    offset,
                    error_code: error.code(),
                    ..ListOffsetsPartitionResponse::default()
                }],
            }],
            ..ListOffsetsResponse::default()
        }))
    }

    #[tokio::test]
    async fn offsets_are_printed_by_topic_and_partition_and_errors_are_skipped() {
        let script = vec![metadata(), offset(0, 42, ErrorCode::None), offset(1, -1, ErrorCode::NotLeaderOrFollower)];
        let server = Scripted::start(&[(ApiKey::Metadata, 0..=12), (ApiKey::ListOffsets, 0..=9)], script).await;
        let command = CommandLine::parse_from(["get-offsets", "--bootstrap-server", &server.address]);
        let mut out = Vec::new();
        run(&command.arguments, &mut out).await.unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "b:0:42\n");
        assert_eq!(server.versions_asked(ApiKey::ListOffsets), [9, 9]);
    }

    #[test]
    fn times_have_names_and_numbers() {
        let times = [time("earliest"), time("latest"), time("max-timestamp"), time("-1"), time("17")];
        assert_eq!(times, [Ok(-2), Ok(-1), Ok(-3), Ok(-1), Ok(17)]);
        assert!(time("now").is_err());
    }
}
