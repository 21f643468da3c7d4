//! What a connection is given to send.

use bytes::Bytes;
use ottla_records::compression::CompressionError;
use ottla_types::BrokerId;

use crate::batch::Held;
use crate::broker::Link;
use crate::producer::{Sent, SentBatch};
use crate::{BatchId, Content, Effect, Failure, Outgoing, Producer, Request, Stamp};

/// A batch without idempotence.
const NO_STAMP: Stamp = Stamp { producer_id: -1, producer_epoch: -1, base_sequence: -1 };

impl<T: Clone> Producer<T> {
    /// What a broker is to be sent now on a connection that is there; none: nothing, or enough is under way. The connection is
    /// told by [`Effect::Wake`] when there may be more.
    ///
    /// Each partition that has something gives one batch, in turn, until `max.request.size` is reached; the next request
    /// begins with those that were left out.
    pub fn next_request(&mut self, now_ms: u64, broker: BrokerId) -> Option<Request> {
        let rules = self.rules();
        let lane = self.brokers.get_mut(broker)?;
        if lane.link != Link::Up || lane.holds_back(self.settings.max_in_flight) {
            lane.sleep();
            return None;
        }
        let id = self.last_request + 1;
        let (mut batches, mut sent) = (Vec::new(), Vec::new());
        let mut size = 0;
        lane.due = false;
        for _ in 0..lane.ready.len() {
            let Some(key) = lane.ready.pop_front() else { break };
            let topic = self.topics.get_mut(key.0);
            let Some(place) = topic.place(key.1) else { continue };
            let partition = &mut topic.partitions[place];
            if partition.listed != Some(broker) {
                continue;
            }
            partition.listed = None;
            if partition.leadership.leader != Some(broker) {
                continue;
            }
            let Some(place) = partition.next(now_ms, rules) else { continue };
            let batch = &mut partition.queue[place];
            if !batches.is_empty() && size + batch.len() > self.settings.max_request_size {
                partition.listed = Some(broker);
                lane.ready.push_front(key);
                lane.due = true;
                break;
            }
            size += batch.len();
            let stamp = match partition.sequences.identity {
                Some((producer_id, producer_epoch)) => {
                    let count = batch.count;
                    let base_sequence = *batch.base_sequence.get_or_insert_with(|| partition.sequences.assign(count));
                    Stamp { producer_id, producer_epoch, base_sequence }
                }
                None => NO_STAMP,
            };
            let content = match std::mem::replace(&mut batch.content, Held::Out) {
                Held::Open(builder) | Held::Complete(builder) => {
                    self.given_out.insert(batch.id, key);
                    Content::Open(builder)
                }
                Held::Sealed(bytes) => {
                    batch.content = Held::Sealed(bytes.clone());
                    Content::Sealed(bytes)
                }
                Held::Out => Content::Sealed(Bytes::new()),
            };
            batch.flight = Some(id);
            batch.tries += 1;
            sent.push(SentBatch { key, generation: partition.generation, batch: batch.id });
            batches.push(Outgoing {
                batch: batch.id,
                topic: topic.name.clone(),
                partition: partition.index,
                stamp,
                content,
            });
            partition.outstanding += 1;
            partition.destination = Some(broker);
            if let Some(place) = partition.next(now_ms, rules) {
                partition.listed = Some(broker);
                lane.ready.push_back(key);
                lane.due |= partition.queue[place].is_due(now_ms, rules.hurry);
            }
        }
        if batches.is_empty() {
            lane.sleep();
            return None;
        }
        lane.in_flight += 1;
        self.last_request = id;
        self.requests.insert(id, Sent { broker, batches: sent });
        Some(Request { id, batches })
    }

    /// The bytes of a batch that was given out open. One that has failed meanwhile is not kept. The request is sent without a
    /// batch that has none; one that is empty then counts as answered, with no answers.
    pub fn sealed(&mut self, batch: BatchId, bytes: Result<Bytes, CompressionError>, out: &mut Vec<Effect<T>>) {
        let Some(key) = self.given_out.remove(&batch) else { return };
        let Some(partition) = self.topics.partition_mut(key) else { return };
        let Some(place) = partition.queue.iter().position(|held| held.id == batch) else { return };
        match bytes {
            Ok(bytes) => partition.queue[place].content = Held::Sealed(bytes),
            Err(error) => {
                let partition = self.topics.partition_name(key);
                self.fail(key, place, Failure::Encoding { partition, why: error.to_string() }, out);
                self.tell(out);
            }
        }
    }

    /// A buffer that the driver does not need any more, as what is left of a builder whose records were compressed
    /// ([`finish_and_keep`](ottla_records::builder::BatchBuilder::finish_and_keep)).
    pub fn spare(&mut self, buffer: Vec<u8>) {
        self.memory.keep(buffer);
    }
}
