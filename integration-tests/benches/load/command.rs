//! `ottla-bench load`: each load by hand, with one line of JSON as the result.

use std::io;
use std::time::Duration;

use clap::{Args, Subcommand};
use hdrhistogram::Histogram;
use ottla_records::{Codec, Magic};
use serde_json::{Value, json};

use super::batch::Shape;
use super::consume::{self, ConsumeOptions};
use super::cpu::Usage;
use super::fetch::FetchOptions;
use super::poll::{self, PollOptions};
use super::produce::{self, Limit, ProduceOptions};
use super::rate::{self, Latencies, RateOptions};
use super::{raw_receive, raw_send, topic};

/// Load a running broker by hand; the result is a line of JSON
#[derive(Debug, Subcommand)]
pub(crate) enum Load {
    /// Produce as fast as the broker can
    Produce {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        shape: ShapeArguments,
        /// 0, 1, or -1 for all
        #[arg(long, default_value_t = 1, allow_hyphen_values = true)]
        acks: i16,
        /// Connections, each with a thread; partitions are spread over them
        #[arg(long, default_value_t = 2)]
        connections: usize,
        /// Requests under way on each connection
        #[arg(long, default_value_t = 5)]
        in_flight: usize,
        /// Stop after so many MB (10^6) of values
        #[arg(long, default_value_t = 1000)]
        megabytes: u64,
        /// Stop after so many seconds instead
        #[arg(long, conflicts_with = "megabytes")]
        seconds: Option<f64>,
    },
    /// Produce at a fixed rate; latency counts from when a request was due
    Rate(RateArguments),
    /// The same, until a consumer has the record; one record a request, not compressed
    EndToEnd(RateArguments),
    /// Read a topic from its first record to its end
    Consume {
        #[command(flatten)]
        target: Target,
        /// Connections, each with a thread; partitions are spread over them
        #[arg(long, default_value_t = 1)]
        connections: usize,
        #[command(flatten)]
        fetch: FetchArguments,
        /// Bytes of a value, to tell the cost for each GB of values too
        #[arg(long)]
        record_bytes: Option<u64>,
    },
    /// Wait for records that do not come
    Poll {
        #[command(flatten)]
        target: Target,
        /// Consumers, each with a connection and one partition
        #[arg(long, default_value_t = 200)]
        consumers: usize,
        /// How long
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
    },
    /// Make a topic and wait for its leaders
    CreateTopic {
        #[command(flatten)]
        target: Target,
        /// A setting of the topic: name=value; may be repeated
        #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
        config: Vec<(String, String)>,
    },
    /// Delete a topic and wait until it is gone
    DeleteTopic {
        #[command(flatten)]
        target: Target,
    },
    /// Send what produce would send to a `floor produce`
    RawSend {
        /// HOST:PORT that the floor printed
        address: String,
        #[command(flatten)]
        shape: ShapeArguments,
        #[command(flatten)]
        raw: RawArguments,
    },
    /// Read from a `floor consume`
    RawReceive {
        /// HOST:PORT that the floor printed
        address: String,
        #[command(flatten)]
        raw: RawArguments,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The broker
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    bootstrap: String,
    /// The topic; it must exist, see create-topic
    #[arg(long, default_value = "bench")]
    topic: String,
    /// Partitions of the topic
    #[arg(long, default_value_t = 6)]
    partitions: i32,
    /// The broker's process: tells what it used of the processor meanwhile
    #[arg(long)]
    pid: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct ShapeArguments {
    /// Bytes of each value: random letters A to Z
    #[arg(long, default_value_t = 1024)]
    record_bytes: usize,
    /// The most that a batch takes before compression; 1 makes batches of one record
    #[arg(long, default_value_t = 65_536)]
    batch_bytes: usize,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long, default_value = "none", value_parser = codec)]
    codec: Codec,
    /// Record format: 0, 1 or 2, by produce requests of version 0, 2 or 7
    #[arg(long, default_value = "2", value_parser = magic)]
    magic: Magic,
}

impl ShapeArguments {
    pub(crate) fn shape(&self) -> Shape {
        Shape { record_bytes: self.record_bytes, batch_bytes: self.batch_bytes, codec: self.codec, magic: self.magic }
    }
}

#[derive(Debug, Args)]
pub(crate) struct RateArguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    shape: ShapeArguments,
    /// 1, or -1 for all
    #[arg(long, default_value_t = 1, allow_hyphen_values = true)]
    acks: i16,
    /// Connections, which send in turn
    #[arg(long, default_value_t = 2)]
    connections: usize,
    /// Requests a second, over all connections
    #[arg(long, default_value_t = 1000.0)]
    requests_per_second: f64,
    /// Seconds at the same rate that do not count
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// Seconds that count
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

#[derive(Debug, Args)]
pub(crate) struct FetchArguments {
    /// Version of the fetch requests, 0 to 11; below 2 the broker answers in record format 0, below 4 in 1
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(i16).range(0..=11))]
    fetch_version: i16,
    /// The most that an answer should hold
    #[arg(long, default_value_t = 50 << 20)]
    max_bytes: i32,
    /// The most of one partition
    #[arg(long, default_value_t = 1 << 20)]
    partition_max_bytes: i32,
}

#[derive(Debug, Args)]
pub(crate) struct RawArguments {
    /// How many MB (10^6)
    #[arg(long, default_value_t = 1000)]
    megabytes: u64,
    /// Connections, each with a thread
    #[arg(long, default_value_t = 2)]
    connections: usize,
}

fn codec(text: &str) -> Result<Codec, String> {
    let all = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    all.into_iter().find(|codec| codec.as_str() == text).ok_or_else(|| "none, gzip, snappy, lz4 or zstd".into())
}

fn magic(text: &str) -> Result<Magic, String> {
    text.parse().ok().and_then(Magic::from_byte).ok_or_else(|| "0, 1 or 2".into())
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("name=value is expected")?;
    Ok((name.into(), value.into()))
}

/// Runs one of them and prints the result.
///
/// # Errors
/// Those of the load.
pub(crate) fn run(load: &Load) -> io::Result<()> {
    let result = match load {
        Load::Produce { target, shape, acks, connections, in_flight, megabytes, seconds } => {
            let options = ProduceOptions {
                bootstrap: target.bootstrap.clone(),
                topic: target.topic.clone(),
                partitions: target.partitions,
                shape: shape.shape(),
                acks: *acks,
                connections: *connections,
                in_flight: *in_flight,
                limit: seconds.map_or(Limit::PayloadBytes(megabytes * 1_000_000), |seconds| {
                    Limit::Duration(Duration::from_secs_f64(seconds))
                }),
            };
            let (produced, used) = watched(target.pid, || produce::run(&options))?;
            let seconds = produced.elapsed.as_secs_f64();
            let mut result = json!({
                "requests": produced.requests,
                "records": produced.records,
                "payload_bytes": produced.payload_bytes,
                "batch_bytes": produced.batch_bytes,
                "wire_bytes": produced.wire_bytes,
                "seconds": seconds,
                "payload_MB_per_s": produced.payload_bytes as f64 / 1e6 / seconds,
                "requests_per_s": produced.requests as f64 / seconds,
            });
            add_usage(&mut result, used, produced.requests, produced.payload_bytes, produced.batch_bytes);
            result
        }
        Load::Rate(arguments) => {
            let (latencies, used) = watched(arguments.target.pid, || rate::run(&arguments.options()))?;
            latencies_as_json(&latencies, used)
        }
        Load::EndToEnd(arguments) => {
            let (latencies, used) = watched(arguments.target.pid, || rate::end_to_end(&arguments.options()))?;
            latencies_as_json(&latencies, used)
        }
        Load::Consume { target, connections, fetch, record_bytes } => {
            let options = ConsumeOptions {
                fetch: fetch.options(target),
                partitions: target.partitions,
                connections: *connections,
            };
            let (consumed, used) = watched(target.pid, || consume::run(&options))?;
            let seconds = consumed.elapsed.as_secs_f64();
            let payload_bytes = record_bytes.unwrap_or(0) * consumed.fetched.records;
            let mut result = json!({
                "requests": consumed.requests,
                "records": consumed.fetched.records,
                "payload_bytes": payload_bytes,
                "batch_bytes": consumed.fetched.batch_bytes,
                "wire_bytes": consumed.fetched.wire_bytes,
                "seconds": seconds,
                "batch_MB_per_s": consumed.fetched.batch_bytes as f64 / 1e6 / seconds,
            });
            add_usage(&mut result, used, consumed.requests, payload_bytes, consumed.fetched.batch_bytes);
            result
        }
        Load::Poll { target, consumers, seconds } => {
            let options = PollOptions {
                fetch: FetchOptions::new(&target.bootstrap, &target.topic),
                partitions: target.partitions,
                consumers: *consumers,
                duration: Duration::from_secs_f64(*seconds),
            };
            let mut before = None;
            let polled = poll::run(&options, || before = usage(target.pid))?;
            let used = usage(target.pid).zip(before).map(|(after, before)| after.since(&before));
            let seconds = polled.elapsed.as_secs_f64();
            let mut result =
                json!({"requests": polled.requests, "records": polled.fetched.records, "seconds": seconds});
            add_usage(&mut result, used, polled.requests, 0, 0);
            if let Some(used) = used {
                result["cpu_share"] = json!(used.cpu_seconds() / seconds);
            }
            result
        }
        Load::CreateTopic { target, config } => {
            let configs: Vec<_> = config.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            topic::create(&target.bootstrap, &target.topic, target.partitions, &configs)?;
            json!({"topic": target.topic, "partitions": target.partitions})
        }
        Load::DeleteTopic { target } => {
            topic::delete(&target.bootstrap, &target.topic)?;
            json!({"topic": target.topic})
        }
        Load::RawSend { address, shape, raw } => {
            let batch = shape.shape().build()?;
            let (bytes, connections) = (raw.megabytes * 1_000_000, raw.connections);
            passed_as_json(raw_send(address, &batch.bytes, bytes, connections)?)
        }
        Load::RawReceive { address, raw } => {
            let (bytes, connections) = (raw.megabytes * 1_000_000, raw.connections);
            passed_as_json(raw_receive(address, bytes, connections)?)
        }
    };
    println!("{result}");
    Ok(())
}

impl RateArguments {
    fn options(&self) -> RateOptions {
        RateOptions {
            bootstrap: self.target.bootstrap.clone(),
            topic: self.target.topic.clone(),
            partitions: self.target.partitions,
            shape: self.shape.shape(),
            acks: self.acks,
            connections: self.connections,
            requests_per_second: self.requests_per_second,
            warm_up: Duration::from_secs_f64(self.warm_up),
            duration: Duration::from_secs_f64(self.seconds),
        }
    }
}

impl FetchArguments {
    fn options(&self, target: &Target) -> FetchOptions {
        FetchOptions {
            version: self.fetch_version,
            max_bytes: self.max_bytes,
            partition_max_bytes: self.partition_max_bytes,
            ..FetchOptions::new(&target.bootstrap, &target.topic)
        }
    }
}

fn usage(pid: Option<u32>) -> Option<Usage> {
    pid.and_then(|pid| Usage::of(pid).ok())
}

/// What `run` returns, and what the process used meanwhile.
fn watched<T>(pid: Option<u32>, run: impl FnOnce() -> io::Result<T>) -> io::Result<(T, Option<Usage>)> {
    let before = pid.map(Usage::of).transpose()?;
    let result = run()?;
    let used = usage(pid).zip(before).map(|(after, before)| after.since(&before));
    Ok((result, used))
}

fn add_usage(result: &mut Value, used: Option<Usage>, requests: u64, payload_bytes: u64, batch_bytes: u64) {
    let Some(used) = used else { return };
    let cpu = used.cpu_seconds();
    result["cpu_seconds"] = json!(cpu);
    result["cpu_user_seconds"] = json!(used.user_seconds);
    for (name, amount, unit) in [
        ("cpu_s_per_payload_GB", payload_bytes, 1e9),
        ("cpu_s_per_batch_GB", batch_bytes, 1e9),
        ("cpu_s_per_million_requests", requests, 1e6),
    ] {
        if amount > 0 {
            result[name] = json!(cpu / (amount as f64 / unit));
        }
    }
    result["context_switches"] = json!(used.context_switches);
    result["resident_MiB"] = json!(used.resident_kib / 1024);
    result["peak_resident_MiB"] = json!(used.peak_resident_kib / 1024);
}

fn quantiles(histogram: &Histogram<u64>) -> Value {
    json!({
        "p50": histogram.value_at_quantile(0.5),
        "p99": histogram.value_at_quantile(0.99),
        "p99.9": histogram.value_at_quantile(0.999),
        "max": histogram.max(),
    })
}

fn latencies_as_json(latencies: &Latencies, used: Option<Usage>) -> Value {
    let mut result = json!({
        "requests": latencies.requests,
        "payload_bytes": latencies.payload_bytes,
        "seconds": latencies.elapsed.as_secs_f64(),
        "latency_us": quantiles(&latencies.histogram),
        "sent_late_us": quantiles(&latencies.lateness),
    });
    // The warm-up is in what was used.
    add_usage(&mut result, used, latencies.all_requests, 0, 0);
    result
}

fn passed_as_json(passed: super::Passed) -> Value {
    let (seconds, gigabytes) = (passed.elapsed.as_secs_f64(), passed.bytes as f64 / 1e9);
    json!({
        "bytes": passed.bytes,
        "seconds": seconds,
        "MB_per_s": gigabytes * 1e3 / seconds,
        "cpu_seconds": passed.cpu.as_secs_f64(),
        "cpu_s_per_GB": passed.cpu.as_secs_f64() / gigabytes,
    })
}
