//! A member of a classic consumer group, which lives in ZooKeeper, as a value without I/O.
//!
//! [`Member::step`] takes one [`Event`] and answers with [`Effect`]s; a driver keeps the session, sends requests,
//! fetches and hands out records. There is no clock and no chance in here. The znodes are those of Kafka's
//! `ZookeeperConsumerConnector` (`zk-schema/consumers.rs`), so that its members can be in the same group; `plan` and
//! `planner` are ours, and old members do not look at them.
//!
//! # Why a plan
//!
//! In the old design each member watches the group and, at each change, computes the whole assignment from what it
//! reads then: n members read n registrations each, at different moments, and claim what they believe in; who meets an
//! owner lets go of everything, sleeps two seconds, and gives up after four tries. Here one member holds the office
//! (`planner`, an ephemeral node, first come), watches the three things that may change an assignment (members, topics
//! that match, partitions of those), waits until the group is quiet, decides (`plan`), and writes one numbered
//! decision. Everybody else watches two nodes. A change costs one read for each member and a few requests for each
//! partition that moves. When the planner dies, each tries to take the office, and whoever gets it goes on from the
//! plan that it finds.
//!
//! The plan is advice. Nothing becomes unsafe if it is removed, broken, old, or written by a stranger: members keep
//! what they have, and the planner writes the next. What must hold is held by the owner nodes.
//!
//! # One partition's life
//!
//! looking → blocked → free → claiming → fencing → fenced → delivering → stopping → leaving (`claim`). Nothing reacts
//! to an edge: every event marks what it concerns, and `settle` compares what is with what the plan says and asks for
//! the one next thing. So an event that is missed, doubled or late changes nothing in the outcome, and an answer that
//! is lost ([`Failure::Unknown`]) costs a sync and a read: the server that is found next may be behind what the leader
//! took from the connection that broke.
//!
//! A partition that stays with its stream is not touched by a change of
//! plan. One that moves is committed and released in one write by its owner, and claimed in the moment of the deletion
//! by the next, who watches the owner node; no timer, no number of tries. Claims are one write for all that is gained,
//! which happens as a whole or not.
//!
//! # What fences what
//!
//! - *Ours* means that `ephemeralOwner` is this session. Text proves nothing: a ghost of our own name may hold the
//!   node.
//! - Every write checks the own registration. Its id is new for each session, so nothing is written for a session that
//!   has ended, whoever sends it late.
//! - A commit also checks the owner node and expects the version of the offset that was seen last. A new owner writes
//!   the offset back before it begins: a commit of the owner before, still under way, then expects a version that is
//!   gone.
//! - The owner node is watched while it is ours. Removed by hand: delivery is abandoned, and the partition claimed
//!   again.
//! - An offset moves backwards only if the application sought. Somebody else's that is ahead of us is left alone.
//! - An offset older than its topic (`mzxid` below the topic's `czxid`) is its namesake's and not used. A topic that
//!   was replaced leaves the plan once, so that everybody lets go of it, without a commit.
//! - Records are handed out under a lease (`lease`): from the sending of the last answered request for one session
//!   timeout, less a margin. A process that was stopped for longer finds its lease over before it finds its session
//!   gone.
//!
//! # Beside old members
//!
//! They compute range over the thread ids of the whole group and follow no plan; so does the plan, as soon as one of
//! them is registered. What they hold is waited for; what they are to take is let go. Registrations that cannot be read
//! are left out and named, where the old consumer fails as a whole.
//!
//! # Differences to Kafka's consumer
//!
//! - Nobody stops but for what moves; `rebalance.max.retries` and `rebalance.backoff.ms` have no meaning.
//! - A start position that the partition's leader named is written before delivery begins, not with the first commit.
//! - `consumer.id` that is in use by another session is an error at once, not a wait.
//! - A commit of many partitions is one write for each hundred; one that is refused does not hold up the others.
//! - Who closes deletes its nodes, instead of leaving that to the end of the session.
//! - Broker nodes are neither read nor watched: where a partition's leader is, is the driver's business.
//! - A member that ZooKeeper refuses what every member must do leaves the group and says so ([`Effect::Failed`]),
//!   instead of counting in it without consuming.

mod answers;
mod batch;
mod claim;
mod claims;
mod commits;
mod effect;
mod event;
mod filter;
mod folders;
mod identity;
mod lease;
mod member;
mod office;
mod plan;
mod plan_node;
mod planner;
mod registration;
mod requests;
mod settings;
mod subscription;

pub use effect::{CommitError, Effect, Fatal, Report};
pub use event::{Event, Position};
pub use filter::{FilterError, TopicFilter};
pub use member::Member;
pub use plan::{Decision, RANGE, ROUND_ROBIN, Registered, STICKY, decide};
pub use settings::{Debounce, Settings};
pub use subscription::{Filters, MAX_STREAMS, Subscription, SubscriptionError};
