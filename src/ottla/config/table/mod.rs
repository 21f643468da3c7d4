//! The table: every key that Kafka 3.9's ZooKeeper broker knows, with type, default, sentence and what this broker does
//! with it; the few that older brokers knew; and ours.

mod broker;
mod groups;
mod log;
mod network;
mod other;
mod security;

use super::key::{Key, Support, rows};

/// The parts of the table with their titles, in the order of the sample file.
pub const SECTIONS: &[(&str, &[Key])] = &[
    ("Broker and ZooKeeper", broker::KEYS),
    ("Network", network::KEYS),
    ("Log: where it lies, and what a topic gets that says nothing else", log::KEYS),
    ("Groups and transactions", groups::KEYS),
    ("Security", security::KEYS),
    ("Everything else that Kafka knows", other::KEYS),
];

/// All rows.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().flat_map(|(_, keys)| keys.iter())
}

/// The row of a key: by its name, or for a key meant for one listener (`listener.name.<listener>.<key>`) what Kafka
/// does with the key behind the prefix.
pub fn find(name: &str) -> Option<&'static Key> {
    keys().find(|key| key.name == name)
}

/// What becomes of a key that somebody set: by its row, or by the family its prefix names.
/// `None`: nobody knows this key.
pub fn support(name: &str) -> Option<Support> {
    if let Some(key) = find(name) {
        return Some(key.support);
    }
    if let Some(setting) = name.strip_prefix("keeper.") {
        return ottla_keeper::KEYS.iter().any(|key| key.name == setting).then_some(Support::Supported);
    }
    let rest = name.strip_prefix("listener.name.")?;
    // The key behind the listener's name may itself have a SASL mechanism in front.
    let suffixes = rest.match_indices('.').map(|(at, _)| &rest[at + 1..]);
    let key = suffixes.filter_map(find).next()?;
    Some(if key.support == Support::WeakensSafety { key.support } else { Support::IgnoredHarmless })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_key_has_one_row_with_a_valid_default_and_a_sentence() {
        let mut seen = BTreeSet::new();
        for key in keys() {
            assert!(seen.insert(key.name), "{} has two rows", key.name);
            assert!(key.sentence.ends_with('.'), "{}: {:?} is no sentence", key.name, key.sentence);
            assert!(!key.sentence.contains('\n'));
            if let Some(default) = key.default {
                assert_eq!(key.kind.check(default), Ok(()), "default of {}", key.name);
            }
        }
    }

    /// `testdata/kafka-3.9.1-keys.tsv`: name, type, default as `KafkaConfig.configDef` of 3.9.1 prints them.
    #[test]
    fn names_types_and_defaults_are_kafkas() {
        let ours: BTreeSet<&str> = [
            "broker.id",
            "log.dir",
            "zookeeper.connect", // decided by the situation
        ]
        .into();
        for line in include_str!("../testdata/kafka-3.9.1-keys.tsv").lines() {
            let [name, kind, default] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let key = find(name).unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!(key.kind.type_name(), kind, "type of {name}");
            if !ours.contains(name) {
                assert_eq!(key.default, (default != "null").then_some(default), "default of {name}");
            }
        }
    }

    #[test]
    fn the_keepers_keys_are_ones_it_knows() {
        for setting in keys().filter_map(|key| key.name.strip_prefix("keeper.")) {
            assert!(ottla_keeper::KEYS.iter().any(|key| key.name == setting), "{setting}");
        }
    }

    #[test]
    fn families_are_known_by_their_prefix() {
        assert_eq!(support("keeper.tickTime"), Some(Support::Supported));
        assert_eq!(support("keeper.snapCount"), Some(Support::Supported));
        assert_eq!(support("keeper.nonsense"), None);
        assert_eq!(support("listener.name.client.ssl.keystore.location"), Some(Support::WeakensSafety));
        assert_eq!(support("listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config"), Some(Support::WeakensSafety));
        assert_eq!(support("listener.name.client.max.connections"), Some(Support::IgnoredHarmless));
        assert_eq!(support("nonsense"), None);
        assert_eq!(support("listener.name.x"), None);
    }
}
