//! One difference between what was known before and what is known now.

use std::collections::BTreeSet;

use ottla_types::{BrokerId, TopicName, TopicPartition};

use crate::{Broker, Leadership, Topic};

/// One thing that has changed. Applied one after another, changes give the [`Cluster`](crate::Cluster).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A broker registered, registered again, or changed where it can be reached.
    BrokerCame {
        /// Its id.
        id: BrokerId,
        /// What it is now.
        broker: Broker,
    },
    /// A broker's registration is gone.
    BrokerWent {
        /// Its id.
        id: BrokerId,
    },
    /// A topic in use was read for the first time, created, deleted, or got more partitions; the whole of it as it is now. A
    /// topic that was deleted and made again is told as missing in between.
    Topic {
        /// Its name.
        name: TopicName,
        /// What it is now.
        topic: Topic,
    },
    /// A topic is in use no more and is forgotten.
    TopicForgotten {
        /// Its name.
        name: TopicName,
    },
    /// A partition's leader or leader epoch.
    Leader {
        /// The partition.
        partition: TopicPartition,
        /// Who leads it now.
        leadership: Leadership,
    },
    /// The list of all topics, when it was read first and whenever it differs.
    TopicNames {
        /// Those that are new.
        added: BTreeSet<TopicName>,
        /// Those that are gone.
        removed: BTreeSet<TopicName>,
    },
}
