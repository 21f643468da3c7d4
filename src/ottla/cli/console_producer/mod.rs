//! `ottla console-producer`: lines of the standard input become records.
//!
//! A thread reads blocks of lines ([`input`]), each line is taken apart ([`lines`]) and given to a producer, and what becomes of it
//! is awaited ([`pending`]). What is in memory is bounded: blocks by the queue, records by `buffer.memory`, deliveries by number,
//! failures by what is told of them ([`failures`]).

mod arguments;
mod failures;
mod input;
mod lines;
mod pending;
mod progress;

use std::io::{IsTerminal, Read};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use self::input::Item;
use self::lines::LineFormat;
use self::pending::{Pending, why};
use self::progress::Progress;
use super::ToolError;
use crate::producer::{Producer, ProducerConfig, ProducerError, Record, Refusal};

pub(super) use self::arguments::Arguments;

pub(super) const EXAMPLES: &str = "\
Examples:
  echo hello | ottla console-producer --topic greetings
  ottla console-producer --zookeeper zk1:2181/kafka --topic orders
  ottla console-producer --topic orders --property parse.key=true --property key.separator=: <orders.txt
  ottla console-producer --topic logs --compression-codec zstd --acks 1 </var/log/syslog
  ottla console-producer --topic t --producer.config producer.properties --producer-property linger.ms=5

Each line becomes a record. Records of one key go to the same partition, those without a key to one after the other. With
parse.key and parse.headers a line is `name:value,name:value<tab>key<tab>value`. Lines that were not delivered are named by their
numbers, and the exit code is 1. Ctrl-C ends the input; what was read before is still delivered, unless it is pressed again.";

/// How often failures are told.
const TELLING: Duration = Duration::from_secs(1);
/// What a record of `max.request.size` may have around it in its line.
const AROUND: usize = 64 << 10;
/// The producer's work beside that of reading.
const WORKERS: usize = 2;

/// Runs the tool on the standard input.
pub(super) fn run(arguments: &Arguments) -> Result<(), ToolError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let input = std::io::stdin();
    let is_typed = input.is_terminal();
    let prompt = (is_typed && std::io::stdout().is_terminal()).then_some(">");
    let progress = Progress::new(!is_typed && std::io::stderr().is_terminal());
    runtime.block_on(async {
        let loaded = arguments.config(is_typed)?;
        loaded.warnings.iter().for_each(|warning| progress.say(&warning.0));
        produce(arguments, loaded.config, input, prompt, Arc::new(progress)).await
    })
}

async fn produce(
    arguments: &Arguments,
    config: ProducerConfig,
    input: impl Read + Send + 'static,
    prompt: Option<&'static str>,
    progress: Arc<Progress>,
) -> Result<(), ToolError> {
    let format = arguments.format()?;
    let longest = config.max_request_size.saturating_add(AROUND);
    let producer = Producer::start(config).await.map_err(|error| ToolError::Failed(error.to_string()))?;
    let drawing = tokio::spawn(draw(producer.clone(), progress.clone()));
    let mut sending = Sending { arguments, format, producer, progress, pending: Pending::default(), line: 0 };
    let mut interrupted = Interruption::new()?;
    let ended = sending.all(input::read(input, longest, prompt), &mut interrupted).await;
    let closed = sending.close(&mut interrupted).await;
    drawing.abort();
    // It was aborted, or has nothing to say.
    let _ = drawing.await;
    sending.progress.clear();
    sending.tell();
    ended.and(closed)
}

/// Draws what becomes of the input, until it is aborted.
async fn draw(producer: Producer, progress: Arc<Progress>) {
    let mut period = tokio::time::interval(progress::PERIOD);
    loop {
        period.tick().await;
        let metrics = producer.metrics();
        progress.draw(metrics.delivered_records, metrics.failed_records);
    }
}

/// Ctrl-C, or SIGTERM.
struct Interruption {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Interruption {
    fn new() -> std::io::Result<Interruption> {
        Ok(Interruption { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn happens(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Lines on their way.
struct Sending<'a> {
    arguments: &'a Arguments,
    format: LineFormat,
    producer: Producer,
    progress: Arc<Progress>,
    pending: Pending,
    /// The number of the last line that was read, from 1.
    line: u64,
}

impl Sending<'_> {
    /// Sends everything that is read; the error is why no more is.
    async fn all(
        &mut self,
        mut input: tokio::sync::mpsc::Receiver<Item>,
        interrupted: &mut Interruption,
    ) -> Result<(), ToolError> {
        let mut telling = tokio::time::interval(TELLING);
        loop {
            let item = tokio::select! {
                item = input.recv() => item,
                () = self.pending.oldest() => continue,
                _ = telling.tick() => {
                    self.tell();
                    continue;
                }
                () = interrupted.happens() => return Ok(()),
            };
            match item {
                Some(Item::Block(block)) => tokio::select! {
                    outcome = self.block(&block) => outcome?,
                    () = interrupted.happens() => return Ok(()),
                },
                Some(Item::TooLong) => {
                    self.line += 1;
                    self.pending.refuse(self.line, "not sent: longer than any record; raise max.request.size");
                }
                Some(Item::Failed(error)) => return Err(error.into()),
                None => return Ok(()),
            }
        }
    }

    async fn block(&mut self, block: &[u8]) -> Result<(), ToolError> {
        let before = self.line;
        let mut headers = Vec::new();
        for line in input::lines(block) {
            self.line += 1;
            let parts = self.format.parse(line, self.line, &mut headers);
            let (key, value) = parts.map_err(ToolError::Failed)?;
            let partition = self.arguments.partition;
            let record =
                Record { topic: &self.arguments.topic, partition, key, value, headers: &headers, timestamp: None };
            self.record(record).await?;
        }
        self.pending.settle();
        self.progress.add(self.line - before, block.len() as u64);
        Ok(())
    }

    async fn record(&mut self, record: Record<'_>) -> Result<(), ToolError> {
        let delivery = match self.producer.send(record).await {
            Ok(delivery) => delivery,
            Err(ProducerError::Refused(refusal @ Refusal::TooLarge { .. })) => {
                self.pending.refuse(self.line, &format!("not sent: {refusal}"));
                return Ok(());
            }
            Err(error) => {
                let line = self.line;
                return Err(ToolError::Failed(format!("line {line} and those behind it were not sent: {error}")));
            }
        };
        if self.arguments.sync {
            self.producer.flush().await;
            let outcome = delivery.await;
            return outcome.map(drop).map_err(|error| {
                ToolError::Failed(format!("line {}: {}; those behind it were not sent", self.line, why(&error)))
            });
        }
        self.pending.push(self.line, delivery);
        if self.pending.is_full() {
            self.pending.oldest().await;
        }
        Ok(())
    }

    /// Waits for the outcome of everything that was sent; who is interrupted waits no longer.
    async fn close(&mut self, interrupted: &mut Interruption) -> Result<(), ToolError> {
        tokio::select! {
            () = self.producer.close() => {}
            () = interrupted.happens() => {
                self.producer.close_within(Duration::ZERO).await;
            }
        }
        self.pending.settle_all();
        match self.pending.failed() {
            0 => Ok(()),
            failed => Err(ToolError::Failed(format!(
                "{failed} of {} records were not delivered: the lines named above are to be sent again",
                self.line
            ))),
        }
    }

    fn tell(&mut self) {
        self.pending.tell().iter().for_each(|line| self.progress.say(line));
    }
}
