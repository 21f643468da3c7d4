//! What other hands do to a group's nodes.

use ottla_types::{Offset, TopicPartition};
use ottla_znodes::{CreateMode, Op, Request};
use zk_schema::consumers::{
    encode_offset, group_path, member_path, offset_path, offsets_path, owner_path, owners_path,
};
use zk_schema::{consumer_plan, consumers};

use super::{GROUP, World};

/// A registration as pykafka writes it.
pub(crate) const BARE_TEXT: &[u8] = b"t0";
/// One that Kafka's own consumers write, from one that will never claim anything.
pub(crate) const OF_ANOTHER: &[u8] =
    br#"{"version":1,"subscription":{"t0":1},"pattern":"static","timestamp":"1700000000000"}"#;

impl World {
    /// A client that is none of ours registers; its session.
    pub(crate) fn register_foreign(&mut self, consumer_id: &str, data: &[u8]) -> i64 {
        self.note(|| format!("foreign registration {consumer_id}"));
        self.make_folders(&[&group_path(GROUP), &format!("{}/ids", group_path(GROUP))]);
        let session = self.zk.begin_unending(self.now);
        let path = member_path(GROUP, consumer_id);
        self.foreign_write(session, Op::Create { path, data: data.into(), mode: CreateMode::Ephemeral });
        session
    }

    pub(crate) fn write_registration(&mut self, consumer_id: &str, data: &[u8]) {
        let fired = self.zk.set(self.now, &member_path(GROUP, consumer_id), data);
        self.publish(fired);
    }

    /// It takes a partition, from whomever.
    pub(crate) fn claim_foreign(&mut self, partition: &TopicPartition, text: &str) -> i64 {
        self.note(|| format!("foreign claim of {partition}"));
        self.remove_owner(partition);
        let folders = owners_path(GROUP, &partition.topic);
        self.make_folders(&[&group_path(GROUP), &format!("{}/owners", group_path(GROUP)), &folders]);
        let session = self.zk.begin_unending(self.now);
        let path = owner_path(GROUP, partition);
        self.foreign_write(session, Op::Create { path, data: text.into(), mode: CreateMode::Ephemeral });
        session
    }

    /// A foreign session ends, with all that it has.
    pub(crate) fn end_foreign(&mut self, session: i64) {
        let fired = self.zk.end(self.now, session);
        self.publish(fired);
    }

    /// Somebody deletes an owner node by hand.
    pub(crate) fn remove_owner(&mut self, partition: &TopicPartition) {
        let Some(owner) = self.owner(partition) else { return };
        self.note(|| format!("owner node of {partition} deleted by hand"));
        self.robbed.insert((partition.clone(), owner));
        self.remove(&owner_path(GROUP, partition));
    }

    /// Somebody deletes a node by hand.
    pub(crate) fn remove(&mut self, path: &str) {
        self.note(|| format!("{path} deleted by hand"));
        let fired = self.zk.delete(self.now, path);
        self.publish(fired);
    }

    pub(crate) fn break_plan(&mut self, data: &[u8]) {
        self.note(|| "plan broken".into());
        let fired = self.zk.set(self.now, &consumer_plan::path(GROUP), data);
        self.publish(fired);
    }

    /// A tool moves an offset: nobody need consume what is before.
    pub(crate) fn move_offset(&mut self, partition: &TopicPartition, offset: Offset) {
        if self.topics.end(partition, self.now).is_some() {
            self.note(|| format!("offset of {partition} set to {offset} by hand"));
            self.ledger.excuse(partition, offset);
            self.write_offset(partition, &encode_offset(offset));
        }
    }

    pub(crate) fn write_offset(&mut self, partition: &TopicPartition, data: &[u8]) {
        self.ledger.meddled.insert(partition.clone());
        let path = offset_path(GROUP, partition);
        let fired = if self.zk.node(&path).is_some() {
            self.zk.set(self.now, &path, data)
        } else {
            let folders = offsets_path(GROUP, &partition.topic);
            self.make_folders(&[&group_path(GROUP), &format!("{}/offsets", group_path(GROUP)), &folders]);
            // Its version begins anew, so that an owner cannot tell it from the one that it knew.
            self.ledger.renewed.insert(partition.clone());
            self.zk.create(self.now, &path, data)
        };
        self.publish(fired);
    }

    pub(crate) fn delete_offset(&mut self, partition: &TopicPartition) {
        self.ledger.meddled.insert(partition.clone());
        self.remove(&offset_path(GROUP, partition));
    }

    /// Offsets that nobody can read are deleted.
    pub(crate) fn mend_offsets(&mut self) {
        for partition in self.topics.partitions() {
            let path = offset_path(GROUP, &partition);
            if self.zk.node(&path).is_some_and(|(data, _)| consumers::decode_offset(&path, &data).is_err()) {
                self.delete_offset(&partition);
            }
        }
    }

    fn make_folders(&mut self, paths: &[&str]) {
        for path in paths {
            let fired = self.zk.create(self.now, path, b"");
            self.publish(fired);
        }
    }

    fn foreign_write(&mut self, session: i64, op: Op) {
        let request = Request::Write(vec![op]);
        let (_, fired) = self.zk.perform(self.now, session, &request);
        self.publish(fired);
    }
}
