//! What any broker can be asked: a producer id, and to make a topic.

use std::sync::Arc;
use std::time::Duration;

use ottla_producer::Event;
use ottla_protocol::ErrorCode;
use ottla_protocol::schema::InitProducerIdRequest;
use ottla_types::TopicName;
use rand::seq::SliceRandom;
use tokio::time::sleep;

use super::addresses::address_of;
use super::creation::Creation;
use super::metrics::add;
use super::shared::Shared;
use crate::client::{ClientError, Cluster, Connection};

/// How long a topic that a broker was asked to make is not asked for again.
const ASKED: Duration = Duration::from_secs(1);

/// The brokers that are known, in an order of chance.
fn brokers(shared: &Shared) -> Result<Cluster, String> {
    let cluster = shared.cluster();
    let mut addresses: Vec<String> = cluster.brokers.values().filter_map(|broker| address_of(broker).ok()).collect();
    if addresses.is_empty() {
        return Err("no broker is registered".into());
    }
    addresses.shuffle(&mut rand::rng());
    Ok(Cluster::new(&addresses.join(","), shared.config.connection_options()))
}

/// Gets a producer id from any broker, however long it takes, and tells the core.
pub(super) async fn get_producer_id(shared: &Arc<Shared>) {
    let mut pause = shared.config.retry_backoff;
    let outcome = loop {
        let why = match brokers(shared) {
            Ok(brokers) => match ask_producer_id(&brokers).await {
                Ok(id) => break Ok(id),
                Err(ClientError::UnsupportedApi { address, .. }) => {
                    let why = format!(
                        "the broker at {address} is older than 0.11 and gives no producer ids; set enable.idempotence=false"
                    );
                    break Err((ErrorCode::UnsupportedVersion.code(), why));
                }
                Err(ClientError::Broker { code, message }) if !code.is_retriable() => {
                    break Err((code.code(), message));
                }
                Err(error) => error.to_string(),
            },
            Err(why) => why,
        };
        tracing::debug!("no producer id yet: {why}");
        shared.trouble.set(format!("no broker gives a producer id: {why}"));
        sleep(pause).await;
        pause = (2 * pause).min(shared.config.retry_backoff_max);
    };
    shared.step(Event::ProducerId { outcome });
}

async fn ask_producer_id(brokers: &Cluster) -> Result<(i64, i16), ClientError> {
    let connection: Connection = brokers.any().await?;
    let request = InitProducerIdRequest { transaction_timeout_ms: i32::MAX, ..InitProducerIdRequest::default() };
    let response = connection.send(&request).await?;
    ClientError::check(response.error_code, None)?;
    Ok((response.producer_id, response.producer_epoch))
}

/// Has any broker make a topic by its own rule, with the one Metadata request that this producer sends; for as long as
/// somebody waits for the topic.
pub(super) async fn create_topic(shared: &Arc<Shared>, topic: TopicName, creation: Arc<Creation>) {
    let mut pause = shared.config.retry_backoff;
    while Arc::strong_count(&creation) > 1 {
        let outcome = match brokers(shared) {
            Ok(brokers) => {
                add(&shared.figures.metadata_requests, 1);
                let answer = brokers.metadata(Some(&[topic.as_str()]), true).await;
                answer.map_err(|error| error.to_string())
            }
            Err(why) => Err(why),
        };
        match outcome {
            Ok(response) => {
                let said =
                    response.topics.first().map_or(ErrorCode::UnknownTopicOrPartition.code(), |said| said.error_code);
                let message = ErrorCode::from_code(said).unwrap_or(ErrorCode::UnknownServerError).message();
                creation.answered(said, message.into());
                shared.topics_changed.notify_waiters();
                // Whoever comes next finds that it was asked for.
                return sleep(ASKED).await;
            }
            Err(why) => tracing::debug!("{topic}: no broker can be asked to make it: {why}"),
        }
        sleep(pause).await;
        pause = (2 * pause).min(shared.config.retry_backoff_max);
    }
}
