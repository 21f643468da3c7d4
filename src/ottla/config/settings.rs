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

/// What somebody set: key, value, place. Later layers win.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<String, Setting>,
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
        self.values.insert(key.into(), Setting { value: value.trim().into(), source });
    }

    /// What was set for a key; an empty value counts, as in Kafka.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.values.get(key)
    }

    /// Everything that was set, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.values.iter().map(|(key, setting)| (key.as_str(), setting))
    }

    /// The text that holds for a key: what was set, else the table's default.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.values.get(key) {
            Some(setting) => Some(&setting.value),
            None => table::find(key).and_then(|row| row.default),
        }
    }

    /// The problem of a value that is not what is expected.
    pub(super) fn wrong(&self, key: &str, expected: &str) -> Problem {
        match self.values.get(key) {
            Some(Setting { value, source }) => Problem(format!("{source}: {key}={value}: {expected} is expected")),
            None => Problem(format!("{key} is not set: {expected} is expected")),
        }
    }

    /// The problem of a value that has the right form and still cannot be.
    pub(super) fn refused(&self, key: &str, why: &str) -> Problem {
        match self.values.get(key) {
            Some(Setting { value, source }) => Problem(format!("{source}: {key}={value}: {why}")),
            None => Problem(format!("{key}: {why}")),
        }
    }

    /// Checks the form of each supported value.
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        for (key, setting) in &self.values {
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
