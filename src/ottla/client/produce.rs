//! Writing batches of records.

use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::Str;
use ottla_protocol::schema::ProduceRequest;
use ottla_protocol::schema::produce::{PartitionProduceData, TopicProduceData};

use super::{ClientError, Cluster};

/// How often a batch is offered again when the partition's leader is elsewhere or not known yet.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// Who must have the records before the leader answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// Nobody: there is no answer.
    None = 0,
    /// The leader.
    Leader = 1,
    /// All in-sync replicas.
    All = -1,
}

/// Sends one batch (format 2, `ottla_records::builder`) to a partition and returns the offset of its first record, -1 with
/// [`Acks::None`]. Offers it again only after answers that say that nothing was appended, so nothing is written twice.
pub async fn produce(
    cluster: &Cluster,
    topic: &str,
    partition: i32,
    batch: Bytes,
    acks: Acks,
    timeout: Duration,
) -> Result<i64, ClientError> {
    let mut tried = 0;
    loop {
        let result = once(cluster, topic, partition, batch.clone(), acks, timeout).await;
        tried += 1;
        match result {
            Err(error) if error.wants_new_metadata() && tried < TRIES => {
                cluster.forget_leader(topic, partition);
                tokio::time::sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}

async fn once(
    cluster: &Cluster,
    topic: &str,
    partition: i32,
    batch: Bytes,
    acks: Acks,
    timeout: Duration,
) -> Result<i64, ClientError> {
    let leader = cluster.leader(topic, partition).await?;
    let request = ProduceRequest {
        transactional_id: None,
        acks: acks as i16,
        timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
        topic_data: vec![TopicProduceData {
            name: Str::from(topic),
            partition_data: vec![PartitionProduceData { index: partition, records: Some(batch) }],
        }],
    };
    if acks == Acks::None {
        leader.send_one_way(&request).await?;
        return Ok(-1);
    }
    let response = leader.send_at_most(&request, i16::MAX, timeout).await?;
    let answer = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses)
        .find(|answer| answer.index == partition)
        .ok_or_else(|| ClientError::Closed {
            address: leader.address().into(),
            why: format!("the answer to Produce lacks {topic}-{partition}"),
        })?;
    ClientError::check(answer.error_code, answer.error_message.as_deref())?;
    Ok(answer.base_offset)
}
