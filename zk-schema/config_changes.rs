//! `/config/changes/config_change_<n>`: hints that configs changed.

use serde_json::{Value, json};

use crate::document::{self, DecodeError, Document};
use crate::entity::ConfigEntity;

/// The folder of the notifications.
pub const PARENT: &str = "/config/changes";

/// What the server adds a ten-digit number to.
pub const PREFIX: &str = "/config/changes/config_change_";

/// The number of a notification, from the name of its node. It is signed: the server's counter wraps (layout trap B22).
pub fn parse_name(name: &str) -> Option<i32> {
    name.strip_prefix("config_change_")?.parse().ok()
}

/// Whose configs changed: only a hint to read them again. Version 1 (0.9), version 2 (0.10.1 and later) and the topic name in
/// quotes of 0.8.1 are read (`DynamicConfigManager.scala`).
pub fn decode(path: &str, data: &[u8]) -> Result<ConfigEntity, DecodeError> {
    let remedy = "delete the node: it is only a hint";
    if let Ok(Value::String(topic)) = serde_json::from_slice(data) {
        let problem = || format!("'{topic}' is no topic name");
        return ConfigEntity::parse(&format!("topics/{topic}")).ok_or_else(|| DecodeError {
            path: path.into(),
            problem: problem(),
            remedy,
        });
    }
    let document = Document::parse(path, remedy, data)?;
    let (key, entity) = match document.int("version")? {
        1 => ("entity_name", format!("{}/{}", document.text("entity_type")?, document.text("entity_name")?)),
        _ => ("entity_path", document.text("entity_path")?.into()),
    };
    ConfigEntity::parse(&entity)
        .ok_or_else(|| document.error(key, &format!("'{entity}' names nothing that has configs")))
}

/// Version 2.
pub fn encode(entity: &ConfigEntity) -> Vec<u8> {
    document::encode(&json!({"version": 2, "entity_path": entity.to_string()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_read() {
        for text in [
            r#""plain""#,
            r#"{"version":1,"entity_type":"topics","entity_name":"plain"}"#,
            r#"{"version":2,"entity_path":"topics/plain"}"#,
        ] {
            assert_eq!(decode("/c", text.as_bytes()).unwrap().to_string(), "topics/plain");
        }
        let error = decode("/c", br#"{"version":2,"entity_path":"client-metrics/m"}"#).unwrap_err().to_string();
        assert!(error.contains("'entity_path' 'client-metrics/m'"), "{error}");
        assert!(decode("/c", br#""a/b""#).is_err());
    }

    #[test]
    fn names_are_numbers() {
        assert_eq!(parse_name("config_change_0000000012"), Some(12));
        assert_eq!(parse_name("config_change_-2147483648"), Some(i32::MIN));
        assert_eq!(parse_name("x"), None);
    }
}
