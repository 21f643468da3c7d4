//! What was handed out and what was committed, and the rules that hold between them.

use std::collections::{BTreeMap, BTreeSet};

use ottla_jute::Stat;
use ottla_types::{Offset, TopicName, TopicPartition};
use ottla_znodes::{Op, Request};
use zk_schema::broker_topics;
use zk_schema::consumers::{GroupNode, decode_offset, owner_path, parse_path};

use super::client::Program;
use super::{ClientId, GROUP, World};

/// Offsets of a partition that somebody has consumed, or need not.
#[derive(Debug, Default, Clone)]
pub(crate) struct Covered {
    /// All below.
    floor: Offset,
    /// Further ones: begin and end.
    beyond: BTreeMap<Offset, Offset>,
}

impl Covered {
    /// How many of them were covered before.
    fn add(&mut self, from: Offset, to: Offset) -> i64 {
        let again = (self.floor.min(to) - from).max(0);
        if from > self.floor {
            let end = self.beyond.entry(from).or_insert(to);
            *end = to.max(*end);
            return again;
        }
        self.floor = self.floor.max(to);
        while let Some(entry) = self.beyond.first_entry().filter(|entry| *entry.key() <= self.floor) {
            self.floor = self.floor.max(entry.remove());
        }
        again
    }
}

#[derive(Default)]
pub(crate) struct Ledger {
    covered: BTreeMap<TopicPartition, Covered>,
    /// Records handed out.
    pub(crate) handed: u64,
    /// Of these, again.
    pub(crate) again: u64,
    /// When a record of a partition was last handed out.
    pub(crate) last_ms: BTreeMap<TopicPartition, u64>,
    /// The longest time between two records of a partition, ms, since it was last cleared.
    pub(crate) silence_ms: BTreeMap<TopicPartition, u64>,
    /// Partitions whose application has sought back: their offset may go back.
    pub(crate) sought: BTreeSet<TopicPartition>,
    /// Partitions whose offset node others than our members wrote or deleted.
    pub(crate) meddled: BTreeSet<TopicPartition>,
    /// Partitions whose offset node was deleted and made again by hand.
    pub(crate) renewed: BTreeSet<TopicPartition>,
}

impl Ledger {
    pub(crate) fn forget(&mut self, topic: &TopicName) {
        self.covered.retain(|partition, _| partition.topic != *topic);
    }

    /// Nobody need consume what is below.
    pub(crate) fn excuse(&mut self, partition: &TopicPartition, below: Offset) {
        self.covered.entry(partition.clone()).or_default().add(0, below);
    }

    /// All below is consumed without a hole.
    pub(crate) fn floor(&self, partition: &TopicPartition) -> Offset {
        self.covered.get(partition).map_or(0, |covered| covered.floor)
    }

    pub(crate) fn hand_out(&mut self, now: u64, partition: &TopicPartition, from: Offset, to: Offset) {
        self.handed += (to - from) as u64;
        self.again += self.covered.entry(partition.clone()).or_default().add(from, to) as u64;
        if let Some(last) = self.last_ms.insert(partition.clone(), now) {
            let silence = self.silence_ms.entry(partition.clone()).or_default();
            *silence = (*silence).max(now - last);
        }
    }
}

/// A node that a write is about to change.
pub(crate) struct Before {
    partition: TopicPartition,
    path: String,
    /// Whose the partition is, 0: nobody's.
    owner: i64,
    /// Of an offset node: its value, if it is one.
    value: Option<Offset>,
    /// Whether it is older than its topic.
    stale: bool,
}

impl World {
    /// What a write is about to change: offsets that it sets, owners that it deletes.
    pub(super) fn before_write(&self, request: &Request) -> Vec<Before> {
        let Request::Write(ops) = request else { return vec![] };
        let each = |op: &Op| {
            let (partition, path) = match op {
                Op::Set { path, .. } | Op::Create { path, .. } => match parse_path(path)? {
                    (_, GroupNode::Offset(partition)) => (partition, path),
                    _ => return None,
                },
                Op::Delete { path, .. } => match parse_path(path)? {
                    (_, GroupNode::Owner(partition)) => (partition, path),
                    _ => return None,
                },
                Op::Check { .. } => return None,
            };
            let found: Option<(Vec<u8>, Stat)> = self.zk.node(path);
            let topic = self.zk.tree.node(&broker_topics::path(&partition.topic)).map(|topic| topic.stat().czxid);
            let stale = found.as_ref().is_some_and(|(_, stat)| topic.is_none_or(|czxid| stat.mzxid < czxid));
            let value = found.and_then(|(data, _)| decode_offset(path, &data).ok());
            let owner = self.owner(&partition).unwrap_or(0);
            Some(Before { partition, path: path.clone(), owner, value, stale })
        };
        ops.iter().filter_map(each).collect()
    }

    /// A member's write was done: was it one that may be?
    pub(super) fn judge_write(&mut self, id: ClientId, session: i64, request: &Request, before: Vec<Before>) {
        let Request::Write(ops) = request else { return };
        let new = matches!(self.clients[id].program, Program::New(_));
        for Before { partition, path, owner, value, stale } in before {
            let robbed = self.robbed.contains(&(partition.clone(), session));
            if new && owner != session && !robbed {
                panic!("{id} (0x{session:x}) writes {path} while 0x{owner:x} owns it");
            }
            let Some((data, _)) = self.zk.node(&path) else {
                // Old members delete an owner node without a look at whose it is.
                if owner != session {
                    self.robbed.insert((partition, owner));
                }
                continue;
            };
            let Ok(written) = decode_offset(&path, &data) else { continue };
            if !new {
                self.ledger.meddled.insert(partition.clone());
            }
            // Of a topic that is gone: old members never know, ours not before the planner does or the leader says so.
            if !new || self.outlived(id, &partition) {
                self.ledger.excuse(&partition, written);
                continue;
            }
            let renewed = self.ledger.renewed.remove(&partition);
            if value.is_some_and(|value| written < value) && !stale && !renewed {
                let sought = self.ledger.sought.contains(&partition);
                assert!(sought, "{id} sets {path} from {value:?} back to {written}");
            }
            let floor = self.ledger.floor(&partition);
            assert!(written <= floor, "{id} commits {written} to {path}: there is a hole at {floor}");
        }
        for op in ops {
            if let Op::Create { path, .. } = op
                && let Some((_, GroupNode::Owner(partition))) = parse_path(path)
            {
                self.robbed.remove(&(partition, session));
            }
        }
    }

    /// The session that owns a partition.
    pub(crate) fn owner(&self, partition: &TopicPartition) -> Option<i64> {
        self.zk.tree.node(&owner_path(GROUP, partition)).map(|node| node.stat().ephemeral_owner)
    }
}
