//! A classic group with what it means: which topics its members want, which partitions those have, who should have them.

use std::collections::{BTreeMap, BTreeSet};

use ottla_assignor::Topics;
use ottla_classic::{Registered, Subscription};
use ottla_types::{TopicName, TopicPartition};

use super::ToolError;
use crate::zk::StoreError;
use crate::zk::store_cluster::topic_names;
use crate::zk::store_consumers::{self, Group, GroupTopic, Owner};
use crate::zk::znodes::Znodes;

/// A group and the topics that it has to do with.
#[derive(Debug, Clone, Default)]
pub(super) struct GroupView {
    /// As it lies in ZooKeeper.
    pub(super) group: Group,
    /// The members whose registrations are understood.
    pub(super) registered: BTreeMap<String, Registered>,
    /// Those that are not, though they can be read: path and problem.
    pub(super) misunderstood: Vec<(String, String)>,
    /// The topics that exist, of those that the group wants, owns or has offsets of.
    pub(super) topics: BTreeMap<TopicName, GroupTopic>,
    /// The topics that members want, whether they exist or not.
    pub(super) wanted: BTreeSet<TopicName>,
}

/// Reads a group; none if it does not exist.
pub(super) async fn read(zk: &dyn Znodes, name: &str) -> Result<Option<GroupView>, ToolError> {
    let failed = |error: StoreError| ToolError::Failed(error.to_string());
    let Some(group) = store_consumers::group(zk, name).await.map_err(failed)? else { return Ok(None) };
    let mut view = GroupView { group, ..GroupView::default() };
    for (id, member) in &view.group.members {
        let Some(registration) = &member.registration else { continue };
        match Subscription::read(id, registration, true) {
            Ok(subscription) => {
                let assignor = registration.assignor.clone();
                view.registered.insert(id.clone(), Registered { subscription, assignor });
            }
            Err(error) => {
                view.misunderstood.push((zk_schema::consumers::member_path(name, id), error.to_string()));
            }
        }
    }
    let has_filter = view.registered.values().any(|member| member.subscription.has_filter());
    let names = if has_filter { topic_names(zk).await.map_err(failed)? } else { Vec::new() };
    let all: Topics = names.into_iter().map(|name| (name, Vec::new())).collect();
    for (id, member) in &view.registered {
        match member.subscription.wanted(&all) {
            Ok(wanted) => view.wanted.extend(wanted.into_keys()),
            Err(error) => {
                view.misunderstood.push((zk_schema::consumers::member_path(name, id), error.to_string()));
            }
        }
    }
    let named = view.group.partitions().map(|partition| partition.topic.clone());
    let names: BTreeSet<TopicName> = view.wanted.iter().cloned().chain(named).collect();
    view.topics = store_consumers::group_topics(zk, names).await.map_err(failed)?;
    Ok(Some(view))
}

/// Where a partition of a group stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder<'a> {
    /// Nobody consumes it.
    Nobody,
    /// A member that lives, by consumer id.
    Member(&'a str),
    /// An owner node without a registered member behind it.
    Orphan(&'a Owner),
}

impl GroupView {
    /// Every partition that the group wants, owns or has an offset of, in order.
    pub(super) fn partitions(&self) -> BTreeSet<TopicPartition> {
        let of_topic = |topic: &TopicName| {
            let partitions = self.topics.get(topic).map(|found| found.partitions.clone()).unwrap_or_default();
            let topic = topic.clone();
            partitions.into_iter().map(move |index| TopicPartition::new(topic.clone(), index))
        };
        self.wanted.iter().flat_map(of_topic).chain(self.group.partitions().cloned()).collect()
    }

    /// Who consumes a partition.
    pub(super) fn holder(&self, partition: &TopicPartition) -> Holder<'_> {
        match self.group.owners.get(partition) {
            None => Holder::Nobody,
            Some(owner) => match self.group.owner_member(owner) {
                Some((id, _)) => Holder::Member(id),
                None => Holder::Orphan(owner),
            },
        }
    }

    /// Whether the offset of a partition was committed for an earlier topic of that name, or for one that is gone.
    pub(super) fn is_stale(&self, partition: &TopicPartition) -> bool {
        let written = self.group.offsets.get(partition).map(|offset| offset.written);
        match (written, self.topics.get(&partition.topic)) {
            (Some(written), Some(topic)) => written < topic.created,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// The offset that a member would begin at.
    pub(super) fn offset(&self, partition: &TopicPartition) -> Option<i64> {
        let offset = self.group.offsets.get(partition).map(|offset| offset.offset);
        offset.filter(|_| !self.is_stale(partition))
    }

    /// `Empty`, `Stable` or `Rebalancing`. Without a plan a group is stable when somebody has each partition that is wanted.
    pub(super) fn state(&self) -> &'static str {
        let owned = |topic: &TopicName| {
            let partitions = self.topics.get(topic).map(|found| found.partitions.as_slice()).unwrap_or_default();
            let held = |index| matches!(self.holder(&TopicPartition::new(topic.clone(), index)), Holder::Member(_));
            partitions.iter().all(|index| held(*index))
        };
        match self.group.follows_plan() {
            _ if self.group.members.is_empty() => "Empty",
            Some(true) => "Stable",
            None if self.wanted.iter().all(owned) => "Stable",
            _ => "Rebalancing",
        }
    }

    /// What an operator should know beside the tables: nodes that cannot be read or do not fit.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.group.unreadable.iter().map(ToString::to_string).collect();
        notes.extend(self.misunderstood.iter().map(|(path, problem)| format!("{path}: {problem}")));
        for topic in self.wanted.iter().filter(|topic| !self.topics.contains_key(*topic)) {
            notes.push(format!("topic {topic} is wanted by group {} but does not exist", self.group.name));
        }
        for partition in self.partitions() {
            let name = &self.group.name;
            if let Holder::Orphan(_) = self.holder(&partition) {
                let path = zk_schema::consumers::owner_path(name, &partition);
                notes.push(format!(
                    "{path}: no member of the group owns it; `ottla znodes check --group {name}` says more"
                ));
            }
            if self.is_stale(&partition) {
                let path = zk_schema::consumers::offset_path(name, &partition);
                notes.push(format!("{path}: older than its topic, so not used"));
            }
        }
        notes
    }
}

/// The host in a consumer id: `Hostname:UUID` of ours, kazoo's and pykafka's, or the old `<group>_<host>-<ms>-<hex>`.
pub(super) fn host<'a>(group: &str, consumer_id: &'a str) -> Option<&'a str> {
    if let Some((host, _)) = consumer_id.rsplit_once(':') {
        return Some(host).filter(|host| !host.is_empty());
    }
    let mut parts = consumer_id.strip_prefix(group)?.strip_prefix('_')?.rsplitn(3, '-');
    let (hex, ms, host) = (parts.next()?, parts.next()?, parts.next()?);
    let old = hex.bytes().all(|digit| digit.is_ascii_hexdigit()) && ms.len() == 13 && ms.parse::<u64>().is_ok();
    Some(host).filter(|host| old && !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_from_both_kinds_of_ids() {
        let uuid = "0b6c5c0e-7d5f-4c62-8e6f-0d3c3c5a1f11";
        assert_eq!(host("g", &format!("web-1.example:{uuid}")), Some("web-1.example"));
        assert_eq!(host("my_g", "my_g_web-1-1764097635000-8f2a01bc"), Some("web-1"));
        assert_eq!(host("g", &format!("g_{uuid}")), None, "kafka-node names no host");
        assert_eq!(host("g", "g_by-hand"), None);
    }
}
