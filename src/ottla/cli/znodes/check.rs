//! `ottla znodes check`: what cannot be read, and what does not fit together.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use ottla_assignor::{Assignment, Member, Topics};
use ottla_classic::decide;
use ottla_types::TopicPartition;
use zk_schema::{Kind, consumer_plan, consumers};

use super::failed;
use crate::cli::ToolError;
use crate::cli::group_view::{self, GroupView};
use crate::zk::store_consumers::{Owner, groups};
use crate::zk::znodes::{ZkError, Znodes};

/// Reads on their way at once.
const READS_IN_FLIGHT: usize = 200;
/// What is wrong for less than this is a group that rebalances.
pub(super) const SETTLING: Duration = Duration::from_secs(2);

/// One line of the result.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    problem: String,
    remedy: String,
}

impl Finding {
    fn new(path: String, problem: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { path, problem: problem.into(), remedy: remedy.into() }
    }
}

/// Checks a group, or everything. What may be right in a moment is looked at once more after `settling`.
pub(super) async fn run(
    zk: &dyn Znodes,
    group: Option<&str>,
    settling: Duration,
    out: &mut dyn Write,
) -> Result<(), ToolError> {
    let names = match group {
        Some(group) => vec![group.to_owned()],
        None => groups(zk).await.map_err(|error| ToolError::Failed(error.to_string()))?,
    };
    let mut findings = BTreeSet::new();
    let mut unsettled = Vec::new();
    for name in &names {
        let Some(view) = group_view::read(zk, name).await? else {
            // Without a name it was deleted a moment ago.
            match group {
                Some(_) => return Err(ToolError::Failed(format!("group '{name}' does not exist"))),
                None => continue,
            }
        };
        findings.extend(lasting(&view));
        let passing = passing(&view);
        if !passing.is_empty() {
            unsettled.push((name, passing));
        }
    }
    if group.is_none() {
        findings.extend(unreadable(zk).await?);
    }
    if !unsettled.is_empty() {
        tokio::time::sleep(settling).await;
        for (name, before) in unsettled {
            if let Some(view) = group_view::read(zk, name).await? {
                findings.extend(passing(&view).intersection(&before).cloned());
            }
        }
    }
    for Finding { path, problem, remedy } in &findings {
        writeln!(out, "{path}: {problem}; {remedy}")?;
    }
    match findings.len() {
        0 => Ok(writeln!(out, "nothing is wrong")?),
        1 => Err(ToolError::Failed("1 problem found".into())),
        count => Err(ToolError::Failed(format!("{count} problems found"))),
    }
}

/// Nodes of Kafka's and ours that cannot be read; those of the groups are looked at one by one elsewhere.
async fn unreadable(zk: &dyn Znodes) -> Result<Vec<Finding>, ToolError> {
    let mut findings = Vec::new();
    let mut level = vec!["/".to_owned()];
    while !level.is_empty() {
        let reads = level.into_iter().map(|path| async move {
            let read = async {
                let (data, stat) = zk.get(&path).await?;
                let children = if stat.num_children > 0 { zk.children(&path).await? } else { Vec::new() };
                Ok((data, children))
            };
            let read = read.await;
            (path, read)
        });
        let read: Vec<_> = stream::iter(reads).buffered(READS_IN_FLIGHT).collect().await;
        level = Vec::new();
        for (path, read) in read {
            let (data, children) = match read {
                Ok(read) => read,
                // It went while the tree was being read.
                Err(ZkError::NoNode) => continue,
                Err(ZkError::NoAuth) => {
                    findings.push(Finding::new(path, "its ACL forbids to read it", "check it with those credentials"));
                    continue;
                }
                Err(error) => return Err(failed(&path, &error)),
            };
            if let Err(error) = Kind::of(&path).describe(&path, &data) {
                findings.push(Finding::new(error.path, error.problem, error.remedy));
            }
            let below = children.into_iter().map(|name| format!("{}/{name}", path.trim_end_matches('/')));
            level.extend(below.filter(|path| path != "/zookeeper" && path != consumers::PARENT));
        }
    }
    Ok(findings)
}

/// What is wrong whatever the group does in this moment.
fn lasting(view: &GroupView) -> Vec<Finding> {
    let group = &view.group;
    let name = group.name.as_str();
    let mut findings: Vec<Finding> = Vec::new();
    for (id, _) in group.members.iter().filter(|(_, member)| member.session == 0) {
        let problem = "the registration is persistent, so that a member which is not there counts for ever";
        findings.push(Finding::new(consumers::member_path(name, id), problem, "delete the node"));
    }
    for (partition, owner) in &group.owners {
        let path = consumers::owner_path(name, partition);
        if owner.session == 0 {
            let problem = "the owner node is persistent, so that no end of a session frees the partition";
            findings.push(Finding::new(path, problem, "delete the node"));
        } else if is_python(owner) {
            let problem = format!("the owner is {}, a Python object's text: no tool finds its member", owner.text);
            findings.push(Finding::new(path, problem, "give that client a group of its own"));
        }
    }
    if group.planner.as_ref().is_some_and(|planner| planner.session == 0) {
        let problem = "the node is persistent, so that no member of Ottla's ever plans";
        findings.push(Finding::new(consumer_plan::planner_path(name), problem, "delete the node"));
    }
    for (partition, offset) in &group.offsets {
        let path = consumers::offset_path(name, partition);
        let delete = format!(
            "ottla consumer-groups --delete-offsets --group {name} --topic {}:{}",
            partition.topic, partition.partition
        );
        match view.topics.get(&partition.topic) {
            None => findings.push(Finding::new(path, format!("topic {} does not exist", partition.topic), delete)),
            Some(topic) if !topic.partitions.contains(&partition.partition) => {
                findings.push(Finding::new(path, format!("partition {partition} does not exist"), delete));
            }
            Some(_) if view.is_stale(partition) => {
                let problem =
                    "the offset is older than its topic, which was deleted and made anew; Kafka's old consumers use it";
                findings.push(Finding::new(path, problem, delete));
            }
            Some(_) if offset.offset < 0 => {
                findings.push(Finding::new(path, format!("{} is no offset", offset.offset), delete));
            }
            Some(_) => {}
        }
    }
    findings
}

/// Whether a Python client wrote the text of a bytes object instead of its bytes.
fn is_python(owner: &Owner) -> bool {
    owner.text.starts_with("b'")
}

/// What is wrong if it lasts: while partitions move it is not.
fn passing(view: &GroupView) -> BTreeSet<Finding> {
    let group = &view.group;
    let name = group.name.as_str();
    let mut findings = BTreeSet::new();
    // A registration of kafka-node is empty for a moment.
    for error in &group.unreadable {
        findings.insert(Finding::new(error.path.clone(), &error.problem, error.remedy));
    }
    for (path, problem) in &view.misunderstood {
        findings.insert(Finding::new(path.clone(), problem, "restart that consumer with another subscription"));
    }
    let live = |owner: &Owner| group.owner_member(owner).is_some();
    let orphan = |owner: &Owner| owner.session != 0 && !live(owner);
    for (partition, owner) in group.owners.iter().filter(|(_, owner)| orphan(owner)) {
        let problem = format!(
            "session 0x{:x} owns the partition as '{}' and has no registration in the group",
            owner.session, owner.text
        );
        findings.insert(Finding::new(consumers::owner_path(name, partition), problem, "restart that consumer"));
    }
    if let Some(planner) = group.planner.as_ref().filter(|planner| orphan(planner)) {
        let problem = format!("session 0x{:x} plans as '{}' without a registration", planner.session, planner.text);
        findings.insert(Finding::new(consumer_plan::planner_path(name), problem, "restart that consumer"));
    }
    let (ours, old): (Vec<_>, Vec<_>) = view.registered.values().partition(|member| member.assignor.is_some());
    if group.planner.is_none() && !ours.is_empty() {
        let remedy = "restart a member of Ottla's; its log says why it does not plan";
        findings.insert(Finding::new(
            consumer_plan::planner_path(name),
            "nobody plans, though members wait for a plan",
            remedy,
        ));
    }
    let (rule, expected) = explanation(view, !ours.is_empty(), !old.is_empty());
    for (partition, thread) in &expected {
        let path = consumers::owner_path(name, partition);
        match group.owners.get(partition) {
            None => {
                let problem = format!("nobody owns the partition; by {rule} it is {thread}'s");
                findings.insert(Finding::new(path, problem, "restart that consumer"));
            }
            Some(owner) if live(owner) && !owner.is(thread) && !is_python(owner) => {
                let problem = format!("the owner is {}; by {rule} it is {thread}", owner.text);
                findings.insert(Finding::new(path, problem, "restart the owner"));
            }
            Some(_) => {}
        }
    }
    for (partition, owner) in &group.owners {
        if live(owner) && !expected.contains_key(partition) {
            let problem = format!("the owner is {}, though no member wants the partition", owner.text);
            let path = consumers::owner_path(name, partition);
            findings.insert(Finding::new(path, problem, "restart the owner"));
        }
    }
    findings
}

/// The rule that explains most owners, and what it gives to whom: the plan, else what the members compute for themselves. Old
/// members do not register which of their two rules they follow.
fn explanation(view: &GroupView, ours: bool, old: bool) -> (String, BTreeMap<TopicPartition, String>) {
    let exist: Topics = view.topics.iter().map(|(name, topic)| (name.clone(), topic.partitions.clone())).collect();
    let plan = view.group.plan.as_ref().map(|plan| &plan.content);
    let mut rules = Vec::new();
    if let Some(plan) = plan.filter(|_| ours) {
        rules.push((format!("plan {}", plan.generation), plan.streams.clone()));
    }
    if old || plan.is_none() {
        let decision = decide(&view.registered, &exist, None);
        rules.push((format!("the rule '{}'", decision.assignor), decision.streams));
    }
    if !ours {
        let threads = view.registered.iter().map(|(id, member)| member.subscription.threads(id, &exist));
        let threads: Vec<Member> = threads.filter_map(Result::ok).flatten().collect();
        let named = |assignment: Assignment| {
            assignment.into_iter().map(|(partition, thread)| (partition, threads[thread].id.clone())).collect()
        };
        rules.push(("the rule 'roundrobin'".into(), named(ottla_assignor::round_robin(&threads, &exist))));
        if let Ok(assignment) = ottla_assignor::round_robin_0_8_2(&threads, &exist) {
            rules.push(("the rule 'roundrobin' of 0.8.2".into(), named(assignment)));
        }
    }
    let explained = |streams: &BTreeMap<TopicPartition, String>| {
        let owners = view.group.owners.iter();
        owners.filter(|(partition, owner)| streams.get(*partition).is_some_and(|thread| owner.is(thread))).count()
    };
    // The first of the best: the plan, then range.
    rules.reverse();
    rules.into_iter().max_by_key(|(_, streams)| explained(streams)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zk::fake::{FakeEnsemble, FakeZnodes};
    use crate::zk::store_consumers::tests::{hold, partition, put, put_topic, wants};

    async fn found(zk: &FakeZnodes, group: Option<&str>) -> Vec<String> {
        let mut out = Vec::new();
        let outcome = run(zk, group, Duration::ZERO, &mut out).await;
        let lines: Vec<String> = String::from_utf8(out).unwrap().lines().map(str::to_owned).collect();
        match outcome {
            Ok(()) => assert_eq!(lines, ["nothing is wrong"]),
            Err(error) => assert!(error.to_string().starts_with(&format!("{} problem", lines.len())), "{error}"),
        }
        lines
    }

    async fn healthy(ensemble: &FakeEnsemble) -> FakeZnodes {
        let zk = ensemble.connect();
        put_topic(&zk, "t", 2).await;
        hold(&zk, "/consumers/g/ids/a", &wants("t", 1, None)).await;
        hold(&zk, "/consumers/g/ids/b", &wants("t", 1, None)).await;
        hold(&zk, "/consumers/g/owners/t/0", "a-0").await;
        hold(&zk, "/consumers/g/owners/t/1", "b-0").await;
        put(&zk, "/consumers/g/offsets/t/0", "7").await;
        zk
    }

    #[tokio::test]
    async fn nothing_is_wrong_with_a_group_that_follows_range() {
        let zk = healthy(&FakeEnsemble::default()).await;
        assert_eq!(found(&zk, None).await, ["nothing is wrong"]);
        assert_eq!(found(&zk, Some("g")).await, ["nothing is wrong"]);
        assert!(run(&zk, Some("h"), Duration::ZERO, &mut Vec::new()).await.is_err());
    }

    #[tokio::test]
    async fn owners_without_a_member_are_found() {
        let ensemble = FakeEnsemble::default();
        let (zk, other) = (healthy(&ensemble).await, ensemble.connect());
        zk.delete("/consumers/g/owners/t/0", None).await.unwrap();
        zk.delete("/consumers/g/owners/t/1", None).await.unwrap();
        hold(&other, "/consumers/g/owners/t/0", "a-0").await;
        put(&zk, "/consumers/g/owners/t/1", "b-0").await;
        let session = other.session_id();
        assert_eq!(
            found(&zk, Some("g")).await,
            [
                format!(
                    "/consumers/g/owners/t/0: session 0x{session:x} owns the partition as 'a-0' and has no registration in \
                     the group; restart that consumer"
                ),
                "/consumers/g/owners/t/1: the owner node is persistent, so that no end of a session frees the partition; \
                 delete the node"
                    .into(),
            ]
        );
    }

    #[tokio::test]
    async fn owners_that_no_rule_explains_are_found() {
        let zk = healthy(&FakeEnsemble::default()).await;
        zk.set("/consumers/g/owners/t/0", b"b-0", None).await.unwrap();
        assert_eq!(
            found(&zk, Some("g")).await,
            ["/consumers/g/owners/t/0: the owner is b-0; by the rule 'range' it is a-0; restart the owner"]
        );
        zk.delete("/consumers/g/owners/t/0", None).await.unwrap();
        assert_eq!(
            found(&zk, Some("g")).await,
            [
                "/consumers/g/owners/t/0: nobody owns the partition; by the rule 'range' it is a-0's; restart that consumer"
            ]
        );
    }

    #[tokio::test]
    async fn owners_of_other_shapes_are_found_once() {
        let zk = healthy(&FakeEnsemble::default()).await;
        zk.set("/consumers/g/owners/t/0", b"b'a-0'", None).await.unwrap();
        hold(&zk, "/consumers/g/owners/t/7-1", "a").await;
        let lines = found(&zk, Some("g")).await;
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].starts_with("/consumers/g/owners/t/0: the owner is b'a-0', a Python object's text"),
            "{lines:?}"
        );
        assert!(lines[1].starts_with("/consumers/g/owners/t/7-1: the name is broker 7's partition 1"), "{lines:?}");
    }

    #[tokio::test]
    async fn a_plan_explains_what_range_would_not() {
        let zk = healthy(&FakeEnsemble::default()).await;
        for id in ["a", "b"] {
            let registration = wants("t", 1, Some("sticky"));
            zk.set(&format!("/consumers/g/ids/{id}"), registration.as_bytes(), None).await.unwrap();
        }
        hold(&zk, "/consumers/g/planner", "a").await;
        zk.set("/consumers/g/owners/t/0", b"b-0", None).await.unwrap();
        zk.set("/consumers/g/owners/t/1", b"a-0", None).await.unwrap();
        let plan = zk_schema::ConsumerPlan {
            generation: 3,
            assignor: "sticky".into(),
            planner: "a".into(),
            timestamp_ms: 0,
            moved: 0,
            streams: [(partition("t", 0), "b-0".to_owned()), (partition("t", 1), "a-0".to_owned())].into(),
        };
        put(&zk, "/consumers/g/plan", &String::from_utf8(plan.encode()).unwrap()).await;
        assert_eq!(found(&zk, Some("g")).await, ["nothing is wrong"]);
        zk.delete("/consumers/g/planner", None).await.unwrap();
        zk.set("/consumers/g/owners/t/1", b"b-0", None).await.unwrap();
        let lines = found(&zk, Some("g")).await;
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("by plan 3 it is a-0") && lines[1].contains("nobody plans"), "{lines:?}");
    }

    #[tokio::test]
    async fn offsets_that_belong_to_nothing_are_found() {
        let zk = FakeEnsemble::default().connect();
        put(&zk, "/consumers/g/offsets/t/0", "5").await;
        put_topic(&zk, "t", 2).await;
        put(&zk, "/consumers/g/offsets/t/1", "-5").await;
        put(&zk, "/consumers/g/offsets/t/2", "5").await;
        put(&zk, "/consumers/g/offsets/gone/0", "5").await;
        put(&zk, "/consumers/g/offsets/t/x", "5").await;
        let lines = found(&zk, None).await;
        let expected = [
            "/consumers/g/offsets/gone/0: topic gone does not exist; ottla consumer-groups --delete-offsets --group g --topic gone:0",
            "/consumers/g/offsets/t/0: the offset is older than its topic",
            "/consumers/g/offsets/t/1: -5 is no offset",
            "/consumers/g/offsets/t/2: partition t-2 does not exist",
            "/consumers/g/offsets/t/x: the name is no partition's number",
        ];
        assert_eq!(lines.len(), expected.len(), "{lines:?}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with(expected), "{line}");
        }
    }

    #[tokio::test]
    async fn nodes_that_cannot_be_read_are_found_in_the_whole_tree() {
        let zk = FakeEnsemble::default().connect();
        put(&zk, "/brokers/topics/t", "{").await;
        put(&zk, "/controller_epoch", "one").await;
        put(&zk, "/elsewhere/x", "whatever").await;
        hold(&zk, "/consumers/g/ids/py", "t").await;
        let lines = found(&zk, None).await;
        let paths: Vec<&str> = lines.iter().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(paths, ["/brokers/topics/t", "/consumers/g/ids/py", "/controller_epoch"]);
    }
}
