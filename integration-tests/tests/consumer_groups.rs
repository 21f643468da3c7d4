//! Groups of our own consumers, and the tools that look at them and change them.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use ottla_integration_tests::Broker;
use ottla_integration_tests::broker::binary;
use ottla_integration_tests::client::{kcat, ottla, topics};
use ottla_integration_tests::group::{Group, Member};
use ottla_integration_tests::process::{Running, wait_until};

const LIMIT: Duration = Duration::from_secs(20);

fn create(broker: &Broker, topic: &str, partitions: &str) {
    topics(&broker.bootstrap, &["--create", "--topic", topic, "--partitions", partitions]).success();
}

/// Sends the numbers of a range, spread over the partitions.
fn produce(broker: &Broker, topic: &str, numbers: std::ops::Range<usize>) {
    let input: String = numbers.map(|i| format!("{i}:{i}\n")).collect();
    kcat(&broker.bootstrap, &["-P", "-t", topic, "-K", ":"], &input).success();
}

fn wait_for_all(members: &[&Member], count: usize) {
    wait_until(&format!("{count} messages are handed out"), LIMIT, || {
        let records = members.iter().flat_map(|member| member.records());
        records.map(|(_, _, value)| value).collect::<BTreeSet<_>>().len() == count
    });
}

/// The columns of each line that `consumer-groups --describe` prints of a topic.
fn described(broker: &Broker, group: &str, topic: &str) -> Vec<Vec<String>> {
    let args = ["consumer-groups", "--describe", "--group", group, "--zookeeper", &broker.zookeeper];
    let printed = ottla(&args, "").success();
    let lines = printed.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|columns| columns.get(1).is_some_and(|found| found == topic)).collect()
}

#[test]
fn a_group_is_listed_described_reset_and_deleted() {
    let mut broker = Broker::start();
    create(&broker, "orders", "3");
    produce(&broker, "orders", 0..3000);
    let tool = |args: &[&str]| ottla(&[&["consumer-groups", "--zookeeper", &broker.zookeeper], args].concat(), "");
    let mut first = Member::of_today(&broker, "billing", "orders", 1);
    wait_for_all(&[&first], 3000);
    assert_eq!(tool(&["--list"]).success().trim(), "billing");
    wait_until("everything is committed", LIMIT, || {
        let lines = described(&broker, "billing", "orders");
        lines.len() == 3 && lines.iter().all(|columns| columns[5] == "0" && columns[6].contains(':'))
    });
    let reset = ["--reset-offsets", "--group", "billing", "--topic", "orders", "--to-earliest"];
    let execute = [&reset[..], &["--execute"]].concat();
    let refused = tool(&execute);
    assert!(!refused.status.success(), "offsets that somebody consumes are not changed: {refused:?}");
    first.close();

    tool(&reset).success();
    let behind = |broker: &Broker| described(broker, "billing", "orders").iter().all(|columns| columns[3] == "0");
    assert!(!behind(&broker), "without --execute nothing is done");
    tool(&execute).success();
    assert!(behind(&broker));
    let mut second = Member::of_today(&broker, "billing", "orders", 2);
    wait_for_all(&[&second], 3000);
    second.close();

    tool(&["--delete", "--group", "billing"]).success();
    assert_eq!(tool(&["--list"]).success().trim(), "");
    let checked = ottla(&["znodes", "check", "--zookeeper", &broker.zookeeper], "");
    checked.success();
    broker.stop(&[]);
}

#[test]
fn a_brokers_death_moves_no_partition() {
    let mut broker = Broker::with(true, &[]);
    create(&broker, "t", "6");
    let (first, second) = (Member::of_today(&broker, "g", "t", 1), Member::of_today(&broker, "g", "t", 1));
    Group { broker: &broker, name: "g" }.wait_until_shared_evenly("t", 6, 2, LIMIT);
    produce(&broker, "t", 0..100);
    wait_for_all(&[&first, &second], 100);
    let plan = |broker: &Broker| {
        ottla(&["znodes", "get", "/consumers/g/plan", "--zookeeper", &broker.zookeeper], "").success()
    };
    let owners = Group { broker: &broker, name: "g" }.owners("t");
    let before = plan(&broker);
    broker.kill();
    broker.restart();
    produce(&broker, "t", 100..200);
    wait_for_all(&[&first, &second], 200);
    assert_eq!(Group { broker: &broker, name: "g" }.owners("t"), owners);
    let line = |text: &str| text.lines().find(|line| line.contains("plan ")).map(str::to_owned);
    assert_eq!(line(&plan(&broker)), line(&before));
    broker.stop(&["was not stopped cleanly"]);
}

#[test]
fn members_beyond_the_partitions_stand_by_and_take_over() {
    let mut broker = Broker::start();
    create(&broker, "t", "2");
    let mut members: Vec<Member> = (0..3).map(|_| Member::of_today(&broker, "g", "t", 1)).collect();
    let group = Group { broker: &broker, name: "g" };
    group.wait_until_shared_evenly("t", 2, 3, LIMIT);
    let mut watching = Command::new(binary());
    watching.args(["consumer-groups", "--describe", "--watch", "--group", "g", "--zookeeper", &broker.zookeeper]);
    let mut watch = Running::start(&mut watching);
    watch.line_with("LOG-END-OFFSET", LIMIT);
    let mut nodes = Command::new(binary());
    nodes.args(["znodes", "watch", "/consumers/g", "--zookeeper", &broker.zookeeper]);
    let mut nodes = Running::start(&mut nodes);
    for left in [2, 1] {
        produce(&broker, "t", 0..10);
        // One that has something to lose.
        let owners = group.owners("t");
        wait_until("an owner was handed something", LIMIT, || {
            members.iter().any(|member| !member.records().is_empty())
        });
        let place = members.iter().position(|member| !member.records().is_empty()).expect("just waited for");
        members.remove(place).close();
        group.wait_until_shared_evenly("t", 2, left, LIMIT);
        assert_ne!(group.owners("t"), owners);
    }
    let survivor = group.owners("t").into_values().next().expect("it owns both");
    watch.line_with(&survivor, LIMIT);
    nodes.line_with(&format!("is consumed by {survivor}"), LIMIT);
    for member in &mut members {
        member.close();
    }
    broker.stop(&[]);
}
