use std::collections::BTreeMap;
use std::io::Write;

use clap::ValueEnum;
use ottla_protocol::schema::describe_configs::DescribeConfigsResourceResult;

use super::ToolError;
use super::bootstrap::Bootstrap;
use crate::client::Cluster;
use crate::client::admin::{self, ConfigChange, ConfigResource};

pub(super) const EXAMPLES: &str = "\
Examples:
  ottla configs --describe --entity-type topics --entity-name orders
  ottla configs --describe --entity-type brokers --entity-name 0 --all
  ottla configs --alter --entity-type topics --entity-name orders --add-config retention.ms=3600000,segment.bytes=1048576
  ottla configs --alter --entity-type topics --entity-name orders --add-config 'cleanup.policy=[compact,delete]'
  ottla configs --alter --entity-type brokers --entity-default --add-config log.retention.ms=3600000
  ottla configs --alter --entity-type topics --entity-name orders --delete-config retention.ms";

const DOING: &str = "Error while executing config command";

/// What configs belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EntityType {
    /// Topics.
    Topics,
    /// Brokers.
    Brokers,
}

/// What to do with whose configs.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("action").required(true))]
pub(super) struct Arguments {
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// Print configs
    #[arg(long, group = "action")]
    describe: bool,
    /// Change configs
    #[arg(long, group = "action")]
    alter: bool,
    /// With --describe: also those that nobody set
    #[arg(long, requires = "describe")]
    all: bool,
    /// Whose configs
    #[arg(long, value_enum, required_unless_present_any = ["topic", "broker", "broker_defaults"])]
    entity_type: Option<EntityType>,
    /// The topic, or the broker's id
    #[arg(long, value_name = "NAME")]
    entity_name: Option<String>,
    /// All brokers
    #[arg(long, conflicts_with = "entity_name")]
    entity_default: bool,
    /// Short for --entity-type topics --entity-name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["entity_type", "entity_name"])]
    topic: Option<String>,
    /// Short for --entity-type brokers --entity-name
    #[arg(long, value_name = "ID", conflicts_with_all = ["entity_type", "entity_name", "topic"])]
    broker: Option<String>,
    /// Short for --entity-type brokers --entity-default
    #[arg(long, conflicts_with_all = ["entity_type", "entity_name", "topic", "broker"])]
    broker_defaults: bool,
    /// Configs to set: name=value,name=[value,value]
    #[arg(long, value_name = "LIST", requires = "alter")]
    add_config: Option<String>,
    /// Configs to take back: name,name
    #[arg(long, value_name = "LIST", requires = "alter")]
    delete_config: Option<String>,
}

/// Runs the tool.
pub(super) async fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), ToolError> {
    let cluster = arguments.bootstrap.cluster("ottla-configs");
    let resources = resources(arguments, &cluster).await?;
    for resource in &resources {
        match arguments.alter {
            true => {
                admin::alter_configs(&cluster, resource, &changes(arguments)?)
                    .await
                    .map_err(ToolError::while_doing(DOING))?;
                writeln!(out, "Completed updating {}.", named(resource, "config for"))?;
            }
            false => {
                let configs =
                    admin::describe_configs(&cluster, resource).await.map_err(ToolError::while_doing(DOING))?;
                describe(resource, &configs, arguments.all, out)?;
            }
        }
    }
    Ok(())
}

async fn resources(arguments: &Arguments, cluster: &Cluster) -> Result<Vec<ConfigResource>, ToolError> {
    let broker = |id: &str| match id.parse() {
        Ok(id) => Ok(ConfigResource::Broker(Some(id))),
        Err(_) => {
            Err(ToolError::Usage(format!("The entity name for brokers must be a valid integer broker id, found: {id}")))
        }
    };
    if let Some(topic) = &arguments.topic {
        return Ok(vec![ConfigResource::Topic(topic.clone())]);
    }
    if let Some(id) = &arguments.broker {
        return Ok(vec![broker(id)?]);
    }
    if arguments.broker_defaults {
        return Ok(vec![ConfigResource::Broker(None)]);
    }
    let metadata = async || cluster.metadata(None, false).await.map_err(ToolError::while_doing(DOING));
    match (arguments.entity_type, arguments.entity_name.as_deref()) {
        (Some(EntityType::Brokers), Some(id)) => Ok(vec![broker(id)?]),
        (Some(EntityType::Brokers), None) if arguments.entity_default => Ok(vec![ConfigResource::Broker(None)]),
        (_, Some(name)) => Ok(vec![ConfigResource::Topic(name.into())]),
        _ if arguments.entity_default => {
            Err(ToolError::Usage("topics have no --entity-default; set the broker's keys (log.*) instead".into()))
        }
        _ if arguments.alter => {
            Err(ToolError::Usage("--alter needs --entity-name, or --entity-default for brokers".into()))
        }
        (Some(EntityType::Brokers), None) => {
            let mut ids: Vec<i32> = metadata().await?.brokers.iter().map(|broker| broker.node_id).collect();
            ids.sort_unstable();
            Ok(ids.into_iter().map(|id| ConfigResource::Broker(Some(id))).collect())
        }
        (_, None) => {
            let mut names: Vec<String> =
                metadata().await?.topics.iter().filter_map(|topic| topic.name.as_deref().map(str::to_owned)).collect();
            names.sort_unstable();
            Ok(names.into_iter().map(ConfigResource::Topic).collect())
        }
    }
}

fn named(resource: &ConfigResource, what: &str) -> String {
    match resource {
        ConfigResource::Topic(name) => format!("{what} topic {name}"),
        ConfigResource::Broker(Some(id)) => format!("{what} broker {id}"),
        ConfigResource::Broker(None) => {
            format!("{what} brokers in the cluster").replace("config for", "default config for")
        }
    }
}

fn changes(arguments: &Arguments) -> Result<BTreeMap<String, ConfigChange>, ToolError> {
    let mut changes = BTreeMap::new();
    for text in split(arguments.add_config.as_deref().unwrap_or_default()) {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| ToolError::Usage(format!("--add-config {text}: name=value is expected")))?;
        let value = value.trim();
        // Brackets keep the commas of one value together.
        let value = value.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(value);
        changes.insert(name.trim().to_owned(), ConfigChange::Set(value.into()));
    }
    for name in split(arguments.delete_config.as_deref().unwrap_or_default()) {
        changes.insert(name.trim().to_owned(), ConfigChange::Delete);
    }
    match changes.is_empty() {
        true => Err(ToolError::Usage(
            "At least one of --add-config or --delete-config must be specified with --alter".into(),
        )),
        false => Ok(changes),
    }
}

/// Splits at commas outside of brackets.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let is_end = |c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    };
    text.split(is_end).map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// The name that Kafka's tool prints for a source (`ConfigEntry.ConfigSource`).
fn source_name(source: i8) -> &'static str {
    match source {
        1 => "DYNAMIC_TOPIC_CONFIG",
        2 => "DYNAMIC_BROKER_CONFIG",
        3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        4 => "STATIC_BROKER_CONFIG",
        5 => "DEFAULT_CONFIG",
        6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
        _ => "UNKNOWN",
    }
}

fn describe(
    resource: &ConfigResource,
    configs: &[DescribeConfigsResourceResult],
    all: bool,
    out: &mut dyn Write,
) -> Result<(), ToolError> {
    let own_source = match resource {
        ConfigResource::Topic(_) => 1,
        ConfigResource::Broker(Some(_)) => 2,
        ConfigResource::Broker(None) => 3,
    };
    match resource {
        ConfigResource::Broker(None) => writeln!(out, "Default configs for brokers in the cluster are:")?,
        _ => writeln!(out, "{} are:", named(resource, if all { "All configs for" } else { "Dynamic configs for" }))?,
    }
    let mut shown: Vec<&DescribeConfigsResourceResult> =
        configs.iter().filter(|config| all || config.config_source == own_source).collect();
    shown.sort_by(|one, other| one.name.cmp(&other.name));
    for config in shown {
        let value = config.value.as_deref().unwrap_or("null");
        let synonyms: Vec<String> = config
            .synonyms
            .iter()
            .map(|s| format!("{}:{}={}", source_name(s.source), s.name, s.value.as_deref().unwrap_or("null")))
            .collect();
        let (name, sensitive) = (&config.name, config.is_sensitive);
        writeln!(out, "  {name}={value} sensitive={sensitive} synonyms={{{}}}", synonyms.join(", "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ottla_protocol::Str;
    use ottla_protocol::schema::describe_configs::DescribeConfigsSynonym;

    use super::*;

    #[test]
    fn brackets_keep_a_list_together() {
        assert_eq!(
            split("a=1, cleanup.policy=[compact,delete],b=2"),
            ["a=1", "cleanup.policy=[compact,delete]", "b=2"]
        );
        assert_eq!(split(""), [""; 0]);
    }

    #[test]
    fn configs_are_printed_as_kafka_prints_them() {
        let config = |name, source| DescribeConfigsResourceResult {
            name: Str::from_static(name),
            value: Some(Str::from_static("9")),
            config_source: source,
            synonyms: vec![DescribeConfigsSynonym {
                name: Str::from_static("log.x"),
                value: Some(Str::from_static("9")),
                source: 4,
            }],
            ..Default::default()
        };
        let print = |all| {
            let mut out = Vec::new();
            let topic = ConfigResource::Topic("t".into());
            describe(&topic, &[config("z", 4), config("a", 1)], all, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let a = "  a=9 sensitive=false synonyms={STATIC_BROKER_CONFIG:log.x=9}\n";
        let z = "  z=9 sensitive=false synonyms={STATIC_BROKER_CONFIG:log.x=9}\n";
        assert_eq!(print(false), format!("Dynamic configs for topic t are:\n{a}"));
        assert_eq!(print(true), format!("All configs for topic t are:\n{a}{z}"));
    }
}
