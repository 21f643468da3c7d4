//! What the application chose.

use crate::subscription::Subscription;

/// What a member is to do and how fast. Times in ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `group.id`: one path segment.
    pub group: String,
    /// What it wants to consume.
    pub subscription: Subscription,
    /// `partition.assignment.strategy`: [`STICKY`](crate::STICKY), [`RANGE`](crate::RANGE) or [`ROUND_ROBIN`](crate::ROUND_ROBIN). It holds
    /// if all members of the group are of this mind.
    pub assignor: String,
    /// `exclude.internal.topics`, applied to every filter of the group when this member plans.
    pub exclude_internal_topics: bool,
    /// `auto.commit.interval.ms`, if `auto.commit.enable`.
    pub commit_interval_ms: Option<u64>,
    /// How the planner waits for a change to be over.
    pub debounce: Debounce,
    /// Debounce of the very first plan of a group, and when several members join at once.
    pub storm_debounce: Debounce,
    /// Heartbeats in one session timeout.
    pub heartbeats: u64,
    /// How long before the session can end delivery stops.
    pub lease_margin_ms: u64,
}

/// A plan is made when nothing changed for `quiet_ms`, and at the latest `most_ms` after the first change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the sentence above names them")]
pub struct Debounce {
    pub quiet_ms: u64,
    pub most_ms: u64,
}

impl Settings {
    /// The defaults for a group and a subscription.
    pub fn new(group: &str, subscription: Subscription) -> Settings {
        Settings {
            group: group.into(),
            subscription,
            assignor: crate::plan::STICKY.into(),
            exclude_internal_topics: true,
            commit_interval_ms: Some(60_000),
            debounce: Debounce { quiet_ms: 20, most_ms: 100 },
            storm_debounce: Debounce { quiet_ms: 60, most_ms: 400 },
            heartbeats: 3,
            lease_margin_ms: 500,
        }
    }
}
