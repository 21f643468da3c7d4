//! Members of today in a process: what `OldMember.java` is for those of 2015.
//!
//! The same arguments, lines and commands, so that both sides are told and heard in the same way. One stream each. A
//! record is printed before the next one is asked for, so that nothing is committed that was not printed.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ottla::consumer::{
    Consumer, ConsumerConfig, ConsumerError, Loss, LostPartition, OffsetReset, PartitionListener, Reaction, Stream,
    Subscription, TopicPartition,
};
use tokio::sync::mpsc;

use crate::failure::{During, Failure};

/// Which members.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct MemberOptions {
    /// Where the group lives
    zookeeper: String,
    /// The group
    group: String,
    /// The topic
    topic: String,
    /// Keys of consumer.properties, and print=records|total|events, by=record|batch, rest.ms=N after each record
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Print {
    /// "PARTITION OFFSET VALUE" for each record.
    Records,
    /// The same, and "gained PARTITION..." before the first record of these and "lost PARTITION..." after the last.
    Events,
    /// "total N" a few times a second.
    Total,
}

#[derive(Debug, Clone)]
struct Way {
    print: Print,
    by_batch: bool,
    rest: Option<Duration>,
}

/// Runs until the standard input ends.
///
/// # Errors
/// Settings that cannot be; what the consumers say.
pub(crate) fn run(options: &MemberOptions) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(members(options))
}

async fn members(options: &MemberOptions) -> Result<(), Failure> {
    let (config, way) = settings(options)?;
    let total = Arc::new(AtomicU64::new(0));
    say("ready");
    if way.print == Print::Total {
        let total = total.clone();
        tokio::spawn(async move {
            loop {
                say(&format!("total {}", total.load(Ordering::Relaxed)));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
    let mut commands = commands();
    let mut members: BTreeMap<String, Consumer> = BTreeMap::new();
    while let Some(line) = commands.recv().await {
        let mut words = line.split(' ');
        let word = words.next().unwrap_or_default();
        for name in words {
            match (word, members.remove(name)) {
                ("join", None) => {
                    let member = join(options, config.clone(), &way, &total).await.during(name)?;
                    members.insert(name.into(), member);
                }
                ("close", Some(member)) => member.close().await.during(name)?,
                _ => return Err(Failure::new(format!("{line}: there is no such command or member"))),
            }
        }
    }
    for (name, member) in members {
        member.close().await.during(name)?;
    }
    Ok(())
}

fn settings(options: &MemberOptions) -> Result<(ConsumerConfig, Way), Failure> {
    let mut way = Way { print: Print::Records, by_batch: false, rest: None };
    let mut keys = vec![format!("zookeeper.connect={}", options.zookeeper), format!("group.id={}", options.group)];
    for setting in &options.settings {
        match setting.as_str() {
            "print=records" => way.print = Print::Records,
            "print=events" => way.print = Print::Events,
            "print=total" => way.print = Print::Total,
            "by=record" => way.by_batch = false,
            "by=batch" => way.by_batch = true,
            other => match other.strip_prefix("rest.ms=").map(str::parse) {
                Some(Ok(millis)) => way.rest = Some(Duration::from_millis(millis)),
                Some(Err(_)) => return Err(Failure::new(format!("{other}: a number is expected"))),
                None => keys.push(other.into()),
            },
        }
    }
    let mut config = ConsumerConfig::load(None, &keys).map_err(|error| Failure::new(error.to_string()))?.config;
    config.auto_offset_reset = OffsetReset::Smallest;
    Ok((config, way))
}

async fn join(
    options: &MemberOptions,
    config: ConsumerConfig,
    way: &Way,
    total: &Arc<AtomicU64>,
) -> Result<Consumer, ConsumerError> {
    let mut builder = Consumer::builder(config, Subscription::topics([(options.topic.as_str(), 1)])?);
    if way.print == Print::Events {
        builder = builder.listener(Arc::new(Events));
    }
    let member = builder.start().await?;
    for stream in member.streams() {
        let (way, total) = (way.clone(), total.clone());
        tokio::spawn(async move {
            if let Err(error) = read(stream, &way, &total).await {
                eprintln!("{error}");
            }
        });
    }
    Ok(member)
}

/// Reads a stream to its end.
async fn read(mut stream: Stream, way: &Way, total: &AtomicU64) -> Result<(), ConsumerError> {
    loop {
        let read = match way.by_batch {
            true => stream.next_batch().await.map(|batch| {
                let mut bytes = 0;
                for record in batch {
                    bytes += record.value.map_or(0, <[u8]>::len);
                    total.fetch_add(1, Ordering::Relaxed);
                }
                std::hint::black_box(bytes);
            }),
            false => stream.next().await.map(|record| {
                total.fetch_add(1, Ordering::Relaxed);
                let value = record.value.unwrap_or_default();
                match way.print {
                    Print::Total => drop(std::hint::black_box(value)),
                    Print::Records | Print::Events => {
                        let value = String::from_utf8_lossy(&value);
                        say(&format!("{} {} {value}", record.partition, record.offset));
                    }
                }
            }),
        };
        match read {
            Ok(()) => {}
            Err(ConsumerError::Closed) => return Ok(()),
            Err(error) => return Err(error),
        }
        if let Some(rest) = way.rest {
            tokio::time::sleep(rest).await;
        }
    }
}

/// Tells what comes and goes.
struct Events;

impl PartitionListener for Events {
    fn gained<'a>(&'a self, partitions: &'a [TopicPartition]) -> Reaction<'a> {
        Box::pin(async move {
            let numbers: Vec<String> = partitions.iter().map(|partition| partition.partition.to_string()).collect();
            say(&format!("gained {}", numbers.join(" ")));
        })
    }

    fn lost<'a>(&'a self, partitions: &'a [LostPartition], _: Loss) -> Reaction<'a> {
        Box::pin(async move {
            let numbers: Vec<String> = partitions.iter().map(|lost| lost.partition.partition.to_string()).collect();
            say(&format!("lost {}", numbers.join(" ")));
        })
    }
}

/// A line, in one write.
fn say(line: &str) {
    // Nobody listens any more: this process is about to be killed.
    let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}

/// The lines of the standard input, which is read by a thread, since it blocks.
fn commands() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
