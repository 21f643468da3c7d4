//! Record sets to send, made once: what a client would spend on making batches must not be taken from the broker beside
//! it.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ottla_records::builder::{BatchBuilder, BatchFields};
use ottla_records::message_set::encode_set;
use ottla_records::record::{Headers, Record};
use ottla_records::{Codec, Magic, TimestampType};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::connection::invalid;

/// What a record set is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bytes of each record's value; there is no key.
    pub(crate) record_bytes: usize,
    /// The most that the set takes before compression, headers included; it holds at least one record.
    pub(crate) batch_bytes: usize,
    /// How it is compressed.
    pub(crate) codec: Codec,
    /// Its record format.
    pub(crate) magic: Magic,
}

/// One batch of magic 2 or one message set of magic 0 or 1, as a producer sends it.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// The bytes that pass.
    pub(crate) bytes: Bytes,
    /// The same records as a batch or set that is not compressed.
    pub(crate) plain: Bytes,
    /// How many records.
    pub(crate) records: u64,
    /// Bytes of all their values.
    pub(crate) payload_bytes: u64,
}

impl Shape {
    /// The version of the produce request that carries such a set: the newest of its record format that needs no tags.
    pub(crate) fn produce_version(&self) -> i16 {
        match self.magic {
            Magic::V0 => 0,
            Magic::V1 => 2,
            Magic::V2 => 7,
        }
    }

    /// Makes the set: random values of the letters A to Z, as Kafka's ProducerPerformance has them, with the time of now.
    ///
    /// # Errors
    /// zstd in an old record format.
    pub(crate) fn build(&self) -> io::Result<Batch> {
        let mut random = StdRng::seed_from_u64(1);
        let mut value = || (0..self.record_bytes).map(|_| random.random_range(b'A'..=b'Z')).collect::<Vec<u8>>();
        let mut values = vec![value()];
        let mut plain = self.encode(Codec::None, &values)?;
        let of_one = plain.len();
        // Records of magic 2 grow by a byte or two with their number, so the first estimate may be too large.
        let mut count = self.batch_bytes.saturating_sub(self.overhead()) / (of_one - self.overhead());
        values.resize_with(count.max(1), &mut value);
        loop {
            plain = self.encode(Codec::None, &values)?;
            if plain.len() <= self.batch_bytes || values.len() == 1 {
                break;
            }
            count = values.len() - (plain.len() - self.batch_bytes).div_ceil(of_one).max(1);
            values.truncate(count.max(1));
        }
        let bytes = match self.codec {
            Codec::None => plain.clone(),
            codec => self.encode(codec, &values)?,
        };
        Ok(Batch {
            bytes: bytes.into(),
            plain: plain.into(),
            records: values.len() as u64,
            payload_bytes: values.iter().map(|value| value.len() as u64).sum(),
        })
    }

    /// What the set takes without any record.
    fn overhead(&self) -> usize {
        if self.magic == Magic::V2 { ottla_records::HEADER_LEN } else { 0 }
    }

    fn encode(&self, codec: Codec, values: &[Vec<u8>]) -> io::Result<Vec<u8>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let failed = |error: ottla_records::compression::CompressionError| invalid(error.to_string());
        if self.magic == Magic::V2 {
            let mut builder = BatchBuilder::new(BatchFields::new(0, codec));
            for value in values {
                builder.append(now, None, Some(value), &[]);
            }
            return builder.finish().map_err(failed);
        }
        let records: Vec<Record<'_>> = (0..)
            .zip(values)
            .map(|(offset, value)| Record {
                offset,
                timestamp: now,
                key: None,
                value: Some(value),
                headers: Headers::default(),
            })
            .collect();
        let mut set = Vec::new();
        encode_set(&mut set, self.magic, codec, TimestampType::CreateTime, &records).map_err(failed)?;
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_records::validate::{CompressionType, Origin, Rules, validate};

    /// A broker that refused the batch would end a benchmark; one that had to rebuild it would spoil it in silence.
    #[test]
    fn a_broker_takes_every_shape_and_keeps_batches_of_magic_2_as_they_are() {
        let rules = Rules {
            compression_type: CompressionType::Producer,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: 60_000,
            timestamp_after_max_ms: 60_000,
            max_message_bytes: 1 << 20,
            is_compacted: false,
            check_records: true,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        for magic in [Magic::V0, Magic::V1, Magic::V2] {
            for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
                for (record_bytes, batch_bytes) in [(100, 65_536), (1024, 65_536), (1024, 1), (10, 300)] {
                    let shape = Shape { record_bytes, batch_bytes, codec, magic };
                    if !codec.allowed_in(magic) {
                        assert!(shape.build().is_err());
                        continue;
                    }
                    let batch = shape.build().unwrap();
                    let origin = Origin::Client { produce_version: shape.produce_version() };
                    let bytes = batch.bytes.to_vec();
                    let validated = validate(&bytes, origin, &rules, now).unwrap().unwrap();
                    assert_eq!(validated.header.count as u64, batch.records, "{shape:?}");
                    assert_eq!(validated.rebuilt.is_none() && bytes == batch.bytes, magic == Magic::V2, "{shape:?}");
                    assert_eq!(batch.payload_bytes, batch.records * record_bytes as u64);
                }
            }
        }
    }

    /// As many records as fit: a batch that is much smaller than asked for would measure something else.
    #[test]
    fn a_batch_is_as_large_as_asked_for() {
        for magic in [Magic::V0, Magic::V1, Magic::V2] {
            for record_bytes in [10, 100, 1024] {
                let batch = Shape { record_bytes, batch_bytes: 65_536, codec: Codec::None, magic }.build().unwrap();
                let room = 65_536 - batch.plain.len();
                assert!(room < 2 * (record_bytes + 40), "{record_bytes} bytes, magic {magic}: {room} bytes are left");
            }
            let one = Shape { record_bytes: 1024, batch_bytes: 1, codec: Codec::None, magic }.build().unwrap();
            assert_eq!(one.records, 1);
        }
    }

    /// Letters at random can be compressed to six tenths at best; zeros would flatter every codec.
    #[test]
    fn what_is_compressed_is_realistic() {
        let shape = Shape { record_bytes: 1024, batch_bytes: 65_536, codec: Codec::Gzip, magic: Magic::V2 };
        let batch = shape.build().unwrap();
        let ratio = batch.bytes.len() as f64 / batch.plain.len() as f64;
        assert!((0.55..0.7).contains(&ratio), "{ratio}");
    }
}
