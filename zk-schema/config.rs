//! `/config/<type>/<name>`: the dynamic configs of topics, brokers, clients, users and addresses.

use serde_json::{Map, Value, json};

use crate::document::{self, DecodeError, Document};
use crate::entity::ConfigEntity;

/// The folder of all configs.
pub const ROOT: &str = "/config";

/// The configs of an entity.
pub fn path(entity: &ConfigEntity) -> String {
    format!("{ROOT}/{entity}")
}

/// The entity in the path of its configs.
pub fn parse_path(path: &str) -> Option<ConfigEntity> {
    ConfigEntity::parse(path.strip_prefix(ROOT)?.strip_prefix('/')?)
}

/// `/config/<type>/<name>`, persistent: the configs that differ from the defaults, as text and in the order they were
/// written (`ZkData.scala` ConfigEntityZNode).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntityConfig {
    entries: Vec<(String, String)>,
}

impl EntityConfig {
    /// Reads the configs; an empty node has none.
    pub fn decode(path: &str, data: &[u8]) -> Result<EntityConfig, DecodeError> {
        if data.is_empty() {
            return Ok(EntityConfig::default());
        }
        let remedy = "write back {\"version\":1,\"config\":{...}} with text values";
        let document = Document::parse(path, remedy, data)?;
        let mut entries = Vec::new();
        for (key, value) in document.optional_object("config")?.into_iter().flatten() {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => return Err(document.error(&format!("config.{key}"), "is no text")),
            };
            entries.push((key.clone(), value));
        }
        Ok(EntityConfig { entries })
    }

    /// Version 1.
    pub fn encode(&self) -> Vec<u8> {
        let config: Map<String, Value> = self.iter().map(|(key, value)| (key.into(), value.into())).collect();
        document::encode(&json!({"version": 1, "config": config}))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Sets a key; a new one comes last.
    pub fn set(&mut self, key: &str, value: &str) {
        match self.entries.iter_mut().find(|(name, _)| name == key) {
            Some(entry) => entry.1 = value.into(),
            None => self.entries.push((key.into(), value.into())),
        }
    }

    /// Removes a key, so that its default holds again.
    pub fn remove(&mut self, key: &str) {
        self.entries.retain(|(name, _)| name != key);
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether every key has its default.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for EntityConfig {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> EntityConfig {
        let mut config = EntityConfig::default();
        for (key, value) in entries {
            config.set(key.as_ref(), value.as_ref());
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order() {
        let mut config: EntityConfig = [("b", "1"), ("a", "2")].into_iter().collect();
        config.set("c", "3");
        config.set("b", "4");
        config.remove("a");
        let text = r#"{"version":1,"config":{"b":"4","c":"3"}}"#;
        assert_eq!(String::from_utf8(config.encode()).unwrap(), text);
        assert_eq!(EntityConfig::decode("/c", text.as_bytes()).unwrap(), config);
        assert_eq!((config.get("b"), config.get("a")), (Some("4"), None));
    }

    #[test]
    fn an_empty_node_has_no_configs_and_foreign_numbers_become_text() {
        assert!(EntityConfig::decode("/c", b"").unwrap().is_empty());
        let config = EntityConfig::decode("/c", br#"{"version":1,"config":{"retention.ms":5}}"#).unwrap();
        assert_eq!(config.get("retention.ms"), Some("5"));
        assert!(EntityConfig::decode("/c", br#"{"config":{"a":[]}}"#).unwrap_err().to_string().contains("config.a"));
    }
}
