//! What ZooKeeper's answers mean for the partitions of a member.

use std::collections::BTreeMap;

use ottla_types::{TopicName, TopicPartition};
use zk_schema::{broker_topics, consumers};

use crate::batch::{Batch, Item, Kind, OffsetOp, Part};
use crate::claim::{Claim, Held, OffsetNode, Stage};
use crate::claims::{Claims, Ground};
use crate::effect::{Effect, Report};
use crate::folders::parent;
use crate::requests::Step;
use ottla_znodes::Watched;
use ottla_znodes::{Failure, Refusal, Reply};

/// After so many claims in a row that met an owner, all are looked at before they are claimed.
const CONFLICTS: u32 = 3;

impl Claims {
    /// The watch on an owner node fired.
    pub(crate) fn owner_changed(&mut self, partition: TopicPartition) {
        match self.states.get_mut(&partition) {
            // A claim of ours whose answer was lost may have come about after all.
            None if self.uncertain.contains(&partition) => {
                let claim = Claim::Looking { epoch: self.next_epoch(), node: Watched::Unread };
                self.states.insert(partition.clone(), claim);
            }
            None => return,
            Some(Claim::Looking { node, .. }) => node.changed(),
            // Most likely it is gone; if not, the claim says so.
            Some(claim @ Claim::Blocked { .. }) => *claim = Claim::Free,
            Some(Claim::Free | Claim::Claiming { .. }) => {}
            Some(Claim::Held(held)) => held.owner.changed(),
        }
        self.touched.insert(partition);
    }

    /// The watch on an offset node fired: only one that could not be read is watched.
    pub(crate) fn offset_changed(&mut self, partition: TopicPartition) {
        if let Some(Claim::Held(held)) = self.states.get_mut(&partition) {
            held.offset_read.changed();
            self.touched.insert(partition);
        }
    }

    /// The watch on a topic that was missing fired.
    pub(crate) fn topic_changed(&mut self, topic: &TopicName) {
        if let Some(age) = self.ages.get_mut(topic).filter(|age| age.missing) {
            age.node.changed();
            self.touch_topic(topic);
        }
    }

    /// When the topic was created.
    pub(crate) fn age_answered(&mut self, topic: &TopicName, outcome: Result<Reply, Failure>) {
        let age = self.ages.entry(topic.clone()).or_default();
        match outcome {
            Ok(Reply::Stat(Some(stat))) => {
                (age.missing, age.czxid) = (false, stat.czxid);
                age.node.answered();
            }
            Ok(Reply::Stat(None)) if age.missing => age.node.answered(),
            Ok(Reply::Stat(None)) => {
                age.missing = true;
                age.node.failed();
            }
            // That an offset is stale is then not known: it is used.
            Err(Failure::Refused { .. }) => {
                (age.missing, age.czxid) = (false, 0);
                age.node.answered();
            }
            _ => age.node.failed(),
        }
        self.touch_topic(topic);
    }

    /// Whose a partition is that is not held.
    pub(crate) fn owner_answered(
        &mut self,
        step: &mut Step<'_>,
        ground: &mut Ground<'_>,
        partition: &TopicPartition,
        asked: u64,
        outcome: Result<Reply, Failure>,
    ) {
        let stream = self.wanted_stream(partition);
        let Some(Claim::Looking { epoch, node }) = self.states.get_mut(partition) else { return };
        if *epoch != asked {
            return;
        }
        self.touched.insert(partition.clone());
        node.answered();
        if *node != Watched::Fresh {
            return;
        }
        let me = ground.me;
        let next = match outcome {
            Ok(Reply::Data(data, stat)) if stat.ephemeral_owner == me.session_id => {
                let as_wanted = stream.filter(|stream| me.thread(*stream).as_bytes() == data);
                // The topic may have been deleted and made again since it was looked at.
                self.ages.entry(partition.topic.clone()).or_default().node.changed();
                let mut held = Held::new(*epoch, as_wanted.unwrap_or(0));
                held.owner = Watched::Fresh;
                held.owner_version = stat.version;
                if as_wanted.is_none() {
                    // Of another stream, or of no use: taken away, and claimed anew if it is wanted.
                    held.stage = Stage::Leaving(None);
                }
                Some(Claim::Held(held))
            }
            Ok(Reply::Data(data, stat)) => {
                let data = String::from_utf8_lossy(&data).into_owned();
                stream.map(|_| Claim::Blocked { since_ms: step.now_ms, owner: stat.ephemeral_owner, data })
            }
            Ok(Reply::Stat(Some(_))) => {
                // It came about: now it can be read.
                self.uncertain.remove(partition);
                Some(Claim::Looking { epoch: *epoch, node: Watched::Unread })
            }
            Ok(_) | Err(Failure::Refused { why: Refusal::NoNode, .. }) => stream.map(|_| Claim::Free),
            Err(Failure::Refused { why, .. }) => {
                *node = Watched::Unread;
                return self.pause(step, ground, partition, me.owner_path(partition), code(why));
            }
            Err(Failure::Unknown | Failure::Expired) => Some(Claim::Looking { epoch: *epoch, node: Watched::Unread }),
        };
        match next {
            Some(claim) => drop(self.states.insert(partition.clone(), claim)),
            None => drop(self.states.remove(partition)),
        }
    }

    /// Whether a partition that is held still is.
    pub(crate) fn own_owner_answered(
        &mut self,
        step: &mut Step<'_>,
        ground: &mut Ground<'_>,
        partition: &TopicPartition,
        asked: u64,
        outcome: Result<Reply, Failure>,
    ) {
        let Some(held) = held(&mut self.states, partition, asked) else { return };
        self.touched.insert(partition.clone());
        match outcome {
            Ok(Reply::Stat(Some(stat))) if stat.ephemeral_owner == ground.me.session_id => {
                held.owner.answered();
                held.owner_version = stat.version;
            }
            Ok(Reply::Stat(found)) => {
                if held.is_delivered() {
                    step.out.push(Effect::Abandon { partition: partition.clone() });
                }
                if !matches!(held.stage, Stage::Leaving(_)) {
                    step.report(Report::OwnerRemoved { partition: partition.clone() });
                }
                ground.commits.lost(partition);
                let epoch = self.next_epoch();
                let wanted = self.wanted_stream(partition).is_some();
                match found.filter(|_| wanted) {
                    Some(_) => {
                        let claim = Claim::Looking { epoch, node: Watched::Unread };
                        self.states.insert(partition.clone(), claim);
                    }
                    None => drop(self.states.remove(partition)),
                }
            }
            Err(Failure::Refused { why, .. }) => {
                held.owner.failed();
                self.pause(step, ground, partition, ground.me.owner_path(partition), code(why));
            }
            _ => held.owner.failed(),
        }
    }

    /// How far a partition was consumed.
    pub(crate) fn offset_answered(
        &mut self,
        step: &mut Step<'_>,
        ground: &mut Ground<'_>,
        partition: &TopicPartition,
        asked: u64,
        outcome: Result<Reply, Failure>,
    ) {
        let Some(held) = held(&mut self.states, partition, asked) else { return };
        self.touched.insert(partition.clone());
        match outcome {
            Ok(Reply::Data(data, stat)) => {
                let path = ground.me.offset_path(partition);
                let watched = held.offset.is_some_and(|offset| offset.value.is_none());
                let decoded = consumers::decode_offset(&path, &data);
                let problem = decoded.as_ref().err().map(ToString::to_string);
                // Below zero there is nothing to consume: no number either.
                let value = decoded.ok().filter(|offset| *offset >= 0);
                held.offset = Some(OffsetNode { version: stat.version, value, mzxid: stat.mzxid, watched });
                held.offset_read.answered();
                if value.is_none() {
                    let problem = problem.unwrap_or_else(|| "the offset is negative".into());
                    self.complain(step, partition, path, problem);
                }
            }
            Err(Failure::Refused { why: Refusal::NoNode, .. }) => {
                held.offset = None;
                held.offset_read.answered();
            }
            Err(Failure::Refused { why, .. }) => {
                held.offset_read.failed();
                self.pause(step, ground, partition, ground.me.offset_path(partition), code(why));
            }
            _ => held.offset_read.failed(),
        }
    }

    /// A write was answered.
    pub(crate) fn batch_answered(
        &mut self,
        step: &mut Step<'_>,
        ground: &mut Ground<'_>,
        batch: Batch,
        outcome: Result<Reply, Failure>,
    ) {
        self.flights[batch.kind as usize] -= 1;
        match outcome {
            Ok(Reply::Written(stats)) => {
                let mut offsets = vec![None; batch.items.len()];
                for ((index, part), stat) in batch.slots.iter().zip(stats) {
                    if *part == Part::Offset {
                        offsets[*index] = stat;
                    }
                }
                for (item, stat) in batch.items.iter().zip(offsets) {
                    self.written(ground, batch.kind, item, stat.map_or(0, |stat| stat.version));
                }
            }
            Err(Failure::Refused { at, why }) => {
                for item in &batch.items {
                    self.not_written(batch.kind, item);
                }
                self.refused(step, ground, &batch, at, why);
            }
            Ok(_) | Err(Failure::Unknown | Failure::Expired) => {
                for item in &batch.items {
                    self.perhaps_written(batch.kind, item);
                }
            }
        }
    }

    fn is_claiming(&self, item: &Item) -> bool {
        matches!(self.states.get(&item.partition), Some(Claim::Claiming { epoch }) if *epoch == item.epoch)
    }

    fn written(&mut self, ground: &mut Ground<'_>, kind: Kind, item: &Item, version: i32) {
        self.touched.insert(item.partition.clone());
        if kind == Kind::Claim {
            self.conflicts = 0;
            if self.is_claiming(item) {
                let held = Held::new(item.epoch, item.stream);
                self.states.insert(item.partition.clone(), Claim::Held(held));
                // The topic may have been deleted and made again since it was looked at.
                self.ages.entry(item.partition.topic.clone()).or_default().node.changed();
            }
            return;
        }
        let Some(held) = held(&mut self.states, &item.partition, item.epoch) else { return };
        held.writing = false;
        if let Some(OffsetOp::Create(offset) | OffsetOp::Set(offset, _)) = item.offset {
            held.offset = Some(OffsetNode { version, value: Some(offset), mzxid: i64::MAX, watched: false });
            match (kind, held.stage) {
                (Kind::Fence, Stage::Fencing(_)) => held.stage = Stage::Fenced(offset),
                (Kind::Commit, _) => {
                    held.wish = held.wish.filter(|(_, serial)| *serial != item.serial);
                    ground.commits.finish(&item.partition, item.serial, Ok(()));
                }
                _ => {}
            }
        }
        if kind == Kind::Release {
            let committed = matches!(held.stage, Stage::Leaving(Some(_)));
            self.states.remove(&item.partition);
            match committed {
                true => ground.commits.finish(&item.partition, u64::MAX, Ok(())),
                false => ground.commits.lost(&item.partition),
            }
        }
    }

    /// Nothing was done.
    fn not_written(&mut self, kind: Kind, item: &Item) {
        if kind == Kind::Claim && self.is_claiming(item) {
            self.states.insert(item.partition.clone(), Claim::Free);
        } else if let Some(held) = held(&mut self.states, &item.partition, item.epoch) {
            held.writing = false;
        }
        self.touched.insert(item.partition.clone());
    }

    /// It may have been done: read, then decide.
    fn perhaps_written(&mut self, kind: Kind, item: &Item) {
        if kind == Kind::Claim {
            self.uncertain.insert(item.partition.clone());
            if self.is_claiming(item) {
                let claim = Claim::Looking { epoch: item.epoch, node: Watched::Unread };
                self.states.insert(item.partition.clone(), claim);
            }
        } else if let Some(held) = held(&mut self.states, &item.partition, item.epoch) {
            held.writing = false;
            held.offset_read.changed();
            held.owner.changed();
        }
        self.touched.insert(item.partition.clone());
    }

    /// Why nothing was done, and what to do about it.
    fn refused(&mut self, step: &mut Step<'_>, ground: &mut Ground<'_>, batch: &Batch, at: usize, why: Refusal) {
        let me = ground.me;
        let part = batch.slots.get(at).filter(|(_, part)| *part != Part::Registration);
        let Some((index, part)) = part else {
            // The session may be over or the registration removed: that is looked at first. A request that is refused as a
            // whole is not repeated at once.
            ground.registration.doubt();
            if let Refusal::Other(code) = why {
                batch.items.iter().for_each(|item| self.pause(step, ground, &item.partition, me.path(), code));
            }
            return;
        };
        let item = &batch.items[*index];
        let partition = &item.partition;
        let (owner, offset) = (me.owner_path(partition), me.offset_path(partition));
        match (part, why) {
            (Part::Owner, Refusal::Other(code)) => self.pause(step, ground, partition, owner, code),
            (_, Refusal::Other(code)) => self.pause(step, ground, partition, offset, code),
            (Part::Owner, Refusal::NodeExists) => self.met_an_owner(partition),
            (Part::Owner, Refusal::NoNode) if batch.kind == Kind::Claim => {
                ground.folders.missing(parent(&owner).into());
            }
            (Part::Offset, Refusal::NoNode) if matches!(item.offset, Some(OffsetOp::Create(_))) => {
                ground.folders.missing(parent(&offset).into());
            }
            (part, _) => {
                if let Some(held) = held(&mut self.states, &item.partition, item.epoch) {
                    let changed = if *part == Part::Owner { &mut held.owner } else { &mut held.offset_read };
                    changed.changed();
                    // It may be the next owner's, after a release whose answer was lost.
                    if batch.kind == Kind::Release {
                        held.owner.changed();
                    }
                }
            }
        }
    }

    /// A claim failed because of this partition: it is looked at, and all that is to be claimed if this goes on.
    fn met_an_owner(&mut self, partition: &TopicPartition) {
        self.conflicts += 1;
        let look_at_all = self.conflicts >= CONFLICTS;
        let free: Vec<TopicPartition> = (self.states.iter())
            .filter(|(key, claim)| matches!(claim, Claim::Free) && (look_at_all || *key == partition))
            .map(|(key, _)| key.clone())
            .collect();
        for partition in free {
            let claim = Claim::Looking { epoch: self.next_epoch(), node: Watched::Unread };
            self.touched.insert(partition.clone());
            self.states.insert(partition, claim);
        }
    }
}

/// The partition that a question or a write of `epoch` was about, if it has been held since.
fn held<'a>(
    states: &'a mut BTreeMap<TopicPartition, Claim>,
    partition: &TopicPartition,
    epoch: u64,
) -> Option<&'a mut Held> {
    match states.get_mut(partition) {
        Some(Claim::Held(held)) if held.epoch == epoch => Some(held),
        _ => None,
    }
}

/// ZooKeeper's code of a refusal.
fn code(why: Refusal) -> i32 {
    match why {
        Refusal::NoNode => -101,
        Refusal::BadVersion => -103,
        Refusal::NodeExists => -110,
        Refusal::NotEmpty => -111,
        Refusal::Other(code) => code,
    }
}

/// The topic whose node this is.
pub(crate) fn topic_of(path: &str) -> Option<TopicName> {
    broker_topics::parse_path(path)
}
