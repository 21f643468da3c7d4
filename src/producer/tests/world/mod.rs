//! A world for one producer: the real view and the real producer core, ZooKeeper, a controller, brokers with logs that check
//! sequences as Kafka does, connections that break. One thread, virtual time, a seed: the same seed is the same run.
//!
//! The world checks at each step what must never happen (an outcome told twice, a deadline that is due at once again, a broker
//! that is asked a thousand times in a second); [`verdict`] checks the logs at the end.

pub(crate) mod application;
pub(crate) mod brokers;
pub(crate) mod chaos;
pub(crate) mod controller;
pub(crate) mod lanes;
pub(crate) mod log;
pub(crate) mod metadata;
pub(crate) mod verdict;
pub(crate) mod watching;
pub(crate) mod zookeeper;

use std::collections::{BTreeMap, BTreeSet};

use ottla_producer::{Effect, Event, Producer, Report, Settings};
use ottla_types::{BrokerId, TopicName, TopicPartition};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use application::{Application, Ticket};
use brokers::Broker;
use controller::Topic;
use lanes::Lane;
use log::Log;
use metadata::Metadata;
use watching::Watching;
use zookeeper::ZooKeeper;

/// How the world behaves. Times in ms; `(least, most)`.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// What a packet takes in one direction.
    pub(crate) leg_ms: (u64, u64),
    /// After how long brokers hear what the controller wrote.
    pub(crate) tell_ms: (u64, u64),
    /// What a broker needs for a request.
    pub(crate) serve_ms: (u64, u64),
    /// What it takes until all in-sync replicas have a batch.
    pub(crate) commit_ms: (u64, u64),
    /// After how long a connection's task hears what it is told.
    pub(crate) local_ms: (u64, u64),
    /// What it takes to make a batch's bytes.
    pub(crate) seal_ms: (u64, u64),
    /// Brokers are asked for Metadata, and nothing is watched.
    pub(crate) metadata: bool,
    /// How far ZooKeeper's server may be behind its leader.
    pub(crate) zk_lag_ms: u64,
    /// How late a watch event may come after the answers that were sent behind it.
    pub(crate) watch_late_ms: u64,
    /// One request in so many meets a broker in trouble; 0: none.
    pub(crate) trouble_one_in: u32,
    /// What a topic that is made, or changed, may take in a batch, in bytes.
    pub(crate) max_message_bytes: (usize, usize),
    /// One batch in so many is refused for good, or as too large; 0: none.
    pub(crate) refused_one_in: u32,
    /// One connection in so many breaks at a request; 0: none.
    pub(crate) break_one_in: u32,
    /// A connection's next request is looked at when the one before is answered, as Kafka's brokers do.
    pub(crate) serial: bool,
    /// Brokers that answer UNKNOWN_PRODUCER_ID to a producer whose records they have lost (before KIP-360).
    pub(crate) old_brokers: bool,
    /// Brokers that answer DUPLICATE_SEQUENCE_NUMBER and do not know the offset.
    pub(crate) forgetful_of_offsets: bool,
    /// One InitProducerId in so many fails; 0: none.
    pub(crate) no_producer_id_one_in: u32,
    /// The epoch of a new producer id.
    pub(crate) first_epoch: i16,
}

impl Default for Profile {
    /// Nothing goes wrong and a packet takes a millisecond.
    fn default() -> Profile {
        Profile {
            leg_ms: (1, 1),
            tell_ms: (1, 1),
            serve_ms: (0, 0),
            commit_ms: (1, 1),
            local_ms: (0, 0),
            seal_ms: (0, 0),
            metadata: false,
            zk_lag_ms: 0,
            watch_late_ms: 0,
            trouble_one_in: 0,
            max_message_bytes: (1 << 20, 1 << 20),
            refused_one_in: 0,
            break_one_in: 0,
            serial: true,
            old_brokers: false,
            forgetful_of_offsets: false,
            no_producer_id_one_in: 0,
            first_epoch: 0,
        }
    }
}

/// A value as a line in which bytes are text and nothing is long.
fn shown(value: &dyn std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let (mut line, mut rest) = (String::new(), text.as_str());
    while let Some((before, list)) = rest.split_once('[') {
        let (inside, after) = list.split_once(']').unwrap_or((list, ""));
        line.push_str(before);
        let bytes: Option<Vec<u8>> = inside.split(", ").map(|byte| byte.parse().ok()).collect();
        match bytes {
            Some(bytes) => line.push_str(&format!("'{}'", String::from_utf8_lossy(&bytes))),
            None => {
                line.push('[');
                rest = list;
                continue;
            }
        }
        rest = after;
    }
    line.push_str(rest);
    line.chars().take(400).collect()
}

/// Something that is going to happen.
type Happening = Box<dyn FnOnce(&mut World)>;

pub(crate) struct World {
    /// Virtual time, ms.
    pub(crate) now: u64,
    pub(crate) random: StdRng,
    pub(crate) profile: Profile,
    pub(crate) settings: Settings,
    pub(crate) zk: ZooKeeper,
    pub(crate) watching: Watching,
    metadata: Metadata,
    pub(crate) brokers: BTreeMap<BrokerId, Broker>,
    pub(crate) topics: BTreeMap<TopicName, Topic>,
    /// Logs of topics that were deleted, with their incarnations.
    pub(crate) archive: Vec<(TopicPartition, u64, Log)>,
    pub(crate) producer: Producer<Ticket>,
    pub(crate) lanes: BTreeMap<BrokerId, Lane>,
    pub(crate) application: Application,
    /// What went wrong, for the count.
    pub(crate) tried: BTreeSet<&'static str>,
    /// What happened, if somebody wants to know.
    pub(crate) trace: Option<Vec<String>>,
    /// For which of the producer's deadlines an alarm is set.
    alarm: Option<u64>,
    /// Producer ids that were given out.
    producer_ids: i64,
    queue: BTreeMap<(u64, u64), Happening>,
    next: u64,
}

impl World {
    pub(crate) fn new(seed: u64, profile: Profile, settings: Settings) -> World {
        World {
            now: 1_000,
            random: StdRng::seed_from_u64(seed),
            profile,
            zk: ZooKeeper::new(),
            watching: Watching::new(),
            metadata: Metadata::default(),
            brokers: BTreeMap::new(),
            topics: BTreeMap::new(),
            archive: vec![],
            producer: Producer::new(settings.clone()),
            settings,
            lanes: BTreeMap::new(),
            application: Application::default(),
            tried: BTreeSet::new(),
            trace: None,
            alarm: None,
            producer_ids: 0,
            queue: BTreeMap::new(),
            next: 0,
        }
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{} {}", self.now, line()));
        }
    }

    pub(crate) fn at(&mut self, at: u64, what: impl FnOnce(&mut World) + 'static) {
        self.next += 1;
        self.queue.insert((at.max(self.now), self.next), Box::new(what));
    }

    pub(crate) fn after(&mut self, ms: u64, what: impl FnOnce(&mut World) + 'static) {
        self.at(self.now + ms, what);
    }

    pub(crate) fn one_in(&mut self, n: u32) -> bool {
        n > 0 && self.random.random_range(0..n) == 0
    }

    pub(crate) fn between(&mut self, (least, most): (u64, u64)) -> u64 {
        self.random.random_range(least..=most)
    }

    /// How long a packet takes.
    pub(crate) fn leg(&mut self) -> u64 {
        self.between(self.profile.leg_ms)
    }

    /// Lets everything happen up to a time.
    pub(crate) fn run_until(&mut self, end: u64) {
        let (mut at, mut steps) = (self.now, 0);
        while let Some(entry) = self.queue.first_entry() {
            let due = entry.key().0;
            if due > end {
                break;
            }
            let happening = entry.remove();
            self.now = self.now.max(due);
            steps = if at == self.now { steps + 1 } else { 0 };
            at = self.now;
            assert!(steps < 20_000, "time stands still: somebody asks and asks");
            happening(self);
        }
        self.now = self.now.max(end);
    }

    pub(crate) fn run_for(&mut self, ms: u64) {
        self.run_until(self.now + ms);
    }

    /// Lets everything happen while that holds; how long that was, or none if longer than `most_ms`.
    pub(crate) fn run_while(&mut self, most_ms: u64, mut goes_on: impl FnMut(&World) -> bool) -> Option<u64> {
        let begin = self.now;
        while goes_on(self) {
            if self.now - begin >= most_ms {
                return None;
            }
            self.run_for(1);
        }
        Some(self.now - begin)
    }

    /// Something happened to the producer.
    pub(crate) fn tell(&mut self, event: Event) {
        self.note(|| format!("producer <- {}", shown(&event)));
        let mut out = vec![];
        self.producer.step(self.now, event, &mut out);
        self.perform(out);
    }

    /// Does what the producer asks for, and has it woken in time.
    pub(crate) fn perform(&mut self, out: Vec<Effect<Ticket>>) {
        for effect in out {
            self.note(|| format!("producer -> {}", shown(&effect)));
            match effect {
                Effect::Wake(broker) => self.wake(broker),
                Effect::Disconnect(broker) => self.disconnect(broker),
                Effect::GetProducerId => self.give_producer_id(),
                Effect::Doubt(partition) => self.after(0, move |world| world.doubt(partition)),
                Effect::Delivered { ticket, records, base_offset, .. } => {
                    self.delivered(ticket, records, base_offset);
                }
                Effect::Failed { ticket, records, why } => self.failed(ticket, records, why),
                Effect::Room => self.application.room(),
                Effect::Flushed { token } => self.application.flushed(token),
                Effect::Closed => self.application.closed(),
                Effect::Report(Report::EpochBumped { .. }) => _ = self.tried.insert("sequences began anew"),
                Effect::Report(_) => {}
            }
        }
        self.arm();
    }

    fn arm(&mut self) {
        let deadline = self.producer.next_deadline();
        if deadline == self.alarm {
            return;
        }
        self.alarm = deadline;
        let Some(at) = deadline else { return };
        self.at(at, move |world| {
            if world.alarm == Some(at) {
                world.alarm = None;
                world.tell(Event::TimePassed);
                let next = world.producer.next_deadline();
                assert!(
                    next.is_none_or(|next| next > world.now),
                    "the time that has passed is waited for again: {next:?}"
                );
            }
        });
    }

    fn give_producer_id(&mut self) {
        self.producer_ids += 1;
        if self.producer_ids > 1 {
            self.tried.insert("a new producer id");
        }
        let outcome = match self.one_in(self.profile.no_producer_id_one_in) {
            true => Err((15, "COORDINATOR_NOT_AVAILABLE".to_owned())),
            false => Ok((1_000 + self.producer_ids, self.profile.first_epoch)),
        };
        let took = self.leg() + self.leg();
        self.after(took, move |world| world.tell(Event::ProducerId { outcome }));
    }
}
