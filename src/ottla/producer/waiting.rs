//! The slow way into a batch: waiting for room, and for a topic to be known or made.

use std::sync::Arc;

use ottla_producer::Refusal;
use tokio::time::timeout_at;

use super::delivery::Delivery;
use super::shared::{Later, NotPlaced, Shared};
use super::{ProducerError, Record, asking};

/// Puts a record into a batch, within `max.block.ms`.
pub(super) async fn place(shared: &Arc<Shared>, record: &Record<'_>) -> Result<Delivery, ProducerError> {
    let deadline = shared.block_until();
    let waited = shared.config.max_block;
    let mut creation = None;
    loop {
        // Heard from here on, so that what happens while looking is not missed.
        let room = shared.room.notified();
        let topics_changed = shared.topics_changed.notified();
        let later = match shared.append(record).map_err(|not| *not) {
            Ok(delivery) => return Ok(delivery),
            Err(NotPlaced::Never(error)) => return Err(error),
            Err(NotPlaced::Later(later)) => later,
        };
        match later {
            Later::Topic(topic) => {
                shared.wants.topic(topic.clone());
                if timeout_at(deadline, topics_changed).await.is_err() {
                    let topic = topic.as_str().into();
                    return Err(ProducerError::TopicUnknown { topic, waited, why: shared.trouble.get() });
                }
            }
            Later::Creation(topic) => {
                if !shared.config.allow_auto_create_topics {
                    return Err(Refusal::MissingTopic(topic.as_str().into()).into());
                }
                let creation = creation.get_or_insert_with(|| {
                    let (creation, is_first) = shared.creations.join(&topic);
                    if is_first {
                        let (shared_too, topic, creation) = (shared.clone(), topic.clone(), creation.clone());
                        shared.spawn(async move { asking::create_topic(&shared_too, topic, creation).await });
                    }
                    creation
                });
                creation.check(&topic)?;
                if timeout_at(deadline, topics_changed).await.is_err() {
                    let why = match creation.said() {
                        Some(said) => format!("the broker said: {}", said.message),
                        None => format!("no broker could be asked ({})", shared.trouble.get()),
                    };
                    return Err(ProducerError::TopicNotCreated { topic: topic.as_str().into(), waited, why });
                }
            }
            Later::Room(limit) => {
                if timeout_at(deadline, room).await.is_err() {
                    return Err(ProducerError::NoRoom { waited, limit });
                }
            }
        }
    }
}
