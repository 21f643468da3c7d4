//! Range and the round robins against what Kafka's own code answered, for random groups.

use std::collections::BTreeMap;

use crate::fixture::{member, topics};
use crate::{Assignment, Member, range, round_robin, round_robin_0_8_2};

#[test]
fn old_consumers_compute_the_same() {
    let mut refused = 0;
    for line in include_str!("testdata/old_consumers.txt").lines().filter(|line| !line.starts_with('#')) {
        let [counts, threads, ranged, dealt_0_8_2, dealt] = line.split('|').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let pair = |text: &'static str| text.split_once('=').unwrap();
        let counts: BTreeMap<&str, i32> =
            counts.split_whitespace().map(pair).map(|(t, n)| (t, n.parse().unwrap())).collect();
        let topics = topics(&counts.into_iter().collect::<Vec<_>>());
        let wanted = |text: &'static str| text.split(',').filter(|topic| !topic.is_empty()).collect::<Vec<_>>();
        let threads = threads.split_whitespace().map(pair);
        let members: Vec<Member> = threads.map(|(id, topics)| member(id, &wanted(topics))).collect();
        let answer = |assignment: Assignment| {
            assignment.values().map(|taker| members[*taker].id.as_str()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(answer(range(&members, &topics)), ranged, "range of {line}");
        assert_eq!(answer(round_robin(&members, &topics)), dealt, "round robin of {line}");
        let ours = round_robin_0_8_2(&members, &topics).map_or("refused".into(), answer);
        assert_eq!(ours, dealt_0_8_2, "round robin 0.8.2 of {line}");
        refused += usize::from(ours == "refused");
    }
    assert!(refused > 10, "{refused}");
}
