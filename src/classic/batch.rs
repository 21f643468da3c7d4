//! Writes for many partitions in one request: claims, fences, commits and releases.
//!
//! Each begins with a check of the own registration, so that nothing is written for a session that has ended: its UUID is
//! new for each session. `check` compares data versions and every new node has 0, so the check of an owner node alone would
//! fence nobody; together with the watch on it, and the version of the offset, it does.

use ottla_types::{Offset, TopicPartition};

use crate::identity::Identity;
use ottla_znodes::{CreateMode, Op};

/// Most partitions in one write: two operations each stay far below ZooKeeper's 1 MB.
pub(crate) const MAX_PARTITIONS: usize = 100;

/// What a write does to each of its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Creates the owner node.
    Claim,
    /// Writes the offset, so that the owner before can no longer, and the start is known to all.
    Fence,
    /// Writes the offset.
    Commit,
    /// Writes the offset, if there is anything to write, and deletes the owner node.
    Release,
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] = [Kind::Claim, Kind::Fence, Kind::Commit, Kind::Release];
}

/// What is done to an offset node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OffsetOp {
    Create(Offset),
    Set(Offset, i32),
    /// It still is at this version: a release whose answer is lost cannot then take effect under a later owner.
    Check(i32),
}

/// One partition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) partition: TopicPartition,
    /// Which life of the claim this is for.
    pub(crate) epoch: u64,
    pub(crate) stream: usize,
    pub(crate) owner_version: i32,
    pub(crate) offset: Option<OffsetOp>,
    /// Which round of commits the offset is from.
    pub(crate) serial: u64,
}

/// What one operation of the write is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Registration,
    Owner,
    Offset,
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) kind: Kind,
    pub(crate) items: Vec<Item>,
    /// For each operation which item it belongs to, and which part.
    pub(crate) slots: Vec<(usize, Part)>,
}

impl Batch {
    /// The write and its operations. `registration`: the version to check; none if the member has none and only deletes.
    pub(crate) fn new(kind: Kind, items: Vec<Item>, me: &Identity, registration: Option<i32>) -> (Batch, Vec<Op>) {
        let (mut ops, mut slots) = (Vec::new(), Vec::new());
        let mut push = |slot, op| {
            slots.push(slot);
            ops.push(op);
        };
        if let Some(version) = registration {
            push((0, Part::Registration), me.check(version));
        }
        for (index, item) in items.iter().enumerate() {
            let owner = me.owner_path(&item.partition);
            match kind {
                Kind::Claim => {
                    let data = me.thread(item.stream).into_bytes();
                    push((index, Part::Owner), Op::Create { path: owner.clone(), data, mode: CreateMode::Ephemeral });
                }
                Kind::Fence | Kind::Commit => {
                    push((index, Part::Owner), Op::Check { path: owner.clone(), version: item.owner_version });
                }
                Kind::Release => {}
            }
            if let Some(offset) = item.offset {
                let path = me.offset_path(&item.partition);
                let data = |offset| zk_schema::consumers::encode_offset(offset);
                let op = match offset {
                    OffsetOp::Create(offset) => Op::Create { path, data: data(offset), mode: CreateMode::Persistent },
                    OffsetOp::Set(offset, version) => Op::Set { path, data: data(offset), version: Some(version) },
                    OffsetOp::Check(version) => Op::Check { path, version },
                };
                push((index, Part::Offset), op);
            }
            if kind == Kind::Release {
                push((index, Part::Owner), Op::Delete { path: owner, version: Some(item.owner_version) });
            }
        }
        (Batch { kind, items, slots }, ops)
    }
}
