//! DeleteTopics (KIP-4; TOPIC_DELETION_DISABLED: KIP-322; by id: KIP-516). `KafkaApis.scala` (handleDeleteTopicsRequest),
//! `ZkAdminManager.scala` (deleteTopics).
//!
//! Version 6 names topics by name or id, never by both. The request is a node in ZooKeeper; the controller deletes, and
//! the answer waits until this broker has heard that the topic is gone. A timeout of 0 or less answers REQUEST_TIMED_OUT
//! at once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ottla_protocol::ErrorCode;
use ottla_protocol::schema::delete_topics::{DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse};
use ottla_types::{BrokerId, TopicId, TopicName};
use tokio::time::Instant;
use tracing::info;

use crate::broker::api_error::{ApiError, outcome};
use crate::broker::current_config::CurrentConfig;
use crate::broker::metadata_cache::{MetadataCache, Snapshot};
use crate::broker::metadata_wait::wait_until;
use crate::broker::request::{Reply, RequestContext};
use crate::zk::store_topics;
use crate::zk::znodes::Znodes;

/// What the handler needs.
pub struct DeleteTopics {
    /// This broker.
    pub broker_id: BrokerId,
    /// Where deletions are asked for.
    pub znodes: Arc<dyn Znodes>,
    /// Where topics vanish.
    pub cache: Arc<MetadataCache>,
    /// `delete.topic.enable`.
    pub config: Arc<CurrentConfig>,
}

/// A topic as the client named it: name or id.
type Asked = (Option<String>, TopicId);

impl DeleteTopics {
    /// Answers when the topics are gone.
    pub fn handle(
        self: &Arc<Self>,
        context: &RequestContext,
        request: DeleteTopicsRequest,
    ) -> Reply<DeleteTopicsResponse> {
        let (handler, version) = (self.clone(), context.version());
        Reply::later(async move { handler.answer(version, &request).await })
    }

    pub(super) async fn answer(&self, version: i16, request: &DeleteTopicsRequest) -> DeleteTopicsResponse {
        let asked: Vec<Asked> = if version >= 6 {
            let topics = request.topics.iter();
            topics.map(|topic| (topic.name.as_ref().map(ToString::to_string), TopicId(topic.topic_id))).collect()
        } else {
            request.topic_names.iter().map(|name| (Some(name.to_string()), TopicId::ZERO)).collect()
        };
        let snapshot = self.cache.snapshot();
        if let Err(error) = self.may_delete(version, &snapshot, &asked) {
            return response(asked.into_iter().map(|topic| (topic, Err(error.clone()))));
        }
        let deletions = asked.into_iter().map(|(name, id)| {
            let name = name.or_else(|| snapshot.topic_name(id).map(TopicName::to_string));
            let known = match &name {
                None => Err(ErrorCode::UnknownTopicId.into()),
                Some(name) => known_topic(&snapshot, name),
            };
            async move {
                let marked = match known {
                    Ok(topic) => self.mark(&topic).await.map(|()| topic),
                    Err(error) => Err(error),
                };
                ((name, id), marked)
            }
        });
        let marked = join_all(deletions).await;
        let gone = |snapshot: &Snapshot, topic: &TopicName| !snapshot.topics.contains_key(topic);
        let snapshot = if request.timeout_ms > 0 {
            let deadline = Instant::now() + Duration::from_millis(request.timeout_ms as u64);
            wait_until(&self.cache, deadline, |snapshot| {
                marked.iter().filter_map(|(_, marked)| marked.as_ref().ok()).all(|topic| gone(snapshot, topic))
            })
            .await
        } else {
            snapshot
        };
        response(marked.into_iter().map(|(asked, marked)| {
            let deleted = marked.and_then(|topic| match gone(&snapshot, &topic) {
                true => Ok(()),
                false => Err(ErrorCode::RequestTimedOut.into()),
            });
            (asked, deleted)
        }))
    }

    /// What stands against the request as a whole.
    fn may_delete(&self, version: i16, snapshot: &Snapshot, asked: &[Asked]) -> Result<(), ApiError> {
        if snapshot.controller != Some(self.broker_id) {
            return Err(ErrorCode::NotController.into());
        }
        if !self.config.get().delete_topic_enable {
            // Clients before version 3 do not know the better code.
            let old = version < 3;
            return Err(if old { ErrorCode::InvalidRequest } else { ErrorCode::TopicDeletionDisabled }.into());
        }
        if asked.iter().any(|(name, id)| name.is_some() && *id != TopicId::ZERO) {
            let message = "Topic name and topic ID can not both be specified.";
            return Err(ApiError::new(ErrorCode::InvalidRequest, message));
        }
        Ok(())
    }

    async fn mark(&self, topic: &TopicName) -> Result<(), ApiError> {
        store_topics::request_deletion(&*self.znodes, topic).await?;
        info!("topic {topic} is marked for deletion");
        Ok(())
    }
}

fn known_topic(snapshot: &Snapshot, name: &str) -> Result<TopicName, ApiError> {
    let topic = TopicName::new(name).ok().filter(|name| snapshot.topics.contains_key(name));
    topic.ok_or_else(|| ErrorCode::UnknownTopicOrPartition.into())
}

fn response(results: impl Iterator<Item = (Asked, Result<(), ApiError>)>) -> DeleteTopicsResponse {
    let result = |((name, id), deleted): (Asked, Result<(), ApiError>)| {
        let (error_code, error_message) = outcome(&deleted);
        DeletableTopicResult { name: name.map(Into::into), topic_id: id.0, error_code, error_message }
    };
    DeleteTopicsResponse { responses: results.map(result).collect(), ..DeleteTopicsResponse::default() }
}
