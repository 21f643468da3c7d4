//! `producer.properties`: read, checked, put over the defaults.

use std::path::Path;
use std::time::Duration;

use ottla_producer::{Acks, KeyHash};
use ottla_records::Codec;

use super::config::{Obstacle, ProducerConfig, Source};
use super::table;
use crate::config::client::ClientSettings;
use crate::config::{ConfigErrors, Problem, Setting};

/// The shortest `metadata.max.age.ms` that has an effect.
const SHORTEST_MAX_AGE: Duration = Duration::from_millis(100);

/// A configuration that was read from a file, with what is worth a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedConfig {
    /// The configuration.
    pub config: ProducerConfig,
    /// Unknown keys, keys without effect, keys set twice, what was set to fit something else; each names file and line.
    pub warnings: Vec<Problem>,
}

impl ProducerConfig {
    /// Reads `producer.properties`, of today's producer or of 0.8's or 0.7's, and puts overrides (`key=value`, as on a command
    /// line) over it.
    ///
    /// # Errors
    /// Everything that is wrong at once, each with file, line, key and what is expected.
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<LoadedConfig, ConfigErrors> {
        ProducerConfig::load_over(None, None, file, overrides)
    }

    /// [`load`](ProducerConfig::load), with defaults of a tool's own, and a source that counts whatever else is set.
    pub(crate) fn load_over(
        defaults: Option<ProducerConfig>,
        source: Option<Source>,
        file: Option<&Path>,
        overrides: &[String],
    ) -> Result<LoadedConfig, ConfigErrors> {
        let mut settings = table::TABLE.load(file, overrides)?;
        let source =
            source.or_else(|| set_source(&mut settings)).or(defaults.as_ref().map(|config| config.source.clone()));
        let config = match (source, defaults) {
            (Some(source), Some(defaults)) => ProducerConfig { source, ..defaults },
            (Some(source), None) => ProducerConfig::new(source),
            (None, _) => {
                if settings.problems.is_empty() {
                    settings.problem(
                        "neither zookeeper.connect nor bootstrap.servers (metadata.broker.list) is set: exactly one of them is \
                         expected, to find the cluster"
                            .into(),
                    );
                }
                return Err(ConfigErrors(settings.problems));
            }
        };
        set_aside_what_meant_something_else(&mut settings);
        let config = config.with(&mut settings);
        if let Err(ConfigErrors(more)) = config.check() {
            settings.problems.extend(more);
        }
        match settings.problems.is_empty() {
            true => Ok(LoadedConfig { config, warnings: settings.warnings }),
            false => Err(ConfigErrors(settings.problems)),
        }
    }

    /// What is set, over this.
    fn with(self, settings: &mut ClientSettings) -> ProducerConfig {
        let mut config = self;
        config.zookeeper_session_timeout =
            settings.millis("zookeeper.session.timeout.ms", config.zookeeper_session_timeout);
        config.zookeeper_connection_timeout =
            settings.millis("zookeeper.connection.timeout.ms", config.zookeeper_session_timeout);
        config.client_id = settings.text("client.id").map_or(config.client_id, str::to_owned);
        config.acks = match settings.text("acks") {
            Some("0") => Acks::None,
            Some("1") => Acks::Leader,
            Some(_) => Acks::All,
            None => config.acks,
        };
        config.compression = match settings.text("compression.type") {
            Some("none") => Codec::None,
            Some("gzip") => Codec::Gzip,
            Some("snappy") => Codec::Snappy,
            Some("lz4") => Codec::Lz4,
            Some("zstd") => Codec::Zstd,
            _ => config.compression,
        };
        config.batch_size = settings.number("batch.size", config.batch_size).max(1);
        config.linger = settings.millis("linger.ms", config.linger);
        config.buffer_memory = settings.number("buffer.memory", config.buffer_memory);
        config.max_block = settings.millis("max.block.ms", config.max_block);
        config.max_request_size = settings.number("max.request.size", config.max_request_size);
        config.max_in_flight = settings.number("max.in.flight.requests.per.connection", config.max_in_flight);
        config.delivery_timeout = settings.millis("delivery.timeout.ms", config.delivery_timeout);
        config.request_timeout = settings.millis("request.timeout.ms", config.request_timeout);
        config.retries = settings.number("retries", config.retries);
        config.retry_backoff = settings.millis("retry.backoff.ms", config.retry_backoff);
        config.retry_backoff_max = settings.millis("retry.backoff.max.ms", config.retry_backoff_max);
        config.ignore_keys = settings.truth("partitioner.ignore.keys", config.ignore_keys);
        config.allow_auto_create_topics = settings.truth("allow.auto.create.topics", config.allow_auto_create_topics);
        config.metadata_max_age = settings.millis("metadata.max.age.ms", config.metadata_max_age).max(SHORTEST_MAX_AGE);
        config.metadata_max_idle = settings.millis("metadata.max.idle.ms", config.metadata_max_idle);
        if settings.text("send.buffer.bytes").is_some() {
            config.send_buffer_bytes = usize::try_from(settings.number("send.buffer.bytes", -1_i64)).ok();
        }
        config.set_partitioner(settings);
        config.enable_idempotence = settings.truth("enable.idempotence", config.enable_idempotence);
        config.fit(settings);
        config
    }

    fn set_partitioner(&mut self, settings: &mut ClientSettings) {
        let Some((_, Setting { value, source })) = settings.setting("partitioner.class") else { return };
        match value.as_str() {
            "kafka.producer.DefaultPartitioner" => self.key_hash = KeyHash::Text08,
            "kafka.producer.ByteArrayPartitioner" => self.key_hash = KeyHash::Bytes08,
            "org.apache.kafka.clients.producer.internals.DefaultPartitioner" => self.key_hash = KeyHash::Murmur2,
            "org.apache.kafka.clients.producer.UniformStickyPartitioner" => self.ignore_keys = true,
            class => {
                let problem = format!(
                    "{source}: partitioner.class={class}: a Java class cannot be called here; take the line out, and give \
                     Producer::builder a partitioner in Rust"
                );
                settings.problem(problem);
            }
        }
    }

    /// What nobody set gives way to what was set, as in Kafka (`ProducerConfig.java`, `KafkaProducer.java`).
    fn fit(&mut self, settings: &mut ClientSettings) {
        if self.enable_idempotence && settings.text("enable.idempotence").is_none() {
            let obstacles = self.obstacles_to_idempotence();
            self.enable_idempotence = obstacles.is_empty();
            for obstacle in obstacles {
                // Of the others one knows what one asks for; this one wants more of the same, and gets less.
                match obstacle {
                    Obstacle::InFlight => settings.warnings.push(Problem(format!(
                        "enable.idempotence is off, because max.in.flight.requests.per.connection={} is more than 5",
                        self.max_in_flight
                    ))),
                    Obstacle::Acks | Obstacle::Retries => {
                        tracing::info!(acks = self.acks as i16, retries = self.retries, "enable.idempotence is off");
                    }
                }
            }
        }
        let least = self.linger.saturating_add(self.request_timeout);
        if self.delivery_timeout < least && settings.text("delivery.timeout.ms").is_none() {
            self.delivery_timeout = least;
            settings.warnings.push(Problem(format!(
                "delivery.timeout.ms is {}, because linger.ms and request.timeout.ms together are",
                least.as_millis()
            )));
        }
        if self.retry_backoff > self.retry_backoff_max {
            settings.warnings.push(Problem(format!(
                "retry.backoff.ms={} is more than retry.backoff.max.ms={}, which counts",
                self.retry_backoff.as_millis(),
                self.retry_backoff_max.as_millis()
            )));
            self.retry_backoff = self.retry_backoff_max;
        }
    }
}

/// Where the settings say that the cluster is.
fn set_source(settings: &mut ClientSettings) -> Option<Source> {
    match (settings.setting("zookeeper.connect"), settings.setting("bootstrap.servers")) {
        (Some((one, at)), Some((other, other_at))) => {
            let text = format!(
                "{}: {one} and {}: {other} are both set: exactly one of them is expected, to find the cluster; take one out",
                at.source, other_at.source
            );
            settings.problem(text);
            None
        }
        (Some((_, connect)), None) => Some(Source::ZooKeeper(connect.value.clone())),
        (None, servers) => servers.map(|(_, servers)| Source::Bootstrap(servers.value.clone())),
    }
}

/// A key of today that meant something else to the producer whose spellings stand beside it.
fn set_aside_what_meant_something_else(settings: &mut ClientSettings) {
    let spelling = |key| settings.setting(key).map(|(spelling, _)| spelling);
    let is_0_7 =
        spelling("zookeeper.connect") == Some("zk.connect") || spelling("bootstrap.servers") == Some("broker.list");
    let is_linger_of_async = matches!(spelling("linger.ms"), Some("queue.buffering.max.ms" | "queue.time"));
    if let Some((_, Setting { source, .. })) = settings.setting("batch.size")
        && is_0_7
    {
        let text = format!("{source}: batch.size counts messages in 0.7, bytes here; ignored");
        settings.warnings.push(Problem(text));
        settings.unset("batch.size");
    }
    if is_linger_of_async && settings.text("producer.type") == Some("sync") {
        settings.unset("linger.ms");
    }
    if let Some(("metadata.broker.list", Setting { source, .. })) = settings.setting("bootstrap.servers")
        && settings.text("partitioner.class").is_none()
    {
        let text = format!(
            "{source}: metadata.broker.list is of 0.8, which gave keys other partitions than all later producers; \
             partitioner.class=kafka.producer.DefaultPartitioner keeps them"
        );
        settings.warnings.push(Problem(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::client::checks;

    fn load(text: &str, overrides: &[&str]) -> Result<LoadedConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p");
        std::fs::write(&file, text).unwrap();
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        let short = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
        let mut loaded = ProducerConfig::load(Some(&file), &overrides).map_err(|errors| short(errors.to_string()))?;
        loaded.warnings.iter_mut().for_each(|problem| problem.0 = short(problem.0.clone()));
        Ok(loaded)
    }

    /// The configuration of lines behind `zookeeper.connect=a`, which is line 1.
    fn quiet(lines: &str) -> ProducerConfig {
        let loaded = load(&format!("zookeeper.connect=a\n{lines}"), &[]).unwrap();
        assert_eq!(loaded.warnings, [], "{lines}");
        loaded.config
    }

    fn warning(lines: &str) -> (ProducerConfig, String) {
        let loaded = load(&format!("zookeeper.connect=a\n{lines}"), &[]).unwrap();
        let [Problem(text)] = &loaded.warnings[..] else { panic!("one warning: {:?}", loaded.warnings) };
        (loaded.config, text.clone())
    }

    fn error(lines: &str) -> String {
        load(&format!("zookeeper.connect=a\n{lines}"), &[]).unwrap_err()
    }

    #[test]
    fn each_default_of_the_table_is_the_typed_one() {
        assert_eq!(quiet(&checks::defaults(&table::sample())), ProducerConfig::zookeeper("a"));
    }

    #[test]
    fn every_supported_key_has_its_effect() {
        let lines = "bootstrap.servers=a:1,b:2\nclient.id=c\nacks=-1\nenable.idempotence=false\nretries=7\n\
            delivery.timeout.ms=9000\nrequest.timeout.ms=500\nretry.backoff.ms=3\nretry.backoff.max.ms=4\n\
            max.in.flight.requests.per.connection=6\nbatch.size=70\nlinger.ms=8\ncompression.type=zstd\n\
            max.request.size=90\nbuffer.memory=1000\nmax.block.ms=11\npartitioner.ignore.keys=true\n\
            partitioner.class=kafka.producer.ByteArrayPartitioner\nallow.auto.create.topics=false\n\
            metadata.max.age.ms=1200\nmetadata.max.idle.ms=6000\nsend.buffer.bytes=-1\n\
            zookeeper.session.timeout.ms=13\nzookeeper.connection.timeout.ms=14\nproducer.type=async\n";
        let ms = Duration::from_millis;
        let expected = ProducerConfig {
            source: Source::Bootstrap("a:1,b:2".into()),
            zookeeper_session_timeout: ms(13),
            zookeeper_connection_timeout: ms(14),
            client_id: "c".into(),
            acks: Acks::All,
            enable_idempotence: false,
            compression: Codec::Zstd,
            batch_size: 70,
            linger: ms(8),
            buffer_memory: 1000,
            max_block: ms(11),
            max_request_size: 90,
            max_in_flight: 6,
            delivery_timeout: ms(9000),
            request_timeout: ms(500),
            retries: 7,
            retry_backoff: ms(3),
            retry_backoff_max: ms(4),
            key_hash: KeyHash::Bytes08,
            ignore_keys: true,
            allow_auto_create_topics: false,
            metadata_max_age: ms(1200),
            metadata_max_idle: ms(6000),
            send_buffer_bytes: None,
        };
        assert_eq!(load(lines, &[]), Ok(LoadedConfig { config: expected.clone(), warnings: Vec::new() }));
        let over = load(lines, &["acks=0", "send.buffer.bytes=5"]).unwrap().config;
        assert_eq!(over, ProducerConfig { acks: Acks::None, send_buffer_bytes: Some(5), ..expected });
    }

    #[test]
    fn a_file_of_0_8_is_read() {
        let text = "metadata.broker.list=a:1,b:2\nproducer.type=async\nrequest.required.acks=1\n\
            serializer.class=kafka.serializer.StringEncoder\nkey.serializer.class=kafka.serializer.DefaultEncoder\n\
            partitioner.class=kafka.producer.DefaultPartitioner\ncompression.codec=2\nmessage.send.max.retries=3\n\
            retry.backoff.ms=100\ntopic.metadata.refresh.interval.ms=-1\nqueue.buffering.max.ms=5000\n\
            queue.enqueue.timeout.ms=-1\nqueue.buffering.max.messages=10000\nbatch.num.messages=200\n\
            send.buffer.bytes=102400\nclient.id=c\nrequest.timeout.ms=10000\n";
        let loaded = load(text, &[]).unwrap();
        assert_eq!(loaded.warnings, []);
        let for_ever = Duration::from_millis(i64::MAX as u64);
        let expected = ProducerConfig {
            client_id: "c".into(),
            acks: Acks::Leader,
            enable_idempotence: false,
            compression: Codec::Snappy,
            linger: Duration::from_secs(5),
            max_block: for_ever,
            request_timeout: Duration::from_secs(10),
            retries: 3,
            key_hash: KeyHash::Text08,
            metadata_max_age: for_ever,
            send_buffer_bytes: Some(102_400),
            ..ProducerConfig::bootstrap("a:1,b:2")
        };
        assert_eq!(loaded.config, expected);
        let sync = load(&text.replace("=async", "=sync"), &[]).unwrap().config;
        assert_eq!(sync.linger, Duration::ZERO, "a sync producer of 0.8 does not wait for more");
        let keyed = load("metadata.broker.list=a:1\n", &[]).unwrap();
        assert!(keyed.warnings[0].0.starts_with("p:1: metadata.broker.list is of 0.8, which gave keys"));
        for (codec, kind) in [("0", Codec::None), ("1", Codec::Gzip), ("GZIP", Codec::Gzip), ("3", Codec::Lz4)] {
            assert_eq!(quiet(&format!("compression.codec={codec}")).compression, kind);
        }
    }

    #[test]
    fn a_file_of_0_7_is_read() {
        let text = "broker.list=0:h1:9092,12:h2:9093,h3:1\nqueue.enqueueTimeout.ms=-1\nbatch.size=200\nqueue.time=7\n";
        let loaded = load(text, &[]).unwrap();
        assert_eq!(loaded.config.source, Source::Bootstrap("h1:9092,h2:9093,h3:1".into()));
        assert_eq!((loaded.config.batch_size, loaded.config.linger), (16_384, Duration::from_millis(7)));
        assert_eq!(loaded.warnings, [Problem("p:3: batch.size counts messages in 0.7, bytes here; ignored".into())]);
        let by_watches = load("zk.connect=z:1/x\nbatch.size=200\n", &[]).unwrap().config;
        assert_eq!((by_watches.source, by_watches.batch_size), (Source::ZooKeeper("z:1/x".into()), 16_384));
        assert_eq!(quiet("batch.size=200").batch_size, 200);
    }

    #[test]
    fn exactly_one_place_tells_the_cluster() {
        let neither = load("acks=1\n", &[]).unwrap_err();
        assert!(neither.starts_with("neither zookeeper.connect nor bootstrap.servers (metadata.broker.list) is set"));
        let both = load("zk.connect=a\nmetadata.broker.list=b:1\n", &[]).unwrap_err();
        assert!(both.starts_with("p:1: zk.connect and p:2: metadata.broker.list are both set"), "{both}");
        let told = |source| {
            let file = ["zookeeper.connect=a".to_owned()];
            ProducerConfig::load_over(Some(ProducerConfig::bootstrap("d:1")), source, None, &file)
                .unwrap()
                .config
                .source
        };
        assert_eq!(told(None), Source::ZooKeeper("a".into()));
        assert_eq!(told(Some(Source::Bootstrap("c:1".into()))), Source::Bootstrap("c:1".into()));
        for wrong in ["b", "b:x", ":1", "b:1,c"] {
            let error = load(&format!("bootstrap.servers={wrong}"), &[]).unwrap_err();
            assert_eq!(error, format!("bootstrap.servers={wrong}: host:port,host:port is expected"));
        }
    }

    #[test]
    fn idempotence_that_was_asked_for_is_kept_or_refused() {
        let asked = |line: &str| error(&format!("enable.idempotence=true\n{line}"));
        let refused = "set it to false, or change the other";
        assert_eq!(asked("acks=1"), format!("enable.idempotence=true needs acks=all, not acks=1; {refused}"));
        assert_eq!(asked("retries=0"), format!("enable.idempotence=true needs retries, not retries=0; {refused}"));
        let in_flight = "max.in.flight.requests.per.connection";
        let expected = format!("enable.idempotence=true needs {in_flight} of 5 at most, not 6; {refused}");
        assert_eq!(asked(&format!("{in_flight}=6")), expected);
        assert!(quiet("enable.idempotence=true").enable_idempotence);
    }

    #[test]
    fn idempotence_that_nobody_asked_for_gives_way() {
        assert!(!quiet("acks=0").enable_idempotence);
        assert!(!quiet("retries=0").enable_idempotence);
        let (config, text) = warning("max.in.flight.requests.per.connection=6");
        assert!(!config.enable_idempotence);
        assert_eq!(text, "enable.idempotence is off, because max.in.flight.requests.per.connection=6 is more than 5");
    }

    #[test]
    fn delivery_takes_no_less_than_linger_and_request() {
        let (config, text) = warning("linger.ms=100000\nrequest.timeout.ms=30000");
        assert_eq!(config.delivery_timeout, Duration::from_secs(130));
        assert_eq!(text, "delivery.timeout.ms is 130000, because linger.ms and request.timeout.ms together are");
        let text = error("linger.ms=100\nrequest.timeout.ms=200\ndelivery.timeout.ms=299");
        assert!(
            text.starts_with("delivery.timeout.ms=299 is less than linger.ms=100 and request.timeout.ms=200"),
            "{text}"
        );
        quiet("linger.ms=100\nrequest.timeout.ms=200\ndelivery.timeout.ms=300");
    }

    #[test]
    fn sizes_and_pauses_fit_together() {
        assert_eq!(quiet("batch.size=0").batch_size, 1);
        assert!(error("batch.size=20\nbuffer.memory=19").starts_with("buffer.memory=19 is less than batch.size=20"));
        assert_eq!(quiet("metadata.max.age.ms=0").metadata_max_age, SHORTEST_MAX_AGE);
        let (config, text) = warning("retry.backoff.ms=2000");
        assert_eq!(config.retry_backoff, Duration::from_secs(1));
        assert_eq!(text, "retry.backoff.ms=2000 is more than retry.backoff.max.ms=1000, which counts");
    }

    #[test]
    fn what_would_weaken_is_refused() {
        for (line, why) in [
            ("security.protocol=SSL", "Connections here are neither encrypted nor authenticated."),
            ("transactional.id=t", "There are no transactions here."),
            ("interceptor.classes=a.B", "Java classes that change records, or count them, cannot be called here."),
        ] {
            assert_eq!(error(line), format!("p:2: {line} is refused. {why} Take the line out."));
        }
        quiet("security.protocol=plaintext\ntransactional.id=\ninterceptor.classes=\n");
        let own = error("partitioner.class=org.example.Mine");
        assert!(own.starts_with("p:2: partitioner.class=org.example.Mine: a Java class cannot"), "{own}");
        assert!(quiet("partitioner.class=org.apache.kafka.clients.producer.UniformStickyPartitioner").ignore_keys);
    }

    #[test]
    fn what_has_no_effect_is_a_warning_unless_it_is_done_anyway() {
        let ignored = |key: &str| format!("p:2: {key} has no effect in this producer; ignored");
        assert_eq!(warning("ssl.truststore.location=/x").1, ignored("ssl.truststore.location"));
        assert_eq!(warning("value.serializer=org.example.Json").1, ignored("value.serializer"));
        assert_eq!(warning("compressed.topics=a").1, ignored("compressed.topics"));
        assert_eq!(warning("nonsense=1").1, "p:2: nonsense is a key that nobody knows; ignored");
        quiet("key.serializer=org.apache.kafka.common.serialization.StringSerializer\nlinger.ms=0\nqueue.size=10000");
    }

    #[test]
    fn what_cannot_be_is_refused_all_at_once() {
        assert_eq!(
            error("acks=2\nlinger.ms=soon\ncompression.codec=7\nqueue.buffering.max.ms=-1"),
            "p:2: acks=2: one of all, -1, 0, 1 is expected\n\
             p:3: linger.ms=soon: a whole number from 0 is expected\n\
             p:4: compression.codec=7: one of none, gzip, snappy, lz4, zstd is expected\n\
             p:5: queue.buffering.max.ms=-1: a whole number from 0 is expected"
        );
    }
}
