//! Sends what stands on standard input, line by line, or so many records of its own, and says how it went:
//!
//! ```text
//! cargo run --example produce -- localhost:2181 lines </var/log/syslog
//! cargo run --release --example produce -- localhost:2181 load 10000000 100 batch.size=65536 linger.ms=5 acks=1
//! cargo run --release --example produce -- localhost:2181 load 100000 100 rate=10000
//! ```

use std::io::BufRead;
use std::time::{Duration, Instant};

use ottla::producer::{Delivery, Producer, ProducerConfig, ProducerError, Record};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() {
    if let Err(error) = run().await {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (settings, words): (Vec<String>, Vec<String>) = arguments.into_iter().partition(|word| word.contains('='));
    let [connect, topic, numbers @ ..] = &words[..] else {
        eprintln!("usage: produce ZOOKEEPER TOPIC [RECORDS SIZE [rate=RECORDS-PER-SECOND]] [KEY=VALUE ...]");
        std::process::exit(2);
    };
    let (rates, mut settings): (Vec<String>, Vec<String>) =
        settings.into_iter().partition(|word| word.starts_with("rate="));
    settings.push(format!("zookeeper.connect={connect}"));
    let producer = Producer::start(ProducerConfig::load(None, &settings)?.config).await?;
    match numbers {
        [records, size, ..] => {
            let rate = rates.first().and_then(|rate| rate[5..].parse().ok());
            generate(&producer, topic, records.parse()?, size.parse()?, rate).await?;
        }
        _ => lines(&producer, topic).await?,
    }
    producer.close().await;
    Ok(())
}

/// Sends each line, and says where the last one is.
async fn lines(producer: &Producer, topic: &str) -> Result<(), ProducerError> {
    let mut deliveries = Vec::new();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        deliveries.push(producer.send(Record::new(topic, line.as_bytes())).await?);
    }
    let count = deliveries.len();
    let mut last = None;
    for delivery in deliveries {
        last = Some(delivery.await?);
    }
    println!("{count} records; the last one: {last:?}");
    Ok(())
}

/// Sends records of a size, as fast as it goes or so many a second, and says how fast that was.
async fn generate(
    producer: &Producer,
    topic: &str,
    records: u64,
    size: usize,
    rate: Option<u32>,
) -> Result<(), ProducerError> {
    let value: Vec<u8> = (0..size).map(|at| b'a' + (at % 26) as u8).collect();
    producer.send(Record::new(topic, &value)).await?.await?;
    let (started, used) = (Instant::now(), processor_seconds());
    let latencies = match rate {
        None => {
            for _ in 0..records {
                producer.send(Record::new(topic, &value)).await?;
            }
            Vec::new()
        }
        Some(rate) => at_rate(producer, topic, records, &value, rate).await?,
    };
    producer.flush().await;
    let (took, used) = (started.elapsed().as_secs_f64(), processor_seconds() - used);
    let gigabytes = records as f64 * size as f64 / 1e9;
    println!(
        "{records} records of {size} bytes in {took:.2} s: {:.1} MB/s, {:.2} CPU-s/GB",
        1000.0 * gigabytes / took,
        used / gigabytes
    );
    if let Some(last) = latencies.len().checked_sub(1) {
        let of = |share: f64| latencies[(last as f64 * share) as usize].as_secs_f64() * 1000.0;
        println!("from send to outcome: p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms", of(0.5), of(0.99), of(0.999));
    }
    println!("{:?}", producer.metrics());
    Ok(())
}

/// Sends each record when it is due; how long each took from then to its outcome, in order.
async fn at_rate(
    producer: &Producer,
    topic: &str,
    records: u64,
    value: &[u8],
    rate: u32,
) -> Result<Vec<Duration>, ProducerError> {
    let (sent, mut outcomes) = mpsc::unbounded_channel::<(Instant, Delivery)>();
    let waiting = tokio::spawn(async move {
        let mut latencies = Vec::new();
        while let Some((due, delivery)) = outcomes.recv().await {
            delivery.await?;
            latencies.push(due.elapsed());
        }
        latencies.sort();
        Ok::<_, ProducerError>(latencies)
    });
    let started = Instant::now();
    for number in 0..records {
        let due = started + Duration::from_secs_f64(number as f64 / f64::from(rate));
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        let delivery = producer.send(Record::new(topic, value)).await?;
        // The receiver ends after the sender.
        let _ = sent.send((due, delivery));
    }
    drop(sent);
    waiting.await.expect("it does not panic")
}

/// Processor time of this process so far, in seconds.
fn processor_seconds() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
