//! How a producer behaves.

use ottla_records::Codec;

/// Who must have a batch before it counts as delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// Nobody: there is no answer.
    None = 0,
    /// The leader.
    Leader = 1,
    /// All in-sync replicas.
    All = -1,
}

/// How the partition of a key is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyHash {
    /// murmur2, as Kafka's producers since 0.8.2 (`BuiltInPartitioner.java`).
    Murmur2,
    /// `String.hashCode` of the key as text, as `kafka.producer.DefaultPartitioner` of 0.8.
    Text08,
    /// `Arrays.hashCode` of the key's bytes, as `kafka.producer.ByteArrayPartitioner` of 0.8.
    Bytes08,
}

/// Everything that a producer is told. Times in ms, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `acks`.
    pub acks: Acks,
    /// `enable.idempotence`: batches carry a producer id and sequence numbers, so that a broker writes each one once.
    pub idempotent: bool,
    /// `compression.type`.
    pub codec: Codec,
    /// `batch.size`: a batch that would grow beyond it is closed. A larger record has a batch of its own. Once a broker finds a batch
    /// too large, those of its topic grow to half of that.
    pub batch_size: usize,
    /// `linger.ms`: how long a batch that is not full waits for more records, and a full one at most for others to go with it, while
    /// a request is under way.
    pub linger_ms: u64,
    /// `buffer.memory`: of all batches that are not delivered yet.
    pub buffer_memory: usize,
    /// `max.request.size`: of one record, and of the batches in one request.
    pub max_request_size: usize,
    /// `max.in.flight.requests.per.connection`. Without idempotence a partition has one batch in flight: so order holds when
    /// one is sent again.
    pub max_in_flight: usize,
    /// `delivery.timeout.ms`: from `append` to the outcome.
    pub delivery_timeout_ms: u64,
    /// `request.timeout.ms`: what a broker is given to answer, and told to wait for its replicas.
    pub request_timeout_ms: u64,
    /// `retries`.
    pub retries: u32,
    /// `retry.backoff.ms`: the pause before a batch is sent again to a broker that refused it. When it is the leader by what
    /// the view says and has not heard of it yet, the pauses are shorter (2 to 8 ms for a second).
    pub retry_backoff_ms: u64,
    /// `retry.backoff.max.ms`.
    pub retry_backoff_max_ms: u64,
    /// `partitioner.ignore.keys`: records with a key are spread like those without.
    pub ignore_keys: bool,
    /// How the partition of a key is found.
    pub key_hash: KeyHash,
    /// Where the numbers begin that choose partitions for records without a key.
    pub seed: u64,
}

impl Default for Settings {
    /// The defaults of Kafka 3.9's producer.
    fn default() -> Settings {
        Settings {
            acks: Acks::All,
            idempotent: true,
            codec: Codec::None,
            batch_size: 16_384,
            linger_ms: 0,
            buffer_memory: 32 << 20,
            max_request_size: 1 << 20,
            max_in_flight: 5,
            delivery_timeout_ms: 120_000,
            request_timeout_ms: 30_000,
            retries: i32::MAX as u32,
            retry_backoff_ms: 100,
            retry_backoff_max_ms: 1_000,
            ignore_keys: false,
            key_hash: KeyHash::Murmur2,
            seed: 0,
        }
    }
}
