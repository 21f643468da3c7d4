use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use zk_schema::consumers::Registration;

use super::*;

type Group = BTreeMap<String, Registered>;

fn name(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn topics(counts: &[(&str, i32)]) -> Topics {
    counts.iter().map(|(topic, count)| (name(topic), (0..*count).collect())).collect()
}

fn wants(wanted: &[(&str, i32)]) -> Subscription {
    Subscription::topics(wanted.iter().map(|(topic, streams)| (name(topic), *streams))).unwrap()
}

/// A member of ours if it names an assignor, else an old one.
fn member(id: &str, subscription: Subscription, assignor: Option<&str>) -> (String, Registered) {
    (id.into(), Registered { subscription, assignor: assignor.map(str::to_owned) })
}

fn kafka_node(id: &str, names: &[&str]) -> (String, Registered) {
    member(id, Subscription::KafkaNode(names.iter().map(|topic| name(topic)).collect()), None)
}

fn plan(decision: &Decision) -> ConsumerPlan {
    ConsumerPlan {
        generation: 1,
        assignor: decision.assignor.into(),
        planner: "p".into(),
        timestamp_ms: 0,
        moved: 0,
        streams: decision.streams.clone(),
    }
}

/// The threads that take a topic's partitions, in order.
fn takers<'a>(decision: &'a Decision, topic: &str) -> Vec<&'a str> {
    let of_topic = decision.streams.iter().filter(|(partition, _)| partition.topic.as_str() == topic);
    of_topic.map(|(_, thread)| thread.as_str()).collect()
}

#[test]
fn members_of_one_mind_have_their_way() {
    let topics = topics(&[("t", 3), ("u", 3)]);
    let group = |assignor| Group::from(["a", "b"].map(|id| member(id, wants(&[("t", 1), ("u", 1)]), Some(assignor))));
    let range = decide(&group("range"), &topics, None);
    assert_eq!((range.assignor, range.mixed), (RANGE, false));
    assert_eq!((takers(&range, "t"), takers(&range, "u")), (vec!["a-0", "a-0", "b-0"], vec!["a-0", "a-0", "b-0"]));
    // In the order of the hashes of [t,0] to [t,2], [u,0] to [u,2].
    let dealt = decide(&group("roundrobin"), &topics, None);
    assert_eq!((dealt.assignor, dealt.mixed), (ROUND_ROBIN, false));
    assert_eq!((takers(&dealt, "t"), takers(&dealt, "u")), (vec!["a-0", "b-0", "a-0"], vec!["b-0", "a-0", "b-0"]));
    let sticky = decide(&group("sticky"), &topics, Some(&plan(&dealt)));
    assert_eq!((sticky.assignor, sticky.mixed, sticky.moved), (STICKY, false, 0));
    assert_eq!(sticky.streams, dealt.streams);
}

#[test]
fn different_minds_and_unknown_ones_fall_back_to_range() {
    let topics = topics(&[("t", 3)]);
    for minds in [["sticky", "roundrobin"], ["range", "sticky"], ["cooperative", "cooperative"]] {
        let group = Group::from([
            member("a", wants(&[("t", 1)]), Some(minds[0])),
            member("b", wants(&[("t", 1)]), Some(minds[1])),
        ]);
        let decision = decide(&group, &topics, None);
        assert_eq!((decision.assignor, decision.mixed), (RANGE, true), "{minds:?}");
        assert_eq!(takers(&decision, "t"), ["a-0", "a-0", "b-0"]);
    }
}

#[test]
fn beside_an_old_member_everybody_has_what_it_computes() {
    // The old one's filter counts, and its streams are among all others by their text.
    let topics = topics(&[("t", 5), ("u", 1)]);
    let group = Group::from([
        member("c", wants(&[("t", 1)]), Some("sticky")),
        member("a", wants(&[("t", 2)]), Some("sticky")),
        member("b", Subscription::white_list("t|u", 2, true).unwrap(), None),
    ]);
    let before = ConsumerPlan {
        streams: [(TopicPartition::new(name("t"), 0), "c-0".into())].into(),
        ..plan(&decide(&Group::new(), &topics, None))
    };
    let decision = decide(&group, &topics, Some(&before));
    assert_eq!((decision.assignor, decision.mixed, decision.moved, decision.threads), (RANGE, false, 1, 5));
    assert_eq!(takers(&decision, "t"), ["a-0", "a-1", "b-0", "b-1", "c-0"]);
    assert_eq!(takers(&decision, "u"), ["b-0"]);
}

#[test]
fn only_as_much_moves_as_a_member_more_or_less_takes() {
    let topics = topics(&[("t", 900)]);
    let named = |number| format!("h:{number:02}");
    let mut group: Group = (0..10).map(|number| member(&named(number), wants(&[("t", 1)]), Some("sticky"))).collect();
    let first = decide(&group, &topics, None);
    assert_eq!((first.moved, first.streams.len()), (0, 900));
    group.extend([member(&named(10), wants(&[("t", 1)]), Some("sticky"))]);
    let second = decide(&group, &topics, Some(&plan(&first)));
    assert_eq!(second.moved, 81);
    let theirs = second.streams.values().filter(|thread| *thread == "h:03-0").count();
    group.remove("h:03");
    let third = decide(&group, &topics, Some(&plan(&second)));
    assert_eq!(third.moved, theirs);
    assert_eq!(decide(&group, &topics, Some(&plan(&third))).streams, third.streams);
}

#[test]
fn a_thread_that_wants_a_topic_no_more_does_not_keep_it() {
    let topics = topics(&[("t", 2)]);
    let of = |a: &str| {
        Group::from([member("a", wants(&[(a, 1)]), Some("sticky")), member("b", wants(&[("t", 1)]), Some("sticky"))])
    };
    let before = decide(&of("t"), &topics, None);
    assert_eq!(takers(&before, "t"), ["a-0", "b-0"]);
    let after = decide(&of("u"), &topics, Some(&plan(&before)));
    assert_eq!((takers(&after, "t"), after.moved), (vec!["b-0", "b-0"], 1));
}

#[test]
fn members_beyond_the_partitions_stand_by() {
    let topics = topics(&[("t", 2)]);
    let mut group: Group = ["a", "b", "c", "d"].map(|id| member(id, wants(&[("t", 1)]), Some("sticky"))).into();
    let before = decide(&group, &topics, None);
    assert_eq!((takers(&before, "t"), before.threads), (vec!["a-0", "b-0"], 4));
    group.remove("a");
    let after = decide(&group, &topics, Some(&plan(&before)));
    assert_eq!((takers(&after, "t"), after.moved), (vec!["c-0", "b-0"], 1));
}

#[test]
fn topics_that_vanish_leave_the_plan_and_new_ones_move_nothing() {
    let group =
        Group::from(["a", "b"].map(|id| member(id, Subscription::white_list(".*", 1, true).unwrap(), Some("sticky"))));
    let before = decide(&group, &topics(&[("t", 2), ("u", 2)]), None);
    let after = decide(&group, &topics(&[("u", 2), ("v", 4)]), Some(&plan(&before)));
    assert_eq!(takers(&after, "t"), Vec::<&str>::new());
    assert_eq!((takers(&after, "u"), after.moved), (takers(&before, "u"), 0));
    assert_eq!(after.streams.len(), 6);
}

#[test]
fn a_member_whose_pattern_is_too_slow_is_left_out_and_named() {
    let long = "a".repeat(200);
    let slow = Subscription::white_list(r"(?=(a+)+$)(a|aa)+\1b", 1, true).unwrap();
    let group = Group::from([member("a", slow, None), member("b", wants(&[(&long, 1)]), Some("sticky"))]);
    let decision = decide(&group, &topics(&[(&long, 2)]), None);
    assert_eq!(decision.unreadable.len(), 1);
    assert!(decision.unreadable[0].0 == "a" && decision.unreadable[0].1.contains("steps"), "{:?}", decision.unreadable);
    // It does not make the group an old one either.
    assert_eq!((takers(&decision, &long), decision.assignor), (vec!["b-0", "b-0"], STICKY));
}

#[test]
fn an_empty_group_has_an_empty_plan() {
    let decision = decide(&Group::new(), &topics(&[("t", 2)]), None);
    assert_eq!((decision.streams.len(), decision.moved, decision.mixed), (0, 0, false));
}

/// `HighLevelConsumer.rebalanceAttempt` of kafka-node 3.0.1 for one topic: who takes each partition, by consumer id.
fn as_kafka_node_computes(consumers: &[&str], partitions: usize) -> Vec<String> {
    let mut sorted = consumers.to_vec();
    sorted.sort_by(|left, right| ottla_assignor::java_order(left, right));
    let (each, extra) = (partitions / sorted.len(), partitions % sorted.len());
    let mut takers = vec![String::new(); partitions];
    for (index, consumer) in sorted.iter().enumerate() {
        let start = each * index + if index > extra { extra } else { index };
        let count = each + if index + 1 > extra { 0 } else { 1 };
        takers[start..start + count].fill((*consumer).to_owned());
    }
    takers
}

fn consumers_of(decision: &Decision, topic: &str) -> Vec<String> {
    takers(decision, topic).into_iter().map(|thread| thread.rsplit_once('-').unwrap().0.to_owned()).collect()
}

#[test]
fn beside_kafka_node_each_consumer_counts_once_and_shares_out_its_run() {
    let group = Group::from([
        member("host:1", wants(&[("t", 3)]), Some("sticky")),
        kafka_node("g_1", &["t", "u"]),
        kafka_node("g_2", &["t"]),
    ]);
    let decision = decide(&group, &topics(&[("t", 7), ("u", 2)]), None);
    assert_eq!(decision.assignor, RANGE);
    assert_eq!(takers(&decision, "t"), ["g_1-0", "g_1-0", "g_1-0", "g_2-0", "g_2-0", "host:1-0", "host:1-1"]);
    assert_eq!(takers(&decision, "u"), ["g_1-0", "g_1-0"]);
    assert_eq!(decision.threads, 5);
}

#[test]
fn beside_kafka_node_everybody_has_what_it_computes() {
    for seed in 0..500 {
        let mut rng = StdRng::seed_from_u64(seed);
        let partitions = rng.random_range(0..30);
        // Ids that begin alike too: with a stream behind them `a` and `a+` change places.
        let ids: Vec<String> = (0..rng.random_range(1..8))
            .map(|_| {
                (0..rng.random_range(1..4)).map(|_| ['a', '-', '+', '0', 'b', '_'][rng.random_range(0..6)]).collect()
            })
            .collect();
        let group: Group = ids
            .iter()
            .enumerate()
            .map(|(place, id)| match place {
                0 => kafka_node(id, &["t"]),
                _ => member(id, wants(&[("t", rng.random_range(1..4))]), Some("sticky")),
            })
            .collect();
        // The same id twice: the later one is in the group.
        let old = group.values().any(|member| member.assignor.is_none());
        let ids: Vec<&str> = group.keys().map(String::as_str).collect();
        let decision = decide(&group, &topics(&[("t", partitions)]), None);
        if old {
            assert_eq!(
                consumers_of(&decision, "t"),
                as_kafka_node_computes(&ids, partitions as usize),
                "seed {seed}: {ids:?}"
            );
        }
    }
}

#[test]
fn threads_of_one_stream_are_in_the_order_of_their_consumers_unless_one_id_begins_another() {
    let threads = |ids: &[&str]| {
        let group: Group = ids.iter().map(|id| member(id, wants(&[("t", 1)]), None)).collect();
        consumers_of(&decide(&group, &topics(&[("t", 7)]), None), "t")
    };
    // As kafka-node and Kafka write ids, where they agree.
    let ids =
        ["g_0f8fad5b-d9cb-469f-a165-70867728950e", "g_7c9e6679-7425-40de-944b-e07fc1f90ae7", "g_host-1700-0f8fad5b"];
    assert_eq!(threads(&ids), as_kafka_node_computes(&ids, 7));
    // `a` is before `a+`, `a-0` behind `a+-0`: Kafka and kafka-node part.
    assert_ne!(threads(&["a", "a+"]), as_kafka_node_computes(&["a", "a+"], 7));
}

#[test]
fn beside_both_kinds_of_old_members_the_java_rule_holds() {
    let group = Group::from([
        member("a", wants(&[("t", 2)]), Some("sticky")),
        member("b", wants(&[("t", 1)]), None),
        kafka_node("c", &["t"]),
    ]);
    assert_eq!(takers(&decide(&group, &topics(&[("t", 4)]), None), "t"), ["a-0", "a-1", "b-0", "c-0"]);
}

#[test]
fn registrations_as_old_members_write_them_are_read_and_planned() {
    let group: Group = [
        (
            "g_h1-1795400076850-0123abcd",
            r#"{"version":1,"subscription":{"t":2},"pattern":"static","timestamp":"1795400076850"}"#,
        ),
        (
            "g_h2-1795400076850-0123abcd",
            r#"{"version":1,"subscription":{"t|x\\.y":1},"pattern":"white_list","timestamp":"1795400076850"}"#,
        ),
        (
            "g_0f8fad5b-d9cb-469f-a165-70867728950e",
            r#"{"version":1,"subscription":{"t": 1},"pattern":"white_list","timestamp":"1795400076850"}"#,
        ),
    ]
    .into_iter()
    .map(|(id, text)| {
        let registration = Registration::decode("/m", text.as_bytes()).unwrap();
        let subscription = Subscription::read(id, &registration, true).unwrap();
        (id.to_owned(), Registered { subscription, assignor: registration.assignor })
    })
    .collect();
    let decision = decide(&group, &topics(&[("t", 4), ("x.y", 1), ("xzy", 1)]), None);
    assert_eq!(
        takers(&decision, "t"),
        [
            "g_0f8fad5b-d9cb-469f-a165-70867728950e-0",
            "g_h1-1795400076850-0123abcd-0",
            "g_h1-1795400076850-0123abcd-1",
            "g_h2-1795400076850-0123abcd-0"
        ]
    );
    assert_eq!((takers(&decision, "x.y").len(), takers(&decision, "xzy").len()), (1, 0));
}
