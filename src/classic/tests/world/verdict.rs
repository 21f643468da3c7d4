//! Whether all is well: every partition that somebody wants is owned by the thread that the rule says, and handed out.

use std::collections::{BTreeMap, BTreeSet};

use ottla_assignor::Topics as Partitions;
use ottla_types::{TopicName, TopicPartition};
use zk_schema::ConsumerPlan;
use zk_schema::consumers::{decode_offset, group_path, member_path, offset_path, owner_path, owners_path};

use super::assignment::range;
use super::client::Program;
use super::{ClientId, GROUP, World};

/// A thread of a member that lives.
struct Thread {
    client: ClientId,
    topics: BTreeSet<TopicName>,
}

impl World {
    /// The partitions of each topic that exists.
    fn partitions_by_topic(&self) -> Partitions {
        let mut topics = Partitions::new();
        for partition in self.topics.partitions() {
            topics.entry(partition.topic).or_default().push(partition.partition);
        }
        topics
    }

    /// The threads of the processes that run, by thread id.
    fn threads(&self) -> BTreeMap<String, Thread> {
        let topics = self.partitions_by_topic();
        let mut threads = BTreeMap::new();
        for id in self.alive() {
            match &self.clients[id].program {
                Program::New(consumer) => {
                    let of = consumer.settings.subscription.threads(&consumer.consumer_id, &topics);
                    for thread in of.expect("patterns of tests are quick") {
                        threads.insert(thread.id, Thread { client: id, topics: (*thread.topics).clone() });
                    }
                }
                Program::Old(old) => {
                    for stream in 0..old.topics.values().copied().max().unwrap_or(0) {
                        let wants = old.topics.iter().filter(|(_, streams)| **streams > stream);
                        let topics = wants.map(|(topic, _)| topic.clone()).collect();
                        threads.insert(format!("{}-{stream}", old.consumer_id), Thread { client: id, topics });
                    }
                }
            }
        }
        threads
    }

    /// The partitions that somebody wants.
    pub(crate) fn wanted(&self) -> Vec<TopicPartition> {
        let threads = self.threads();
        let wants = |partition: &TopicPartition| threads.values().any(|t| t.topics.contains(&partition.topic));
        self.topics.partitions().into_iter().filter(wants).collect()
    }

    pub(crate) fn plan(&self) -> Option<ConsumerPlan> {
        let path = zk_schema::consumer_plan::path(GROUP);
        ConsumerPlan::decode(&path, &self.zk.node(&path)?.0).ok()
    }

    /// Which thread is to have each partition.
    fn rule(&self, threads: &BTreeMap<String, Thread>) -> Result<BTreeMap<TopicPartition, String>, String> {
        let mut by_topic: BTreeMap<TopicName, Vec<String>> = BTreeMap::new();
        for (id, thread) in threads {
            for topic in &thread.topics {
                by_topic.entry(topic.clone()).or_default().push(id.clone());
            }
        }
        let ranges = range(&by_topic, &self.partitions_by_topic());
        let old = self.alive().iter().any(|id| self.clients[*id].new_program().is_none());
        let minds: BTreeSet<&str> = self
            .alive()
            .iter()
            .filter_map(|id| self.clients[*id].new_program())
            .map(|consumer| consumer.settings.assignor.as_str())
            .collect();
        if threads.is_empty() {
            return Ok(BTreeMap::new());
        }
        if old || minds.len() > 1 || minds.contains(ottla_classic::RANGE) {
            return Ok(ranges);
        }
        let plan = self.plan().ok_or("there is no plan")?;
        let planned: Vec<&TopicPartition> = plan.streams.keys().collect();
        if planned != ranges.keys().collect::<Vec<_>>() {
            return Err(format!("the plan is about {planned:?}"));
        }
        let mut shares: BTreeMap<&str, usize> = threads.keys().map(|id| (id.as_str(), 0)).collect();
        for (partition, thread) in &plan.streams {
            let found = threads.get(thread).filter(|thread| thread.topics.contains(&partition.topic));
            found.ok_or_else(|| format!("the plan gives {partition} to {thread}, which does not want it"))?;
            *shares.entry(thread).or_default() += 1;
        }
        let all_alike =
            threads.values().all(|thread| Some(&thread.topics) == threads.values().next().map(|t| &t.topics));
        let (least, most) = (shares.values().min(), shares.values().max());
        if all_alike && most > least.map(|least| least + 1).as_ref() {
            return Err(format!("the plan is not even: {shares:?}"));
        }
        Ok(plan.streams)
    }

    /// Whether the group is at rest as it should be, or what is amiss.
    pub(crate) fn settled(&self) -> Result<(), String> {
        self.settled_but_for(&|_| false)
    }

    /// The same, whatever old members do with what they should have, or should not: they give up, and they forget what they
    /// have claimed.
    pub(crate) fn settled_but_for_old_ones(&self) -> Result<(), String> {
        let old =
            |session: &i64| self.sessions.get(session).is_some_and(|id| self.clients[*id].new_program().is_none());
        self.settled_but_for(&|session| old(&session))
    }

    fn settled_but_for(&self, excused: &dyn Fn(i64) -> bool) -> Result<(), String> {
        let threads = self.threads();
        let members: BTreeSet<String> = self.alive().iter().map(|id| self.consumer_id(*id).to_owned()).collect();
        let registered: BTreeSet<String> =
            self.zk.children(&format!("{}/ids", group_path(GROUP))).into_iter().collect();
        if members != registered {
            return Err(format!("registered are {registered:?}, members are {members:?}"));
        }
        for id in self.alive() {
            let owner = self.zk.node(&member_path(GROUP, self.consumer_id(id))).map(|(_, stat)| stat.ephemeral_owner);
            if owner != self.clients[id].session {
                return Err(format!("{id} is registered by another session"));
            }
        }
        let rule = self.rule(&threads)?;
        for (partition, thread) in &rule {
            let id = threads[thread].client;
            let holder = self.owner(partition);
            let should = self.clients[id].session.is_some_and(excused);
            if holder.is_some_and(excused) || (should && holder.is_none()) {
                continue;
            }
            let Some((text, stat)) = self.zk.node(&owner_path(GROUP, partition)) else {
                return Err(format!("nobody owns {partition}, {thread} should"));
            };
            if text != thread.as_bytes() || Some(stat.ephemeral_owner) != self.clients[id].session {
                let text = String::from_utf8_lossy(&text).into_owned();
                return Err(format!("{partition} is owned by {text} (0x{:x}), not by {thread}", stat.ephemeral_owner));
            }
            self.handed_out(id, partition, thread)?;
        }
        for topic in self.topics.all.keys() {
            for index in self.zk.children(&owners_path(GROUP, topic)) {
                let partition = TopicPartition::new(topic.clone(), index.parse().expect("owners are numbered"));
                let owner = self.owner(&partition).unwrap_or(0);
                if !rule.contains_key(&partition) && !excused(owner) {
                    return Err(format!("{partition} is owned by 0x{owner:x}, and is to be nobody's"));
                }
            }
        }
        Ok(())
    }

    fn handed_out(&self, id: ClientId, partition: &TopicPartition, thread: &str) -> Result<(), String> {
        let reading = match &self.clients[id].program {
            Program::Old(old) => old.fetched().contains_key(partition),
            Program::New(consumer) => {
                let stream: Option<usize> = thread.rsplit_once('-').and_then(|(_, stream)| stream.parse().ok());
                self.leased(id).is_some() && consumer.held.get(partition).map(|held| held.stream) == stream
            }
        };
        if reading { Ok(()) } else { Err(format!("{id} owns {partition} and does not hand it out")) }
    }

    pub(crate) fn consumer_id(&self, id: ClientId) -> &str {
        match &self.clients[id].program {
            Program::New(consumer) => &consumer.consumer_id,
            Program::Old(old) => &old.consumer_id,
        }
    }

    /// Whether every record of every partition that somebody wants was handed out, or which was not.
    pub(crate) fn all_consumed(&self) -> Result<(), String> {
        for partition in self.wanted() {
            let (end, _) = self.topics.end(&partition, self.now).unwrap_or((0, 0));
            let floor = self.ledger.floor(&partition);
            if floor < end {
                return Err(format!("{partition} ends at {end} and was consumed up to {floor}"));
            }
        }
        Ok(())
    }

    /// Whether every offset says so too.
    pub(crate) fn all_committed(&self) -> Result<(), String> {
        for partition in self.wanted() {
            let (end, _) = self.topics.end(&partition, self.now).unwrap_or((0, 0));
            let path = offset_path(GROUP, &partition);
            let committed = self.zk.node(&path).and_then(|(data, _)| decode_offset(&path, &data).ok());
            if committed.is_none_or(|committed| committed < end) {
                return Err(format!("{partition} ends at {end}, {committed:?} is committed"));
            }
        }
        Ok(())
    }
}
