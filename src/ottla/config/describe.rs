//! The entries of DescribeConfigs: the value that holds, where it comes from, and what would hold without it
//! (`ConfigHelper.scala`). Keys without effect are not listed: an answer must not claim what is not so.

use std::collections::BTreeMap;

use super::{Kind, Settings, Source, Support, TopicKey, table};

/// Where a described value comes from; the discriminants are the wire's (`DescribeConfigsResponse.ConfigSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set for the topic.
    DynamicTopic = 1,
    /// Set in ZooKeeper for this broker.
    DynamicBroker = 2,
    /// Set in ZooKeeper for all brokers.
    DynamicDefaultBroker = 3,
    /// Set in the broker's file or on its command line.
    StaticBroker = 4,
    /// Nobody set it.
    Default = 5,
}

impl From<&Source> for ConfigSource {
    fn from(source: &Source) -> ConfigSource {
        match source {
            Source::DynamicBroker => ConfigSource::DynamicBroker,
            Source::DynamicDefault => ConfigSource::DynamicDefaultBroker,
            Source::File { .. } | Source::Override | Source::ClientProperty(_) | Source::Data | Source::WithoutFile => ConfigSource::StaticBroker,
        }
    }
}

/// A value that stands behind another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synonym {
    /// The key it was set under.
    pub name: &'static str,
    /// The value; `None` if it is secret.
    pub value: Option<String>,
    /// Where it was set.
    pub source: ConfigSource,
}

/// One described config.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// The value that holds; `None` if there is none or it is secret.
    pub value: Option<String>,
    /// Whether it cannot change while the broker runs.
    pub read_only: bool,
    /// Whether it is secret.
    pub sensitive: bool,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// What holds and what would hold without it, in order.
    pub synonyms: Vec<Synonym>,
    /// What its values are; `kind.wire_id()` is the wire's type.
    pub kind: Kind,
    /// What it is for.
    pub documentation: &'static str,
}

/// The configs of a topic whose own ones are `own`.
pub fn topic(settings: &Settings, own: &BTreeMap<String, String>) -> Vec<Entry> {
    TopicKey::all()
        .iter()
        .filter(|key| key.support.is_supported())
        .map(|key| {
            let mut synonyms = Vec::new();
            if let Some(value) = own.get(key.name) {
                let value = Some(value.clone());
                synonyms.push(Synonym { name: key.name, value, source: ConfigSource::DynamicTopic });
            }
            if let Some((first, _)) = key.synonyms.first() {
                synonyms.extend(behind(settings, first));
            }
            Entry {
                name: key.name,
                value: Some(own.get(key.name).cloned().unwrap_or_else(|| key.broker_value(settings))),
                read_only: false,
                sensitive: false,
                source: synonyms.first().map_or(ConfigSource::Default, |first| first.source),
                synonyms,
                kind: key.kind,
                documentation: key.sentence,
            }
        })
        .collect()
}

/// The configs of a broker.
pub fn broker(settings: &Settings) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table::keys()
        .filter(|row| row.support.is_supported())
        .map(|row| {
            let sensitive = row.kind == Kind::Password;
            let synonyms = behind(settings, row.name);
            Entry {
                name: row.name,
                value: settings.text(row.name).map(str::to_owned).filter(|_| !sensitive),
                read_only: row.support != Support::Dynamic,
                sensitive,
                source: synonyms.first().map_or(ConfigSource::Default, |first| first.source),
                synonyms,
                kind: row.kind,
                documentation: row.sentence,
            }
        })
        .collect();
    entries.sort_by_key(|entry| entry.name);
    entries
}

/// What stands behind a key: its own layers and those of the keys that give the same value in other units, by source. As
/// Kafka has it, what comes before the first value under the key's own name is left out: a broker with
/// `log.retention.hours` alone shows nothing behind `log.retention.ms` (`DynamicBrokerConfig.configSynonyms`).
fn behind(settings: &Settings, name: &'static str) -> Vec<Synonym> {
    let mut synonyms: Vec<Synonym> = chain(name).into_iter().flat_map(|name| layers(settings, name)).collect();
    synonyms.sort_by_key(|synonym| synonym.source as i8);
    synonyms.into_iter().skip_while(|synonym| synonym.name != name).collect()
}

/// The keys that give the same value in different units, the finest first.
fn chain(name: &'static str) -> Vec<&'static str> {
    let with_units =
        TopicKey::all().iter().find(|key| key.synonyms.len() > 1 && key.synonyms.iter().any(|s| s.0 == name));
    with_units.map_or_else(|| vec![name], |key| key.synonyms.iter().map(|(name, _)| *name).collect())
}

fn layers(settings: &Settings, name: &'static str) -> Vec<Synonym> {
    let row = table::find(name);
    let shown = |value: &str| row.is_none_or(|row| row.kind != Kind::Password).then(|| value.to_owned());
    let mut synonyms: Vec<Synonym> = settings
        .layers(name)
        .map(|set| Synonym { name, value: shown(&set.value), source: (&set.source).into() })
        .collect();
    // A command line that goes before a file is one static layer to those who ask.
    synonyms.dedup_by(|later, earlier| later.source == earlier.source);
    if let Some(default) = row.and_then(|row| row.default) {
        synonyms.push(Synonym { name, value: shown(default), source: ConfigSource::Default });
    }
    synonyms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerConfig;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        (*BrokerConfig::from_pairs(pairs).unwrap().settings).clone()
    }

    fn show(entries: &[Entry], name: &str) -> String {
        let entry = entries.iter().find(|entry| entry.name == name).unwrap();
        let synonyms: Vec<String> = entry
            .synonyms
            .iter()
            .map(|s| format!("{}={}@{}", s.name, s.value.as_deref().unwrap_or("null"), s.source as i8))
            .collect();
        let value = entry.value.as_deref().unwrap_or("null");
        format!("{value} {:?} [{}]", entry.source, synonyms.join(" "))
    }

    #[test]
    fn a_topic_shows_its_own_value_and_what_is_behind_it() {
        let mut settings = settings(&[("log.retention.minutes", "5"), ("log.segment.bytes", "1000")]);
        settings.set("log.segment.bytes", "2000", Source::DynamicDefault);
        let own = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        let entries = topic(&settings, &own);
        assert_eq!(
            show(&entries, "cleanup.policy"),
            "compact DynamicTopic [cleanup.policy=compact@1 log.cleanup.policy=delete@5]"
        );
        assert_eq!(show(&entries, "retention.ms"), "300000 Default []", "as Kafka 3.9.1 answers");
        assert_eq!(
            show(&entries, "segment.bytes"),
            "2000 DynamicDefaultBroker [log.segment.bytes=2000@3 log.segment.bytes=1000@4 log.segment.bytes=1073741824@5]"
        );
        assert_eq!(show(&entries, "preallocate"), "false Default [log.preallocate=false@5]");
    }

    /// What Kafka 3.9.1 answered after `log.retention.ms` was set for all brokers.
    #[test]
    fn a_finer_unit_shows_the_coarser_ones_behind_it() {
        let mut settings = settings(&[]);
        settings.set("log.retention.ms", "9999999", Source::DynamicDefault);
        let expected = "9999999 DynamicDefaultBroker [log.retention.ms=9999999@3 log.retention.hours=168@5]";
        assert_eq!(show(&topic(&settings, &BTreeMap::new()), "retention.ms"), expected);
        let entries = broker(&settings);
        assert_eq!(show(&entries, "log.retention.ms"), expected);
        assert_eq!(show(&entries, "log.retention.minutes"), "null Default []");
        assert_eq!(show(&entries, "log.retention.hours"), "168 Default [log.retention.hours=168@5]");
    }

    #[test]
    fn a_broker_shows_what_can_change_while_it_runs() {
        let entries = broker(&settings(&[("log.roll.hours", "1")]));
        let read_only = |name| entries.iter().find(|entry| entry.name == name).unwrap().read_only;
        assert!(read_only("broker.id"));
        assert!(!read_only("log.segment.bytes"));
        assert_eq!(show(&entries, "log.roll.ms"), "null Default []");
        assert_eq!(show(&entries, "log.roll.hours"), "1 StaticBroker [log.roll.hours=1@4 log.roll.hours=168@5]");
        assert_eq!(show(&entries, "broker.id"), "0 StaticBroker [broker.id=0@4 broker.id=-1@5]");
        assert!(entries.iter().all(|entry| entry.name != "ssl.keystore.location"), "keys without effect are not shown");
    }
}
