//! The typed configuration, and `consumer.properties`.

use std::path::Path;
use std::time::Duration;

use super::table;
use crate::config::client::ClientSettings;
use crate::config::{ConfigErrors, Problem, Setting};

/// Where to begin when no offset is committed, or the broker no longer has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetReset {
    /// With the first record that there is (`smallest`, `earliest`).
    Smallest,
    /// Behind the last one (`largest`, `latest`).
    Largest,
}

/// How partitions are shared out among the streams of a group in which every member can follow a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    /// As few partitions as possible change hands.
    Sticky,
    /// Runs of neighbouring partitions for each topic, as old consumers do by default.
    Range,
    /// In turns.
    RoundRobin,
}

impl Assignor {
    /// The word of `partition.assignment.strategy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Assignor::Sticky => "sticky",
            Assignor::Range => "range",
            Assignor::RoundRobin => "roundrobin",
        }
    }
}

/// Everything that a consumer is told, with the keys and defaults of the old consumer (0.8 to 1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// `zookeeper.connect`: `host:port,host:port/chroot`.
    pub zookeeper_connect: String,
    /// `group.id`: characters `[a-zA-Z0-9._-]`.
    pub group_id: String,
    /// `consumer.id`; `None`: `Hostname:UUID`, the UUID new for each session.
    pub consumer_id: Option<String>,
    /// `client.id`; by default `group_id`.
    pub client_id: String,
    /// `zookeeper.session.timeout.ms`, 6 s.
    pub zookeeper_session_timeout: Duration,
    /// `zookeeper.connection.timeout.ms`, by default the session timeout.
    pub zookeeper_connection_timeout: Duration,
    /// `partition.assignment.strategy`. The one default that differs from the old consumer's: sticky.
    pub assignor: Assignor,
    /// `auto.commit.enable` and `auto.commit.interval.ms`, 60 s; `None`: only on demand.
    pub auto_commit_interval: Option<Duration>,
    /// `auto.offset.reset`, largest.
    pub auto_offset_reset: OffsetReset,
    /// `consumer.timeout.ms`; `None`: for ever.
    pub consumer_timeout: Option<Duration>,
    /// `queued.max.message.chunks`, 2.
    pub queued_max_message_chunks: usize,
    /// `fetch.message.max.bytes`, 1 MiB.
    pub fetch_message_max_bytes: i32,
    /// `fetch.max.bytes`, 50 MiB: of one answer, and of what waits in one stream.
    pub fetch_max_bytes: i32,
    /// `fetch.min.bytes`, 1.
    pub fetch_min_bytes: i32,
    /// `fetch.wait.max.ms`, 100 ms.
    pub fetch_wait_max: Duration,
    /// `refresh.leader.backoff.ms`, 200 ms.
    pub refresh_leader_backoff: Duration,
    /// `socket.timeout.ms`, 30 s.
    pub socket_timeout: Duration,
    /// `socket.receive.buffer.bytes`, 64 KiB; `None`: the system decides.
    pub socket_receive_buffer_bytes: Option<usize>,
    /// `exclude.internal.topics`, true.
    pub exclude_internal_topics: bool,
    /// How long the listener may take for partitions that are lost, and the application for the record that it holds, before
    /// the partitions are given up regardless; 5 s. Has no key.
    pub revoke_wait: Duration,
}

/// A configuration that was read from a file, with what is worth a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedConfig {
    /// The configuration.
    pub config: ConsumerConfig,
    /// Unknown keys, keys without effect, keys set twice; each names file and line.
    pub warnings: Vec<Problem>,
}

impl ConsumerConfig {
    /// The defaults.
    pub fn new(zookeeper_connect: &str, group_id: &str) -> ConsumerConfig {
        ConsumerConfig {
            zookeeper_connect: zookeeper_connect.into(),
            group_id: group_id.into(),
            consumer_id: None,
            client_id: group_id.into(),
            zookeeper_session_timeout: Duration::from_millis(6000),
            zookeeper_connection_timeout: Duration::from_millis(6000),
            assignor: Assignor::Sticky,
            auto_commit_interval: Some(Duration::from_millis(60_000)),
            auto_offset_reset: OffsetReset::Largest,
            consumer_timeout: None,
            queued_max_message_chunks: 2,
            fetch_message_max_bytes: 1 << 20,
            fetch_max_bytes: 50 << 20,
            fetch_min_bytes: 1,
            fetch_wait_max: Duration::from_millis(100),
            refresh_leader_backoff: Duration::from_millis(200),
            socket_timeout: Duration::from_millis(30_000),
            socket_receive_buffer_bytes: Some(65_536),
            exclude_internal_topics: true,
            revoke_wait: Duration::from_secs(5),
        }
    }

    /// Reads `consumer.properties`, and puts overrides (`key=value`, as on a command line) over it.
    ///
    /// # Errors
    /// Everything that is wrong at once, each with file, line, key and what is expected.
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<LoadedConfig, ConfigErrors> {
        let mut settings = table::TABLE.load(file, overrides)?;
        for (key, wanted) in [("offsets.storage", "zookeeper"), ("dual.commit.enabled", "false")] {
            if let Some((spelling, Setting { value, source })) = settings.setting(key)
                && !value.eq_ignore_ascii_case(wanted)
            {
                let text = format!(
                    "{source}: {spelling}={value}: this consumer keeps offsets in ZooKeeper alone; take the line out, and \
                     carry the group's offsets over (kafka.tools.ExportZkOffsets of a broker's own release, or reset them) if \
                     they are in Kafka"
                );
                settings.problem(text);
            }
        }
        for (key, what) in [("zookeeper.connect", "host:port,host:port/chroot"), ("group.id", "the group's name")] {
            if settings.text(key).is_none() {
                settings.problem(format!("{key} is not set: {what} is expected"));
            }
        }
        if !settings.problems.is_empty() {
            return Err(ConfigErrors(settings.problems));
        }
        let config = ConsumerConfig::of(&settings);
        config.check()?;
        Ok(LoadedConfig { config, warnings: settings.warnings })
    }

    fn of(settings: &ClientSettings) -> ConsumerConfig {
        let text = |key: &str| settings.text(key).unwrap_or_default();
        let mut config = ConsumerConfig::new(text("zookeeper.connect"), text("group.id"));
        config.consumer_id = settings.text("consumer.id").map(str::to_owned);
        config.client_id = settings.text("client.id").unwrap_or(&config.group_id).to_owned();
        config.zookeeper_session_timeout =
            settings.millis("zookeeper.session.timeout.ms", config.zookeeper_session_timeout);
        config.zookeeper_connection_timeout =
            settings.millis("zookeeper.connection.timeout.ms", config.zookeeper_session_timeout);
        config.assignor = match settings.text("partition.assignment.strategy") {
            Some("range") => Assignor::Range,
            Some("roundrobin") => Assignor::RoundRobin,
            _ => Assignor::Sticky,
        };
        config.auto_commit_interval = match settings.truth("auto.commit.enable", true) {
            true => config.auto_commit_interval.map(|default| settings.millis("auto.commit.interval.ms", default)),
            false => None,
        };
        config.auto_offset_reset = match settings.text("auto.offset.reset") {
            Some("smallest" | "earliest") => OffsetReset::Smallest,
            _ => OffsetReset::Largest,
        };
        config.consumer_timeout =
            u64::try_from(settings.number("consumer.timeout.ms", -1_i64)).ok().map(Duration::from_millis);
        config.queued_max_message_chunks = settings.number("queued.max.message.chunks", 2) as usize;
        config.fetch_message_max_bytes = settings.number("fetch.message.max.bytes", config.fetch_message_max_bytes);
        config.fetch_max_bytes = settings.number("fetch.max.bytes", config.fetch_max_bytes);
        config.fetch_min_bytes = settings.number("fetch.min.bytes", config.fetch_min_bytes);
        config.fetch_wait_max = settings.millis("fetch.wait.max.ms", config.fetch_wait_max);
        config.refresh_leader_backoff = settings.millis("refresh.leader.backoff.ms", config.refresh_leader_backoff);
        config.socket_timeout = settings.millis("socket.timeout.ms", config.socket_timeout);
        config.socket_receive_buffer_bytes =
            usize::try_from(settings.number("socket.receive.buffer.bytes", 65_536)).ok();
        config.exclude_internal_topics = settings.truth("exclude.internal.topics", true);
        config
    }

    /// What the types do not say.
    pub(super) fn check(&self) -> Result<(), ConfigErrors> {
        let mut problems = Vec::new();
        let mut named = |key: &str, value: &str, also: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c) || also.contains(c);
            if value.is_empty() || !value.chars().all(fits) || matches!(value, "." | "..") {
                let expected = format!("{key}={value}: one or more of a-z, A-Z, 0-9, '.', '_', '-' are expected");
                problems.push(Problem(expected));
            }
        };
        named("group.id", &self.group_id, "");
        named("client.id", &self.client_id, "");
        if let Some(id) = &self.consumer_id {
            named("consumer.id", id, ":");
        }
        if problems.is_empty() { Ok(()) } else { Err(ConfigErrors(problems)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::client::checks;

    fn load(text: &str, overrides: &[&str]) -> Result<LoadedConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("consumer.properties");
        std::fs::write(&file, text).unwrap();
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        let short = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
        let mut loaded = ConsumerConfig::load(Some(&file), &overrides).map_err(|errors| short(errors.to_string()))?;
        loaded.warnings.iter_mut().for_each(|problem| problem.0 = short(problem.0.clone()));
        Ok(loaded)
    }

    #[test]
    fn a_file_with_connect_and_group_has_the_old_defaults() {
        let sample =
            "# a comment\nzookeeper.connect=127.0.0.1:2181\nzookeeper.connection.timeout.ms=6000\ngroup.id=g\n";
        let loaded = load(sample, &[]).unwrap();
        assert_eq!(loaded.config, ConsumerConfig::new("127.0.0.1:2181", "g"));
        assert_eq!(loaded.warnings, []);
    }

    #[test]
    fn each_default_of_the_table_is_the_typed_one() {
        let lines = checks::defaults(&table::sample());
        let loaded = load(&format!("{lines}zookeeper.connect=a\ngroup.id=g\n"), &[]).unwrap();
        assert_eq!(loaded.config, ConsumerConfig::new("a", "g"));
    }

    #[test]
    fn every_supported_key_has_its_effect() {
        let set = [
            "zookeeper.connect=a:1/x",
            "group.id=g",
            "consumer.id=me",
            "client.id=c",
            "zookeeper.session.timeout.ms=1",
            "zookeeper.connection.timeout.ms=2",
            "partition.assignment.strategy=roundrobin",
            "auto.commit.interval.ms=3",
            "auto.offset.reset=earliest",
            "consumer.timeout.ms=4",
            "queued.max.message.chunks=5",
            "fetch.message.max.bytes=6",
            "fetch.max.bytes=7",
            "fetch.min.bytes=8",
            "fetch.wait.max.ms=9",
            "refresh.leader.backoff.ms=10",
            "socket.timeout.ms=11",
            "socket.receive.buffer.bytes=-1",
            "exclude.internal.topics=false",
        ];
        let ms = Duration::from_millis;
        let expected = ConsumerConfig {
            zookeeper_connect: "a:1/x".into(),
            group_id: "g".into(),
            consumer_id: Some("me".into()),
            client_id: "c".into(),
            zookeeper_session_timeout: ms(1),
            zookeeper_connection_timeout: ms(2),
            assignor: Assignor::RoundRobin,
            auto_commit_interval: Some(ms(3)),
            auto_offset_reset: OffsetReset::Smallest,
            consumer_timeout: Some(ms(4)),
            queued_max_message_chunks: 5,
            fetch_message_max_bytes: 6,
            fetch_max_bytes: 7,
            fetch_min_bytes: 8,
            fetch_wait_max: ms(9),
            refresh_leader_backoff: ms(10),
            socket_timeout: ms(11),
            socket_receive_buffer_bytes: None,
            exclude_internal_topics: false,
            revoke_wait: Duration::from_secs(5),
        };
        assert_eq!(load(&set.join("\n"), &[]).unwrap().config, expected);
        assert_eq!(load(&set.join("\n"), &["auto.commit.enable=false"]).unwrap().config.auto_commit_interval, None);
    }

    #[test]
    fn spellings_of_0_7_are_read() {
        let text = "zk.connect=a\ngroupid=g\nautocommit.interval.ms=7\nfetch.size=8\nautooffset.reset=smallest\n";
        let config = load(text, &[]).unwrap().config;
        assert_eq!(config.auto_commit_interval, Some(Duration::from_millis(7)));
        assert_eq!((config.fetch_message_max_bytes, config.auto_offset_reset), (8, OffsetReset::Smallest));
    }

    #[test]
    fn what_is_unknown_is_a_warning_with_file_and_line() {
        let text = "zookeeper.connect=a\nnonsense=1\nrebalance.max.retries=9\ngroup.id=g\ngroupid=h\n";
        let loaded = load(text, &[]).unwrap();
        let warnings: Vec<&str> = loaded.warnings.iter().map(|problem| problem.0.as_str()).collect();
        assert_eq!(
            warnings,
            [
                "consumer.properties:2: nonsense is a key that nobody knows; ignored",
                "consumer.properties:3: rebalance.max.retries has no effect in this consumer; ignored",
                "consumer.properties:5: groupid was already set in line 4, as group.id",
            ]
        );
        assert_eq!(loaded.config.group_id, "h");
    }

    #[test]
    fn what_cannot_be_is_refused_all_at_once() {
        let error = load("fetch.min.bytes=few\n\nauto.offset.reset=middle\n", &["x"]).unwrap_err();
        assert_eq!(
            error,
            "consumer.properties:1: fetch.min.bytes=few: a whole number from 0 is expected\n\
             consumer.properties:3: auto.offset.reset=middle: one of largest, smallest, latest, earliest is expected\n\
             --consumer-property x: key=value is expected\n\
             zookeeper.connect is not set: host:port,host:port/chroot is expected\n\
             group.id is not set: the group's name is expected"
        );
        let both = "zookeeper.connect=a\ngroup.id=g\n";
        assert!(load(&format!("{both}offsets.storage=kafka"), &[]).unwrap_err().contains("in ZooKeeper alone"));
        assert!(load(&format!("{both}dual.commit.enabled=true"), &[]).unwrap_err().contains("in ZooKeeper alone"));
        assert!(load("zookeeper.connect=a\ngroup.id=a/b", &[]).unwrap_err().starts_with("group.id=a/b: "));
    }
}
