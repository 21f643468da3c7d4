//! A ZooKeeper that answers nonsense: whatever it says, a view neither panics nor spins, keeps no more than it was sent,
//! and is well again as soon as the answers make sense.

use std::collections::BTreeMap;

use ottla_jute::Stat;
use ottla_types::{TopicName, TopicPartition};
use ottla_view::{Cluster, Effect, Event, Report, Settings, Topic, View};
use ottla_znodes::{Failure, Refusal, Reply, Request, RequestId};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

const TEXTS: &[&str] = &[
    "",
    "{}",
    "[]",
    "null",
    r#"{"version":5,"endpoints":["PLAINTEXT://h:9092"],"jmx_port":-1}"#,
    r#"{"version":1,"host":"h","port":9092,"jmx_port":-1}"#,
    r#"{"version":5,"endpoints":["PLAINTEXT://[::1]:65536"],"jmx_port":2147483648}"#,
    r#"{"version":2,"endpoints":["X://h:1"],"listener_security_protocol_map":{"X":"X"},"jmx_port":1}"#,
    r#"{"partitions":{"0":[1],"1":[2,3]},"topic_id":"AAAAAAAAAAAAAAAAAAAAAQ","version":3}"#,
    r#"{"partitions":{"2147483647":[1],"7":[]}}"#,
    r#"{"partitions":{"2147483648":[1]}}"#,
    r#"{"partitions":{"-0":[1],"+3":[1],"03":[1]}}"#,
    r#"{"partitions":{"0":[1],"0":[2],"00":[3]}}"#,
    r#"{"controller_epoch":1,"leader":1,"version":1,"leader_epoch":7,"isr":[1]}"#,
    r#"{"controller_epoch":-1,"leader":-2147483648,"version":1,"leader_epoch":-2147483648,"isr":[]}"#,
    r#"{"controller_epoch":1,"leader":1e99,"version":1,"leader_epoch":7,"isr":[1]}"#,
];

const NAMES: &[&str] = &[
    "1",
    "2",
    "+1",
    "01",
    "-1",
    "2147483647",
    "2147483648",
    "",
    "t",
    "u",
    ".",
    "..",
    "a b",
    "t/partitions/0/state",
    "\u{0}",
    "日本",
];

/// More brokers or partitions than these texts name cannot come of them.
const MOST: usize = 4;

fn bytes(random: &mut StdRng) -> Vec<u8> {
    let text = TEXTS.choose(random).expect("there are some");
    let mut bytes = text.as_bytes().to_vec();
    if random.random_bool(0.3) && !bytes.is_empty() {
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..3) {
            0 => bytes.truncate(at),
            1 => bytes[at] = random.random(),
            _ => bytes.insert(at, random.random()),
        }
    }
    bytes
}

fn stat(random: &mut StdRng) -> Stat {
    Stat { czxid: random.random_range(-1..3), ..Stat::default() }
}

fn outcome(random: &mut StdRng, request: &Request) -> Result<Reply, Failure> {
    let refusals = [Refusal::NoNode, Refusal::NodeExists, Refusal::BadVersion, Refusal::NotEmpty, Refusal::Other(-102)];
    match random.random_range(0..60) {
        0 => Err(Failure::Unknown),
        1 => Err(Failure::Expired),
        2..6 => Err(Failure::Refused { at: 7, why: *refusals.choose(random).expect("there are some") }),
        // An answer of another kind.
        6 => Ok(Reply::Written(vec![None; 3])),
        7 => Ok(Reply::Data(bytes(random), stat(random))),
        8 => Ok(Reply::Children(vec!["1".into()])),
        9 => Ok(Reply::Stat(random.random_bool(0.5).then(|| stat(random)))),
        10 => Ok(Reply::Synced),
        _ => Ok(match request {
            Request::Get { .. } => Reply::Data(bytes(random), stat(random)),
            Request::Exists { .. } => Reply::Stat(random.random_bool(0.7).then(|| stat(random))),
            Request::Children { .. } => {
                Reply::Children(NAMES.iter().filter(|_| random.random_bool(0.5)).map(|name| (*name).into()).collect())
            }
            Request::Sync { .. } => Reply::Synced,
            Request::Write(_) => panic!("a view writes nothing"),
        }),
    }
}

/// What there is if nothing is there.
fn nothing(request: &Request) -> Result<Reply, Failure> {
    match request {
        Request::Get { .. } | Request::Children { .. } => Err(Failure::Refused { at: 0, why: Refusal::NoNode }),
        Request::Exists { .. } => Ok(Reply::Stat(None)),
        Request::Sync { .. } => Ok(Reply::Synced),
        Request::Write(_) => panic!("a view writes nothing"),
    }
}

struct Nonsense {
    random: StdRng,
    view: View,
    now_ms: u64,
    open: BTreeMap<RequestId, Request>,
    sent: usize,
    changes: usize,
}

impl Nonsense {
    fn step(&mut self, event: Event) {
        let mut out = vec![];
        self.view.step(self.now_ms, event, &mut out);
        for effect in out {
            match effect {
                Effect::Send { id, request } => {
                    self.sent += 1;
                    assert_eq!(self.open.insert(id, request), None, "numbers are not used twice");
                }
                Effect::Changed(_) => self.changes += 1,
                Effect::Report(Report::Unreadable { why, .. }) => assert!(why.len() < 500, "{why}"),
                Effect::Report(_) => {}
            }
        }
        let due = self.view.next_deadline().is_some_and(|at| at <= self.now_ms);
        assert!(!due, "what is due is not done by a step");
        let Cluster { brokers, topics, topic_names } = self.view.cluster();
        assert!(brokers.len() <= MOST && topics.len() <= 2, "{brokers:?} {topics:?}");
        assert!(topic_names.as_ref().is_none_or(|names| names.len() <= NAMES.len()));
        for topic in topics.values() {
            assert!(matches!(topic, Topic::Partitions(known) if known.len() <= MOST) || *topic == Topic::Missing);
        }
    }

    fn happen(&mut self) {
        let name = TopicName::new(["t", "u"].choose(&mut self.random).expect("there are some")).expect("it is a name");
        let paths =
            ["/brokers/ids", "/brokers/ids/1", "/brokers/topics/t", "/brokers/topics/t/partitions/0/state", "", "/"];
        let event = match self.random.random_range(0..100) {
            0 => Event::SessionStarted,
            1 if self.random.random_bool(0.2) => Event::SessionExpired,
            2 => Event::Reconnected,
            3..5 => Event::Doubted(TopicPartition::new(name, self.random.random_range(-1..3))),
            5..8 => Event::TopicUsed(name),
            8 => Event::TopicUnused(name),
            9 => Event::TopicNamesWanted,
            10..14 => {
                let path = (*paths.choose(&mut self.random).expect("there are some")).into();
                Event::Changed { path, children: self.random.random() }
            }
            // One that was never sent.
            14 => Event::Answered { request: u64::MAX, outcome: Ok(Reply::Synced) },
            15..25 => {
                self.now_ms += self.random.random_range(0..200);
                Event::TimePassed
            }
            _ => {
                let ids: Vec<RequestId> = self.open.keys().copied().collect();
                let Some(request) = ids.choose(&mut self.random).copied() else { return };
                let asked = self.open.remove(&request).expect("it is open");
                Event::Answered { request, outcome: outcome(&mut self.random, &asked) }
            }
        };
        self.step(event);
    }
}

fn run(seed: u64) -> usize {
    let (random, view) = (StdRng::seed_from_u64(seed), View::new(Settings::default()));
    let mut world = Nonsense { random, view, now_ms: 0, open: BTreeMap::new(), sent: 0, changes: 0 };
    world.step(Event::SessionStarted);
    for _ in 0..400 {
        world.happen();
    }
    assert!(world.sent < 3_000, "seed {seed}: {} requests", world.sent);
    // The next server makes sense.
    world.open.clear();
    world.step(Event::SessionExpired);
    world.step(Event::SessionStarted);
    for _ in 0..200 {
        let Some((request, asked)) = world.open.pop_first() else { break };
        world.step(Event::Answered { request, outcome: nothing(&asked) });
    }
    assert!(world.view.is_current(), "seed {seed}: {:?}", world.view);
    assert!(world.view.cluster().brokers.is_empty());
    assert!(world.view.cluster().topics.values().all(|topic| *topic == Topic::Missing), "seed {seed}");
    world.changes
}

#[test]
fn nonsense_neither_panics_nor_spins_and_is_forgotten() {
    let changes: usize = (0..300).map(run).sum();
    assert!(changes > 3_000, "{changes} changes: too much nonsense to get anywhere");
}

#[test]
fn a_partition_number_beyond_reason_is_one_partition() {
    let mut view = View::new(Settings::default());
    let (mut out, topic) = (vec![], TopicName::new("t").expect("it is a name"));
    view.step(0, Event::SessionStarted, &mut out);
    out.clear();
    view.step(0, Event::TopicUsed(topic.clone()), &mut out);
    let [Effect::Send { id, .. }] = out[..] else { panic!("{out:?}") };
    out.clear();
    let data = br#"{"partitions":{"2147483647":[1]}}"#.to_vec();
    view.step(0, Event::Answered { request: id, outcome: Ok(Reply::Data(data, Stat::default())) }, &mut out);
    assert_eq!(out.len(), 2, "one change, one read: {out:?}");
    assert!(matches!(&view.cluster().topics[&topic], Topic::Partitions(known) if known.len() == 1));
}
