//! Fetch: batches out of partitions, now or when enough have come. `KafkaApis.scala` (handleFetchRequest),
//! `ReplicaManager.scala` (fetchMessages, readFromLog), `DelayedFetch.scala`.
//!
//! There are no fetch sessions yet: version 7 and later are answered with session id 0, so every request names all its
//! partitions.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::schema::fetch::{
    AbortedTransaction, FetchPartition, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use ottla_protocol::{ErrorCode, Payload};
use ottla_types::{TopicId, TopicName};
use tokio::time::Instant;

use crate::broker::MetadataCache;
use crate::broker::conversion::for_version;
use crate::broker::error_map;
use crate::broker::partition::{Isolation, Partition, ReadRequest};
use crate::broker::partitions::Partitions;
use crate::broker::request::{Reply, RequestContext};
use crate::broker::waiting::Ticket;
use crate::metrics::Metrics;
use crate::net::Records;

/// What the handler needs.
pub struct Fetch {
    /// Where the batches are.
    pub partitions: Arc<Partitions>,
    /// Names of topic ids.
    pub cache: Arc<MetadataCache>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// `fetch.max.bytes`: the most that one answer may carry, unless its first batch alone is larger.
    pub max_bytes: usize,
}

/// A consumer's replica id, and that of a tool that may read past the high watermark (`DebuggingConsumerId`).
const CONSUMER: i32 = -1;
const DEBUGGING_CONSUMER: i32 = -2;

/// A request, and what its version and its sender make of it.
struct Asked {
    request: FetchRequest,
    version: i16,
    isolation: Isolation,
    /// Every partition that the request names, in its order.
    partitions: Vec<Result<Arc<Partition>, ErrorCode>>,
}

/// Something slow holds this partition: nothing can be read without waiting for it.
struct Locked(Arc<Partition>);

/// An answer, and whether it should leave now.
struct Round {
    response: FetchResponse<Records>,
    bytes: usize,
    failed: bool,
}

impl Fetch {
    /// Answers at once if `min_bytes` are there, an error is to be told or nobody wants to wait.
    pub fn handle(self: &Arc<Self>, context: RequestContext, request: FetchRequest) -> Reply<FetchResponse<Records>> {
        let version = context.version();
        if version >= 7 && (request.session_id != 0 || request.session_epoch > 0) {
            let error_code = ErrorCode::FetchSessionIdNotFound.code();
            return Reply::Now(FetchResponse { error_code, ..FetchResponse::default() });
        }
        let replica_id = if version >= 15 { request.replica_state.replica_id } else { request.replica_id };
        if replica_id != CONSUMER && replica_id != DEBUGGING_CONSUMER {
            // A follower: replication between brokers is not built, and consumers' rules must not serve one.
            return Reply::Now(self.refuse_all(&request, ErrorCode::ReplicaNotAvailable));
        }
        let isolation = match (replica_id, request.isolation_level) {
            (DEBUGGING_CONSUMER, _) => Isolation::LogEnd,
            (_, 1) => Isolation::ReadCommitted,
            _ => Isolation::ReadUncommitted,
        };
        let max_wait = Duration::from_millis(request.max_wait_ms.max(0) as u64);
        let asked = Asked { partitions: self.partitions(&request), request, version, isolation };
        let round = loop {
            match self.read(&asked) {
                Ok(round) => break round,
                Err(Locked(partition)) => {
                    if let Some(free) = partition.until_free() {
                        return Reply::NotYet(Box::pin(free));
                    }
                }
            }
        };
        if round.is_enough(&asked) || max_wait.is_zero() || asked.request.topics.is_empty() {
            return Reply::Now(self.sent(&asked, round));
        }
        let handler = self.clone();
        Reply::later(async move {
            let mut ticket = Ticket::new(Instant::now() + max_wait);
            for partition in asked.partitions.iter().flatten() {
                ticket.enter(partition.progress());
            }
            loop {
                let round = handler.read_when_free(&asked).await;
                if round.is_enough(&asked) {
                    return handler.sent(&asked, round);
                }
                if !ticket.woken().await {
                    // What came just before the deadline is sent too.
                    return handler.sent(&asked, handler.read_when_free(&asked).await);
                }
            }
        })
    }

    fn sent(&self, asked: &Asked, round: Round) -> FetchResponse<Records> {
        let answers = round.response.responses.iter().flat_map(|topic| &topic.partitions);
        for (hosted, answer) in asked.partitions.iter().zip(answers) {
            let bytes = answer.records.as_ref().map_or(0, Payload::len);
            if let Ok(partition) = hosted
                && bytes > 0
            {
                self.metrics.fetched(partition.counters(&self.metrics), bytes);
            }
        }
        round.response
    }

    fn partitions(&self, request: &FetchRequest) -> Vec<Result<Arc<Partition>, ErrorCode>> {
        let mut partitions = Vec::with_capacity(request.topics.iter().map(|topic| topic.partitions.len()).sum());
        for topic in &request.topics {
            let id = TopicId(topic.topic_id);
            let by_id = (id != TopicId::ZERO).then(|| self.cache.snapshot());
            let name = match &by_id {
                Some(known) => known.topic_name(id).map(TopicName::as_str).ok_or(ErrorCode::UnknownTopicId),
                None => Ok(&*topic.topic),
            };
            let hosted = |wanted: &FetchPartition| self.partitions.for_client(name?, wanted.partition);
            partitions.extend(topic.partitions.iter().map(hosted));
        }
        partitions
    }

    fn refuse_all(&self, request: &FetchRequest, code: ErrorCode) -> FetchResponse<Records> {
        let responses = request.topics.iter().map(|topic| FetchableTopicResponse {
            topic: topic.topic.clone(),
            topic_id: topic.topic_id,
            partitions: topic.partitions.iter().map(|p| failed(p.partition, code)).collect(),
        });
        FetchResponse { responses: responses.collect(), ..FetchResponse::default() }
    }

    /// [`Fetch::read`], after a wait for what holds a partition.
    async fn read_when_free(&self, asked: &Asked) -> Round {
        loop {
            match self.read(asked) {
                Ok(round) => return round,
                Err(Locked(partition)) => {
                    if let Some(free) = partition.until_free() {
                        free.await;
                    }
                }
            }
        }
    }

    /// Reads every partition once. The first batch of the answer comes whole even if it passes the limits, so that a
    /// consumer is never stuck before a large one (KIP-74); before version 3 each partition's may be cut instead.
    fn read(&self, asked: &Asked) -> Result<Round, Locked> {
        let mut round = Round { response: FetchResponse::default(), bytes: 0, failed: false };
        let max_bytes = match asked.version {
            0..=2 => usize::MAX,
            _ => (asked.request.max_bytes.max(0) as usize).min(self.max_bytes),
        };
        let mut hosted = asked.partitions.iter();
        for topic in &asked.request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for (wanted, hosted) in topic.partitions.iter().zip(&mut hosted) {
                let room = max_bytes.saturating_sub(round.bytes);
                let whole_first_batch = asked.version <= 2 || round.bytes == 0;
                let data = match hosted {
                    Ok(partition) => read_partition(asked, partition, wanted, room, whole_first_batch)?,
                    Err(code) => failed(wanted.partition, *code),
                };
                round.failed |= data.error_code != 0;
                round.bytes += data.records.as_ref().map_or(0, Payload::len);
                partitions.push(data);
            }
            round.response.responses.push(FetchableTopicResponse {
                topic: topic.topic.clone(),
                topic_id: topic.topic_id,
                partitions,
            });
        }
        Ok(round)
    }
}

fn read_partition(
    asked: &Asked,
    partition: &Arc<Partition>,
    wanted: &FetchPartition,
    room: usize,
    whole_first_batch: bool,
) -> Result<PartitionData<Records>, Locked> {
    let limit = wanted.partition_max_bytes.max(0) as usize;
    let read = partition.read(&ReadRequest {
        offset: wanted.fetch_offset,
        max_bytes: room.min(limit),
        whole_first_batch,
        isolation: asked.isolation,
        current_leader_epoch: wanted.current_leader_epoch,
    });
    let read = match read {
        Some(Ok(read)) => read,
        Some(Err(error)) => return Ok(failed(wanted.partition, error_map::read(&error))),
        None => return Err(Locked(partition.clone())),
    };
    let records = match for_version(partition, read.range, asked.version, wanted.fetch_offset, limit) {
        Ok(records) => records,
        Err(code) => return Ok(failed(wanted.partition, code)),
    };
    Ok(PartitionData {
        partition_index: wanted.partition,
        high_watermark: read.high_watermark,
        last_stable_offset: read.last_stable_offset,
        log_start_offset: read.log_start_offset,
        aborted_transactions: read.aborted.map(|aborted| {
            aborted
                .into_iter()
                .map(|one| AbortedTransaction { producer_id: one.producer_id, first_offset: one.first_offset })
                .collect()
        }),
        records: Some(records),
        ..PartitionData::default()
    })
}

impl Round {
    fn is_enough(&self, asked: &Asked) -> bool {
        self.failed || self.bytes >= asked.request.min_bytes.max(0) as usize
    }
}

fn failed(index: i32, code: ErrorCode) -> PartitionData<Records> {
    PartitionData {
        partition_index: index,
        error_code: code.code(),
        high_watermark: -1,
        records: Some(Records::Converted(bytes::Bytes::new())),
        ..PartitionData::default()
    }
}
