use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Support, properties, table};

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A line of a file.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// `--override key=value`.
    Override,
    /// `--consumer-property key=value`, and its like of another kind of client.
    ClientProperty(&'static str),
    /// `--data DIR`.
    Data,
    /// What holds when the broker is started without any file.
    WithoutFile,
    /// `/config/brokers/<id>`.
    DynamicBroker,
    /// `/config/brokers/<default>`.
    DynamicDefault,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File { path, line } => write!(f, "{}:{line}", path.display()),
            Source::Override => write!(f, "--override"),
            Source::ClientProperty(who) => write!(f, "--{who}-property"),
            Source::Data => write!(f, "--data"),
            Source::WithoutFile => write!(f, "without a file"),
            Source::DynamicBroker => write!(f, "this broker's dynamic configs"),
            Source::DynamicDefault => write!(f, "the cluster's dynamic configs"),
        }
    }
}

/// A value and where it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value, without blanks around it.
    pub value: String,
    /// Where.
    pub source: Source,
}

/// Something wrong with a setting, in one line: place, key, value, what is expected or what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(pub String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a broker cannot start with these settings: everything that is wrong at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(pub Vec<Problem>);

/// What somebody set: key, value, place. Later layers win, and the earlier ones are remembered: DescribeConfigs shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<String, Vec<Setting>>,
}

/// Settings as they were read, with what is worth a warning.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Unknown keys, keys without effect, keys set twice.
    pub warnings: Vec<Problem>,
}

impl Settings {
    /// Reads a file, puts `--data` and the overrides over it, and looks at each key: is it known, is it supported, may
    /// it be ignored. Values are checked when [`super::BrokerConfig`] is made of the settings.
    ///
    /// `overrides` are `key=value`; `allowed` are keys whose missing protection is accepted, a `*` at the end
    /// stands for any rest.
    pub fn load(
        file: Option<&Path>,
        data: Option<&Path>,
        overrides: &[String],
        allowed: &[String],
    ) -> Result<Loaded, ConfigErrors> {
        let mut loaded = Loaded::default();
        let mut errors = Vec::new();
        match file {
            Some(path) => {
                let bytes = fs::read(path).map_err(|error| {
                    ConfigErrors(vec![Problem(format!("{}: cannot be read: {error}", path.display()))])
                })?;
                loaded.read(path, &bytes)?;
            }
            None => loaded.settings.without_file(),
        }
        if let Some(dir) = data {
            loaded.settings.values.remove("log.dirs");
            loaded.settings.set("log.dirs", &dir.join("logs").to_string_lossy(), Source::Data);
            loaded.settings.set("keeper.dataDir", &dir.join("keeper").to_string_lossy(), Source::Data);
        }
        for text in overrides {
            match text.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    // The older key would lose against what --data has set under the newer one.
                    if key.trim() == "log.dir" && data.is_some() {
                        loaded.settings.values.remove("log.dirs");
                    }
                    loaded.settings.set(key.trim(), value, Source::Override);
                }
                _ => errors.push(Problem(format!("--override {text}: key=value is expected"))),
            }
        }
        loaded.judge(allowed, &mut errors);
        if errors.is_empty() { Ok(loaded) } else { Err(ConfigErrors(errors)) }
    }

    /// What holds when there is no file: a broker for one machine.
    fn without_file(&mut self) {
        for (key, value) in [("broker.id", "0"), ("listeners", "PLAINTEXT://127.0.0.1:9092")] {
            self.set(key, value, Source::WithoutFile);
        }
    }

    /// Sets a value, over what was there.
    pub fn set(&mut self, key: &str, value: &str, source: Source) {
        self.values.entry(key.into()).or_default().push(Setting { value: value.trim().into(), source });
    }

    /// What was set for a key; an empty value counts, as in Kafka.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.values.get(key)?.last()
    }

    /// What was set for a key, the one that holds first.
    pub fn layers(&self, key: &str) -> impl Iterator<Item = &Setting> {
        self.values.get(key).into_iter().flatten().rev()
    }

    /// Everything that was set and holds, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.values.iter().filter_map(|(key, layers)| Some((key.as_str(), layers.last()?)))
    }

    /// The text that holds for a key: what was set, else the table's default.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(setting) => Some(&setting.value),
            None => table::find(key).and_then(|row| row.default),
        }
    }

    /// The problem of a value that is not what is expected.
    pub(super) fn wrong(&self, key: &str, expected: &str) -> Problem {
        match self.get(key) {
            Some(Setting { value, source }) => Problem(format!("{source}: {key}={value}: {expected} is expected")),
            None => Problem(format!("{key} is not set: {expected} is expected")),
        }
    }

    /// The problem of a value that has the right form and still cannot be.
    pub(super) fn refused(&self, key: &str, why: &str) -> Problem {
        match self.get(key) {
            Some(Setting { value, source }) => Problem(format!("{source}: {key}={value}: {why}")),
            None => Problem(format!("{key}: {why}")),
        }
    }

    /// Checks the form of each supported value.
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        for (key, setting) in self.iter() {
            let Some(row) = table::find(key).filter(|row| row.support.is_supported()) else { continue };
            if row.kind.check(&setting.value).is_err() {
                problems.push(self.wrong(key, &row.kind.to_string()));
            }
        }
    }
}

impl Loaded {
    fn read(&mut self, path: &Path, bytes: &[u8]) -> Result<(), ConfigErrors> {
        let properties = properties::parse(bytes)
            .map_err(|error| ConfigErrors(vec![Problem(format!("{}: {error}", path.display()))]))?;
        for property in properties {
            let source = Source::File { path: path.into(), line: property.line };
            if let Some(Setting { source: Source::File { line, .. }, .. }) = self.settings.get(&property.key) {
                self.warnings.push(Problem(format!("{source}: {} was already set in line {line}", property.key)));
            }
            self.settings.set(&property.key, &property.value, source);
        }
        Ok(())
    }

    fn judge(&mut self, allowed: &[String], errors: &mut Vec<Problem>) {
        let mut unused: BTreeSet<&String> = allowed.iter().collect();
        for (key, setting) in self.settings.iter() {
            let source = &setting.source;
            let is_default = table::find(key).is_some_and(|row| row.default.unwrap_or("") == setting.value);
            match table::support(key) {
                None => self.warnings.push(Problem(format!("{source}: {key} is a key that nobody knows; ignored"))),
                Some(Support::IgnoredHarmless) if !is_default => {
                    self.warnings.push(Problem(format!("{source}: {key} has no effect in this broker yet; ignored")));
                }
                Some(Support::WeakensSafety) if !is_default => match allowed.iter().find(|rule| covers(rule, key)) {
                    Some(rule) => {
                        unused.remove(rule);
                        self.warnings.push(Problem(format!(
                            "{source}: {key} is not supported and was allowed: its protection is missing"
                        )));
                    }
                    None => errors.push(Problem(format!(
                        "{source}: {key} is not supported yet, and its protection would silently be missing; take the \
                         line out, or start with --allow-unsupported {key}"
                    ))),
                },
                Some(_) => {}
            }
        }
        for rule in unused {
            self.warnings.push(Problem(format!("--allow-unsupported {rule} allows nothing that is set")));
        }
    }
}

fn covers(rule: &str, key: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(start) => key.starts_with(start),
        None => rule == key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BrokerConfig, Coordination};

    struct Given {
        folder: tempfile::TempDir,
    }

    impl Given {
        fn new(text: &str) -> Given {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("server.properties"), text).unwrap();
            Given { folder }
        }

        fn load(&self, overrides: &[&str], allowed: &[&str]) -> Result<Loaded, String> {
            let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<String>>();
            let file = self.folder.path().join("server.properties");
            Settings::load(Some(&file), None, &owned(overrides), &owned(allowed)).map_err(|error| self.short(&error))
        }

        fn config(&self, overrides: &[&str]) -> Result<BrokerConfig, String> {
            BrokerConfig::new(self.load(overrides, &[])?.settings).map_err(|error| self.short(&error))
        }

        fn warnings(&self, allowed: &[&str]) -> Vec<String> {
            self.load(&[], allowed).unwrap().warnings.iter().map(|problem| self.short(problem)).collect()
        }

        fn short(&self, text: &dyn fmt::Display) -> String {
            text.to_string().replace(&format!("{}/", self.folder.path().display()), "")
        }
    }

    #[test]
    fn kafkas_own_sample_starts_a_broker() {
        let given = Given::new(include_str!("testdata/kafka-3.9-settings.properties"));
        let config = given.config(&[]).unwrap();
        assert_eq!(config.broker_id, Some(ottla_types::BrokerId(0)));
        assert_eq!(config.log_dirs, [PathBuf::from("/tmp/kafka-logs")]);
        let ensemble = Coordination::Ensemble { servers: "localhost:2181".into(), chroot: String::new() };
        assert_eq!(config.coordination, ensemble);
        let warnings = given.warnings(&[]);
        assert!(warnings.iter().all(|text| text.contains("has no effect in this broker yet")), "{warnings:?}");
    }

    #[test]
    fn without_a_file_the_broker_is_number_0_with_its_own_keeper() {
        let config = BrokerConfig::from_pairs(&[]).unwrap();
        assert_eq!(config.broker_id, Some(ottla_types::BrokerId(0)));
        assert_eq!(config.log_dirs, [PathBuf::from("ottla-data/logs")]);
        let Coordination::Embedded(keeper) = config.coordination else { panic!("its own keeper") };
        let text: Vec<String> = keeper.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            text,
            ["clientPort=2181", "clientPortAddress=127.0.0.1", "dataDir=ottla-data/keeper", "tickTime=2000"]
        );
    }

    #[test]
    fn a_file_without_broker_id_asks_for_a_number() {
        let config = Given::new("").config(&[]).unwrap();
        assert_eq!(config.broker_id, None);
        assert_eq!(config.listeners[0].to_string(), "PLAINTEXT://:9092");
    }

    #[test]
    fn overrides_go_before_data_before_the_file() {
        let given = Given::new("log.dirs=/a,/b\nkeeper.dataDir=/k\nkeeper.snapCount=7\nnum.partitions=2\n");
        let file = given.folder.path().join("server.properties");
        let load = |overrides: &[String]| {
            let loaded = Settings::load(Some(&file), Some(Path::new("/d")), overrides, &[]).unwrap();
            BrokerConfig::new(loaded.settings).unwrap()
        };
        let config = load(&[]);
        assert_eq!(config.log_dirs, [PathBuf::from("/d/logs")]);
        let Coordination::Embedded(keeper) = config.coordination else { panic!("its own keeper") };
        assert_eq!((keeper["dataDir"].as_str(), keeper["snapCount"].as_str()), ("/d/keeper", "7"));
        let config = load(&["log.dirs=/c".into(), "num.partitions = 3".into()]);
        assert_eq!((config.log_dirs, config.num_partitions), (vec![PathBuf::from("/c")], 3));
        assert_eq!(load(&["log.dir=/c".into()]).log_dirs, [PathBuf::from("/c")]);
    }

    #[test]
    fn messages_name_file_line_key_value_and_what_is_expected() {
        let given = Given::new("# x\nnum.partitions=many\n\nlog.dirs=/a,/a\nbroker.id=5000\n");
        let error = given.config(&[]).unwrap_err();
        assert_eq!(error, "server.properties:2: num.partitions=many: a whole number from 1 is expected");
        let error = given.config(&["num.partitions=1"]).unwrap_err();
        assert_eq!(
            error,
            "server.properties:5: broker.id=5000: a number from 0 to 1000 (reserved.broker.max.id), or -1 for a made \
             one, is expected\n\
             server.properties:4: log.dirs=/a,/a: folders between commas, at least one, none twice, is expected"
        );
        let error = Given::new("x=\\u00g0").load(&[], &[]).unwrap_err();
        assert_eq!(error, "server.properties: line 1: \\u must be followed by four hexadecimal digits");
        let error = given.load(&["nothing"], &[]).unwrap_err();
        assert_eq!(error, "--override nothing: key=value is expected");
        let missing = Settings::load(Some(Path::new("/no/such.file")), None, &[], &[]).unwrap_err().to_string();
        assert!(missing.starts_with("/no/such.file: cannot be read: No such file"), "{missing}");
    }

    #[test]
    fn the_keepers_settings_are_checked_where_they_stand() {
        let error = Given::new("\nkeeper.snapCount=few\n").config(&[]).unwrap_err();
        assert!(error.starts_with("server.properties:2: keeper.snapCount=few: "), "{error}");
        let error = Given::new("keeper.clientPort=66666\n").config(&[]).unwrap_err();
        let expected = "server.properties:1: keeper.clientPort=66666: a whole number from 0 to 65535 is expected";
        assert_eq!(error, expected);
        assert!(Given::new("keeper.snapCount=few\nzookeeper.connect=a:1\n").config(&[]).is_ok(), "it is not started");
    }

    #[test]
    fn zookeeper_connect_is_taken_apart() {
        let connect = |text: &str| Given::new(&format!("zookeeper.connect={text}")).config(&[]).map(|c| c.coordination);
        let ensemble =
            |servers: &str, chroot: &str| Ok(Coordination::Ensemble { servers: servers.into(), chroot: chroot.into() });
        assert_eq!(connect("a:1, b:2/x/y"), ensemble("a:1,b:2", "/x/y"));
        assert_eq!(connect("a"), ensemble("a:2181", ""));
        assert_eq!(connect("a:1/"), ensemble("a:1", ""));
        for bad in ["a:port", ":1", "a:1,/x", "a:1//x"] {
            let error = connect(bad).unwrap_err();
            let expected =
                format!("server.properties:1: zookeeper.connect={bad}: host:port,host:port/chroot is expected");
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn unknown_and_ignored_keys_are_warnings_and_defaults_are_silent() {
        let given = Given::new("nonsense=1\nnum.replica.fetchers=9\nnum.network.threads=3\nport=1\nport=2\n");
        assert_eq!(
            given.warnings(&[]),
            [
                "server.properties:5: port was already set in line 4",
                "server.properties:1: nonsense is a key that nobody knows; ignored",
                "server.properties:2: num.replica.fetchers has no effect in this broker yet; ignored",
            ]
        );
    }

    #[test]
    fn a_missing_protection_refuses_the_start_unless_it_is_allowed() {
        let given = Given::new("authorizer.class.name=kafka.security.authorizer.AclAuthorizer\nssl.client.auth=none\n");
        assert_eq!(
            given.load(&[], &[]).unwrap_err(),
            "server.properties:1: authorizer.class.name is not supported yet, and its protection would silently be \
             missing; take the line out, or start with --allow-unsupported authorizer.class.name"
        );
        let allowed =
            "server.properties:1: authorizer.class.name is not supported and was allowed: its protection is missing";
        assert_eq!(given.warnings(&["authorizer.*"]), [allowed]);
        let unused = "--allow-unsupported ssl.* allows nothing that is set";
        assert_eq!(given.warnings(&["authorizer.class.name", "ssl.*"]), [allowed, unused]);
    }
}
