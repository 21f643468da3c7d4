//! Connections to brokers, as the driver has them: one for each, requests pipelined, closed when an answer does not come.

use std::collections::BTreeMap;

use ottla_producer::{Acks, Content, Event, Lost, PartitionAnswer, Request, RequestId, Stamp};
use ottla_records::batch::BatchView;
use ottla_records::builder::restamp;
use ottla_records::open::OpenBatch;
use ottla_types::{BrokerId, TopicPartition};
use rand::RngExt;

use super::World;
use super::brokers::{MESSAGE_TOO_LARGE, Wire, Written};
use super::log::OUT_OF_ORDER_SEQUENCE_NUMBER;

/// Refusals of one partition, and connections to one broker that do not come about, in a second: more are a hot loop.
const MOST_IN_A_SECOND: u64 = 400;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Down,
    Connecting,
    Up {
        life: u64,
    },
}

struct Sent {
    batches: Vec<(TopicPartition, Vec<u64>)>,
    /// When its last byte was given to the system, ms.
    written_ms: u64,
}

#[derive(Default)]
struct Closed {
    link: u64,
    at_ms: u64,
    /// What arrives until then still arrives.
    until_ms: u64,
}

#[derive(Default)]
pub(crate) struct Lane {
    state: State,
    /// There is something to send, and it has not looked.
    wanted: bool,
    /// It is to end, and has not heard.
    ends: bool,
    /// It makes the bytes of a request, and neither hears nor says anything.
    seals: bool,
    /// Why its connection has ended meanwhile.
    broken: Option<String>,
    link: u64,
    in_flight: BTreeMap<RequestId, Sent>,
    /// When the last packet of each direction arrives, and when the last request is written.
    outward_ms: u64,
    inward_ms: u64,
    written_ms: u64,
    /// The last connection that was closed.
    closed: Closed,
    /// Tries in vain in the second that began then.
    in_vain: (u64, u64),
    /// Requests in all.
    pub(crate) sent: u64,
    /// Connections that did not come about, in all.
    pub(crate) unreachable: u64,
}

impl Lane {
    pub(crate) fn concerns(&self, partition: &TopicPartition) -> bool {
        self.in_flight.values().any(|sent| sent.batches.iter().any(|(of, _)| of == partition))
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    fn tried_in_vain(&mut self, now: u64) {
        let (begun, count) = self.in_vain;
        self.in_vain = if now < begun + 1_000 { (begun, count + 1) } else { (now, 1) };
        assert!(self.in_vain.1 <= MOST_IN_A_SECOND, "a broker is asked {} times in vain in a second", self.in_vain.1);
    }
}

/// What a batch's header says of its producer, and the numbers that its records carry.
fn read(bytes: &[u8]) -> (Stamp, Vec<u64>) {
    let batch = BatchView::parse(bytes).expect("a batch reads back");
    batch.check_crc().expect("its checksum is right");
    let open = OpenBatch::open(&batch, 1 << 20).expect("its records lie open");
    let number = |value: &[u8]| u64::from_be_bytes(value[..8].try_into().expect("eight bytes"));
    let values = open.records().map(|record| number(record.expect("a record").value.expect("a value"))).collect();
    let (producer_id, producer_epoch, base_sequence) = (batch.producer_id, batch.producer_epoch, batch.base_sequence);
    (Stamp { producer_id, producer_epoch, base_sequence }, values)
}

impl World {
    /// A broker's connection is told that there is something to send. It hears of it a little later.
    pub(crate) fn wake(&mut self, id: BrokerId) {
        self.lanes.entry(id).or_default().wanted = true;
        self.run_lane_soon(id);
    }

    /// It is told to end, which is always answered.
    pub(crate) fn disconnect(&mut self, id: BrokerId) {
        self.lanes.entry(id).or_default().ends = true;
        self.run_lane_soon(id);
    }

    fn run_lane_soon(&mut self, id: BrokerId) {
        let delay = self.between(self.profile.local_ms);
        self.after(delay, move |world| world.run_lane(id));
    }

    fn run_lane(&mut self, id: BrokerId) {
        let lane = self.lanes.get_mut(&id).expect("it was told something");
        if std::mem::take(&mut lane.ends) {
            match lane.state {
                State::Down => self.tell(Event::Disconnected { broker: id, why: "closed".into() }),
                State::Connecting | State::Up { .. } => self.close_lane(id, "closed"),
            }
        }
        let lane = self.lanes.get_mut(&id).expect("it was told something");
        match lane.state {
            State::Connecting => {}
            State::Up { .. } if std::mem::take(&mut lane.wanted) => self.pull(id),
            State::Down if std::mem::take(&mut lane.wanted) => self.connect(id),
            State::Up { .. } | State::Down => {}
        }
    }

    fn connect(&mut self, id: BrokerId) {
        self.next += 1;
        let link = self.next;
        let lane = self.lanes.entry(id).or_default();
        (lane.state, lane.link) = (State::Connecting, link);
        let address = self.watching.told.brokers.get(&id).and_then(|broker| broker.endpoints.first());
        let port = address.map(|endpoint| endpoint.port);
        let broker = &self.brokers[&id];
        let answers = broker.up && port == Some(broker.port);
        let takes = match answers || port.is_none() || self.random.random_range(0..4) > 0 {
            true => self.leg() + self.leg(),
            // Nobody is there to refuse.
            false => self.random.random_range(100..1_000),
        };
        self.after(takes, move |world| world.connected(id, link, port));
    }

    fn connected(&mut self, id: BrokerId, link: u64, port: Option<u16>) {
        let broker = &self.brokers[&id];
        let (answers, life) = (broker.up && port == Some(broker.port), broker.life);
        let (now, lane) = (self.now, self.lanes.get_mut(&id).expect("it is being connected"));
        if lane.link != link || lane.state != State::Connecting {
            return;
        }
        if !answers {
            lane.state = State::Down;
            lane.unreachable += 1;
            lane.tried_in_vain(now);
            let why = if port.is_some() { "connection refused" } else { "it is not registered" };
            self.tell(Event::Disconnected { broker: id, why: why.into() });
            return self.run_lane_soon(id);
        }
        lane.state = State::Up { life };
        (lane.outward_ms, lane.inward_ms, lane.written_ms) = (now, now, now);
        // Nothing of an earlier connection comes after what is sent on this one.
        lane.closed.until_ms = lane.closed.until_ms.min(now);
        self.forget_connections(id, link);
        self.tell(Event::Connected { broker: id });
        self.pull(id);
        self.run_lane_soon(id);
    }

    fn pull(&mut self, id: BrokerId) {
        while let Some(lane) = self.lanes.get(&id)
            && let (State::Up { life }, false) = (lane.state, lane.seals)
            && let Some(request) = self.producer.next_request(self.now, id)
        {
            let takes = self.between(self.profile.seal_ms);
            if takes == 0 || request.batches.iter().all(|batch| matches!(batch.content, Content::Sealed(_))) {
                self.send(id, life, self.now, request);
                continue;
            }
            self.lanes.get_mut(&id).expect("it is up").seals = true;
            let taken_ms = self.now;
            self.after(takes, move |world| {
                world.send(id, life, taken_ms, request);
                let lane = world.lanes.get_mut(&id).expect("it is up");
                lane.seals = false;
                match lane.broken.take() {
                    Some(why) => world.close_lane(id, &why),
                    None => world.pull(id),
                }
            });
        }
        self.perform(vec![]);
    }

    /// Makes the bytes of what was taken, and sends them.
    fn send(&mut self, id: BrokerId, life: u64, taken_ms: u64, request: Request) {
        assert!(!request.batches.is_empty(), "a request without batches");
        let (mut wire, mut batches, mut size) = (Wire { id: request.id, batches: vec![] }, vec![], 0);
        for outgoing in request.batches {
            let Stamp { producer_id, producer_epoch, base_sequence } = outgoing.stamp;
            let bytes = match outgoing.content {
                Content::Sealed(bytes) => restamp(&bytes, producer_id, producer_epoch, base_sequence).into(),
                Content::Open(mut builder) => {
                    builder.set_producer(producer_id, producer_epoch, base_sequence);
                    let bytes = bytes::Bytes::from(builder.finish().expect("nothing is compressed"));
                    let mut out = vec![];
                    self.producer.sealed(outgoing.batch, Ok(bytes.clone()), &mut out);
                    self.perform(out);
                    bytes
                }
            };
            let partition = TopicPartition::new(outgoing.topic, outgoing.partition);
            assert!(batches.iter().all(|(of, _)| *of != partition), "two batches of {partition} in one request");
            let (stamp, values) = read(&bytes);
            assert_eq!(stamp, outgoing.stamp);
            size += bytes.len();
            self.application.judge_sent(&partition, &values, taken_ms);
            self.note(|| format!("broker {id} is sent {}: {partition} {stamp:?} {values:?}", request.id));
            let (partition_too, values_too, bytes) = (partition.clone(), values.clone(), bytes.len());
            wire.batches.push(Written { partition: partition_too, stamp, values: values_too, bytes });
            batches.push((partition, values));
        }
        assert!(size <= self.settings.max_request_size || batches.len() == 1, "a request of {size} bytes");
        let (leg, writing) = (self.leg(), self.random.random_range(0..=1).min(self.profile.leg_ms.1));
        let lane = self.lanes.get_mut(&id).expect("it is up");
        let written_ms = lane.written_ms.max(self.now + writing);
        lane.written_ms = written_ms;
        lane.sent += 1;
        lane.in_flight.insert(wire.id, Sent { batches, written_ms });
        let most = self.settings.max_in_flight;
        assert!(lane.in_flight.len() <= most, "{} requests in flight", lane.in_flight.len());
        lane.outward_ms = lane.outward_ms.max(written_ms + leg);
        let (at, link, request) = (lane.outward_ms, lane.link, wire.id);
        self.at(at, move |world| {
            let Lane { link: open, closed, .. } = &world.lanes[&id];
            let late = closed.link == link && written_ms <= closed.at_ms && world.now <= closed.until_ms;
            if *open == link || late {
                world.take_in(id, life, link, wire);
            }
        });
        if self.settings.acks == Acks::None {
            self.at(written_ms, move |world| world.written(id, link, request));
        } else {
            let timeout = self.settings.request_timeout_ms;
            self.after(timeout, move |world| {
                let lane = &world.lanes[&id];
                if lane.link == link && lane.in_flight.contains_key(&request) {
                    world.close_lane(id, "no answer within request.timeout.ms");
                }
            });
        }
    }

    /// With acks=0 that is all there is.
    fn written(&mut self, id: BrokerId, link: u64, request: RequestId) {
        let answers = |(partition, _): &(TopicPartition, Vec<u64>)| PartitionAnswer {
            topic: partition.topic.clone(),
            partition: partition.partition,
            error_code: 0,
            message: None,
            base_offset: -1,
            log_append_time: -1,
        };
        let lane = &self.lanes[&id];
        if let Some(sent) = lane.in_flight.get(&request).filter(|_| lane.link == link) {
            let answers = sent.batches.iter().map(answers).collect();
            self.answered(id, link, request, answers);
        }
    }

    /// An answer is sent by a broker.
    pub(crate) fn send_answer(
        &mut self,
        id: BrokerId,
        link: u64,
        request: RequestId,
        mut answers: Vec<PartitionAnswer>,
    ) {
        let leg = self.leg();
        if self.one_in(10 * self.profile.trouble_one_in) {
            // It forgets one.
            let forgotten = answers.pop().map(|answer| TopicPartition::new(answer.topic, answer.partition));
            let sent = self.lanes[&id].in_flight.get(&request).into_iter().flat_map(|sent| &sent.batches);
            let values = sent.filter(|(of, _)| Some(of) == forgotten.as_ref()).flat_map(|(_, values)| values);
            self.application.doubtful.extend(values);
        }
        let lane = self.lanes.get_mut(&id).expect("it has asked");
        lane.inward_ms = lane.inward_ms.max(self.now + leg);
        let at = lane.inward_ms;
        self.at(at, move |world| world.answered(id, link, request, answers));
    }

    fn answered(&mut self, id: BrokerId, link: u64, request: RequestId, answers: Vec<PartitionAnswer>) {
        let (now, lane) = (self.now, self.lanes.get_mut(&id).expect("it has asked"));
        if lane.link != link || lane.in_flight.remove(&request).is_none() {
            return;
        }
        // What is too large comes in halves, and what is under way behind it once more: that ends.
        let gets_on = |answer: &PartitionAnswer| [0, MESSAGE_TOO_LARGE].contains(&answer.error_code);
        let is_behind = |answer: &PartitionAnswer| answer.error_code == OUT_OF_ORDER_SEQUENCE_NUMBER;
        if !answers.iter().any(gets_on) || !answers.iter().all(|answer| gets_on(answer) || is_behind(answer)) {
            lane.tried_in_vain(now);
        }
        self.tell(Event::Answered { broker: id, request, outcome: Ok(answers) });
        self.pull(id);
    }

    /// A broker has closed a connection, or has gone: the producer hears of it a little later.
    pub(crate) fn hang_up(&mut self, id: BrokerId, link: u64) {
        let leg = self.leg();
        self.after(leg, move |world| {
            if world.lanes.get(&id).is_some_and(|lane| lane.link == link) {
                world.close_lane(id, "connection reset");
            }
        });
    }

    /// The connection is closed. A part of what is on its way arrives, no answer does.
    pub(crate) fn close_lane(&mut self, id: BrokerId, why: &str) {
        let until = self.now + self.random.random_range(0..2 * self.profile.leg_ms.1 + 2);
        let Some(lane) = self.lanes.get_mut(&id).filter(|lane| lane.state != State::Down) else { return };
        if lane.seals {
            lane.broken.get_or_insert(why.into());
            return;
        }
        let link = std::mem::take(&mut lane.link);
        if lane.state != State::Connecting {
            lane.closed = Closed { link, at_ms: self.now, until_ms: until };
        }
        lane.state = State::Down;
        let in_flight = std::mem::take(&mut lane.in_flight);
        self.note(|| format!("broker {id}'s connection ends: {why}"));
        for (request, sent) in in_flight {
            let lost = match sent.written_ms > self.now {
                true => {
                    self.tried.insert("a connection broke before a request was written");
                    Lost::NotSent(why.into())
                }
                false => Lost::Unknown(why.into()),
            };
            if let Lost::Unknown(_) = lost {
                self.application.doubtful.extend(sent.batches.iter().flat_map(|(_, values)| values));
            }
            self.tell(Event::Answered { broker: id, request, outcome: Err(lost) });
        }
        self.tell(Event::Disconnected { broker: id, why: why.into() });
        self.run_lane_soon(id);
    }
}
