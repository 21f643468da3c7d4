//! zkCli.sh shows the nodes of Kafka 3.9.1: the same paths, keys, types and versions. `testdata/znodes-3.9.1.json` is the
//! tree of a real cluster of two brokers.

use std::collections::{BTreeMap, BTreeSet};

use ottla_integration_tests::Broker;
use ottla_integration_tests::client::{kcat, tool, topics};
use ottla_integration_tests::process::run;
use ottla_integration_tests::zookeeper::peers;
use serde_json::Value;

/// Kinds of nodes of the real cluster that this broker does not write yet.
const NOT_YET: &[&str] = &[
    "/brokers/topics/__consumer_offsets",
    "/config/topics/__consumer_offsets",
    "/config/clients/*",
    "/config/ips/*",
    "/config/users/*",
    "/kafka-acl",
    "/kafka-acl-changes",
    "/kafka-acl-extended",
    "/kafka-acl-extended-changes",
];

#[derive(Debug, Clone)]
struct Node {
    data: Option<String>,
    version: i64,
    ephemeral: bool,
}

/// The kind of a path: its variable parts starred. `None`: written by consumers, not by brokers, or part of a kind that
/// is compared as a whole.
fn kind(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    Some(match parts.as_slice() {
        ["consumers", _, ..] => return None,
        ["zookeeper", ..] => return None,
        ["brokers", "topics", "__consumer_offsets"] | ["config", "topics", "__consumer_offsets"] => path.to_string(),
        ["brokers", "topics", "__consumer_offsets", ..] => return None,
        ["brokers", "ids", _] => "/brokers/ids/*".into(),
        ["brokers", "topics", _] => "/brokers/topics/*".into(),
        ["brokers", "topics", _, "partitions"] => "/brokers/topics/*/partitions".into(),
        ["brokers", "topics", _, "partitions", _] => "/brokers/topics/*/partitions/*".into(),
        ["brokers", "topics", _, "partitions", _, "state"] => "/brokers/topics/*/partitions/*/state".into(),
        ["config", "changes", _] => "/config/changes/*".into(),
        ["config", entity, _, ..] => format!("/config/{entity}/*"),
        ["kafka-acl", ..] => "/kafka-acl".into(),
        ["kafka-acl-changes", ..] => "/kafka-acl-changes".into(),
        ["kafka-acl-extended", ..] => "/kafka-acl-extended".into(),
        ["kafka-acl-extended-changes", ..] => "/kafka-acl-extended-changes".into(),
        _ => path.to_string(),
    })
}

fn golden() -> BTreeMap<String, Node> {
    let text = include_str!("../testdata/znodes-3.9.1.json");
    let nodes: Vec<Value> = serde_json::from_str(text).unwrap();
    nodes
        .into_iter()
        .map(|node| {
            let data = node["data"].as_str().map(str::to_string);
            let parsed =
                Node { data, version: node["version"].as_i64().unwrap(), ephemeral: node["ephemeral"] == true };
            (node["path"].as_str().unwrap().to_string(), parsed)
        })
        .collect()
}

/// The whole tree as zkCli.sh prints it.
fn tree(zookeeper: &str) -> BTreeMap<String, Node> {
    let cli = |commands: &str| {
        let mut command = peers();
        command.args(["run", "3.9.1", "org.apache.zookeeper.ZooKeeperMain", "-server", zookeeper]);
        run(&mut command, commands.as_bytes()).success()
    };
    let listed = cli("ls -R /\nquit\n");
    let paths: Vec<&str> = listed.lines().map(str::trim).filter(|line| line.starts_with('/')).collect();
    let gets: String = paths.iter().map(|path| format!("get -s {path}\n")).collect();
    let printed = cli(&format!("{gets}quit\n"));
    let lines: Vec<&str> = printed
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("[zk:") && !line.starts_with("WATCHER"))
        .collect();
    let starts: Vec<usize> = (0..lines.len()).filter(|i| lines[*i].starts_with("cZxid = ")).collect();
    assert_eq!(starts.len(), paths.len(), "{printed}");
    let field = |start: usize, name: &str| {
        let prefix = format!("{name} = ");
        lines[start..].iter().find_map(|line| line.strip_prefix(prefix.as_str())).unwrap().trim().to_string()
    };
    paths
        .iter()
        .zip(starts)
        .map(|(path, start)| {
            let before = lines[..start].last().copied().unwrap_or_default();
            let empty = field(start, "dataLength") == "0";
            let node = Node {
                data: (!empty).then(|| before.to_string()),
                version: field(start, "dataVersion").parse().unwrap(),
                ephemeral: field(start, "ephemeralOwner") != "0x0",
            };
            (path.to_string(), node)
        })
        .collect()
}

/// A payload without its values: keys and types.
fn shape(data: &str) -> String {
    fn of(value: &Value) -> String {
        match value {
            Value::Null => "null".into(),
            Value::Bool(_) => "bool".into(),
            Value::Number(_) => "number".into(),
            Value::String(_) => "string".into(),
            Value::Array(items) => format!("[{}]", items.first().map(of).unwrap_or_default()),
            Value::Object(fields) if fields.keys().all(|key| key.parse::<i64>().is_ok()) && !fields.is_empty() => {
                format!("{{number: {}}}", of(fields.values().next().unwrap()))
            }
            // Which configs are set is a matter of taste.
            Value::Object(fields) if fields.keys().any(|key| key.contains('.')) => "{config: string}".into(),
            Value::Object(fields) => {
                let fields: BTreeMap<&String, String> = fields.iter().map(|(key, value)| (key, of(value))).collect();
                format!("{fields:?}")
            }
        }
    }
    serde_json::from_str(data).map_or_else(|_| data.to_string(), |value| of(&value))
}

fn shows_the_nodes_of_kafka(real_zookeeper: bool) {
    let mut broker = Broker::with(real_zookeeper, &["broker.rack=r1"]);
    let bootstrap = broker.bootstrap.clone();
    topics(
        &bootstrap,
        &[
            "--create",
            "--topic",
            "orders",
            "--partitions",
            "4",
            "--config",
            "cleanup.policy=compact",
            "--config",
            "retention.ms=86400000",
        ],
    )
    .success();
    topics(&bootstrap, &["--create", "--topic", "plain", "--partitions", "2"]).success();
    topics(&bootstrap, &["--create", "--topic", "doomed"]).success();
    topics(&bootstrap, &["--create", "--topic", "moved", "--partitions", "2"]).success();
    topics(&bootstrap, &["--alter", "--topic", "plain", "--partitions", "4"]).success();
    let alter = |entity: &[&str], config: &str| {
        let mut args = vec!["--bootstrap-server", &bootstrap, "--alter", "--add-config", config];
        args.extend(entity);
        tool("3.9.1", "kafka.admin.ConfigCommand", &args, "").success();
    };
    alter(&["--entity-type", "topics", "--entity-name", "plain"], "max.message.bytes=65536");
    alter(&["--entity-type", "brokers", "--entity-name", "0"], "message.max.bytes=2000000");
    alter(&["--entity-type", "brokers", "--entity-default"], "log.segment.bytes=100000000");
    kcat(&bootstrap, &["-P", "-t", "plain", "-p", "0", "-X", "enable.idempotence=true"], "x\n").success();

    let (golden, ours) = (golden(), tree(&broker.zookeeper));
    let mut of_kind: BTreeMap<String, Vec<(&String, &Node)>> = BTreeMap::new();
    for (path, node) in &golden {
        of_kind.entry(kind(path).unwrap_or_default()).or_default().push((path, node));
    }
    let mut wrong = Vec::new();
    for (path, node) in &ours {
        let Some(kind) = kind(path) else { continue };
        let Some(examples) = of_kind.get(&kind) else {
            wrong.push(format!("{path}: Kafka has no such node"));
            continue;
        };
        // The same path if Kafka had it; otherwise any of the kind that has the same shape will do.
        let same_path: Vec<_> = examples.iter().filter(|(other, _)| *other == path).collect();
        let candidates = if same_path.is_empty() { examples.iter().collect() } else { same_path };
        let fits = |example: &Node| {
            example.ephemeral == node.ephemeral
                && example.version == node.version
                && example.data.as_deref().map(shape) == node.data.as_deref().map(shape)
        };
        let same_config = path.starts_with("/config/topics/");
        if !candidates.iter().any(|(_, example)| fits(example)) {
            let expected = candidates[0].1;
            wrong.push(format!("{path}: {node:?}\n    expected {expected:?}"));
        } else if same_config && candidates[0].1.data != node.data {
            wrong.push(format!("{path}: {:?}, expected {:?}", node.data, candidates[0].1.data));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));

    let written: BTreeSet<String> = ours.keys().filter_map(|path| kind(path)).collect();
    let missing: BTreeSet<String> =
        golden.keys().filter_map(|path| kind(path)).filter(|k| !written.contains(k)).collect();
    assert_eq!(missing, NOT_YET.iter().map(|text| text.to_string()).collect::<BTreeSet<_>>(), "not written yet");
    broker.stop(&[]);
}

#[test]
fn shows_the_nodes_of_kafka_with_the_embedded_keeper() {
    shows_the_nodes_of_kafka(false);
}

#[test]
fn shows_the_nodes_of_kafka_with_a_real_zookeeper() {
    shows_the_nodes_of_kafka(true);
}
