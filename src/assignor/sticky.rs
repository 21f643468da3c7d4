//! Sticky: as even as the subscriptions allow, and nobody loses more than evenness takes.
//!
//! The loads are as even as they can be when no partition, and no chain of partitions from member to member, can move from
//! one to another that has two fewer. That is also the least sum of squares, so sharing is a flow of least cost from topics
//! to members with a cost that is convex in each load; the moves are a second cost, far below the first. What everyone has
//! is the first solution; what is free goes to the least loaded; chains level the loads; what is left of needless moves is a
//! cycle of negative cost and is turned back. Without a negative cycle the flow is a best one (Klein 1967).
//!
//! Partitions of one topic are alike until the end, so the flow counts them; and members that want the same are one node on
//! the way of a chain. A thousand members with three thousand partitions take some milliseconds.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{PartitionIndex, TopicPartition};

use crate::cycles::Cycles;
use crate::shares::Shares;
use crate::{Assignment, Member, Topics, sorted};

/// Edges that are looked at for needless moves before they are left as they are: about 50 ms. Only large groups in which
/// nearly every member wants something else come near.
const MAX_STEPS: usize = 20_000_000;

/// Shares all partitions so that the loads are as even as the subscriptions allow, and of those ways one that moves the
/// fewest partitions away from members that have them in `current` and want them. With equal subscriptions the loads differ
/// by at most one. Entries of `current` that name no partition or nobody who wants it do not count.
pub fn sticky(members: &[Member], topics: &Topics, current: &Assignment) -> Assignment {
    share(members, topics, current).0
}

/// The assignment and the steps that it took.
fn share(members: &[Member], topics: &Topics, current: &Assignment) -> (Assignment, usize) {
    let order = sorted(members);
    let mut ranks = vec![0; members.len()];
    for (rank, member) in order.iter().enumerate() {
        ranks[*member] = rank;
    }
    let mut shares = Shares::new(order.iter().map(|member| &members[*member]), topics);
    // By topic and member: what it has and keeps at first.
    let mut kept: BTreeMap<(usize, usize), Vec<PartitionIndex>> = BTreeMap::new();
    for (partition, member) in current {
        let exists = topics.get(&partition.topic).is_some_and(|list| list.binary_search(&partition.partition).is_ok());
        let Some(rank) = ranks.get(*member).copied().filter(|_| exists) else { continue };
        if let Some(topic) = shares.wanted_topic(rank, &partition.topic) {
            shares.hold(topic, rank);
            kept.entry((topic, rank)).or_default().push(partition.partition);
        }
    }
    shares.fill();
    let levelling = shares.level();
    let mut steps = 0;
    while steps < MAX_STEPS && shares.needless_moves_possible() {
        let cycles = Cycles::find(&shares, MAX_STEPS - steps);
        steps += cycles.steps;
        if cycles.cycles.is_empty() {
            break;
        }
        cycles.turn(&mut shares);
    }

    let mut assignment = Assignment::new();
    for (topic, holders) in shares.holders().into_iter().enumerate() {
        let name = shares.name(topic);
        let mut free: BTreeSet<PartitionIndex> = topics[name].iter().copied().collect();
        let mut gained = Vec::new();
        for (rank, held) in holders {
            let keeps = kept.get(&(topic, rank)).map_or(&[][..], Vec::as_slice);
            for partition in &keeps[..held.min(keeps.len())] {
                free.remove(partition);
                assignment.insert(TopicPartition::new(name.clone(), *partition), order[rank]);
            }
            gained.extend(std::iter::repeat_n(rank, held.saturating_sub(keeps.len())));
        }
        for (partition, rank) in free.into_iter().zip(gained) {
            assignment.insert(TopicPartition::new(name.clone(), partition), order[rank]);
        }
    }
    (assignment, levelling + steps)
}

#[cfg(test)]
mod tests;
