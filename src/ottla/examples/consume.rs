//! Reads topics as a member of a classic group and prints what comes, until Ctrl-C:
//!
//! ```text
//! cargo run --example consume -- localhost:2181 my-group orders,returns 2
//! ```

use std::io::Write;
use std::sync::Arc;

use ottla::consumer::{
    Consumer, ConsumerConfig, ConsumerError, Loss, LostPartition, OffsetReset, PartitionListener, Reaction, Stream,
    Subscription, TopicPartition,
};

/// Says what comes and goes.
struct Told;

impl PartitionListener for Told {
    fn gained<'a>(&'a self, partitions: &'a [TopicPartition]) -> Reaction<'a> {
        Box::pin(async move { eprintln!("gained {partitions:?}") })
    }

    fn lost<'a>(&'a self, partitions: &'a [LostPartition], loss: Loss) -> Reaction<'a> {
        Box::pin(async move { eprintln!("{loss:?} {partitions:?}") })
    }
}

#[tokio::main]
async fn main() -> Result<(), ConsumerError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [connect, group, topics, streams @ ..] = &arguments[..] else {
        eprintln!("usage: consume ZOOKEEPER GROUP TOPIC,TOPIC [STREAMS]");
        std::process::exit(2);
    };
    let streams = streams.first().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut config = ConsumerConfig::new(connect, group);
    config.auto_offset_reset = OffsetReset::Smallest;
    let subscription = Subscription::white_list(topics, streams)?;
    let consumer = Consumer::builder(config, subscription).listener(Arc::new(Told)).start().await?;
    let readers: Vec<_> = consumer.streams().into_iter().map(|stream| tokio::spawn(print(stream))).collect();
    tokio::signal::ctrl_c().await.expect("signals can be listened for");
    consumer.close().await?;
    let mut records = 0;
    for reader in readers {
        records += reader.await.expect("no reader panics");
    }
    eprintln!("{records} records");
    Ok(())
}

/// Prints what a stream yields until it ends; how many that were.
async fn print(mut stream: Stream) -> u64 {
    let mut records = 0;
    loop {
        let batch = match stream.next_batch().await {
            Ok(batch) => batch,
            Err(ConsumerError::Closed) => return records,
            Err(error @ ConsumerError::Damaged { .. }) => {
                eprintln!("{error}");
                continue;
            }
            Err(error) => {
                eprintln!("{error}");
                return records;
            }
        };
        let mut out = std::io::stdout().lock();
        for record in batch {
            records += 1;
            let value = String::from_utf8_lossy(record.value.unwrap_or_default());
            if writeln!(out, "{}-{} {} {value}", record.topic, record.partition, record.offset).is_err() {
                return records;
            }
        }
    }
}
