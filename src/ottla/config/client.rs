//! Files of clients (`consumer.properties`, `producer.properties`): a table of keys with their older spellings, and what was
//! set by them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use super::sample::{comment, row};
use super::{ConfigErrors, Key, Kind, Problem, Setting, Source, Support, properties};

/// Every key that a kind of client knows.
pub(crate) struct Table {
    /// "consumer" or "producer", for messages.
    pub(crate) who: &'static str,
    /// The keys.
    pub(crate) keys: &'static [Key],
    /// An older spelling and today's.
    pub(crate) old_spellings: &'static [(&'static str, &'static str)],
    /// The value as today's spelling wants it, of a spelling's value that does not.
    pub(crate) translate: fn(spelling: &str, value: &str) -> Option<String>,
    /// Whether a value of a key without effect asks for what is done anyway.
    pub(crate) is_done_anyway: fn(key: &str, value: &str) -> bool,
}

impl Table {
    /// The row of a key, by either spelling.
    pub(crate) fn find(&self, name: &str) -> Option<&'static Key> {
        let name = self.old_spellings.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| new);
        self.keys.iter().find(|key| key.name == name)
    }

    /// The commented sample file with every key.
    pub(crate) fn sample(&self, head: &str) -> String {
        let mut text = head.to_owned();
        self.keys.iter().filter(|key| key.support.is_supported()).for_each(|key| row(&mut text, key));
        for (support, title) in [
            (Support::WeakensSafety, "Refused when set: what relies on them would silently be missing"),
            (Support::IgnoredHarmless, "Known and without effect: a warning"),
        ] {
            let names: Vec<&str> = self.keys.iter().filter(|key| key.support == support).map(|key| key.name).collect();
            if !names.is_empty() {
                let _ = write!(text, "\n\n######## {title}\n\n");
                comment(&mut text, &names.join(" "));
            }
        }
        text.push_str("\n\n######## Older spellings, which are read as well\n\n");
        for (old, new) in self.old_spellings {
            let _ = writeln!(text, "# {old} = {new}");
        }
        text
    }

    /// Reads a file and puts overrides (`key=value`) over it.
    ///
    /// # Errors
    /// The file cannot be read, or is none. What is wrong with single keys is in [`ClientSettings::problems`].
    pub(crate) fn load(
        &'static self,
        file: Option<&Path>,
        overrides: &[String],
    ) -> Result<ClientSettings, ConfigErrors> {
        let mut settings =
            ClientSettings { table: self, values: BTreeMap::new(), warnings: Vec::new(), problems: Vec::new() };
        if let Some(path) = file {
            settings.read(path)?;
        }
        let source = Source::ClientProperty(self.who);
        for text in overrides {
            match text.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => settings.set(key.trim(), value, source.clone()),
                _ => settings.problem(format!("{source} {text}: key=value is expected")),
            }
        }
        Ok(settings)
    }
}

/// What was set, by today's spelling; each value has the form of its kind.
pub(crate) struct ClientSettings {
    table: &'static Table,
    values: BTreeMap<&'static str, (String, Setting)>,
    /// Unknown keys, keys without effect, keys set twice.
    pub(crate) warnings: Vec<Problem>,
    /// Everything that is wrong.
    pub(crate) problems: Vec<Problem>,
}

impl ClientSettings {
    /// Adds a problem.
    pub(crate) fn problem(&mut self, text: String) {
        self.problems.push(Problem(text));
    }

    fn read(&mut self, path: &Path) -> Result<(), ConfigErrors> {
        let failed = |what: String| ConfigErrors(vec![Problem(format!("{}: {what}", path.display()))]);
        let bytes = std::fs::read(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
        for property in properties::parse(&bytes).map_err(|error| failed(error.to_string()))? {
            self.set(&property.key, &property.value, Source::File { path: path.into(), line: property.line });
        }
        Ok(())
    }

    /// Sets a value over what was there.
    pub(crate) fn set(&mut self, key: &str, value: &str, source: Source) {
        let value = value.trim();
        let Some(row) = self.table.find(key) else {
            return self.warnings.push(Problem(format!("{source}: {key} is a key that nobody knows; ignored")));
        };
        let meant = (self.table.translate)(key, value).map_or(Cow::Borrowed(value), Cow::Owned);
        let meant = match row.kind {
            Kind::OneOf(words) => {
                words.iter().find(|word| word.eq_ignore_ascii_case(&meant)).copied().unwrap_or(&meant)
            }
            _ => &*meant,
        };
        if row.kind.check(meant).is_err() {
            return self.problem(format!("{source}: {key}={value}: {} is expected", row.kind));
        }
        let is_default = row.default.unwrap_or("") == meant || (self.table.is_done_anyway)(row.name, meant);
        match row.support {
            Support::IgnoredHarmless if !is_default => {
                let who = self.table.who;
                self.warnings.push(Problem(format!("{source}: {key} has no effect in this {who}; ignored")));
            }
            Support::WeakensSafety if !is_default => {
                self.problem(format!("{source}: {key}={value} is refused. {} Take the line out.", row.sentence));
            }
            _ => {}
        }
        let set = Setting { value: meant.into(), source };
        if let Some((other, Setting { source: Source::File { line, .. }, .. })) = self.values.get(row.name)
            && let Source::File { .. } = &set.source
        {
            let again = format!("{}: {key} was already set in line {line}, as {other}", set.source);
            self.warnings.push(Problem(again));
        }
        self.values.insert(row.name, (key.into(), set));
    }

    /// Forgets a key.
    pub(crate) fn unset(&mut self, key: &str) {
        self.values.remove(key);
    }

    /// What was set for a key, with its spelling and place; an empty text is nothing.
    pub(crate) fn setting(&self, key: &str) -> Option<(&str, &Setting)> {
        let (spelling, setting) = self.values.get(key)?;
        (!setting.value.is_empty()).then_some((spelling, setting))
    }

    /// The text that was set for a key; an empty one is nothing.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.setting(key).map(|(_, setting)| setting.value.as_str())
    }

    /// A number, or what holds without one that fits.
    pub(crate) fn number<N: TryFrom<i64>>(&self, key: &str, default: N) -> N {
        self.text(key).and_then(|text| text.parse::<i64>().ok()?.try_into().ok()).unwrap_or(default)
    }

    /// A time in milliseconds.
    pub(crate) fn millis(&self, key: &str, default: Duration) -> Duration {
        self.text(key).and_then(|text| text.parse().ok()).map_or(default, Duration::from_millis)
    }

    /// A truth.
    pub(crate) fn truth(&self, key: &str, default: bool) -> bool {
        self.text(key).map_or(default, |text| text.eq_ignore_ascii_case("true"))
    }
}

#[cfg(test)]
pub(crate) mod checks {
    //! What must be so of every table and its sample file.

    use super::*;

    pub(crate) fn each_key_has_a_valid_default_and_a_sentence(table: &Table) {
        for key in table.keys {
            assert!(key.sentence.ends_with('.'), "{}", key.name);
            assert_eq!(table.keys.iter().filter(|other| other.name == key.name).count(), 1, "{}", key.name);
            if let Some(default) = key.default {
                assert_eq!(key.kind.check(default), Ok(()), "default of {}", key.name);
            }
        }
        for (old, new) in table.old_spellings {
            assert_eq!(table.find(old).map(|key| key.name), Some(*new));
            assert!(table.keys.iter().all(|key| key.name != *old), "{old}");
        }
    }

    pub(crate) fn the_sample_file_is_the_table(sample: &str, who: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../config/{who}.properties"));
        let file = std::fs::read_to_string(&path).unwrap();
        let remedy = format!("cargo run --example {who}_properties >config/{who}.properties");
        assert!(file == sample, "config/{who}.properties is not what the table says: {remedy}");
        assert_eq!(properties::parse(file.as_bytes()).unwrap(), []);
    }

    /// The sample's lines of keys that have a default, without their comment sign.
    pub(crate) fn defaults(sample: &str) -> String {
        sample
            .lines()
            .filter_map(|line| line.strip_prefix('#'))
            .filter(|line| !line.starts_with([' ', '#']) && !line.is_empty() && !line.ends_with('='))
            .map(|line| format!("{line}\n"))
            .collect()
    }
}
