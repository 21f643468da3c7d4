//! Kafka's two round robins: all partitions of all topics, shuffled by a hash, dealt to the members in turn.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_types::{TopicName, TopicPartition};

use crate::{Assignment, Member, Topics, sorted, takers};

/// Two members want different topics, which round robin did not allow before 0.10.2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{one} and {other} want different topics: round robin as of 0.8.2 needs the same topics and streams everywhere"
)]
pub struct NotUniform {
    /// The id of a member.
    pub one: String,
    /// The id of another.
    pub other: String,
}

/// Round robin as 0.8.2 to 0.10.1 compute it (KAFKA-687): every topic must be wanted by the same members. Those that want
/// nothing do not count.
pub fn round_robin_0_8_2(members: &[Member], topics: &Topics) -> Result<Assignment, NotUniform> {
    let mut takers = members.iter().filter(|member| !member.topics.is_empty());
    if let Some(one) = takers.next() {
        let same = |other: &BTreeSet<TopicName>| *other == *one.topics;
        if let Some(other) = takers.find(|other| !Arc::ptr_eq(&one.topics, &other.topics) && !same(&other.topics)) {
            return Err(NotUniform { one: one.id.clone(), other: other.id.clone() });
        }
    }
    Ok(round_robin(members, topics))
}

/// Round robin as 0.10.2 to 1.1 compute it (KAFKA-2434): the members of all topics form one circle, and each partition goes
/// to the next one that wants its topic. The same as 0.8.2's where that one computes at all.
pub fn round_robin(members: &[Member], topics: &Topics) -> Assignment {
    let takers = takers(members, topics);
    let mut partitions: Vec<(i32, TopicPartition)> = takers
        .keys()
        .flat_map(|topic| topics[*topic].iter().map(|partition| TopicPartition::new((*topic).clone(), *partition)))
        .map(|partition| (java_hash(&format!("[{},{}]", partition.topic, partition.partition)), partition))
        .collect();
    // Equal hashes keep the order of a hash map in Kafka, which differs between its members; here they have one.
    partitions.sort();
    let circle: Vec<usize> = sorted(members).into_iter().filter(|member| !members[*member].topics.is_empty()).collect();
    let mut turn = 0;
    let mut assignment = Assignment::new();
    for (_, partition) in partitions {
        while !members[circle[turn]].topics.contains(&partition.topic) {
            turn = (turn + 1) % circle.len();
        }
        assignment.insert(partition, circle[turn]);
        turn = (turn + 1) % circle.len();
    }
    assignment
}

/// `String.hashCode`: 31 h + c over the UTF-16 code units, in 32 bits.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::seq::SliceRandom;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::fixture::{member, partition, topics};

    #[test]
    fn hashes_are_javas() {
        for (text, hash) in [("", 0), ("a", 97), ("[t,0]", 87_540_032), ("polygenelubricants", i32::MIN), ("é", 233)] {
            assert_eq!(java_hash(text), hash, "{text}");
        }
        assert_eq!(java_hash("[Aa,0]"), java_hash("[BB,0]"));
    }

    #[test]
    fn partitions_are_dealt_in_the_order_of_their_hashes() {
        // [t,10] and [t,11] are negative, [t,0] to [t,9] follow one another; payments' are below those of clicks.
        let members = ["C2-0", "C1-1", "C1-0"].map(|id| member(id, &["t"]));
        let dealt = round_robin(&members, &topics(&[("t", 12)]));
        let order = [10, 11, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|index| dealt[&partition("t", index)]);
        assert_eq!(order, [2, 1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0]);

        let members = ["a-0", "b-0"].map(|id| member(id, &["clicks", "payments"]));
        let dealt = round_robin(&members, &topics(&[("clicks", 3), ("payments", 3)]));
        let of = |topic: &str| [0, 1, 2].map(|index| dealt[&partition(topic, index)]);
        assert_eq!((of("payments"), of("clicks")), ([0, 1, 0], [1, 0, 1]));
    }

    #[test]
    fn equal_hashes_are_in_the_order_of_their_names() {
        let members = ["a-0", "b-0"].map(|id| member(id, &["Aa", "BB"]));
        let dealt = round_robin(&members, &topics(&[("BB", 1), ("Aa", 1)]));
        assert_eq!(dealt, Assignment::from([(partition("Aa", 0), 0), (partition("BB", 0), 1)]));
    }

    #[test]
    fn who_does_not_want_a_topic_is_passed_over() {
        // The circle a, b, c: payments to a, a; then clicks go on behind a: b, c, b.
        let members =
            [member("a", &["payments"]), member("b", &["clicks"]), member("c", &["clicks"]), member("d", &[])];
        let dealt = round_robin(&members, &topics(&[("clicks", 3), ("payments", 2), ("nobodys", 1)]));
        let of = |topic: &str, count: i32| (0..count).map(|index| dealt[&partition(topic, index)]).collect::<Vec<_>>();
        assert_eq!((of("payments", 2), of("clicks", 3)), (vec![0, 0], vec![1, 2, 1]));
        assert_eq!(dealt.len(), 5);
    }

    #[test]
    fn the_older_rule_refuses_members_that_want_different_topics() {
        let topics = topics(&[("t", 2), ("u", 2)]);
        let same = [member("a-0", &["t", "u"]), member("b-0", &["t", "u"]), member("idle", &[])];
        assert_eq!(round_robin_0_8_2(&same, &topics), Ok(round_robin(&same, &topics)));
        let differing = [member("a-0", &["t", "u"]), member("a-1", &["t"])];
        let refused = NotUniform { one: "a-0".into(), other: "a-1".into() };
        assert_eq!(round_robin_0_8_2(&differing, &topics), Err(refused));
        assert_eq!(round_robin_0_8_2(&[], &topics), Ok(Assignment::new()));
    }

    #[test]
    fn every_wanted_partition_is_dealt_once_whatever_the_order_of_members() {
        for seed in 0..200 {
            let mut rng = StdRng::seed_from_u64(seed);
            let names = ["a", "b", "c"];
            let topics = topics(&names.map(|name| (name, rng.random_range(0..20))));
            let mut members: Vec<Member> = (0..rng.random_range(0..12))
                .map(|number| {
                    let wanted: Vec<&str> = names.iter().copied().filter(|_| rng.random_bool(0.5)).collect();
                    member(&format!("m-{number}"), &wanted)
                })
                .collect();
            let named = |members: &[Member], assignment: Assignment| -> Vec<(TopicPartition, String)> {
                assignment.into_iter().map(|(partition, member)| (partition, members[member].id.clone())).collect()
            };
            let dealt = round_robin(&members, &topics);
            let wanted = topics.iter().filter(|(topic, _)| members.iter().any(|member| member.topics.contains(*topic)));
            assert_eq!(dealt.len(), wanted.map(|(_, list)| list.len()).sum::<usize>(), "seed {seed}");
            assert!(dealt.iter().all(|(partition, member)| members[*member].topics.contains(&partition.topic)));
            let (dealt, ranged) = (named(&members, dealt), named(&members, crate::range(&members, &topics)));
            members.shuffle(&mut rng);
            assert_eq!(named(&members, round_robin(&members, &topics)), dealt, "seed {seed}");
            assert_eq!(named(&members, crate::range(&members, &topics)), ranged, "seed {seed}");
        }
    }
}
