//! Topics that do not exist, and a broker that is asked to make them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use ottla_protocol::ErrorCode;
use ottla_types::TopicName;

use super::ProducerError;

/// The request to make one topic, shared by all who wait for it.
#[derive(Debug, Default)]
pub(super) struct Creation {
    said: OnceLock<Said>,
}

/// What the broker said.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) code: i16,
    pub(super) message: String,
}

/// The creations that somebody waits for.
#[derive(Debug, Default)]
pub(super) struct Creations(Mutex<BTreeMap<TopicName, Weak<Creation>>>);

impl Creations {
    /// Joins those who wait for a topic; `true`: the first of them, who has a broker asked.
    pub(super) fn join(&self, topic: &TopicName) -> (Arc<Creation>, bool) {
        let mut creations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        creations.retain(|_, creation| creation.strong_count() > 0);
        if let Some(creation) = creations.get(topic).and_then(Weak::upgrade) {
            return (creation, false);
        }
        let creation = Arc::new(Creation::default());
        creations.insert(topic.clone(), Arc::downgrade(&creation));
        (creation, true)
    }
}

impl Creation {
    /// The broker has answered.
    pub(super) fn answered(&self, code: i16, message: String) {
        // One broker is asked once.
        let _ = self.said.set(Said { code, message });
    }

    /// What the broker said so far.
    pub(super) fn said(&self) -> Option<&Said> {
        self.said.get()
    }

    /// An error if the broker said that there will be no such topic.
    pub(super) fn check(&self, topic: &TopicName) -> Result<(), ProducerError> {
        match self.said() {
            Some(Said { code, message })
                if matches!(
                    ErrorCode::from_code(*code),
                    Some(
                        ErrorCode::InvalidTopicException
                            | ErrorCode::TopicAuthorizationFailed
                            | ErrorCode::ClusterAuthorizationFailed
                            | ErrorCode::PolicyViolation
                    )
                ) =>
            {
                let (topic, message) = (topic.as_str().into(), message.clone());
                Err(ProducerError::TopicRefused { topic, code: *code, message })
            }
            _ => Ok(()),
        }
    }
}
