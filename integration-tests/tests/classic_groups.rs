//! Classic consumer groups with real members: Ottla's and those of 2015 in one group, by Kafka's own rules.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_integration_tests::Broker;
use ottla_integration_tests::client::{kcat, ottla, topics};
use ottla_integration_tests::group::{Group, Member, SESSION_TIMEOUT_MS};
use ottla_integration_tests::process::wait_until;
use ottla_integration_tests::zookeeper::zk_cli;

const PARTITIONS: i32 = 12;
const CHUNKS: usize = 5;
const CHUNK: usize = 20_000;
/// The old members' 4 tries of 2 s and a session that has to end first.
const LIMIT: Duration = Duration::from_secs(40);

/// Sends the chunk's messages to all partitions in turn.
fn produce(broker: &Broker, topic: &str, chunk: usize) {
    let input: String = (chunk * CHUNK..(chunk + 1) * CHUNK).map(|i| format!("{i}:{i}\n")).collect();
    kcat(&broker.bootstrap, &["-P", "-t", topic, "-K", ":"], &input).success();
}

/// Waits until every message of the first `chunks` was handed to somebody.
fn wait_for_all(members: &[&Member], chunks: usize) {
    let count = chunks * CHUNK;
    let mut missing = Vec::new();
    let seen = || {
        let values: BTreeSet<usize> =
            members.iter().flat_map(|member| member.records()).filter_map(|(_, _, value)| value.parse().ok()).collect();
        (0..count).filter(|value| !values.contains(value)).collect::<Vec<_>>()
    };
    wait_until(&format!("{count} messages are handed out"), LIMIT, || {
        missing = seen();
        missing.is_empty()
    });
}

/// No member was handed the offsets of a partition out of order or with a gap between two that follow each other.
fn check_order(member: &Member) {
    let mut last = std::collections::BTreeMap::new();
    for (partition, offset, _) in member.records() {
        let before: Option<i64> = last.insert(partition, offset);
        assert!(before.is_none_or(|before| before != offset), "partition {partition}: {offset} twice in a row");
    }
}

fn old_and_new_members_share_a_group_through_every_kind_of_leaving(real_zookeeper: bool) {
    let mut broker = Broker::with(real_zookeeper, &[]);
    topics(&broker.bootstrap, &["--create", "--topic", "t", "--partitions", "12"]).success();
    let (one, several) = (1, 2);
    let old_one = Member::of_2015(&broker, "mixed", "t", one);
    let mut old_several = Member::of_2015(&broker, "mixed", "t", several);
    let mut new_one = Member::of_today(&broker, "mixed", "t", one);
    let new_several = Member::of_today(&broker, "mixed", "t", several);
    let group = Group { broker: &broker, name: "mixed" };
    group.wait_until_range_explains("t", PARTITIONS, 4, LIMIT);

    produce(&broker, "t", 0);
    wait_for_all(&[&old_one, &old_several, &new_one, &new_several], 1);

    old_several.close();
    produce(&broker, "t", 1);
    group.wait_until_range_explains("t", PARTITIONS, 3, LIMIT);
    wait_for_all(&[&old_one, &old_several, &new_one, &new_several], 2);

    new_several.process.signal("KILL");
    produce(&broker, "t", 2);
    group.wait_until_range_explains("t", PARTITIONS, 2, LIMIT);
    wait_for_all(&[&old_one, &old_several, &new_one, &new_several], 3);

    let mut new_third = Member::of_today(&broker, "mixed", "t", several);
    group.wait_until_range_explains("t", PARTITIONS, 3, LIMIT);
    let before = group.members();
    new_one.process.signal("STOP");
    produce(&broker, "t", 3);
    group.wait_until_range_explains("t", PARTITIONS, 2, LIMIT + Duration::from_millis(SESSION_TIMEOUT_MS));
    new_one.process.signal("CONT");
    group.wait_until_range_explains("t", PARTITIONS, 3, LIMIT);
    assert_ne!(group.members(), before, "a member that comes back after its session has a new id");
    wait_for_all(&[&old_one, &old_several, &new_one, &new_several, &new_third], 4);

    old_one.process.signal("KILL");
    produce(&broker, "t", 4);
    group.wait_until_shared_evenly("t", PARTITIONS, 2, LIMIT);
    wait_for_all(&[&old_one, &old_several, &new_one, &new_several, &new_third], CHUNKS);

    for member in [&new_one, &new_third, &new_several] {
        check_order(member);
    }
    new_one.close();
    new_third.close();
    broker.stop(&[]);
}

#[test]
fn old_and_new_members_share_a_group_with_the_embedded_keeper() {
    old_and_new_members_share_a_group_through_every_kind_of_leaving(false);
}

#[test]
fn old_and_new_members_share_a_group_with_a_real_zookeeper() {
    old_and_new_members_share_a_group_through_every_kind_of_leaving(true);
}

#[test]
fn members_of_kafka_node_and_ours_share_a_group() {
    let mut broker = Broker::start();
    topics(&broker.bootstrap, &["--create", "--topic", "t", "--partitions", "12"]).success();
    // kafka-node begins at 0 where nobody has committed.
    let mut node_first = Member::of_node(&broker, "with-node", "t");
    let mut ours_first = Member::of_today(&broker, "with-node", "t", 1);
    let node_second = Member::of_node(&broker, "with-node", "t");
    let mut ours_second = Member::of_today(&broker, "with-node", "t", 1);
    let group = Group { broker: &broker, name: "with-node" };
    group.wait_until_range_explains("t", PARTITIONS, 4, LIMIT);
    produce(&broker, "t", 0);
    wait_for_all(&[&node_first, &node_second, &ours_first, &ours_second], 1);

    ours_first.close();
    produce(&broker, "t", 1);
    group.wait_until_range_explains("t", PARTITIONS, 3, LIMIT);
    wait_for_all(&[&node_first, &node_second, &ours_first, &ours_second], 2);

    node_second.process.signal("KILL");
    produce(&broker, "t", 2);
    group.wait_until_range_explains("t", PARTITIONS, 2, LIMIT);
    wait_for_all(&[&node_first, &node_second, &ours_first, &ours_second], 3);

    node_first.close();
    produce(&broker, "t", 3);
    group.wait_until_shared_evenly("t", PARTITIONS, 1, LIMIT);
    wait_for_all(&[&node_first, &node_second, &ours_first, &ours_second], 4);
    check_order(&ours_first);
    check_order(&ours_second);
    ours_second.close();
    broker.stop(&[]);
}

#[test]
fn a_registration_that_is_bare_text_is_reported_and_breaks_nobody() {
    let mut broker = Broker::start();
    topics(&broker.bootstrap, &["--create", "--topic", "t", "--partitions", "12"]).success();
    let mut first = Member::of_today(&broker, "with-pykafka", "t", 1);
    let group = Group { broker: &broker, name: "with-pykafka" };
    group.wait_until_shared_evenly("t", PARTITIONS, 1, LIMIT);
    let path = "/consumers/with-pykafka/ids/host:0b56b1c9-1b0e-4b36-a6ae-4a8d0b6e5a11";
    zk_cli(&broker.zookeeper, &["create", path, "t"]).success();
    let mut second = Member::of_today(&broker, "with-pykafka", "t", 1);
    wait_until("two members share", LIMIT, || {
        let owners = group.owners("t");
        owners.len() == PARTITIONS as usize && owners.values().collect::<BTreeSet<_>>().len() == 2
    });
    first.process.line_with(path, LIMIT);
    let checked = ottla(&["znodes", "check", "--zookeeper", &broker.zookeeper], "");
    assert!(!checked.status.success() && checked.stdout.contains(path), "{checked:?}");
    produce(&broker, "t", 0);
    wait_for_all(&[&first, &second], 1);
    first.close();
    second.close();
    broker.stop(&[]);
}
