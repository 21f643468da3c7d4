//! A batch that is too large for its broker becomes two (`ProducerBatch.split`).

use ottla_records::Codec;
use ottla_records::batch::{BatchView, HEADER_LEN};
use ottla_records::builder::{BatchBuilder, BatchFields};
use ottla_records::open::OpenBatch;

use crate::batch::{Batch, Held};
use crate::broker::PartitionKey;
use crate::sequences::sequence_after;
use crate::{BatchId, Effect, Producer, Report};

/// Half of a batch's records, and the other half.
struct Halves {
    first: BatchBuilder,
    second: BatchBuilder,
    /// Bytes of the batch, not compressed.
    size: usize,
}

impl<T: Clone> Producer<T> {
    /// Puts two batches of half of the records in the place of one that was refused as too large, and has later ones of the topic grow
    /// to half of its size, before compression. `false`: its bytes cannot be read, which they can, and it stays as it was.
    pub(crate) fn split(
        &mut self,
        (key, place): (PartitionKey, usize),
        (message, why): (&str, &str),
        out: &mut Vec<Effect<T>>,
    ) -> bool {
        let standard = self.topics.batch_limit;
        let topic = self.topics.get_mut(key.0);
        let partition = topic.partition_name(key.1);
        let Some(at) = topic.place(key.1) else { return false };
        let queue = &mut topic.partitions[at].queue;
        let Held::Sealed(bytes) = &queue[place].content else { return false };
        let Some(halves) = halve(bytes, self.settings.codec) else { return false };
        let is_first = topic.batch_limit == standard;
        topic.batch_limit = topic.batch_limit.min(halves.size / 2);
        out.push(Effect::Report(Report::Split { partition, size: bytes.len(), why: message.to_owned(), is_first }));

        self.last_batch += 1;
        self.unresolved += 1;
        let (second, whole) = queue[place].split(self.last_batch, halves, why);
        for flush in &mut self.flushes {
            flush.left += usize::from(second.opened_as <= flush.last);
        }
        queue.insert(place + 1, second);
        self.reuse(whole);
        true
    }
}

impl<T: Clone> Batch<T> {
    /// Keeps the first half, and gives the second one and what it held before.
    ///
    /// That it was refused counts as no try of the halves: they are new to the broker, unless it may have the whole from before.
    fn split(&mut self, id: BatchId, halves: Halves, why: &str) -> (Batch<T>, Held) {
        let Halves { first, second, .. } = halves;
        let count = first.count() as u32;
        let capacity = first.len().min(self.capacity);
        let whole = std::mem::replace(&mut self.content, Held::Complete(first));
        self.hurried = true;
        self.tries = self.tries.saturating_sub(1);
        self.whole_may_be_written |= self.may_be_written;
        self.obstacle = Some(why.to_owned());
        let second = Batch {
            id,
            opened_as: self.opened_as,
            ticket: self.ticket.clone(),
            first_record: self.first_record + count,
            content: Held::Complete(second),
            capacity: self.capacity - capacity,
            count: self.count - count,
            hurried: self.hurried,
            ready_at: self.ready_at,
            deadline: self.deadline,
            base_sequence: self.base_sequence.map(|base| sequence_after(base, count)),
            flight: None,
            tries: self.tries,
            excused: self.excused,
            may_be_written: self.may_be_written,
            whole_may_be_written: self.whole_may_be_written,
            obstacle: self.obstacle.clone(),
        };
        (self.count, self.capacity) = (count, capacity);
        (second, whole)
    }
}

/// The records of a batch of at least two, in two; none: it cannot be read.
fn halve(bytes: &[u8], codec: Codec) -> Option<Halves> {
    let batch = BatchView::parse(bytes).ok()?;
    // It was made here, and a batch is no larger than this.
    let open = OpenBatch::open(&batch, i32::MAX as usize).ok()?;
    let half = i64::from(batch.count / 2);
    let builder = || BatchBuilder::with_capacity(BatchFields::new(0, codec), open.body().len() / 2);
    let (mut first, mut second) = (builder(), builder());
    for (record, place) in open.records().zip(0..) {
        let record = record.ok()?;
        match place < half {
            true => first.append_at(place, &record),
            false => second.append_at(place - half, &record),
        }
    }
    let size = HEADER_LEN + open.body().len();
    (!first.is_empty() && !second.is_empty()).then_some(Halves { first, second, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a record is, as text.
    fn records(bytes: &[u8]) -> Vec<String> {
        let batch = BatchView::parse(bytes).unwrap();
        batch.check_crc().unwrap();
        let open = OpenBatch::open(&batch, 1 << 20).unwrap();
        let shown = |record: ottla_records::record::Record<'_>| {
            let headers: Vec<_> = record.headers.iter().collect();
            format!("{} {:?} {:?} {headers:?}", record.timestamp, record.key, record.value)
        };
        open.records().map(|record| shown(record.unwrap())).collect()
    }

    #[test]
    fn halves_hold_the_records_as_they_were_sent_in_order() {
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            for count in [2, 3, 7] {
                let mut builder = BatchBuilder::new(BatchFields::new(0, codec));
                for n in 0..count {
                    let (key, value) = (vec![b'k'; n], vec![n as u8; 200 * n]);
                    let headers = [(&b"h"[..], Some(&key[..])), (&b""[..], None)];
                    // Times go back and forth, and one is the first of its half.
                    let timestamp = [1_000_000, -5, i64::MAX][n % 3];
                    let key = (n != 1).then_some(&key[..]);
                    let value = (n != 2).then_some(&value[..]);
                    builder.append(timestamp, key, value, &headers[..n % 3]);
                }
                let plain = builder.len();
                let whole = builder.finish().unwrap();
                let Halves { first, second, size } = halve(&whole, codec).unwrap();
                assert_eq!((first.count(), second.count()), (count as i32 / 2, (count as i32 + 1) / 2));
                assert_eq!(size, plain, "{codec:?}");
                let parts = [first, second].map(|builder| builder.finish().unwrap());
                for part in &parts {
                    let header = BatchView::parse(part).unwrap();
                    assert_eq!((header.base_offset, header.codec()), (0, Some(codec)));
                    assert_eq!(header.last_offset(), i64::from(header.count) - 1);
                }
                assert_eq!([records(&parts[0]), records(&parts[1])].concat(), records(&whole));
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_halved() {
        let mut builder = BatchBuilder::new(BatchFields::new(0, Codec::None));
        builder.append(0, None, Some(b"alone"), &[]);
        let mut bytes = builder.finish().unwrap();
        assert!(halve(&bytes, Codec::None).is_none(), "one record");
        assert!(halve(&bytes[..bytes.len() - 1], Codec::None).is_none(), "cut off");
        bytes[HEADER_LEN - 1] = 2;
        assert!(halve(&bytes, Codec::None).is_none(), "a count of records that are not there");
    }
}
