//! What the configuration says to the core and to connections.

use std::time::Duration;

use ottla_producer::Settings;

use super::ProducerConfig;
use crate::client::ConnectionOptions;

/// How long a broker may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl ProducerConfig {
    /// How this producer speaks to brokers.
    pub(super) fn connection_options(&self) -> ConnectionOptions {
        ConnectionOptions {
            client_id: self.client_id.clone(),
            connect_timeout: self.request_timeout.min(CONNECT_TIMEOUT),
            request_timeout: self.request_timeout,
            send_buffer_bytes: self.send_buffer_bytes,
            before_api_versions: true,
            ..ConnectionOptions::default()
        }
    }
}

/// What the core is told.
pub(super) fn settings(config: &ProducerConfig, seed: u64) -> Settings {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Settings {
        acks: config.acks,
        idempotent: config.enable_idempotence,
        codec: config.compression,
        batch_size: config.batch_size,
        linger_ms: ms(config.linger),
        buffer_memory: config.buffer_memory,
        max_request_size: config.max_request_size,
        max_in_flight: config.max_in_flight,
        delivery_timeout_ms: ms(config.delivery_timeout),
        request_timeout_ms: ms(config.request_timeout),
        retries: config.retries,
        retry_backoff_ms: ms(config.retry_backoff),
        retry_backoff_max_ms: ms(config.retry_backoff_max),
        ignore_keys: config.ignore_keys,
        key_hash: config.key_hash,
        seed,
    }
}
