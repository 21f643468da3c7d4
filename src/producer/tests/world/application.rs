//! An application that sends numbers in rising order, and what it is told of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use ottla_producer::{Failure, Record, Refusal};
use ottla_types::{Offset, TopicName, TopicPartition};
use rand::RngExt;

use super::World;
use super::zookeeper::wall;

pub(crate) type Ticket = u64;

/// What it was told of a batch, or of a part.
pub(crate) type Outcome = Result<Option<Offset>, Failure>;

pub(crate) struct Told {
    pub(crate) outcome: Outcome,
    pub(crate) at_ms: u64,
    /// The first record behind those that it concerns.
    end: usize,
}

/// Records that share a ticket.
pub(crate) struct Batch {
    pub(crate) partition: TopicPartition,
    pub(crate) values: Vec<u64>,
    pub(crate) opened_ms: u64,
    /// By the first record that it concerns.
    told: BTreeMap<usize, Told>,
    /// Halves of what a broker found too large, by their first records and ends.
    halves: BTreeSet<(usize, usize)>,
}

impl Batch {
    /// Numbers and what was told of them.
    pub(crate) fn told(&self) -> impl Iterator<Item = (&[u64], &Told)> {
        self.told.iter().map(|(first, told)| (&self.values[*first..told.end], told))
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.told().map(|(values, _)| values.len()).sum::<usize>() == self.values.len()
    }

    pub(crate) fn is_split(&self) -> bool {
        !self.halves.is_empty()
    }

    /// When it was told the last of it.
    pub(crate) fn told_ms(&self) -> Option<u64> {
        self.told.values().map(|told| told.at_ms).max()
    }

    /// Where records are that were sent together: all, or as many as are in a half of what was too large.
    fn range_of(&self, values: &[u64]) -> (usize, usize) {
        let first = self.values.binary_search(&values[0]).expect("a number of this batch");
        let end = first + values.len();
        assert_eq!(self.values.get(first..end), Some(values), "other records than those of the batch");
        let is_known = (first, end) == (0, self.values.len()) || self.halves.contains(&(first, end));
        assert!(is_known, "{first}..{end} of {} records, halves are {:?}", self.values.len(), self.halves);
        (first, end)
    }
}

/// How it sends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Load {
    pub(crate) topics: Vec<TopicName>,
    /// Most between two bursts, ms.
    pub(crate) pause_ms: u64,
    /// Most records in a burst.
    pub(crate) burst: u64,
    /// Most bytes of a value.
    pub(crate) size: usize,
    /// One burst in so many is followed by a flush; 0: none.
    pub(crate) flush_one_in: u32,
}

#[derive(Default)]
pub(crate) struct Application {
    pub(crate) load: Load,
    /// Whether it sends.
    pub(crate) sends: bool,
    pub(crate) batches: BTreeMap<Ticket, Batch>,
    /// The batch of each number.
    tickets: Vec<Ticket>,
    /// Batches without outcome.
    pub(crate) open: BTreeSet<Ticket>,
    next_ticket: Ticket,
    /// There was no room.
    pub(crate) blocked: bool,
    /// Flushes, and the batches that they wait for.
    pub(crate) flushes: BTreeMap<u64, Vec<Ticket>>,
    flushed: u64,
    pub(crate) closing: bool,
    pub(crate) closed: bool,
    pub(crate) used: BTreeSet<TopicName>,
    /// Numbers that a broker has acknowledged and lost with its leadership, as acks=1 lets it.
    pub(crate) lost: BTreeSet<u64>,
    /// Numbers that may have been written by a request that got no good answer.
    pub(crate) doubtful: BTreeSet<u64>,
    /// Topics that were created, and when.
    pub(crate) created_ms: BTreeMap<u64, u64>,
    /// Batches that were sent.
    pub(crate) sent: BTreeSet<Ticket>,
    /// Numbers that a broker has refused for good.
    pub(crate) refused: BTreeSet<u64>,
}

impl Application {
    pub(crate) fn room(&mut self) {
        self.blocked = false;
    }

    pub(crate) fn flushed(&mut self, token: u64) {
        let waited = self.flushes.remove(&token).unwrap_or_else(|| panic!("nobody asked for flush {token}"));
        let open = waited.iter().find(|ticket| self.open.contains(ticket));
        assert_eq!(open, None, "flush {token} is told to be done");
    }

    pub(crate) fn closed(&mut self) {
        assert!(self.closing && !self.closed, "closed, and nobody asked, or told twice");
        assert!(self.open.is_empty(), "closed, and {:?} have no outcome", self.open);
        self.closed = true;
    }

    pub(crate) fn is_delivered(&self, value: u64) -> bool {
        let batch = self.tickets.get(value as usize).and_then(|ticket| self.batches.get(ticket));
        let told = batch.and_then(|batch| batch.told().find(|(values, _)| values.contains(&value)));
        told.is_some_and(|(_, told)| told.outcome.is_ok())
    }

    /// When the batch of a number was opened.
    pub(crate) fn opened_ms(&self, value: u64) -> u64 {
        self.batches[&self.tickets[value as usize]].opened_ms
    }

    /// A broker refuses records for good, or finds them too large in one batch.
    pub(crate) fn refuse(&mut self, values: &[u64], is_too_large: bool) {
        if !is_too_large || values.len() == 1 {
            self.refused.extend(values);
            return;
        }
        let batch = self.batches.get_mut(&self.tickets[values[0] as usize]).expect("a ticket that was given");
        let (first, end) = batch.range_of(values);
        let half = first + values.len() / 2;
        batch.halves.extend([(first, half), (half, end)]);
    }

    /// What goes to a broker is a batch as it was made, or a part, and had no outcome when it was taken.
    pub(crate) fn judge_sent(&mut self, partition: &TopicPartition, values: &[u64], taken_ms: u64) {
        let first = values.first().expect("a batch with records");
        let ticket = self.tickets[*first as usize];
        let batch = &self.batches[&ticket];
        assert_eq!(batch.partition, *partition, "a batch goes to another partition");
        let (first, end) = batch.range_of(values);
        let before = batch.told.range(..end).find(|(_, told)| told.end > first && told.at_ms < taken_ms);
        assert!(before.is_none(), "a batch is sent that has an outcome: {:?}", before.map(|(_, told)| &told.outcome));
        self.sent.insert(ticket);
    }
}

impl World {
    /// The application begins.
    pub(crate) fn start_sending(&mut self, load: Load) {
        self.application.load = load;
        self.application.sends = true;
        self.after(0, World::burst);
    }

    fn burst(&mut self) {
        let Load { pause_ms, burst, flush_one_in, .. } = self.application.load;
        if !self.application.sends || self.application.closing {
            return;
        }
        let count = self.random.random_range(1..=burst);
        for _ in 0..count {
            if self.application.blocked {
                break;
            }
            let topics = &self.application.load.topics;
            let topic = topics[self.random.random_range(0..topics.len())].clone();
            self.append(&topic);
        }
        if self.one_in(flush_one_in) {
            self.flush();
        }
        let pause = self.random.random_range(0..=pause_ms);
        self.after(pause, World::burst);
    }

    /// Sends the next number to a partition of a topic, by its key, or anywhere.
    fn append(&mut self, topic: &TopicName) {
        let value = self.application.tickets.len() as u64;
        let mut bytes = value.to_be_bytes().to_vec();
        bytes.resize(8 + self.random.random_range(0..=self.application.load.size), 0);
        let key = [self.random.random_range(0..20_u8)];
        let (partition, key) = match self.random.random_range(0..4) {
            0 => (Some(self.random.random_range(0..4)), None),
            1 => (None, Some(&key[..])),
            _ => (None, None),
        };
        let record = Record { partition, key, value: Some(&bytes), headers: &[], timestamp: wall(self.now) };
        let ticket = self.application.next_ticket;
        let mut opened = false;
        let placed = self.producer.append(self.now, topic, &record, |_| {
            opened = true;
            ticket
        });
        let limit = self.settings.buffer_memory;
        let buffered = self.producer.buffered();
        assert!(buffered <= limit, "{buffered} of {limit} bytes");
        match placed {
            Ok(placed) => {
                let application = &mut self.application;
                let at = TopicPartition::new(topic.clone(), placed.partition);
                if opened {
                    application.next_ticket += 1;
                    application.open.insert(ticket);
                    let (partition, opened_ms) = (at.clone(), self.now);
                    let (told, halves) = (BTreeMap::new(), BTreeSet::new());
                    let batch = Batch { partition, values: vec![], opened_ms, told, halves };
                    application.batches.insert(ticket, batch);
                }
                application.tickets.push(placed.ticket);
                let batch = application.batches.get_mut(&placed.ticket).expect("a ticket that was given");
                assert!(batch.told.is_empty(), "a record joins a batch that has an outcome");
                assert!(!batch.is_split(), "a record joins a batch that was split");
                assert_eq!((&batch.partition, batch.values.len() as u32), (&at, placed.index));
                assert!(partition.is_none_or(|partition| partition == placed.partition));
                batch.values.push(value);
                self.note(|| format!("{value} -> {at}, batch {}", placed.ticket));
                if let Some(broker) = placed.wake {
                    self.wake(broker);
                }
            }
            Err(Refusal::UnknownTopic(_)) => {
                if self.application.used.insert(topic.clone()) {
                    self.use_topic(topic);
                }
            }
            Err(Refusal::Full { .. }) => {
                assert!(buffered > 0, "no room, and nothing is buffered");
                self.application.blocked = true;
                self.tried.insert("buffer.memory was full");
                self.note(|| format!("no room: {buffered} bytes"));
            }
            Err(Refusal::MissingTopic(_) | Refusal::NoSuchPartition { .. }) => {}
            Err(other) => panic!("refused: {other}"),
        }
        assert!(!opened || self.application.batches.contains_key(&ticket), "a ticket for a record that was refused");
        self.perform(vec![]);
    }

    pub(crate) fn flush(&mut self) {
        let application = &mut self.application;
        application.flushed += 1;
        let token = application.flushed;
        application.flushes.insert(token, application.open.iter().copied().collect());
        self.tell(ottla_producer::Event::FlushAsked { token });
    }

    pub(crate) fn close(&mut self) {
        self.application.closing = true;
        self.tell(ottla_producer::Event::CloseAsked);
    }

    /// The application waits no longer.
    pub(crate) fn abandon(&mut self) {
        self.application.closing = true;
        self.tell(ottla_producer::Event::Abandoned);
        assert!(self.application.closed, "abandoned, and not closed");
    }

    pub(crate) fn delivered(&mut self, ticket: Ticket, records: Range<u32>, base_offset: Option<Offset>) {
        self.decided(ticket, records, Ok(base_offset));
    }

    pub(crate) fn failed(&mut self, ticket: Ticket, records: Range<u32>, why: Failure) {
        self.tried.extend(match why {
            Failure::Timeout { .. } => Some("delivery.timeout.ms was over"),
            Failure::Retries { .. } => Some("retries were used up"),
            Failure::TopicDeleted(_) => Some("a topic was deleted"),
            _ => None,
        });
        self.decided(ticket, records, Err(why));
    }

    fn decided(&mut self, ticket: Ticket, records: Range<u32>, outcome: Outcome) {
        let batch = self.application.batches.get_mut(&ticket).expect("a ticket that was given");
        let (first, end) = batch.range_of(&batch.values[records.start as usize..records.end as usize]);
        let again = batch.told.range(..end).any(|(_, told)| told.end > first);
        assert!(!again, "two outcomes of {records:?} of batch {ticket}: {outcome:?}");
        let is_delivered = outcome.is_ok();
        batch.told.insert(first, Told { outcome, at_ms: self.now, end });
        if batch.is_settled() {
            self.application.open.remove(&ticket);
        }
        if is_delivered && (first, end) != (0, self.application.batches[&ticket].values.len()) {
            self.tried.insert("a part of a batch was delivered");
        }
    }
}
