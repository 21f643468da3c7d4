//! Settings by ZooKeeper's own names, as in zoo.cfg.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

/// A setting: its name in zoo.cfg, its default as one would write it, and what it does.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// ZooKeeper's spelling.
    pub name: &'static str,
    /// The value that holds when the key is absent, empty if there is none.
    pub default: &'static str,
    /// One sentence, with the unit.
    pub sentence: &'static str,
}

const fn key(name: &'static str, default: &'static str, sentence: &'static str) -> Key {
    Key { name, default, sentence }
}

const FOUR_LETTER_WORDS: &str = "conf,cons,dump,envi,isro,mntr,ruok,srvr,stat,wchs";

/// Every key that a keeper knows, in the order in which a sample file should list them.
pub const KEYS: &[Key] = &[
    key("clientPort", "2181", "TCP port for clients; 0 lets the system choose."),
    key("clientPortAddress", "127.0.0.1", "IP address to listen on; 0.0.0.0 for all (ZooKeeper's default)."),
    key("dataDir", "", "Folder of the snapshots (below it: version-2), in Apache ZooKeeper's own format."),
    key("dataLogDir", "", "Folder of the transaction log; dataDir if absent."),
    key("tickTime", "2000", "Unit of session timeouts, ms: sessions expire at multiples of it."),
    key("minSessionTimeout", "-1", "Shortest session timeout that a client can have, ms; -1 is 2 ticks."),
    key("maxSessionTimeout", "-1", "Longest session timeout that a client can have, ms; -1 is 20 ticks."),
    key("maxClientCnxns", "60", "Connections from one address; 0 is without limit."),
    key("snapCount", "100000", "Transactions after which a snapshot is written and the log rolled."),
    key("autopurge.snapRetainCount", "3", "Snapshots that a purge keeps, with the logs that they need; 3 at least."),
    key(
        "autopurge.purgeInterval",
        "1",
        "Hours between purges of old snapshots and logs; 0 never (ZooKeeper's default).",
    ),
    key("preAllocSize", "1024", "KiB by which the log file grows ahead of its entries; 0 grows it with each entry."),
    key(
        "4lw.commands.whitelist",
        FOUR_LETTER_WORDS,
        "Four-letter commands that are answered, separated by commas; * is all. srvr always is.",
    ),
    key("jute.maxbuffer", "1048575", "Longest request, bytes; a longer one closes its connection."),
    key("extendedTypesEnabled", "false", "Whether nodes with a time to live can be created."),
    key("globalOutstandingLimit", "1000", "Requests in process at which connections are no longer read from."),
];

/// Keys of zoo.cfg that mean nothing to a server that is alone: accepted in silence, the sample file has them.
const WITHOUT_MEANING_HERE: &[&str] = &["initLimit", "syncLimit"];

/// What a keeper needs to know to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperSettings {
    /// Where to listen (clientPortAddress, clientPort).
    pub listen: SocketAddr,
    /// Folder that holds the snapshots' `version-2`.
    pub data_dir: PathBuf,
    /// Folder that holds the logs' `version-2`; often `data_dir`.
    pub data_log_dir: PathBuf,
    /// Unit of session timeouts, ms.
    pub tick_time_ms: i32,
    /// Bounds of a negotiated session timeout, ms.
    pub session_timeout_ms: std::ops::RangeInclusive<i32>,
    /// Connections from one address, 0 = without limit.
    pub max_client_connections: usize,
    /// Transactions between snapshots.
    pub snap_count: u64,
    /// Snapshots that a purge keeps.
    pub snap_retain_count: usize,
    /// Hours between purges, 0 = never.
    pub purge_interval_hours: u64,
    /// Bytes by which the log grows ahead of its entries, 0 = not ahead.
    pub preallocation: u64,
    /// Four-letter commands that are answered.
    pub four_letter_words: FourLetterWords,
    /// Longest request, bytes.
    pub max_buffer: usize,
    /// Whether nodes with a time to live can be created.
    pub extended_types: bool,
    /// Bound of the queue of requests.
    pub outstanding_limit: usize,
}

/// Which four-letter commands are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FourLetterWords {
    /// `*`
    All,
    /// These, and `srvr`.
    Listed(Vec<String>),
}

impl FourLetterWords {
    /// Whether `word` may be answered.
    pub fn allows(&self, word: &str) -> bool {
        match self {
            Self::All => true,
            Self::Listed(words) => word == "srvr" || words.iter().any(|listed| listed == word),
        }
    }

    fn parse(list: &str) -> Self {
        let words: Vec<String> = list.split(',').map(|word| word.trim().to_owned()).filter(|w| !w.is_empty()).collect();
        if words.iter().any(|word| word == "*") { Self::All } else { Self::Listed(words) }
    }
}

/// A setting with which no keeper starts. The message names the key; the caller knows the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A value that cannot be read.
    #[error("{key}={value}: {expected}")]
    Value {
        /// The key, in ZooKeeper's spelling.
        key: String,
        /// What the file says.
        value: String,
        /// What it should say.
        expected: &'static str,
    },
    /// No data folder.
    #[error("dataDir is missing: the folder in which the keeper keeps its snapshots and log")]
    NoDataDir,
    /// An ensemble's configuration.
    #[error("{key}: this keeper is one server; for an ensemble run Apache ZooKeeper, or remove the server.N lines")]
    Ensemble {
        /// The second server's key.
        key: String,
    },
}

impl KeeperSettings {
    /// Everything at its default, the data below `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2181),
            data_log_dir: data_dir.clone(),
            data_dir,
            tick_time_ms: 2000,
            session_timeout_ms: 4000..=40000,
            max_client_connections: 60,
            snap_count: 100_000,
            snap_retain_count: 3,
            purge_interval_hours: 1,
            preallocation: 1 << 20,
            four_letter_words: FourLetterWords::parse(FOUR_LETTER_WORDS),
            max_buffer: 1_048_575,
            extended_types: false,
            outstanding_limit: 1000,
        }
    }

    /// From the pairs of a zoo.cfg (of server.properties: without the prefix `keeper.`), later pairs winning; and
    /// the keys that mean nothing here, to warn about.
    pub fn from_pairs<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(Self, Vec<String>), SettingsError> {
        let mut settings = Self::new("");
        let mut data_log_dir = None;
        let (mut min_timeout, mut max_timeout) = (-1, -1);
        let (mut unknown, mut servers) = (Vec::new(), 0);
        for (key, value) in pairs {
            let (key, value) = (key.as_ref().trim(), value.as_ref().trim());
            match key {
                "clientPort" => settings.listen.set_port(number(key, value, 0, u16::MAX)?),
                "clientPortAddress" => settings.listen.set_ip(address(key, value)?),
                "dataDir" => settings.data_dir = value.into(),
                "dataLogDir" => data_log_dir = Some(value).filter(|dir| !dir.is_empty()).map(PathBuf::from),
                "tickTime" => settings.tick_time_ms = number(key, value, 1, 1_000_000)?,
                "minSessionTimeout" => min_timeout = number(key, value, -1, i32::MAX)?,
                "maxSessionTimeout" => max_timeout = number(key, value, -1, i32::MAX)?,
                "maxClientCnxns" => settings.max_client_connections = number(key, value, 0, usize::MAX)?,
                "snapCount" => settings.snap_count = number(key, value, 2, u64::MAX)?,
                "autopurge.snapRetainCount" => {
                    settings.snap_retain_count = number::<usize>(key, value, 0, usize::MAX)?.max(3)
                }
                "autopurge.purgeInterval" => settings.purge_interval_hours = number(key, value, 0, 1_000_000)?,
                "preAllocSize" => settings.preallocation = number::<u64>(key, value, 0, 1 << 22)? << 10,
                "4lw.commands.whitelist" => settings.four_letter_words = FourLetterWords::parse(value),
                "jute.maxbuffer" => settings.max_buffer = number(key, value, 1024, 1 << 30)?,
                "extendedTypesEnabled" => settings.extended_types = value.eq_ignore_ascii_case("true"),
                "globalOutstandingLimit" => settings.outstanding_limit = number(key, value, 1, 1_000_000)?,
                _ if key.starts_with("server.") => {
                    servers += 1;
                    if servers > 1 {
                        return Err(SettingsError::Ensemble { key: key.to_owned() });
                    }
                }
                _ if WITHOUT_MEANING_HERE.contains(&key) => {}
                _ => unknown.push(key.to_owned()),
            }
        }
        if settings.data_dir.as_os_str().is_empty() {
            return Err(SettingsError::NoDataDir);
        }
        settings.data_log_dir = data_log_dir.unwrap_or_else(|| settings.data_dir.clone());
        let min = if min_timeout == -1 { settings.tick_time_ms * 2 } else { min_timeout };
        let max = if max_timeout == -1 { settings.tick_time_ms * 20 } else { max_timeout };
        if min > max {
            return Err(SettingsError::Value {
                key: "minSessionTimeout".to_owned(),
                value: min.to_string(),
                expected: "not more than maxSessionTimeout",
            });
        }
        settings.session_timeout_ms = min..=max;
        Ok((settings, unknown))
    }
}

fn number<T: std::str::FromStr + PartialOrd>(key: &str, value: &str, least: T, most: T) -> Result<T, SettingsError> {
    match value.parse() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => Err(SettingsError::Value {
            key: key.to_owned(),
            value: value.to_owned(),
            expected: "a whole number that this key can have",
        }),
    }
}

fn address(key: &str, value: &str) -> Result<IpAddr, SettingsError> {
    let value = if value == "localhost" { "127.0.0.1" } else { value };
    value.parse().map_err(|_| SettingsError::Value {
        key: key.to_owned(),
        value: value.to_owned(),
        expected: "an IP address of this machine, or 0.0.0.0",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<(KeeperSettings, Vec<String>), SettingsError> {
        KeeperSettings::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn the_tables_defaults_are_the_defaults() {
        let pairs = KEYS.iter().map(|key| (key.name, if key.name == "dataDir" { "/d" } else { key.default }));
        assert_eq!(KeeperSettings::from_pairs(pairs).unwrap(), (KeeperSettings::new("/d"), vec![]));
    }

    #[test]
    fn timeouts_follow_the_tick_and_unknown_keys_are_told() {
        let (settings, unknown) =
            parse(&[("tickTime", "500"), ("dataDir", "/d"), ("maxSessionTimeout", "9000"), ("admin.x", "1")]).unwrap();
        assert_eq!(settings.session_timeout_ms, 1000..=9000);
        assert_eq!(unknown, ["admin.x"]);
    }

    #[test]
    fn what_cannot_start_is_refused_with_its_key() {
        assert_eq!(parse(&[]).unwrap_err(), SettingsError::NoDataDir);
        let ensemble = parse(&[("dataDir", "/d"), ("server.1", "a:1:2"), ("server.2", "b:1:2")]).unwrap_err();
        assert!(ensemble.to_string().starts_with("server.2: "), "{ensemble}");
        let port = parse(&[("dataDir", "/d"), ("clientPort", "65536")]).unwrap_err();
        assert!(port.to_string().starts_with("clientPort=65536: "), "{port}");
        assert!(parse(&[("dataDir", "/d"), ("minSessionTimeout", "50000")]).is_err());
    }

    #[test]
    fn a_star_allows_every_word_and_srvr_always_is() {
        assert!(FourLetterWords::parse("ruok, *").allows("wchp"));
        let listed = FourLetterWords::parse("ruok, stat");
        assert!(listed.allows("srvr") && listed.allows("stat") && !listed.allows("mntr"));
    }
}
