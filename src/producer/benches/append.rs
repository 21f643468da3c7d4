//! What a record costs on its way into a batch, and a batch until it is delivered.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ottla_producer::{Content, Event, PartitionAnswer, Producer, Record, Settings};
use ottla_types::{BrokerId, LeaderEpoch, TopicName};
use ottla_view::{Broker, Change, Leadership, Topic};

const BROKER: BrokerId = BrokerId(1);
const RECORDS: usize = 10_000;

/// A producer that knows a topic of so many partitions, with a broker that is connected.
fn producer(topic: &TopicName, partitions: i32) -> Producer<Arc<()>> {
    let settings = Settings { batch_size: 64 << 10, max_request_size: 1 << 20, ..Settings::default() };
    let mut producer = Producer::new(settings);
    let leadership = Leadership { leader: Some(BROKER), epoch: LeaderEpoch(0) };
    let partitions = (0..partitions).map(|index| (index, leadership)).collect();
    let broker = Broker { endpoints: Vec::new(), rack: None, epoch: 1 };
    let events = [
        Event::View(Change::BrokerCame { id: BROKER, broker }),
        Event::View(Change::Topic { name: topic.clone(), topic: Topic::Partitions(partitions) }),
        Event::ProducerId { outcome: Ok((1, 0)) },
        Event::Connected { broker: BROKER },
    ];
    let mut effects = Vec::new();
    events.into_iter().for_each(|event| producer.step(0, event, &mut effects));
    producer
}

/// Sends all there is, and has it answered.
fn deliver(producer: &mut Producer<Arc<()>>) {
    let mut effects = Vec::new();
    while let Some(request) = producer.next_request(0, BROKER) {
        let mut answers = Vec::new();
        for outgoing in request.batches {
            if let Content::Open(builder) = outgoing.content {
                let bytes = Bytes::from(builder.finish().expect("memory is there"));
                producer.sealed(outgoing.batch, Ok(bytes), &mut effects);
            }
            answers.push(PartitionAnswer {
                topic: outgoing.topic,
                partition: outgoing.partition,
                error_code: 0,
                message: None,
                base_offset: 0,
                log_append_time: -1,
            });
        }
        let answered = Event::Answered { broker: BROKER, request: request.id, outcome: Ok(answers) };
        producer.step(0, answered, &mut effects);
        effects.clear();
    }
}

/// Ten digits.
fn key_of(number: usize) -> [u8; 10] {
    let text = format!("{number:010}");
    std::array::from_fn(|place| text.as_bytes()[place])
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("records of 100 bytes");
    group.throughput(Throughput::Elements(RECORDS as u64));
    let topic = TopicName::new("orders").expect("a name");
    let ticket = Arc::new(());
    for (name, partitions, key) in [("no key", 1, false), ("no key, 12 partitions", 12, false), ("key of 10", 12, true)]
    {
        let mut producer = producer(&topic, partitions);
        let value = [7; 100];
        let keys: Vec<[u8; 10]> = (0..RECORDS).map(key_of).collect();
        group.bench_function(name, |b| {
            b.iter(|| {
                for (number, digits) in keys.iter().enumerate() {
                    let record = Record {
                        partition: None,
                        key: key.then_some(&digits[..]),
                        value: Some(&value[..if key { 90 } else { 100 }]),
                        headers: &[],
                        timestamp: 1_700_000_000_000 + (number >> 10) as i64,
                    };
                    let placed = producer.append(0, &topic, black_box(&record), |_| ticket.clone());
                    black_box(placed.expect("there is room"));
                }
                deliver(&mut producer);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
