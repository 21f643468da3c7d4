//! The bytes of a request: batches compressed, checksummed and stamped, or made into messages for an old broker.

use bytes::Bytes;
use ottla_producer::{Content, Outgoing, PartitionAnswer, Request, Stamp};
use ottla_protocol::schema::ProduceRequest;
use ottla_protocol::schema::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::{ErrorCode, Str};
use ottla_records::builder::restamp;
use ottla_records::convert::down_convert;
use ottla_records::{BatchHeader, Codec, Magic};
use ottla_types::{PartitionIndex, TopicName};

use super::ProducerConfig;
use super::shared::Told;

/// The first version of Produce that takes batches of magic 2, and with them producer ids.
const FIRST_WITH_BATCHES: i16 = 3;
/// The first that takes messages with a timestamp.
const FIRST_WITH_TIMESTAMPS: i16 = 2;
/// The first that takes zstd.
const FIRST_WITH_ZSTD: i16 = 7;

/// A request as it is sent.
pub(super) struct Sealed {
    /// The request and its partitions; none: nothing is sent.
    pub(super) sent: Option<(ProduceRequest, Vec<(TopicName, PartitionIndex)>)>,
    /// What the broker would not understand; if there is any, nothing is sent.
    pub(super) refused: Vec<PartitionAnswer>,
}

/// Makes the bytes of a request in a version of Produce; the core is told of them.
pub(super) fn seal(config: &ProducerConfig, request: Request, version: Option<i16>, told: &mut Told) -> Sealed {
    let mut sealed = Sealed { sent: None, refused: Vec::new() };
    let mut topics: Vec<TopicProduceData> = Vec::new();
    let mut partitions = Vec::with_capacity(request.batches.len());
    for Outgoing { batch, topic, partition, stamp, content } in request.batches {
        let bytes = match content {
            Content::Sealed(bytes) => stamped(bytes, stamp),
            Content::Open(mut builder) => {
                builder.set_producer(stamp.producer_id, stamp.producer_epoch, stamp.base_sequence);
                match builder.finish_and_keep() {
                    Ok((bytes, buffer)) => {
                        told.spares.extend(buffer);
                        let bytes = Bytes::from(bytes);
                        told.batches.push((batch, Ok(bytes.clone())));
                        bytes
                    }
                    Err(error) => {
                        told.batches.push((batch, Err(error)));
                        continue;
                    }
                }
            }
        };
        let fits = match version {
            None => Err((ErrorCode::UnsupportedVersion, "the broker knows no Produce that this client knows".into())),
            Some(version) => for_version(bytes, version, stamp, config.compression),
        };
        match fits {
            Ok(records) => {
                let data = PartitionProduceData { index: partition, records: Some(records) };
                match topics.iter_mut().find(|data| &*data.name == topic.as_str()) {
                    Some(same) => same.partition_data.push(data),
                    None => {
                        topics.push(TopicProduceData { name: Str::from(topic.as_str()), partition_data: vec![data] })
                    }
                }
                partitions.push((topic, partition));
            }
            Err((code, message)) => sealed.refused.push(PartitionAnswer {
                topic,
                partition,
                error_code: code.code(),
                message: Some(message),
                base_offset: -1,
                log_append_time: -1,
            }),
        }
    }
    if sealed.refused.is_empty() && !partitions.is_empty() {
        let timeout_ms = i32::try_from(config.request_timeout.as_millis()).unwrap_or(i32::MAX);
        let acks = config.acks as i16;
        sealed.sent =
            Some((ProduceRequest { transactional_id: None, acks, timeout_ms, topic_data: topics }, partitions));
    }
    sealed
}

/// The same batch with another stamp, if it is another.
fn stamped(bytes: Bytes, stamp: Stamp) -> Bytes {
    let Stamp { producer_id, producer_epoch, base_sequence } = stamp;
    let is_same = |header: BatchHeader| {
        (header.producer_id, header.producer_epoch, header.base_sequence)
            == (producer_id, producer_epoch, base_sequence)
    };
    match BatchHeader::parse(&bytes).is_ok_and(is_same) {
        true => bytes,
        false => restamp(&bytes, producer_id, producer_epoch, base_sequence).into(),
    }
}

/// Records as the broker takes them in a version, or why it takes none.
fn for_version(bytes: Bytes, version: i16, stamp: Stamp, codec: Codec) -> Result<Bytes, (ErrorCode, String)> {
    if codec == Codec::Zstd && version < FIRST_WITH_ZSTD {
        let why = "the broker is older than 2.1 and does not know zstd; set compression.type to another codec";
        return Err((ErrorCode::UnsupportedCompressionType, why.into()));
    }
    if version >= FIRST_WITH_BATCHES {
        return Ok(bytes);
    }
    if stamp.producer_id >= 0 {
        let why = "the broker is older than 0.11 and does not know idempotent producers; set enable.idempotence=false";
        return Err((ErrorCode::UnsupportedVersion, why.into()));
    }
    let magic = if version >= FIRST_WITH_TIMESTAMPS { Magic::V1 } else { Magic::V0 };
    down_convert(&bytes, magic, 0, usize::MAX, usize::MAX).map(Bytes::from).map_err(|error| {
        (ErrorCode::UnsupportedForMessageFormat, format!("the records cannot be made into old messages: {error}"))
    })
}
