use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::fixture::{member, partition, topics};

fn loads(members: &[Member], assignment: &Assignment) -> Vec<usize> {
    let mut loads = vec![0; members.len()];
    for member in assignment.values() {
        loads[*member] += 1;
    }
    loads
}

/// Partitions that somebody has who wants them, and that go to another.
fn moves(members: &[Member], current: &Assignment, next: &Assignment) -> usize {
    let wanted = |(partition, member): &(&TopicPartition, &usize)| members[**member].topics.contains(&partition.topic);
    let gone = |(partition, member): &(&TopicPartition, &usize)| next.get(*partition).is_some_and(|to| to != *member);
    current.iter().filter(wanted).filter(gone).count()
}

/// The least sum of squared loads and, of the ways to it, the fewest moves, by trying all.
fn optimum(members: &[Member], topics: &Topics, current: &Assignment) -> (usize, usize) {
    let partitions: Vec<TopicPartition> = topics
        .iter()
        .flat_map(|(topic, list)| list.iter().map(|index| TopicPartition::new(topic.clone(), *index)))
        .filter(|partition| members.iter().any(|member| member.topics.contains(&partition.topic)))
        .collect();
    fn search(
        members: &[Member],
        partitions: &[TopicPartition],
        current: &Assignment,
        loads: &mut [usize],
        moves: usize,
    ) -> (usize, usize) {
        let Some((partition, rest)) = partitions.split_first() else {
            return (loads.iter().map(|load| load * load).sum(), moves);
        };
        let wants = |member: usize| members[member].topics.contains(&partition.topic);
        let had = current.get(partition).copied().filter(|member| wants(*member));
        let mut best = (usize::MAX, usize::MAX);
        for to in (0..members.len()).filter(|member| wants(*member)) {
            loads[to] += 1;
            best =
                best.min(search(members, rest, current, loads, moves + usize::from(had.is_some_and(|had| had != to))));
            loads[to] -= 1;
        }
        best
    }
    search(members, &partitions, current, &mut vec![0; members.len()], 0)
}

/// A group in which members want different topics, and an assignment that may be uneven and name those who do not want.
fn random_group(rng: &mut StdRng, members: usize, names: &[&str], most: i32) -> (Vec<Member>, Topics, Assignment) {
    let topics = topics(&names.iter().map(|name| (*name, rng.random_range(0..=most))).collect::<Vec<_>>());
    let members: Vec<Member> = (0..rng.random_range(1..=members))
        .map(|number| {
            let wanted: Vec<&str> = names.iter().copied().filter(|_| rng.random_bool(0.6)).collect();
            member(&format!("m{number}"), &wanted)
        })
        .collect();
    let mut current = Assignment::new();
    for (topic, list) in &topics {
        for index in list.iter().filter(|_| rng.random_bool(0.8)).collect::<Vec<_>>() {
            // Two draws, the lesser: some have much more than others.
            let holder = rng.random_range(0..members.len()).min(rng.random_range(0..members.len()));
            current.insert(TopicPartition::new(topic.clone(), *index), holder);
        }
    }
    (members, topics, current)
}

#[test]
fn small_groups_are_shared_as_evenly_and_with_as_few_moves_as_any_way_allows() {
    for seed in 0..3_000 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (members, topics, current) = random_group(&mut rng, 4, &["a", "b", "c", "d"], 2);
        let next = sticky(&members, &topics, &current);
        let squares = loads(&members, &next).iter().map(|load| load * load).sum();
        let ours = (squares, moves(&members, &current, &next));
        assert_eq!(ours, optimum(&members, &topics, &current), "seed {seed}: {members:?} {current:?} {next:?}");
    }
}

#[test]
fn every_wanted_partition_goes_to_one_who_wants_it_and_then_stays() {
    for seed in 0..200 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (members, topics, current) = random_group(&mut rng, 30, &["a", "b", "c", "d", "e", "f"], 30);
        let next = sticky(&members, &topics, &current);
        for (topic, list) in &topics {
            let wanted = members.iter().any(|member| member.topics.contains(topic));
            for index in list {
                let taker = next.get(&TopicPartition::new(topic.clone(), *index));
                assert_eq!(taker.is_some(), wanted, "seed {seed}: {topic}-{index}");
                assert!(taker.is_none_or(|taker| members[*taker].topics.contains(topic)), "seed {seed}");
            }
        }
        assert_eq!(
            next.len(),
            next.keys().filter(|partition| topics[&partition.topic].contains(&partition.partition)).count()
        );
        assert_eq!(sticky(&members, &topics, &next), next, "seed {seed}: what is even does not move");
    }
}

#[test]
fn the_order_in_which_members_are_listed_does_not_count() {
    for seed in 0..100 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (members, topics, current) = random_group(&mut rng, 12, &["a", "b", "c"], 12);
        let mut order: Vec<usize> = (0..members.len()).collect();
        order.shuffle(&mut rng);
        let shuffled: Vec<Member> = order.iter().map(|member| members[*member].clone()).collect();
        let place = |member: usize| order.iter().position(|other| *other == member).unwrap();
        let moved: Assignment = current.iter().map(|(partition, member)| (partition.clone(), place(*member))).collect();
        let back = sticky(&shuffled, &topics, &moved);
        let back: Assignment = back.into_iter().map(|(partition, member)| (partition, order[member])).collect();
        assert_eq!(back, sticky(&members, &topics, &current), "seed {seed}");
    }
}

#[test]
fn a_member_that_joins_takes_its_share_and_nothing_else_moves() {
    let topics = topics(&[("t", 900)]);
    let eleven: Vec<Member> = (0..11).map(|number| member(&format!("m{number}"), &["t"])).collect();
    let before = sticky(&eleven[..10], &topics, &Assignment::new());
    assert_eq!(loads(&eleven[..10], &before), [90; 10]);
    let after = sticky(&eleven, &topics, &before);
    assert_eq!(moves(&eleven, &before, &after), 81);
    assert!(loads(&eleven, &after).iter().all(|load| [81, 82].contains(load)));
    assert!(after.iter().all(|(partition, member)| *member == 10 || before[partition] == *member));
}

#[test]
fn only_the_partitions_of_a_member_that_leaves_move() {
    let topics = topics(&[("t", 50), ("u", 50)]);
    let members: Vec<Member> = (0..11).map(|number| member(&format!("m{number}"), &["t", "u"])).collect();
    let before = sticky(&members, &topics, &Assignment::new());
    let left: Assignment = before.iter().filter(|(_, member)| **member < 10).map(|(p, m)| (p.clone(), *m)).collect();
    let after = sticky(&members[..10], &topics, &left);
    assert_eq!(moves(&members, &left, &after), 0);
    assert_eq!(loads(&members[..10], &after), [10; 10]);
}

#[test]
fn a_chain_reaches_one_who_does_not_want_what_the_busiest_has() {
    let topics = topics(&[("a", 4), ("b", 2)]);
    // z wants b only; y must pass b on to it and take a from x.
    let members = [member("x", &["a"]), member("y", &["a", "b"]), member("z", &["b"])];
    let current = (0..4).map(|index| (partition("a", index), 0)).chain((0..2).map(|index| (partition("b", index), 1)));
    let after = sticky(&members, &topics, &current.collect());
    assert_eq!(loads(&members, &after), [2; 3]);
    assert_eq!((after[&partition("b", 0)], after[&partition("b", 1)]), (2, 2));
}

#[test]
fn members_beyond_the_partitions_stand_by_and_nothing_moves_for_them() {
    let topics = topics(&[("t", 2)]);
    let members: Vec<Member> = (0..5).map(|number| member(&format!("m{number}"), &["t"])).collect();
    let current = Assignment::from([(partition("t", 0), 4), (partition("t", 1), 3)]);
    assert_eq!(sticky(&members, &topics, &current), current);
}

#[test]
fn entries_that_name_nothing_that_is_there_do_not_count() {
    let topics = topics(&[("t", 1)]);
    let members = [member("m", &["t"])];
    let current = [partition("t", 1), partition("u", 0), partition("t", -1)].map(|partition| (partition, 0));
    let mut current = Assignment::from(current);
    current.insert(partition("t", 0), 7);
    assert_eq!(sticky(&members, &topics, &current), Assignment::from([(partition("t", 0), 0)]));
}

#[test]
fn a_thousand_members_with_three_thousand_partitions_take_few_steps() {
    let names: Vec<String> = (0..30).map(|number| format!("t{number:02}")).collect();
    let topics = topics(&names.iter().map(|name| (name.as_str(), 100)).collect::<Vec<_>>());
    let mut rng = StdRng::seed_from_u64(1);
    for (kinds, likely) in [(1, 1.0), (5, 0.6), (1_000, 0.6)] {
        let kinds: Vec<Member> = (0..kinds)
            .map(|_| {
                member("", &names.iter().map(String::as_str).filter(|_| rng.random_bool(likely)).collect::<Vec<_>>())
            })
            .collect();
        let members: Vec<Member> = (0..1_000)
            .map(|number| Member { id: format!("m{number:03}"), topics: kinds[number % kinds.len()].topics.clone() })
            .collect();
        // From nothing; a tenth left; the first ten have all, 990 join; half join.
        let all = sticky(&members, &topics, &Assignment::new());
        let only = |most: usize| sticky(&members[..most], &topics, &Assignment::new());
        let but_a_tenth = all.iter().filter(|(_, m)| **m >= 100).map(|(p, m)| (p.clone(), *m)).collect();
        for (case, current) in [Assignment::new(), but_a_tenth, only(10), only(500)].into_iter().enumerate() {
            let (next, steps) = share(&members, &topics, &current);
            assert_eq!(loads(&members, &next), [3; 1_000], "{} kinds, case {case}", kinds.len());
            assert!(steps < 8_000_000, "{} kinds, case {case}: {steps} steps", kinds.len());
        }
    }
}
