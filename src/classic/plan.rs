//! Which stream takes which partition: what the planner decides, from the group as it read it.
//!
//! Members of ours follow a plan, so they can have what serves best. Old members follow nobody: each computes range over
//! the thread ids of the whole group and takes its part. As soon as one is there the plan is what they will compute, so
//! that ours take exactly the rest. kafka-node computes range over the consumers, whatever streams they have; beside it a
//! member of ours shares out its own run among its streams. Beside both kinds, who contradict each other once somebody has
//! several streams, the Java rule holds.

use std::collections::BTreeMap;

use ottla_assignor::{Assignment, Member, Topics};
use ottla_types::{PartitionIndex, TopicName, TopicPartition};
use zk_schema::ConsumerPlan;

use crate::subscription::Subscription;

/// The assignor of a member that asks for no other.
pub const STICKY: &str = "sticky";
/// Kafka's range over the sorted thread ids.
pub const RANGE: &str = "range";
/// Kafka's round robin as of 0.10.2.
pub const ROUND_ROBIN: &str = "roundrobin";

/// A member as its registration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// What it wants.
    pub subscription: Subscription,
    /// The assignor that it would follow a plan by. None: an old member, which follows none.
    pub assignor: Option<String>,
}

/// Who takes what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The rule that holds: one of [`STICKY`], [`RANGE`], [`ROUND_ROBIN`].
    pub assignor: &'static str,
    /// The thread id (`<consumer id>-<stream>`) of each partition that somebody wants.
    pub streams: BTreeMap<TopicPartition, String>,
    /// How many threads there are, those that stand by included.
    pub threads: usize,
    /// How many partitions another thread had in the plan before.
    pub moved: usize,
    /// Whether our members are not of one mind, or of one that is unknown here; range holds then.
    pub mixed: bool,
    /// Members whose pattern turned out too slow, and why; they are left out.
    pub unreadable: Vec<(String, String)>,
}

/// Decides, from the members by consumer id, the partitions that exist, and the plan before.
pub fn decide(members: &BTreeMap<String, Registered>, topics: &Topics, previous: Option<&ConsumerPlan>) -> Decision {
    let mut unreadable = Vec::new();
    let mut consumers: BTreeMap<&str, Vec<Member>> = BTreeMap::new();
    for (consumer_id, member) in members {
        match member.subscription.threads(consumer_id, topics) {
            Ok(threads) => {
                consumers.insert(consumer_id, threads);
            }
            Err(error) => unreadable.push((consumer_id.clone(), error.to_string())),
        }
    }
    let present = || members.iter().filter(|(id, _)| consumers.contains_key(id.as_str())).map(|(_, member)| member);

    let mut minds: Vec<&str> = present().filter_map(|member| member.assignor.as_deref()).collect();
    minds.sort_unstable();
    minds.dedup();
    let mind = match minds[..] {
        [] => Some(RANGE),
        [mind] => [STICKY, RANGE, ROUND_ROBIN].into_iter().find(|known| *known == mind),
        _ => None,
    };
    let mut old = present().filter(|member| member.assignor.is_none()).peekable();
    let has_old = old.peek().is_some();
    let only_kafka_node = has_old && old.all(|member| matches!(member.subscription, Subscription::KafkaNode(_)));
    let assignor = mind.filter(|_| !has_old).unwrap_or(RANGE);

    let previous = previous.map(|plan| &plan.streams);
    let streams = if only_kafka_node {
        range_of_consumers(&consumers, topics)
    } else {
        let threads: Vec<Member> = consumers.values().flatten().cloned().collect();
        let assignment = match assignor {
            STICKY => ottla_assignor::sticky(&threads, topics, &current(&threads, previous)),
            ROUND_ROBIN => ottla_assignor::round_robin(&threads, topics),
            _ => ottla_assignor::range(&threads, topics),
        };
        assignment.into_iter().map(|(partition, thread)| (partition, threads[thread].id.clone())).collect()
    };
    let elsewhere = |(partition, thread): &(&TopicPartition, &String)| {
        previous.and_then(|streams| streams.get(*partition)).is_some_and(|before| before != *thread)
    };
    Decision {
        assignor,
        moved: streams.iter().filter(elsewhere).count(),
        streams,
        threads: consumers.values().map(Vec::len).sum(),
        mixed: mind.is_none(),
        unreadable,
    }
}

/// What the plan before gave to threads that live on.
fn current(threads: &[Member], previous: Option<&BTreeMap<TopicPartition, String>>) -> Assignment {
    let places: BTreeMap<&str, usize> = threads.iter().enumerate().map(|(place, t)| (t.id.as_str(), place)).collect();
    let kept =
        |(partition, thread): (&TopicPartition, &String)| Some((partition.clone(), *places.get(thread.as_str())?));
    previous.into_iter().flatten().filter_map(kept).collect()
}

/// Range as kafka-node computes it, each consumer counted once; the run of each is cut again for its streams.
fn range_of_consumers(consumers: &BTreeMap<&str, Vec<Member>>, topics: &Topics) -> BTreeMap<TopicPartition, String> {
    let (whole, threads): (Vec<Member>, Vec<&Vec<Member>>) = consumers
        .iter()
        // The first stream wants all that its consumer wants.
        .filter_map(|(id, threads)| {
            Some((Member { id: (*id).into(), topics: threads.first()?.topics.clone() }, threads))
        })
        .unzip();
    let mut runs: Vec<Topics> = vec![Topics::new(); whole.len()];
    for (partition, consumer) in ottla_assignor::range(&whole, topics) {
        let run: &mut BTreeMap<TopicName, Vec<PartitionIndex>> = &mut runs[consumer];
        run.entry(partition.topic).or_default().push(partition.partition);
    }
    let mut streams = BTreeMap::new();
    for (run, threads) in runs.iter().zip(threads) {
        let shares = ottla_assignor::range(threads, run);
        streams.extend(shares.into_iter().map(|(partition, thread)| (partition, threads[thread].id.clone())));
    }
    streams
}

#[cfg(test)]
mod tests;
