//! How many partitions of each topic each member has, and the even way to share them.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::TopicName;

use crate::{Member, Topics};

/// The state of sharing. Topics, members and classes (of members that want the same) are numbered from 0; members by the
/// order of their ids.
pub(crate) struct Shares<'a> {
    pub(crate) topics: Vec<Topic<'a>>,
    pub(crate) members: Vec<Holder>,
    /// The members of each class.
    pub(crate) classes: Vec<Vec<usize>>,
}

/// A topic that exists and that somebody wants.
pub(crate) struct Topic<'a> {
    name: &'a TopicName,
    /// Partitions that nobody has yet.
    unassigned: usize,
    /// The classes that want it.
    pub(crate) classes: Vec<usize>,
    /// Members that have fewer of it than before.
    pub(crate) losers: BTreeSet<usize>,
}

/// What a member has.
pub(crate) struct Holder {
    class: usize,
    pub(crate) load: usize,
    /// By topic.
    pub(crate) held: BTreeMap<usize, Held>,
}

/// How many partitions of a topic a member has, and had.
#[derive(Clone, Copy, Default)]
pub(crate) struct Held {
    pub(crate) now: usize,
    pub(crate) before: usize,
}

impl<'a> Shares<'a> {
    /// Nobody has anything.
    pub(crate) fn new<'m>(members: impl Iterator<Item = &'m Member>, topics: &'a Topics) -> Shares<'a> {
        let mut numbers: BTreeMap<&'m BTreeSet<TopicName>, usize> = BTreeMap::new();
        let mut classes: Vec<Vec<usize>> = Vec::new();
        let mut holders = Vec::new();
        for (rank, member) in members.enumerate() {
            let class = *numbers.entry(&member.topics).or_insert(classes.len());
            if class == classes.len() {
                classes.push(Vec::new());
            }
            classes[class].push(rank);
            holders.push(Holder { class, load: 0, held: BTreeMap::new() });
        }
        let mut takers: BTreeMap<&'a TopicName, Vec<usize>> = BTreeMap::new();
        for (wanted, class) in numbers {
            for topic in wanted {
                if let Some((name, _)) = topics.get_key_value(topic) {
                    takers.entry(name).or_default().push(class);
                }
            }
        }
        let topic = |(name, mut classes): (&'a TopicName, Vec<usize>)| {
            classes.sort_unstable();
            Topic { name, unassigned: topics[name].len(), classes, losers: BTreeSet::new() }
        };
        Shares { topics: takers.into_iter().map(topic).collect(), members: holders, classes }
    }

    /// A topic's name.
    pub(crate) fn name(&self, topic: usize) -> &'a TopicName {
        self.topics[topic].name
    }

    /// A topic's number, if the member wants it.
    pub(crate) fn wanted_topic(&self, member: usize, name: &TopicName) -> Option<usize> {
        let topic = self.topics.binary_search_by(|topic| topic.name.cmp(name)).ok()?;
        self.topics[topic].classes.binary_search(&self.members[member].class).ok().map(|_| topic)
    }

    /// For each topic the members that have, or had, partitions of it, and how many they have.
    pub(crate) fn holders(&self) -> Vec<Vec<(usize, usize)>> {
        let mut holders = vec![Vec::new(); self.topics.len()];
        for (rank, member) in self.members.iter().enumerate() {
            for (topic, held) in &member.held {
                holders[*topic].push((rank, held.now));
            }
        }
        holders
    }

    /// The member has had a partition all along.
    pub(crate) fn hold(&mut self, topic: usize, member: usize) {
        self.topics[topic].unassigned -= 1;
        let holder = &mut self.members[member];
        holder.load += 1;
        let held = holder.held.entry(topic).or_default();
        held.now += 1;
        held.before += 1;
    }

    pub(crate) fn give(&mut self, topic: usize, member: usize) {
        let holder = &mut self.members[member];
        holder.load += 1;
        let held = holder.held.entry(topic).or_default();
        held.now += 1;
        if held.now >= held.before {
            self.topics[topic].losers.remove(&member);
        }
    }

    pub(crate) fn take(&mut self, topic: usize, member: usize) {
        let holder = &mut self.members[member];
        holder.load -= 1;
        let held = holder.held.entry(topic).or_default();
        held.now -= 1;
        if held.now < held.before {
            self.topics[topic].losers.insert(member);
        }
    }

    /// Whether anybody has less of a topic than before.
    pub(crate) fn needless_moves_possible(&self) -> bool {
        self.topics.iter().any(|topic| !topic.losers.is_empty())
    }

    /// Gives what nobody has to the least loaded who wants it, topics with the fewest takers first.
    pub(crate) fn fill(&mut self) {
        let by_load = |class: &Vec<usize>| class.iter().map(|rank| (self.members[*rank].load, *rank)).collect();
        let mut idlest: Vec<BTreeSet<(usize, usize)>> = self.classes.iter().map(by_load).collect();
        let takers = |topic: &usize| self.topics[*topic].classes.iter().map(|class| self.classes[*class].len()).sum();
        let mut order: Vec<usize> = (0..self.topics.len()).collect();
        order.sort_by_key(|topic| -> usize { takers(topic) });
        for topic in order {
            for _ in 0..std::mem::take(&mut self.topics[topic].unassigned) {
                let classes = self.topics[topic].classes.iter();
                let Some((load, rank)) = classes.filter_map(|class| idlest[*class].first().copied()).min() else {
                    break;
                };
                let class = &mut idlest[self.members[rank].class];
                class.remove(&(load, rank));
                class.insert((load + 1, rank));
                self.give(topic, rank);
            }
        }
    }

    /// Moves partitions along chains from members to others that have two fewer or less, until there are none. Returns the
    /// steps that it took.
    pub(crate) fn level(&mut self) -> usize {
        let mut steps = 0;
        loop {
            let mut moved = false;
            let mut load = self.members.iter().map(|member| member.load).max().unwrap_or(0);
            while load >= 2 {
                while let Some(chain) = self.chain(load, &mut steps) {
                    for (from, topic, to) in chain {
                        self.take(topic, from);
                        self.give(topic, to);
                    }
                    moved = true;
                }
                load = self.members.iter().map(|member| member.load).filter(|lower| *lower < load).max().unwrap_or(0);
            }
            if !moved {
                return steps;
            }
        }
    }

    /// A shortest chain from a member with this load to one with at least two fewer, of those to the one with the fewest:
    /// who passes a partition of which topic to whom.
    fn chain(&self, load: usize, steps: &mut usize) -> Option<Vec<(usize, usize, usize)>> {
        let mut seen_topics = vec![false; self.topics.len()];
        let mut seen_classes = vec![false; self.classes.len()];
        let mut seen_members = vec![false; self.members.len()];
        // Who passes what to each member on the shortest way to it; nobody to where chains begin.
        let mut passed: Vec<Option<(usize, usize)>> = vec![None; self.members.len()];
        let least = self.members.iter().map(|member| member.load).min().filter(|least| least + 2 <= load)?;
        let mut layer: Vec<usize> = Vec::new();
        for (rank, member) in self.members.iter().enumerate() {
            *steps += 1;
            if member.load == load {
                seen_members[rank] = true;
                layer.push(rank);
            }
        }
        while !layer.is_empty() {
            let mut next = Vec::new();
            'layer: for from in layer {
                for (topic, held) in &self.members[from].held {
                    *steps += 1;
                    if held.now == 0 || std::mem::replace(&mut seen_topics[*topic], true) {
                        continue;
                    }
                    for class in &self.topics[*topic].classes {
                        *steps += 1;
                        if std::mem::replace(&mut seen_classes[*class], true) {
                            continue;
                        }
                        for to in &self.classes[*class] {
                            *steps += 1;
                            if !std::mem::replace(&mut seen_members[*to], true) {
                                passed[*to] = Some((from, *topic));
                                next.push(*to);
                            }
                            // No other has fewer.
                            if self.members[*to].load == least {
                                break 'layer;
                            }
                        }
                    }
                }
            }
            let idlest = next.iter().copied().min_by_key(|rank| (self.members[*rank].load, *rank));
            if let Some(end) = idlest.filter(|rank| self.members[*rank].load + 2 <= load) {
                let mut chain = Vec::new();
                let mut to = end;
                while let Some((from, topic)) = passed[to] {
                    chain.push((from, topic, to));
                    to = from;
                }
                return Some(chain);
            }
            layer = next;
        }
        None
    }
}
