//! What brokers say, and connections that say nothing.

use ottla_types::BrokerId;

use crate::broker::{Link, PartitionKey, doubled, short_pause};
use crate::errors::{Meaning, is_not_written, meaning, words};
use crate::producer::{Alarm, Sent, SentBatch};
use crate::{Effect, Failure, Lost, PartitionAnswer, Producer, Report, RequestId};

impl<T: Clone> Producer<T> {
    /// A request was answered, or never will be.
    pub(crate) fn answered(
        &mut self,
        now_ms: u64,
        broker: BrokerId,
        request: RequestId,
        outcome: Result<Vec<PartitionAnswer>, Lost>,
        out: &mut Vec<Effect<T>>,
    ) {
        if self.requests.get(&request).is_none_or(|sent| sent.broker != broker) {
            return;
        }
        let Some(Sent { batches, .. }) = self.requests.remove(&request) else { return };
        if let Some(lane) = self.brokers.get_mut(broker) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            if outcome.is_ok() {
                lane.failures = 0;
                lane.reported = false;
                lane.why = None;
            }
        }
        for (nth, sent) in batches.iter().enumerate() {
            let Some(partition) = self.topics.partition_mut(sent.key) else { continue };
            if partition.generation != sent.generation {
                continue;
            }
            partition.outstanding -= 1;
            let Some(place) = partition.queue.iter().position(|batch| batch.id == sent.batch) else { continue };
            partition.queue[place].flight = None;
            match &outcome {
                Ok(_) if !self.is_answered() => self.deliver(now_ms, sent.key, place, (None, None), out),
                Ok(answers) => match self.find(answers, nth, sent) {
                    Some(answer) => self.judge(now_ms, broker, (sent.key, place), answer, out),
                    None => {
                        let why = format!("broker {broker} does not mention the partition in its answer");
                        self.lost(now_ms, broker, (sent.key, place), (true, why), out);
                    }
                },
                Err(lost) => {
                    let (may_be_written, why) = match lost {
                        Lost::Unknown(why) => (true, why),
                        Lost::NotSent(why) => (false, why),
                    };
                    let why = format!("broker {broker}: {why}");
                    self.lost(now_ms, broker, (sent.key, place), (may_be_written, why), out);
                }
            }
        }
        for sent in &batches {
            self.attend(now_ms, sent.key, out);
        }
        self.wake(now_ms, broker, out);
    }

    /// The answer for one of the batches of a request: at the same place, as brokers do, or wherever it is.
    fn find<'a>(&self, answers: &'a [PartitionAnswer], nth: usize, sent: &SentBatch) -> Option<&'a PartitionAnswer> {
        let name = &self.topics.get(sent.key.0).name;
        let fits = |answer: &&PartitionAnswer| answer.partition == sent.key.1 && answer.topic == *name;
        answers.get(nth).filter(fits).or_else(|| answers.iter().find(fits))
    }

    /// Does what an answer asks for.
    fn judge(
        &mut self,
        now_ms: u64,
        broker: BrokerId,
        (key, place): (PartitionKey, usize),
        answer: &PartitionAnswer,
        out: &mut Vec<Effect<T>>,
    ) {
        let known = |number: i64| (number >= 0).then_some(number);
        let code = answer.error_code;
        let meaning = match meaning(code) {
            Meaning::Delivered => {
                let told = (known(answer.base_offset), known(answer.log_append_time));
                return self.deliver(now_ms, key, place, told, out);
            }
            Meaning::DeliveredBefore if self.settings.idempotent => {
                return self.deliver(now_ms, key, place, (known(answer.base_offset), None), out);
            }
            Meaning::Sequence if !self.settings.idempotent => Meaning::Never,
            meaning => meaning,
        };
        let Some(partition) = self.topics.partition_mut(key) else { return };
        let message = words(code, answer.message.as_deref(), partition.queue[place].count);
        let why = format!("broker {broker}: {message}");
        let batch = &mut partition.queue[place];
        batch.may_be_written |= !is_not_written(code);
        // Those behind the first are refused because it was; that says nothing more.
        let is_first = place == 0;
        let tries = batch.tries.saturating_sub(batch.excused);
        let pause = match meaning {
            Meaning::NotLeader if !is_first => {
                batch.excused += 1;
                0
            }
            Meaning::NotLeader => {
                partition.sequences.proven = false;
                match partition.leadership.leader == Some(broker) {
                    true => {
                        let pause = partition.denied(now_ms, self.settings.retry_backoff_ms);
                        partition.queue[place].excused += u32::from(pause < self.settings.retry_backoff_ms);
                        if partition.denials == 1 {
                            out.push(Effect::Doubt(self.topics.partition_name(key)));
                        }
                        pause
                    }
                    false => 0,
                }
            }
            Meaning::Sequence if is_first && batch.whole_may_be_written => {
                let partition = self.topics.partition_name(key);
                let message =
                    format!("{message} It may be written all the same, within the batch that it is a part of.");
                return self.fail(key, place, Failure::Refused { partition, code, message }, out);
            }
            Meaning::Sequence if is_first => {
                partition.is_not_written();
                partition.sequences.doubt.get_or_insert_with(|| why.clone());
                match partition.sequences.renewals {
                    0 => 0,
                    times => doubled(self.settings.retry_backoff_ms, times, self.settings.retry_backoff_max_ms),
                }
            }
            Meaning::Sequence => {
                batch.tries -= 1;
                0
            }
            Meaning::Later if is_first => {
                doubled(self.settings.retry_backoff_ms, tries, self.settings.retry_backoff_max_ms)
            }
            Meaning::Later => 0,
            Meaning::TooLarge if batch.count > 1 && self.split((key, place), (&message, &why), out) => return,
            Meaning::Delivered | Meaning::DeliveredBefore | Meaning::TooLarge | Meaning::Never => {
                let partition = self.topics.partition_name(key);
                return self.fail(key, place, Failure::Refused { partition, code, message }, out);
            }
        };
        if let Some(partition) = self.topics.partition_mut(key)
            && pause > 0
        {
            partition.paused_until = partition.paused_until.max(now_ms.saturating_add(pause));
        }
        self.again((key, place), why, out);
    }

    /// A batch of which no broker has said anything. As a rule the connection ends, which is told next and has a pause of its own;
    /// one that goes on is not used again at once.
    fn lost(
        &mut self,
        now_ms: u64,
        broker: BrokerId,
        (key, place): (PartitionKey, usize),
        (may_be_written, why): (bool, String),
        out: &mut Vec<Effect<T>>,
    ) {
        let goes_on = self.brokers.get(broker).is_some_and(|lane| lane.link == Link::Up);
        let Some(partition) = self.topics.partition_mut(key) else { return };
        if goes_on && partition.leadership.leader == Some(broker) {
            let pause = short_pause(1, self.settings.retry_backoff_max_ms);
            partition.paused_until = partition.paused_until.max(now_ms.saturating_add(pause));
        }
        let batch = &mut partition.queue[place];
        batch.may_be_written |= may_be_written;
        if !may_be_written {
            batch.tries -= 1;
        }
        self.again((key, place), why, out);
    }

    /// A batch is to be sent again, if `retries` allows; it keeps its place.
    fn again(&mut self, (key, place): (PartitionKey, usize), why: String, out: &mut Vec<Effect<T>>) {
        let retries = self.settings.retries;
        let Some(partition) = self.topics.partition_mut(key) else { return };
        let batch = &mut partition.queue[place];
        let (tries, may_be_written) = (batch.tries.saturating_sub(batch.excused), batch.may_be_written);
        batch.obstacle = Some(why.clone());
        let partition = self.topics.partition_name(key);
        match tries > retries {
            true => self.fail(key, place, Failure::Retries { partition, tries, why, may_be_written }, out),
            false => out.push(Effect::Report(Report::Retried { partition, why })),
        }
    }

    /// A producer id was given, or refused.
    pub(crate) fn identified(
        &mut self,
        now_ms: u64,
        outcome: Result<(i64, i16), (i16, String)>,
        out: &mut Vec<Effect<T>>,
    ) {
        if !std::mem::take(&mut self.asked) {
            return;
        }
        match outcome {
            Ok(identity) => {
                self.producer_id = Some(identity);
                for key in self.topics.keys(|partition| partition.sequences.identity.is_none()) {
                    self.attend(now_ms, key, out);
                }
            }
            Err((code, text)) => match meaning(code) {
                Meaning::Never if code != -1 => {
                    self.stop(format!("no producer id: {}", words(code, Some(&text), 0)), out);
                }
                _ => {
                    let again = now_ms.saturating_add(self.settings.retry_backoff_ms.max(1));
                    self.timers.insert((again, Alarm::ProducerId));
                }
            },
        }
    }
}
