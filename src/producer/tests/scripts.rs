//! The golden scripts: each file in `testscripts/` is named after the fact that it shows. `UPDATE_GOLDENFILES=1` writes
//! their output anew.
//!
//! A command tells the producer something; output: what it asks for. Batches are `b1`, `b2` ... in the order in which they were
//! opened, requests `r1`, `r2` ... A batch in a request is printed with its records and its stamp: id/epoch@sequence. A part of a
//! batch is told as a range of its records; in requests its second half has the number of a batch that is opened then.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::ops::Range;

use bytes::Bytes;
use goldenscript::{ArgumentConsumer, Command, Context};
use ottla_producer::{
    Acks, Content, Effect, Event, Lost, PartitionAnswer, Placed, Producer, Record, Refusal, Report, Request, Settings,
    Stamp,
};
use ottla_protocol::ErrorCode;
use ottla_records::Codec;
use ottla_records::batch::BatchView;
use ottla_records::builder::restamp;
use ottla_types::{BrokerId, Endpoint, LeaderEpoch, ListenerName, SecurityProtocol, TopicName, TopicPartition};
use ottla_view::{Broker, Change, Leadership, Topic};

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Script {
    producer: Producer<String>,
    now_ms: u64,
    /// How many records each ticket has.
    tickets: BTreeMap<String, u32>,
    /// The partitions of each request.
    requests: BTreeMap<u64, Vec<(TopicName, i32)>>,
    out: String,
}

fn settings(args: &mut ArgumentConsumer<'_>) -> Outcome<Settings> {
    let mut settings = Settings { batch_size: 200, ..Settings::default() };
    while let Some((key, value)) = args.next_key() {
        let number = || value.parse::<usize>();
        match key {
            "acks" => settings.acks = [Acks::None, Acks::Leader, Acks::All][number()?],
            "idempotent" => settings.idempotent = value == "on",
            "batch" => settings.batch_size = number()?,
            "linger" => settings.linger_ms = number()? as u64,
            "memory" => settings.buffer_memory = number()?,
            "request" => settings.max_request_size = number()?,
            "in_flight" => settings.max_in_flight = number()?,
            "delivery" => settings.delivery_timeout_ms = number()? as u64,
            "retries" => settings.retries = number()? as u32,
            "gzip" => settings.codec = if value == "on" { Codec::Gzip } else { Codec::None },
            "ignore_keys" => settings.ignore_keys = value == "on",
            key => return Err(format!("no such setting: {key}").into()),
        }
    }
    Ok(settings)
}

fn partition(text: &str) -> Outcome<TopicPartition> {
    let (topic, index) = text.rsplit_once('-').ok_or("topic-partition")?;
    Ok(TopicPartition::new(TopicName::new(topic)?, index.parse()?))
}

fn leadership(text: &str) -> Outcome<Leadership> {
    let leader = if text == "none" { None } else { Some(BrokerId(text.parse()?)) };
    Ok(Leadership { leader, epoch: LeaderEpoch(0) })
}

fn code(name: &str) -> Outcome<i16> {
    if let Ok(code) = name.parse() {
        return Ok(code);
    }
    let name = if name == "ok" { "NONE" } else { name };
    Ok(ErrorCode::ALL.iter().find(|error| error.name() == name).ok_or("no such code")?.code())
}

fn broker_id(text: &str) -> Outcome<BrokerId> {
    Ok(BrokerId(text.parse()?))
}

/// The bytes that a driver would send, which must say what the stamp says.
fn seal(content: Content, stamp: Stamp, producer: &mut Producer<String>, batch: u64) -> (i32, Codec) {
    let Stamp { producer_id, producer_epoch, base_sequence } = stamp;
    let bytes = match content {
        Content::Open(mut builder) => {
            builder.set_producer(producer_id, producer_epoch, base_sequence);
            let bytes = Bytes::from(builder.finish().unwrap());
            producer.sealed(batch, Ok(bytes.clone()), &mut Vec::new());
            bytes
        }
        Content::Sealed(bytes) => Bytes::from(restamp(&bytes, producer_id, producer_epoch, base_sequence)),
    };
    let view = BatchView::parse(&bytes).unwrap();
    view.check_crc().unwrap();
    assert_eq!(
        (view.producer_id, view.producer_epoch, view.base_sequence),
        (producer_id, producer_epoch, base_sequence)
    );
    (view.count, view.codec().unwrap())
}

impl Script {
    fn new(settings: Settings) -> Script {
        let (tickets, requests) = (BTreeMap::new(), BTreeMap::new());
        Script { producer: Producer::new(settings), now_ms: 0, tickets, requests, out: String::new() }
    }

    /// A ticket, and which of its records if those are not all.
    fn records(&self, ticket: &str, records: Range<u32>) -> String {
        match records == (0..self.tickets[ticket]) {
            true => ticket.to_owned(),
            false => format!("{ticket}[{records:?}]"),
        }
    }

    fn step(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.producer.step(self.now_ms, event, &mut effects);
        self.print(effects);
    }

    fn print(&mut self, effects: Vec<Effect<String>>) {
        for effect in effects {
            let line = match effect {
                Effect::Wake(broker) => format!("wake {broker}"),
                Effect::Disconnect(broker) => format!("disconnect {broker}"),
                Effect::GetProducerId => "get producer id".into(),
                Effect::Doubt(partition) => format!("doubt {partition}"),
                Effect::Delivered { ticket, records, base_offset, log_append_time } => {
                    let offset = base_offset.map_or("unknown".into(), |offset| offset.to_string());
                    let time = log_append_time.map_or(String::new(), |time| format!(" at {time}"));
                    format!("delivered {}: offset {offset}{time}", self.records(&ticket, records))
                }
                Effect::Failed { ticket, records, why } => {
                    format!("failed {}: {why}{}", self.records(&ticket, records), maybe(&why))
                }
                Effect::Room => "room".into(),
                Effect::Flushed { token } => format!("flushed {token}"),
                Effect::Closed => "closed".into(),
                Effect::Report(Report::Retried { partition, why }) => format!("report: retried {partition}: {why}"),
                Effect::Report(Report::Split { partition, size, why, is_first }) => {
                    format!("report: split {partition}{}, {size} bytes: {why}", if is_first { " first" } else { "" })
                }
                Effect::Report(report) => format!("report: {report:?}"),
            };
            writeln!(self.out, "{line}").unwrap();
        }
    }

    /// Time passes; the clock is looked at when the producer wants it, never more often than once each ms.
    fn sleep(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(deadline) = self.producer.next_deadline().filter(|deadline| *deadline <= end) {
            self.now_ms = self.now_ms.max(deadline);
            let before = std::mem::take(&mut self.out);
            self.step(Event::TimePassed);
            let now_ms = self.now_ms;
            let after = std::mem::replace(&mut self.out, before);
            after.lines().for_each(|line| writeln!(self.out, "@{now_ms}: {line}").unwrap());
            let next = self.producer.next_deadline();
            assert!(next.is_none_or(|next| next > now_ms), "at {now_ms}, again at {next:?}");
        }
        self.now_ms = end;
    }

    fn append(&mut self, topic: &str, record: &Record<'_>) -> Outcome<Result<Placed<String>, Refusal>> {
        let next = format!("b{}", self.tickets.len() + 1);
        let placed = self.producer.append(self.now_ms, &TopicName::new(topic)?, record, |_| next);
        if let Ok(Placed { ticket, index, .. }) = &placed {
            self.tickets.insert(ticket.clone(), index + 1);
        }
        Ok(placed)
    }

    /// Asks for one request.
    fn request(&mut self, broker: BrokerId) -> bool {
        let Some(Request { id, batches }) = self.producer.next_request(self.now_ms, broker) else { return false };
        let mut partitions = Vec::new();
        write!(self.out, "r{id}:").unwrap();
        for outgoing in batches {
            let stamp = outgoing.stamp;
            let (count, codec) = seal(outgoing.content, stamp, &mut self.producer, outgoing.batch);
            write!(self.out, " {}-{} b{} x{count}", outgoing.topic, outgoing.partition, outgoing.batch).unwrap();
            if codec != Codec::None {
                write!(self.out, " {codec:?}").unwrap();
            }
            if stamp.producer_id >= 0 {
                write!(self.out, " {}/{}@{}", stamp.producer_id, stamp.producer_epoch, stamp.base_sequence).unwrap();
            }
            self.out.push(';');
            partitions.push((outgoing.topic, outgoing.partition));
        }
        self.out.pop();
        self.out.push('\n');
        self.requests.insert(id, partitions);
        true
    }
}

fn maybe(why: &ottla_producer::Failure) -> &'static str {
    use ottla_producer::Failure::{Retries, Timeout};
    match why {
        Timeout { may_be_written: true, .. } | Retries { may_be_written: true, .. } => " (may be written)",
        _ => "",
    }
}

impl goldenscript::Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Outcome<String> {
        let mut args = command.consume_args();
        let mut words = Vec::new();
        while let Some(word) = args.next_pos() {
            words.push(word.to_owned());
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match (command.name.as_str(), words.as_slice()) {
            // producer [acks=1] [linger=5] ...: begins anew, with a batch.size of 200 bytes unless told otherwise.
            ("producer", []) => {
                *self = Script::new(settings(&mut args)?);
            }
            // broker 1 [port=9092] [epoch=1]: registers, or registers anew.
            ("broker", [id]) => {
                let port = args.take_key("port").unwrap_or("9092").parse()?;
                let epoch = args.take_key("epoch").unwrap_or("1").parse()?;
                let endpoint = Endpoint {
                    listener: ListenerName::new("PLAINTEXT"),
                    security_protocol: SecurityProtocol::Plaintext,
                    host: "h".into(),
                    port,
                };
                let broker = Broker { endpoints: vec![endpoint], rack: None, epoch };
                self.step(Event::View(Change::BrokerCame { id: broker_id(id)?, broker }));
            }
            ("gone", [id]) => self.step(Event::View(Change::BrokerWent { id: broker_id(id)? })),
            // topic t 1 2 none: the leaders of its partitions. topic t missing
            ("topic", [name, "missing"]) => {
                self.step(Event::View(Change::Topic { name: TopicName::new(name)?, topic: Topic::Missing }));
            }
            ("topic", [name, leaders @ ..]) => {
                let partitions: Outcome<_> = (0..).zip(leaders).map(|(i, text)| Ok((i, leadership(text)?))).collect();
                let topic = Topic::Partitions(partitions?);
                self.step(Event::View(Change::Topic { name: TopicName::new(name)?, topic }));
            }
            ("forget", [name]) => self.step(Event::View(Change::TopicForgotten { name: TopicName::new(name)? })),
            ("leader", [of, leader]) => {
                let change = Change::Leader { partition: partition(of)?, leadership: leadership(leader)? };
                self.step(Event::View(change));
            }
            ("connect", [id]) => self.step(Event::Connected { broker: broker_id(id)? }),
            // disconnect 1: no connection came about, or it ended.
            ("disconnect", [id]) => {
                let why = "connection refused".into();
                self.step(Event::Disconnected { broker: broker_id(id)?, why });
            }
            // id 7 0: a producer id and epoch. id CODE
            ("id", [id, epoch]) => self.step(Event::ProducerId { outcome: Ok((id.parse()?, epoch.parse()?)) }),
            ("id", [error]) => self.step(Event::ProducerId { outcome: Err((code(error)?, String::new())) }),
            // send t [partition=0] [key=k] [size=100] [times=1]: records with values of so many bytes.
            ("send", [topic]) => {
                let partition = args.take_key("partition").map(str::parse).transpose()?;
                let key = args.take_key("key").map(str::to_owned);
                let value = vec![0; args.take_key("size").unwrap_or("40").parse()?];
                let key = key.as_ref().map(String::as_bytes);
                let record = Record { partition, key, value: Some(&value), headers: &[], timestamp: 0 };
                for _ in 0..args.take_key("times").unwrap_or("1").parse()? {
                    match self.append(topic, &record)? {
                        Ok(Placed { ticket, index, partition, wake }) => {
                            write!(self.out, "{topic}-{partition} {ticket}[{index}]")?;
                            writeln!(self.out, "{}", wake.map_or(String::new(), |id| format!(", wake {id}")))?;
                        }
                        Err(why) => writeln!(self.out, "refused: {why}")?,
                    }
                }
            }
            // spread t 1000: how many records without a key each partition gets, each batch being sent and answered.
            ("spread", [topic, count]) => {
                let mut got = BTreeMap::new();
                for _ in 0..count.parse()? {
                    let record =
                        Record { partition: None, key: None, value: Some(&[0; 40]), headers: &[], timestamp: 0 };
                    *got.entry(self.append(topic, &record)??.partition).or_insert(0) += 1;
                }
                writeln!(self.out, "{got:?}")?;
            }
            // request 1: the next one. requests 1: all there are.
            ("request", [id]) => {
                if !self.request(broker_id(id)?) {
                    writeln!(self.out, "none")?;
                }
            }
            ("requests", [id]) => while self.request(broker_id(id)?) {},
            // answer 1 r1 ok|CODE|silent|lost|unsent [t-1=CODE] [base=7] [time=8]
            ("answer", [broker, request, what]) => {
                let broker = broker_id(broker)?;
                let request = request.trim_start_matches('r').parse()?;
                let base_offset = args.take_key("base").unwrap_or("0").parse()?;
                let log_append_time = args.take_key("time").unwrap_or("-1").parse()?;
                let outcome = match *what {
                    "lost" => Err(Lost::Unknown("connection reset".into())),
                    "silent" => Ok(Vec::new()),
                    "unsent" => Err(Lost::NotSent("connection reset".into())),
                    what => {
                        let mut answers = Vec::new();
                        for (topic, partition) in &self.requests[&request] {
                            let own = args.take_key(&format!("{topic}-{partition}"));
                            let error_code = code(own.unwrap_or(what))?;
                            let base_offset = if error_code == 0 { base_offset } else { -1 };
                            answers.push(PartitionAnswer {
                                topic: topic.clone(),
                                partition: *partition,
                                error_code,
                                message: None,
                                base_offset,
                                log_append_time,
                            });
                        }
                        Ok(answers)
                    }
                };
                self.step(Event::Answered { broker, request, outcome });
            }
            ("flush", [token]) => self.step(Event::FlushAsked { token: token.parse()? }),
            ("close", []) => self.step(Event::CloseAsked),
            ("abandon", []) => self.step(Event::Abandoned),
            ("sleep", [ms]) => self.sleep(ms.parse()?),
            ("buffered", []) => writeln!(self.out, "{}", self.producer.buffered())?,
            (name, words) => return Err(format!("no such command: {name} {words:?}").into()),
        }
        args.reject_next()?;
        Ok(std::mem::take(&mut self.out))
    }
}

#[test]
fn scripts() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testscripts");
    let mut scripts: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    let failed: Vec<_> = scripts
        .iter()
        .filter(|script| {
            let run = || goldenscript::run(&mut Script::new(Settings::default()), script).unwrap();
            std::panic::catch_unwind(run).is_err()
        })
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
