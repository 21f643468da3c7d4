//! Members of a classic consumer group, Ottla's and those of 2015, as processes, and what ZooKeeper says of the group.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use crate::broker::{Broker, binary};
use crate::client::ottla;
use crate::process::{Running, wait_until};
use crate::zookeeper::peers;

/// What every member of these stories asks for, ms.
pub const SESSION_TIMEOUT_MS: u64 = 6000;

/// A member and what it was handed.
pub struct Member {
    /// The process.
    pub process: Running,
    closes_with_input: bool,
}

impl Member {
    /// One of ours: `ottla console-consumer`.
    pub fn of_today(broker: &Broker, group: &str, topic: &str, streams: usize) -> Member {
        let config = format!(
            "zookeeper.session.timeout.ms={SESSION_TIMEOUT_MS}\nauto.commit.interval.ms=1000\nauto.offset.reset=smallest\n"
        );
        let config = crate::client::file(broker.folder(), &format!("today-{}.properties", crate::free_port()), &config);
        let mut command = Command::new(binary());
        command.args(["console-consumer", "--zookeeper", &broker.zookeeper, "--group", group]);
        command.args(["--topic", topic, "--num-streams", &streams.to_string(), "--consumer.config", &config]);
        for property in ["print.partition=true", "print.offset=true", "key.separator= "] {
            command.args(["--property", property]);
        }
        Member { process: Running::start(&mut command), closes_with_input: false }
    }

    /// The high-level consumer of Kafka 0.8.2.2.
    pub fn of_2015(broker: &Broker, group: &str, topic: &str, streams: usize) -> Member {
        let timeout = format!("zookeeper.session.timeout.ms={SESSION_TIMEOUT_MS}");
        let streams = streams.to_string();
        let mut command = peers();
        command.args(["old-member", &broker.zookeeper, group, topic, &streams, &timeout]);
        Member { process: Running::start(&mut command), closes_with_input: true }
    }

    /// kafka-node's, which has one stream and names itself in owner nodes without a number.
    pub fn of_node(broker: &Broker, group: &str, topic: &str) -> Member {
        let mut command = peers();
        command.args(["node-member", &broker.zookeeper, group, topic]);
        Member { process: Running::start(&mut command), closes_with_input: true }
    }

    /// Leaves orderly.
    pub fn close(&mut self) {
        match self.closes_with_input {
            true => self.process.end_input(),
            false => self.process.signal("INT"),
        }
        let status = self.process.ended(Duration::from_secs(20));
        assert!(status.success(), "{status}:\n{}", self.process.lines().join("\n"));
    }

    /// What it was handed: partition, offset, value.
    pub fn records(&self) -> Vec<(i32, i64, String)> {
        let number = |text: &str| text.rsplit(':').next().and_then(|digits| digits.parse::<i64>().ok());
        let record = |line: &String| {
            let mut parts = line.splitn(3, ' ');
            let (partition, offset) = (number(parts.next()?)?, number(parts.next()?)?);
            Some((i32::try_from(partition).ok()?, offset, parts.next()?.to_owned()))
        };
        self.process.lines().iter().filter_map(record).collect()
    }
}

/// A group as its nodes tell it.
pub struct Group<'a> {
    /// Where it lives.
    pub broker: &'a Broker,
    /// Its name.
    pub name: &'a str,
}

impl Group<'_> {
    /// The consumer ids that are registered, each with its number of streams.
    pub fn members(&self) -> BTreeMap<String, usize> {
        let streams = |line: &str| line.rsplit_once('(')?.1.split(')').next()?.parse().ok();
        self.nodes("ids").into_iter().map(|(id, line)| (id, streams(&line).unwrap_or(1))).collect()
    }

    /// The thread id in the owner node of each partition of a topic.
    pub fn owners(&self, topic: &str) -> BTreeMap<i32, String> {
        let owner = |line: &str| Some(line.split("is consumed by ").nth(1)?.split_whitespace().next()?.to_owned());
        self.nodes(&format!("owners/{topic}"))
            .into_iter()
            .filter_map(|(partition, line)| Some((partition.parse().ok()?, owner(&line)?)))
            .collect()
    }

    /// What range over the sorted thread ids gives to each partition.
    pub fn range(&self, partitions: i32) -> BTreeMap<i32, String> {
        let threads: BTreeSet<String> = self.members().iter().flat_map(|(id, streams)| threads(id, *streams)).collect();
        let count = i32::try_from(threads.len()).expect("a handful");
        let mut given = BTreeMap::new();
        for (place, thread) in (0..).zip(&threads) {
            let each = partitions / count;
            let first = each * place + place.min(partitions % count);
            let size = each + i32::from(place < partitions % count);
            given.extend((first..first + size).map(|partition| (partition, thread.clone())));
        }
        given
    }

    /// Waits until `members` are registered and everything is owned as range says, by the ids that live.
    pub fn wait_until_range_explains(&self, topic: &str, partitions: i32, members: usize, limit: Duration) {
        let what = format!("{members} members of {} own {topic} as range says", self.name);
        wait_until(&what, limit, || self.members().len() == members && self.owners(topic) == self.range(partitions));
    }

    /// Waits until `members` are registered and each of their streams owns as many partitions as any other, or one less.
    pub fn wait_until_shared_evenly(&self, topic: &str, partitions: i32, members: usize, limit: Duration) {
        let what = format!("{members} members of {} share {topic} evenly", self.name);
        wait_until(&what, limit, || {
            let registered = self.members();
            let mut counts: BTreeMap<String, usize> =
                registered.iter().flat_map(|(id, streams)| threads(id, *streams)).map(|thread| (thread, 0)).collect();
            let owners = self.owners(topic);
            let alive = owners.values().all(|owner| counts.get_mut(owner).map(|count| *count += 1).is_some());
            let even = counts.values().max().zip(counts.values().min()).is_some_and(|(most, least)| most - least <= 1);
            registered.len() == members && owners.len() == partitions as usize && alive && even
        });
    }

    /// Name and line of each node in one of the group's folders.
    fn nodes(&self, folder: &str) -> Vec<(String, String)> {
        let path = format!("/consumers/{}/{folder}", self.name);
        let printed = ottla(&["znodes", "tree", &path, "--zookeeper", &self.broker.zookeeper], "");
        let node = |line: &str| Some((line.split_whitespace().next()?.to_owned(), line.to_owned()));
        printed.stdout.lines().skip(1).filter_map(node).collect()
    }
}

/// What a member writes into the owner nodes of its streams. kafka-node's ids are `<group>_<UUID>`.
fn threads(id: &str, streams: usize) -> Vec<String> {
    let is_of_node = id.rsplit_once('_').is_some_and(|(_, uuid)| uuid.len() == 36);
    match is_of_node {
        true => vec![id.into()],
        false => (0..streams).map(|stream| format!("{id}-{stream}")).collect(),
    }
}
