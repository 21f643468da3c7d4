//! Produce: batches into partitions. `KafkaApis.scala` (handleProduceRequest), `ReplicaManager.scala` (appendRecords),
//! `DelayedProduce.scala`.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::schema::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceResponse,
};
use ottla_protocol::{ErrorCode, Str};
use ottla_records::validate::Origin;
use ottla_types::{Offset, PartitionIndex, TopicName};
use tokio::time::Instant;
use tracing::debug;

use crate::broker::clock::now_ms;
use crate::broker::error_map;
use crate::broker::partition::{AppendError, Appended, Partition};
use crate::broker::partitions::Partitions;
use crate::broker::request::{Reply, RequestContext};
use crate::broker::waiting::Ticket;
use crate::metrics::Metrics;

/// What the handler needs.
pub struct Produce {
    /// Where the batches go.
    pub partitions: Arc<Partitions>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// A partition whose answer waits for its flush, and where its answer stands in the response.
struct Waiting {
    partition: Arc<Partition>,
    end_offset: Offset,
    topic: usize,
    index: usize,
}

impl Produce {
    /// Appends at once, unless something slow holds a partition; with acks=all the answer waits until what was appended
    /// is as safe as acks=all claims.
    pub fn handle(&self, context: RequestContext, request: ProduceRequest) -> Reply<ProduceResponse> {
        let partitions = self.partitions(&context, &request);
        if let Some(free) = partitions.iter().flatten().find_map(|partition| partition.until_free()) {
            return Reply::NotYet(Box::pin(free));
        }
        let mut partitions = partitions.into_iter();
        let acks = request.acks;
        let mut waiting = Vec::new();
        let mut failed = false;
        let mut responses = Vec::with_capacity(request.topic_data.len());
        for (topic, data) in request.topic_data.into_iter().enumerate() {
            let mut partition_responses = Vec::with_capacity(data.partition_data.len());
            for (data, partition) in data.partition_data.into_iter().zip(&mut partitions) {
                let index = data.index;
                let outcome = partition
                    .map_err(Refusal::Code)
                    .and_then(|partition| Ok((self.append(&context, acks, &partition, data)?, partition)));
                failed |= outcome.is_err();
                let response = match outcome {
                    Ok((appended, partition)) => {
                        if acks == -1 {
                            let position = partition_responses.len();
                            waiting.push(Waiting {
                                partition,
                                end_offset: appended.end_offset,
                                topic,
                                index: position,
                            });
                        }
                        accepted(index, &appended)
                    }
                    Err(refusal) => refused(index, &refusal),
                };
                partition_responses.push(response);
            }
            responses.push(TopicProduceResponse { name: data.name, partition_responses });
        }
        let response = ProduceResponse { responses, ..ProduceResponse::default() };
        if acks == 0 {
            // Nobody reads an answer: closing the connection is the only way to say that something went wrong.
            return if failed { Reply::Close } else { Reply::Nothing };
        }
        let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
        if waiting.iter().all(|one| matches!(one.partition.is_safe(one.end_offset), Some(Ok(true)))) {
            return Reply::Now(response);
        }
        Reply::later(wait_until_safe(response, waiting, Instant::now() + timeout))
    }

    fn append(
        &self,
        context: &RequestContext,
        acks: i16,
        partition: &Arc<Partition>,
        data: PartitionProduceData,
    ) -> Result<Appended, Refusal> {
        let records = data.records.unwrap_or_default();
        let size = records.len();
        let origin = Origin::Client { produce_version: context.version() };
        match partition.append(&records, origin, acks, now_ms()) {
            Ok(appended) => {
                self.metrics.produced(partition.counters(&self.metrics), appended.count(), size);
                Ok(appended)
            }
            Err(error) => {
                self.metrics.produce_failed(partition.counters(&self.metrics));
                debug!("{}: produce to {}: {error}", context.address, partition.id());
                Err(Refusal::Append(error))
            }
        }
    }

    /// Every partition that the request names, in its order, if the client may write it so.
    fn partitions(&self, context: &RequestContext, request: &ProduceRequest) -> Vec<Result<Arc<Partition>, ErrorCode>> {
        let mut partitions =
            Vec::with_capacity(request.topic_data.iter().map(|topic| topic.partition_data.len()).sum());
        for topic in &request.topic_data {
            partitions.extend(topic.partition_data.iter().map(|data| match request.acks {
                -1..=1 => self.partition(context, &topic.name, data.index),
                _ => Err(ErrorCode::InvalidRequiredAcks),
            }));
        }
        partitions
    }

    fn partition(
        &self,
        context: &RequestContext,
        topic: &str,
        index: PartitionIndex,
    ) -> Result<Arc<Partition>, ErrorCode> {
        let found = self.partitions.for_client(topic, index);
        let is_internal = match &found {
            Ok(partition) => partition.id().topic.is_internal(),
            // What is not here may be no name at all, which is told first.
            Err(_) => TopicName::new(topic).map_err(|_| ErrorCode::InvalidTopicException)?.is_internal(),
        };
        if is_internal && context.client_id().is_none_or(|id| &**id != "__admin_client") {
            return Err(ErrorCode::InvalidTopicException);
        }
        found
    }
}

/// Waits for the flushes that the answer depends on, at most until `deadline`.
async fn wait_until_safe(
    mut response: ProduceResponse,
    mut waiting: Vec<Waiting>,
    deadline: Instant,
) -> ProduceResponse {
    let mut ticket = Ticket::new(deadline);
    for one in &waiting {
        ticket.enter(one.partition.safety());
    }
    let mut in_time = true;
    loop {
        let mut held = None;
        waiting.retain(|one| {
            let answer = &mut response.responses[one.topic].partition_responses[one.index];
            match one.partition.is_safe(one.end_offset) {
                Some(Ok(true)) => false,
                None if in_time => {
                    held = Some(one.partition.clone());
                    true
                }
                Some(Ok(false)) if in_time => true,
                Some(Ok(false)) | None => {
                    *answer = refused(answer.index, &ErrorCode::RequestTimedOut.into());
                    false
                }
                Some(Err(error)) => {
                    *answer = refused(answer.index, &Refusal::Append(error));
                    false
                }
            }
        });
        if waiting.is_empty() {
            return response;
        }
        in_time = match held.map(|partition| partition.until_free()) {
            None => ticket.woken().await,
            Some(None) => true,
            Some(Some(free)) => tokio::time::timeout_at(deadline, free).await.is_ok(),
        };
    }
}

/// Why a partition's batch was not taken.
enum Refusal {
    Code(ErrorCode),
    Append(AppendError),
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Refusal {
        Refusal::Code(code)
    }
}

fn accepted(index: i32, appended: &Appended) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        base_offset: appended.base_offset,
        log_append_time_ms: appended.log_append_time_ms.unwrap_or(-1),
        log_start_offset: appended.log_start_offset,
        ..PartitionProduceResponse::default()
    }
}

fn refused(index: i32, refusal: &Refusal) -> PartitionProduceResponse {
    let (code, message, faults) = match refusal {
        Refusal::Code(code) => (*code, None, &[][..]),
        Refusal::Append(AppendError::Invalid(error)) => {
            (error_map::validation(error.kind), Some(error.message.as_str()), &error.record_faults[..])
        }
        Refusal::Append(error) => (error_map::append(error), None, &[][..]),
    };
    PartitionProduceResponse {
        index,
        error_code: code.code(),
        base_offset: -1,
        error_message: message.map(Str::from),
        record_errors: faults
            .iter()
            .map(|fault| BatchIndexAndErrorMessage {
                batch_index: fault.batch_index,
                batch_index_error_message: Some(fault.message.as_str().into()),
            })
            .collect(),
        ..PartitionProduceResponse::default()
    }
}
