use std::collections::BTreeMap;
use std::io::Write;

use ottla_protocol::ErrorCode;
use ottla_protocol::schema::describe_configs::DescribeConfigsResourceResult;
use ottla_protocol::schema::metadata::{MetadataResponsePartition, MetadataResponseTopic};
use ottla_types::{TopicId, TopicName};

use super::ToolError;
use super::bootstrap::Bootstrap;
use crate::client::admin::{self, ConfigResource, NewTopic};
use crate::client::{ClientError, Cluster};

pub(super) const EXAMPLES: &str = "\
Examples:
  ottla topics --create --topic orders --partitions 3 --replication-factor 1 --config retention.ms=3600000
  ottla topics --list
  ottla topics --describe --topic orders
  ottla topics --alter --topic orders --partitions 6
  ottla topics --delete --topic 'test-.*'

--topic of --list, --describe and --delete is a regular expression in Kafka; here . and .* are understood.";

const DOING: &str = "Error while executing topic command";
/// The wire's number for a value that nobody set (`DescribeConfigsResponse.ConfigSource.DEFAULT_CONFIG`).
const DEFAULT_CONFIG: i8 = 5;

/// What to do with which topics.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("action").required(true))]
pub(super) struct Arguments {
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// Create a topic
    #[arg(long, group = "action", requires = "topic")]
    create: bool,
    /// Delete topics
    #[arg(long, group = "action", requires = "topic")]
    delete: bool,
    /// Give a topic more partitions
    #[arg(long, group = "action", requires_all = ["topic", "partitions"])]
    alter: bool,
    /// Print topics and their partitions
    #[arg(long, group = "action")]
    describe: bool,
    /// Print the names of topics
    #[arg(long, group = "action")]
    list: bool,
    /// The topic; except with --create and --alter a pattern
    #[arg(long)]
    topic: Option<String>,
    /// Number of partitions
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Replicas of each partition
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// Brokers of each partition: 0:1,1:2 is two partitions on brokers 0, 1 and 1, 2
    #[arg(long, value_name = "LIST", conflicts_with = "replication_factor")]
    replica_assignment: Option<String>,
    /// A config of the new topic; may be repeated
    #[arg(long, value_name = "NAME=VALUE", requires = "create")]
    config: Vec<String>,
    /// Do nothing if the topic exists
    #[arg(long, requires = "create")]
    if_not_exists: bool,
    /// Do nothing if the topic does not exist
    #[arg(long)]
    if_exists: bool,
    /// Leave out topics that Kafka keeps for itself
    #[arg(long)]
    exclude_internal: bool,
    /// Describe only topics with configs of their own
    #[arg(long, requires = "describe")]
    topics_with_overrides: bool,
    /// Describe only partitions with fewer in-sync replicas than replicas
    #[arg(long, requires = "describe")]
    under_replicated_partitions: bool,
    /// Describe only partitions without a leader
    #[arg(long, requires = "describe")]
    unavailable_partitions: bool,
}

/// Runs the tool.
pub(super) async fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), ToolError> {
    let cluster = arguments.bootstrap.cluster("ottla-topics");
    match () {
        () if arguments.create => create(arguments, &cluster, out).await,
        () if arguments.delete => delete(arguments, &cluster).await,
        () if arguments.alter => alter(arguments, &cluster).await,
        () if arguments.describe => describe(arguments, &cluster, out).await,
        () => {
            for topic in found(arguments, &cluster).await? {
                writeln!(out, "{}", topic.name.as_deref().unwrap_or_default())?;
            }
            Ok(())
        }
    }
}

async fn create(arguments: &Arguments, cluster: &Cluster, out: &mut dyn Write) -> Result<(), ToolError> {
    let name = arguments.topic.clone().unwrap_or_default();
    if name.contains(['.', '_']) {
        writeln!(
            out,
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. \
             To avoid issues it is best to use either, but not both."
        )?;
    }
    let assignment = assignment(arguments.replica_assignment.as_deref())?;
    let partitions = if assignment.is_empty() { arguments.partitions } else { None };
    let topic = NewTopic {
        name: name.clone(),
        partitions,
        replication_factor: arguments.replication_factor,
        assignment,
        configs: pairs(&arguments.config)?,
    };
    match admin::create_topic(cluster, &topic).await {
        Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) && arguments.if_not_exists => Ok(()),
        outcome => {
            outcome.map_err(ToolError::while_doing(DOING))?;
            Ok(writeln!(out, "Created topic {name}.")?)
        }
    }
}

async fn delete(arguments: &Arguments, cluster: &Cluster) -> Result<(), ToolError> {
    for topic in found(arguments, cluster).await? {
        let name = topic.name.unwrap_or_default();
        admin::delete_topic(cluster, &name).await.map_err(ToolError::while_doing(DOING))?;
    }
    Ok(())
}

async fn alter(arguments: &Arguments, cluster: &Cluster) -> Result<(), ToolError> {
    let Some(count) = arguments.partitions else { return Ok(()) };
    let all = assignment(arguments.replica_assignment.as_deref())?;
    for topic in found(arguments, cluster).await? {
        let new = all.get(topic.partitions.len()..).unwrap_or_default();
        let name = topic.name.unwrap_or_default();
        admin::create_partitions(cluster, &name, count, new).await.map_err(ToolError::while_doing(DOING))?;
    }
    Ok(())
}

async fn describe(arguments: &Arguments, cluster: &Cluster, out: &mut dyn Write) -> Result<(), ToolError> {
    let only_some = arguments.under_replicated_partitions || arguments.unavailable_partitions;
    for topic in found(arguments, cluster).await? {
        let name = topic.name.as_deref().unwrap_or_default();
        let resource = ConfigResource::Topic(name.into());
        let configs = admin::describe_configs(cluster, &resource).await.map_err(ToolError::while_doing(DOING))?;
        if !only_some {
            let own = own_configs(&configs);
            if arguments.topics_with_overrides && own.is_empty() {
                continue;
            }
            writeln!(out, "{}", headline(name, &topic, &own))?;
            if arguments.topics_with_overrides {
                continue;
            }
        }
        let mut partitions = topic.partitions.clone();
        partitions.sort_by_key(|partition| partition.partition_index);
        for partition in partitions {
            let under_replicated = partition.isr_nodes.len() < partition.replica_nodes.len();
            let wanted = !only_some
                || arguments.under_replicated_partitions && under_replicated
                || arguments.unavailable_partitions && partition.leader_id < 0;
            if wanted {
                writeln!(out, "{}", partition_line(name, &partition))?;
            }
        }
    }
    Ok(())
}

fn headline(name: &str, topic: &MetadataResponseTopic, own: &str) -> String {
    let replicas = topic.partitions.first().map_or(0, |partition| partition.replica_nodes.len());
    let id = if topic.topic_id == [0; 16] { String::new() } else { format!("\tTopicId: {}", TopicId(topic.topic_id)) };
    format!(
        "Topic: {name}{id}\tPartitionCount: {}\tReplicationFactor: {replicas}\tConfigs: {own}",
        topic.partitions.len()
    )
}

fn partition_line(name: &str, partition: &MetadataResponsePartition) -> String {
    let leader = if partition.leader_id < 0 { "none".into() } else { partition.leader_id.to_string() };
    let list = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    format!(
        "\tTopic: {name}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}\tElr: N/A\tLastKnownElr: N/A",
        partition.partition_index,
        list(&partition.replica_nodes),
        list(&partition.isr_nodes)
    )
}

/// What is set for the topic or the broker, as `name=value` between commas.
fn own_configs(configs: &[DescribeConfigsResourceResult]) -> String {
    let is_set = |config: &&DescribeConfigsResourceResult| match config.config_source {
        -1 => !config.is_default,
        source => source != DEFAULT_CONFIG,
    };
    let text = |config: &DescribeConfigsResourceResult| {
        format!("{}={}", config.name, config.value.as_deref().unwrap_or_default())
    };
    configs.iter().filter(is_set).map(text).collect::<Vec<_>>().join(",")
}

/// The topics that the arguments mean, by name.
async fn found(arguments: &Arguments, cluster: &Cluster) -> Result<Vec<MetadataResponseTopic>, ToolError> {
    let response = cluster.metadata(None, false).await.map_err(ToolError::while_doing(DOING))?;
    let exact = arguments.alter;
    let mut topics: Vec<MetadataResponseTopic> = response
        .topics
        .into_iter()
        .filter(|topic| {
            let name = topic.name.as_deref().unwrap_or_default();
            let internal = topic.is_internal && arguments.exclude_internal;
            let named = arguments.topic.as_deref().is_none_or(|pattern| match exact {
                true => name == pattern,
                false => matches(pattern, name),
            });
            named && !internal
        })
        .collect();
    topics.sort_by(|one, other| one.name.cmp(&other.name));
    match &arguments.topic {
        Some(name) if topics.is_empty() && !arguments.if_exists && !arguments.list => Err(ToolError::Cluster {
            doing: DOING,
            source: ClientError::Broker {
                code: ErrorCode::UnknownTopicOrPartition,
                message: format!("Topic '{name}' does not exist as expected"),
            },
        }),
        _ => Ok(topics),
    }
}

/// Whether a pattern of names, `.`, `.*`, and `|` between alternatives means this name.
fn matches(pattern: &str, name: &str) -> bool {
    fn rest(pattern: &[u8], name: &[u8]) -> bool {
        match pattern {
            [] => name.is_empty(),
            [b'.', b'*', after @ ..] => (0..=name.len()).any(|at| rest(after, &name[at..])),
            [b'\\', literal, after @ ..] => name.first() == Some(literal) && rest(after, &name[1..]),
            [b'.', after @ ..] => !name.is_empty() && rest(after, &name[1..]),
            [literal, after @ ..] => name.first() == Some(literal) && rest(after, &name[1..]),
        }
    }
    pattern.split('|').any(|pattern| rest(pattern.as_bytes(), name.as_bytes()))
}

fn assignment(text: Option<&str>) -> Result<Vec<Vec<i32>>, ToolError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let brokers = |part: &str| part.split(':').map(|id| id.trim().parse().ok()).collect::<Option<Vec<i32>>>();
    text.split(',').map(brokers).collect::<Option<Vec<_>>>().ok_or_else(|| {
        ToolError::Usage(format!("--replica-assignment {text}: broker:broker,broker:broker is expected"))
    })
}

fn pairs(configs: &[String]) -> Result<BTreeMap<String, String>, ToolError> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err(ToolError::Usage(format!("--config {text}: name=value is expected"))),
    };
    configs.iter().map(pair).collect()
}

/// Checks a name before it is asked for, so that a typing error is not a broker's answer.
pub(super) fn topic_name(text: &str) -> Result<String, String> {
    TopicName::new(text).map(|name| name.as_str().to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use ottla_protocol::Str;

    use super::*;

    #[test]
    fn patterns_mean_names_as_in_kafka() {
        assert!(matches("orders", "orders"));
        assert!(!matches("orders", "orders2"));
        assert!(matches("test-.*", "test-1"));
        assert!(matches("a.b", "axb"), "a period is any character");
        assert!(!matches(r"a\.b", "axb"));
        assert!(matches("a|b.*", "bcd"));
        assert!(!matches("", "a"));
    }

    #[test]
    fn descriptions_are_printed_as_kafka_prints_them() {
        let partition = MetadataResponsePartition {
            partition_index: 2,
            leader_id: -1,
            replica_nodes: vec![1, 2],
            isr_nodes: vec![1],
            ..Default::default()
        };
        assert_eq!(
            partition_line("t", &partition),
            "\tTopic: t\tPartition: 2\tLeader: none\tReplicas: 1,2\tIsr: 1\tElr: N/A\tLastKnownElr: N/A"
        );
        let topic = MetadataResponseTopic { topic_id: [7; 16], partitions: vec![partition], ..Default::default() };
        let config = |name, source| DescribeConfigsResourceResult {
            name: Str::from_static(name),
            value: Some(Str::from_static("1")),
            config_source: source,
            ..Default::default()
        };
        let own = own_configs(&[config("a", 1), config("b", DEFAULT_CONFIG), config("c", 4)]);
        assert_eq!(
            headline("t", &topic, &own),
            "Topic: t\tTopicId: BwcHBwcHBwcHBwcHBwcHBw\tPartitionCount: 1\tReplicationFactor: 2\tConfigs: a=1,c=1"
        );
    }

    #[test]
    fn assignments_are_read() {
        assert_eq!(assignment(Some("0:1,1:2")).unwrap(), [[0, 1], [1, 2]]);
        assert!(assignment(Some("0:x")).is_err());
    }
}
