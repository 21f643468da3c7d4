//! What a record costs in allocations: none. A batch costs a few.

use std::sync::Arc;

use bytes::Bytes;
use ottla_producer::{Content, Event, PartitionAnswer, Producer, Record, Settings};
use ottla_types::{BrokerId, LeaderEpoch, TopicName};
use ottla_view::{Broker, Change, Leadership, Topic};

const BROKER: BrokerId = BrokerId(1);
const ROUNDS: u64 = 10;
/// Ten batches' worth.
const RECORDS: u64 = 6_000;

struct Client {
    producer: Producer<Arc<()>>,
    topics: [TopicName; 2],
    ticket: Arc<()>,
    batches: u64,
    requests: u64,
}

impl Client {
    fn new() -> Client {
        let settings = Settings { batch_size: 64 << 10, ..Settings::default() };
        let mut producer = Producer::new(settings);
        let topics = ["orders", "refunds"].map(|name| TopicName::new(name).unwrap());
        let leadership = Leadership { leader: Some(BROKER), epoch: LeaderEpoch(0) };
        let broker = Broker { endpoints: Vec::new(), rack: None, epoch: 1 };
        let mut effects = Vec::new();
        producer.step(0, Event::View(Change::BrokerCame { id: BROKER, broker }), &mut effects);
        for name in &topics {
            let topic = Topic::Partitions((0..3).map(|index| (index, leadership)).collect());
            producer.step(0, Event::View(Change::Topic { name: name.clone(), topic }), &mut effects);
        }
        producer.step(0, Event::ProducerId { outcome: Ok((1, 0)) }, &mut effects);
        producer.step(0, Event::Connected { broker: BROKER }, &mut effects);
        Client { producer, topics, ticket: Arc::new(()), batches: 0, requests: 0 }
    }

    fn append(&mut self, now_ms: u64) {
        for number in 0..RECORDS {
            let topic = &self.topics[(number % 2) as usize];
            let key = number.to_be_bytes();
            let key = (number % 3 == 0).then_some(&key[..]);
            let headers = [(&b"trace"[..], Some(&b"1"[..]))];
            let record = Record { partition: None, key, value: Some(&[1; 100]), headers: &headers, timestamp: 7 };
            self.producer.append(now_ms, topic, &record, |_| self.ticket.clone()).unwrap();
        }
    }

    fn deliver(&mut self, now_ms: u64) {
        let mut effects = Vec::new();
        while let Some(request) = self.producer.next_request(now_ms, BROKER) {
            let mut answers = Vec::new();
            self.requests += 1;
            for outgoing in request.batches {
                self.batches += 1;
                let Content::Open(builder) = outgoing.content else { panic!("nothing is sent again") };
                let bytes = Bytes::from(builder.finish().unwrap());
                self.producer.sealed(outgoing.batch, Ok(bytes), &mut effects);
                answers.push(PartitionAnswer {
                    topic: outgoing.topic,
                    partition: outgoing.partition,
                    error_code: 0,
                    message: None,
                    base_offset: 0,
                    log_append_time: -1,
                });
            }
            let outcome = Ok(answers);
            self.producer.step(now_ms, Event::Answered { broker: BROKER, request: request.id, outcome }, &mut effects);
            effects.clear();
        }
    }
}

#[test]
fn a_record_costs_no_allocation_and_buffers_are_used_again() {
    let mut client = Client::new();
    for round in 0..2 {
        client.append(round);
        client.deliver(round);
    }
    (client.batches, client.requests) = (0, 0);
    let used = allocation_counter::measure(|| {
        for round in 2..2 + ROUNDS {
            client.append(round);
            client.deliver(round);
        }
    });
    assert!(client.batches >= 10 * ROUNDS, "{}", client.batches);
    // For a batch: `Bytes` and its place among those given out; for a request: itself, its batches, answers, effects.
    let expected = 5 * client.batches + 12 * client.requests;
    assert!(used.count_total <= expected, "{used:?}, {} batches, {} requests", client.batches, client.requests);
    let per_thousand = used.count_total * 1_000 / (RECORDS * ROUNDS);
    assert!(per_thousand <= 15, "{used:?}");
    // No buffer of 64 KiB is made anew.
    assert!(used.bytes_total / client.batches < 2_000, "{used:?}, {} batches", client.batches);
}
