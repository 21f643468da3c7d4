//! A producer of Ottla's library in a process of its own: what `rdkafka_client.c` and `BenchProducer.java` are for the other
//! sides, with the same arguments and output.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ottla::producer::{Delivery, Producer, ProducerConfig, ProducerError, Record};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::runtime::Runtime;

use crate::failure::{During, Failure};
use crate::load::schedule::{Schedule, wake_on_time};

/// Values and keys are made once: more of them than a batch holds, so that no codec finds one twice.
const VALUES: usize = 4096;
/// How long threads get to be ready before the first record is due.
const HEAD_START: Duration = Duration::from_millis(20);

/// What to send.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ClientOptions {
    /// The topic
    topic: String,
    /// Keys of producer.properties, and: size=BYTES of a value; rate=RECORDS a second, in an open loop, 0: as fast as it can;
    /// count=RECORDS, 0: until the standard input ends; uncounted=RECORDS of them at the beginning; keys=1: with keys;
    /// print=total (delivered and failed), percentiles (in µs: the median, 99, 99.9, 100, and how many failed) or acks (each
    /// offset, and µs since 1970)
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Print {
    Total,
    Percentiles,
    Acks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    size: u64,
    rate: u64,
    count: u64,
    uncounted: u64,
    keys: u64,
    print: Print,
}

/// Sends it all.
///
/// # Errors
/// Settings that cannot be; what the producer says; records that failed.
pub(crate) fn run(options: &ClientOptions) -> Result<(), Failure> {
    let (keys, way) = settings(&options.settings)?;
    let config = ProducerConfig::load(None, &keys).map_err(|errors| Failure::new(errors.to_string()))?.config;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let producer = runtime.block_on(Producer::start(config)).during("starting")?;
    let records = Records::new(&options.topic, &way);
    let outcome = match way.rate {
        0 => runtime.block_on(as_fast_as_it_can(&producer, &way, &records)),
        _ => at_its_rate(&runtime, &producer, &way, &records),
    };
    eprintln!("{}: {:?}", options.topic, producer.metrics());
    outcome
}

/// The keys that are not our own, and our own.
fn settings(settings: &[String]) -> Result<(Vec<String>, Way), Failure> {
    let mut way = Way { size: 100, rate: 0, count: 0, uncounted: 0, keys: 0, print: Print::Total };
    let mut others = Vec::new();
    for setting in settings {
        let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
        let own = match key {
            "size" => &mut way.size,
            "rate" => &mut way.rate,
            "count" => &mut way.count,
            "uncounted" => &mut way.uncounted,
            "keys" => &mut way.keys,
            "print" => {
                way.print = match value {
                    "total" => Print::Total,
                    "percentiles" => Print::Percentiles,
                    "acks" => Print::Acks,
                    _ => return Err(Failure::new(format!("{setting}: total, percentiles or acks is expected"))),
                };
                continue;
            }
            _ => {
                others.push(setting.clone());
                continue;
            }
        };
        *own = value.parse().during(setting)?;
    }
    Ok((others, way))
}

/// What is sent, again and again.
struct Records<'a> {
    topic: &'a str,
    keys: Vec<String>,
    values: Vec<Vec<u8>>,
}

impl Records<'_> {
    fn new<'a>(topic: &'a str, way: &Way) -> Records<'a> {
        let mut random = StdRng::seed_from_u64(1);
        let mut value = || (0..way.size).map(|_| random.random_range(b'A'..=b'Z')).collect();
        let keys = if way.keys > 0 { (0..VALUES).map(|number| format!("{number:08}")).collect() } else { Vec::new() };
        Records { topic, keys, values: (0..VALUES).map(|_| value()).collect() }
    }

    fn record(&self, number: u64) -> Record<'_> {
        let pick = number as usize % VALUES;
        let record = Record::new(self.topic, &self.values[pick]);
        match self.keys.get(pick) {
            Some(key) => record.key(key.as_bytes()),
            None => record,
        }
    }
}

/// Nobody waits for each record's outcome: the batches that failed are counted by the producer.
async fn as_fast_as_it_can(producer: &Producer, way: &Way, records: &Records<'_>) -> Result<(), Failure> {
    for number in 0..way.count {
        producer.send(records.record(number)).await.during("sending")?;
    }
    producer.close().await;
    let metrics = producer.metrics();
    ended(&format!("{} {}", metrics.delivered_records, metrics.failed_records), metrics.failed_records)
}

/// What became of the records that were sent at a rate.
struct Outcomes {
    schedule: Schedule,
    way: Way,
    /// In ns, from when each record that counts was due; 0 until then.
    latencies: Vec<AtomicU64>,
    delivered: AtomicU64,
    failed: AtomicU64,
}

/// A thread sends, open loop; a task for each record waits for its outcome.
fn at_its_rate(runtime: &Runtime, producer: &Producer, way: &Way, records: &Records<'_>) -> Result<(), Failure> {
    runtime.block_on(producer.partitions(records.topic)).during(records.topic)?;
    let stopped = Arc::new(AtomicBool::new(false));
    if way.count == 0 {
        let stopped = stopped.clone();
        std::thread::spawn(move || {
            // However it ends.
            let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
            stopped.store(true, Ordering::Relaxed);
        });
    }
    let counted = if way.print == Print::Percentiles { way.count.saturating_sub(way.uncounted) } else { 0 };
    let outcomes = Arc::new(Outcomes {
        schedule: Schedule::new(Instant::now() + HEAD_START, way.rate as f64),
        way: *way,
        latencies: (0..counted).map(|_| AtomicU64::new(0)).collect(),
        delivered: AtomicU64::new(0),
        failed: AtomicU64::new(0),
    });
    wake_on_time();
    for number in 0.. {
        if number == way.count && way.count > 0 || stopped.load(Ordering::Relaxed) {
            break;
        }
        outcomes.schedule.wait(number);
        let record = records.record(number);
        let delivery = match producer.try_send(record) {
            Err(ProducerError::Refused(_)) => runtime.block_on(producer.send(record)),
            sent => sent,
        };
        let delivery = delivery.during("sending")?;
        runtime.spawn(outcomes.clone().of(number, delivery));
    }
    runtime.block_on(producer.close());
    while Arc::strong_count(&outcomes) > 1 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let failed = outcomes.failed.load(Ordering::Relaxed);
    match way.print {
        Print::Acks => ended("", failed),
        Print::Total => ended(&format!("{} {failed}", outcomes.delivered.load(Ordering::Relaxed)), failed),
        Print::Percentiles => {
            let mut latencies: Vec<u64> = outcomes.latencies.iter().map(|ns| ns.load(Ordering::Relaxed)).collect();
            latencies.sort_unstable();
            let at = |of_all: f64| percentile(&latencies, of_all) / 1000;
            ended(&format!("{} {} {} {} {failed}", at(0.5), at(0.99), at(0.999), at(1.0)), failed)
        }
    }
}

impl Outcomes {
    async fn of(self: Arc<Outcomes>, number: u64, delivery: Delivery) {
        match delivery.await {
            Ok(delivered) => {
                if let Some(counted) = number.checked_sub(self.way.uncounted)
                    && let Some(latency) = self.latencies.get(counted as usize)
                {
                    let late = Instant::now().saturating_duration_since(self.schedule.due(number));
                    latency.store(late.as_nanos() as u64, Ordering::Relaxed);
                }
                if self.way.print == Print::Acks {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
                    say(&format!("{} {now}", delivered.offset.unwrap_or(-1)));
                }
                self.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                if self.failed.fetch_add(1, Ordering::Relaxed) == 0 {
                    eprintln!("record {number}: {error}");
                }
            }
        }
    }
}

/// The smallest that so large a part of them does not exceed; 0 of none.
fn percentile(sorted: &[u64], of_all: f64) -> u64 {
    let at = (sorted.len() as f64 * of_all).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(0)
}

fn ended(line: &str, failed: u64) -> Result<(), Failure> {
    if !line.is_empty() {
        say(line);
    }
    if failed > 0 { Err(Failure::new(format!("{failed} records failed"))) } else { Ok(()) }
}

/// A line, in one write.
fn say(line: &str) {
    // Nobody listens any more: this process is about to be killed.
    let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_keys_are_told_from_the_producers() {
        let given = ["acks=all", "rate=1000", "print=acks", "linger.ms=0"].map(str::to_owned);
        let (others, way) = settings(&given).unwrap();
        assert_eq!(others, ["acks=all", "linger.ms=0"]);
        assert_eq!((way.rate, way.print, way.size), (1000, Print::Acks, 100));
        assert!(settings(&["print=x".to_owned()]).is_err() && settings(&["rate=x".to_owned()]).is_err());
    }

    #[test]
    fn percentiles_are_figures_that_were_measured() {
        let sorted: Vec<u64> = (1..=1000).collect();
        assert_eq!([0.5, 0.99, 0.999, 1.0].map(|of_all| percentile(&sorted, of_all)), [500, 990, 999, 1000]);
        assert_eq!(percentile(&[7], 0.5), 7);
        assert_eq!(percentile(&[], 0.5), 0);
    }

    /// A value that came again within a batch would be a gift to every codec.
    #[test]
    fn a_batch_holds_no_value_twice() {
        let way = Way { size: 100, rate: 0, count: 1, uncounted: 0, keys: 1, print: Print::Total };
        let records = Records::new("t", &way);
        assert!(VALUES as u64 * way.size > 65_536);
        assert_ne!(records.record(0).value, records.record(1).value);
        assert_eq!(records.record(VALUES as u64 + 1), records.record(1));
        assert_eq!(records.record(7).key, Some(&b"00000007"[..]));
    }
}
