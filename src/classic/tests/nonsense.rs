//! A ZooKeeper that answers nonsense: whatever it says, a member neither panics nor spins nor asks for what it may not.

use std::collections::BTreeSet;

use ottla_classic::{Effect, Event, Member, Position, Settings, Subscription};
use ottla_jute::Stat;
use ottla_types::{TopicName, TopicPartition};
use ottla_znodes::{Failure, Op, Refusal, Reply, Request, RequestId};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

const TEXTS: &[&str] = &[
    "",
    "7",
    "-1",
    "x",
    "me-0",
    "me-1",
    r#"{"version":1,"subscription":{"t":2},"pattern":"static"}"#,
    r#"{"version":1,"subscription":{"t.*":1},"pattern":"white_list","assignor":"sticky"}"#,
    r#"{"version":1,"partitions":{"0":[1],"1":[1],"2":[]}}"#,
    r#"{"generation":1,"assignor":"x","planner":"y","timestamp":"1","streams":["me-0","me-1","o-0"],"topics":{"t":[0,1,2]}}"#,
    r#"{"generation":2147483647,"assignor":"x","planner":"y","timestamp":"1","streams":["me-0","me-1"],"topics":{"t":[0,0,1],"u":[0]}}"#,
];

fn stat(random: &mut StdRng) -> Stat {
    Stat {
        czxid: random.random_range(0..3),
        mzxid: random.random_range(0..3),
        version: random.random_range(-1..3),
        ephemeral_owner: if random.random_bool(0.8) { 1 } else { random.random_range(0..3) },
        ..Stat::default()
    }
}

fn outcome(random: &mut StdRng, request: &Request) -> Result<Reply, Failure> {
    let names = ["me", "other", "t", "u", "__consumer_offsets", "a b", ""];
    let refusals = [Refusal::NoNode, Refusal::NodeExists, Refusal::BadVersion, Refusal::NotEmpty, Refusal::Other(-102)];
    match random.random_range(0..60) {
        0 => Err(Failure::Unknown),
        1 => Err(Failure::Expired),
        2..5 => Err(Failure::Refused {
            at: random.random_range(0..4),
            why: *refusals.choose(random).expect("there are some"),
        }),
        // An answer of another kind.
        5 => Ok(Reply::Written(vec![None; random.random_range(0..9)])),
        6 => Ok(Reply::Stat(Some(stat(random)))),
        _ => Ok(match request {
            Request::Get { path, .. } => {
                let sensible = match path {
                    _ if random.random_bool(0.2) => None,
                    path if path.ends_with("plan") => TEXTS.last(),
                    path if path.contains("offsets") => TEXTS.get(1),
                    path if path.contains("owners") => TEXTS.get(4),
                    path if path.contains("ids") => TEXTS.get(7),
                    _ => TEXTS.get(8),
                };
                let text = sensible.unwrap_or_else(|| TEXTS.choose(random).expect("there are some"));
                Reply::Data(text.as_bytes().to_vec(), stat(random))
            }
            Request::Exists { .. } => Reply::Stat(random.random_bool(0.7).then(|| stat(random))),
            Request::Children { .. } => {
                Reply::Children(names.iter().filter(|_| random.random_bool(0.5)).map(|name| (*name).into()).collect())
            }
            Request::Write(ops) => {
                Reply::Written(ops.iter().map(|op| matches!(op, Op::Set { .. }).then(|| stat(random))).collect())
            }
            Request::Sync { .. } => Reply::Synced,
        }),
    }
}

fn run(seed: u64) -> usize {
    let mut random = StdRng::seed_from_u64(seed);
    let name = |name| TopicName::new(name).expect("it is a name");
    let partition = |index| TopicPartition::new(name("t"), index);
    let subscription = match random.random_bool(0.5) {
        true => Subscription::topics([(name("t"), 2)]),
        false => Subscription::white_list("t|u", 2, true),
    };
    let settings = Settings { commit_interval_ms: Some(50), ..Settings::new("g", subscription.expect("it is right")) };
    let mut member = Member::new(settings);
    let (mut now_ms, mut open) = (0, Vec::<(RequestId, Request)>::new());
    let mut delivered: BTreeSet<TopicPartition> = BTreeSet::new();
    let (mut sent, mut starts) = (0, 0);
    let mut stopping: BTreeSet<TopicPartition> = BTreeSet::new();
    for turn in 0..400 {
        let position = Position { offset: random.random_range(-2..9), sought: random.random_bool(0.2) };
        let watched =
            ["plan", "planner", "ids", "ids/other", "owners/t/0", "owners/t/1", "offsets/t/1", "offsets/t/-1"];
        let event = match random.random_range(0..100) {
            _ if turn % 200 == 0 => {
                Event::SessionStarted { session_id: 1, timeout_ms: 600, consumer_id: "me".into(), wall_ms: -5 }
            }
            3 if random.random_bool(0.05) => Event::SessionExpired,
            4..6 => Event::Reconnected,
            6..10 => Event::Changed {
                path: format!("/consumers/g/{}", watched.choose(&mut random).expect("there are some")),
                children: random.random_bool(0.3),
            },
            10 => Event::Changed { path: "/brokers/topics/t".into(), children: false },
            11..14 => Event::StartFound { partition: partition(random.random_range(0..3)), offset: 5 },
            14..20 => {
                let partition = partition(random.random_range(0..3));
                if stopping.remove(&partition) {
                    delivered.remove(&partition);
                }
                Event::Stopped { partition, position }
            }
            20..23 => Event::Positions(vec![(partition(random.random_range(0..9)), position)]),
            23 => Event::CommitAsked { token: turn },
            24 if random.random_bool(0.1) => Event::CloseAsked { commit: random.random_bool(0.5) },
            25..35 => {
                now_ms += random.random_range(0..200);
                Event::TimePassed
            }
            _ if !open.is_empty() => {
                let (request, asked) = open.swap_remove(random.random_range(0..open.len()));
                Event::Answered { request, sent_ms: now_ms, outcome: outcome(&mut random, &asked) }
            }
            _ => Event::TimePassed,
        };
        let mut out = Vec::new();
        member.step(now_ms, event, &mut out);
        for effect in out {
            match effect {
                Effect::Send { id, request } => {
                    sent += 1;
                    if let Request::Write(ops) = &request {
                        assert!(ops.len() <= 201, "seed {seed}: {} operations", ops.len());
                    }
                    open.push((id, request));
                }
                Effect::Start { partition, stream, offset } => {
                    starts += 1;
                    assert!(delivered.insert(partition), "seed {seed}: started twice");
                    assert!(stream < 2 && offset >= 0, "seed {seed}: stream {stream} from {offset}");
                }
                Effect::Abandon { partition } => {
                    stopping.remove(&partition);
                    assert!(delivered.remove(&partition), "seed {seed}: abandoned, and not started");
                }
                Effect::Stop { partition } => {
                    assert!(delivered.contains(&partition), "seed {seed}: stopped, and not started");
                    assert!(stopping.insert(partition), "seed {seed}: stopped twice");
                }
                _ => {}
            }
        }
        // Whatever is due now is done by a step: nothing may be due again at the same time.
        if member.next_deadline().is_some_and(|at| at <= now_ms) {
            let mut more = Vec::new();
            member.step(now_ms, Event::TimePassed, &mut more);
            assert!(member.next_deadline().is_none_or(|at| at > now_ms), "seed {seed}: a deadline does not pass");
            assert!(more.len() < 100, "seed {seed}: {more:?}");
        }
    }
    assert!(sent < 4_000, "seed {seed}: {sent} requests");
    starts
}

#[test]
fn nonsense_neither_panics_nor_spins() {
    let starts: usize = (0..300).map(run).sum();
    assert!(starts > 100, "{starts} starts: too much nonsense to get anywhere");
}
