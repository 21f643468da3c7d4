//! What a producer without ZooKeeper learns: one broker after another is asked, and each says what it has heard.

use std::collections::BTreeMap;

use ottla_types::{LeaderEpoch, TopicName, TopicPartition};
use ottla_view::{Broker, Change, Cluster, Leadership, Topic};
use rand::RngExt;

use super::World;
use super::controller::endpoint;

/// How long a topic that exists must be denied before that is believed, ms.
const DENIED_MS: u64 = 3_000;
/// Between two requests, ms: at least, while something is missing, and otherwise.
const LEAST_PAUSE_MS: u64 = 20;
const INCOMPLETE_MS: u64 = 100;
const COMPLETE_MS: u64 = 1_000;

#[derive(Default)]
pub(crate) struct Metadata {
    /// When the next request is sent, ms.
    due: Option<u64>,
    /// Which topic it is whose partitions are known, as told by its id.
    incarnations: BTreeMap<TopicName, u64>,
    /// Since when a topic that is known is denied, ms.
    denied: BTreeMap<TopicName, u64>,
}

impl World {
    pub(crate) fn ask_metadata_soon(&mut self) {
        self.ask_metadata_after(LEAST_PAUSE_MS);
    }

    fn ask_metadata_after(&mut self, ms: u64) {
        let at = self.now + ms;
        if self.metadata.due.is_none_or(|due| due > at || due < self.now) {
            self.metadata.due = Some(at);
            self.at(at, move |world| {
                if world.metadata.due == Some(at) {
                    world.metadata.due = None;
                    world.ask_metadata();
                }
            });
        }
    }

    fn ask_metadata(&mut self) {
        let alive = self.alive();
        if !alive.is_empty() {
            let asked = alive[self.random.random_range(0..alive.len())];
            let said = self.said_by(asked);
            let took = self.leg() + self.leg();
            self.after(took, move |world| world.learn(said));
        }
        self.ask_metadata_after(COMPLETE_MS);
    }

    /// Which brokers there are, and what this one has heard of the topics in use.
    fn said_by(&self, asked: ottla_types::BrokerId) -> (Cluster, BTreeMap<TopicName, u64>) {
        let (mut cluster, mut incarnations) = (Cluster::default(), BTreeMap::new());
        for broker in self.brokers.values().filter(|broker| broker.session.is_some()) {
            let said = Broker { endpoints: vec![endpoint(broker.port)], rack: None, epoch: 0 };
            cluster.brokers.insert(broker.id, said);
        }
        for topic in &self.application.used {
            let heard = self.brokers[&asked].told.iter().filter(|(partition, _)| partition.topic == *topic);
            let leaders: BTreeMap<i32, Leadership> = heard
                .map(|(TopicPartition { partition, .. }, told)| {
                    (*partition, Leadership { leader: told.leader, epoch: LeaderEpoch(told.epoch) })
                })
                .collect();
            let found = match leaders.is_empty() {
                true => Topic::Missing,
                false => Topic::Partitions(leaders),
            };
            incarnations.extend(self.incarnation(topic).map(|incarnation| (topic.clone(), incarnation)));
            cluster.topics.insert(topic.clone(), found);
        }
        (cluster, incarnations)
    }

    fn learn(&mut self, (mut said, incarnations): (Cluster, BTreeMap<TopicName, u64>)) {
        let mut others = vec![];
        for (topic, found) in &mut said.topics {
            let known = self.watching.told.topics.get(topic);
            let Some(Topic::Partitions(known)) = known else { continue };
            match found {
                Topic::Missing => {
                    let since = *self.metadata.denied.entry(topic.clone()).or_insert(self.now);
                    if self.now < since + DENIED_MS {
                        *found = Topic::Partitions(known.clone());
                    }
                    continue;
                }
                Topic::Partitions(said) if self.metadata.incarnations.get(topic) == incarnations.get(topic) => {
                    for (index, leadership) in known {
                        let entry = said.entry(*index).or_insert(*leadership);
                        if entry.epoch < leadership.epoch {
                            *entry = *leadership;
                        }
                    }
                }
                Topic::Partitions(_) => {
                    others.push(Change::Topic { name: topic.clone(), topic: Topic::Missing });
                }
            }
            self.metadata.denied.remove(topic);
        }
        for (topic, found) in &said.topics {
            match found {
                Topic::Missing => _ = self.metadata.denied.remove(topic),
                Topic::Partitions(_) if !self.metadata.denied.contains_key(topic) => {
                    let incarnation = incarnations.get(topic).map(|incarnation| (topic.clone(), *incarnation));
                    self.metadata.incarnations.extend(incarnation);
                }
                Topic::Partitions(_) => {}
            }
        }
        let complete = |topic: &Topic| match topic {
            Topic::Missing => false,
            Topic::Partitions(partitions) => partitions.values().all(|leadership| leadership.leader.is_some()),
        };
        if !self.metadata.denied.is_empty() || !said.topics.values().all(complete) {
            self.ask_metadata_after(INCOMPLETE_MS);
        }
        others.into_iter().for_each(|change| self.changed(change));
        let changes = self.watching.told.changes_to(&said);
        changes.into_iter().for_each(|change| self.changed(change));
    }
}
