//! A partition's leader and ISR: what they should be, and the one write that may be under way to make it so.
//!
//! There is no list of transitions. After anything that may matter, [`Term::settle`] compares the written state with what
//! the cluster allows, and writes the difference. Kafka's states follow from that: *New* has no state, *Online* a leader
//! that lives, *Offline* none.

use std::collections::BTreeSet;

use ottla_types::{BrokerId, ControllerEpoch, LeaderEpoch, PartitionEpoch, TopicPartition};

use crate::cluster::{Partition, PartitionNode, PartitionState};
use crate::effect::{Effect, PartitionStateWrite, Report};
use crate::election;
use crate::event::{PartitionStateWritten, WriteOutcome};
use crate::term::{RETRY_MS, Term};

/// A write that was asked for and whose outcome is not known yet.
#[derive(Debug)]
pub(crate) struct PendingWrite {
    write: u64,
    pub(crate) state: PartitionState,
    /// The brokers whose stop this decision took into account.
    pub(crate) settles: BTreeSet<BrokerId>,
    /// To tell once it is written.
    report: Option<Report>,
    /// It failed or its answer was lost: the node is being read.
    reading: bool,
}

/// What the cluster allows a partition to be.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// As it is.
    Stand,
    /// As it is, for want of a broker.
    Wait,
    /// This.
    Change { state: PartitionState, unclean: bool },
}

fn decide(
    partition: &Partition,
    online: impl Fn(BrokerId) -> bool,
    unclean_allowed: bool,
    controller_epoch: ControllerEpoch,
) -> Decision {
    let replicas = &partition.assignment.replicas;
    let Some(current) = &partition.state else {
        let isr: Vec<BrokerId> = replicas.iter().copied().filter(|r| online(*r)).collect();
        let Some(&leader) = isr.first() else { return Decision::Wait };
        let state = PartitionState {
            leader: Some(leader),
            leader_epoch: LeaderEpoch(0),
            isr,
            controller_epoch,
            recovering: false,
        };
        return Decision::Change { state, unclean: false };
    };
    let change = |leader: Option<BrokerId>, isr: Vec<BrokerId>, unclean: bool| {
        let recovering = current.recovering || unclean;
        let state = PartitionState { leader, isr, recovering, ..current.next(controller_epoch) };
        Decision::Change { state, unclean }
    };
    let trusted = |r: BrokerId| online(r) && !partition.distrusted.contains(&r);

    if let Some(leader) = current.leader.filter(|l| trusted(*l)) {
        // Whoever leads is in the ISR, whatever an older controller wrote.
        let isr: Vec<BrokerId> = current.isr.iter().copied().filter(|r| *r == leader || trusted(*r)).collect();
        return match isr == current.isr && !partition.node_missing {
            true => Decision::Stand,
            false if isr.is_empty() => change(Some(leader), vec![leader], false),
            false => change(Some(leader), isr, false),
        };
    }
    let choice = election::offline(replicas, &current.isr, trusted, false)
        .or_else(|| election::offline(replicas, &current.isr, online, unclean_allowed));
    match choice {
        Some(choice) => change(Some(choice.leader), choice.isr, choice.unclean),
        // The ISR stays: each member of it may lead when it returns (KAFKA-708 keeps only the last).
        None if current.leader.is_some() || partition.node_missing => change(None, current.isr.clone(), false),
        None => Decision::Wait,
    }
}

impl PartitionState {
    /// The same in the next leader epoch, decided by this controller.
    fn next(&self, controller_epoch: ControllerEpoch) -> PartitionState {
        PartitionState { leader_epoch: LeaderEpoch(self.leader_epoch.0 + 1), controller_epoch, ..self.clone() }
    }
}

impl Term {
    /// Whether a partition's state is this controller's to change now.
    fn may_change(&self, name: &TopicPartition) -> bool {
        let Some(topic) = self.cluster.topics.get(&name.topic) else { return false };
        let Some(partition) = topic.partitions.get(&name.partition) else { return false };
        topic.id.is_some()
            && topic.deletion.is_none()
            && partition.pending.is_none()
            && partition.state.as_ref().is_none_or(|s| s.controller_epoch <= self.epoch)
            && !self.retries.contains_key(name)
    }

    /// Asks for the write that a partition needs, if it needs one and none is under way.
    pub(crate) fn settle(&mut self, name: &TopicPartition) {
        if !self.may_change(name) {
            return;
        }
        let Some(partition) = self.cluster.partition(name) else { return };
        let online = |r| self.cluster.is_online(r, name);
        match decide(partition, online, self.unclean.allowed(&name.topic), self.epoch) {
            Decision::Stand => {}
            Decision::Wait => {
                let (name, replicas) = (name.clone(), partition.assignment.replicas.clone());
                let report = match &partition.state {
                    Some(state) => Report::NoLeader { partition: name.clone(), isr: state.isr.clone() },
                    None => Report::NoReplica { partition: name.clone(), replicas },
                };
                if self.waiting.insert(name) {
                    self.effects.push(Effect::Report(report));
                }
            }
            Decision::Change { state, unclean } => {
                let isr = partition.state.as_ref().map_or(vec![], |s| s.isr.clone());
                let report = state.leader.filter(|_| unclean).map(|leader| Report::UncleanLeader {
                    partition: name.clone(),
                    leader,
                    isr,
                });
                self.write(name, state, report);
            }
        }
    }

    /// Settles every partition.
    pub(crate) fn settle_all(&mut self) {
        for name in self.cluster.all_partitions() {
            self.settle(&name);
        }
    }

    /// Gives leadership to the preferred replica, if it may have it and has it not.
    pub(crate) fn elect_preferred(&mut self, name: &TopicPartition) {
        if !self.may_change(name) {
            return;
        }
        let Some(partition) = self.cluster.partition(name) else { return };
        let Some(current) = &partition.state else { return };
        let online = |r| self.cluster.is_online(r, name) && !partition.distrusted.contains(&r);
        let choice = election::preferred(&partition.assignment.replicas, &current.isr, online);
        if let Some(choice) = choice.filter(|c| Some(c.leader) != current.leader) {
            let state = PartitionState { leader: Some(choice.leader), ..current.next(self.epoch) };
            self.write(name, state, None);
        }
    }

    fn write(&mut self, name: &TopicPartition, state: PartitionState, report: Option<Report>) {
        let Some(partition) = self.cluster.partition_mut(name) else { return };
        self.last_write += 1;
        let write = self.last_write;
        let expected = (partition.state.is_some() && !partition.node_missing).then_some(partition.version);
        let settles = partition.distrusted.clone();
        partition.pending = Some(PendingWrite { write, state: state.clone(), settles, report, reading: false });
        self.writes.push(PartitionStateWrite { write, partition: name.clone(), state, expected });
    }

    pub(crate) fn partition_states_written(&mut self, results: Vec<PartitionStateWritten>) {
        for PartitionStateWritten { write, partition: name, outcome } in results {
            let Some(partition) = self.cluster.partition_mut(&name) else { continue };
            let Some(pending) = partition.pending.as_mut().filter(|p| p.write == write) else { continue };
            match outcome {
                WriteOutcome::Written(version) => self.confirm(&name, version),
                WriteOutcome::Conflict | WriteOutcome::Unknown => {
                    pending.reading = true;
                    self.reads.insert(name);
                }
                WriteOutcome::Fenced => self.effects.push(Effect::Resign),
            }
        }
    }

    /// The pending state is known to be written: it becomes the partition's and is announced.
    fn confirm(&mut self, name: &TopicPartition, version: PartitionEpoch) {
        let Some(partition) = self.cluster.partition_mut(name) else { return };
        let Some(pending) = partition.pending.take() else { return };
        let is_new = partition.state.is_none();
        partition.distrusted.retain(|b| !pending.settles.contains(b) && pending.state.isr.contains(b));
        partition.state = Some(pending.state);
        partition.version = version;
        partition.node_missing = false;
        if partition.state.as_ref().is_some_and(|s| s.leader.is_some()) {
            self.waiting.remove(name);
        }
        self.effects.extend(pending.report.map(Effect::Report));
        self.settle(name);
        self.announce(name, is_new);
    }

    pub(crate) fn partition_states_read(&mut self, now_ms: i64, states: Vec<(TopicPartition, Option<PartitionNode>)>) {
        for (name, node) in states {
            let Some(partition) = self.cluster.partition_mut(&name) else { continue };
            match &partition.pending {
                // Its answer will tell: if the node is not as expected, the write is refused.
                Some(pending) if !pending.reading => {}
                Some(pending) => match node {
                    Some(node) if node.state == pending.state => self.confirm(&name, node.version),
                    node => {
                        partition.pending = None;
                        self.adopt(now_ms, &name, node, true);
                    }
                },
                None => {
                    let known = partition.state.as_ref().map(|_| partition.version);
                    let is_news = node.as_ref().is_none_or(|n| known.is_none_or(|known| n.version > known));
                    if is_news {
                        self.adopt(now_ms, &name, node, false);
                    }
                }
            }
        }
    }

    /// Takes what the node holds for the truth: somebody else wrote it. `announce` even if the leader is the same.
    fn adopt(&mut self, now_ms: i64, name: &TopicPartition, node: Option<PartitionNode>, announce: bool) {
        let Some(partition) = self.cluster.partition_mut(name) else { return };
        let Some(node) = node else {
            if partition.state.is_some() && !partition.node_missing {
                partition.node_missing = true;
                self.effects.push(Effect::Report(Report::StateNodeMissing { partition: name.clone() }));
            }
            // The topic's node may be about to vanish too, which refuses each attempt.
            self.retries.insert(name.clone(), now_ms + RETRY_MS);
            return;
        };
        let known_epoch = partition.state.as_ref().map(|s| s.leader_epoch);
        let is_new_epoch = known_epoch != Some(node.state.leader_epoch);
        partition.node_missing = false;
        partition.distrusted.retain(|b| node.state.isr.contains(b));
        partition.version = node.version;
        let written_zxid = node.written_zxid;
        partition.state = Some(node.state);
        self.check_adopted(name, written_zxid);
        self.settle(name);
        match announce || is_new_epoch {
            true => self.announce(name, false),
            false => self.notices.metadata(name),
        }
    }

    /// Looks at a state that somebody else wrote.
    pub(crate) fn check_adopted(&mut self, name: &TopicPartition, written_zxid: i64) {
        let Some(topic) = self.cluster.topics.get_mut(&name.topic) else { return };
        let Some(partition) = topic.partitions.get_mut(&name.partition) else { return };
        let Some(state) = &partition.state else { return };
        if state.controller_epoch > self.epoch {
            let (partition, epoch) = (name.clone(), state.controller_epoch);
            self.effects.push(Effect::Report(Report::LaterController { partition, epoch }));
        }
        // A member that is not registered has failed, and one that registered after the state was written has restarted
        // without any controller having seen it fail: the restart that took the last controller down too. A sole replica
        // has nobody to diverge from.
        if partition.assignment.replicas.len() > 1 {
            let brokers = &self.cluster.brokers;
            let stopped = |b: &&BrokerId| brokers.get(*b).is_none_or(|b| b.registration.epoch.0 > written_zxid);
            partition.distrusted.extend(state.isr.iter().filter(stopped));
        }
    }

    /// Tells the replicas who leads, and everybody where it is. A partition that is being changed is told to nobody: the
    /// confirmation announces it.
    pub(crate) fn announce(&mut self, name: &TopicPartition, is_new: bool) {
        let Some(topic) = self.cluster.topics.get(&name.topic) else { return };
        let Some(partition) = topic.partitions.get(&name.partition) else { return };
        if topic.id.is_none() || topic.deletion.is_some() || partition.state.is_none() {
            return;
        }
        self.notices.metadata(name);
        if partition.distrusted.is_empty() {
            for broker in self.cluster.live_replicas(&partition.assignment) {
                self.notices.leader_and_isr(broker, name, is_new);
            }
        }
    }
}
