//! What is to be learnt of the cluster, and what stands in the way.

use std::collections::BTreeSet;
use std::sync::Mutex;

use ottla_types::{TopicName, TopicPartition};
use tokio::sync::Notify;

use super::shared::lock;

/// What is to be learnt of the cluster. Each thing is wanted once, however often it was asked for.
#[derive(Debug, Default)]
pub(super) struct Wants {
    wanted: Mutex<Wanted>,
    pub(super) changed: Notify,
}

/// What whoever learns of the cluster has not been told yet.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) topics: BTreeSet<TopicName>,
    pub(super) doubted: BTreeSet<TopicPartition>,
    pub(super) names: bool,
    /// Something has gone otherwise than by what is known. Watches would have told; who has none asks.
    pub(super) surprised: bool,
}

impl Wants {
    pub(super) fn add(&self, add: impl FnOnce(&mut Wanted)) {
        add(&mut lock(&self.wanted));
        self.changed.notify_one();
    }

    /// A topic is sent to.
    pub(super) fn topic(&self, topic: TopicName) {
        self.add(|wanted| {
            wanted.topics.insert(topic);
        });
    }

    /// The names of all topics.
    pub(super) fn names(&self) {
        self.add(|wanted| wanted.names = true);
    }

    /// What was wanted since the last call.
    pub(super) fn take(&self) -> Wanted {
        std::mem::take(&mut *lock(&self.wanted))
    }
}

/// What stood in the way last of learning more of the cluster; nothing, most of the time.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<Option<String>>);

impl Trouble {
    pub(super) fn set(&self, why: String) {
        *lock(&self.0) = Some(why);
    }

    pub(super) fn clear(&self) {
        *lock(&self.0) = None;
    }

    pub(super) fn get(&self) -> String {
        lock(&self.0).clone().unwrap_or_else(|| "no answer yet".into())
    }
}
