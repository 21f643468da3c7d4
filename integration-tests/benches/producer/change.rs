//! How soon producers follow a change of leader: by election while both replicas live, and after `kill -9`.
//!
//! Each producer sends a record each millisecond to a topic of its own and prints each record's offset when its success is told.
//! With acks=all that takes more than the new leader: its follower must have heard of it as well, and fetched twice. What the
//! leader alone takes is seen with acks=1; records may be lost then, as that means.
//!
//! A move begins when the controller writes the partition's state node, by that node's own time. It ends with the first success
//! of a record that the log says was appended in the new leader's epoch. How much of that the new leader takes itself is told
//! apart.
//!
//! Elections are taken through by one producer after the other. A killed broker takes ten seconds until it is back, so
//! all producers go through the same deaths.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::clients::{Client, Side};
use super::cluster::{Cluster, Led};
use super::probe::Probe;
use crate::failure::{During, Failure};
use crate::figures::{Figures, Row};
use crate::load::fetch::{FetchOptions, Fetcher, Position, ends};
use crate::run::Named;
use crate::target::{Limit, Target};

/// A producer that is to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Follower {
    /// Whose.
    pub(crate) side: Side,
    /// Ottla's learns from brokers' Metadata instead of ZooKeeper.
    pub(crate) bootstrap: bool,
    acks: &'static str,
}

/// All that are compared.
pub(crate) const FOLLOWERS: [Follower; 7] = [
    Follower { side: Side::Ottla, bootstrap: false, acks: "all" },
    Follower { side: Side::Ottla, bootstrap: true, acks: "all" },
    Follower { side: Side::Librdkafka, bootstrap: true, acks: "all" },
    Follower { side: Side::Java, bootstrap: true, acks: "all" },
    Follower { side: Side::Ottla, bootstrap: false, acks: "1" },
    Follower { side: Side::Librdkafka, bootstrap: true, acks: "1" },
    Follower { side: Side::Java, bootstrap: true, acks: "1" },
];

/// How the leader is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The controller elects the other replica.
    Election,
    /// The leader is killed.
    Kill,
}

/// A record in so many milliseconds is 1000 a second.
const PER_SECOND: u32 = 1000;
/// How long successes must flow before and after a move.
const CALM: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(30);

const LEADS: &str = "ms from the node's write until the new leader leads";
const MEDIAN: &str = "ms from the node's write to the first success";
const WORST: &str = "ms from the node's write to the first success, worst";
const BEYOND: &str = "ms from when it leads to the first success";
const SILENT: &str = "ms without a success";
const WRONG: &str = "records lost or doubled";

/// The lines of the table.
pub(crate) fn rows(follower: &Follower) -> Vec<Row> {
    let target = if follower.bootstrap { Target::Shown } else { Target::AtMost(Limit::Fixed(20.0)) };
    let none = if follower.is_idempotent() { Target::AtMost(Limit::Fixed(0.0)) } else { Target::Shown };
    vec![
        Row::new(LEADS, Target::Shown),
        Row::new(MEDIAN, target),
        Row::worst(WORST, target),
        Row::new(BEYOND, Target::Shown),
        Row::new(SILENT, Target::Shown),
        Row::worst(WRONG, none),
    ]
}

impl Follower {
    fn is_idempotent(&self) -> bool {
        self.acks == "all"
    }

    /// The name of its topic, which says what is measured.
    fn topic(&self, kind: Kind) -> String {
        format!("{kind:?}-{}-{}-acks-{}", self.side.name(), self.bootstrap, self.acks).to_lowercase()
    }
}

impl Kind {
    /// Its name in the table.
    pub(crate) fn place(self, follower: &Follower) -> String {
        let kind = match self {
            Kind::Election => "leader elected anew",
            Kind::Kill => "leader killed",
        };
        let learns = if follower.side == Side::Ottla && follower.bootstrap { ", by Metadata" } else { "" };
        let acks = if follower.is_idempotent() { "" } else { ", acks=1" };
        format!("{kind}{learns}{acks}")
    }

    /// Moves at the beginning that count for nothing: brokers that have never done it take several times as long. After a death one
    /// of them always is new.
    fn uncounted(self) -> usize {
        if self == Kind::Election { 3 } else { 0 }
    }
}

/// Takes these producers through so many moves; the figures of each of them, one [`Figures`] a move. One that no longer has
/// successes is left behind.
pub(crate) fn run(
    cluster: &mut Cluster,
    kind: Kind,
    followers: &[Follower],
    moves: usize,
    log: &Path,
) -> Result<Vec<Result<Vec<Figures>, Failure>>, Failure> {
    let names: Vec<String> = followers.iter().map(|follower| follower.topic(kind)).collect();
    let topics: Vec<&str> = names.iter().map(String::as_str).collect();
    topics.iter().try_for_each(|topic| cluster.create(topic))?;
    if kind == Kind::Kill {
        cluster.unite(&topics)?;
    }
    let start = |(follower, topic): (&Follower, &&str)| Sender::start(cluster, follower, topic, log);
    let mut senders: Vec<Result<Sender, Failure>> = followers.iter().zip(&topics).map(start).collect();
    let mut moved = Vec::new();
    for _ in 0..kind.uncounted() + moves {
        let now = now_us();
        senders.iter_mut().for_each(|sender| wait_until_calm(sender, now));
        let probe = Probe::start(cluster.next_leader(&topics)?, &topics)?;
        let leds = match kind {
            Kind::Election => cluster.elect(&topics)?,
            Kind::Kill => cluster.kill_leader(&topics)?,
        };
        for (sender, led) in senders.iter_mut().zip(&leds) {
            wait_until_calm(sender, led.written_ms * 1000);
        }
        let leads_since = probe.end()?;
        cluster.revive(&topics)?;
        moved.push(leds.into_iter().zip(leads_since).collect::<Vec<_>>());
    }
    let of_one = |(place, sender): (usize, Result<Sender, Failure>)| {
        let topic = topics[place];
        let successes = sender?.end()?;
        let epochs = Epochs::read(cluster.leader(topic)?, topic)?;
        let own = moved.iter().skip(kind.uncounted()).map(|moved| moved[place]);
        own.map(|own| figures_of(own, &epochs, &successes)).collect()
    };
    Ok(senders.into_iter().enumerate().map(of_one).collect())
}

fn wait_until_calm(sender: &mut Result<Sender, Failure>, since: i64) {
    if let Ok(sending) = sender
        && let Err(failure) = sending.wait_until_calm(since)
    {
        *sender = Err(failure);
    }
}

/// A record's offset, and when its success was told, in µs since 1970.
type Success = (i64, i64);

fn figures_of((led, leads_since): (Led, i64), epochs: &Epochs, successes: &[Success]) -> Result<Figures, Failure> {
    let written = led.written_ms * 1000;
    let start = epochs.start(led.epoch);
    // With acks=1 the old leader tells offsets of records that are lost; the new one gives these to others later.
    let told_last: BTreeMap<i64, i64> = successes.iter().copied().collect();
    let first = told_last.range(start..).map(|(_, at)| *at).filter(|at| *at >= written).min();
    let first = first.ok_or_else(|| Failure::new(format!("no success in epoch {} (offset {start})", led.epoch)))?;
    let ms = |us: i64| us as f64 / 1e3;
    let followed = ms(first - written);
    // Around the move, so that a pause of the machine long before or after it does not count.
    let around = written - 100_000..first + 100_000;
    let is_around = |pair: &&[Success]| around.contains(&pair[0].1) || around.contains(&pair[1].1);
    let silences = successes.windows(2).filter(is_around).map(|pair| pair[1].1 - pair[0].1);
    let silent = silences.max().unwrap_or(0);
    let wrong = (epochs.end - successes.len() as i64).abs();
    Ok(vec![
        (LEADS, ms(leads_since - written).max(0.0)),
        (MEDIAN, followed),
        (WORST, followed),
        (BEYOND, ms(first - leads_since).max(0.0)),
        (SILENT, ms(silent)),
        (WRONG, wrong as f64),
    ])
}

/// Microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

/// Where the epochs of a log begin.
struct Epochs {
    starts: BTreeMap<i32, i64>,
    end: i64,
}

impl Epochs {
    fn read(leader: &str, topic: &str) -> Result<Epochs, Failure> {
        let end = ends(leader, topic, &[0]).during("reading the end of the log")?[0].next;
        let options = FetchOptions::new(leader, topic);
        let mut fetcher = Fetcher::connect(&options, vec![Position { partition: 0, next: 0 }])?;
        let mut starts = BTreeMap::new();
        while fetcher.positions()[0].next < end {
            fetcher.fetch(&mut |batch| {
                starts.entry(batch.header().leader_epoch).or_insert(batch.header().base_offset);
                Ok(())
            })?;
        }
        Ok(Epochs { starts, end })
    }

    /// The first offset of this epoch or a later one.
    fn start(&self, epoch: i32) -> i64 {
        self.starts.range(epoch..).next().map_or(self.end, |(_, start)| *start)
    }
}

/// A process that sends until its standard input ends.
struct Sender {
    client: Client,
    successes: Arc<Mutex<Vec<Success>>>,
    topic: String,
}

impl Sender {
    fn start(cluster: &Cluster, follower: &Follower, topic: &str, log: &Path) -> Result<Sender, Failure> {
        let settings = [
            match follower.bootstrap {
                true => format!("bootstrap.servers={}", cluster.bootstrap()),
                false => format!("zookeeper.connect={}", cluster.connect()),
            },
            format!("acks={}", follower.acks),
            format!("enable.idempotence={}", follower.is_idempotent()),
            "linger.ms=0".into(),
            format!("rate={PER_SECOND}"),
            "print=acks".into(),
        ];
        let mut client = Client::start(&mut follower.side.client(topic, &settings)?, log)?;
        let output = client.0.stdout.take().ok_or_else(|| Failure::new("a child without standard output"))?;
        let successes = Arc::new(Mutex::new(Vec::new()));
        let heard = successes.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                heard.lock().unwrap_or_else(PoisonError::into_inner).extend(success(&line));
            }
        });
        Ok(Sender { client, successes, topic: topic.into() })
    }

    fn last(&self) -> Option<i64> {
        self.successes.lock().unwrap_or_else(PoisonError::into_inner).last().map(|(_, at)| *at)
    }

    /// Waits until successes flow [`CALM`] after a moment, in µs since 1970.
    fn wait_until_calm(&mut self, since: i64) -> Result<(), Failure> {
        let start = Instant::now();
        while self.last().is_none_or(|at| at < since + CALM.as_micros() as i64) {
            let ended = self.client.0.try_wait()?;
            if ended.is_some() || start.elapsed() > LIMIT {
                return Err(Failure::new(format!("{}: no success within {LIMIT:?} ({ended:?})", self.topic)));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Lets it send what it has; all successes by time.
    fn end(mut self) -> Result<Vec<Success>, Failure> {
        drop(self.client.0.stdin.take());
        let start = Instant::now();
        let status = loop {
            match self.client.0.try_wait()? {
                Some(status) => break status,
                None if start.elapsed() > LIMIT => {
                    return Err(Failure::new(format!("the producer of {} does not end", self.topic)));
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        if !status.success() {
            return Err(Failure::new(format!("the producer of {} failed: {status}", self.topic)));
        }
        // The thread that reads ends with the output.
        while Arc::strong_count(&self.successes) > 1 {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(std::mem::take(&mut *self.successes.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Of a line `OFFSET TIME`.
fn success(line: &str) -> Option<Success> {
    let (offset, at) = line.split_once(' ')?;
    Some((offset.parse().ok()?, at.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(figures: &Figures, name: &str) -> f64 {
        figures.iter().find(|(figure, _)| *figure == name).unwrap().1
    }

    /// Successes of the old leader that are told after the node was written must not pass for the new one's.
    #[test]
    fn a_success_counts_by_the_epoch_of_its_record() {
        let led = Led::since(2, 50);
        let epochs = Epochs { starts: BTreeMap::from([(0, 0), (1, 90), (2, 100)]), end: 103 };
        let mut successes: Vec<Success> = (0..100).map(|offset| (offset, offset * 500)).collect();
        successes.extend([(100, 58_000), (102, 58_500), (101, 59_000)]);
        successes[99].1 = 51_000;
        let figures = figures_of((led, 55_500), &epochs, &successes).unwrap();
        assert_eq!((figure(&figures, LEADS), figure(&figures, MEDIAN), figure(&figures, BEYOND)), (5.5, 8.0, 2.5));
        assert_eq!((figure(&figures, SILENT), figure(&figures, WRONG)), (7.0, 0.0));
        successes.pop();
        assert_eq!(figure(&figures_of((led, 55_500), &epochs, &successes).unwrap(), WRONG), 1.0);
        successes.splice(100..100, [(100, 51_500), (101, 52_000), (102, 52_500)]);
        successes.push((101, 59_000));
        assert_eq!(figure(&figures_of((led, 55_500), &epochs, &successes).unwrap(), MEDIAN), 8.0);
        successes.truncate(100);
        assert!(figures_of((led, 55_500), &epochs, &successes).is_err());
    }

    /// An epoch in which nothing was written begins where the next one does.
    #[test]
    fn an_empty_epoch_begins_with_the_next() {
        let epochs = Epochs { starts: BTreeMap::from([(0, 0), (3, 40)]), end: 60 };
        assert_eq!([0, 1, 3, 4].map(|epoch| epochs.start(epoch)), [0, 40, 40, 60]);
    }

    #[test]
    fn successes_are_told_from_other_lines() {
        assert_eq!(success("17 1700000000000000"), Some((17, 1_700_000_000_000_000)));
        assert_eq!(success("ready"), None);
    }
}
