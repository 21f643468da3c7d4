//! Topics in use and their partitions.

use std::collections::BTreeMap;

use ottla_types::{PartitionIndex, TopicName, TopicPartition};

use crate::broker::PartitionKey;
use crate::partition::Partition;
use crate::sequences::Floor;
use crate::sticky::Sticky;

/// What is known of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing, or nothing any more.
    Unknown,
    /// That there is none.
    Missing,
    /// What its partitions are.
    Present,
}

/// A topic that records were or may be sent to. What was learned of sequences stays when it is out of use.
pub(crate) struct Topic<T> {
    pub(crate) name: TopicName,
    pub(crate) known: Known,
    /// Grows when partitions are deleted: that of the next ones.
    pub(crate) generation: u64,
    /// In the order of their indexes.
    pub(crate) partitions: Vec<Partition<T>>,
    pub(crate) sticky: Sticky,
    pub(crate) floor: Floor,
    /// Bytes that a batch may grow to.
    pub(crate) batch_limit: usize,
}

impl<T> Topic<T> {
    fn new(name: TopicName, batch_limit: usize) -> Topic<T> {
        Topic {
            name,
            known: Known::Unknown,
            generation: 0,
            partitions: Vec::new(),
            sticky: Sticky::default(),
            floor: Floor::default(),
            batch_limit,
        }
    }

    /// The place of a partition: its index, unless some before it are missing.
    #[inline]
    pub(crate) fn place(&self, index: PartitionIndex) -> Option<usize> {
        let place = index as usize;
        match self.partitions.get(place) {
            Some(partition) if partition.index == index => Some(place),
            _ => self.partitions.binary_search_by_key(&index, |partition| partition.index).ok(),
        }
    }

    /// The name of one of its partitions.
    pub(crate) fn partition_name(&self, index: PartitionIndex) -> TopicPartition {
        TopicPartition::new(self.name.clone(), index)
    }
}

/// All topics in use. A topic keeps its place.
pub(crate) struct Topics<T> {
    places: BTreeMap<TopicName, usize>,
    all: Vec<Topic<T>>,
    /// The name that was looked up last, as it came, and its place: most records go where the one before went.
    last: Option<(TopicName, usize)>,
    /// Bytes that a batch of a topic may grow to, unless one of its was too large for its broker.
    pub(crate) batch_limit: usize,
}

impl<T> Topics<T> {
    pub(crate) fn new(batch_limit: usize) -> Topics<T> {
        Topics { places: BTreeMap::new(), all: Vec::new(), last: None, batch_limit }
    }

    /// The place of a topic.
    #[inline]
    pub(crate) fn find(&mut self, name: &TopicName) -> Option<usize> {
        if let Some((last, place)) = &self.last
            && std::ptr::eq(last.as_str(), name.as_str())
        {
            return Some(*place);
        }
        let place = *self.places.get(name)?;
        self.last = Some((name.clone(), place));
        Some(place)
    }

    /// What is known of a topic.
    pub(crate) fn look_up(&self, name: &TopicName) -> Option<&Topic<T>> {
        self.places.get(name).map(|place| &self.all[*place])
    }

    /// The place of a topic, which is given one if it has none.
    pub(crate) fn enter(&mut self, name: &TopicName) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.all.len();
        self.places.insert(name.clone(), place);
        self.all.push(Topic::new(name.clone(), self.batch_limit));
        place
    }

    #[inline]
    pub(crate) fn get(&self, place: usize) -> &Topic<T> {
        &self.all[place]
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, place: usize) -> &mut Topic<T> {
        &mut self.all[place]
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Topic<T>> {
        self.all.iter_mut()
    }

    pub(crate) fn partition_mut(&mut self, (topic, index): PartitionKey) -> Option<&mut Partition<T>> {
        let topic = &mut self.all[topic];
        let place = topic.place(index)?;
        topic.partitions.get_mut(place)
    }

    pub(crate) fn partition(&self, (topic, index): PartitionKey) -> Option<&Partition<T>> {
        let topic = &self.all[topic];
        topic.partitions.get(topic.place(index)?)
    }

    pub(crate) fn partition_name(&self, (topic, index): PartitionKey) -> TopicPartition {
        self.all[topic].partition_name(index)
    }

    /// All partitions that a condition holds for.
    pub(crate) fn keys(&self, which: impl Fn(&Partition<T>) -> bool) -> Vec<PartitionKey> {
        let topics = self.all.iter().enumerate();
        topics
            .flat_map(|(place, topic)| topic.partitions.iter().map(move |partition| (place, partition)))
            .filter(|(_, partition)| which(partition))
            .map(|(place, partition)| (place, partition.index))
            .collect()
    }
}
