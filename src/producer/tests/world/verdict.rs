//! Whether all is well once it is quiet: what was told of each record and what is in the logs.

use std::collections::{BTreeMap, BTreeSet};

use ottla_producer::{Acks, Failure};
use ottla_types::{BrokerId, Offset, PartitionIndex, TopicPartition};
use ottla_view::{Broker, Cluster, Leadership, Topic};
use zk_schema::broker_ids::{self, BrokerRegistration};
use zk_schema::broker_topics::{self, TopicAssignment};
use zk_schema::partition_state::{self, PartitionState};

use super::World;
use super::application::{Batch, Outcome, Told};
use super::log::{Entry, INVALID_PRODUCER_EPOCH, Log, OUT_OF_ORDER_SEQUENCE_NUMBER, UNKNOWN_PRODUCER_ID};

/// Whether a part is refused for its sequence because the broker may have the whole.
pub(crate) fn is_in_doubt(batch: &Batch, code: i16) -> bool {
    let sequence = [OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, UNKNOWN_PRODUCER_ID].contains(&code);
    sequence && batch.is_split()
}

impl World {
    /// What the tree says of all brokers and of the topics in use.
    fn cluster(&self) -> Cluster {
        let mut cluster = Cluster::default();
        for id in self.zk.children(broker_ids::PARENT) {
            let id = BrokerId(id.parse().expect("a broker's id"));
            let path = broker_ids::path(id);
            let (data, stat) = self.zk.node(&path).expect("a child exists");
            let registration = BrokerRegistration::decode(&path, &data).expect("the world writes it well");
            let BrokerRegistration { endpoints, rack, .. } = registration;
            cluster.brokers.insert(id, Broker { endpoints, rack, epoch: stat.czxid });
        }
        for topic in self.watching.view.cluster().topics.keys() {
            let path = broker_topics::path(topic);
            let found = match self.zk.node(&path) {
                None => Topic::Missing,
                Some((data, _)) => {
                    let assignment = TopicAssignment::decode(&path, &data).expect("the world writes it well");
                    let leadership = |index: &PartitionIndex| {
                        let path = partition_state::path(&TopicPartition::new(topic.clone(), *index));
                        let node = self.zk.node(&path);
                        let state =
                            node.map(|(data, _)| PartitionState::decode(&path, &data).expect("it is written well"));
                        let none = Leadership { leader: None, epoch: ottla_types::LeaderEpoch::NONE };
                        let some = |s: PartitionState| Leadership { leader: s.leader, epoch: s.leader_epoch };
                        (*index, state.map_or(none, some))
                    };
                    Topic::Partitions(assignment.partitions.keys().map(leadership).collect())
                }
            };
            cluster.topics.insert(topic.clone(), found);
        }
        cluster
    }

    /// Whether the view is the tree.
    pub(crate) fn view_is_true(&self) -> Result<(), String> {
        let (known, truth) = (self.watching.view.cluster(), self.cluster());
        if *known != truth {
            return Err(format!("the view is {known:?}, the tree is {truth:?}"));
        }
        if self.watching.told != truth {
            return Err(format!("the changes give {:?}, the tree is {truth:?}", self.watching.told));
        }
        Ok(())
    }

    /// Every log that a partition has and had, with its topic's incarnation.
    fn logs(&self) -> BTreeMap<TopicPartition, BTreeMap<u64, &Log>> {
        let mut logs: BTreeMap<TopicPartition, BTreeMap<u64, &Log>> = BTreeMap::new();
        for (partition, incarnation, log) in &self.archive {
            logs.entry(partition.clone()).or_default().insert(*incarnation, log);
        }
        for (name, topic) in &self.topics {
            for (index, partition) in topic.partitions.iter().enumerate() {
                let at = TopicPartition::new(name.clone(), index as i32);
                logs.entry(at).or_default().insert(topic.incarnation, &partition.log);
            }
        }
        logs
    }

    /// Whether every record is where it was told to be, once, and in order.
    pub(crate) fn judge_logs(&self) {
        let logs = self.logs();
        for (partition, logs) in &logs {
            for (place, (incarnation, log)) in logs.iter().enumerate() {
                // What was sent before the topic was known to be another may come from before: sequences say nothing to a
                // log that knows none.
                let created = |incarnation: &u64| self.application.created_ms[incarnation];
                let end = logs.range(incarnation + 1..).next().map_or(u64::MAX, |(next, _)| created(next));
                let lived = created(incarnation)..end;
                let appeared = self.watching.appeared.get(&partition.topic).into_iter().flatten();
                let known_ms = appeared.filter(|at| lived.contains(at)).max().copied().unwrap_or(u64::MAX);
                self.judge_order(partition, (place > 0).then_some(known_ms), log);
            }
        }
        let mut places: BTreeMap<u64, Vec<(&TopicPartition, u64, Offset)>> = BTreeMap::new();
        for (partition, logs) in &logs {
            for (incarnation, log) in logs {
                for (value, offset) in log.entries.iter().flat_map(Entry::offsets) {
                    places.entry(value).or_default().push((partition, *incarnation, offset));
                }
            }
        }
        for (ticket, batch) in &self.application.batches {
            assert!(batch.is_settled(), "batch {ticket} has records without outcome");
            for (values, Told { outcome, .. }) in batch.told() {
                for (value, place) in values.iter().zip(0..) {
                    let found = places.get(value).into_iter().flatten();
                    let found = found.map(|(of, incarnation, offset)| {
                        assert_eq!(*of, &batch.partition, "{value} is in another partition");
                        (*incarnation, *offset)
                    });
                    // Where the whole batch, or the part, begins if this record is in it.
                    let found = found.map(|(incarnation, offset)| (incarnation, offset - place));
                    self.judge_batch(*ticket, batch, (values, outcome), found.collect());
                }
            }
        }
    }

    fn judge_order(&self, partition: &TopicPartition, known_ms: Option<u64>, log: &Log) {
        let (mut last, mut epoch, mut seen) = (None, 0, BTreeSet::new());
        for entry in &log.entries {
            // What nobody waits for may lie with one leader when another has gone on.
            if self.settings.acks == Acks::None && entry.leader_epoch != epoch {
                (last, epoch) = (None, entry.leader_epoch);
            }
            for value in &entry.values {
                if Some(self.application.opened_ms(*value)) <= known_ms {
                    continue;
                }
                if !seen.insert(*value) {
                    let excused = !self.settings.idempotent && self.application.doubtful.contains(value);
                    assert!(excused, "{partition}: {value} is there twice, again at {}", entry.base_offset);
                    continue;
                }
                assert!(last < Some(*value), "{partition}: {value} comes after {last:?}, at {}", entry.base_offset);
                last = Some(*value);
            }
        }
    }

    /// `found`: the incarnations of the topic and the offsets at which a batch, or a part, is as far as one of its records is concerned.
    fn judge_batch(
        &self,
        ticket: u64,
        batch: &Batch,
        (values, outcome): (&[u64], &Outcome),
        found: Vec<(u64, Offset)>,
    ) {
        let about = || format!("batch {ticket} of {} ({values:?}), told {outcome:?}", batch.partition);
        let acks = self.settings.acks;
        match outcome {
            Ok(_) if acks == Acks::None => {}
            Ok(_) if values.iter().all(|value| self.application.lost.contains(value)) => {
                assert_eq!(acks, Acks::Leader, "lost: {}", about());
            }
            Ok(Some(offset)) => {
                assert!(found.iter().any(|(_, at)| at == offset), "it is at {found:?}: {}", about());
            }
            Ok(None) => {
                assert!(self.profile.forgetful_of_offsets, "no offset: {}", about());
                assert!(!found.is_empty(), "it is nowhere: {}", about());
            }
            Err(why) => {
                // What went with its topic is not written.
                let current = self.incarnation(&batch.partition.topic);
                let found: Vec<(u64, Offset)> = found.into_iter().filter(|(of, _)| Some(*of) == current).collect();
                let doubt = match why {
                    Failure::Timeout { may_be_written, .. } | Failure::Retries { may_be_written, .. } => {
                        *may_be_written
                    }
                    // Its requests may still be under way.
                    Failure::TopicDeleted(_) | Failure::Closed => true,
                    Failure::Refused { code, .. } if is_in_doubt(batch, *code) => true,
                    _ => values.iter().any(|value| self.application.doubtful.contains(value)),
                };
                assert!(doubt || found.is_empty(), "it is at {found:?}: {}", about());
                let sent = self.application.sent.contains(&ticket);
                let said = matches!(why, Failure::Timeout { .. } | Failure::Retries { .. });
                assert!(!doubt || sent || !said, "it was never sent: {}", about());
            }
        }
    }

    /// Whether anything is left to do.
    pub(crate) fn at_rest(&self) -> Result<(), String> {
        let application = &self.application;
        let first = application.open.first().map(|ticket| (ticket, &application.batches[ticket].partition));
        if let Some((ticket, partition)) = first {
            return Err(format!("{} batches have no outcome, first {ticket} of {partition}", application.open.len()));
        }
        if application.blocked {
            return Err("the application waits for room".into());
        }
        if !application.flushes.is_empty() {
            return Err(format!("flushes wait: {:?}", application.flushes));
        }
        if let Some((id, _)) = self.lanes.iter().find(|(_, lane)| !lane.is_idle()) {
            return Err(format!("requests wait for broker {id}"));
        }
        match self.producer.buffered() {
            0 => Ok(()),
            buffered => Err(format!("{buffered} bytes are buffered")),
        }
    }
}
